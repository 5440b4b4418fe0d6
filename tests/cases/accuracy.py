"""Activations and losses as functions of one number, with references in exact form.

The references are written for any precision: float32 is compared with them in float64, float64 in
`np.longdouble`. They use no form that cancels or overflows where a result is wanted.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import nnlite as nn

Function = Callable[[np.ndarray], np.ndarray]
WIDER = {np.float32: np.float64, np.float64: np.longdouble}
REACH = {np.float32: 87.0, np.float64: 700.0}  # e^±reach is a normal number


class Row(NamedTuple):
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # nnlite's values and derivatives
    function: Function
    derivative: Function
    roots: tuple[float, ...] = ()  # of the derivative, where it is not accurate relatively
    kinks: tuple[float, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    ulps: float = 4


def grid(row: Row, dtype) -> np.ndarray:
    """A few thousand points over the whole range, dense around 0 and around 1, off the kinks."""
    reach = REACH[dtype]
    sizes = [np.geomspace(np.finfo(dtype).tiny, reach, 500), np.linspace(0.01, reach, 1500)]
    near_one = 1 - np.geomspace(2.0 ** -(np.finfo(dtype).nmant), 0.5, 200)
    x = np.concatenate([*sizes, *(-size for size in sizes), near_one]).astype(dtype)
    x = x[(x > row.low) & (x < row.high) & (np.abs(x) <= reach)]
    for kink in row.kinks:
        x = x[np.abs(x - kink) > 4 * np.spacing(np.abs(x))]
    return x


def worst_ulps(row: Row, dtype) -> tuple[float, float]:
    """Of the values and of the derivatives: the largest error in units in the last place.

    Not counted is by how much the exact function differs 2 ulps of x away; within ½ of a root
    of the derivative, 8 roundings of its largest value; 1e-4 of the smallest normal number.
    """
    x = grid(row, dtype)
    exact_x = x.astype(WIDER[dtype])
    step = 2 * np.spacing(np.abs(x)).astype(exact_x.dtype)
    near_root = np.zeros(x.shape, bool)
    for root in row.roots:
        near_root |= np.abs(x - root) < 0.5
    worst = []
    for ours, function in zip(row.run(x), (row.function, row.derivative), strict=True):
        assert ours.dtype == dtype
        exact = function(exact_x)
        ulp = np.spacing(np.abs(exact).astype(dtype)).astype(exact_x.dtype)
        slack = [np.abs(function(np.clip(exact_x + d, exact_x.min(), exact_x.max())) - exact)
                 for d in (-step, step)]  # fmt: skip
        error = np.abs(ours - exact) - np.maximum(*slack) - 1e-4 * np.finfo(dtype).tiny
        if function is row.derivative:
            error -= near_root * 8 * np.finfo(dtype).eps * np.abs(exact).max()
        worst.append(float(np.max(error / ulp).clip(0)))
    return worst[0], worst[1]


# -- exact forms -----------------------------------------------------------------------------------


def sigma(x):
    c = np.exp(-np.abs(x))
    return np.where(x < 0, c, 1) / (1 + c)


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def sech2(x):
    c = np.exp(-2 * np.abs(x))
    return 4 * c / (1 + c) ** 2


def log_cosh(x):
    a = np.abs(x)
    near = np.log1p(2 * np.sinh(np.minimum(a, 1) / 2) ** 2)
    return np.where(a < 1, near, a + (np.log1p(np.exp(-2 * a)) - np.log(exact(2, x))))


def exact(value, x):
    return np.asarray(value, x.dtype)


def normal_cdf(x):
    # the standard library knows float64 only; longdouble values of float64 lose nothing
    cdf = [math.erfc(-float(v) * math.sqrt(0.5)) / 2 for v in x]
    return np.array(cdf, x.dtype)


def normal_density(x):
    return np.exp(-x * x / 2) / np.sqrt(2 * exact(math.pi, x))


def tanhshrink(x):
    near = np.zeros_like(x)  # Horner's rule for Σₖ 2k/(2k + 1)! x^(2k+1), k ≥ 1
    z = np.clip(x, -2, 2)
    for k in range(20, 0, -1):
        near = near * z * z + exact(2 * k, x) / exact(math.factorial(2 * k + 1), x)
    return np.where(np.abs(x) <= 2, near * z**3 / np.cosh(z), x - np.tanh(x))


def outside(bound):
    return lambda x: np.where(np.abs(x) > bound, 1, exact(0, x))


def twice_u(x):
    return np.sqrt(exact(8 / math.pi, x)) * (x + 0.044715 * x**3)


def gelu_tanh_slope(x):
    slope = np.sqrt(exact(8 / math.pi, x)) * (1 + 3 * 0.044715 * x * x)
    return sigma(twice_u(x)) * (1 + x * sigma(-twice_u(x)) * slope)


def mish_slope(x):
    s = softplus(x)
    return np.tanh(s) + x * sech2(s) * sigma(x)


def exponential(alpha, tau, scale):
    def function(x):
        return scale * np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0) / tau))

    def derivative(x):
        return scale * np.where(x > 0, 1, alpha / tau * np.exp(np.minimum(x, 0) / tau))

    return function, derivative


def between(low, high):
    return lambda x: np.where((x > low) & (x < high), 1, exact(0, x))


# -- layers ----------------------------------------------------------------------------------------


def layer(make, function, derivative, roots=(), kinks=()):
    def run(x):
        built = make().astype(x.dtype)
        y = built(x)
        return y, built.backward(np.ones_like(y))

    return Row(run, function, derivative, roots, kinks)


def first_of_two(make, function, derivative):
    """A function of the first of two scores, (x, 0), and its slope in x."""

    def run(x):
        built = make()
        y = built(np.stack([x, np.zeros_like(x)], axis=-1))
        return y[:, 0], built.backward(np.eye(2, dtype=x.dtype)[np.zeros(len(x), int)])[:, 0]

    return Row(run, function, derivative)


def gate(x):
    glu = nn.GLU()
    y = glu(np.stack([np.ones_like(x), x], axis=-1))
    return y[:, 0], glu.backward(np.ones_like(y))[:, 1]


SELU = (1.6732632423543772, 1.0, 1.0507009873554805)

LAYERS: dict[str, Row] = {
    "Sigmoid": layer(nn.Sigmoid, sigma, lambda x: sigma(x) * sigma(-x)),
    "Tanh": layer(nn.Tanh, np.tanh, sech2),
    "SiLU": layer(
        nn.SiLU, lambda x: x * sigma(x), lambda x: sigma(x) * (1 + x * sigma(-x)), (-1.278,)
    ),
    "GELU": layer(
        nn.GELU,
        lambda x: x * normal_cdf(x),
        lambda x: normal_cdf(x) + x * normal_density(x),
        (-0.752,),
    ),
    "GELU tanh": layer(
        lambda: nn.GELU("tanh"), lambda x: x * sigma(twice_u(x)), gelu_tanh_slope, (-0.752,)
    ),
    "Mish": layer(nn.Mish, lambda x: x * np.tanh(softplus(x)), mish_slope, (-1.193,)),
    "Softplus": layer(nn.Softplus, softplus, sigma),
    "Softplus beta": layer(
        lambda: nn.Softplus(3.0), lambda x: softplus(3 * x) / 3, lambda x: sigma(3 * x)
    ),
    "LogSigmoid": layer(nn.LogSigmoid, lambda x: -softplus(-x), lambda x: sigma(-x)),
    "Softsign": layer(
        nn.Softsign, lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2
    ),
    "ReLU": layer(nn.ReLU, lambda x: np.maximum(x, 0), between(0, np.inf), kinks=(0,)),
    "LeakyReLU": layer(
        lambda: nn.LeakyReLU(0.25),
        lambda x: np.where(x > 0, x, x / 4),
        lambda x: np.where(x > 0, 1, exact(0.25, x)),
        kinks=(0,),
    ),
    "PReLU": layer(
        nn.PReLU,
        lambda x: np.where(x > 0, x, x / 4),
        lambda x: np.where(x > 0, 1, exact(0.25, x)),
        kinks=(0,),
    ),
    "RReLU": layer(
        lambda: nn.RReLU(0.125, 0.375).eval(),
        lambda x: np.where(x > 0, x, x / 4),
        lambda x: np.where(x > 0, 1, exact(0.25, x)),
        kinks=(0,),
    ),
    "Threshold": layer(
        lambda: nn.Threshold(2, -3),
        lambda x: np.where(x > 2, x, exact(-3, x)),
        between(2, np.inf),
        kinks=(2,),
    ),
    "Hardshrink": layer(
        nn.Hardshrink, lambda x: x * (np.abs(x) > 0.5), outside(0.5), kinks=(-0.5, 0.5)
    ),
    "Softshrink": layer(
        nn.Softshrink,
        lambda x: np.sign(x) * np.maximum(np.abs(x) - exact(0.5, x), 0),
        outside(0.5),
        kinks=(-0.5, 0.5),
    ),
    "Tanhshrink": layer(nn.Tanhshrink, tanhshrink, lambda x: np.tanh(x) ** 2),
    "ReLU6": layer(nn.ReLU6, lambda x: np.clip(x, 0, 6), between(0, 6), kinks=(0, 6)),
    "ELU": layer(nn.ELU, *exponential(1.0, 1.0, 1.0)),
    "ELU alpha": layer(lambda: nn.ELU(0.5), *exponential(0.5, 1.0, 1.0), kinks=(0,)),
    "SELU": layer(nn.SELU, *exponential(*SELU), kinks=(0,)),
    "CELU": layer(lambda: nn.CELU(0.25), *exponential(0.25, 0.25, 1.0)),
    "HardTanh": layer(nn.HardTanh, lambda x: np.clip(x, -1, 1), between(-1, 1), kinks=(-1, 1)),
    "HardSigmoid": layer(
        nn.HardSigmoid,
        lambda x: np.clip(x + 3, 0, 6) / 6,
        lambda x: between(-3, 3)(x) / 6,
        kinks=(-3, 3),
    ),
    "HardSwish": layer(
        nn.HardSwish,
        lambda x: x * (np.clip(x + 3, 0, 6) / 6),
        lambda x: between(-3, 3)(x) * (x + 1.5) / 3 + (x >= 3),
        kinks=(-3, 3),
    ),
    "GLU": Row(gate, sigma, lambda x: sigma(x) * sigma(-x)),
    "Softmax": first_of_two(nn.Softmax, sigma, lambda x: sigma(x) * sigma(-x)),
    "Softmin": first_of_two(nn.Softmin, lambda x: sigma(-x), lambda x: -sigma(x) * sigma(-x)),
    "LogSoftmax": first_of_two(nn.LogSoftmax, lambda x: -softplus(-x), lambda x: sigma(-x)),
}


# -- losses ----------------------------------------------------------------------------------------


def loss(make, target, function, derivative, roots=(), kinks=(), low=-math.inf, high=math.inf):
    """ℓ and dℓ/dp against one target for all."""

    def run(x):
        built = make()
        values, *saved = built.function(x, built.check(x, np.full(x.shape, target, x.dtype)))
        return values, built.derivative(*saved)

    return Row(run, function, derivative, roots, kinks, low, high)


def scores(make, target, function, derivative):
    """ℓ of the two scores (x, 0), and dℓ/dx; the target is a class or a row."""

    def run(x):
        built, z = make(), np.stack([x, np.zeros_like(x)], axis=-1)
        targets = np.tile(target, (len(x),) + (1,) * np.ndim(target))
        values, *saved = built.function(z, built.check(z, targets))
        return values.reshape(len(x), -1).sum(axis=1), built.derivative(*saved)[:, 0]

    return Row(run, function, derivative)


def bce(t):
    def value(p):
        return -(t * np.log(p) if t else 0) - ((1 - t) * np.log1p(-p) if t < 1 else 0)

    return value, lambda p: (p - t) / (p * (1 - p))


def focal(sign):
    def value(x):
        return sigma(-sign * x) ** 2 * softplus(-sign * x)

    def slope(x):
        q, rest = sigma(sign * x), sigma(-sign * x)
        return -sign * rest * (2 * q * rest * softplus(-sign * x) + rest * rest)

    return value, slope


def two(make, target):
    """Cross entropy of two scores is softplus of their difference."""
    sign = 1 if np.ravel(target)[0] == (0 if np.ndim(target) == 0 else 1) else -1
    return scores(
        make, target, lambda x: softplus(-sign * x), lambda x: -sign * sigma(-sign * x)
    )  # fmt: skip


def labels(target, function, derivative):
    """ℓ of one label in a row of its own."""

    def run(x):
        built, z = nn.MultiLabelSoftMarginLoss(), x[:, None]
        values, *saved = built.function(z, built.check(z, np.full(z.shape, target)))
        return values, built.derivative(*saved)[:, 0]

    return Row(run, function, derivative)


LOSSES: dict[str, Row] = {
    "MSELoss": loss(nn.MSELoss, 0, lambda d: d * d, lambda d: 2 * d),
    "MAELoss": loss(nn.MAELoss, 0, np.abs, np.sign, kinks=(0,)),
    "HuberLoss": loss(
        nn.HuberLoss,
        0,
        lambda d: np.where(np.abs(d) < 1, d * d / 2, np.abs(d) - exact(0.5, d)),
        lambda d: np.clip(d, -1, 1),
    ),
    "LogCoshLoss": loss(nn.LogCoshLoss, 0, log_cosh, np.tanh),
    "BCELoss 0": loss(nn.BCELoss, 0, *bce(0), low=1e-38, high=1),
    "BCELoss 1": loss(nn.BCELoss, 1, *bce(1), low=1e-38, high=1),
    "BCELoss soft": loss(nn.BCELoss, 0.25, *bce(0.25), roots=(0.25,), low=1e-6, high=1),
    "BCEWithLogitsLoss 0": loss(nn.BCEWithLogitsLoss, 0, softplus, sigma),
    "BCEWithLogitsLoss 1": loss(
        nn.BCEWithLogitsLoss, 1, lambda x: softplus(-x), lambda x: -sigma(-x)
    ),
    "BCEWithLogitsLoss soft": loss(
        nn.BCEWithLogitsLoss,
        0.25,
        lambda x: softplus(-x) / 4 + softplus(x) * 3 / 4,
        lambda x: sigma(x) * 3 / 4 - sigma(-x) / 4,
        roots=(-math.log(3),),
    ),
    "HingeLoss": loss(
        nn.HingeLoss, 1, lambda p: np.maximum(1 - p, 0), lambda p: -between(-np.inf, 1)(p), (), (1,)
    ),
    "SoftMarginLoss": loss(nn.SoftMarginLoss, 1, lambda x: softplus(-x), lambda x: -sigma(-x)),
    "SoftMarginLoss −1": loss(nn.SoftMarginLoss, -1, softplus, sigma),
    "MultiLabelSoftMarginLoss": labels(1, lambda x: softplus(-x), lambda x: -sigma(-x)),
    "MultiLabelSoftMarginLoss 0": labels(0, softplus, sigma),
    "HingeEmbeddingLoss": loss(nn.HingeEmbeddingLoss, 1, lambda p: p, np.ones_like),
    "HingeEmbeddingLoss −1": loss(
        nn.HingeEmbeddingLoss,
        -1,
        lambda p: np.maximum(1 - p, 0),
        lambda p: -between(-np.inf, 1)(p),
        kinks=(1,),
    ),
    "QuantileLoss": loss(
        lambda: nn.QuantileLoss(0.25),
        0,
        lambda p: np.where(p > 0, 0.75, -0.25) * p,
        lambda p: np.where(p > 0, exact(0.75, p), exact(-0.25, p)),
        kinks=(0,),
    ),
    "PoissonNLLLoss": loss(
        nn.PoissonNLLLoss, 2, lambda p: np.exp(p) - 2 * p, lambda p: np.exp(p) - 2, (math.log(2),)
    ),
    "PoissonNLLLoss 0": loss(nn.PoissonNLLLoss, 0, np.exp, np.exp),
    "PoissonNLLLoss rate": loss(
        lambda: nn.PoissonNLLLoss(log_input=False, eps=0),
        2,
        lambda p: p - 2 * np.log(p),
        lambda p: (p - 2) / p,
        low=0,
    ),
    "CrossEntropyLoss 0": two(nn.CrossEntropyLoss, 0),
    "CrossEntropyLoss 1": two(nn.CrossEntropyLoss, 1),
    "CrossEntropyLoss row": two(nn.CrossEntropyLoss, [1.0, 0.0]),
    "CrossEntropyLoss other row": two(nn.CrossEntropyLoss, [0.0, 1.0]),
    "NLLLoss": scores(nn.NLLLoss, 0, np.negative, lambda x: -np.ones_like(x)),
    "KLDivLoss": scores(nn.KLDivLoss, [1.0, 0.0], np.negative, lambda x: -np.ones_like(x)),
    # (1 − q)² doubles the error of 1 − q, which is that of a logarithm, an exponential and a sum
    "FocalLoss 0": scores(nn.FocalLoss, 0, *focal(1))._replace(ulps=8),
    "FocalLoss 1": scores(nn.FocalLoss, 1, *focal(-1))._replace(ulps=8),
}
