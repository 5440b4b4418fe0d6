"""Jacobians: the matrix, its structure, and softmax with cross entropy collapsing to (p − y)/N."""

import numpy as np
import pytest

import nnlite as nn

X = np.random.default_rng(0).standard_normal((3, 4))


@pytest.mark.parametrize(
    ("make", "structure"),
    [
        (nn.Tanh, "diagonal"),
        (nn.Identity, "diagonal"),
        (nn.Dropout, "diagonal"),
        (nn.Softmax, "dense within a sample"),
        (lambda: nn.Linear(4, 2), "dense within a sample"),
        (lambda: nn.Concat(nn.Identity(), nn.Linear(4, 4)), "block diagonal per sample"),
        (lambda: nn.GLU(), "sparse"),
        (lambda: nn.Lambda(lambda x: 0 * x, lambda g, x: 0 * g), "zero"),
        (lambda: nn.Lambda(lambda x: x - x.mean(0), lambda g, x: g - g.mean(0)), "sparse"),
        (lambda: nn.Lambda(lambda x: x - x.mean(), lambda g, x: g - g.mean()), "dense"),
    ],
)
def test_structure(make, structure):
    found = nn.jacobian(make(), X, check=True)
    assert found.structure == structure
    assert structure in repr(found)


def test_inputs_are_counted_in_words():
    x = np.arange(6.0).reshape(1, 6, 1)
    assert nn.jacobian(nn.MaxPool1d(2), x).description.endswith("depends on 1 input")
    assert nn.jacobian(nn.AvgPool1d(2), x).description.endswith("depends on 2 inputs")
    assert nn.jacobian(nn.AvgPool1d(3, padding=1), x).description.endswith("on 2 to 3 inputs")


def test_the_matrix_of_a_linear_layer_is_its_weight():
    layer = nn.Linear(4, 2)
    found = nn.jacobian(layer, X)
    np.testing.assert_allclose(found.block(1), layer.weight.data.T, rtol=1e-6)
    assert found.matrix.shape == (6, 12)


def test_batched_rows_are_the_single_ones():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    found = nn.jacobian(model, X)
    probe = model.astype(np.float64)
    for k in range(9):
        unit = np.zeros((3, 3))
        unit.flat[k] = 1
        probe(X)
        np.testing.assert_allclose(found.matrix[k], probe.backward(unit).ravel(), atol=1e-12)


def test_softmax_and_cross_entropy_collapse():
    y = np.array([0, 3, 1])
    p = nn.Softmax()(X)
    d_p = np.where(np.arange(4) == y[:, None], -1 / p, 0) / 3  # of −log p_t, averaged over N = 3
    by_the_chain = (d_p.ravel() @ nn.jacobian(nn.Softmax(), X).matrix).reshape(3, 4)
    loss = nn.CrossEntropyLoss()
    loss(X, y)
    np.testing.assert_allclose(by_the_chain, loss.backward(), rtol=1e-10)
    np.testing.assert_allclose(by_the_chain, (p - np.eye(4)[y]) / 3, rtol=1e-10)


def test_check_compares_with_differences():
    wrong = nn.Lambda(np.tanh, lambda g, x: g)
    assert nn.jacobian(wrong, X).structure == "diagonal"
    with pytest.raises(nn.GradientError, match="differs from differences"):
        nn.jacobian(wrong, X, check=True)


class Centered(nn.Layer):
    """y = 2 x, whose backward takes the mean over the batch out, though forward does not."""

    def forward(self, x):
        self.save_for_backward()
        return 2 * x

    def backward(self, grad_output):
        self.saved()
        return 2 * (grad_output - grad_output.mean(axis=0))


def test_a_backward_that_mixes_samples_is_seen():
    found = nn.jacobian(Centered(), X)
    assert "samples influence each other" in found.description
    assert "backward alone mixes them: forward gives row 0 from row 0 only" in found.description
    np.testing.assert_allclose(found.matrix[0, 4], -2 / 3)
    with pytest.raises(nn.GradientError, match="differs from differences"):
        nn.jacobian(Centered(), X, check=True)


def test_who_mixes_samples_is_named():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    found = nn.jacobian(model, X, check=True)
    assert "forward mixes the batch, as BatchNorm1d does while training" in found.description
    assert "mixes" not in nn.jacobian(model.eval(), X, check=True).description


SEQUENCES = np.random.default_rng(1).standard_normal((2, 4, 3))


@pytest.mark.parametrize(
    ("make", "structure"),
    [
        (lambda: nn.GRU(3, 2), "lower triangular over time"),
        (lambda: nn.MultiHeadAttention(3, 1, causal=True), "lower triangular over time"),
        (lambda: nn.MultiHeadAttention(3, 1), "dense within a sample"),
        (lambda: nn.Bidirectional(nn.RNN(3, 2)), "block diagonal per sample"),
        (lambda: nn.Linear(3, 2), "block diagonal over time"),
        (nn.Tanh, "diagonal"),
        (lambda: nn.LSTM(3, 2, return_sequences=False), "dense within a sample"),
        (
            lambda: nn.Lambda(lambda x: x[:, ::-1].cumsum(1)[:, ::-1], lambda g, x: g.cumsum(1)),
            "upper triangular over time",
        ),
    ],
)
def test_structure_over_time(make, structure):
    nn.seed(0)
    layer = make()
    assert nn.jacobian(layer, SEQUENCES, check=True).structure == structure
    if not isinstance(layer, nn.Lambda):
        padded = nn.jacobian(layer, nn.Padded(SEQUENCES, [4, 2]), check=True)
        assert padded.structure == structure
        columns = padded.matrix.reshape(-1, 2, 4, 3)
        assert not columns[:, 1, 2:].any()
        assert columns[:, 1, :2].any()


def test_a_gradient_that_is_another_one_on_purpose_is_not_compared():
    layer = nn.Lambda(np.sign, lambda g, x: g)
    layer.surrogate = "sign has no slope; straight through"
    found = nn.jacobian(nn.Sequential(nn.Linear(4, 4), layer), X, check=True)
    assert "on purpose not the derivative: sign has no slope" in found.description


def test_several_inputs_are_refused_in_words():
    with pytest.raises(TypeError, match="look at the layers inside Parallel"):
        nn.jacobian(nn.Join(), (X, X))


def test_bad_input():
    with pytest.raises(TypeError, match="x must hold floats"):
        nn.jacobian(nn.Identity(), np.ones((2, 2), int))
    with pytest.raises(ValueError, match="too many"):
        nn.jacobian(nn.Identity(), np.ones((100, 100)))


KINKS = np.array([[0.0, 1.0, -1.0, 0.0], [2.0, 0.0, 0.0, -3.0]])


@pytest.mark.parametrize("make", [nn.ReLU, nn.LeakyReLU, nn.HardTanh, lambda: nn.MaxPool1d(2)])
def test_kinks_and_ties_are_no_mistakes(make):
    x = KINKS[:, :, None] if make not in (nn.ReLU, nn.LeakyReLU, nn.HardTanh) else KINKS
    nn.jacobian(make(), x, check=True)


def test_what_is_outside_of_both_sides_of_a_kink_is_a_mistake():
    steep = nn.Lambda(lambda x: np.maximum(x, 0), lambda g, x: g * np.where(x == 0, 1.5, x > 0))
    with pytest.raises(nn.GradientError, match="differs from differences"):
        nn.jacobian(steep, KINKS, check=True)
