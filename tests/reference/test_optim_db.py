"""PyTorch's own samples of its optimizers, `optim_db`: how many nnlite has, and that they agree.

    pytest -m slow tests/reference/test_optim_db.py -rP

A sample is a rule and its options. It is expressed when nnlite has the rule and each of these
options; it is equal when both move the same weights along the same path. Flags for how to compute
(foreach, fused, capturable, differentiable) are no options here: no sample has them.
"""

import collections
import types

import numpy as np
import pytest

import nnlite as nn

torch = pytest.importorskip("torch")

STEPS = 20
SHAPES = [(3, 4), (4,), (6, 2), (2, 3, 2)]

# What nnlite does not have, and why.
MISSING = {
    "LBFGS": "fit_lbfgs is SciPy's: another line search, and no optimizer of single steps",
    "SparseAdam": "there are no sparse gradients",
}


@pytest.fixture
def samples(sampling):
    """(name, PyTorch's class, options) of each.

    Numbers that a rule keeps or is given as a tensor are float64, as the weights are here.
    """
    from torch.testing._internal.common_optimizers import optim_db

    return [
        (info.optim_cls.__name__, info.optim_cls, dict(sample.kwargs))
        for info in optim_db
        for sample in info.optim_inputs_func(device="cpu")
    ]


def ours_of(name, options):
    """nnlite's class and options of the same rule."""
    options = {
        key: value.item() if isinstance(value, torch.Tensor) else value
        for key, value in options.items()
    }
    if options.pop("decoupled_weight_decay", False):  # a class of its own
        name += "W"
    return getattr(nn, name), options


def path(optimizer, parameters, give, read):
    """How far each weight has come after each step, on gradients that are always the same."""
    rng = np.random.default_rng(1)
    starts, found = [read(p).copy() for p in parameters], []
    for _ in range(STEPS):
        for p, start in zip(parameters, starts, strict=True):
            give(p, rng.standard_normal(start.shape))
        optimizer.step()
        found.append([read(p) - start for p, start in zip(parameters, starts, strict=True)])
    return found


def both_paths(name, theirs, options):
    """nnlite's path, and PyTorch's.

    Muon is for matrices, which are (out, in) in PyTorch, and computes in bfloat16: here both take
    the precision of the weights.
    """
    cls, own = ours_of(name, options)
    muon = name == "Muon"
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape) for shape in SHAPES if len(shape) == 2 or not muon]
    parameters = [nn.Parameter(array, dtype=np.float64) for array in arrays]
    tensors = [
        torch.tensor(array.T.copy() if muon else array, requires_grad=True) for array in arrays
    ]

    def give(parameter, gradient):
        parameter.grad = gradient

    def give_tensor(tensor, gradient):
        tensor.grad = torch.tensor(gradient.T.copy() if muon else gradient)

    def read(tensor):
        return tensor.detach().numpy().T if muon else tensor.detach().numpy()

    first = path(cls(parameters, **own), parameters, give, lambda p: p.data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
        optimizer = theirs(tensors, **options)
        second = path(optimizer, tensors, give_tensor, read)
    return first, second


def equal(first, second):
    """Whether all weights have come as far after each step, to a billionth of the longest way."""
    return all(
        np.abs(a - b).max() <= 1e-9 * np.abs(b).max()
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.slow
def test_the_samples_of_optim_db(samples, capsys):
    counts, different = collections.defaultdict(lambda: types.SimpleNamespace(all=0, same=0)), []
    for name, theirs, options in samples:
        counts[name].all += 1
        if name in MISSING:
            continue
        if equal(*both_paths(name, theirs, options)):
            counts[name].same += 1
        else:
            different.append((name, options))
    same, every = (sum(getattr(c, part) for c in counts.values()) for part in ("same", "all"))
    with capsys.disabled():
        print(f"\noptim_db: {same} of {every} samples are expressed and equal")
        for name, count in counts.items():
            print(f"  {name:<12}{count.same} of {count.all}  {MISSING.get(name, '')}".rstrip())
    assert different == []
    assert same >= 75
    assert same == every - sum(counts[name].all for name in MISSING)
