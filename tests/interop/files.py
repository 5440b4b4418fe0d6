"""What the tests of models in files share."""

from contextlib import contextmanager

import numpy as np

import nnlite as nn


def net(seed):
    """A small net of images, with values of its own in all that it has."""
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    rng = np.random.default_rng(seed)
    for part in (*model.parameters(), *model.buffers()):
        part.data = rng.uniform(0.5, 1.5, part.shape).astype(np.float32)
    return model


def image_net():
    """A net whose ways part and meet, for images (N, 6, 4, 3)."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Residual(nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.GELU())),
        nn.Concat(nn.Conv2d(4, 2, 1), nn.Identity()),
        nn.Flatten(),
        nn.Linear(36, 5),
    )


def images(*shape):
    """Normal values, the same each time."""
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@contextmanager
def changed(model, *paths):
    """Inside, these arrays of the model change and no others do."""
    before = model.state_dict()
    yield
    after = model.state_dict()
    assert {p for p in before if not np.array_equal(before[p], after[p])} == set(paths)
