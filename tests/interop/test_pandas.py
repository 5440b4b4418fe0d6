"""Data frames and series go wherever x, y and sample_weight go, and what a run recorded is one."""

import subprocess
import sys

import numpy as np
import pytest

import nnlite as nn

pandas = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
X[:, 2] = Y
W = RNG.uniform(0.5, 1, 40)
# columns of two dtypes, one of them nullable, and an index of its own for each
FRAME = pandas.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": pandas.array(Y, "boolean")})
FRAME.index = range(100, 140)
CLASSES = pandas.Series(pandas.array(Y, "Int64"), index=range(7, 47))
WEIGHT = pandas.Series(W, index=list(range(40))[::-1])
WORDS = FRAME.assign(d=pandas.Series(["q"] * 40, index=FRAME.index, dtype=object))
LOSS = nn.CrossEntropyLoss()


def model(features=3):
    with nn.random.scope(0):
        return nn.Sequential(nn.Linear(features, 4), nn.Tanh(), nn.Linear(4, 2))


def trainer(features=3):
    net = model(features)
    return nn.Trainer(net, LOSS, nn.Adam(net.parameters()), metrics=[nn.Accuracy()], rng=0)


def updated(metric, *given):
    metric.update(*given)
    return metric.result()


# name: what is done with x, y, sample_weight; what comes of it says all that matters
USES = {
    "fit": lambda x, y, w: trainer(x.shape[1]).fit(
        x, y, sample_weight=w, validation_data=(x, y, w), verbose=False
    ),
    "fit_stream": lambda x, y, w: trainer(x.shape[1]).fit(lambda rng: [(x, y, w)], verbose=False),
    "evaluate": lambda x, y, w: trainer(x.shape[1]).evaluate(x, y, sample_weight=w),
    "predict": lambda x, y, w: model(x.shape[1]).predict(x).tolist(),
    "fit_lbfgs": lambda x, y, w: nn.fit_lbfgs(model(x.shape[1]), LOSS, x, y, w, max_iter=2, tol=9),
    "lr_range_test": lambda x, y, w: list(
        nn.lr_range_test(trainer(x.shape[1]), x, y, steps=10).losses
    ),
    "check_gradients": lambda x, y, w: str(nn.check_gradients(model(x.shape[1]), x, LOSS, y)),
    "jacobian": lambda x, y, w: str(nn.jacobian(model(x.shape[1]), x[:3])),
    "saliency": lambda x, y, w: nn.saliency(model(x.shape[1]), x).tolist(),
    "smooth_grad": lambda x, y, w: nn.smooth_grad(model(x.shape[1]), x, rng=0).tolist(),
    "integrated_gradients": lambda x, y, w: nn.integrated_gradients(model(x.shape[1]), x).tolist(),
    "trace": lambda x, y, w: str(nn.trace(model(x.shape[1]), LOSS, x, y)),
    "audit": lambda x, y, w: str(nn.audit(model(x.shape[1]), LOSS, x, y)),
    "profile": lambda x, y, w: len(nn.profile(model(x.shape[1]), LOSS, x, y).rows),
    "split": lambda x, y, w: [
        part.tolist() for part in nn.data.train_test_split(x, y, w, stratify=y, rng=0)
    ],
    "batches": lambda x, y, w: [
        [part.tolist() for part in batch] for batch in nn.data.batches(x, y, batch_size=9, rng=0)
    ],
    "standardize": lambda x, y, w: np.asarray(nn.data.standardize(x)[0]).tolist(),
    "stratified_k_fold": lambda x, y, w: [
        part.tolist() for fold in nn.data.stratified_k_fold(y, folds=3, rng=0) for part in fold
    ],
    "one_hot": lambda x, y, w: nn.data.one_hot(y, 2).tolist(),
    "loss": lambda x, y, w: LOSS(X[:, :2], y, w),
    "loss_of_rows": lambda x, y, w: nn.MSELoss()(np.ones(x.shape, np.float32), x),
    "metric": lambda x, y, w: updated(nn.Accuracy(), X[:, :2], y, w),
    "parameter": lambda x, y, w: nn.Parameter(x).data.tolist(),
}
NEED_X = [u for u in USES if u not in ("stratified_k_fold", "one_hot", "loss", "metric")]


@pytest.mark.parametrize("use", USES)
def test_frames_are_taken_everywhere(use):
    assert USES[use](FRAME, CLASSES, WEIGHT) == USES[use](X, Y, W)


@pytest.mark.parametrize("use", NEED_X)
def test_columns_that_hold_no_numbers_are_named_everywhere(use):
    with pytest.raises(TypeError, match=r"must hold numbers, got column 'd' \(object\)"):
        USES[use](WORDS, CLASSES, WEIGHT)


@pytest.mark.parametrize("use", ["fit", "evaluate", "fit_lbfgs"])
def test_weights_that_are_missing_are_named(use):
    weight = pandas.Series([1] * 4 + [None] + [1] * 35, dtype="Int64")
    with pytest.raises(ValueError, match=r"^sample_weight has missing values, the first in row 4"):
        USES[use](FRAME, CLASSES, weight)


@pytest.mark.parametrize("look", [nn.trace, nn.profile])
def test_targets_of_several_outputs_are_frames_too(look):
    net, loss = nn.Parallel(nn.Linear(3, 2), nn.Linear(3, 3)), nn.Losses(LOSS, nn.MSELoss())
    assert look(net, loss, (FRAME, FRAME), (CLASSES, FRAME))
    with pytest.raises(TypeError, match=r"y\[1\] must hold numbers, got column 'd' \(object\)"):
        look(net, loss, (FRAME, FRAME), (CLASSES, WORDS))


def test_a_history_is_a_frame():
    history = trainer().fit(X, Y, epochs=3, verbose=False)
    table = history.to_frame()
    assert list(table.columns) == ["loss", "accuracy", "lr"]
    assert list(table.index) == [1, 2, 3]
    assert table.index.name == "epoch"
    for frame in (table, pandas.DataFrame(history)):
        assert {name: list(column) for name, column in frame.items()} == history.to_dict()
        assert set(map(str, frame.dtypes)) == {"float64"}
    assert len(nn.History().to_frame()) == 0


def test_a_history_of_arrays_is_a_frame():
    net = model()
    run = nn.Trainer(net, LOSS, nn.Adam(net.parameters()), metrics=[nn.ConfusionMatrix()])
    table = run.fit(X, Y, epochs=2, verbose=False).to_frame()
    assert table["confusion_matrix"][2].shape == (2, 2)


def test_without_pandas_the_command_is_told():
    code = (
        "import sys; sys.modules['pandas'] = None\nimport nnlite\n"
        "try:\n    nnlite.History().to_frame()\nexcept ImportError as error:\n    print(error)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 'pip install "nnlite[pandas]"' in out.stdout
