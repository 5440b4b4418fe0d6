"""The main job, as a user runs it."""

from __future__ import annotations

import contextlib
import io
import re
import runpy

from benchmarks.turns import ROOT


def run() -> tuple[float, float]:
    """(test accuracy, seconds of training) of examples/15_digits.py."""
    lesson = runpy.run_path(str(ROOT / "examples" / "15_digits.py"))
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        accuracy = lesson["main"]()
    found = re.search(r"after ([\d.]+) s of training", out.getvalue())
    assert found is not None
    return accuracy, float(found.group(1))
