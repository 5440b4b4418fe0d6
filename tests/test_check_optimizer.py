"""The optimizer checker: it names what is wrong, and never calls right rules wrong."""

import copy
import importlib
import re
from typing import ClassVar

import numpy as np
import pytest
from reference.optimizer_rows import OPTIONS

import nnlite as nn

runs = importlib.import_module("nnlite.inspection.optimizer_runs")


def falling(k):
    return 0.1 / (1 + k)


MORE = [
    {"clip_norm": 0.5}, {"clip_value": 0.1}, {"weight_decay": 0.01}, {"lr": 1.0}, {"lr": 1e-5},
    {"lr": falling},
]  # fmt: skip
SLOW = pytest.mark.slow
RIGHT = [  # of each rule the first options, and the last, which are many at once
    pytest.param(name, options, marks=() if options in (rows[0], rows[-1]) else SLOW)
    for name, rows in OPTIONS.items()
    for options in rows
]
RIGHT += [("Adam", options) for options in MORE]
RIGHT += [
    ("SGD", {"momentum": 0.99}), ("SGD", {"lr": 5.0}), ("Adam", {"betas": (0.0, 0.0)}),
    ("Adam", {"betas": (0.99, 0.9)}), ("RMSprop", {"alpha": 0.0}), ("RMSprop", {"momentum": 0.99}),
    ("SGD", {"momentum": nn.CosineSchedule(0.9, 100)}), ("Adam", {"eps": 0.0}),
    ("AdamW", {"weight_decay": nn.CosineSchedule(0.1, 100)}), ("Lion", {"betas": (0.5, 0.5)}),
    ("Adam", {"lr": nn.WarmupSchedule(nn.ConstantSchedule(0.1), 100, 0)}),
]  # fmt: skip
RIGHT += [pytest.param(name, options, marks=SLOW) for name in OPTIONS for options in MORE]
every_rule = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW if n % 3 else ()) for n, name in enumerate(OPTIONS)]
)
SEEDS = [0, pytest.param(1, marks=SLOW), pytest.param(2, marks=SLOW)]


@pytest.mark.parametrize(
    ("name", "options"), RIGHT, ids=lambda value: re.sub(" at 0x[0-9a-f]+", "", str(value))
)
def test_built_in_optimizers_are_right(name, options):
    assert nn.check_optimizer(getattr(nn, name), **options).ok


@every_rule
def test_built_in_optimizers_in_hand_are_right(name):
    for options in (OPTIONS[name][-1], MORE[0]):
        optimizer = getattr(nn, name)([nn.Parameter(np.ones(3))], **options)
        assert nn.check_optimizer(optimizer).ok


@pytest.mark.parametrize("seed", SEEDS)
@every_rule
def test_no_false_alarm_from_other_numbers(name, seed, monkeypatch):
    monkeypatch.setattr(runs, "SEED", 1 + seed)
    for options in OPTIONS[name][:: 1 if seed == 1 else 3]:
        assert nn.check_optimizer(getattr(nn, name), **options).ok


# -- rules of one's own that are right -----------------------------------------------------------


class SignSGD(nn.Optimizer):
    def update(self, w, g, lr):
        w -= lr * np.sign(g)


class Lars(nn.Optimizer):
    whole = True

    def update(self, w, g, lr):
        w -= lr * g * np.linalg.norm(w) / (np.linalg.norm(g) + 1e-9)


class MyAdam(nn.Optimizer):
    state: ClassVar = {"m": "m", "v": "v"}

    def __init__(self, parameters, lr=1e-3, beta1=0.9, beta2=0.999):
        super().__init__(parameters, lr, beta1=beta1, beta2=beta2)

    def update(self, w, g, m, v, lr, beta1, beta2, k):
        m[:] = beta1 * m + (1 - beta1) * g
        v[:] = beta2 * v + (1 - beta2) * g * g
        w -= lr * (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + 1e-8)


class Yogi(nn.Adam):
    """A rule of its own below Adam."""

    def update(self, w, g, m, v, v_max, a, lr, betas, eps, k):
        m += (1 - betas[0]) * (g - m)
        v -= (1 - betas[1]) * np.sign(v - g * g) * g * g
        w -= lr * m / (np.sqrt(v) + eps)


class PlainSGD:
    """Without anything of nnlite's."""

    def __init__(self, parameters, lr=0.1):
        self.parameters, self.lr = list(parameters), lr

    def step(self):
        for p in self.parameters:
            if p.trainable:
                p.data -= self.lr * p.grad


class Momentum(PlainSGD):
    def __init__(self, parameters, lr=0.1, mu=0.9):
        super().__init__(parameters, lr)
        self.mu = mu
        self.b = [np.zeros_like(p.data) for p in self.parameters]

    def step(self):
        for p, b in zip(self.parameters, self.b, strict=True):
            if p.trainable:
                b *= self.mu
                b += p.grad
                p.data -= self.lr * b


class Resuming(Momentum):
    def state_dict(self):
        return {"b": [b.copy() for b in self.b]}

    def load_state_dict(self, state):
        self.b = [b.copy() for b in state["b"]]


class EfficientAdam(MyAdam):
    def update(self, w, g, m, v, lr, beta1, beta2, k):
        m[:] = beta1 * m + (1 - beta1) * g
        v[:] = beta2 * v + (1 - beta2) * g * g
        w -= lr * np.sqrt(1 - beta2**k) / (1 - beta1**k) * m / (np.sqrt(v) + 1e-8)


class Renamed(nn.RMSprop):
    """Inherits all of its rule."""


class Normalized(PlainSGD):
    """Takes all parameters as one vector, on purpose."""

    def step(self):
        norm = np.sqrt(sum(float((p.grad**2).sum()) for p in self.parameters))
        for p in self.parameters:
            if p.trainable:
                p.data -= self.lr * p.grad / (norm + 1e-12)


class LBFGS(nn.Optimizer):
    """Limited-memory BFGS without a line search (Nocedal & Wright 2006, algorithm 7.4)."""

    def __init__(self, parameters, lr=0.1, memory=5):
        super().__init__(parameters, lr)
        self.memory, self.pairs, self.last = memory, [], None

    def step(self):
        ps = [p for p in self.parameters if p.trainable]
        w, g = (np.concatenate([a.ravel() for a in each]) for each in zip(
            *((p.data, p.grad) for p in ps), strict=True))  # fmt: skip
        if self.last is not None:
            s, y = w - self.last[0], g - self.last[1]
            if s @ y > 1e-10:
                self.pairs = [*self.pairs, (s, y)][-self.memory :]
        self.last = w, g
        way, shares = g.copy(), []
        for s, y in reversed(self.pairs):
            shares.append(s @ way / (s @ y))
            way -= shares[-1] * y
        if self.pairs:
            s, y = self.pairs[-1]
            way *= s @ y / (y @ y)
        for (s, y), share in zip(self.pairs, reversed(shares), strict=True):
            way += (share - y @ way / (s @ y)) * s
        at = np.cumsum([p.size for p in ps])[:-1]
        for p, step in zip(ps, np.split(way, at), strict=True):
            lr = next(group["lr"] for group in self.groups if any(p is q for q in group["params"]))
            p.data -= (lr(self.steps) if callable(lr) else lr) * step.reshape(p.shape)
        self.steps += 1

    def state_dict(self):
        return {"pairs": self.pairs, "last": self.last, "steps": self.steps}

    def load_state_dict(self, state):
        self.pairs, self.last, self.steps = state["pairs"], state["last"], state["steps"]


class Averaged(nn.Optimizer):
    """Where nothing moves, an average of equal weights still rounds."""

    state: ClassVar = {"z": "z", "x": "x"}

    def update(self, w, g, z, x, lr, k):
        if k == 1:
            z[:] = x[:] = w
        z -= lr * g
        x += (z - x) / k
        w[:] = 0.1 * z + 0.9 * x


class Nadam(MyAdam):
    """Without the warm-up of μ, as in Dozat's first form."""

    def update(self, w, g, m, v, lr, beta1, beta2, k):
        means(g, m, v, beta1, beta2)
        ahead = beta1 * m / (1 - beta1 ** (k + 1)) + (1 - beta1) * g / (1 - beta1**k)
        w -= lr * ahead / (np.sqrt(v / (1 - beta2**k)) + 1e-8)


class NAdam(MyAdam):
    """As in Ruder's overview, equation 39."""

    def update(self, w, g, m, v, lr, beta1, beta2, k):
        means(g, m, v, beta1, beta2)
        ahead = (beta1 * m + (1 - beta1) * g) / (1 - beta1**k)
        w -= lr * ahead / (np.sqrt(v / (1 - beta2**k)) + 1e-8)


class AdamOwnNumbers(nn.Optimizer):
    """β₂ and ε are written into it."""

    state: ClassVar = {"m": "m", "v": "v"}

    def update(self, w, g, m, v, lr, k):
        m += 0.1 * (g - m)
        v += 0.01 * (g * g - v)
        w -= lr * (m / (1 - 0.9**k)) / (np.sqrt(v / (1 - 0.99**k)) + 1e-7)


AdamOwnNumbers.__name__ = "Adam"


class LearningRate(PlainSGD):
    """Keras's name for it."""

    def __init__(self, parameters, learning_rate=0.02, weight_decay=0.0):
        super().__init__(parameters, learning_rate)
        self.weight_decay = weight_decay

    def step(self):
        for p in self.parameters:
            if p.trainable:
                p.data -= self.lr * (p.grad + self.weight_decay * p.data)


class FixedSGD(PlainSGD):
    def __init__(self, parameters):
        super().__init__(parameters, 0.05)


class PassesOn(nn.Adam):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)


class GivesRate(nn.Adam):
    def __init__(self, parameters, **options):
        super().__init__(parameters, lr=0.1, **options)


class GivesOption(nn.Adam):
    def __init__(self, parameters, lr=1e-3, **options):
        super().__init__(parameters, lr, amsgrad=True, **options)


class Lookahead(nn.SGD):
    """A step of its own around that of SGD (Zhang et al. 2019)."""

    def __init__(self, parameters, lr=0.01, every=5, share=0.5):
        super().__init__(parameters, lr)
        self.every, self.share = every, share
        self.slow = [p.data.copy() for p in self.parameters]

    def step(self, grad_scale=1.0):
        super().step(grad_scale)
        if self.steps % self.every == 0:
            for p, slow in zip(self.parameters, self.slow, strict=True):
                if p.trainable:
                    slow += self.share * (p.data - slow)
                    p.data = slow


@pytest.mark.parametrize(
    "cls",
    [
        SignSGD, Lars, MyAdam, Yogi, PlainSGD, Momentum, Resuming, EfficientAdam, Renamed,
        Normalized, LBFGS, Averaged, Nadam, NAdam, AdamOwnNumbers,
        LearningRate, FixedSGD, PassesOn, GivesRate, GivesOption, Lookahead,
    ],
)  # fmt: skip
@pytest.mark.parametrize("seed", SEEDS)
def test_right_rules_of_ones_own_are_right(cls, seed, monkeypatch):
    monkeypatch.setattr(runs, "SEED", seed)
    report = nn.check_optimizer(cls)
    assert report.ok
    assert len(report) >= 8


# -- wrong rules, as learners write them ---------------------------------------------------------

WRONG = {}


def wrong(kind, text, **options):
    def note(cls):
        WRONG[cls.__name__] = (cls, options, kind, text)
        return cls

    return note


@wrong("sign", "uphill")
class Uphill(nn.Optimizer):
    def update(self, w, g, lr):
        w += lr * g


@wrong("unmoved", "write into them")
class NewArray(nn.Optimizer):
    def update(self, w, g, lr):
        w = w - lr * g


@wrong("lr", "makes no difference")
class FixedRate(nn.Optimizer):
    def update(self, w, g):
        w -= 0.01 * g


@wrong("rule", "bias correction is missing")
class Adam(MyAdam):
    def update(self, w, g, m, v, lr, beta1, beta2):
        m[:] = beta1 * m + (1 - beta1) * g
        v[:] = beta2 * v + (1 - beta2) * g * g
        w -= lr * m / (np.sqrt(v) + 1e-8)


def adam(name, text):
    """A wrong Adam from its function (g, m, v, β₁, β₂, k) → step, m and v changed in place."""

    def make(function):
        class Wrong(MyAdam):
            def update(self, w, g, m, v, lr, beta1, beta2, k):
                w -= lr * function(g, m, v, beta1, beta2, k)

        Wrong.__name__ = f"MyAdam_{len(WRONG)}"
        WRONG[name] = (Wrong, {}, "rule", text)
        return function

    return make


def means(g, m, v, beta1, beta2):
    m[:] = beta1 * m + (1 - beta1) * g
    v[:] = beta2 * v + (1 - beta2) * g * g


@adam("AdamRoot", "the square root is missing")
def without_root(g, m, v, beta1, beta2, k):
    means(g, m, v, beta1, beta2)
    return (m / (1 - beta1**k)) / (v / (1 - beta2**k) + 1e-8)


@adam("AdamEpsilon", "ε stands inside the root")
def epsilon_inside(g, m, v, beta1, beta2, k):
    means(g, m, v, beta1, beta2)
    return (m / (1 - beta1**k)) / np.sqrt(v / (1 - beta2**k) + 1e-8)


@adam("AdamOnlyM", "v's bias correction is missing")
def only_m_corrected(g, m, v, beta1, beta2, k):
    means(g, m, v, beta1, beta2)
    return (m / (1 - beta1**k)) / (np.sqrt(v) + 1e-8)


@adam("AdamFirst", "bias correction divides by 1 − β in every step")
def corrected_by_beta(g, m, v, beta1, beta2, k):
    means(g, m, v, beta1, beta2)
    return (m / (1 - beta1)) / (np.sqrt(v / (1 - beta2)) + 1e-8)


@adam("AdamAhead", "k is one step ahead")
def counts_ahead(g, m, v, beta1, beta2, k):
    means(g, m, v, beta1, beta2)
    return (m / (1 - beta1 ** (k + 1))) / (np.sqrt(v / (1 - beta2 ** (k + 1))) + 1e-8)


@adam("AdamSize", "v is a mean of |g| instead of g²")
def without_square(g, m, v, beta1, beta2, k):
    m[:] = beta1 * m + (1 - beta1) * g
    v[:] = beta2 * v + (1 - beta2) * np.abs(g)
    return (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + 1e-8)


@adam("AdamKept", "the corrected m̂ and v̂ are kept")
def corrected_in_place(g, m, v, beta1, beta2, k):
    means(g, m, v, beta1, beta2)
    m /= 1 - beta1**k
    v /= 1 - beta2**k
    return m / (np.sqrt(v) + 1e-8)


@adam("AdamBetas", "β₁ and β₂ are swapped")
def betas_swapped(g, m, v, beta1, beta2, k):
    means(g, m, v, beta2, beta1)
    return (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + 1e-8)


@adam("AdamShare", "the factor (1 − β₁) is missing")
def all_of_g(g, m, v, beta1, beta2, k):
    m[:] = beta1 * m + g
    v[:] = beta2 * v + (1 - beta2) * g * g
    return (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + 1e-8)


@adam("AdamRebinds", "m and v forget the steps before")
def kept_nowhere(g, m, v, beta1, beta2, k):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    return (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + 1e-8)


@adam("AdamRebindsM", "m forgets the steps before")
def m_kept_nowhere(g, m, v, beta1, beta2, k):
    m = beta1 * m + (1 - beta1) * g
    v[:] = beta2 * v + (1 - beta2) * g * g
    return (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + 1e-8)


@adam("AdamMultiplies", "divide by it")
def multiplied(g, m, v, beta1, beta2, k):
    means(g, m, v, beta1, beta2)
    return (m / (1 - beta1**k)) * (np.sqrt(v / (1 - beta2**k)) + 1e-8)


@adam(
    "AdamOtherBeta", "it moves as with betas=(0.9, 0.99), though it is made with betas=(0.9, 0.999)"
)
def other_beta(g, m, v, beta1, beta2, k):
    means(g, m, v, beta1, 0.99)
    return (m / (1 - beta1**k)) / (np.sqrt(v / (1 - 0.99**k)) + 1e-8)


@adam("AdamUnknown", "with betas=(0.9, 0.999), eps=1e-08, amsgrad=False, for none")
def unknown(g, m, v, beta1, beta2, k):
    means(g, m, v, beta1, beta2)
    return (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + 1e-8) ** 0.9


WRONG["AdamUnknown"] = (*WRONG["AdamUnknown"][:2], "rule?", WRONG["AdamUnknown"][3])


@adam("AdamSwapped", "β and 1 − β are swapped")
def shares_swapped(g, m, v, beta1, beta2, k):
    m[:] = (1 - beta1) * m + beta1 * g
    v[:] = (1 - beta2) * v + beta2 * g * g
    return (m / (1 - beta1**k)) / (np.sqrt(v / (1 - beta2**k)) + 1e-8)


@wrong("eps", "add ε")
class NoEpsilon(nn.Optimizer):
    state: ClassVar = {"v": "v"}

    def update(self, w, g, v, lr):
        v[:] = 0.9 * v + 0.1 * g * g
        w -= lr * g / np.sqrt(v)


@wrong("rule", "takes (1 − μ) g")
class MomentumMean(nn.SGD):
    def update(self, w, g, b, a, lr, momentum, dampening, nesterov, k):
        b[:] = momentum * b + (1 - momentum) * g
        w -= lr * b


WRONG["MomentumMean"][1].update(momentum=0.9)
MomentumMean.__name__ = "MySGD"


def momentum(name, text, nesterov=False):
    """A wrong momentum from its function (g, b, μ) → step, b changed in place."""

    def make(function):
        class Wrong(nn.SGD):
            def update(self, w, g, b, a, lr, momentum, dampening, nesterov, k):
                w -= lr * function(g, b, momentum)

        Wrong.__name__ = "MySGD"
        WRONG[name] = (Wrong, {"momentum": 0.9, "nesterov": nesterov}, "rule", text)
        return function

    return make


@momentum("MomentumGrows", "the factor μ is missing")
def grows(g, b, mu):
    b += g
    return b


@momentum("MomentumBoth", "μ multiplies the new gradient too")
def shrinks_both(g, b, mu):
    b += g
    b *= mu
    return b


@momentum("MomentumLate", "update b first")
def late(g, b, mu):
    old = b.copy()
    b[:] = mu * b + g
    return old


@wrong("rule", "multiplied by lr twice", lr=0.1)
class RateTwiceMomentum(nn.Optimizer):
    state: ClassVar = {"b": "b"}

    def __init__(self, parameters, lr=0.1, momentum=0.9):
        super().__init__(parameters, lr, momentum=momentum)

    def update(self, w, g, b, lr, momentum):
        b[:] = momentum * b + lr * g  # with lr = 1 − μ this looks like a mean
        w -= lr * b


RateTwiceMomentum.__name__ = "Momentum"


@momentum("MomentumRebinds", "b forgets the steps before: write into what is kept, b[:] = …")
def momentum_kept_nowhere(g, b, mu):
    return mu * b + g


@momentum("NesterovFactor", "not b + μ g", nesterov=True)
def factor_on_gradient(g, b, mu):
    b[:] = mu * b + g
    return b + mu * g


@momentum("NesterovPlain", "look-ahead is missing", nesterov=True)
def plain(g, b, mu):
    b[:] = mu * b + g
    return b


@momentum("NesterovOld", "look-ahead is missing", nesterov=True)
def old_buffer(g, b, mu):
    way = g + mu * b
    b[:] = mu * b + g
    return way


@momentum("NesterovWithoutG", "leaves out the gradient", nesterov=True)
def without_gradient(g, b, mu):
    b[:] = mu * b + g
    return mu * b


@wrong("rule", "s forgets")
class MyAdagrad(nn.Adagrad):
    def update(self, w, g, s, a, lr, lr_decay, eps, k):
        s[:] = g * g
        w -= lr * g / (np.sqrt(s) + eps)


@wrong("rule", "RMSprop has no bias correction")
class MyRMSprop(nn.RMSprop):
    def update(self, w, g, v, m, b, a, lr, alpha, eps, momentum, k):
        v[:] = alpha * v + (1 - alpha) * g * g
        w -= lr * g / (np.sqrt(v / (1 - alpha**k)) + eps)


@wrong("rule", "the sign is missing")
class MyLion(nn.Lion):
    def update(self, w, g, m, a, lr, betas):
        w -= lr * (betas[0] * m + (1 - betas[0]) * g)
        m[:] = betas[1] * m + (1 - betas[1]) * g


@wrong("rule", "v as it was before this gradient")
class LateRMSprop(nn.RMSprop):
    def update(self, w, g, v, m, b, a, lr, alpha, eps, momentum, k):
        w -= lr * g / (np.sqrt(v) + eps)
        v[:] = alpha * v + (1 - alpha) * g * g


@wrong("rule", "v − m², not v − m", centered=True)
class CenteredRMSprop(nn.RMSprop):
    def update(self, w, g, v, m, b, a, lr, alpha, eps, momentum, k):
        v[:] = alpha * v + (1 - alpha) * g * g
        m[:] = alpha * m + (1 - alpha) * g
        w -= lr * g / (np.sqrt(np.maximum(v - m, 0)) + eps)


@wrong("rule", "s as it was before this gradient")
class LateAdagrad(nn.Adagrad):
    def update(self, w, g, s, a, lr, lr_decay, eps, k):
        w -= lr * g / (np.sqrt(s) + eps)
        s += g * g


@wrong("rule", "take the step, then update m")
class EarlyLion(nn.Lion):
    def update(self, w, g, m, a, lr, betas):
        m[:] = betas[1] * m + (1 - betas[1]) * g
        w -= lr * np.sign(betas[0] * m + (1 - betas[0]) * g)


@wrong("rule", "β₁ and β₂ are swapped")
class SwappedLion(nn.Lion):
    def update(self, w, g, m, a, lr, betas):
        w -= lr * np.sign(betas[1] * m + (1 - betas[1]) * g)
        m[:] = betas[0] * m + (1 - betas[0]) * g


@wrong("rule", "ρ and 1 − ρ are swapped")
class SwappedAdadelta(nn.Adadelta):
    def update(self, w, g, v, u, a, d, lr, rho, eps):
        v[:] = (1 - rho) * v + rho * g * g
        d = g * np.sqrt(u + eps) / np.sqrt(v + eps)
        w -= lr * d
        u[:] = (1 - rho) * u + rho * d * d


@wrong("rule", "the wrong way round")
class UpsideDownAdadelta(nn.Adadelta):
    def update(self, w, g, v, u, a, d, lr, rho, eps):
        v[:] = rho * v + (1 - rho) * g * g
        d = g * np.sqrt(v + eps) / np.sqrt(u + eps)
        w -= lr * d
        u[:] = rho * u + (1 - rho) * d * d


@wrong("rule", "u is a mean of g²")
class MyAdadelta(nn.Adadelta):
    def update(self, w, g, v, u, a, d, lr, rho, eps):
        v[:] = rho * v + (1 - rho) * g * g
        w -= lr * g * np.sqrt(u + eps) / np.sqrt(v + eps)
        u[:] = rho * u + (1 - rho) * g * g


@wrong("shared state", "belong to each parameter")
class SharedMomentum(PlainSGD):
    b = 0.0

    def step(self):
        for p in self.parameters:
            if p.trainable:
                self.b = 0.9 * self.b + p.grad.mean()
                p.data -= self.lr * (p.grad + 0.1 * self.b)


@wrong("shared state", "several shapes")
class OneBuffer(PlainSGD):
    b = None

    def step(self):
        for p in self.parameters:
            if p.trainable:
                self.b = p.grad if self.b is None else 0.9 * self.b + p.grad
                p.data -= self.lr * self.b


@wrong("shared state", "counted up once per step")
class CountsParameters(PlainSGD):
    t = 0

    def step(self):
        for p in self.parameters:
            self.t += 1
            if p.trainable:
                p.data -= self.lr / self.t * p.grad


@wrong("gradient", "step changes grad")
class DecaysInGradient(PlainSGD):
    def step(self):
        for p in self.parameters:
            if p.trainable:
                p.grad *= 0.5
                p.data -= self.lr * p.grad


@wrong("gradient", "let no state alias it")
class AliasOfGradient(PlainSGD):
    def __init__(self, parameters, lr=0.1):
        super().__init__(parameters, lr)
        self.b = [p.grad for p in self.parameters]

    def step(self):
        for p, b in zip(self.parameters, self.b, strict=True):
            if p.trainable:
                b *= 0.9
                b += p.grad
                p.data -= self.lr * b


@wrong("gradient", "step changes grad")
class ScalesGradient(nn.Optimizer):
    def update(self, w, g, lr):
        g *= lr
        w -= g


@wrong("frozen", "trainable=False moves")
class MovesFrozen(PlainSGD):
    def step(self):
        for p in self.parameters:
            p.data -= self.lr * p.grad


@wrong("dtype", "state is float64")
class DoubleState(Momentum):
    def __init__(self, parameters, lr=0.1, mu=0.9):
        super().__init__(parameters, lr, mu)
        self.b = [np.zeros(p.shape) for p in self.parameters]


@wrong("drift", "though every gradient was 0")
class Drifts(nn.Optimizer):
    def update(self, w, g, lr):
        w -= lr * g
        w *= 1 - 1e-3


@wrong("decay", "twice")
class DecaysTwice(nn.SGD):
    def update(self, w, g, b, a, lr, momentum, dampening, nesterov, weight_decay):
        w -= lr * (g + weight_decay * w)


@wrong("decay", "by themselves")
class CoupledAdamW(PlainSGD):
    def __init__(self, parameters, lr=1e-3, weight_decay=0.01):
        super().__init__(parameters, lr)
        self.inner = nn.Adam(self.parameters, lr, weight_decay=weight_decay)

    def step(self):
        self.inner.step()


CoupledAdamW.__name__ = "AdamW"


@wrong("decay", "lr is missing")
class DecayWithoutRate(PlainSGD):
    def __init__(self, parameters, lr=0.1, weight_decay=0.0):
        super().__init__(parameters, lr)
        self.weight_decay = weight_decay

    def step(self):
        for p in self.parameters:
            if p.trainable:
                p.data *= 1 - self.weight_decay
                p.data -= self.lr * p.grad


@wrong("decay", "wrong sign")
class DecayGrows(DecayWithoutRate):
    def step(self):
        for p in self.parameters:
            if p.trainable:
                p.data -= self.lr * (p.grad - self.weight_decay * p.data)


@wrong("maximize", "gradients of opposite sign")
class AlwaysDown(nn.Optimizer):
    def __init__(self, parameters, lr=0.1, maximize=False):
        super().__init__(parameters, lr)

    def update(self, w, g, lr):
        w -= lr * g


@wrong("rule", "divide m by 1 − β₁ᵏ")
class MyAdamax(nn.Adamax):
    def update(self, w, g, m, u, lr, betas, eps):
        m += (1 - betas[0]) * (g - m)
        u[:] = np.maximum(betas[1] * u, np.abs(g) + eps)
        w -= lr * m / u


@wrong("rule", "η₋ and η₊ are swapped", step_sizes=(1e-3, 0.1))
class MyRprop(nn.Rprop):
    def update(self, w, g, p, s, lr, etas, step_sizes, k):
        s[:] = lr if k == 1 else s
        h = p * np.sign(g)
        s *= np.where(h > 0, etas[0], np.where(h < 0, etas[1], 1))
        np.clip(s, *step_sizes, out=s)
        p[:] = np.sign(g) * (h >= 0)
        w -= s * p


@wrong("rule", "the rate does not fall", lr=0.5, lambd=0.1)
class MyASGD(nn.ASGD):
    def update(self, w, g, x, lr, lambd):
        w -= lr * (g + lambd * w)
        x[:] = w


@wrong("rule", "long steps are not cut")
class MyAdafactor(nn.Adafactor):
    def update(self, w, g, r, q, v, lr, beta2_decay, eps, k):
        beta = 1 - k**beta2_decay
        if v is None:
            r += (1 - beta) * ((g * g).mean(axis=-1, keepdims=True) - r)
            q += (1 - beta) * ((g * g).mean(axis=-2, keepdims=True) - q)
            v = r * q / r.mean(axis=-2, keepdims=True)
        else:
            v += (1 - beta) * (g * g - v)
        w -= max(1e-3, np.sqrt((w * w).mean())) * min(lr, k**-0.5) * g / (np.sqrt(v) + 1e-30)


@wrong("rule", "it moves as Adam")
class MyLAMB(nn.LAMB):
    def update(self, w, g, m, v, lr, betas, eps, k):
        means(g, m, v, *betas)
        w -= lr * (m / (1 - betas[0] ** k)) / (np.sqrt(v / (1 - betas[1] ** k)) + eps)


@wrong("rule", "but not made orthogonal")
class MyMuon(nn.Muon):
    def update(self, w, g, b, m, v, lr, momentum, betas, eps, k):
        if b is None:
            means(g, m, v, *betas)
            w -= lr * (m / (1 - betas[0] ** k)) / (np.sqrt(v / (1 - betas[1] ** k)) + eps)
        else:
            b += (1 - momentum) * (g - b)
            x = momentum * b + (1 - momentum) * g
            w -= lr * np.sqrt(max(1, w.shape[1] / w.shape[0])) * x / np.linalg.norm(x)


@wrong("groups", "the learning rate of the first")
class FirstGroup(nn.Optimizer):
    def update(self, w, g):
        w -= self.groups[0]["lr"] * g


@wrong("schedule", "does not use lr(k)")
class LateSchedule(nn.Optimizer):
    def update(self, w, g, lr, k):
        w -= self.groups[0]["lr"](k) * g if callable(self.groups[0]["lr"]) else lr * g


@wrong("state", "not in state_dict")
class HiddenState(nn.Optimizer):
    b = 0.0

    def update(self, w, g, lr):
        self.b = 0.9 * self.b + g
        w -= lr * self.b


@wrong("state", "not in state_dict")
class ForgetsState(Resuming):
    def load_state_dict(self, state):
        pass


@wrong("pieces", "stretches of a long vector")
class CountsStretches(nn.Optimizer):
    count = 0

    def update(self, w, g, lr):
        self.count += 1
        w -= lr * g / self.count


@wrong("shared state", "norm, mean or length")
class NormOfAll(nn.Optimizer):
    def update(self, w, g, lr):
        w -= lr * g / (np.linalg.norm(g) + 1e-8)


@wrong("clipping", "one norm of all")
class ClipsEach(PlainSGD):
    def __init__(self, parameters, lr=0.1, clip_norm=None):
        super().__init__(parameters, lr)
        self.clip_norm = clip_norm

    def step(self):
        for p in self.parameters:
            if p.trainable:
                scale = 1.0
                if self.clip_norm is not None:
                    scale = min(1.0, self.clip_norm / (np.linalg.norm(p.grad) + 1e-6))
                p.data -= self.lr * scale * p.grad


@wrong("ascent", "the loss goes from")
class Unstable(nn.Optimizer):
    state: ClassVar = {"b": "b"}

    def update(self, w, g, b, lr):
        b *= 1.05
        b += g
        w -= lr * b


@wrong("not deterministic", "kept on the class")
class OnTheClass(Momentum):
    kept: ClassVar = {}

    def step(self):
        for i, p in enumerate(self.parameters):
            if p.trainable:
                self.kept[i] = self.mu * self.kept.get(i, 0) + p.grad
                p.data -= self.lr * self.kept[i]


@wrong("not deterministic", "kept on the class")
class Noisy(nn.Optimizer):
    def update(self, w, g, lr):
        w -= lr * g * np.random.default_rng().uniform(0.9, 1.1)


@wrong("raises", "ZeroDivisionError")
class Raises(nn.Optimizer):
    def update(self, w, g, lr, k):
        w -= lr * (1 / (k - 1)) * g


@wrong("not finite", "not finite")
class Overflows(nn.Optimizer):
    def update(self, w, g, lr):
        w -= lr * g * np.exp(1e4 * np.abs(g))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=SLOW if number % 2 else ()) for number, name in enumerate(WRONG)],
)
def test_wrong_rules_are_named(name):
    cls, options, kind, text = WRONG[name]
    report = nn.check_optimizer(cls, raises=False, **options)
    found = [check.diagnosis for check in report if check.diagnosis]
    assert kind in report.kinds, report
    assert any(d.kind == kind and text in d.text for d in found), report
    assert all(d.text.count(". ") <= 1 for d in found)
    with pytest.raises(nn.OptimizerError, match="something is wrong"):
        nn.check_optimizer(cls, **options)


def test_there_are_enough_wrong_rules():
    assert len(WRONG) >= 40


def test_what_differs_from_run_to_run_is_compared_with_nothing():
    for cls in (OnTheClass, Noisy):
        assert nn.check_optimizer(cls, raises=False).kinds == {"not deterministic"}


# -- use -----------------------------------------------------------------------------------------


def test_the_optimizer_in_hand_is_left_alone():
    parameters = [nn.Parameter(np.ones((3, 2))), nn.Parameter(np.ones(4))]
    optimizer = nn.Adam(parameters, lr=0.1, amsgrad=True)
    for p in parameters:
        p.grad = np.full(p.shape, 0.5)
    optimizer.step()
    twin = copy.deepcopy(optimizer)
    assert nn.check_optimizer(optimizer).ok
    optimizer.step()
    twin.step()
    for p, q in zip(parameters, twin.parameters, strict=True):
        np.testing.assert_array_equal(p.data, q.data)
        np.testing.assert_array_equal(p.grad, q.grad)


def test_the_report_prints_what_was_looked_at():
    report = nn.check_optimizer(nn.SGD)
    lines = str(report).splitlines()
    assert lines[0] == "SGD: all is right"
    assert lines[2] == "✓ a step runs, and moves every weight"
    assert all(check.ok for check in report)
    text = str(nn.check_optimizer(Uphill, raises=False))
    assert "✗ the first step goes downhill: it goes uphill: subtract the step" in text
    assert "note: " in str(nn.check_optimizer(PlainSGD))


class KerasAdam(MyAdam):
    def __init__(self, parameters, learning_rate=1e-3, beta_1=0.7, beta_2=0.8):
        super().__init__(parameters, learning_rate, beta_1, beta_2)


class ShortAdam(MyAdam):
    def __init__(self, parameters, lr=1e-3, b1=0.7, b2=0.8):
        super().__init__(parameters, lr, b1, b2)


class GammaRMSprop(nn.RMSprop):
    def __init__(self, parameters, lr=1e-3, gamma=0.7):
        super().__init__(parameters, lr, gamma)


@pytest.mark.parametrize("cls", [KerasAdam, ShortAdam, GammaRMSprop])
def test_options_are_known_by_other_names_too(cls):
    cls.__name__ = cls.__bases__[0].__name__
    assert "✓ it moves as its rule says" in str(nn.check_optimizer(cls))


def test_what_is_not_offered_is_noted():
    notes = str(nn.check_optimizer(LBFGS))
    assert "each parameter moves as it does alone: not looked at, its step takes all" in notes
    assert "groups have their own learning rate: not looked at, its step takes all" in notes
    assert "✓ groups have their own learning rate" in str(nn.check_optimizer(Lookahead))
    assert "descended: not looked at, it takes no lr" in str(nn.check_optimizer(FixedSGD))
    assert "✓ weight decay is in its place" in str(nn.check_optimizer(LearningRate))
    assert "✓ it moves as its rule says" in str(nn.check_optimizer(PassesOn))


def test_arguments():
    class Needs(nn.Optimizer):
        def __init__(self, parameters, lr, beta):
            super().__init__(parameters, lr, beta=beta)

        def update(self, w, g, lr, beta):
            w -= lr * beta * g

    with pytest.raises(TypeError, match=r"Needs needs beta; give check_optimizer\(Needs, beta=…\)"):
        nn.check_optimizer(Needs)
    assert nn.check_optimizer(Needs, beta=0.5).ok
    assert nn.check_optimizer(Needs([nn.Parameter(np.ones(2))], 0.1, 0.5)).ok
    with pytest.raises(TypeError, match=r"which has no step\(\)"):
        nn.check_optimizer(nn.Linear)
