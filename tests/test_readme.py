"""Every Python block of the README runs and prints what the README says; sections stand alone."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import nnlite as nn

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*\.?\d*(?:e-?\d+)?")


def assert_same_output(printed, promised):
    """The same words, and numbers that differ no more than another processor rounds."""
    # speeds differ, and so does where a right gradient rounds worst
    noise = re.compile(r"[\d,]+ samples/s|\(.*(?=ok\n)")
    printed, promised = (noise.sub("", t) for t in (printed, promised))
    assert NUMBER.sub("#", printed).split() == NUMBER.sub("#", promised).split()
    numbers = [[float(n.replace(",", "")) for n in NUMBER.findall(t)] for t in (printed, promised)]
    assert numbers[0] == pytest.approx(numbers[1], rel=0.02)


GOES_ON = "This section goes on from the one before."


def imports(block):
    """The top-level packages that a block imports, and our interop modules by their own name."""
    modules = re.findall(r"^(?:from|import) ([\w.]+)", block, re.MULTILINE)
    return [m.removeprefix("nnlite.interop.").split(".")[0] for m in modules]


def test_readme(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where a block may write a file
    names = {}
    printed = ""
    text = (ROOT / "README.md").read_text()
    assert {kind for kind, _ in BLOCK.findall(text)} == {"python", "text", "bash"}
    for section in re.split(r"(?m)^(?=## )", text):
        if GOES_ON not in section:
            names, there = {}, True
        for kind, block in BLOCK.findall(section):
            if kind == "python":
                # extras, which CI installs later; blocks that go on from such a one wait too
                there = there and all(find_spec(name) for name in imports(block))
                if there:
                    exec(compile(block, "README.md", "exec"), names)
                    printed = capsys.readouterr().out
            elif kind == "text" and there:
                assert_same_output(printed, block)


def test_readme_names_everything_public():
    text = (ROOT / "README.md").read_text()
    listed = {*nn.layers.__all__, *nn.losses.__all__, *nn.optimizers.__all__, *nn.metrics.__all__}
    listed |= {*nn.data.__all__, *nn.inspection.__all__}
    unlisted = {n for n in listed if not re.search(rf"\b{n}\b", text)}
    results = {"Audit", "GradientReport", "Jacobian", "Profile", "ProfileRow", "Trace", "TraceStep"}
    assert unlisted <= {"Loss", "Optimizer", "Metric", *results}
