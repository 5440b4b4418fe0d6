"""Samples of what `python -m benchmarks reliability` does, and arguments that nobody thought of."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nnlite as nn
from benchmarks.reliability import files, interrupts, kills, threads, workers
from benchmarks.reliability.mutations import MUTATIONS, unpack
from benchmarks.reliability.outcomes import (
    FILES,
    INTERRUPTS,
    KILLS,
    SUBJECTS,
    THREADS,
    Subject,
    tell,
)
from benchmarks.reliability.workers import outcomes
from benchmarks.turns import ROOT
from nnlite.training import trainer


def wrong(subject, module, numbers):
    """The cases that end as none should."""
    found = [(number, module.case(number)) for number in numbers]
    return [(number, outcome) for number, outcome in found if outcome.kind not in subject.right]


def test_changed_files_are_refused_or_trained_on():
    assert wrong(FILES, files, range(40)) == []


def test_ended_runs_resume_to_the_same_bits():
    assert wrong(KILLS, kills, range(0, 26, 5)) == []


def test_interrupted_calls_leave_everything_as_it_was():
    assert wrong(INTERRUPTS, interrupts, range(30)) == []


def test_sixteen_threads_that_predict_disturb_no_training():
    assert wrong(THREADS, threads, range(3)) == []


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_more_of_all_subjects(subject):
    found = outcomes(subject, subject.cases // 10)
    assert all(outcome.kind in subject.right for outcome in found), tell(subject, found)


# -- the benchmark itself can fail -----------------------------------------------------------------


def test_every_kind_of_change_changes_the_file():
    rng, file = np.random.default_rng(0), files._checkpoints("a stateful LSTM")["middle"]
    for change in MUTATIONS.values():
        assert sum(change(rng, file) != file for _ in range(20)) > 15
    header, members = unpack(MUTATIONS["values in the header"](rng, file))
    assert header != unpack(file).header
    assert members == unpack(file).members


def stepping(load):
    def careless(trainer, path):
        trainer.optimizer.steps += 1
        load(trainer, path)

    return careless


def raw(load):
    def careless(trainer, path):
        try:
            load(trainer, path)
        except nn.CheckpointError:
            {}["nowhere"]

    return careless


def large(load):
    def careless(trainer, path):
        np.ones(1 << 24)
        load(trainer, path)

    return careless


@pytest.mark.parametrize(
    ("careless", "kind"), [(stepping, "changed"), (raw, "raw error"), (large, "memory")]
)
def test_what_is_wrong_with_loading_is_seen(careless, kind, monkeypatch):
    monkeypatch.setattr(nn.Trainer, "load", careless(nn.Trainer.load))
    rng = np.random.default_rng(1)
    case = rng, "bytes", "padded sequences", "end"
    assert any(files._check_checkpoint(*case)[0] == kind for _ in range(50))


def test_a_run_that_forgets_is_seen(monkeypatch):
    monkeypatch.setattr(trainer.checkpoint, "_restore_optimizer", lambda *_: None)
    assert any(kills.case(number).kind == "other bits" for number in range(20))


def test_what_an_interrupt_leaves_is_seen(monkeypatch):
    def predict(model, x, batch_size):
        model.eval()
        y = predict_well(model, x, batch_size=batch_size)
        model.train()
        return y

    predict_well = nn.Layer.predict
    monkeypatch.setattr(nn.Layer, "predict", predict)
    assert any(interrupts.case(number).kind == "changed" for number in range(200))
    interrupts.subject.cache_clear()


class Odd(Subject):
    module = "odd_cases"


def test_workers_that_die_or_stand_still_are_replaced(tmp_path, monkeypatch):
    (tmp_path / "odd_cases.py").write_text(
        "import os, time\n"
        "def case(number):\n"
        "    if number == 1: os.abort()\n"
        "    if number == 2: time.sleep(100)\n"
        "    return ('row', 'fine', str(number))\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(workers, "SECONDS", 1)
    subject = Odd("odd", 5, ("fine",), ("hang", "crash"))
    found = outcomes(subject, 5, workers=2)
    assert [outcome.kind for outcome in found] == ["fine", "crash", "hang", "fine", "fine"]
    told = tell(subject, found)
    assert "| all  | 3    | 1    | 1     |" in told
    assert "again: python -m benchmarks.reliability odd 1 2" in told


def test_a_case_can_be_run_again():
    command = [sys.executable, "-m", "benchmarks.reliability", "files", "3"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert said.startswith("3: ")
    assert files.case(3).group in said


# -- arguments of fit ------------------------------------------------------------------------------

FLOATS = [np.float16, np.float32, np.float64]
TYPES = [*FLOATS, np.int64, np.uint8, bool, object]


@st.composite
def calls(draw):
    """Arguments of `fit`: mostly sensible, often odd."""
    rows = draw(st.integers(0, 40))
    features = draw(st.sampled_from([3, 3, 3, 3, 2]))
    rng = np.random.default_rng(draw(st.integers(0, 5)))
    x = rng.uniform(0, 5, (rows, features)).astype(draw(st.sampled_from(TYPES)))
    y = rng.integers(0, draw(st.sampled_from([2, 2, 2, 3])), rows)
    y = y.astype(draw(st.sampled_from([np.int64, np.int8, np.uint8, np.float32, bool])))
    if draw(st.booleans()) and rows and x.dtype.kind == "f":
        x[draw(st.integers(0, rows - 1)), 0] = draw(st.sampled_from([np.nan, np.inf, 0, 1]))
    options = {"epochs": draw(st.integers(0, 2)), "batch_size": draw(st.integers(0, 50))}
    if draw(st.booleans()):
        options["accumulate"] = draw(st.integers(0, 5))
    if draw(st.booleans()):
        options["drop_last"] = draw(st.booleans())
    if draw(st.booleans()):
        options["validation_split"] = draw(st.sampled_from([0.0, 0.01, 0.3, 0.99, 1.0, -0.5]))
    if draw(st.booleans()):
        length = draw(st.sampled_from([rows, rows, rows, rows + 1]))
        options["sample_weight"] = rng.uniform(draw(st.sampled_from([0, 0, -1])), 1, length)
    if draw(st.booleans()):
        options["sample_weight"] = np.zeros(rows)
    if draw(st.booleans()):
        options["class_weight"] = draw(
            st.sampled_from([{0: 2}, [1, 3], {7: 1.0}, {0: -1}, {0: np.nan}, {}, {0: 0, 1: 0}])
        )
    dtype = draw(st.sampled_from(FLOATS[1:]))
    return x, y, options, dtype


@pytest.mark.filterwarnings("ignore:all sample weights:nnlite.ModelWarning")  # fit works then
@settings(
    max_examples=300, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(calls())
def test_fit_works_or_refuses_before_the_first_update(call):
    x, y, options, dtype = call
    net = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 2)).astype(dtype)
    trainer = nn.Trainer(net, nn.CrossEntropyLoss(), nn.Adam(net.parameters()),
                         metrics=[nn.Accuracy()], rng=0)  # fmt: skip
    before, rng = net.state_dict(), trainer.rng.bit_generator.state
    masks = net[1].rng.bit_generator.state
    try:
        history = trainer.fit(x, y, verbose=False, **options)
    except (ValueError, TypeError):
        assert trainer.optimizer.steps == 0
        for name, value in net.state_dict().items():
            np.testing.assert_array_equal(value, before[name])
        assert trainer.rng.bit_generator.state == rng
        assert net[1].rng.bit_generator.state == masks
    else:
        assert history.epochs == options["epochs"]
        assert np.isfinite(history["loss"]).all()
        assert all(np.isfinite(p.data).all() for p in net.parameters())
