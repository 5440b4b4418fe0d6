"""Every lesson runs, and reaches what it promises."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9]*.py"))
PROMISED = {
    "01_by_hand": 0.99,
    "02_spirals": 0.97,
    "03_digits": 0.975,
    "04_custom_layer": 0.97,
    "05_regression": 0.98,
    "09_char_rnn": 1.5,  # bits
    "10_adding_problem": 3.0,  # times
}
SHORT = {
    "09_char_rnn": {"epochs": 1, "hidden": 64},
    "10_adding_problem": {"steps": 12, "updates": 400},
}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, capsys):
    assert load(path).main(**SHORT.get(path.stem, {})) >= PROMISED[path.stem]
    assert capsys.readouterr().out


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_a_lesson(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith('"""Lesson ')
    assert len(lines) <= 100


def test_digits_plot(tmp_path, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    digits = next(path for path in EXAMPLES if path.stem == "03_digits")
    load(digits).main(plot=str(tmp_path / "digits.png"), epochs=2)
    assert (tmp_path / "digits.png").stat().st_size > 10_000


def test_adding_problem_plot(tmp_path, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    adding = next(path for path in EXAMPLES if path.stem == "10_adding_problem")
    load(adding).main(plot=str(tmp_path / "adding.png"), steps=6, updates=5)
    assert (tmp_path / "adding.png").stat().st_size > 10_000
