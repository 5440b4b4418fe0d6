"""Which place the right class has among all, by their scores."""

from __future__ import annotations

import numpy as np

from nnlite.ops.engine import twin


@twin
def ranks(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """How many classes are ahead of the row's own one, (R,), of scores (R, C).

    Ahead is what is not below it (NaN too), and of equals the earlier ones.
    """
    own = np.take_along_axis(scores, classes[:, None], axis=-1)
    earlier = np.arange(scores.shape[1]) < classes[:, None]
    ahead = ~(scores <= own) | ((scores == own) & earlier)
    return ahead.sum(axis=-1)
