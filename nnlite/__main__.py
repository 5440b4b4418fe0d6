"""`python -m nnlite`: what a report of a bug needs, and where to begin."""

from __future__ import annotations

import os

from nnlite.training.fingerprint import environment

BEGIN = """\
begin with        python -c "import nnlite; help(nnlite)"
the gradients     help(nnlite.Layer), nnlite.check_gradients, nnlite.trace
a first training  python examples/15_digits.py, of the repository"""


def main() -> None:
    """Print the versions, the engine, BLAS and its threads."""
    found = environment()
    found["threads"] = " ".join(f"{name}={value}" for name, value in found["threads"].items())
    for name, value in found.items():
        print(f"{name:<18}{value if value != '' else '-'}")
    print(f"{'NNLITE_RUNTIME':<18}{os.environ.get('NNLITE_RUNTIME', '-')}")
    print(f"\n{BEGIN}")


if __name__ == "__main__":
    main()
