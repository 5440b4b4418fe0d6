"""Where maxima are is what PyTorch says."""

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of

import nnlite as nn

torch = pytest.importorskip("torch")
F = torch.nn.functional

# PyTorch's padding is even, and at most half of the kernel's size, whatever the dilation.
OURS_ALONE = ("uneven", "causal", "dilation padding")
POOLS = [
    name
    for name, case in LAYERS.items()
    if isinstance(case.make(), nn.MaxPool1d | nn.MaxPool2d) and not name.endswith(OURS_ALONE)
]
ADAPTIVE = [name for name in LAYERS if name.startswith("AdaptiveMaxPool")]


def with_ties(name):
    return np.round(layer_input(LAYERS[name], np.float32) / 3)


def assert_same_places(layer, x, pooled):
    layer.return_indices = True
    y, places = layer(x)
    expected, indices = pooled(torch.tensor(np.moveaxis(x, -1, 1)))
    np.testing.assert_array_equal(np.moveaxis(y, -1, 1), expected)
    np.testing.assert_array_equal(np.moveaxis(places, -1, 1), indices)
    d_x = layer.backward((np.ones_like(y), None))
    counts = np.zeros((len(x), x[0].size // x.shape[-1], x.shape[-1]))
    for (n, *_, c), place in np.ndenumerate(places):
        counts[n, place, c] += 1
    np.testing.assert_array_equal(d_x, counts.reshape(x.shape))


@pytest.mark.parametrize("name", POOLS)
def test_indices_of_windows(name):
    layer = layer_of(LAYERS[name], np.float32)
    function = F.max_pool1d if layer.spatial == 1 else F.max_pool2d
    options = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    given = {option: getattr(layer, option) for option in options}
    assert_same_places(layer, with_ties(name), lambda x: function(x, **given, return_indices=True))


@pytest.mark.parametrize("name", ADAPTIVE)
def test_indices_of_adaptive_windows(name):
    layer = layer_of(LAYERS[name], np.float32)
    function = F.adaptive_max_pool1d if layer.spatial == 1 else F.adaptive_max_pool2d
    size = layer.output_size
    assert_same_places(layer, with_ties(name), lambda x: function(x, size, return_indices=True))
