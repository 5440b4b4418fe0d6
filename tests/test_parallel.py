"""A batch in shares: what every layer, loss and metric gives, with threads for processes.

Real processes, started by MPI, are in tests/interop/test_mpi.py.
"""

import copy
import itertools
import re
import sys
import types

import numpy as np
import pytest
from cases import LAYERS, LOSSES, layer_input, layer_of
from cases.kinds import all_of
from cases.sequences import Ending
from interop import parallel_runs
from thread_ranks import Threads, in_threads

import nnlite as nn
from nnlite.core.ranks import Share
from nnlite.core.rows import rows_of
from nnlite.core.terms import loss_terms
from nnlite.training import together
from nnlite.training.state import RunState

# those that treat each sample by itself are tested as such; `Ending` has lengths for a whole batch
TOGETHER = {
    name: case
    for name, case in LAYERS.items()
    if not case.by_sample and case.shape[0] > 1 and not isinstance(case.make(), Ending)
}
X, Y, W = parallel_runs.data(40)


@pytest.mark.parametrize("case", TOGETHER.values(), ids=TOGETHER)
def test_shares_of_a_batch_are_the_batch(case):
    layer, x = layer_of(case), layer_input(case)
    copies = [copy.deepcopy(layer) for _ in range(2)]
    y = layer(x)
    g = np.random.default_rng(1).standard_normal(y.shape)
    d_x = layer.backward(g)

    def work(ranks):
        share, own = Share.of_batch(ranks, len(x)), copies[ranks.rank]
        return share.run(own, x[share.rows]), own.backward(g[share.rows])

    shares = in_threads(2, work)
    for whole, parts in zip((y, d_x), zip(*shares, strict=True), strict=True):
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-9, atol=1e-12)
    for path, parameter in layer.named_parameters().items():
        grad = sum(own.named_parameters()[path].grad for own in copies)
        np.testing.assert_allclose(grad, parameter.grad, rtol=1e-9, atol=1e-12)
    for own in copies:
        for one, other in zip(own.buffers(), layer.buffers(), strict=True):
            np.testing.assert_allclose(one.data, other.data, rtol=1e-9)
        generators = [part.named_parts(np.random.Generator) for part in (own, layer)]
        for (_, one), (_, other) in zip(*generators, strict=True):
            assert one.bit_generator.state == other.bit_generator.state


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", LOSSES.values(), ids=LOSSES)
def test_losses_of_shares_are_the_loss(case, weighted):
    rng = np.random.default_rng(0)
    prediction, target = case.prediction(rng), case.target(rng)
    loss = case.make()
    rows = len(prediction[0] if isinstance(prediction, tuple) else prediction)
    weight = rng.random(rows) if weighted else None
    value = loss(prediction, target, weight)
    gradient = loss.backward()

    def work(ranks):
        share, own, terms = Share.of_batch(ranks, rows), case.make(), loss_terms()
        given = (prediction, target, weight)
        own(*(None if each is None else rows_of(each, share.rows) for each in given))
        found = together.whole_loss(share, own, terms, RunState(0), together.Asked())
        return found, own.denominator, own.backward()

    (one, denominator, first), (other, _, second) = in_threads(2, work)
    assert one == other == pytest.approx(value, rel=1e-12)
    assert denominator == pytest.approx(loss.denominator, rel=1e-12)
    for whole, *parts in zip(*map(all_of, (gradient, first, second)), strict=True):
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-12, atol=1e-15)


def test_all_metrics_merge():
    for name in nn.metrics.__all__:
        kind = getattr(nn, name)
        assert kind is nn.Metric or kind.merge is not nn.Metric.merge, name
    with pytest.raises(NotImplementedError, match="Metric must define merge"):
        nn.Metric().merge({})


def test_a_batch_is_divided_evenly_or_not_at_all():
    ranks = [Threads(rank, 3, None, None) for rank in range(3)]
    for total, starts in ((7, [0, 3, 5, 7]), (3, [0, 1, 2, 3])):
        shares = [Share.of_batch(each, total) for each in ranks]
        assert [s.rows for s in shares] == [slice(*pair) for pair in itertools.pairwise(starts)]
        assert sum(s.weight for s in shares) == pytest.approx(1)
    shares = [Share.of_batch(each, 2) for each in ranks]
    assert [s.rows for s in shares] == [slice(0, 2)] * 3
    assert [s.weight for s in shares] == [1, 0, 0]


def test_draws_must_be_of_rows():
    share = Share.of_batch(Threads(1, 2, None, None), 8)
    layer = nn.Sequential(Folded(), nn.Dropout(0.5)).train()
    with pytest.raises(
        ValueError, match=r"Dropout.*\(3, 8\) has not a multiple of this rank's 4 rows"
    ):
        share.run(layer, np.ones((4, 6)))


class Folded(nn.Layer):
    """Rows that are no rows of the batch."""

    def forward(self, x):
        self.save_for_backward()
        return x.reshape(3, -1)

    def backward(self, grad_output):
        self.saved()
        return grad_output.reshape(-1, 6)


@pytest.mark.parametrize(
    "run",
    [
        parallel_runs.weighted,
        parallel_runs.outputs,
        pytest.param(parallel_runs.images, marks=pytest.mark.slow),
    ],
)
def test_a_run_of_two_is_that_of_one(run):
    alone = run(None)
    for found in in_threads(2, run):
        assert found.keys() == alone.keys()
        for name, value in alone.items():
            np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)


def test_a_loss_that_is_not_finite_tells_its_rank():
    def work(ranks):
        model = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        trainer = nn.Trainer(
            model, nn.CrossEntropyLoss(), nn.SGD(model.parameters()), parallel=ranks
        )
        x = X.astype(np.float32)
        x[30:] = 3e38  # rows of rank 1
        model[0].weight.data *= 10  # so that they overflow
        return trainer.fit(x, Y, batch_size=40, shuffle=False, verbose=False)

    with pytest.raises(
        nn.NonFiniteLossError, match=r"batch 1: on rank 1, the first .* layer 0, Lin"
    ):
        in_threads(2, work)


def trainer_of(*layers, loss=None, kind=nn.Trainer, **options):
    """A trainer on the first of two ranks."""
    model = nn.Sequential(*layers, nn.Linear(4, 2))
    loss = loss or nn.CrossEntropyLoss()
    parallel = Threads(0, 2, None, None)
    return kind(model, loss, nn.SGD(model.parameters()), parallel=parallel, **options)


class Mixing(nn.Layer):
    min_batch = 2


class Noisy(nn.Layer):
    def __init__(self):
        self.rng = np.random.default_rng(0)

    def forward(self, x):
        return x


class OwnLoss(nn.CrossEntropyLoss):
    def backward(self, grad_output=None):
        return super().backward(grad_output)


class OwnMetric(nn.Metric):
    def reset(self):
        self.count = 0

    def update(self, prediction, target, sample_weight=None):
        self.count += len(target)

    def result(self):
        return self.count


class OwnTrainer(nn.Trainer):
    def train_step(self, x, y, weight=None, share=None):
        return super().train_step(x, y, weight, share)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: trainer_of(nn.LSTM(4, 4, stateful=True)), "layer 0, LSTM.* is stateful"),
        (lambda: trainer_of(Mixing()), r"layer 0, Mixing\(\), mixes the rows"),
        (lambda: trainer_of(Noisy()), r"layer 0, Noisy\(\), draws random numbers"),
        (lambda: trainer_of(loss=OwnLoss()), "OwnLoss.* has a backward of its own"),
        (lambda: trainer_of(metrics=[OwnMetric()]), r"OwnMetric\(\) must define merge"),
        (lambda: trainer_of(kind=OwnTrainer), "OwnTrainer has a train_step of its own"),
        (
            lambda: trainer_of(
                nn.Parallel(nn.Linear(4, 4)), loss=nn.Losses(nn.Losses(nn.MSELoss()))
            ),
            "Losses inside of Losses",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_made_equal_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize(
    ("differs", "words"),
    [
        ("rows", "checksum of the first x, y and weights is .*"),
        ("validation_data", "validation data is 40 rows, checksum .*"),
        ("validation_batch_size", "validation_batch_size is 9"),
        ("callbacks", r"callbacks is \['LambdaCallback'\]"),
        ("metrics", r"metrics is \['accuracy'\]"),
        ("frozen", r"what the optimizer updates is \[2\] numbers"),
    ],
)
def test_ranks_that_are_called_otherwise_are_refused(differs, words):
    def work(ranks):
        def own(name):
            return ranks.rank if differs == name else 0

        model = nn.Sequential(nn.Linear(6, 2))
        if own("frozen"):
            model.freeze("*.weight")
        parts = model, nn.CrossEntropyLoss(), nn.SGD(model.parameters())
        metrics = [nn.Accuracy()] * own("metrics")
        trainer = nn.Trainer(*parts, metrics=metrics, parallel=ranks)
        trainer.fit(
            X[own("rows") :: 2], Y[own("rows") :: 2], verbose=False,
            validation_data=(X + own("validation_data"), Y),
            validation_batch_size=8 + own("validation_batch_size"),
            callbacks=[nn.LambdaCallback()] * own("callbacks"),
        )  # fmt: skip

    with pytest.raises(ValueError, match=rf"{words} on rank 1 and .* on rank 0\. All ranks"):
        in_threads(2, work)


@pytest.mark.parametrize("sizes", [([10], [11]), ([10, 10], [10]), ([10], [10, 10])])
@pytest.mark.parametrize("validated", [False, True])
def test_streams_that_differ_are_refused(sizes, validated):
    def work(ranks):
        def stream(rng):
            for rows in sizes[ranks.rank]:
                yield X[:rows], Y[:rows]

        model = nn.Sequential(nn.Linear(6, 2), nn.BatchNorm1d(2, eps=1)).astype(np.float64)
        parts = model, nn.CrossEntropyLoss(), nn.SGD(model.parameters())
        trainer = nn.Trainer(*parts, metrics=[nn.Accuracy()], parallel=ranks)
        data = {"x": X, "y": Y, "validation_data": stream} if validated else {"x": stream}
        trainer.fit(**data, verbose=False)

    one, other = ([*each, 0] for each in sizes)
    differ = next(list(pair) for pair in zip(one, other) if pair[0] != pair[1])  # noqa: B905
    with pytest.raises(RuntimeError, match=re.escape(f"different sizes: {differ} rows")):
        in_threads(2, work)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize(
    "moment", ["on_fit_begin", "on_epoch_begin", "on_step_end", "on_epoch_end", "on_fit_end"]
)
def test_one_rank_alone_may_save(moment, rank, tmp_path):
    def work(ranks):
        def save(trainer):
            if ranks.rank == rank:
                trainer.save(tmp_path / "one.npz")
                trainer.save(tmp_path / "two.npz")

        def interrupt(trainer):
            trainer.interrupted = trainer.optimizer.steps == 3

        model = nn.Sequential(nn.Linear(6, 2)).astype(np.float64)
        parts = model, nn.CrossEntropyLoss(), nn.SGD(model.parameters())
        trainer = nn.Trainer(*parts, metrics=[nn.Accuracy()], parallel=ranks)
        callbacks = [nn.LambdaCallback(**{moment: save}), nn.LambdaCallback(on_step_end=interrupt)]
        trainer.fit(X, Y, epochs=2, batch_size=20, verbose=False, callbacks=callbacks)
        return trainer.fit(X, Y, epochs=2, batch_size=20, verbose=False)["accuracy"]

    one, other = in_threads(2, work)
    assert one == other
    written = {path.name for path in tmp_path.iterdir()}
    assert written == (set() if rank else {"one.npz", "two.npz"})  # rank 0 alone writes


def test_an_audit_needs_all_gradients():
    def work(ranks):
        model = nn.Sequential(nn.Linear(6, 2)).astype(np.float64)
        parts = model, nn.CrossEntropyLoss(), nn.SGD(model.parameters())
        trainer = nn.Trainer(*parts, parallel=ranks)
        trainer.fit(X, Y, verbose=False, callbacks=[nn.GradientAudit()])

    with pytest.raises(ValueError, match=r"GradientAudit\(\): in parallel each rank sees"):
        in_threads(2, work)


def test_parallel_must_be_ranks():
    model = nn.Linear(4, 2)
    for value in (2, True, "mpi", nn.parallel):
        with pytest.raises(TypeError, match=r"parallel must be .*; write nn\.parallel\.MPI\(\)"):
            nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters()), parallel=value)


@pytest.fixture
def fresh_mpi():
    """What is remembered of MPI, forgotten before and after."""
    remembered = nn.parallel.mpi._mpi, nn.parallel.mpi._world
    for each in remembered:
        each.cache_clear()
    yield
    for each in remembered:
        each.cache_clear()


def test_without_mpi4py_the_extra_is_named(monkeypatch, fresh_mpi):
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(ImportError, match=r'needs mpi4py: python -m pip install "nnlite\[mpi\]"'):
        nn.parallel.MPI()


@pytest.mark.parametrize("variable", ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"])
def test_two_kinds_of_mpi_are_refused(monkeypatch, fresh_mpi, variable):
    """Each process would believe itself alone, and all would write the same files."""
    world = types.SimpleNamespace(Dup=lambda: world, Get_size=lambda: 1)
    mpi = types.SimpleNamespace(COMM_WORLD=world, Get_library_version=lambda: "Open MPI v5.0, …")
    monkeypatch.setitem(sys.modules, "mpi4py", types.SimpleNamespace(MPI=mpi))
    monkeypatch.setenv(variable, "2")
    with pytest.raises(RuntimeError, match=r"started 2 processes.*sees 1.*found, Open MPI v5\.0$"):
        nn.parallel.MPI()
