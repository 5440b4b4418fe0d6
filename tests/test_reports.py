"""What users of other libraries reported as wrong, and what is right here."""

import math
import re

import numpy as np
import pytest

import nnlite as nn

HIDDEN = np.ma.masked_array(np.ones((4, 1), np.float32), mask=[[0], [1], [0], [1]])
PLAIN = np.ones((4, 1), np.float32)


def model_and_trainer(loss, *metrics):
    model = nn.Sequential(nn.Linear(1, 1))
    return model, nn.Trainer(model, loss, nn.SGD(model.parameters(), lr=0.1), metrics)


@pytest.mark.parametrize(
    ("call", "variable"),
    [
        (lambda: nn.Linear(1, 1)(HIDDEN), "x"),
        (lambda: nn.Embedding(2, 1)(HIDDEN.astype(int)), "x"),
        (lambda: nn.MSELoss()(HIDDEN, PLAIN), "prediction"),
        (lambda: nn.MSELoss()(PLAIN, HIDDEN), "target"),
        (lambda: nn.MSELoss()(PLAIN, PLAIN, HIDDEN), "sample_weight"),
        (lambda: nn.CrossEntropyLoss()(np.eye(4), HIDDEN[:, 0].astype(int)), "target"),
        (lambda: nn.Accuracy().update(PLAIN, HIDDEN), "target"),
        (lambda: nn.TopKAccuracy(2).update(np.eye(4), HIDDEN[:, 0].astype(int)), "target"),
        (lambda: nn.R2().update(HIDDEN, PLAIN), "prediction"),
        (lambda: nn.MeanAbsoluteError().update(PLAIN, PLAIN, HIDDEN), "sample_weight"),
        (lambda: model_and_trainer(nn.MSELoss())[1].fit(PLAIN, HIDDEN, verbose=False), "y"),
        (lambda: model_and_trainer(nn.MSELoss())[1].train_step(PLAIN, HIDDEN), "target"),
        (lambda: nn.pad_sequences([HIDDEN]), "sequence"),
    ],
)
def test_a_mask_is_never_dropped_in_silence(call, variable):
    hint = ", and give sample_weight=~y.mask".replace("y.", f"{variable}.")
    told = f"masked entries; fill them: {variable}.filled(0)"
    told += hint * (variable in ("y", "target"))
    with pytest.raises(ValueError, match=f"{re.escape(told)}$"):
        call()


def test_what_the_error_about_masked_targets_advises():
    y = np.ma.masked_array(PLAIN * [[1], [99], [3], [99]], mask=HIDDEN.mask)
    shown = y.filled(0).astype(np.float32)
    loss = nn.MSELoss()
    assert loss(np.zeros_like(PLAIN), shown, ~y.mask) == 5
    _, trainer = model_and_trainer(loss, nn.MeanAbsoluteError())
    trainer.model.load_state_dict({k: 0 * v for k, v in trainer.model.state_dict().items()})
    measured = trainer.evaluate(PLAIN, shown, sample_weight=~y.mask)
    assert measured == {"loss": 5, "mean_absolute_error": 2}


def test_an_array_that_is_only_a_view_of_another_kind_is_an_array(tmp_path):
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(4, 1))
    whole = np.ma.masked_array(PLAIN)  # nothing is masked
    for kind in (mapped, whole):
        assert nn.MSELoss()(kind, kind) == 0
        assert nn.Linear(1, 2)(kind).shape == (4, 2)


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.BCEWithLogitsLoss(), nn.HuberLoss()])
def test_half_precision_is_refused_before_its_sum_overflows(loss):
    ones = np.ones((300, 300), np.float16)
    told = r"must be float32 or float64, got dtype float16; convert with np.asarray\(prediction"
    with pytest.raises(TypeError, match=told):
        loss(ones, ones)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_a_focal_loss_of_a_certain_class_has_no_gradient(gamma):
    loss = nn.FocalLoss(gamma=gamma)
    certain = np.array([[200, 0, 0], [1000, 0, 0]], np.float32)
    assert loss(certain, np.array([0, 0])) == 0
    np.testing.assert_array_equal(loss.backward(), 0)


@pytest.mark.parametrize("size", [1e30, 1e-30])
def test_a_norm_beyond_float32_is_clipped_rightly(size):
    weight = nn.Parameter(np.zeros(4))
    weight.grad = np.full(4, size)
    nn.SGD([weight], lr=1.0, clip_norm=1.0).step()
    np.testing.assert_allclose(weight.data, -min(0.5, size), rtol=1e-6)


def test_a_layer_in_eval_mode_stays_so_in_fit():
    model = nn.Sequential(nn.Linear(1, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
    model[1].eval()
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
    trainer.fit(PLAIN, PLAIN, epochs=2, verbose=False)
    np.testing.assert_array_equal(model[1].running_mean.data, 0)
    assert not model[1].training


def test_an_impossible_class_is_no_part_of_the_gradient():
    loss = nn.CrossEntropyLoss()
    value = loss(np.array([[-np.inf, 0.0, 1.0]]), np.array([1]))
    assert value == pytest.approx(math.log(1 + math.e))
    share = math.e / (1 + math.e)
    np.testing.assert_allclose(loss.backward(), [[0, -share, share]])


@pytest.mark.parametrize("layer", [nn.LayerNorm(16), nn.GroupNorm(1, 16), nn.BatchNorm1d(16)])
def test_a_mean_far_from_zero_costs_only_the_digits_it_must(layer):
    x = (1e4 + np.random.default_rng(0).normal(size=(64, 16))).astype(np.float32)
    right = nn.clone(layer).astype(np.float64)(x.astype(np.float64))
    # A unit of float32 at 1e4 is 1e-3; mean x² − (mean x)² would be wrong by units at 1e8, 8 each.
    np.testing.assert_allclose(layer(x), right, atol=5e-3)
