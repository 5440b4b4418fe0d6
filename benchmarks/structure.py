"""How far one has to walk through the code: imports that go in circles, and files that one opens.

A file is opened when a function in it is called. Reading along `fit` means to open them one after
the other; the fewer there are, the easier it is to follow.
"""

from __future__ import annotations

import ast
import itertools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import nnlite as nn

PACKAGE = Path(nn.__file__).parent


def modules() -> dict[str, Path]:
    """Every module of the package, by name."""
    root = PACKAGE.parent
    paths = {path: path.relative_to(root).with_suffix("") for path in PACKAGE.rglob("*.py")}
    return {".".join(name.parts).removesuffix(".__init__"): path for path, name in paths.items()}


def imports() -> dict[str, set[str]]:
    """Which modules each one imports, for type checking too."""
    known = modules()
    found: dict[str, set[str]] = {}
    for name, path in known.items():
        found[name] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nnlite"):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    found[name].add(whole if whole in known else str(node.module))
        found[name].discard(name)
    return found


def circles() -> list[list[str]]:
    """Modules that import each other, directly or by way of others."""
    graph = imports()

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        ahead = [start]
        while ahead:
            new = graph.get(ahead.pop(), set()) - seen
            seen |= new
            ahead += new
        return seen

    after = {name: reached(name) for name in graph}
    groups = {
        tuple(sorted(other for other in after[name] if name in after[other]))
        for name in graph
        if name in after[name]
    }
    return [list(group) for group in sorted(groups)]


def loose() -> list[str]:
    """Modules that stand in no room."""
    return sorted(path.name for path in PACKAGE.glob("*.py"))


class Walk(NamedTuple):
    """What a call opens."""

    files: list[str]
    functions: int
    hops: int  # from one file to another


def walk(run: Callable[[], object]) -> Walk:
    """Follow a call through the package."""
    order: list[str] = []
    functions: set[tuple[str, str]] = set()

    def seen(frame: object, event: str, argument: object) -> None:
        code = frame.f_code  # type: ignore[attr-defined]
        path = Path(code.co_filename)
        if event == "call" and PACKAGE in path.parents and code.co_name != "<module>":
            order.append(str(path.relative_to(PACKAGE)))
            functions.add((order[-1], code.co_qualname))

    sys.setprofile(seen)
    try:
        run()
    finally:
        sys.setprofile(None)
    hops = sum(a != b for a, b in itertools.pairwise(order))
    return Walk(sorted(set(order)), len(functions), hops)


def one_gradient() -> Walk:
    """The gradient's way from the loss through a small net to its first weight."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    loss = nn.CrossEntropyLoss()
    x, y = np.ones((5, 4), np.float32), np.zeros(5, int)
    loss(model(x), y)
    return walk(lambda: model.backward(loss.backward()))


def one_fit() -> Walk:
    """Two epochs on arrays with a metric and validation."""
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    trainer = nn.Trainer(
        model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()), metrics=[nn.Accuracy()]
    )
    x, y = np.ones((50, 4), np.float32), np.zeros(50, int)
    data = (x[:20], y[:20])
    trainer.fit(x, y, epochs=1, verbose=False)  # the first call imports
    return walk(lambda: trainer.fit(x, y, epochs=2, validation_data=data, verbose=False))
