"""Every lesson runs, and reaches what it promises."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from nnlite.ops.threads import blas_kept

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("[0-9]*.py"))
PROMISED = {
    "01_worked_by_hand": 0.3,  # less loss
    "02_components": 1.0,
    "03_the_loop": 0.99,
    "04_spirals": 0.97,
    "05_activations": 1e4,  # times
    "06_softmax_cross_entropy": True,
    "07_custom_layer": 0.97,
    "08_custom_loss_and_optimizer": 0.97,
    "09_find_the_bug": 6,
    "10_vanishing_gradients": 0.1,
    "11_batch_norm": True,
    "12_overfitting": 4.0,  # times
    "13_regression": 0.98,
    "14_sklearn": 0.95,
    "15_digits": 0.975,
    "16_lenet_digits": 0.985,
    "17_residual_net": 0.985,
    "18_adding_problem": 3.0,  # times
    "19_char_rnn": 1.5,  # bits
    "20_tiny_transformer": 0.99,
    "21_translate_dates": 0.99,
    "22_variational_autoencoder": 2.0,  # nats
    "23_long_run": 0.95,
    "24_onnx": 0.97,
    "25_transfer": 0.04,
    "26_parallel": 0.96,
}
# extras, for which CI has steps of their own
NEEDS = {"14_sklearn": "sklearn", "24_onnx": "onnx", "26_parallel": "mpi4py"}
LONG = {  # seconds, which the slow run has
    "12_overfitting", "16_lenet_digits", "17_residual_net", "18_adding_problem", "19_char_rnn",
    "20_tiny_transformer", "21_translate_dates", "22_variational_autoencoder", "23_long_run",
    "25_transfer",
}  # fmt: skip
SHORT = {"15_digits": {"epochs": 30}}  # reaches as much as in full length, which the slow run has
PARTS = {  # nor does the slow run take longer than a few seconds here
    "18_adding_problem": {"steps": 12, "updates": 400},
    "19_char_rnn": {"epochs": 1, "hidden": 64},
}
PLOTS = {  # what is done before the plot
    "05_activations": {},
    "10_vanishing_gradients": {},
    "12_overfitting": {"epochs": 2},
    "13_regression": {},
    "15_digits": {"epochs": 2},
    "16_lenet_digits": {"epochs": 1},
    "17_residual_net": {"epochs": 1},
    "18_adding_problem": {"steps": 6, "updates": 5},
}
PAGES = {"01_worked_by_hand": "dL/dW", "06_softmax_cross_entropy": "srcdoc"}  # what is on each


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def one_blas_thread():
    """Two of them wait for each other in every small product while another process works."""
    with blas_kept(at_one=True):
        yield


@pytest.mark.parametrize("path", [p for p in EXAMPLES if p.stem not in LONG], ids=lambda p: p.stem)
def test_example(path, capsys):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    assert load(path).main(**SHORT.get(path.stem, {})) >= PROMISED[path.stem]
    shown = capsys.readouterr().out
    assert shown
    assert "backward raises" not in shown  # a mistake on purpose is of another kind


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [p for p in EXAMPLES if p.stem in {*SHORT, *LONG}], ids=lambda p: p.stem
)
def test_example_in_full(path, capsys):
    assert load(path).main(**PARTS.get(path.stem, {})) >= PROMISED[path.stem]
    assert capsys.readouterr().out


def test_find_the_bug_names_each_mistake(capsys):
    load(next(path for path in EXAMPLES if path.stem == "09_find_the_bug")).main()
    *parts, last = capsys.readouterr().out.split("\n\n" + 80 * "─" + "\n")
    expected = [
        (
            "MissingSum(3, 2)",
            "bias: only index 0 of axis 0 counts: a sum over the",
        ),
        ("Transposed(3, 3)", "weight: it is the transpose of the slope: swap the factors, (A B)ᵀ"),
        ("ElementwiseSoftmax()", "input: only the Jacobian's diagonal is there: the layer is"),
        ("ForgottenDerivative()", "input: the upstream gradient is passed on unchanged: the"),
        ("NewMask(", "backward draws random numbers: the mask is drawn anew instead of"),
        ("Sequential(Linear(3, 3), ", "input: the upstream gradient is passed on unchanged: the"),
    ]
    for part, (subject, diagnosis) in zip(parts, expected, strict=True):
        assert part.startswith(subject)
        assert re.findall("✗ (.*)", part)[0].startswith(diagnosis)
        assert part.count("✗") == 1  # told alone
        assert "raises" not in part
    assert "layer 1 › ForgottenDerivative(): something is wrong" in parts[-1]
    assert last == "6 of 6 are wrong\n"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_a_lesson(path):
    lines = path.read_text().splitlines()
    assert lines[0].startswith(f'"""Lesson {int(path.stem[:2])}: ')
    assert len(lines) <= 100


@pytest.mark.parametrize(
    "path", [p for p in EXAMPLES if p.stem in PLOTS], ids=lambda path: path.stem
)
def test_plot(path, tmp_path, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    load(path).main(plot=str(tmp_path / "plot.png"), **PLOTS[path.stem])
    assert (tmp_path / "plot.png").stat().st_size > 10_000


@pytest.mark.parametrize(("stem", "shown"), PAGES.items())
def test_page(stem, shown, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert load(next(path for path in EXAMPLES if path.stem == stem)).main(str(page))
    assert shown in page.read_text()


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("missing", ["folder", "matplotlib"])
def test_a_plot_fails_before_the_training(tmp_path, capsys, monkeypatch, missing, name):
    lesson = load(next(path for path in EXAMPLES if path.stem == name))
    if missing == "matplotlib":
        monkeypatch.setitem(sys.modules, "matplotlib", None)
    path = tmp_path / "x.png" if missing == "matplotlib" else tmp_path / "none" / "x.png"
    with pytest.raises((ValueError, ImportError), match=missing):
        lesson.main(plot=str(path))
    assert not capsys.readouterr().out
