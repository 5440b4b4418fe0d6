"""Processes that are killed, files that are damaged, and arguments that nobody thought of."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import nnlite as nn
from benchmarks.reliability import damages, kills


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    assert kills(3, tmp_path, seed=1).same == 3


@pytest.mark.slow
def test_fifty_killed_runs_resume_to_the_same_weights(tmp_path):
    result = kills(50, tmp_path)
    assert result.same == 50
    assert result.while_writing > 0


def test_damaged_checkpoints_are_refused_or_harmless(tmp_path):
    result = damages(1000, tmp_path)
    assert sum(result) == 1000
    assert result.refused > 900


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
