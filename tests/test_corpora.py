"""The corpora hold what they say: right is right and wrong is wrong, by slopes of their own."""

import numpy as np
import pytest
from corpora import by_hand, right, trainings, truth, wrong

import nnlite as nn


@pytest.fixture(autouse=True)
def any_floats():
    with np.errstate(all="ignore"):  # slopes reach past what the layers are made for
        yield


def by_name(entries):
    return pytest.mark.parametrize("entry", entries, ids=[entry.name for entry in entries])


def test_sizes_and_names():
    for entries, least in [
        (right.LAYERS + right.LOSSES, 70),
        (wrong.LAYERS, 200),
        (wrong.LOSSES, 30),
        (trainings.SICK, 12),
        (trainings.HEALTHY, 10),
    ]:
        names = [entry.name for entry in entries]
        assert len(set(names)) == len(names) >= least


@pytest.mark.slow  # what stands there changes rarely
@by_name(right.LAYERS)
def test_right_layers_are_right(entry):
    errors = truth.layer_errors(entry.make(), entry.x, entry.kinks, entry.step)
    assert max(errors.values()) < truth.TOLERANCE
    assert not truth.broken_promises(entry.make(), entry.x, entry.kinks, entry.step)


@by_name(right.LOSSES)
def test_right_losses_are_right(entry):
    error = truth.loss_error(
        entry.make(), entry.prediction, entry.target, kinks=entry.kinks, step=entry.step
    )
    assert error < truth.LOSS_TOLERANCE
    assert not truth.broken_loss_promises(entry.make(), entry.prediction, entry.target)


BY_HAND = by_hand.EXAMPLES | by_hand.PARTS


@pytest.mark.slow  # what stands there changes rarely
@pytest.mark.parametrize("kind", BY_HAND, ids=lambda kind: kind.__name__)
def test_the_layers_that_mistakes_are_made_in_are_right(kind):
    args, x = BY_HAND[kind]
    layer = kind(*(args() if callable(args) else args))
    assert max(truth.layer_errors(layer, x).values()) < truth.TOLERANCE
    assert not truth.broken_promises(layer, x)


@pytest.mark.parametrize("kind", by_hand.PAIRS, ids=lambda kind: kind.__name__)
def test_the_losses_that_mistakes_are_made_in_are_right(kind):
    prediction, target = by_hand.PAIRS[kind]
    weight = None if kind is by_hand.DiceLoss else np.arange(1.0, len(prediction) + 1)
    assert truth.loss_error(kind(), prediction, target) < truth.LOSS_TOLERANCE
    assert truth.loss_error(kind(), prediction, target, weight) < truth.LOSS_TOLERANCE
    assert not truth.broken_loss_promises(kind(), prediction, target)


@pytest.mark.slow
@by_name(wrong.LAYERS)
def test_wrong_layers_are_wrong(entry):
    try:
        errors = truth.layer_errors(entry.make(), entry.x)
        wrong_numbers = max(errors.values()) > truth.TOLERANCE
        assert wrong_numbers or truth.broken_promises(entry.make(), entry.x)
    except ValueError as error:  # arrays that do not fit together
        assert "shape" in str(error) or "dimension" in str(error)  # noqa: PT017
    assert entry.causes


@by_name(wrong.LOSSES)
def test_wrong_losses_are_wrong(entry):
    loss, prediction, target = entry.make(), entry.prediction, entry.target
    weight = np.arange(1.0, len(prediction) + 1)
    assert (
        truth.loss_error(loss, prediction, target) > truth.LOSS_TOLERANCE
        or truth.broken_loss_promises(entry.make(), prediction, target)
        or truth.loss_error(entry.make(), prediction, target, weight) > truth.LOSS_TOLERANCE
    )
    assert entry.causes


def test_the_truth_can_fail():
    """At a tie and at a kink, no gradient outside the two slopes passes."""
    x = np.array([[1.0, 1.0, 0.5]])
    paid_twice = nn.Lambda(
        lambda x: x.max(axis=1, keepdims=True), lambda g, x: g * (x == x.max(axis=1, keepdims=True))
    )
    assert truth.layer_errors(paid_twice, x, kinks=True)["x"] > 0.1
    steep = nn.Lambda(np.abs, lambda g, x: g * np.where(x == 0, 1.5, np.sign(x)))
    assert truth.layer_errors(steep, np.zeros((1, 2)), kinks=True)["x"] > 0.1
    nearly = nn.Lambda(np.square, lambda g, x: g * 2 * x * (1 + 1e-6))
    assert truth.layer_errors(nearly, x)["x"] > truth.TOLERANCE


@by_name(trainings.SICK)
def test_sick_trainings_are_sick(entry):
    """Without the cause, the same training ends with a much lower loss."""
    _, sick = trainings.run(entry.make(sick=True))
    _, cured = trainings.run(entry.make(sick=False))
    assert cured < (0.7 * sick if np.isfinite(sick) else np.inf)
    assert entry.causes


@by_name(trainings.HEALTHY)
def test_healthy_trainings_learn(entry):
    before, after = trainings.run(entry.make())
    assert after < 0.6 * before
