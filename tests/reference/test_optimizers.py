"""Optimizers move the same weights along the same path as PyTorch's, step by step."""

import functools
import inspect

import numpy as np
import pytest

import nnlite as nn
from reference.compare import assert_close
from reference.optimizer_rows import OPTIONS

torch = pytest.importorskip("torch")

STEPS = 30
SHAPES = [(3, 4), (4,), (2, 3, 2)]


class Lion(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2: PyTorch has none."""

    def __init__(self, parameters, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, maximize=False):
        names = {"lr": lr, "betas": betas, "weight_decay": weight_decay}
        super().__init__(parameters, {**names, "maximize": maximize})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for w in group["params"]:
                if w.grad is not None:
                    g = -w.grad if group["maximize"] else w.grad
                    m = self.state[w].setdefault("m", torch.zeros_like(w))
                    u = torch.sign(beta1 * m + (1 - beta1) * g)
                    w -= group["lr"] * (u + group["weight_decay"] * w)
                    self.state[w]["m"] = beta2 * m + (1 - beta2) * g


class LAMB(torch.optim.Optimizer):
    """You et al. 2020, algorithm 2, line by line: PyTorch has none."""

    def __init__(
        self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.0, maximize=False
    ):
        names = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, {**names, "maximize": maximize})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for x in (p for p in group["params"] if p.grad is not None):
                g = (-x.grad if group["maximize"] else x.grad).numpy()
                zero = np.zeros_like(g)
                t, m, v = self.state[x].get("moments", (0, zero, zero))
                t, m, v = t + 1, beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
                self.state[x]["moments"] = t, m, v
                r = m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + group["eps"])
                u = r + group["weight_decay"] * x.numpy()
                x -= group["lr"] * np.linalg.norm(x.numpy()) / np.linalg.norm(u) * torch.tensor(u)


class Rprop(torch.optim.Rprop):
    """With L2 decay, which PyTorch leaves out."""

    def __init__(self, parameters, weight_decay=0.0, **options):
        super().__init__(parameters, **options)
        for group in self.param_groups:
            group.setdefault("weight_decay", weight_decay)

    def step(self):
        for group in self.param_groups:
            sign = -1 if group["maximize"] else 1
            for p in group["params"]:
                if p.grad is not None:
                    p.grad.add_(p.detach(), alpha=sign * group["weight_decay"])
        super().step()


class ASGD(torch.optim.ASGD):
    """With the rate of this step, where PyTorch's falls from the group's lr of the step before.

    PyTorch keeps rate and share in its default dtype, whatever the weights are.
    """

    def step(self):
        for group in self.param_groups:
            for state in filter(None, (self.state[p] for p in group["params"])):
                falls = 1 + group["lambd"] * group["lr"] * state["step"]
                state["eta"] = group["lr"] / falls ** group["alpha"]
        usual = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        try:
            super().step()
        finally:
            torch.set_default_dtype(usual)


class Muon(torch.optim.Optimizer):
    """PyTorch's Muon for matrices, its AdamW for the rest; in the precision of the weights.

    PyTorch's weights are (out, in), nnlite's (in, out): the rule is the same of a transposed
    matrix, but for the side that s counts from.
    """

    def __init__(self, parameters, **options):
        defaults = {"lr": 1e-3, "weight_decay": 0.1, "betas": (0.9, 0.999), "eps": 1e-7}
        more = {"matrices": True, "maximize": False}
        super().__init__(parameters, defaults | more | options)
        self.parts = [self.parts_of(group) for group in self.param_groups]

    def parts_of(self, group):
        """The optimizers of one group."""
        options = {k: v for k, v in group.items() if k not in ("params", "matrices", "maximize")}
        adamw = {k: v for k, v in options.items() if k in ("lr", "weight_decay", "betas", "eps")}
        del options["betas"]
        matrices = [p for p in group["params"] if p.ndim == 2 and group["matrices"]]
        others = [p for p in group["params"] if p.ndim != 2 or not group["matrices"]]
        return [
            cls(parameters, **chosen)
            for cls, parameters, chosen in (
                (torch.optim.Muon, matrices, options), (torch.optim.AdamW, others, adamw),
            )
            if parameters
        ]  # fmt: skip

    def step(self):
        adjusted = torch.optim._muon._adjust_lr
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
            patch.setattr(
                torch.optim._muon,
                "_adjust_lr",
                lambda lr, way, shape: adjusted(lr, way, shape[::-1]),
            )
            for group, parts in zip(self.param_groups, self.parts, strict=True):
                for p in group["params"]:
                    if p.grad is not None and group["maximize"]:
                        p.grad.neg_()
                for part in parts:
                    part.param_groups[0]["lr"] = group["lr"]
                    part.step()


# For each optimizer the options that exercise most of its state.
RICHEST = {name: rows[-1] for name, rows in OPTIONS.items()}

every_row = pytest.mark.parametrize(
    ("name", "options"),
    [(name, options) for name, rows in OPTIONS.items() for options in rows],
    ids=str,
)
every_optimizer = pytest.mark.parametrize("name", OPTIONS)
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["f32", "f64"])


def theirs_of(name):
    """What makes PyTorch's optimizer."""
    if name in ("NAdamW", "RAdamW"):
        cls = getattr(torch.optim, name.removesuffix("W"))
        return functools.partial(cls, weight_decay=0.01, decoupled_weight_decay=True)
    own = {cls.__name__: cls for cls in (LAMB, Lion, Rprop, ASGD, Muon)}
    return own.get(name) or getattr(torch.optim, name)


def weights(dtype):
    """The same first weights twice, as parameters and as tensors."""
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    return (
        [nn.Parameter(array, dtype=dtype) for array in arrays],
        [torch.tensor(array, requires_grad=True) for array in arrays],
    )


def follow(ours, theirs, parameters, tensors, prepare=lambda: None, frozen=lambda k: ()):
    """Give both the same gradients for `STEPS` steps, and compare the weights after each.

    Args:
        prepare: called before each of PyTorch's steps, such as to clip.
        frozen: the indices of the parameters that stay as they are in step k.
    """
    rng = np.random.default_rng(1)
    starts = [parameter.data.copy() for parameter in parameters]
    exact = parameters[0].dtype == np.float64
    for k in range(STEPS):
        for index, (parameter, tensor) in enumerate(zip(parameters, tensors, strict=True)):
            gradient = rng.standard_normal(parameter.shape).astype(parameter.dtype)
            parameter.grad = gradient
            parameter.trainable = index not in frozen(k)
            tensor.grad = torch.tensor(gradient) if parameter.trainable else None
        prepare()
        ours.step()
        theirs.step()
        for index, (parameter, tensor) in enumerate(zip(parameters, tensors, strict=True)):
            what = f"weights {index} after step {k + 1}"
            assert_close(parameter.data, tensor, what)
            if exact:  # an error in a short way would hide behind the weights
                way = tensor - torch.tensor(starts[index])
                assert_close(parameter.data - starts[index], way, f"ways of {what}")


def test_every_public_optimizer_has_a_row():
    public = {
        name
        for name, value in vars(nn).items()
        if inspect.isclass(value) and issubclass(value, nn.Optimizer) and value is not nn.Optimizer
    }
    assert OPTIONS.keys() == public


@every_optimizer
def test_every_option_is_tried(name):
    tried = {option for row in OPTIONS[name] for option in row}
    shared = {"parameters", "clip_norm", "clip_value"}
    assert inspect.signature(getattr(nn, name)).parameters.keys() - shared == tried


@every_row
@both_dtypes
def test_trajectory(name, options, dtype):
    parameters, tensors = weights(dtype)
    ours, theirs = getattr(nn, name)(parameters, **options), theirs_of(name)(tensors, **options)
    follow(ours, theirs, parameters, tensors)


@every_row
def test_trajectory_with_parameters_frozen_for_a_while(name, options):
    parameters, tensors = weights(np.float64)
    ours, theirs = getattr(nn, name)(parameters, **options), theirs_of(name)(tensors, **options)

    def frozen(k):
        first, second = k < 3 or k == 12, 5 <= k < 9
        return {index for index, still in enumerate((first, second)) if still}

    follow(ours, theirs, parameters, tensors, frozen=frozen)


@every_optimizer
@both_dtypes
def test_groups_with_options_of_their_own(name, dtype):
    parameters, tensors = weights(dtype)
    own = dict(RICHEST[name])
    own.pop("initial_accumulator_value", None)  # PyTorch reads it from the constructor only

    def groups(members):
        return [
            {"params": members[:1], "lr": 0.03, "weight_decay": 0.2},
            {"params": members[1:2], "lr": 0.002},
            {"params": members[2:], **own},
        ]

    ours, theirs = getattr(nn, name)(groups(parameters)), theirs_of(name)(groups(tensors))
    follow(ours, theirs, parameters, tensors)


@every_optimizer
@pytest.mark.parametrize("limit", [0.5, 5.0, 100.0])  # always, sometimes and never too long
def test_clip_norm(name, limit):
    parameters, tensors = weights(np.float64)
    options = RICHEST[name]
    ours = getattr(nn, name)(parameters, **options, clip_norm=limit)
    norms = []

    def clip():
        norms.append(float(torch.nn.utils.clip_grad_norm_(tensors, limit)))

    theirs = theirs_of(name)(tensors, **options)
    follow(ours, theirs, parameters, tensors, clip, frozen=lambda k: {1} if k % 3 == 0 else ())
    assert ours.grad_norm == pytest.approx(norms[-1])


@every_optimizer
def test_clip_value(name):
    parameters, tensors = weights(np.float64)
    options = RICHEST[name]
    ours = getattr(nn, name)(parameters, **options, clip_value=0.5)

    def clip():
        torch.nn.utils.clip_grad_value_(tensors, 0.5)

    follow(ours, theirs_of(name)(tensors, **options), parameters, tensors, clip)


@every_optimizer
def test_learning_rate_as_a_function_of_the_step(name):
    parameters, tensors = weights(np.float64)
    ours = getattr(nn, name)(parameters, lr=lambda k: 0.1 / (1 + k))
    theirs, done = theirs_of(name)(tensors), iter(range(STEPS))

    def schedule():
        for group in theirs.param_groups:
            group["lr"] = 0.1 / (1 + next(done))

    follow(ours, theirs, parameters, tensors, schedule)
