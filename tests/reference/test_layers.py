"""Layers with the same weights as in PyTorch return the same outputs and gradients."""

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of

from reference.compare import assert_close

torch = pytest.importorskip("torch")
core = pytest.importorskip("reference.core")
attention = pytest.importorskip("reference.attention")
convolution = pytest.importorskip("reference.convolution")
normalization = pytest.importorskip("reference.normalization")
pooling = pytest.importorskip("reference.pooling")
sequences = pytest.importorskip("reference.sequences")

SUBJECTS = (core, convolution, pooling, normalization, sequences, attention)
REFERENCE = {name: layer for subject in SUBJECTS for name, layer in subject.REFERENCE.items()}
WITHOUT_COUNTERPART = set().union(
    *(getattr(subject, "WITHOUT_COUNTERPART", ()) for subject in SUBJECTS)
)
IN_DOUBLE = core.IN_DOUBLE


def compare(name, x):
    """Outputs and all gradients of one row, from random weights and a random dL/dy."""
    precision = torch.float64 if name in IN_DOUBLE else torch.float32
    rng = np.random.default_rng(1)
    layer = layer_of(LAYERS[name], np.float32)
    for parameter in layer.parameters():
        parameter.data = rng.standard_normal(parameter.shape)
    arrays = [x, *(parameter.data for parameter in layer.parameters())]
    tensors = [torch.tensor(a, dtype=precision, requires_grad=True) for a in arrays]

    y, expected = layer(x), REFERENCE[name](*tensors)
    grad_output = rng.standard_normal(y.shape).astype(np.float32)
    d_x = layer.backward(grad_output)
    expected.backward(torch.tensor(grad_output, dtype=precision))

    assert_close(y, expected.float(), "outputs")
    names = ["input", *layer.named_parameters()]
    gradients = [d_x, *(parameter.grad for parameter in layer.parameters())]
    for what, gradient, tensor in zip(names, gradients, tensors, strict=True):
        assert_close(gradient, tensor.grad.float(), f"gradients of {what}")


def test_every_row_has_a_counterpart_or_is_excused():
    assert LAYERS.keys() - WITHOUT_COUNTERPART == REFERENCE.keys()


@pytest.mark.parametrize("name", REFERENCE)
def test_outputs_and_gradients(name):
    compare(name, layer_input(LAYERS[name], np.float32))


@pytest.mark.parametrize("size", [1e-3, 30, 1e4])
@pytest.mark.parametrize("name", [n for n in REFERENCE if LAYERS[n].whole_range])
def test_outputs_and_gradients_of_small_and_large_values(name, size):
    compare(name, size * layer_input(LAYERS[name], np.float32))


@pytest.mark.parametrize("name", [n for n in REFERENCE if LAYERS[n].kinks])
def test_gradients_at_the_kinks(name):
    case = LAYERS[name]
    compare(name, np.resize(np.array(case.kinks, np.float32), case.shape))
