"""What the tests of weights in files share."""

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


@contextmanager
def changed(model, *paths):
    """Inside, these arrays of the model change and no others do."""
    before = model.state_dict()
    yield
    after = model.state_dict()
    assert {p for p in before if not np.array_equal(before[p], after[p])} == set(paths)
