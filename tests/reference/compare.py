"""How close two results have to be."""

import numpy as np

# PyTorch's NAdam keeps a product of momenta in float32, whatever the weights are.
TOLERANCE = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): 1e-7}

worst: dict[str, float] = {}  # the largest share seen, by dtype; printed at the end of the run


def assert_close(ours, theirs, what="values"):
    """An array against a tensor: equal to within a share of the tensor's largest value."""
    ours, expected = np.asarray(ours), theirs.detach().numpy()
    assert ours.dtype == expected.dtype
    assert ours.shape == expected.shape
    largest = np.abs(expected).max(initial=0)
    error = np.abs(ours - expected).max(initial=0)
    share = float(error / largest) if largest else 0.0
    worst[expected.dtype.name] = max(worst.get(expected.dtype.name, 0.0), share)
    assert error <= TOLERANCE[expected.dtype] * largest, f"{what} differ by {error:.2g}"
