"""What a notebook shows, and what it takes to draw a picture; nothing here needs matplotlib."""

import math
import sys
import types
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import nnlite as nn
from nnlite.core.tables import html_table, text_table
from nnlite.plotting.chart import Chart, Line, ticks
from nnlite.plotting.tiles import colored, mosaic
from nnlite.training.curves import best_epoch, curves, quantities

SVG = "{http://www.w3.org/2000/svg}"
NASTY = "<script>alert('x') & \"y\"</script>"
RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def history():
    return nn.History(
        {
            "loss": [4.0, 2.0, 1.0, 0.5],
            "accuracy": [0.2, 0.5, 0.7, 0.9],
            "lr": [0.1, 0.1, 0.1, 0.1],
            "confusion_matrix": [np.eye(2)] * 4,
            "val_loss": [3.0, 1.5, 2.0, math.nan],
            "val_accuracy": [0.3, 0.6, 0.5, 0.5],
        }
    )


def trainer():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    return nn.Trainer(net, nn.CrossEntropyLoss(), nn.SGD(net.parameters(), lr=0.1), rng=0)


def element(html):
    """The page's parts; entities and tags must be well formed."""
    return ET.fromstring(f"<div>{html}</div>")


# -- curves ----------------------------------------------------------------------------------------


def test_the_curves_of_a_history():
    assert quantities(history()) == ["loss", "accuracy"]  # no matrix, no rate that never changes
    chart = curves(history(), "loss")
    assert [line.label for line in chart.lines] == ["training", "validation"]
    assert chart.log
    assert chart.marks == [(2, 1.5, "epoch 2: 1.5", 1)]
    assert not curves(history(), "accuracy").log
    assert curves(history(), "accuracy").marks[0].y == 0.6  # of the epoch with the lowest loss


def test_of_several_runs_each_has_one_color():
    training, validation = curves(history(), "loss", "Adam", 3).lines
    assert (training.label, training.color, training.dash) == ("", 3, "dotted")
    assert (validation.label, validation.color, validation.dash) == ("Adam", 3, "solid")


@pytest.mark.parametrize(
    ("columns", "best"),
    [
        ({}, None),
        ({"loss": [math.nan]}, None),
        ({"loss": [2.0, 1.0, math.inf]}, 2),
        ({"loss": [2.0, 1.0], "val_loss": [1.0, 2.0]}, 1),
    ],
)
def test_the_best_epoch(columns, best):
    assert best_epoch(nn.History(columns)) == best


def test_losses_below_zero_have_a_linear_scale():
    assert not curves({"loss": [1.0, -1.0]}, "loss").log


def test_a_chart_is_where_its_numbers_are():
    svg = ET.fromstring(
        Chart("t", "epoch", "", [Line(np.arange(1, 4), np.array([1, 10, 100]))], log=True).svg()
    )
    line = svg.find(f"{SVG}polyline").get("points").split()
    points = np.array([point.split(",") for point in line], dtype=float)
    assert np.diff(points[:, 0], 2) == pytest.approx(0, abs=0.11)  # equal steps, and in logarithms
    assert np.diff(points[:, 1], 2) == pytest.approx(0, abs=0.11)
    assert points[0, 1] > points[2, 1]  # up is down on a page
    texts = {text.text for text in svg.iter(f"{SVG}text")}
    assert {"1", "2", "3", "10", "100", "t", "epoch"} <= texts


def test_what_is_not_finite_is_a_gap():
    y = np.array([1, 2, np.nan, 3, np.inf, 5, 6], dtype=float)
    svg = ET.fromstring(Chart("", "x", "", [Line(np.arange(7), y)]).svg())
    assert [len(line.get("points").split()) for line in svg.iter(f"{SVG}polyline")] == [2, 2]
    assert len(list(svg.iter(f"{SVG}circle"))) == 1  # a point by itself


def test_a_long_line_is_thinned_out_and_keeps_its_peaks():
    y = np.zeros(100_000)
    y[5_000] = 1
    svg = Chart("", "x", "", [Line(np.arange(100_000), y)]).svg()
    assert len(svg) < 20_000
    points = ET.fromstring(svg).find(f"{SVG}polyline").get("points").split()
    assert len({point.split(",")[1] for point in points}) == 2


@pytest.mark.parametrize(
    ("low", "high", "options", "found"),
    [
        (0, 1, {}, [0, 0.5, 1]),
        (0.7, 0.98, {}, [0.7, 0.8, 0.9]),
        (1, 4, {"whole": True}, [1, 2, 3, 4]),
        (0.5, 20, {"log": True}, [0.5, 1, 2, 5, 10, 20]),
        (1e-5, 1, {"log": True}, [1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1]),
        (0.31, 0.49, {"log": True}, [0.35, 0.4, 0.45]),
    ],
)
def test_ticks_are_round_numbers(low, high, options, found):
    assert ticks(low, high, **options) == pytest.approx(found)


@pytest.mark.parametrize(
    "values", [[], [math.nan, math.nan], [3.0, 3.0], [0.0], [1e-13], [1e-300, 1e300]]
)
def test_odd_histories_are_drawn_too(values):
    h = nn.History({"loss": values, "val_loss": values} if values else {})
    element(h._repr_html_())


# -- pages -----------------------------------------------------------------------------------------


def shown():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Residual(nn.Linear(4, 4)), nn.Linear(4, 2))
    loss = nn.CrossEntropyLoss()
    matrix = nn.ConfusionMatrix()
    matrix.update(model.predict(X), Y)
    labels = nn.ConfusionMatrix(multi_label=True)
    labels.update(model.predict(X), np.stack([Y, 1 - Y], axis=1))
    yield "history", history(), ["epoch 2: 1.5", "val_accuracy"]
    yield "long history", nn.History({"loss": [1.0] * 30}), ["best and last epoch", "all epochs"]
    yield "summary", nn.summary(model, 3), ["layer 0: Linear(3, 4)", "46 parameters"]
    yield "audit", nn.audit(model, loss, X, Y), ["update/weight", "layer 2 › branch"]
    yield "report", nn.check_gradients(nn.Linear(2, 2), X[:, :2]), ["all gradients are right"]
    yield "matrix", matrix, ["actual", str(int(matrix.result()[0, 0]))]
    yield "labels", labels, ["false alarm"]
    yield "empty matrix", nn.ConfusionMatrix(), ["ConfusionMatrix()"]
    yield "model", model, ["layer 0: Linear(3, 4)", "  branch: Linear(4, 4)", "46"]
    yield "layer", nn.Linear(3, 4), ["Linear(3, 4)", "16"]


@pytest.mark.parametrize(("thing", "texts"), [pytest.param(*r, id=i) for i, *r in shown()])
def test_what_a_notebook_shows(thing, texts):
    html = thing._repr_html_()
    words = "\n".join(element(html).itertext())
    for text in texts:
        assert text in words


def test_a_profile_in_a_notebook():
    row = nn.ProfileRow(NASTY, 1e-3, 2e-3, 10, 100, 1e-4, 1e-4)
    words = "\n".join(element(nn.Profile([row], 50.0)._repr_html_()).itertext())
    assert NASTY in words
    assert "3,000 µs in all" in words


class Named(nn.Layer):
    def __init__(self, name):
        self.name = name
        self.scale = nn.Parameter(np.ones(3))

    def forward(self, x):
        self.save_for_backward(x)
        return x * self.scale.data

    def backward(self, grad_output):
        (x,) = self.saved()
        self.scale.grad += grad_output[0] * x[0]  # a sum is missing
        return grad_output * self.scale.data


def test_names_are_escaped_everywhere():
    model = nn.Sequential(Named(NASTY))
    report = nn.check_gradients(model, X, raises=False)
    pages = [
        model, report, nn.summary(model, 3), nn.History({NASTY: [1.0, 2.0]}),
        nn.audit(nn.Sequential(Named(NASTY), nn.Linear(3, 2)), nn.CrossEntropyLoss(), X, Y),
    ]  # fmt: skip
    for page in pages:
        html = page._repr_html_()
        assert "<script" not in html
        assert "script>alert" in "".join(element(html).itertext())
    assert "a sum over the batch is missing" in report._repr_html_()


def test_frozen_layers_are_told_apart():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    model[0].freeze()
    rows = [[cell.text or "" for cell in row] for row in element(model._repr_html_()).iter("tr")]
    assert rows == [
        ["layer", "parameters", "trainable"],
        ["Sequential", "26", "10"],
        ["  layer 0: Linear(3, 4)", "16", "no"],
        ["  layer 1: Linear(4, 2)", "10", "yes"],
    ]


def test_tables():
    cells = [["name", "size"], ["a", "1"], ["longer", "<2>"]]
    assert text_table(cells) == ["name    size", "a          1", "longer   <2>"]
    html = html_table(cells, shades=[[0.5], [1.0]])
    assert "&lt;2&gt;" in html
    assert "rgba(0,114,178,0.30)" in html


# -- images ----------------------------------------------------------------------------------------


def test_a_mosaic_keeps_its_tiles_apart():
    tiles = np.arange(12.0).reshape(3, 2, 2)
    image = mosaic(tiles, 2)
    assert image.shape == (5, 5)
    np.testing.assert_array_equal(image[:2, 3:], tiles[1])
    np.testing.assert_array_equal(image[3:, :2], tiles[2])
    assert np.isnan(image[2]).all()
    assert np.isnan(image[3:, 3:]).all()


def test_colors_are_blue_below_zero_and_red_above():
    blue, white, red, gap = colored(np.array([[-2.0, 0.0, 2.0, np.nan]]))[0].tolist()
    assert blue[2] > blue[0]
    assert red[0] > red[2]
    assert white == [247, 247, 247]
    assert gap == [255, 255, 255]


# -- before anything is drawn ----------------------------------------------------------------------


PICTURES = [
    history().plot,
    lambda **to: nn.plot.filters(nn.Linear(4, 2), **to),
    lambda **to: nn.plot.activation(nn.ReLU(), **to),
    lambda **to: nn.plot.decision_boundary(nn.Linear(2, 2), X[:, :2], Y, **to),
    lambda **to: nn.plot.loss_surface(nn.Linear(3, 2), nn.CrossEntropyLoss(), X, Y, **to),
    lambda **to: nn.plot.feature_maps(nn.Conv2d(1, 1, 1), np.ones((1, 2, 2, 1)), **to),
]


@pytest.mark.parametrize("plot", PICTURES)
def test_without_matplotlib_one_line_says_how_to_get_it(plot, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r'python -m pip install "nnlite\[plot\]"') as caught:
        plot(path=tmp_path / "x.png")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("plot", PICTURES)
def test_a_missing_folder_is_found_before_anything_is_computed(plot, monkeypatch, tmp_path):
    monkeypatch.setattr(nn.Layer, "predict", lambda *given: pytest.fail("computed"))
    monkeypatch.setattr(nn.Linear, "forward", lambda *given: pytest.fail("computed"))
    with pytest.raises(ValueError, match="there is no folder"):
        plot(path=tmp_path / "none" / "x.png")


@pytest.mark.parametrize(
    ("ax", "error", "text"),
    [
        ("x.png", TypeError, r"ax must be axes of matplotlib, got 'x.png'; a file is path='x.png'"),
        ("accuracy", TypeError, r"got 'accuracy'; a curve is name='accuracy'"),
        (np.zeros(2), TypeError, r"got an array; give one of them, such as axes\.flat\[0\]"),
    ],
)
def test_what_are_no_axes(ax, error, text):
    with pytest.raises(error, match=text):
        history().plot(ax)


def test_axes_and_a_path_are_not_both_given():
    with pytest.raises(ValueError, match="give ax or path, not both"):
        history().plot(types.SimpleNamespace(get_figure=None), "x.png")


@pytest.mark.parametrize(
    ("columns", "name", "text"),
    [
        ({}, None, "there is nothing to draw"),
        ({"loss": [1.0]}, "acc", "there is no curve of 'acc'; there are loss"),
    ],
)
def test_what_a_history_cannot_draw(columns, name, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        nn.History(columns).plot(path=tmp_path / "x.png", name=name)


# -- live ------------------------------------------------------------------------------------------


def test_live_curves_in_a_file(tmp_path):
    seen = []
    look = nn.LambdaCallback(on_epoch_end=lambda _: seen.append((tmp_path / "c.svg").read_text()))
    live = nn.LivePlot(tmp_path / "c.svg")
    trainer().fit(X, Y, epochs=3, validation_split=0.2, callbacks=[live, look], verbose=False)
    counts = [
        {len(line.get("points").split()) for line in ET.fromstring(page).iter(f"{SVG}polyline")}
        for page in seen
    ]
    assert counts == [set(), {2}, {3}]


def test_live_curves_in_a_notebook(monkeypatch):
    shown, updates = [], []

    class Handle:
        def update(self, thing):
            updates.append(thing)

    def display(thing, display_id):
        shown.append(thing)
        return Handle()

    ipython = types.SimpleNamespace(HTML=str, display=display)
    shell = types.SimpleNamespace(kernel="a kernel")
    package = types.SimpleNamespace(display=ipython, get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", ipython)
    monkeypatch.setitem(sys.modules, "ipykernel", types.SimpleNamespace())
    live = nn.LivePlot()
    for run in (1, 2):  # the same callback again draws a picture of its own
        trainer().fit(X, Y, epochs=3, callbacks=[live], verbose=False)
        assert (len(shown), len(updates)) == (run, 2 * run)
    assert "<svg" in shown[0]
    assert len(element(updates[-1]).find(f".//{SVG}polyline").get("points").split()) == 3


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (None, r'in a script name a file to watch: nn\.LivePlot\("curves\.svg"\)'),
        ("x.png", r"path must end in \.svg, got 'x\.png'"),
        ("none/x.svg", "there is no folder none"),
    ],
)
def test_a_place_that_shows_nothing_is_refused_before_the_training(path, text):
    run = trainer()
    before = run.model.state_dict()["0.weight"]
    with pytest.raises(ValueError, match=text):
        run.fit(X, Y, callbacks=[nn.LivePlot(path)], verbose=False)
    np.testing.assert_array_equal(run.model.state_dict()["0.weight"], before)


def test_live_curves_go_on_in_a_resumed_run(tmp_path):
    callbacks = [nn.Checkpoint(tmp_path / "r.npz"), nn.LivePlot(tmp_path / "c.svg")]
    first = trainer()
    stop = nn.LambdaCallback(on_epoch_end=lambda t: setattr(t, "interrupted", t.epoch == 2))
    first.fit(X, Y, epochs=4, callbacks=[*callbacks, stop], verbose=False)
    second = trainer()
    second.fit(X, Y, epochs=4, callbacks=callbacks, resume="auto", verbose=False)
    line = ET.fromstring((tmp_path / "c.svg").read_text()).find(f".//{SVG}polyline")
    assert len(line.get("points").split()) == 4


def test_a_picture_that_cannot_be_written_does_not_end_the_run(tmp_path):
    folder = tmp_path / "f"
    folder.mkdir()
    gone = nn.LambdaCallback(on_epoch_begin=lambda _: folder.exists() and folder.rmdir())
    with pytest.warns(nn.ModelWarning, match=r"(?s)LivePlot.* could not write") as caught:
        found = trainer().fit(
            X, Y, epochs=3, callbacks=[gone, nn.LivePlot(folder / "c.svg")], verbose=False
        )
    assert found.epochs == 3
    assert len(caught) == 1
