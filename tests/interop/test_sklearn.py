"""The estimators are scikit-learn's in all that it checks, and nnlite's in what they compute."""

import copy
import functools
import pickle
import subprocess
import sys

import numpy as np
import pytest

import nnlite as nn

pytest.importorskip("sklearn")
pandas = pytest.importorskip("pandas")

from scipy import sparse  # noqa: E402
from sklearn.base import clone  # noqa: E402
from sklearn.compose import TransformedTargetRegressor  # noqa: E402
from sklearn.exceptions import DataConversionWarning, NotFittedError  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.class_weight import compute_sample_weight  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from nnlite.interop.sklearn import MLP, Build, NNClassifier, NNRegressor  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 4))
NUMBER = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
NAMES = np.array(["ash", "birch", "cedar"])[NUMBER]
LABELS = (X[:, :3] > 0).astype(int)
LINES = X @ RNG.standard_normal((4, 2))
SMALL = {"model": (8,), "epochs": 3, "random_state": 0}
# In float32, weights of 2 and rows given twice round differently: by 6e-8, where 1e-7 is asked for.
IN_FLOAT32 = {
    f"check_sample_weight_equivalence_on_{kind}_data": "float32 rounds sums of other terms apart"
    for kind in ("dense", "sparse")
}


def net(n_features, n_outputs, width=4, activation=nn.Tanh):
    return nn.Sequential(nn.Linear(n_features, width), activation(), nn.Linear(width, n_outputs))


def rates(n_features, n_outputs):
    return nn.Sequential(nn.Linear(n_features, 16), nn.Tanh(), nn.Linear(16, 1), nn.Softplus())


class Twice(nn.Layer):
    """A layer with two outputs."""

    def forward(self, x):
        return x, x


def weights(estimator):
    return np.concatenate([p.data.ravel() for p in estimator.model_.parameters()])


# -- what scikit-learn checks ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [NNClassifier, NNRegressor])
@pytest.mark.parametrize(
    ("settings", "exceptions"),
    [
        ({"dtype": "float64", "batch_size": None}, {}),
        ({}, IN_FLOAT32),
    ],
)
def test_check_estimator(estimator, settings, exceptions):
    results = check_estimator(
        estimator(**settings), expected_failed_checks=exceptions, on_skip=None
    )
    skipped = {r["check_name"] for r in results if r["status"] == "skipped"}
    assert skipped <= {
        "check_array_api_input",
        "check_classifiers_multilabel_output_format_decision_function",
    }
    assert sum(r["status"] == "passed" for r in results) >= 58


# -- training --------------------------------------------------------------------------------------


def test_a_fit_is_that_of_a_trainer():
    estimator = NNClassifier(MLP((8,)), epochs=3, lr=0.01, random_state=5, batch_size=16)
    estimator.fit(X, NAMES)
    with nn.random.scope(5):
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters(), lr=0.01))
    history = trainer.fit(X, NUMBER, epochs=3, batch_size=16, verbose=False)
    assert history == estimator.history_
    scores = model.predict(X)
    np.testing.assert_array_equal(estimator.predict(X), np.unique(NAMES)[scores.argmax(axis=1)])
    e = np.exp(scores.astype(np.float64))
    np.testing.assert_allclose(estimator.predict_proba(X), e / e.sum(axis=1, keepdims=True))


@pytest.mark.parametrize(("kind", "y"), [(NNClassifier, NAMES), (NNRegressor, LINES)])
def test_partial_fits_are_one_fit_and_pickles_go_on(kind, y):
    whole = kind(**SMALL).fit(X, y)
    parts = kind(**SMALL)
    first = {"classes": np.unique(y)} if kind is NNClassifier else {}
    parts.partial_fit(X, y, **first).partial_fit(X, y)
    twin = pickle.loads(pickle.dumps(parts))
    for estimator in (parts, twin):
        estimator.partial_fit(X, y)
        np.testing.assert_array_equal(weights(estimator), weights(whole))
        assert estimator.history_ == whole.history_
        assert estimator.n_iter_ == 3


def test_partial_fit_needs_all_classes_first():
    with pytest.raises(ValueError, match="the first call needs all classes"):
        NNClassifier().partial_fit(X, NAMES)
    failed = NNClassifier(lr=-1)
    with pytest.raises(ValueError, match="lr must be"):
        failed.partial_fit(X, NAMES, classes=NAMES)
    with pytest.raises(ValueError, match="the first call needs all classes"):
        failed.partial_fit(X[:10], NAMES[:10])
    estimator = NNClassifier(**SMALL).partial_fit(X[:10], NAMES[:10], classes=[*"ab", *NAMES])
    assert estimator.predict_proba(X).shape == (90, 5)
    with pytest.raises(ValueError, match="are not those of the first call"):
        estimator.partial_fit(X, NAMES, classes=NAMES)
    with pytest.raises(ValueError, match=r"not among those learned first: \['dogwood'\]"):
        estimator.partial_fit(X[:2], ["ash", "dogwood"])
    for settings in ({"early_stopping": True}, {"class_weight": "balanced"}):
        with pytest.raises(ValueError, match="need all data at once"):
            NNClassifier(**settings).partial_fit(X, NAMES, classes=NAMES)
    with pytest.raises(ValueError, match="needs all data at once"):
        NNRegressor(early_stopping=True).partial_fit(X, LINES)


def test_warm_start_goes_on_with_the_weights():
    estimator = NNRegressor(**SMALL, warm_start=True, lr=1e-9).fit(X, LINES)
    before = weights(estimator)
    estimator.fit(X, LINES)
    np.testing.assert_allclose(weights(estimator), before, atol=1e-6)
    assert estimator.n_iter_ == 6
    estimator.set_params(lr=0.1).fit(X, LINES)
    assert np.abs(weights(estimator) - before).max() > 0.1
    cold = clone(estimator).set_params(warm_start=False).fit(X, LINES)
    assert cold.fit(X, LINES).n_iter_ == 3


@pytest.mark.parametrize(
    "seed", [lambda: 3, lambda: np.random.default_rng(3), lambda: np.random.RandomState(3)]
)
def test_random_state(seed):
    settings = {**SMALL, "model": MLP((8,), dropout=0.5), "early_stopping": True}
    first, second = (
        NNClassifier(**{**settings, "random_state": seed()}).fit(X, NAMES) for _ in range(2)
    )
    np.testing.assert_array_equal(weights(first), weights(second))
    again = weights(first.fit(X, NAMES))
    assert np.array_equal(again, weights(second)) == (seed() == 3)  # generators go on


def test_without_random_state_the_seed_of_the_script_counts():
    found = []
    for _ in range(2):
        nn.seed(1)
        found.append(weights(NNClassifier((8,), epochs=1).fit(X, NAMES)))
    np.testing.assert_array_equal(*found)


def test_early_stopping_and_callbacks():
    seen = []
    callback = nn.LambdaCallback(on_epoch_end=lambda trainer: seen.append(trainer.epoch))
    settings = {"lr": 0.1, "epochs": 200, "patience": 2, "random_state": 0}
    estimator = NNClassifier(early_stopping=True, callbacks=[callback], **settings)
    estimator.fit(X, NAMES)
    assert len(seen) == estimator.n_iter_ == len(estimator.history_["val_loss"]) < 200
    estimator.fit(X[:60], NAMES[:60], validation_data=(X[60:], NAMES[60:]))
    best = min(estimator.history_["val_loss"])
    assert estimator.n_iter_ == np.argmin(estimator.history_["val_loss"]) + 1 + 2
    log_p = estimator.predict_log_proba(X[60:])[np.arange(30), NUMBER[60:]]
    assert -log_p.mean() == pytest.approx(best, rel=1e-5)
    with pytest.raises(ValueError, match=r"early_stopping with validation_.*: .*two members"):
        estimator.set_params(validation_fraction=0.5).fit(X[:4], ["a", "a", "b", "c"])
    with pytest.raises(ValueError, match=r"validation_data must be \(X, y\) or"):
        estimator.fit(X, NAMES, validation_data=X)


def test_optimizers_and_schedules():
    for optimizer in ("SGD", "adamw", nn.Lion, functools.partial(nn.SGD, momentum=0.9)):
        NNRegressor((), epochs=1, optimizer=optimizer, weight_decay=0.1).fit(X, LINES)
    sizes = [
        np.abs(weights(NNRegressor((), optimizer="adamw", weight_decay=d).fit(X, LINES))).sum()
        for d in (0.0, 10.0)
    ]
    assert sizes[1] < 0.8 * sizes[0]
    for name in nn.optimizers.__all__:
        if name != "Optimizer":
            NNRegressor((4,), epochs=1, optimizer=name).fit(X, LINES)
    NNRegressor(epochs=1, lr=nn.CosineSchedule(0.1, steps=100)).fit(X, LINES)


# -- models ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "text"),
    [
        ((8, 4), "Sequential(Linear(4, 8), ReLU(), Linear(8, 4), ReLU(), Linear(4, 3))"),
        ((), "Sequential(Linear(4, 3))"),
        (
            MLP([8], activation="TANH", dropout=0.2),
            "Sequential(Linear(4, 8), Tanh(), Dropout(p=0.2), Linear(8, 3))",
        ),
        (MLP([8], activation=nn.PReLU), "Sequential(Linear(4, 8), PReLU(), Linear(8, 3))"),
        (net, "Sequential(Linear(4, 4), Tanh(), Linear(4, 3))"),
        (Build(net, width=16), "Sequential(Linear(4, 16), Tanh(), Linear(16, 3))"),
        (nn.Sequential(nn.Linear(4, 3)), "Sequential(Linear(4, 3))"),
    ],
)
def test_models(model, text):
    estimator = NNClassifier(model, epochs=1)
    fitted = clone(estimator).fit(X, NAMES)
    assert repr(fitted.model_) == text
    assert not hasattr(estimator, "model_")
    with pytest.raises(NotFittedError):
        estimator.predict(X)


def test_a_given_layer_is_left_alone():
    layer = nn.Linear(4, 3)
    before = layer.weight.data.copy()
    loss = nn.CrossEntropyLoss()
    settings = vars(loss).copy()
    estimator = NNClassifier(layer, loss=loss, epochs=1, lr=1e-9).fit(X, NAMES)
    np.testing.assert_array_equal(layer.weight.data, before)
    assert np.abs(weights(estimator)[:12] - before.ravel()).max() > 0.01  # drawn anew
    assert vars(loss) == settings


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float64, np.dtype("float32")])
def test_dtypes(dtype):
    assert weights(NNRegressor((4,), epochs=1, dtype=dtype).fit(X, LINES)).dtype == dtype


def test_parameters_of_models():
    estimator = NNClassifier(Build(net, width=16))
    assert estimator.get_params()["model__width"] == 16
    estimator.set_params(model__activation=nn.ReLU, model__width=2)
    twin = clone(estimator)
    assert twin.model.arguments == {"width": 2, "activation": nn.ReLU}
    assert twin.model is not estimator.model
    assert "width=2" in repr(twin)
    with pytest.raises(ValueError, match=r"Build: net is called with .*\['activation', 'depth',"):
        estimator.set_params(model__depth=3)
    assert NNClassifier(MLP()).set_params(model__dropout=0.3).model.dropout == 0.3


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"model": 7}, TypeError, r"hidden must be the sizes of the layers, such as \(64, 32\)"),
        ({"model": MLP(activation="rely")}, ValueError, "MLP: activation must be one of celu, elu"),
        ({"model": lambda a, b: 3}, TypeError, "model must build a layer .* got an int"),
        ({"model": nn.Linear(4, 5)}, ValueError, r"must give 3 numbers for each .* got \(1, 5\)"),
        ({"model": Twice()}, ValueError, "must give 3 numbers for each sample.* got tuple"),
        ({"model": nn.Linear(5, 3)}, ValueError, r"expected \(N, 5\), got \(1, 4\)"),
        ({"model": Build(3)}, TypeError, "Build: function must be a function .* got an int"),
        ({"model": Build(net, w=3)}, ValueError, r"Build: net is called with .*\['w'\]"),
        ({"loss": "mse"}, TypeError, "loss must be a loss such as"),
        ({"loss": nn.HingeLoss()}, ValueError, "is for two classes or for labels, and y has 3"),
        ({"optimizer": "adan"}, ValueError, "optimizer must be one of adadelta, .*, got 'adan'"),
        ({"lr": -1}, ValueError, "lr must be"),
        ({"epochs": 0}, ValueError, "epochs must be"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"dtype": "float16"}, ValueError, 'dtype must be "float32" or "float64"'),
        ({"random_state": "x"}, (TypeError, ValueError), "rng must be"),
        ({"verbose": "x"}, (TypeError, ValueError), "verbose must be"),
        ({"early_stopping": True, "validation_fraction": 1.5}, ValueError, "validation_fraction: "),
        ({"model": Build(max)}, ValueError, "Build: max is called with"),
        ({"early_stopping": "no"}, ValueError, "early_stopping must be True or False"),
        ({"warm_start": 1}, ValueError, "warm_start must be True or False"),
        ({"callbacks": nn.EMA()}, TypeError, "callbacks must be a list of nnlite's, got an EMA"),
        ({"class_weight": {"ash": -1}}, ValueError, "must not be negative|≥ 0"),
    ],
)
def test_settings_that_are_refused(settings, error, words):
    with pytest.raises(error, match=words):
        NNClassifier(**settings).fit(X, NAMES)


# -- targets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "loss", [None, nn.FocalLoss(), nn.BCEWithLogitsLoss(), nn.CrossEntropyLoss(label_smoothing=0.1)]
)
def test_two_classes(loss):
    y = np.array(["no", "yes"])[LABELS[:, 0]]
    estimator = NNClassifier(loss=loss, random_state=0).fit(X, y)
    assert estimator.score(X, y) > 0.95
    p = estimator.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_array_equal(estimator.predict(X), estimator.classes_[p.argmax(axis=1)])
    np.testing.assert_allclose(np.exp(estimator.predict_log_proba(X)), p)


@pytest.mark.parametrize(
    ("last", "loss", "twin"),
    [
        (nn.LogSoftmax, nn.NLLLoss(), nn.CrossEntropyLoss()),
        (nn.Sigmoid, nn.BCELoss(), nn.BCEWithLogitsLoss()),
    ],
)
def test_models_that_end_in_probabilities(last, loss, twin):
    def ends(n_features, n_outputs):
        return nn.Sequential(nn.Linear(n_features, n_outputs), last())

    y = LABELS[:, 0]
    found = [
        NNClassifier(model, loss=loss, random_state=0, dtype="float64").fit(X, y)
        for model, loss in ((ends, loss), ((), twin))
    ]
    np.testing.assert_allclose(*[estimator.predict_proba(X) for estimator in found], rtol=1e-6)
    np.testing.assert_array_equal(*[estimator.predict(X) for estimator in found])


def test_probabilities_that_round_have_exact_logarithms():
    estimator = NNClassifier((), loss=nn.BCEWithLogitsLoss(), epochs=1).fit(X, LABELS[:, 0])
    estimator.model_[0].weight.data = np.full((4, 1), 25.0)
    estimator.model_[0].bias.data = np.zeros(1)
    log_p = estimator.predict_log_proba(np.ones((1, 4)))
    np.testing.assert_allclose(log_p, [[-100, -np.exp(-100.0)]], rtol=1e-6)


def test_a_loss_without_probabilities():
    estimator = NNClassifier(loss=nn.HingeLoss(), random_state=0).fit(X, LABELS[:, 0])
    assert estimator.score(X, LABELS[:, 0]) > 0.95
    assert not hasattr(estimator, "predict_proba")


@pytest.mark.parametrize("loss", [None, nn.BCEWithLogitsLoss()])
def test_one_class(loss):
    estimator = NNClassifier(loss=loss, epochs=1).fit(X, ["only"] * 90)
    assert set(estimator.predict(X)) == {"only"}
    np.testing.assert_array_equal(estimator.predict_proba(X), np.ones((90, 1)))


@pytest.mark.parametrize("y", [LABELS, sparse.csr_array(LABELS), pandas.DataFrame(LABELS > 0)])
def test_labels(y):
    estimator = NNClassifier(lr=0.01, random_state=0).fit(X, y)
    assert estimator.score(X, LABELS) > 0.95
    p = estimator.predict_proba(X)
    assert p.shape == (90, 3)
    np.testing.assert_array_equal(estimator.predict(X), p > 0.5)
    np.testing.assert_array_equal(estimator.classes_, range(3))


def test_labels_that_are_refused():
    with pytest.raises(ValueError, match=r"CrossEntropyLoss.* is for one class for each sample"):
        NNClassifier(loss=nn.CrossEntropyLoss()).fit(X, LABELS)
    with pytest.raises(ValueError, match=r"several classes for .*MultiOutputClassifier"):
        NNClassifier().fit(X, np.stack([NUMBER, NUMBER], axis=1))
    with pytest.raises(ValueError, match="class_weight is for classes"):
        NNClassifier(class_weight="balanced").fit(X, LABELS)
    estimator = NNClassifier(**SMALL).partial_fit(X, LABELS)
    with pytest.raises(ValueError, match=r"y must be labels \(N, 3\) as in the first call"):
        estimator.partial_fit(X, LABELS[:, :2])
    with pytest.raises(ValueError, match=r"y must be labels \(N, 3\) as in the first call"):
        estimator.partial_fit(X, NUMBER)


def test_one_column_of_classes_is_told():
    with pytest.warns(DataConversionWarning):
        assert NNClassifier(epochs=1).fit(X, NAMES[:, None]).predict(X).shape == (90,)


@pytest.mark.parametrize("shape", [(90,), (90, 1), (90, 2)])
def test_shapes_of_numbers(shape):
    y = LINES[:, 0] if len(shape) == 1 else LINES[:, : shape[1]]
    estimator = NNRegressor((), lr=0.05, random_state=0).fit(X, y)
    assert estimator.predict(X).shape == shape
    assert estimator.score(X, y) > 0.99
    assert estimator.predict(X.astype(np.float32)).dtype == np.float32
    assert estimator.predict(X).dtype == np.float64
    estimator.partial_fit(X, y)
    with pytest.raises(ValueError, match="as in the first call"):
        estimator.partial_fit(X, np.zeros((90, 3)))


def test_counts_are_predicted_and_not_their_logarithms():
    y = np.round(np.exp(1 + X[:, 0]))
    for loss, model in (
        (nn.PoissonNLLLoss(), ()),
        (nn.PoissonNLLLoss(log_input=False), rates),
    ):
        estimator = NNRegressor(model, loss=loss, lr=0.05, random_state=0).fit(X, y)
        assert estimator.score(X, y) > 0.9


# -- weights ---------------------------------------------------------------------------------------


def test_weights_of_classes_and_samples():
    own = np.random.default_rng(1).uniform(size=90)
    by_class = {"ash": 2.0, "birch": 0.5}
    product = own * compute_sample_weight(by_class | {"cedar": 1}, NAMES)
    settings = {**SMALL, "batch_size": 16}
    first = NNClassifier(**settings, class_weight=by_class).fit(X, NAMES, own)
    second = NNClassifier(**settings).fit(X, NAMES, pandas.Series(product))
    np.testing.assert_array_equal(weights(first), weights(second))


def test_balanced_classes_are_balanced_by_their_weights():
    own = np.random.default_rng(1).uniform(size=90)
    sums = np.array([own[k == NUMBER].sum() for k in range(3)])
    product = own * (own.sum() / (3 * sums))[NUMBER]
    first = NNClassifier(**SMALL, class_weight="balanced").fit(X, NAMES, own)
    second = NNClassifier(**SMALL).fit(X, NAMES, product)
    np.testing.assert_allclose(weights(first), weights(second), rtol=1e-4)
    data = (X[:20], NAMES[:20])  # validation is weighed by what all training data tells
    first.fit(X, NAMES, own, validation_data=data)
    second.fit(X, NAMES, product, validation_data=(*data, (own.sum() / (3 * sums))[NUMBER[:20]]))
    assert first.history_["val_loss"] == pytest.approx(second.history_["val_loss"], rel=1e-4)


def test_weights_that_are_refused():
    for weight, words in ((np.zeros(90), "zero"), (-np.ones(90), "[Nn]egative")):
        for estimator, y in ((NNClassifier(), NAMES), (NNRegressor(), LINES)):
            with pytest.raises(ValueError, match=words):
                estimator.fit(X, y, weight)


# -- sparse ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "csc_array", "coo_array"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_sparse_rows_are_as_dense_ones(kind, early_stopping, monkeypatch):
    x = X * (np.abs(X) > 1)
    matrix = getattr(sparse, kind)(x)
    settings = {**SMALL, "batch_size": 16, "early_stopping": early_stopping}
    dense = NNClassifier(**settings).fit(x, NAMES, np.arange(90))
    rows = []
    for cls in (sparse.csr_matrix, sparse.csr_array):
        original = cls.toarray
        monkeypatch.setattr(
            cls, "toarray", lambda self, o=original: rows.append(self.shape[0]) or o(self)
        )
    thin = NNClassifier(**settings).fit(matrix, NAMES, np.arange(90))
    assert 1 <= max(rows) <= 16  # never more than a batch
    np.testing.assert_array_equal(weights(thin), weights(dense))
    np.testing.assert_array_equal(thin.predict_proba(matrix), dense.predict_proba(x))


# -- data frames -----------------------------------------------------------------------------------


def frame(**columns):
    return pandas.DataFrame(X, columns=list("abcd")).assign(**columns)


def test_frames_and_pipelines():
    pipeline = make_pipeline(StandardScaler(), NNClassifier(**SMALL)).set_output(transform="pandas")
    y = pandas.Series(NAMES, index=range(100, 190), dtype="category")
    pipeline.fit(frame(), y)
    last = pipeline[-1]
    assert list(last.feature_names_in_) == list("abcd")
    assert last.n_features_in_ == 4
    plain = make_pipeline(StandardScaler(), NNClassifier(**SMALL)).fit(X, NAMES)
    np.testing.assert_array_equal(pipeline.predict(frame()), plain.predict(X))
    with pytest.raises(ValueError, match="feature names should match"):
        last.predict(frame().rename(columns={"a": "z"}))
    model = NNRegressor(**SMALL).fit(frame(), pandas.DataFrame(LINES))
    np.testing.assert_array_equal(weights(model), weights(NNRegressor(**SMALL).fit(X, LINES)))


@pytest.mark.parametrize("dtype", ["bool", "boolean", "Int64", "UInt8", "Float32"])
def test_columns_of_numbers(dtype):
    yes = X[:, 0] > 0
    table = frame(e=pandas.array(yes, dtype=dtype))
    y = pandas.Series(pandas.array(yes, dtype="boolean"))
    weight = pandas.Series(pandas.array(np.arange(90), dtype="Int64"))
    first = NNClassifier(**SMALL).fit(table, y, weight)
    second = NNClassifier(**SMALL).fit(np.column_stack([X, yes]), yes, np.arange(90))
    np.testing.assert_array_equal(weights(first), weights(second))
    assert (first.predict(table) == second.predict(np.column_stack([X, yes]))).all()


@pytest.mark.parametrize("dtype", [object, "str", "string", "category"])
def test_names_in_a_series(dtype):
    estimator = NNClassifier(**SMALL).fit(X, pandas.Series(NAMES, dtype=dtype))
    np.testing.assert_array_equal(estimator.classes_, np.unique(NAMES))
    assert isinstance(estimator.predict(X)[0], str)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"e": NAMES}, r"X must hold numbers, got column 'e' \("),
        ({"e": pandas.array([None] + [1] * 89, dtype="Int64")}, "X: column 'e' has missing values"),
        ({"e": [np.nan] + [1.0] * 89}, "X is not finite: row 0, column 'e', contains nan"),
    ],
)
def test_columns_that_are_refused_are_named(columns, words):
    for estimator, y in ((NNClassifier(**SMALL), NAMES), (NNRegressor(**SMALL), LINES)):
        for call in ("fit", "predict"):
            estimator.fit(frame(e=1.0), y)
            with pytest.raises((TypeError, ValueError), match=words):
                getattr(estimator, call)(frame(**columns), *[y][: call == "fit"])


def test_targets_and_weights_that_are_refused_are_named():
    for estimator in (NNClassifier(), NNRegressor()):
        with pytest.raises((TypeError, ValueError), match=r"array\('target'"):
            estimator.fit(X[:2], "target")
    numbers = pandas.DataFrame({"u": LINES[:, 0], "v": NAMES})
    with pytest.raises(TypeError, match=r"y must hold numbers, got column 'v' \("):
        NNRegressor().fit(X, numbers)
    with pytest.raises(ValueError, match="y: column 'v' has missing values, the first in row 0"):
        NNRegressor().fit(X, numbers.assign(v=pandas.array([None] + [1] * 89, dtype="Int64")))
    for dtype, values in (
        ("string", ["a", None]),
        ("boolean", [True, None]),
        (object, ["a", None]),
    ):
        with pytest.raises(ValueError, match="y has missing values, the first in row 1; leave"):
            NNClassifier().fit(X, pandas.Series(values * 45, dtype=dtype))
    for weight, words in (
        (pandas.DataFrame({"w": NAMES}), r"sample_weight must hold numbers, got column 'w' \("),
        (pandas.Series(pandas.array([None] + [1] * 89, dtype="Int64")), "first in row 0"),
        (list(NAMES), "sample_weight must hold numbers, got dtype <U5"),
    ):
        for estimator, y in ((NNClassifier(), NAMES), (NNRegressor(), LINES)):
            with pytest.raises((TypeError, ValueError), match=words):
                estimator.fit(X, y, weight)


# -- with the rest of scikit-learn -----------------------------------------------------------------


def test_targets_of_another_size_are_scaled_around_it():
    y = 1000 + 500 * LINES
    estimator = TransformedTargetRegressor(
        NNRegressor((), lr=0.05, random_state=0), transformer=StandardScaler()
    )
    assert estimator.fit(X, y).score(X, y) > 0.99
    assert cross_val_score(estimator, X, y, cv=3).min() > 0.98


@pytest.mark.slow
def test_grid_search_in_processes():
    pipeline = make_pipeline(StandardScaler(), NNClassifier(Build(net), epochs=30, random_state=0))
    grid = {"nnclassifier__model__width": [2, 16], "nnclassifier__lr": [1e-5, 0.05]}
    found = [GridSearchCV(pipeline, grid, cv=3, n_jobs=jobs).fit(frame(), NAMES) for jobs in (1, 2)]
    for search in found:
        assert search.best_params_["nnclassifier__lr"] == 0.05
        assert search.best_score_ > 0.85
    scores = [search.cv_results_["mean_test_score"] for search in found]
    np.testing.assert_array_equal(*scores)


def test_copies_and_clones():
    estimator = NNClassifier(MLP((8,)), loss=nn.FocalLoss(), callbacks=[nn.EMA()], epochs=1)
    twin = clone(estimator)
    assert twin.get_params().keys() == estimator.get_params().keys()
    assert repr(twin.loss) == repr(estimator.loss)
    estimator.fit(X, NAMES)
    for same in (copy.deepcopy(estimator), pickle.loads(pickle.dumps(estimator))):
        np.testing.assert_array_equal(same.predict_proba(X), estimator.predict_proba(X))


def test_without_scikit_learn_the_command_is_told():
    code = (
        "import sys; sys.modules['sklearn'] = None; sys.modules['sklearn.base'] = None\n"
        "import nnlite\n"
        "try:\n    import nnlite.interop.sklearn\n"
        "except ImportError as error:\n    print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "nnlite[sklearn]"' in out.stdout


@pytest.mark.parametrize(
    ("make", "hint"),
    [
        (lambda: NNClassifier(hidden_layer_sizes=(8,)), "hidden_layer_sizes is model here"),
        (lambda: NNClassifier((8,), max_iter=9), "max_iter is epochs here"),
        (lambda: NNRegressor((8,), alpha=0.1), "alpha is weight_decay here"),
        (lambda: MLP(hidden_layer_sizes=(8,)), "hidden_layer_sizes is hidden here"),
        (lambda: MLP(widths=(8,)), "no argument widths; the arguments are hidden, activation, dro"),
    ],
)
def test_arguments_of_scikit_learns_own_networks(make, hint):
    with pytest.raises(TypeError, match=hint):
        make()
