"""Right layers and losses that a checker could take for wrong: kinks, ties, extreme values."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import nnlite as nn

from . import by_hand
from .by_hand import normal, positive, sigmoid, softmax, weights


class Right(NamedTuple):
    """kinks: whether x lies exactly on some; the slopes of single outputs are looked at then.

    step: how far slopes reach, in the usual step, where x's own size is not the right measure.
    """

    name: str
    make: Callable[[], nn.Layer]
    x: np.ndarray
    kinks: bool = False
    step: float = 1.0


class RightLoss(NamedTuple):
    name: str
    make: Callable[[], nn.Loss]
    prediction: np.ndarray
    target: np.ndarray
    kinks: bool = False
    step: float = 1.0


IMAGES = nn.data.load_digits()[0][:3].reshape(3, 8, 8, 1)
ROWS = IMAGES.reshape(3, 64)
EPS = 1e-5


def function(f, gradient):
    """A factory of a layer without parameters; gradient(G, x)."""
    return lambda: nn.Lambda(f, gradient)


def placed(shape, dtype, index, values):
    """Zeros with values added at an index, as often as it is there."""
    d = np.zeros(shape, dtype)
    np.add.at(d, index, values)
    return d


# -- values one by one --------------------------------------------------------------------------

log = function(np.log, lambda g, x: g / x)
root = function(np.sqrt, lambda g, x: g / (2 * np.sqrt(x)))
inverse = function(lambda x: 1 / x, lambda g, x: -g / x**2)
square = function(np.square, lambda g, x: 2 * x * g)
absolute = function(np.abs, lambda g, x: np.sign(x) * g)
clip = function(lambda x: np.clip(x, -1, 1), lambda g, x: g * (np.abs(x) < 1))
clip_closed = function(lambda x: np.clip(x, -1, 1), lambda g, x: g * (np.abs(x) <= 1))
hinge = function(lambda x: np.maximum(1 - x, 0), lambda g, x: -g * (x < 1))
softplus = function(lambda x: np.logaddexp(x, 0), lambda g, x: g * sigmoid(x))
sigma = function(sigmoid, lambda g, x: g * sigmoid(x) * (1 - sigmoid(x)))
tanh = function(np.tanh, lambda g, x: g * (1 - np.tanh(x) ** 2))
steps = function(np.floor, lambda g, x: np.zeros_like(g))
signed_square = function(lambda x: x * np.abs(x), lambda g, x: 2 * np.abs(x) * g)
relu_squared = function(lambda x: np.maximum(x, 0) ** 2, lambda g, x: 2 * np.maximum(x, 0) * g)
power_of_itself = function(lambda x: x**x, lambda g, x: g * x**x * (np.log(x) + 1))
log_cosh = function(lambda x: np.logaddexp(x, -x) - float(np.log(2)), lambda g, x: g * np.tanh(x))
wave = function(lambda x: np.sin(30 * x), lambda g, x: 30 * np.cos(30 * x) * g)
bump = function(lambda x: np.exp(-(x**2)), lambda g, x: -2 * x * np.exp(-(x**2)) * g)
rational = function(lambda x: x / (1 + np.abs(x)), lambda g, x: g / (1 + np.abs(x)) ** 2)
cube_root = function(np.cbrt, lambda g, x: g / (3 * np.cbrt(x) ** 2))
sawtooth = function(lambda x: x - np.floor(x), lambda g, x: g)
constant = function(lambda x: np.ones_like(x), lambda g, x: np.zeros_like(g))
hard_shrink = function(lambda x: x * (np.abs(x) > 0.5), lambda g, x: g * (np.abs(x) > 0.5))
barely = function(lambda x: x + 1e-9 * x**2, lambda g, x: g * (1 + 2e-9 * x))

BOUNDS = np.array([[-1.0, -0.3, 1.0], [1.0, 0.5, 2.0], [-2.0, -1.0, 0.0]])
ZEROS = np.array([[0.0, -0.3, 1.0], [0.7, 0.0, 0.0]])

ELEMENTWISE = [
    Right("log near 1e-3", log, 1e-3 * positive(3, 4)),
    Right("log at 1e-6", log, 1e-6 * positive(3, 4)),
    Right("√x near 0.01", root, 0.01 * positive(3, 4)),
    Right("√x near 1e-6", root, 1e-6 * positive(3, 4)),
    Right("1/x near 0.01", inverse, 0.01 * normal(3, 4)),
    Right("x² at 1e6", square, 1e6 * normal(3, 4)),
    Right("x² at 1e-7", square, 1e-7 * normal(3, 4)),
    Right("1/x at 1e6", inverse, 1e6 * positive(3, 4)),
    Right("|x| at 0", absolute, ZEROS, True),
    Right("clip at its bounds, open", clip, BOUNDS, True),
    Right("clip at its bounds, closed", clip_closed, BOUNDS, True),
    Right("hinge at its kink", hinge, BOUNDS, True),
    Right("softplus at ±50", softplus, np.array([[-50.0, 50.0, 0.1], [-20.0, 20.0, 3.0]])),
    Right("sigmoid at ±40", sigma, np.array([[-40.0, 30.0, 0.1], [-20.0, 12.0, 3.0]])),
    Right("tanh at ±18", tanh, np.array([[-18.0, 18.0, 0.1], [-9.0, 5.0, 3.0]])),
    Right("steps, flat between them", steps, normal(3, 4)),
    Right("x |x| at 0", signed_square, ZEROS),
    Right("relu² at 0", relu_squared, ZEROS),
    Right("xˣ", power_of_itself, positive(3, 4)),
    Right("log cosh at ±300", log_cosh, np.array([[-300.0, 300.0], [0.0, 1e-4]])),
    Right("sin 30x", wave, normal(3, 4)),
    Right("exp(−x²) far out", bump, np.array([[5.0, -4.0, 0.0], [1.0, -2.0, 6.0]])),
    Right("softsign at 0", rational, ZEROS),
    Right("cube root near 1e-3", cube_root, 1e-3 * normal(3, 4)),
    Right("sawtooth", sawtooth, normal(3, 4)),
    Right("a constant", constant, normal(3, 4)),
    Right("hard shrinkage", hard_shrink, normal(4, 4)),
    Right("almost the identity", barely, normal(3, 4)),
    Right("leaky with tuple args", lambda: TwoSlopes((0.1, 2.0)), ZEROS, True),
    Right("ReLU on digits", nn.ReLU, IMAGES, True),
    Right("LeakyReLU on digits", nn.LeakyReLU, ROWS, True),
    Right("PReLU at zeros", lambda: nn.PReLU(3), ZEROS, True),
]


class TwoSlopes(nn.Layer):
    """A slope for each side of zero."""

    def __init__(self, slopes):
        self.slopes = slopes

    def forward(self, x):
        left, right = self.slopes
        self.save_for_backward(x)
        return np.where(x > 0, right * x, left * x)

    def backward(self, grad_output):
        (x,) = self.saved()
        left, right = self.slopes
        return np.where(x > 0, right * grad_output, left * grad_output)


# -- choosing and moving values -----------------------------------------------------------------


def sort_back(g, x):
    order = np.argsort(x, axis=-1, kind="stable")
    d = np.zeros_like(g)
    np.put_along_axis(d, order, g, axis=-1)
    return d


def top_k(x, k=2):
    return np.take_along_axis(x, np.argsort(-x, axis=-1, kind="stable")[:, :k], axis=-1)


def top_k_back(g, x, k=2):
    d = np.zeros_like(x)
    np.put_along_axis(d, np.argsort(-x, axis=-1, kind="stable")[:, :k], g, axis=-1)
    return d


def median_back(g, x):
    d = np.zeros_like(x)
    middle = np.argsort(x, axis=-1, kind="stable")[:, x.shape[-1] // 2]
    d[np.arange(len(x)), middle] = g[:, 0]
    return d


def cumulative_max_back(g, x):
    d = np.zeros_like(x)
    for n, row in enumerate(x):
        for t in range(len(row)):
            d[n, np.argmax(row[: t + 1])] += g[n, t]
    return d


def cumprod_back(g, x):
    y = np.cumprod(x, axis=1)
    return np.cumsum((g * y)[:, ::-1], axis=1)[:, ::-1] / x


def pixel_shuffle(x):  # (N, H, W, 4 C) to (N, 2 H, 2 W, C)
    n, h, w, c = x.shape
    x = x.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, 2 * h, 2 * w, c // 4)


def space_to_depth(x):
    n, h, w, c = x.shape
    x = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // 2, w // 2, 4 * c)


def outer(x):
    return np.einsum("ni,nj->nij", x, x).reshape(len(x), -1)


def outer_back(g, x):
    g = g.reshape(len(x), x.shape[1], x.shape[1])
    return np.einsum("nij,nj->ni", g, x) + np.einsum("nij,ni->nj", g, x)


def distances(x):
    return ((x[:, None] - x[None]) ** 2).sum(axis=-1)


def distances_back(g, x):
    both = g + g.T
    return 2 * (both.sum(axis=1)[:, None] * x - both @ x)


def haar(x):
    return np.concatenate([x[:, 0::2] + x[:, 1::2], x[:, 0::2] - x[:, 1::2]], axis=1)


def haar_back(g, x):
    s, d = np.split(g, 2, axis=1)
    return np.stack([s + d, s - d], axis=2).reshape(x.shape)


def determinant(x):  # rows a, b, c, d
    return x[:, :1] * x[:, 3:] - x[:, 1:2] * x[:, 2:3]


def inverse_of_2x2(x):
    return x[:, [3, 1, 2, 0]] * np.array([1, -1, -1, 1], x.dtype) / determinant(x)


def inverse_of_2x2_back(g, x):
    y = inverse_of_2x2(x).reshape(-1, 2, 2)  # dL/dX = −Yᵀ G Yᵀ
    turned = y.transpose(0, 2, 1)
    return -(turned @ g.reshape(-1, 2, 2) @ turned).reshape(x.shape)


def complex_product(x):
    a, b, c, d = np.split(x, 4, axis=1)
    return np.concatenate([a * c - b * d, a * d + b * c], axis=1)


def complex_product_back(g, x):
    a, b, c, d = np.split(x, 4, axis=1)
    p, q = np.split(g, 2, axis=1)
    return np.concatenate([p * c + q * d, q * c - p * d, p * a + q * b, q * a - p * b], axis=1)


def log_sum_exp(x):
    top = x.max(axis=-1, keepdims=True)
    return top + np.log(np.exp(x - top).sum(axis=-1, keepdims=True))


def unit(x):
    return x / np.sqrt((x**2).sum(axis=-1, keepdims=True))


def unit_back(g, x):
    y = unit(x)
    return (g - y * (g * y).sum(axis=-1, keepdims=True)) / np.sqrt(
        (x**2).sum(axis=-1, keepdims=True)
    )


def soft_place(x):  # the expected place under a softmax over height and width
    n, h, w, c = x.shape
    p = softmax(x.transpose(0, 3, 1, 2).reshape(n, c, h * w))
    rows, columns = np.array(np.divmod(np.arange(h * w), w), x.dtype)
    return np.concatenate([p @ rows, p @ columns], axis=1)


def soft_place_back(g, x):
    n, h, w, c = x.shape
    p = softmax(x.transpose(0, 3, 1, 2).reshape(n, c, h * w))
    rows, columns = np.array(np.divmod(np.arange(h * w), w), x.dtype)
    d_p = g[:, :c, None] * rows + g[:, c:, None] * columns
    d_z = p * (d_p - (p * d_p).sum(axis=-1, keepdims=True))
    return d_z.reshape(n, c, h, w).transpose(0, 2, 3, 1)


def segment_means(x, segment=(0, 0, 1, 0)):
    return np.stack([x[:, np.equal(segment, s)].mean(axis=1) for s in (0, 1)], axis=1)


def segment_means_back(g, x, segment=(0, 0, 1, 0)):
    count = np.bincount(segment).astype(g.dtype)
    return (g / count[:, None])[:, list(segment)]


TIES = np.array([[1.0, 0.5, 1.0, -2.0, 0.3], [0.2, 0.2, 3.0, -1.0, -1.0]])
PAIR = np.array([[1.0, 1.0, 0.2, 3.0], [0.0, -1.0, 2.0, 2.0]])

MOVING = [
    Right("sort with ties", function(lambda x: np.sort(x, axis=-1), sort_back), TIES, True),
    Right(
        "sort of a digit's rows", function(lambda x: np.sort(x, axis=-1), sort_back), normal(3, 6)
    ),
    Right("top 2 with ties", function(top_k, top_k_back), PAIR, True),
    Right(
        "median",
        function(lambda x: np.median(x, axis=-1, keepdims=True), median_back),
        normal(4, 5),
    ),
    Right("median at a tie", function(lambda x: np.sort(x)[:, 2:3], median_back), TIES, True),
    Right(
        "largest so far",
        function(lambda x: np.maximum.accumulate(x, axis=1), cumulative_max_back),
        normal(3, 5),
    ),
    Right(
        "cumulative product", function(lambda x: np.cumprod(x, axis=1), cumprod_back), normal(3, 5)
    ),
    Right("flip", function(lambda x: x[:, ::-1], lambda g, x: g[:, ::-1]), normal(3, 5)),
    Right(
        "roll by 2",
        function(lambda x: np.roll(x, 2, axis=1), lambda g, x: np.roll(g, -2, axis=1)),
        normal(3, 5),
    ),
    Right(
        "gather with duplicates",
        function(
            lambda x: x[:, [0, 2, 2, 0, 1]],
            lambda g, x: placed(x.shape, g.dtype, (slice(None), [0, 2, 2, 0, 1]), g),
        ),
        normal(3, 4),
    ),
    Right(
        "scatter into six places",
        function(
            lambda x: placed((len(x), 6), x.dtype, (slice(None), [5, 1, 1, 0]), x),
            lambda g, x: g[:, [5, 1, 1, 0]],
        ),
        normal(3, 4),
    ),
    Right(
        "pixel shuffle", function(pixel_shuffle, lambda g, x: space_to_depth(g)), normal(2, 2, 3, 8)
    ),
    Right(
        "space to depth",
        function(space_to_depth, lambda g, x: pixel_shuffle(g)),
        normal(2, 4, 2, 3),
    ),
    Right("outer product", function(outer, outer_back), normal(3, 3)),
    Right("distances within the batch", function(distances, distances_back), normal(4, 3)),
    Right("haar wavelet", function(haar, haar_back), normal(3, 6)),
    Right(
        "inverse of 2 × 2",
        function(inverse_of_2x2, inverse_of_2x2_back),
        normal(4, 4) + np.array([3, 0, 0, 3]),
    ),
    Right("complex product", function(complex_product, complex_product_back), normal(3, 8)),
    Right(
        "logsumexp of ±80",
        function(log_sum_exp, lambda g, x: g * softmax(x)),
        np.array([[80.0, -80.0, 79.0], [0.1, 0.2, -60.0]]),
    ),
    Right("unit length of short vectors", function(unit, unit_back), 1e-3 * normal(4, 3)),
    Right("unit length of long vectors", function(unit, unit_back), 1e5 * normal(4, 3)),
    Right("soft place", function(soft_place, soft_place_back), normal(2, 3, 4, 2)),
    Right("means of segments", function(segment_means, segment_means_back), normal(3, 4, 2)),
    Right(
        "padding then cropping",
        function(
            lambda x: np.pad(x, ((0, 0), (2, 0)))[:, :-1],
            lambda g, x: np.pad(g, ((0, 0), (0, 1)))[:, 2:],
        ),
        normal(3, 4),
    ),
    Right(
        "only one column counts",
        function(
            lambda x: x[:, 1:2] ** 2,
            lambda g, x: np.pad(2 * x[:, 1:2] * g, ((0, 0), (1, x.shape[1] - 2))),
        ),
        normal(3, 4),
    ),
    Right("MaxPool2d on digits", lambda: nn.MaxPool2d(2), IMAGES, True),
    Right("GlobalMaxPool2d on digits", nn.GlobalMaxPool2d, IMAGES, True),
    Right("MaxPool1d on digits", lambda: nn.MaxPool1d(3, stride=2), IMAGES[..., 0], True),
    Right("max pooling by hand on digits", by_hand.MaxPool2d, IMAGES, True),
    Right(
        "conv, ReLU and MaxPool on digits",
        lambda: nn.Sequential(nn.Conv2d(1, 2, 3, padding=1, rng=0), nn.ReLU(), nn.MaxPool2d(2)),
        IMAGES[:1],
        True,
    ),
]

# -- scales, norms, noise -----------------------------------------------------------------------


class Mask(nn.Layer):
    """Each value with probability ½, drawn in forward by a generator of its own."""

    def __init__(self, seed=3):
        self.seed = seed
        self.rng = np.random.default_rng(seed)

    def forward(self, x):
        mask = 1 if not self.training else 2 * (self.rng.random(x.shape) < 0.5).astype(x.dtype)
        self.save_for_backward(mask)
        return x * mask

    def backward(self, grad_output):
        (mask,) = self.saved()
        return grad_output * mask


class NoisyScale(nn.Layer):
    """y = x (1 + s ε), ε ~ N(0, 1) drawn in forward, s learned."""

    def __init__(self, features):
        self.features = features
        self.s = nn.Parameter(0.3 + 0.1 * np.arange(features))
        self.rng = np.random.default_rng(5)

    def forward(self, x):
        noise = self.rng.standard_normal(x.shape).astype(x.dtype) * self.training
        self.save_for_backward(x, noise)
        return x * (1 + self.s.data * noise)

    def backward(self, grad_output):
        x, noise = self.saved()
        self.s.grad += (grad_output * x * noise).sum(axis=0)
        return grad_output * (1 + self.s.data * noise)


class GumbelSoftmax(nn.Layer):
    """softmax((x + g) / τ), g drawn in forward."""

    def __init__(self, tau=0.7):
        self.tau = tau
        self.rng = np.random.default_rng(5)

    def forward(self, x):
        g = self.rng.gumbel(size=x.shape).astype(x.dtype)
        y = softmax((x + g) / self.tau)
        self.save_for_backward(y)
        return y

    def backward(self, grad_output):
        (y,) = self.saved()
        return y * (grad_output - (grad_output * y).sum(axis=-1, keepdims=True)) / self.tau


class Gain(nn.Layer):
    """One number (without axes) for all, used twice: y = a x + a²."""

    def __init__(self, gain=1.5):
        self.gain = gain
        self.a = nn.Parameter(np.array(gain))

    def forward(self, x):
        self.save_for_backward(x)
        return self.a.data * x + self.a.data**2

    def backward(self, grad_output):
        (x,) = self.saved()
        self.a.grad += (grad_output * (x + 2 * self.a.data)).sum()
        return self.a.data * grad_output


class Permutation(nn.Layer):
    """A whole-numbered parameter that says which column goes where, and a scale."""

    def __init__(self, features):
        self.features = features
        self.order = nn.Parameter(np.roll(np.arange(features), 1))
        self.scale = nn.Parameter(1 + weights(features))

    def forward(self, x):
        self.save_for_backward(x)
        return x[:, self.order.data] * self.scale.data

    def backward(self, grad_output):
        (x,) = self.saved()
        self.scale.grad += (grad_output * x[:, self.order.data]).sum(axis=0)
        d_x = np.empty_like(x)
        d_x[:, self.order.data] = grad_output * self.scale.data
        return d_x


class BigBias(nn.Layer):
    """y = x W + b, then relu, with biases of ±1e6."""

    def __init__(self, features):
        self.features = features
        self.weight = nn.Parameter(weights(features, 3))
        self.bias = nn.Parameter(np.array([1e6, -1e6, 1e6]))

    def forward(self, x):
        y = np.maximum(x @ self.weight.data + self.bias.data, 0)
        self.save_for_backward(x, y > 0)
        return y

    def backward(self, grad_output):
        x, on = self.saved()
        g = grad_output * on
        self.weight.grad += x.T @ g
        self.bias.grad += g.sum(axis=0)
        return g @ self.weight.data.T


class FrobeniusScale(nn.Layer):
    """y = x W / ‖W‖, the norm differentiated too."""

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs
        self.w = nn.Parameter(weights(inputs, outputs))

    def forward(self, x):
        norm = np.sqrt((self.w.data**2).sum())
        y = x @ self.w.data / norm
        self.save_for_backward(x, norm)
        return y

    def backward(self, grad_output):
        x, norm = self.saved()
        d = x.T @ grad_output / norm  # of W / ‖W‖, times 1 / ‖W‖
        self.w.grad += d - self.w.data * (d * self.w.data).sum() / norm**2
        return grad_output @ self.w.data.T / norm


class LocalResponse(nn.Layer):
    """y_c = x_c / (1 + α Σ x²)^β over c and its neighbours."""

    def forward(self, x):
        s = 1 + 0.5 * self._around(x**2)
        self.save_for_backward(x, s)
        return x * s**-0.75

    def backward(self, grad_output):
        x, s = self.saved()
        d_s = grad_output * x * -0.75 * s**-1.75
        return grad_output * s**-0.75 + 2 * 0.5 * x * self._around(d_s)

    def _around(self, v):
        wide = np.pad(v, [(0, 0)] * (v.ndim - 1) + [(1, 1)])
        return wide[..., :-2] + wide[..., 1:-1] + wide[..., 2:]


NEARLY_CONSTANT = 5 + 1e-3 * normal(4, 6)
CONSTANT_COLUMN = np.where(np.arange(4) == 2, 0.0, normal(6, 4))

NORMS = [
    Right("mask drawn in forward", Mask, normal(6, 4)),
    Right("noise of its own", lambda: NoisyScale(4), normal(5, 4)),
    Right("gumbel softmax", GumbelSoftmax, normal(4, 5)),
    Right("dropout", lambda: nn.Dropout(0.4, rng=1), normal(6, 5)),
    Right("a parameter without axes, used twice", Gain, normal(4, 3)),
    Right("gain at 1e-4", lambda: Gain(1e-4), normal(4, 3)),
    Right("a whole-numbered parameter", lambda: Permutation(4), normal(5, 4)),
    Right("bias of 1e6", lambda: BigBias(4), normal(5, 4), step=1000),
    Right("Frobenius norm", lambda: FrobeniusScale(4, 3), normal(5, 4)),
    Right("weight norm by hand", lambda: by_hand.WeightNorm(4, 3), 100 * normal(5, 4)),
    Right("local response", LocalResponse, normal(3, 5)),
    Right(
        "LayerNorm of nearly constant rows",
        lambda: by_hand.LayerNorm(6),
        NEARLY_CONSTANT,
        step=0.01,
    ),
    Right(
        "nn.LayerNorm of nearly constant rows", lambda: nn.LayerNorm(6), NEARLY_CONSTANT, step=0.01
    ),
    Right("LayerNorm of a digit", lambda: nn.LayerNorm(64), ROWS),
    Right("LayerNorm of large rows", lambda: by_hand.LayerNorm(6), 1e4 * normal(4, 6)),
    Right("BatchNorm with a constant column", lambda: by_hand.BatchNorm(4), CONSTANT_COLUMN),
    Right("nn.BatchNorm1d with a constant column", lambda: nn.BatchNorm1d(4), CONSTANT_COLUMN),
    Right(
        "bias before batch norm",
        lambda: nn.Sequential(nn.Linear(4, 3, rng=0), nn.BatchNorm1d(3)),
        normal(8, 4),
    ),
    Right(
        "bias of keys before softmax", lambda: nn.MultiHeadAttention(4, 2, rng=0), normal(2, 3, 4)
    ),
    Right("group norm by hand", lambda: by_hand.GroupNorm(2), 10 + normal(5, 6)),
    Right("RMS norm of short rows", lambda: by_hand.RmsNorm(4), 1e-4 * normal(4, 4)),
    Right("batch norm of two rows", lambda: by_hand.BatchNorm(3), normal(2, 3)),
]

# -- maps with parameters -----------------------------------------------------------------------


class FourierFeatures(nn.Layer):
    """[cos xF, sin xF] with learned frequencies."""

    def __init__(self, inputs, count):
        self.inputs, self.count = inputs, count
        self.f = nn.Parameter(4 * weights(inputs, count))

    def forward(self, x):
        a = x @ self.f.data
        self.save_for_backward(x, a)
        return np.concatenate([np.cos(a), np.sin(a)], axis=-1)

    def backward(self, grad_output):
        x, a = self.saved()
        d_cos, d_sin = np.split(grad_output, 2, axis=-1)
        d_a = d_sin * np.cos(a) - d_cos * np.sin(a)
        self.f.grad += x.T @ d_a
        return d_a @ self.f.data.T


class Toeplitz(nn.Layer):
    """y_o = Σᵢ x_i t_{i−o}: one number serves a whole diagonal."""

    def __init__(self, features):
        self.features = features
        self.t = nn.Parameter(weights(2 * features - 1))

    def index(self):
        i = np.arange(self.features)
        return i[:, None] - i + self.features - 1

    def forward(self, x):
        self.save_for_backward(x)
        return x @ self.t.data[self.index()]

    def backward(self, grad_output):
        (x,) = self.saved()
        np.add.at(self.t.grad, self.index(), x.T @ grad_output)
        return grad_output @ self.t.data[self.index()].T


class Householder(nn.Layer):
    """y = x − 2 (x·v) v / (v·v)."""

    def __init__(self, features):
        self.features = features
        self.v = nn.Parameter(weights(features))

    def forward(self, x):
        v = self.v.data
        y = x - 2 * np.outer(x @ v, v) / (v @ v)
        self.save_for_backward(x)
        return y

    def backward(self, grad_output):
        (x,) = self.saved()
        v = self.v.data
        length = v @ v
        s, t = x @ v, grad_output @ v
        self.v.grad += -2 / length * (s @ grad_output + t @ x) + 4 * (s @ t) / length**2 * v
        return grad_output - 2 * np.outer(t, v) / length


class Rotation(nn.Layer):
    """Pairs of features turned by a learned angle."""

    def __init__(self, pairs):
        self.pairs = pairs
        self.angle = nn.Parameter(weights(pairs))

    def forward(self, x):
        c, s = np.cos(self.angle.data), np.sin(self.angle.data)
        a, b = x[:, 0::2], x[:, 1::2]
        y = np.empty_like(x)
        y[:, 0::2], y[:, 1::2] = c * a - s * b, s * a + c * b
        self.save_for_backward(y, c, s)
        return y

    def backward(self, grad_output):
        y, c, s = self.saved()
        p, q = grad_output[:, 0::2], grad_output[:, 1::2]
        # dy/dangle is y turned by another 90°
        self.angle.grad += (q * y[:, 0::2] - p * y[:, 1::2]).sum(axis=0)
        d_x = np.empty_like(y)
        d_x[:, 0::2], d_x[:, 1::2] = c * p + s * q, c * q - s * p
        return d_x


class FactorizationMachine(nn.Layer):
    """½ ((x V)² − x² V²), summed over the factors."""

    def __init__(self, features, factors):
        self.features, self.factors = features, factors
        self.v = nn.Parameter(weights(features, factors))

    def forward(self, x):
        v = self.v.data
        s = x @ v
        self.save_for_backward(x, s)
        return 0.5 * (s**2 - x**2 @ v**2).sum(axis=1, keepdims=True)

    def backward(self, grad_output):
        x, s = self.saved()
        v = self.v.data
        self.v.grad += x.T @ (grad_output * s) - v * (x**2 * grad_output).sum(axis=0)[:, None]
        return grad_output * (s @ v.T - x * (v**2).sum(axis=1))


class Polynomial(nn.Layer):
    """c₀ + c₁ x + c₂ x² + c₃ x³ by Horner's rule."""

    def __init__(self):
        self.c = nn.Parameter(np.array([0.3, -1.0, 0.5, 0.2]))

    def forward(self, x):
        self.save_for_backward(x)
        c = self.c.data
        return ((c[3] * x + c[2]) * x + c[1]) * x + c[0]

    def backward(self, grad_output):
        (x,) = self.saved()
        self.c.grad += [(grad_output * x**k).sum() for k in range(4)]
        c = self.c.data
        return grad_output * ((3 * c[3] * x + 2 * c[2]) * x + c[1])


class QuadraticForm(nn.Layer):
    """xᵀ A x, one number for each row, with a parameter that is not symmetric."""

    def __init__(self, features):
        self.features = features
        self.a = nn.Parameter(weights(features, features))

    def forward(self, x):
        self.save_for_backward(x)
        return np.einsum("ni,ij,nj->n", x, self.a.data, x)[:, None]

    def backward(self, grad_output):
        (x,) = self.saved()
        self.a.grad += np.einsum("n,ni,nj->ij", grad_output[:, 0], x, x)
        return grad_output * (x @ (self.a.data + self.a.data.T))


class CosineHead(nn.Layer):
    """s cos(x, w_k) with a learned scale."""

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs
        self.w = nn.Parameter(weights(inputs, outputs))
        self.s = nn.Parameter(np.array([5.0]))

    def forward(self, x):
        x_length = np.sqrt((x**2).sum(axis=1, keepdims=True))
        w_length = np.sqrt((self.w.data**2).sum(axis=0))
        x_unit, w_unit = x / x_length, self.w.data / w_length
        cosine = x_unit @ w_unit
        self.save_for_backward(x_unit, x_length, w_unit, w_length, cosine)
        return self.s.data * cosine

    def backward(self, grad_output):
        x_unit, x_length, w_unit, w_length, cosine = self.saved()
        self.s.grad += (grad_output * cosine).sum()
        d = grad_output * self.s.data
        d_w = x_unit.T @ d
        self.w.grad += (d_w - w_unit * (d_w * w_unit).sum(axis=0)) / w_length
        d_x = d @ w_unit.T
        return (d_x - x_unit * (d_x * x_unit).sum(axis=1, keepdims=True)) / x_length


class Film(nn.Layer):
    """x = [h, c]; y = (1 + c A) ⊙ h + c B."""

    def __init__(self, features, context):
        self.features, self.context = features, context
        self.a = nn.Parameter(weights(context, features))
        self.b = nn.Parameter(weights(context, features, seed=2))

    def forward(self, x):
        h, c = x[:, : self.features], x[:, self.features :]
        scale = 1 + c @ self.a.data
        self.save_for_backward(h, c, scale)
        return scale * h + c @ self.b.data

    def backward(self, grad_output):
        h, c, scale = self.saved()
        d_scale = grad_output * h
        self.a.grad += c.T @ d_scale
        self.b.grad += c.T @ grad_output
        d_c = d_scale @ self.a.data.T + grad_output @ self.b.data.T
        return np.concatenate([grad_output * scale, d_c], axis=1)


class Coupling(nn.Layer):
    """A flow's affine coupling: [a, b ⊙ exp(tanh(a S)) + a T]."""

    def __init__(self, half):
        self.half = half
        self.s = nn.Parameter(weights(half, half))
        self.t = nn.Parameter(weights(half, half, seed=2))

    def forward(self, x):
        a, b = np.split(x, 2, axis=1)
        r = np.tanh(a @ self.s.data)
        self.save_for_backward(a, b, r)
        return np.concatenate([a, b * np.exp(r) + a @ self.t.data], axis=1)

    def backward(self, grad_output):
        a, b, r = self.saved()
        g_a, g_b = np.split(grad_output, 2, axis=1)
        d_r = g_b * b * np.exp(r) * (1 - r**2)
        self.s.grad += a.T @ d_r
        self.t.grad += a.T @ g_b
        d_a = g_a + d_r @ self.s.data.T + g_b @ self.t.data.T
        return np.concatenate([d_a, g_b * np.exp(r)], axis=1)


class LearnedSoftplus(nn.Layer):
    """log(1 + exp(β x)) / β, one β for each feature."""

    def __init__(self, features):
        self.features = features
        self.beta = nn.Parameter(np.linspace(0.5, 2, features))

    def forward(self, x):
        y = np.logaddexp(self.beta.data * x, 0) / self.beta.data
        self.save_for_backward(x, y)
        return y

    def backward(self, grad_output):
        x, y = self.saved()
        s = sigmoid(self.beta.data * x)
        self.beta.grad += (grad_output * (s * x - y)).sum(axis=0) / self.beta.data
        return grad_output * s


class MixtureDensity(nn.Layer):
    """log Σₖ πₖ N(x; μₖ, σₖ²), from logits, means and logarithms of σ."""

    def __init__(self, count):
        self.count = count
        self.logit = nn.Parameter(weights(count))
        self.mean = nn.Parameter(2 * weights(count, seed=2))
        self.log_std = nn.Parameter(weights(count, seed=3))

    def forward(self, x):  # (N, 1)
        z = (x - self.mean.data) / np.exp(self.log_std.data)
        log_pi = self.logit.data - log_sum_exp(self.logit.data)
        terms = log_pi - 0.5 * z**2 - self.log_std.data
        y = log_sum_exp(terms)
        self.save_for_backward(z, np.exp(terms - y))
        return y

    def backward(self, grad_output):
        z, share = self.saved()
        d = grad_output * share  # dL/dterms, (N, K)
        self.logit.grad += d.sum(axis=0) - d.sum() * softmax(self.logit.data)
        d_z = -d * z / np.exp(self.log_std.data)
        self.mean.grad += -d_z.sum(axis=0)
        self.log_std.grad += (d * (z**2 - 1)).sum(axis=0)
        return d_z.sum(axis=1, keepdims=True)


class Spline(nn.Layer):
    """Piecewise linear between learned heights at 0, 1, 2, 3."""

    def __init__(self):
        self.height = nn.Parameter(np.array([0.0, 2.0, -1.0, 0.5]))

    def forward(self, x):
        left = np.clip(np.floor(x), 0, 2).astype(int)
        share = x - left.astype(x.dtype)
        h = self.height.data
        self.save_for_backward(left, share)
        return (1 - share) * h[left] + share * h[left + 1]

    def backward(self, grad_output):
        left, share = self.saved()
        np.add.at(self.height.grad, left, grad_output * (1 - share))
        np.add.at(self.height.grad, left + 1, grad_output * share)
        return grad_output * (self.height.data[left + 1] - self.height.data[left])


class GraphConvolution(nn.Layer):
    """y = Â x W over a fixed graph, x (nodes, features)."""

    def __init__(self, inputs, outputs):
        self.inputs, self.outputs = inputs, outputs
        self.weight = nn.Parameter(weights(inputs, outputs))

    def graph(self, n):
        a = np.eye(n) + np.eye(n, k=1) + np.eye(n, k=-3)
        return a / a.sum(axis=1, keepdims=True)

    def forward(self, x):
        self.save_for_backward(x)
        return self.graph(len(x)).astype(x.dtype) @ x @ self.weight.data

    def backward(self, grad_output):
        (x,) = self.saved()
        a = self.graph(len(x)).astype(x.dtype)
        self.weight.grad += (a @ x).T @ grad_output
        return a.T @ grad_output @ self.weight.data.T


class SharedTwice(nn.Layer):
    """tanh(tanh(x W) W): one weight in two places."""

    def __init__(self, features):
        self.features = features
        self.weight = nn.Parameter(weights(features, features))

    def forward(self, x):
        h = np.tanh(x @ self.weight.data)
        y = np.tanh(h @ self.weight.data)
        self.save_for_backward(x, h, y)
        return y

    def backward(self, grad_output):
        x, h, y = self.saved()
        d_b = grad_output * (1 - y**2)
        d_a = d_b @ self.weight.data.T * (1 - h**2)
        self.weight.grad += h.T @ d_b
        self.weight.grad += x.T @ d_a
        return d_a @ self.weight.data.T


class Halves(nn.Layer):
    """x as a tuple of its two halves."""

    def forward(self, x):
        self.save_for_backward()
        return tuple(np.split(x, 2, axis=-1))

    def backward(self, grad_output):
        self.saved()
        return np.concatenate(grad_output, axis=-1)


def frozen():
    layer = by_hand.TwoLayers(3, 4, 2)
    layer.w.trainable = False
    return layer


def tied():
    model = nn.Sequential(nn.Linear(3, 3, rng=0), nn.Tanh(), nn.Linear(3, 3, rng=1))
    model[2].weight = model[0].weight
    return model


MAPS = [
    Right("Fourier features", lambda: FourierFeatures(3, 4), normal(5, 3)),
    Right("Toeplitz", lambda: Toeplitz(4), normal(5, 4)),
    Right("Householder", lambda: Householder(4), normal(5, 4)),
    Right("rotation by learned angles", lambda: Rotation(2), normal(5, 4)),
    Right("factorization machine", lambda: FactorizationMachine(4, 3), normal(5, 4)),
    Right("polynomial", Polynomial, 2 * normal(5, 3)),
    Right("quadratic form", lambda: QuadraticForm(4), normal(5, 4)),
    Right("cosine head", lambda: CosineHead(4, 3), 0.01 * normal(5, 4)),
    Right("FiLM", lambda: Film(3, 2), normal(5, 5)),
    Right("affine coupling", lambda: Coupling(3), normal(4, 6)),
    Right("learned softplus at ±40", lambda: LearnedSoftplus(3), 20 * normal(5, 3)),
    Right("mixture density", lambda: MixtureDensity(3), 2 * normal(6, 1)),
    Right("mixture density far out", lambda: MixtureDensity(3), 30 + normal(3, 1)),
    Right("piecewise linear", Spline, np.random.default_rng(0).uniform(0, 3, (4, 3))),
    Right("graph convolution", lambda: GraphConvolution(3, 2), normal(5, 3)),
    Right("one weight twice", lambda: SharedTwice(3), normal(5, 3)),
    Right("weights tied in a model", tied, normal(5, 3)),
    Right("a frozen parameter", frozen, normal(5, 3)),
    Right(
        "a tuple inside",
        lambda: nn.Sequential(Halves(), nn.Parallel(nn.Linear(2, 3, rng=0), nn.Tanh()), nn.Join()),
        normal(4, 4),
    ),
    Right("radial basis far from its centers", lambda: by_hand.Rbf(3, 4), 3 * normal(5, 3)),
    Right("saturated highway", lambda: by_hand.Highway(3), 30 * normal(5, 3)),
    Right("maxout", lambda: by_hand.Maxout(4, 3), normal(6, 4)),
    Right("experts", lambda: by_hand.Experts(4, 3), 5 * normal(5, 4)),
    Right("squeeze and excite of one step", lambda: by_hand.SqueezeExcite(3), normal(4, 1, 3)),
    Right("inputs of 1e-7", lambda: by_hand.Dense(4, 3), 1e-7 * normal(5, 4), step=1000),
    Right("one sample", lambda: by_hand.Dense(4, 3), normal(1, 4)),
    Right("one sample, one feature", lambda: by_hand.Dense(1, 1), normal(1, 1)),
    Right("all samples alike", lambda: by_hand.Dense(4, 3), np.tile(normal(1, 4), (5, 1))),
    Right("samples of zeros", lambda: by_hand.Dense(4, 3), np.zeros((5, 4))),
    Right("float32 input", lambda: by_hand.TwoLayers(3, 4, 2), normal(6, 3).astype(np.float32)),
    Right("temperature of 0.05", lambda: by_hand.Temperature(), 0.05 * normal(5, 4)),
]

# -- sequences ----------------------------------------------------------------------------------


class LeakyIntegrator(nn.Layer):
    """h_t = α h_{t−1} + (1 − α) x_t with α = σ(a), x (N, T, C)."""

    def __init__(self, channels):
        self.channels = channels
        self.a = nn.Parameter(weights(channels))

    def forward(self, x):
        alpha = sigmoid(self.a.data)
        h = np.zeros((len(x), x.shape[1] + 1, self.channels), x.dtype)
        for t in range(x.shape[1]):
            h[:, t + 1] = alpha * h[:, t] + (1 - alpha) * x[:, t]
        self.save_for_backward(x, h)
        return h[:, 1:]

    def backward(self, grad_output):
        x, h = self.saved()
        alpha = sigmoid(self.a.data)
        d_x = np.empty_like(x)
        d_h = np.zeros_like(x[:, 0])
        for t in reversed(range(x.shape[1])):
            d_h = d_h + grad_output[:, t]
            d_alpha = (d_h * (h[:, t] - x[:, t])).sum(axis=0)
            self.a.grad += d_alpha * alpha * (1 - alpha)
            d_x[:, t] = d_h * (1 - alpha)
            d_h = d_h * alpha
        return d_x


class LogPartition(nn.Layer):
    """The forward algorithm of a linear chain: log Σ over paths of exp(scores), x (N, T, K)."""

    def __init__(self, states):
        self.states = states
        self.transition = nn.Parameter(weights(states, states))

    def forward(self, x):
        a = x[:, 0]
        shares = []
        for t in range(1, x.shape[1]):
            s = a[:, :, None] + self.transition.data  # (N, from, to)
            top = s.max(axis=1, keepdims=True)
            total = top + np.log(np.exp(s - top).sum(axis=1, keepdims=True))
            shares.append(np.exp(s - total))
            a = x[:, t] + total[:, 0]
        y = log_sum_exp(a)
        self.save_for_backward(x.shape, shares, np.exp(a - y))
        return y

    def backward(self, grad_output):
        shape, shares, last = self.saved()
        d_x = np.zeros(shape, grad_output.dtype)
        d_a = grad_output * last
        for t in reversed(range(1, shape[1])):
            d_x[:, t] = d_a
            d_s = shares[t - 1] * d_a[:, None]
            self.transition.grad += d_s.sum(axis=0)
            d_a = d_s.sum(axis=2)
        d_x[:, 0] = d_a
        return d_x


class SoftWarping(nn.Layer):
    """Soft DTW of a sequence x (N, T) and a learned one (S,), a small dynamic program."""

    def __init__(self, steps):
        self.steps = steps
        self.pattern = nn.Parameter(weights(steps))

    def forward(self, x):
        n, t_end, s_end = len(x), x.shape[1], self.steps
        r = np.full((n, t_end + 1, s_end + 1), 1e6, x.dtype)
        r[:, 0, 0] = 0
        share = np.zeros((n, t_end, s_end, 3), x.dtype)
        for t in range(t_end):
            for s in range(s_end):
                before = np.stack([r[:, t, s], r[:, t, s + 1], r[:, t + 1, s]], axis=1)
                share[:, t, s] = softmax(-before)
                soft_min = -log_sum_exp(-before)[:, 0]
                r[:, t + 1, s + 1] = (x[:, t] - self.pattern.data[s]) ** 2 + soft_min
        self.save_for_backward(x, share)
        return r[:, -1:, -1]

    def backward(self, grad_output):
        x, share = self.saved()
        n, t_end = x.shape
        d_r = np.zeros((n, t_end + 1, self.steps + 1), x.dtype)
        d_r[:, -1, -1] = grad_output[:, 0]
        d_x = np.zeros_like(x)
        for t in reversed(range(t_end)):
            for s in reversed(range(self.steps)):
                d = d_r[:, t + 1, s + 1]
                d_cost = 2 * d * (x[:, t] - self.pattern.data[s])
                d_x[:, t] += d_cost
                self.pattern.grad[s] -= d_cost.sum()
                d_r[:, t, s] += d * share[:, t, s, 0]
                d_r[:, t, s + 1] += d * share[:, t, s, 1]
                d_r[:, t + 1, s] += d * share[:, t, s, 2]
        return d_x


class Rotary(nn.Layer):
    """Pairs of channels turned by an angle that grows with the step, x (N, T, C)."""

    def turn(self, x, sign):
        steps, pairs = x.shape[1], x.shape[2] // 2
        angle = sign * np.outer(np.arange(steps), 0.3 ** np.arange(pairs)).astype(x.dtype)
        c, s = np.cos(angle), np.sin(angle)
        a, b = x[..., :pairs], x[..., pairs:]
        return np.concatenate([c * a - s * b, s * a + c * b], axis=-1)

    def forward(self, x):
        self.save_for_backward()
        return self.turn(x, 1)

    def backward(self, grad_output):
        self.saved()
        return self.turn(grad_output, -1)


class AttentionPool(nn.Layer):
    """Σ_t softmax(x_t · q) x_t: x both as value and in the weight."""

    def __init__(self, channels):
        self.channels = channels
        self.q = nn.Parameter(weights(channels))

    def forward(self, x):
        a = softmax(x @ self.q.data)  # (N, T)
        self.save_for_backward(x, a)
        return np.einsum("nt,ntc->nc", a, x)

    def backward(self, grad_output):
        x, a = self.saved()
        d_a = np.einsum("nc,ntc->nt", grad_output, x)
        d_z = a * (d_a - (a * d_a).sum(axis=1, keepdims=True))
        self.q.grad += np.einsum("nt,ntc->c", d_z, x)
        return a[..., None] * grad_output[:, None] + d_z[..., None] * self.q.data


class RelativeBias(nn.Layer):
    """softmax(b_{s−t}) as weights over time: one number for each distance."""

    def __init__(self, steps):
        self.steps = steps
        self.b = nn.Parameter(weights(2 * steps - 1))

    def index(self):
        t = np.arange(self.steps)
        return t - t[:, None] + self.steps - 1

    def forward(self, x):
        a = softmax(self.b.data[self.index()])
        self.save_for_backward(x, a)
        return a @ x

    def backward(self, grad_output):
        x, a = self.saved()
        d_a = np.einsum("ntc,nsc->ts", grad_output, x)
        d_z = a * (d_a - (a * d_a).sum(axis=1, keepdims=True))
        np.add.at(self.b.grad, self.index(), d_z)
        return a.T @ grad_output


class GatedCausal(nn.Layer):
    """tanh(causal conv) ⊙ σ(causal conv), two steps wide and dilated by 2."""

    def __init__(self, channels):
        self.channels = channels
        self.w = nn.Parameter(weights(2, channels, 2 * channels))

    def forward(self, x):
        past = np.pad(x, ((0, 0), (2, 0), (0, 0)))[:, :-2]
        a = x @ self.w.data[0] + past @ self.w.data[1]
        f, g = np.split(a, 2, axis=-1)
        f, g = np.tanh(f), sigmoid(g)
        self.save_for_backward(x, past, f, g)
        return f * g

    def backward(self, grad_output):
        x, past, f, g = self.saved()
        d_f = grad_output * g * (1 - f**2)
        d_g = grad_output * f * g * (1 - g)
        d_a = np.concatenate([d_f, d_g], axis=-1)
        self.w.grad[0] += np.einsum("nti,nto->io", x, d_a)
        self.w.grad[1] += np.einsum("nti,nto->io", past, d_a)
        d_past = d_a @ self.w.data[1].T
        return d_a @ self.w.data[0].T + np.pad(d_past[:, 2:], ((0, 0), (0, 2), (0, 0)))


REPEATED = np.array([[1, 1, 1, 0], [1, 0, 1, 5]])

SEQUENCES = [
    Right("leaky integrator", lambda: LeakyIntegrator(3), normal(2, 5, 3)),
    Right("forward algorithm", lambda: LogPartition(3), normal(2, 5, 3)),
    Right("forward algorithm with scores of ±40", lambda: LogPartition(3), 20 * normal(2, 4, 3)),
    Right("soft time warping", lambda: SoftWarping(3), normal(2, 4)),
    Right("rotary positions", Rotary, normal(2, 4, 6)),
    Right("attention pooling", lambda: AttentionPool(3), normal(3, 5, 3)),
    Right("bias by distance", lambda: RelativeBias(4), normal(3, 4, 2)),
    Right("gated causal convolution", lambda: GatedCausal(2), normal(2, 6, 2)),
    Right("embedding with repeated tokens", lambda: by_hand.Embedding(6, 3), REPEATED),
    Right("nn.Embedding with a padding row", lambda: nn.Embedding(6, 3, rng=0), REPEATED),
    Right(
        "attention by hand, nearly one-hot", lambda: by_hand.Attention(4, 3), 5 * normal(2, 4, 4)
    ),
    Right("Elman, long", lambda: by_hand.Elman(2, 3), normal(1, 20, 2)),
    Right("Elman, saturated", lambda: by_hand.Elman(3, 4), 10 * normal(2, 5, 3)),
    Right("GRU of one step", lambda: by_hand.Gru(3, 4), normal(3, 1, 3)),
    Right("LSTM by hand", lambda: by_hand.Lstm(2, 3), 3 * normal(2, 6, 2)),
    Right("nn.LSTM", lambda: nn.LSTM(2, 3, rng=0), normal(2, 5, 2)),
    Right("conv by hand on digits", lambda: by_hand.Conv2d(1, 2), IMAGES),
    Right("strided conv by hand", lambda: by_hand.Conv1d(2, 3, 4, 3, 2), normal(2, 9, 2)),
]

LAYERS = [*ELEMENTWISE, *MOVING, *NORMS, *MAPS, *SEQUENCES]

# -- losses -------------------------------------------------------------------------------------


class WholeLoss(nn.Loss):
    """One number from the whole batch: a subclass writes `value_and_gradient`."""

    def __call__(self, prediction, target, sample_weight=None):
        value, gradient = self.value_and_gradient(prediction, target)
        self.save_for_backward(gradient)
        return float(value)

    def backward(self):
        (gradient,) = self.saved()
        return gradient


class Contrastive(WholeLoss):
    """Pairs of neighbouring rows: d² where alike, max(1 − d, 0)² where not."""

    def value_and_gradient(self, p, target):
        diff = p[0::2] - p[1::2]
        d = np.sqrt((diff**2).sum(axis=1))
        margin = np.maximum(1 - d, 0)
        value = np.where(target, d**2, margin**2).mean()
        scale = np.where(target, 2, -2 * margin / d) / len(d)
        g = np.empty_like(p)
        g[0::2] = scale[:, None] * diff
        g[1::2] = -g[0::2]
        return value, g


class InfoNce(WholeLoss):
    """Row i of the first half belongs to row i of the second."""

    def value_and_gradient(self, p, target):
        a, b = np.split(p, 2)
        s = softmax(a @ b.T)
        n = len(a)
        value = -np.log(np.diag(s)).mean()
        d = (s - np.eye(n)) / n
        return value, np.concatenate([d @ b, d.T @ a])


class Triplet(WholeLoss):
    """max(‖a − p‖² − ‖a − n‖² + 1, 0) of three rows each."""

    def value_and_gradient(self, x, target):
        a, p, n = x[0::3], x[1::3], x[2::3]
        gap = ((a - p) ** 2 - (a - n) ** 2).sum(axis=1) + 1
        on = (gap > 0)[:, None] / len(a)
        g = np.empty_like(x)
        g[0::3], g[1::3], g[2::3] = 2 * (n - p) * on, 2 * (p - a) * on, 2 * (a - n) * on
        return np.maximum(gap, 0).mean(), g


class GaussianNll(WholeLoss):
    """Mean and logarithm of the variance side by side."""

    def value_and_gradient(self, p, target):
        mean, log_var = p[:, :1], p[:, 1:]
        d, precision = mean - target, np.exp(-log_var)
        value = 0.5 * (log_var + d**2 * precision).mean()
        g = np.concatenate([d * precision, 0.5 * (1 - d**2 * precision)], axis=1)
        return value, g / len(p)


class PairwiseRanking(WholeLoss):
    """log(1 + exp(p_j − p_i)) over all pairs with t_i > t_j."""

    def value_and_gradient(self, p, target):
        above = target[:, None] > target
        diff = p[None, :] - p[:, None]  # p_j − p_i
        value = np.where(above, np.logaddexp(0, diff), 0).sum()
        s = np.where(above, sigmoid(diff), 0)
        return value, s.sum(axis=0) - s.sum(axis=1)


class Iou(WholeLoss):
    """1 − overlap / union of soft masks."""

    def value_and_gradient(self, p, target):
        overlap = (p * target).sum()
        union = p.sum() + target.sum() - overlap
        g = -target / union + overlap * (1 - target) / union**2
        return 1 - overlap / union, g


class Correlation(WholeLoss):
    """1 − Pearson's correlation."""

    def value_and_gradient(self, p, target):
        a, b = p - p.mean(), target - target.mean()
        a_length, b_length = np.sqrt((a**2).sum()), np.sqrt((b**2).sum())
        r = (a * b).sum() / (a_length * b_length)
        return 1 - r, -(b / (a_length * b_length) - r * a / a_length**2)


class SampledError(nn.Loss):
    """Squared errors of about half of the values, drawn anew by a generator of its own."""

    def __init__(self, seed=4):
        self.seed = seed
        self.rng = np.random.default_rng(seed)

    def function(self, prediction, target):
        chosen = (self.rng.random(prediction.shape) < 0.5).astype(prediction.dtype)
        d = chosen * (prediction - target)
        return d**2, d

    def derivative(self, d):
        return 2 * d


class Tweedie(nn.Loss):
    """−t p^(1−ρ) / (1−ρ) + p^(2−ρ) / (2−ρ) with ρ = 1.5, p > 0."""

    def function(self, p, target):
        return 2 * target * p**-0.5 + 2 * p**0.5, p, target

    def derivative(self, p, target):
        return -target * p**-1.5 + p**-0.5


class Smoothed(WholeLoss):
    """Cross entropy of logits with smoothed labels."""

    def value_and_gradient(self, z, target):
        soft = np.full(z.shape, 0.1 / z.shape[1], z.dtype)
        soft[np.arange(len(z)), target] += 0.9
        log_p = z - log_sum_exp(z)
        return -(soft * log_p).sum(axis=1).mean(), (softmax(z) - soft) / len(z)


CLASSES = np.array([0, 3, 1, 1, 2, 0])
LABELS = (normal(6, 2, seed=1) > 0) * 1.0
QUARTERS = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.25]])

LOSSES = [
    RightLoss("MSE with targets of 1e5", nn.MSELoss, normal(5, 2), 1e5 * normal(5, 2, seed=1)),
    RightLoss("MSE at its minimum", nn.MSELoss, normal(5, 2), normal(5, 2)),
    RightLoss("BCE at p = 1e-3", nn.BCELoss, 1e-3 * positive(6, 2), LABELS),
    RightLoss("BCE at p = 1 − 1e-3", nn.BCELoss, 1 - 1e-3 * positive(6, 2), LABELS, step=0.002),
    RightLoss("BCE by hand at p = 1e-3", by_hand.BinaryCrossEntropy, 1e-3 * positive(6, 2), LABELS),
    RightLoss("logits of ±50", nn.BCEWithLogitsLoss, 25 * normal(6, 2), LABELS),
    RightLoss("cross entropy of ±80", nn.CrossEntropyLoss, 40 * normal(6, 4), CLASSES),
    RightLoss("hinge at its margin", nn.HingeLoss, QUARTERS, np.ones((3, 2)), True),
    RightLoss("MAE at equality", nn.MAELoss, QUARTERS, QUARTERS * [1, 2], True),
    RightLoss("quantile at equality", by_hand.QuantileLoss, QUARTERS, QUARTERS * [1, 2], True),
    RightLoss("Huber at δ", nn.HuberLoss, QUARTERS + 1, QUARTERS),
    RightLoss("Huber by hand at −δ", by_hand.Huber, QUARTERS - 1, QUARTERS),
    RightLoss("log cosh of ±300", nn.LogCoshLoss, 100 * normal(5, 2), normal(5, 2, seed=1)),
    RightLoss(
        "Poisson of large rates", by_hand.PoissonLoss, 5 + normal(4, 2), np.full((4, 2), 9.0)
    ),
    RightLoss("focal by hand", by_hand.FocalLoss, *by_hand.PAIRS[by_hand.FocalLoss]),
    RightLoss("dice", by_hand.DiceLoss, *by_hand.PAIRS[by_hand.DiceLoss]),
    RightLoss(
        "dice with an empty target", by_hand.DiceLoss, sigmoid(normal(6, 2)), np.zeros((6, 2))
    ),
    RightLoss("contrastive", Contrastive, 0.4 * normal(8, 3), np.array([1, 0, 0, 1])),
    RightLoss("InfoNCE", InfoNce, normal(8, 3), np.zeros(8)),
    RightLoss("triplets", Triplet, normal(9, 3), np.zeros(9)),
    RightLoss("Gaussian likelihood", GaussianNll, normal(6, 2), normal(6, 1, seed=1)),
    RightLoss("ranking of pairs", PairwiseRanking, normal(5), np.array([2.0, 0, 1, 1, 3])),
    RightLoss("intersection over union", Iou, sigmoid(normal(6, 2)), LABELS),
    RightLoss("correlation", Correlation, normal(8), normal(8, seed=1)),
    RightLoss("a random half of the values", SampledError, normal(6, 3), normal(6, 3, seed=1)),
    RightLoss("Tweedie", Tweedie, positive(5, 2), 2 * positive(5, 2)),
    RightLoss("smoothed labels", Smoothed, 3 * normal(6, 4), CLASSES),
    RightLoss("MSE of one value", nn.MSELoss, normal(1, 1), normal(1, 1, seed=1)),
]
