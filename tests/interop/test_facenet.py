"""Three nets that find faces, from files that others have written in 2019."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import nnlite as nn

torch = pytest.importorskip("torch")
F = torch.nn.functional
FOUND = find_spec("facenet_pytorch")  # it is not imported: it wants an old PyTorch
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOUND is None, reason="facenet_pytorch is not installed"),
]


def block(channels, features, kernel, pool=None):
    layers = [nn.Conv2d(channels, features, kernel), nn.PReLU(features)]
    return [*layers, nn.MaxPool2d(pool, 2, ceil_mode=True)] if pool else layers


def dense(values, features):
    # its rows are (width, height, channels)
    return [nn.Permute(2, 1, 3), nn.Flatten(), nn.Linear(values, features), nn.PReLU(features)]


def heads(layer, features, *sizes):
    first = nn.Sequential(layer(features, 2), nn.Softmax())
    return nn.Concat(first, *(layer(features, size) for size in sizes))


def pointwise(channels, features):
    return nn.Conv2d(channels, features, 1)


def p_net():
    return nn.Sequential(
        *block(3, 10, 3, 2), *block(10, 16, 3), *block(16, 32, 3), heads(pointwise, 32, 4)
    )


def r_net():
    convolutions = *block(3, 28, 3, 3), *block(28, 48, 3, 3), *block(48, 64, 2)
    return nn.Sequential(*convolutions, *dense(576, 128), heads(nn.Linear, 128, 4))


def o_net():
    convolutions = *block(3, 32, 3, 3), *block(32, 64, 3, 3), *block(64, 64, 3, 2)
    last = block(64, 128, 2)
    return nn.Sequential(*convolutions, *last, *dense(1152, 256), heads(nn.Linear, 256, 4, 10))


def in_pytorch(state, x, pools, outputs):
    """What facenet_pytorch computes of images with the channels first."""

    def layer(function, x, name):
        return function(x, state[f"{name}.weight"], state[f"{name}.bias"])

    number = 0
    for number, pool in enumerate(pools, 1):
        x = F.prelu(layer(F.conv2d, x, f"conv{number}"), state[f"prelu{number}.weight"])
        x = F.max_pool2d(x, pool, 2, ceil_mode=True) if pool else x
    number += 1
    if "conv4_1.weight" in state:
        found = [layer(F.conv2d, x, f"conv4_{i}") for i in (1, 2)]
    else:
        x = layer(F.linear, x.permute(0, 3, 2, 1).flatten(1), f"dense{number}")
        x = F.prelu(x, state[f"prelu{number}.weight"])
        found = [layer(F.linear, x, f"dense{number + 1}_{i}") for i in range(1, outputs + 1)]
    return torch.cat([found[0].softmax(1), *found[1:]], 1)


NETS = {
    "pnet": (p_net, 40, (2, None, None), 2),
    "rnet": (r_net, 24, (3, 3, None), 2),
    "onet": (o_net, 48, (3, 3, 2, None), 3),
}


@pytest.mark.parametrize("name", NETS)
def test_faces(name):
    build, size, pools, outputs = NETS[name]
    path = Path(FOUND.submodule_search_locations[0], "data", f"{name}.pt")
    model = build()
    report = nn.interop.load_torch(model, path)
    assert (report.missing, report.left_over) == ([], [])
    x = np.random.default_rng(0).uniform(-1, 1, (4, size, size, 3)).astype(np.float32)
    state = torch.load(path, weights_only=True)
    with torch.no_grad():
        expected = in_pytorch(state, torch.from_numpy(x).movedim(-1, 1), pools, outputs)
    expected = expected.movedim(1, -1).numpy()
    np.testing.assert_allclose(model.predict(x), expected, rtol=2e-5, atol=2e-5)
    back = nn.interop.to_torch(model.eval())(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(back, expected, rtol=2e-5, atol=2e-5)
