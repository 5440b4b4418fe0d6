"""Pictures with matplotlib: what is drawn is what was measured, and models stay as they are."""

import sys

import numpy as np
import pytest

import nnlite as nn

matplotlib = pytest.importorskip("matplotlib")
from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

pytestmark = pytest.mark.slow
PNG = b"\x89PNG"
RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 2))
Y = (X[:, 0] > 0).astype(int)
IMAGES = RNG.standard_normal((6, 8, 8, 1)).astype(np.float32)
LOSS = nn.CrossEntropyLoss()


@pytest.fixture(autouse=True)
def _drawn_without_a_screen():
    matplotlib.use("Agg")
    yield
    assert not plt.get_fignums()  # nothing is left open


@pytest.fixture
def ax():
    return Figure().subplots()


def history(scale=1.0):
    return nn.History(
        {
            "loss": [4 * scale, 2 * scale, 1 * scale],
            "accuracy": [0.2, 0.5, 0.7],
            "val_loss": [3 * scale, 1.5 * scale, 2 * scale],
            "val_accuracy": [0.3, 0.6, 0.5],
        }
    )


def net():
    with nn.random.scope(0):
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))


def convolutions():
    with nn.random.scope(0):
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3),
            nn.Flatten(), nn.Linear(24, 2),
        )  # fmt: skip


def matrix():
    counted = nn.ConfusionMatrix()
    counted.update(np.eye(3)[[0, 1, 1, 2]], np.array([0, 1, 2, 2]))
    return counted


def ranked(kind, classes=2):
    metric = kind()
    metric.update(RNG.standard_normal((80, classes)), np.arange(80) % classes)
    return metric


def diverged():
    model = net()
    model[0].weight.data = np.full(model[0].weight.shape, np.nan)
    return model


def watched():
    audit = nn.GradientAudit(every_epochs=2, verbose=False)
    model = net()
    nn.Trainer(model, LOSS, nn.Adam(model.parameters()), rng=0).fit(
        X, Y, epochs=3, callbacks=[audit], verbose=False
    )
    return audit


def lr_range():
    model = net()
    return nn.lr_range_test(nn.Trainer(model, LOSS, nn.Adam(model.parameters()), rng=0), X, Y)


PICTURES = {
    "history": lambda **to: history().plot(**to),
    "confusion matrix": lambda **to: matrix().plot(**to),
    "learning rates": lambda **to: lr_range().plot(**to),
    "jacobian": lambda **to: nn.jacobian(nn.Softmax(), X[:2]).plot(**to),
    "audit": lambda **to: nn.audit(net(), LOSS, X, Y).plot(**to),
    "gradients over time": lambda **to: watched().plot(**to),
    "profile": lambda **to: nn.Profile(
        [nn.ProfileRow("a", 1e-3, 2e-3, 10, 100, 1e-4, 1e-4)], 50.0
    ).plot(**to),
    "precision and recall": lambda **to: ranked(nn.AveragePrecision).plot(**to),
    "roc": lambda **to: ranked(nn.AUROC, 4).plot(**to),
    "boundary": lambda **to: nn.plot.decision_boundary(net(), X, Y, **to),
    "filters": lambda **to: nn.plot.filters(convolutions(), **to),
    "feature maps": lambda **to: nn.plot.feature_maps(convolutions(), IMAGES[:1], **to),
    "activation": lambda **to: nn.plot.activation(nn.GELU(), **to),
    "surface": lambda **to: nn.plot.loss_surface(net(), LOSS, X, Y, steps=5, **to),
}


@pytest.mark.parametrize("plot", PICTURES.values(), ids=PICTURES)
def test_every_picture_goes_into_a_file_onto_axes_and_on_the_screen(
    plot, tmp_path, monkeypatch, ax
):
    path = tmp_path / "picture.png"
    plot(path=path)
    assert path.read_bytes().startswith(PNG)
    plot(ax=ax)
    assert ax.has_data()
    ax.get_figure().savefig(tmp_path / "own.pdf")
    with pytest.raises(ValueError, match=r"no screen .* \(matplotlib draws with [Aa]gg\); write a"):
        plot()
    shown = []
    monkeypatch.setattr(matplotlib, "get_backend", lambda: "QtAgg")
    monkeypatch.setattr(plt, "show", lambda: shown.append(plt.get_fignums()))
    plot()
    assert len(shown) == 1
    assert len(shown[0]) == 1


def test_a_path_of_another_kind(tmp_path):
    history().plot(path=str(tmp_path / "no ending"))
    assert (tmp_path / "no ending.png").exists()
    with pytest.raises(ValueError, match=r"no picture can be written as \.xyz; .* png"):
        history().plot(path=tmp_path / "x.xyz")
    assert not (tmp_path / "x.xyz").exists()


def test_matplotlib_is_not_imported_before_a_picture_is_drawn():
    import subprocess

    code = "import sys, nnlite as nn; nn.plot, nn.History({'loss': [1.0]})._repr_html_(); "
    code += "print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


# -- what is in the pictures -----------------------------------------------------------------------


def test_a_history_has_a_panel_for_each_quantity(tmp_path, monkeypatch):
    axes = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *given, **more: axes.extend(figure.axes))
    history().plot(path=tmp_path / "x.png")
    loss, accuracy = axes
    assert (loss.get_title(), loss.get_yscale()) == ("loss", "log")
    assert (accuracy.get_title(), accuracy.get_yscale()) == ("accuracy", "linear")
    training, validation = loss.lines[:2]
    assert training.get_ydata().tolist() == [4, 2, 1]
    assert validation.get_ydata().tolist() == [3, 1.5, 2]
    ring = loss.lines[-1]
    assert (ring.get_xdata()[0], ring.get_ydata()[0], ring.get_label()) == (2, 1.5, "epoch 2: 1.5")


def test_several_runs_are_compared(ax):
    history().plot(ax, label="Adam")
    history(0.5).plot(ax, label="SGD")
    assert [text.get_text() for text in ax.get_legend().texts] == ["Adam", "SGD"]
    colors = [line.get_color() for line in ax.lines]
    assert len(set(colors)) == 2
    assert colors == sorted(colors, key=colors.index)  # those of a run alike
    assert ax.lines[-2].get_ydata().tolist() == [1.5, 0.75, 1]


def test_one_quantity_on_axes_of_ones_own(ax):
    history().plot(ax, name="accuracy")
    assert ax.get_title() == "accuracy"


def test_a_confusion_matrix_has_its_counts(ax):
    matrix().plot(ax, class_names=["ant", "bee", "cat"])
    assert sorted(text.get_text() for text in ax.texts) == ["1", "1", "1", "1"]
    np.testing.assert_array_equal(ax.images[0].get_array(), [[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["ant", "bee", "cat"]
    with pytest.raises(ValueError, match="class_names must be 3 names, got 2"):
        matrix().plot(ax, class_names=["ant", "bee"])
    with pytest.raises(ValueError, match=r"nothing was counted yet; call update\("):
        nn.ConfusionMatrix().plot(ax)


def test_a_confusion_matrix_of_labels_has_a_row_for_each(ax):
    counted = nn.ConfusionMatrix(multi_label=True)
    counted.update(np.array([[1.0, -1], [1, -1], [-1, 1]]), np.array([[1, 1], [0, 0], [0, 1]]))
    counted.plot(ax)
    np.testing.assert_allclose(ax.images[0].get_array(), np.array([[1, 1, 0, 1], [1, 0, 1, 1]]) / 3)


@pytest.mark.parametrize("kind", [nn.AUROC, nn.AveragePrecision])
def test_the_area_below_the_curve_is_the_metric(kind, ax):
    metric = ranked(kind)
    metric.plot(ax, label="net")
    x, y = ax.lines[0].get_data()
    assert np.trapezoid(y, x) == pytest.approx(metric.result())
    assert ax.lines[0].get_label() == f"net ({metric.result():.3f})"
    assert [line.get_label() for line in ax.lines[1:]] == ["chance"]
    other = ranked(kind)
    other.plot(ax)
    assert ax.lines[2].get_label() == f"{kind.__name__} ({other.result():.3f})"
    assert len(ax.lines) == 3
    assert ax.lines[2].get_color() != ax.lines[0].get_color()


def test_each_class_has_a_curve(ax):
    metric = ranked(nn.AveragePrecision, 4)
    metric.plot(ax)
    assert len(ax.lines) == 4
    areas = [np.trapezoid(*reversed(line.get_data())) for line in ax.lines]
    assert np.mean(areas) == pytest.approx(metric.result())
    assert [line.get_label()[:7] for line in ax.lines] == [f"class {c}" for c in range(4)]


def test_there_is_no_curve_without_hits_and_misses(ax):
    metric = nn.AUROC()
    with pytest.raises(ValueError, match=r"AUROC\.plot: nothing was gathered yet"):
        metric.plot(ax)
    metric.update(np.array([1.0, 2.0]), np.array([1, 1]))
    with pytest.raises(ValueError, match="there in all rows, or in none"):
        metric.plot(ax)
    metric.update(np.array([np.nan]), np.array([0]))
    with pytest.raises(ValueError, match="a score is NaN"):
        metric.plot(ax)


def test_an_audit_has_its_sizes(ax):
    audit = nn.audit(net(), LOSS, X, Y)
    audit.plot(ax)
    gradients = next(line for line in ax.lines if "gradient" in line.get_label())
    assert gradients.get_xdata().tolist() == [row.gradient for row in audit.rows]
    assert [text.get_text() for text in ax.get_yticklabels()] == [row.name for row in audit.rows]


def test_gradients_over_time(ax):
    audit = watched()
    audit.plot(ax)
    logs = [[np.log10(step.rows[k].gradient) for step in audit.audits] for k in range(3)]
    np.testing.assert_allclose(ax.images[0].get_array(), logs)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "3"]
    with pytest.raises(ValueError, match="no step was looked at yet"):
        nn.GradientAudit().plot(ax)


def test_a_run_that_goes_on_keeps_its_epochs(ax, tmp_path):
    path = tmp_path / "run.npz"

    def cut_short(trainer):
        if trainer.epoch == 2:
            trainer.save(path)
            raise RuntimeError("cut short")

    def fit(**more):
        model, audit = net(), nn.GradientAudit(every_epochs=2, verbose=False)
        ending = nn.LambdaCallback(on_epoch_end=None if more else cut_short)
        trainer = nn.Trainer(model, LOSS, nn.Adam(model.parameters()), rng=0)
        trainer.fit(X, Y, epochs=4, callbacks=[audit, ending], verbose=False, **more)
        return audit

    with pytest.raises(RuntimeError, match="cut short"):
        fit()
    fit(resume=path).plot(ax)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["3"]


def test_the_bars_of_a_profile_add_up(ax):
    profile = nn.Profile(
        [nn.ProfileRow(name, 1e-3, 2e-3, 10, 100, 1e-4, 5e-4) for name in "ab"], 50.0
    )
    profile.plot(ax)
    assert ax.get_xlim() == pytest.approx((0, 1.05e6 * 3e-3))
    assert sum(bar.get_width() for bar in ax.patches) == pytest.approx(1e6 * profile.seconds)


# -- models ----------------------------------------------------------------------------------------


def state(model):
    arrays = {path: array.copy() for path, array in model.state_dict().items()}
    return arrays, model.training, [sorted(vars(part)) for part in model.named_layers().values()]


@pytest.mark.parametrize(
    ("model", "plot"),
    [
        (net(), lambda m, ax: nn.plot.decision_boundary(m, X, Y, ax)),
        (net(), lambda m, ax: nn.plot.loss_surface(m, LOSS, X, Y, ax, steps=3)),
        (convolutions(), lambda m, ax: nn.plot.feature_maps(m, IMAGES[0], ax)),
        (convolutions(), lambda m, ax: nn.plot.filters(m, ax)),
        (nn.PReLU(), lambda m, ax: nn.plot.activation(m, ax)),
        (nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 2)),
         lambda m, ax: nn.plot.loss_surface(m, LOSS, X, Y, ax, steps=3)),
    ],
)  # fmt: skip
def test_a_picture_leaves_the_model_as_it_is(model, plot, ax):
    before, gradients = state(model), [p.grad.copy() for p in model.parameters()]
    nn.seed(0)
    plot(model, ax)
    after = state(model)
    np.testing.assert_equal(after, before)
    np.testing.assert_equal([p.grad for p in model.parameters()], gradients)
    drawn = nn.Linear(2, 2).weight.data
    nn.seed(0)
    np.testing.assert_array_equal(drawn, nn.Linear(2, 2).weight.data)  # nothing was drawn


@pytest.mark.parametrize("layer", [nn.GELU(), nn.Tanh(), nn.ReLU(), nn.PReLU(), nn.LogSigmoid()])
def test_an_activation_and_its_derivative(layer, ax):
    nn.plot.activation(layer, ax, low=-2, high=3)
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(y, layer.forward(x[:, None])[:, 0], rtol=1e-6)
    slope = ax.lines[1].get_ydata()
    middle = np.abs(x[1:-1]) > 0.01  # but for kinks
    differences = (y[2:] - y[:-2]) / (x[2:] - x[:-2])
    np.testing.assert_allclose(slope[1:-1][middle], differences[middle], atol=1e-4)
    assert (x[0], x[-1]) == (-2, 3)


def test_several_activations_are_compared(ax):
    nn.plot.activation(nn.ReLU(), ax)
    nn.plot.activation(nn.Tanh(), ax)
    assert len({line.get_color() for line in ax.lines}) == 2


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Softmax(), r"each value by itself, got Softmax\(\); nn\.jacobian"),
        (nn.Linear(3, 3), r"each value by itself; Linear\(3, 3\): expected \(N, 3\)"),
        (nn.Linear(1, 2), r"each value by itself; Linear\(1, 2\) makes \(801, 2\) of \(801, 1\)"),
    ],
)
def test_what_is_no_activation(layer, text, ax):
    with pytest.raises(ValueError, match=text):
        nn.plot.activation(layer, ax)
    with pytest.raises(ValueError, match="low must be below high, got 1 and 1"):
        nn.plot.activation(nn.ReLU(), ax, low=1, high=1)


class Known(nn.Layer):
    """Scores that depend on the first feature alone."""

    def __init__(self, columns=2):
        self.columns = columns

    def forward(self, x):
        score = 1 / (1 + np.exp(-8 * x[:, :1])) if self.columns == 0 else x[:, :1]
        return np.hstack([-score, score]) if self.columns == 2 else score

    def backward(self, grad_output):
        raise NotImplementedError


@pytest.mark.parametrize(("columns", "threshold"), [(2, 0.0), (1, 0.0), (0, 0.5)])
@pytest.mark.parametrize("kind", [int, bool, np.float32])
def test_the_boundary_is_where_the_classes_meet(columns, threshold, kind, ax):
    nn.plot.decision_boundary(Known(columns), X, Y.astype(kind), ax, threshold=threshold)
    ways = [path.vertices for each in ax.collections for path in each.get_paths()]
    borders = [way for way in ways if len(way) > 50]
    assert borders
    for border in borders:
        np.testing.assert_allclose(border[:, 0], 0, atol=0.02)
    assert [text.get_text() for text in ax.get_legend().texts] == ["class 0", "class 1"]


@pytest.mark.parametrize(
    ("x", "y", "error", "text"),
    [
        (X[:, :1], Y, ValueError, r"must be points of the plane \(N, 2\), got \(60, 1\)"),
        (np.where(X[7] == X, np.nan, X), Y, ValueError, "x is not finite: row 7 contains nan"),
        (X.astype(str), Y, TypeError, "x must hold numbers, got dtype"),
        (X, Y[:3], ValueError, r"y must be \(60,\) as x is \(60, 2\), got \(3,\)"),
        (X, Y + 0.5, TypeError, "y must hold classes, whole numbers, got dtype float64"),
        (X, Y + 1, ValueError, "y must be from 0 to 1, for a model of 2 classes, got 1 to 2"),
        (X, np.array(["a"] * 60), TypeError, r"np\.unique\(y, return_inverse=True\)"),
    ],
)
def test_what_has_no_boundary(x, y, error, text, ax):
    with pytest.raises(error, match=text):
        nn.plot.decision_boundary(net(), x, y, ax)


def test_a_model_that_diverged_has_no_boundary(ax):
    with pytest.raises(ValueError, match="the model's scores are not finite; train it anew"):
        nn.plot.decision_boundary(diverged(), X, Y, ax)


def test_the_surface_is_the_loss_on_a_plane(ax, monkeypatch):
    from nnlite.inspection.plot import surface

    given = []
    monkeypatch.setattr(surface, "draw_surface", lambda *values: given.extend(values[1:]))
    model = net()
    nn.plot.loss_surface(model, LOSS, X, Y, ax, distance=0.5, steps=3)
    places, losses, here = given
    assert places.tolist() == [-0.5, 0, 0.5]
    value = LOSS(model.predict(X.astype(np.float32)), Y)
    assert here == pytest.approx(value)
    assert losses[1, 1] == pytest.approx(value)
    rng = np.random.default_rng(0)
    weights = [p for p in model.parameters() if p.data.ndim > 1]
    for p in weights:  # the first direction, filter by filter
        d = rng.standard_normal(p.shape)
        p.data = p.data + 0.5 * d * np.linalg.norm(p.data, axis=0) / np.linalg.norm(d, axis=0)
    assert losses[1, 2] == pytest.approx(LOSS(model.predict(X.astype(np.float32)), Y), rel=1e-5)


def test_a_surface_with_what_is_not_finite_is_drawn(ax, tmp_path):
    deep = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    nn.plot.loss_surface(deep, LOSS, X, Y, path=tmp_path / "far.png", distance=1e15, steps=5)
    with pytest.raises(ValueError, match="no weights with two axes or more"):
        nn.plot.loss_surface(nn.ReLU(), nn.MSELoss(), X, X, ax)
    with pytest.raises(ValueError, match="the loss of the model is nan; train it anew"):
        nn.plot.loss_surface(diverged(), LOSS, X, Y, ax)


@pytest.mark.parametrize(
    ("layer", "shape", "pixels"),
    [
        (nn.Conv2d(1, 4, 3), None, (7, 7)),
        (nn.Conv2d(3, 4, 3), None, (7, 7)),
        (nn.Conv2d(8, 2, 3), None, (7, 31)),  # a row for each filter
        (nn.Conv1d(2, 6, 5), None, (8, 11)),
        (nn.Linear(12, 1), (3, 4), (3, 4)),
        (nn.Linear(16, 100), None, (39, 39)),  # 64 of them
    ],
)
def test_filters_are_tiles(layer, shape, pixels, ax):
    nn.plot.filters(nn.Sequential(nn.ReLU(), layer), ax, shape=shape)
    assert ax.images[0].get_array().shape[:2] == pixels
    assert ax.get_title().startswith("layer 1 › ")


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (nn.ReLU(), "has no convolution and no Linear layer"),
        (nn.Linear(12, 2), r"12 inputs .* are no image of a square; give shape=\(height, width\)"),
    ],
)
def test_what_has_no_filters(model, text, ax):
    with pytest.raises(ValueError, match=text):
        nn.plot.filters(model, ax)
    with pytest.raises(ValueError, match="filters: shape must be a whole number"):
        nn.plot.filters(nn.Linear(12, 2), ax, shape=(-3, -4))


def test_a_long_title_is_not_cut_off():
    figure = Figure((6, 3), layout="constrained")
    left, _ = figure.subplots(1, 2)
    nn.plot.filters(convolutions(), left)
    figure.draw_without_rendering()
    assert left.title.get_window_extent().x0 >= 0


def test_feature_maps_are_what_the_layers_make(ax):
    model = convolutions()
    nn.plot.feature_maps(model, IMAGES[0], ax, layers=[model[1], model[2]])
    assert [text.get_text() for text in ax.get_yticklabels()] == [
        "layer 1 › ReLU()", "layer 2 › MaxPool2d(2)",
    ]  # fmt: skip
    relu, pool = (image.get_array() for image in ax.images)
    assert relu.shape == (8, 4 * 9 - 1, 3)
    assert pool.shape == (4, 4 * 5 - 1, 3)
    made = model[1](model[0](IMAGES[:1]))
    zero = made[0, :, :, 0] == 0
    np.testing.assert_array_equal(relu[:, :8][zero], np.full((zero.sum(), 3), 247))
    assert (relu[:, :8][~zero][:, 1] < 247).all()


@pytest.mark.parametrize(
    ("x", "layers", "text"),
    [
        (IMAGES[:2], None, r"x must be one image, .* got \(2, 8, 8, 1\); write x\[:1\]"),
        (IMAGES[:1], [nn.ReLU()], "layers must be layers of this model"),
        (IMAGES[:1], [], "none of 0 layers gives images"),
    ],
)
def test_what_has_no_feature_maps(x, layers, text, ax):
    with pytest.raises(ValueError, match=text):
        nn.plot.feature_maps(convolutions(), x, ax, layers=layers)
