"""Layers with the same weights as in PyTorch return the same outputs and gradients."""

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of

from reference.compare import assert_close

torch = pytest.importorskip("torch")
F = torch.nn.functional


def linear(x, weight, bias=None):
    return F.linear(x, weight.T, bias)


def mlp(x, w1, b1, w2, b2):
    return linear(torch.tanh(linear(x, w1, b1)), w2, b2)


def identity(x):
    return x


def rows(x):
    return x.flatten(1)


def per_channel(x, weight):
    return F.prelu(x.movedim(-1, 1), weight).movedim(1, -1)


def with_shortcut(x, *weights):
    return mlp(x, *weights[:4]) + linear(x, *weights[4:])


def concat(x, weight, bias, *weights):
    return torch.cat([linear(x, weight, bias), x, mlp(x, *weights)], -1)


def add(x, w1, b1, *weights):
    return linear(x, w1, b1) + mlp(x, *weights[:4]) + linear(x, *weights[4:])


REFERENCE = {
    "Linear": linear,
    "Linear batch 1": linear,
    "Linear no bias": linear,
    "Linear 1 to 1": linear,
    "Linear time": linear,
    "Linear initializers": linear,
    "Identity": identity,
    "Flatten": rows,
    "Flatten rows": rows,
    "Reshape": lambda x: x.reshape(-1, 3, 4),
    "Reshape inferred": lambda x: x.reshape(len(x), -1, 2),
    "Permute": lambda x: x.permute(0, 3, 1, 2),
    "Dropout eval": lambda x: F.dropout(x, 0.3, training=False),
    "Dropout 0": lambda x: F.dropout(x, 0.0),
    "Elementwise": lambda x: x**3,
    "Lambda": torch.square,
    "ReLU": F.relu,
    "ReLU large": F.relu,
    "LeakyReLU": F.leaky_relu,
    "LeakyReLU steep": lambda x: F.leaky_relu(x, 1.5),
    "PReLU": F.prelu,
    "PReLU per channel": per_channel,
    "ReLU6": F.relu6,
    "ELU": F.elu,
    "ELU alpha": lambda x: F.elu(x, 0.5),
    "SELU": F.selu,
    "CELU": F.celu,
    "CELU alpha": lambda x: F.celu(x, 0.3),
    "GELU": F.gelu,
    "GELU tanh": lambda x: F.gelu(x, approximate="tanh"),
    "SiLU": F.silu,
    "Mish": F.mish,
    "Sigmoid": torch.sigmoid,
    "HardSigmoid": F.hardsigmoid,
    "HardSwish": F.hardswish,
    "Tanh": torch.tanh,
    "HardTanh": F.hardtanh,
    "HardTanh bounds": lambda x: F.hardtanh(x, -0.5, 2.0),
    "Softplus": F.softplus,
    "Softplus beta": lambda x: F.softplus(x, 3.0),
    "Softsign": F.softsign,
    "LogSigmoid": F.logsigmoid,
    "Softmax": lambda x: F.softmax(x, -1),
    "Softmax axis": lambda x: F.softmax(x, 1),
    "LogSoftmax": lambda x: F.log_softmax(x, -1),
    "LogSoftmax axis": lambda x: F.log_softmax(x, 1),
    "GLU": F.glu,
    "GLU axis": lambda x: F.glu(x, 1),
    "Sequential": mlp,
    "Sequential empty": identity,
    "Residual": lambda x, w, b: torch.tanh(linear(x, w, b)) + x,
    "Residual shortcut": with_shortcut,
    "Concat": concat,
    "Concat one": linear,
    "Add": add,
    "Add one": identity,
}
# PyTorch draws other masks from the same seed.
WITHOUT_COUNTERPART = {"Dropout", "Sequential nested"}
# PyTorch's gradient cancels where x is large.
IN_DOUBLE = {"Softsign"}


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
