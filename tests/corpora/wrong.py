"""Wrong layers and losses: each is a right one of `by_hand.py` with one mistake, made in its text.

`causes` are the words (regular expressions, any case) of which at least one has to be in the first
two sentences of an explanation that tells the learner what the mistake is.
"""

# ruff: noqa: E501  (the texts that are replaced stay in one piece)

import functools
import inspect
import linecache
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

import nnlite as nn

from . import by_hand as right
from .by_hand import EXAMPLES, PAIRS, PARTS


class Wrong(NamedTuple):
    name: str
    make: Callable[[], nn.Layer]
    x: np.ndarray
    causes: tuple[str, ...]


class WrongLoss(NamedTuple):
    name: str
    make: Callable[[], nn.Loss]
    prediction: np.ndarray
    target: np.ndarray
    causes: tuple[str, ...]


LAYERS: list[Wrong] = []
LOSSES: list[WrongLoss] = []


source = functools.cache(inspect.getsource)  # which parses the whole file each time


def with_mistake(base, edits, name):
    """The class of the same name whose text differs in these places."""
    text = source(base)
    for old, new in edits.items():
        if text.count(old) != 1:
            raise ValueError(f"{name}: {old!r} is {text.count(old)} times in {base.__name__}")
        text = text.replace(old, new)
    file = f"<{name}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    space = dict(vars(right))
    exec(compile(text, file, "exec"), space)
    return space[base.__name__]


def mistakes(base, *entries, args=None, x=None):
    """Add (name, {old text: new text}, causes) of one layer; args and x are those of EXAMPLES."""
    default_args, default_x = (EXAMPLES | PARTS)[base]
    args = default_args if args is None else args
    x = default_x if x is None else x
    for name, edits, causes in entries:
        name = f"{base.__name__}: {name}"
        kind = with_mistake(base, edits, name)

        def make(kind=kind):
            return kind(*(args() if callable(args) else args))

        LAYERS.append(Wrong(name, make, x, causes))


def loss_mistakes(base, *entries):
    """The same for a loss."""
    for name, edits, causes in entries:
        name = f"{base.__name__}: {name}"
        LOSSES.append(WrongLoss(name, with_mistake(base, edits, name), *PAIRS[base], causes))


# -- words of causes ----------------------------------------------------------------------------

TRANSPOSED = (r"transpos",)
OTHER_AXIS = (r"(wrong|other|another|different) ax", r"ax[ei]s .*(instead|not|rather)", r"sum over")
NOT_SUMMED = (
    r"(missing|forg[oe]t).*\bsum",
    r"\bsum.*(missing|forg[oe]t)",
    r"not (been )?summed",
    r"only .*\b(row|sample|index|step|first|last|one)\b",
)
DIVIDED = (r"\bmean\b", r"divi[ds]", r"averag", r"1/[A-Z]\b", r"number of", r"batch size")
SIGN = (r"\bsign\b", r"negat", r"\bminus\b", r"[-−]1 times", r"opposite")
TWICE = (r"twice", r"doubl", r"\btwo times", r"\b2(\.0*)? ?(times|×)", r"factor (of )?2\b")
HALF = (r"\bhal[fv]", r"½", r"\b0\.50*\b", r"\b1/2\b", r"factor (of )?2\b")
OVERWRITES = (r"overwr", r"accumul", r"\+=", r"replac", r"instead of add", r"not add")
NO_GRADIENT = (
    r"never",
    r"forg[oe]t",
    r"no gradient",
    r"\b(is|are|stays?|left|all) (0|zero)",
    r"nothing",
    r"missing",
    r"untouched",
    r"not (computed|set|filled)",
)
NO_DERIVATIVE = (r"derivative", r"slope", r"f[′']", r"unchanged", r"as it (is|was|came)", r"ident")
MISSING = (r"missing", r"forg[oe]t", r"left out", r"lack", r"dropped", r"not (counted|included)")
AT_Y = (r"at (the )?(y\b|output)", r"of (the )?output", r"y (instead|where)", r"output instead")
X_WRITTEN = (r"modif\w*", r"in place", r"(overwr|chang|writ)\w* .*(x\b|input)")
G_WRITTEN = (r"modif\w*", r"in place", r"(overwr|chang|writ)\w* .*(grad_output|gradient|\bG\b)")
REUSED = (
    r"buffer",
    r"reus",
    r"same (array|memory)",
    r"overwr",
    r"later call",
    r"earlier",
    r"alias",
)
KEPT = (
    r"(first|earlier|previous|former|last|another) (call|batch|forward|input|x)",
    r"stale",
    r"kept",
)
MODE = (r"training", r"\bmode\b", r"eval")
NEEDS = (r"needs_input_grad",)
DTYPE = (r"float32", r"dtype", r"precision", r"cast")
CONSTANT = (
    r"constant",
    r"depends? on",
    r"through the (mean|var|std|norm)",
    r"share of",
    r"statistic",
)
FLIPPED = (r"flip", r"revers", r"wrong way", r"mirror", r"turned", r"backwards?\b.*order")
SWAPPED = (
    r"swap",
    r"exchang",
    r"interchang",
    r"each other",
    r"mixed up",
    r"belongs? to",
    r"confus",
)
ELEMENTWISE = (r"elementwise", r"diagonal", r"each (value|entry) by itself", r"couple", r"Jacobian")
SHAPE = (r"shape",)

# -- affine maps --------------------------------------------------------------------------------

WEIGHT = "self.weight.grad += x.T @ grad_output"
BIAS = "self.bias.grad += grad_output.sum(axis=0)"
INPUT = "return grad_output @ self.weight.data.T"

mistakes(
    right.Dense,
    ("mean for sum in the bias", {BIAS: BIAS.replace("sum", "mean")}, DIVIDED),
    ("mean for sum in the weight", {WEIGHT: WEIGHT + " / len(x)"}, DIVIDED),
    ("all gradients divided by N", {INPUT: INPUT + " / len(x)"}, DIVIDED),
    ("bias divided by its size", {BIAS: BIAS + " / self.outputs"}, DIVIDED),
    ("bias of the first sample", {BIAS: "self.bias.grad += grad_output[0]"}, NOT_SUMMED),
    ("bias of the last sample", {BIAS: "self.bias.grad += grad_output[-1]"}, NOT_SUMMED),
    ("bias not summed", {BIAS: "self.bias.grad += grad_output"}, (*NOT_SUMMED, *SHAPE)),
    ("bias summed over all", {BIAS: "self.bias.grad += grad_output.sum()"}, OTHER_AXIS),
    ("bias forgotten", {BIAS: "pass"}, NO_GRADIENT),
    ("weight forgotten", {WEIGHT: "pass"}, NO_GRADIENT),
    ("bias overwritten", {BIAS: BIAS.replace("+=", "=")}, OVERWRITES),
    ("weight overwritten", {WEIGHT: WEIGHT.replace("+=", "=")}, OVERWRITES),
    ("bias subtracted", {BIAS: BIAS.replace("+=", "-=")}, SIGN),
    ("weight subtracted", {WEIGHT: WEIGHT.replace("+=", "-=")}, SIGN),
    ("input negated", {INPUT: INPUT.replace("return ", "return -")}, SIGN),
    ("input doubled", {INPUT: INPUT.replace("return ", "return 2 * ")}, TWICE),
    ("input times weight, no transpose", {INPUT: INPUT[:-2]}, (*TRANSPOSED, *SHAPE)),
    ("weight transposed", {WEIGHT: "self.weight.grad += grad_output.T @ x"}, (*TRANSPOSED, *SHAPE)),
    (
        "weight from the bias's sum",
        {WEIGHT: "self.weight.grad += x.sum(axis=0)[:, None] * grad_output.sum(axis=0)"},
        (r"sum", r"separate", r"product of (the )?sums", r"matrix product"),
    ),
    (
        "input gradient not returned",
        {INPUT: "grad_output @ self.weight.data.T"},
        (r"return", r"None"),
    ),
    ("returns grad_output", {INPUT: "return x"}, (r"shape", r"\bx\b", r"input itself")),
    (
        "nothing for the parameters without the input's gradient",
        {
            "(x,) = self.saved()": "(x,) = self.saved()\n        if not self.needs_input_grad:\n"
            "            return None"
        },
        NEEDS,
    ),
    ("float32 inside", {WEIGHT: WEIGHT + ".astype(np.float32)"}, DTYPE),
    (
        "y in float32",
        {"+ self.bias.data\n": "+ self.bias.data\n        y = y.astype(np.float32)\n"},
        DTYPE,
    ),
    ("y in float64", {"y = x @": "y = x.astype(np.float64) @"}, (r"float64", r"dtype", r"cast")),
    (
        "x from the first call",
        {
            "self.save_for_backward(x)": "self.save_for_backward(x)\n"
            "        if not hasattr(self, '_x'):\n            self._x = x",
            WEIGHT: "self.weight.grad += self._x[: len(x)].T @ grad_output[: len(self._x)]",
        },
        KEPT,
    ),
    (
        "weight step taken in backward",
        {INPUT: "self.weight.data -= 0.1 * self.weight.grad\n        " + INPUT},
        (
            r"weight.*(chang|modif|updat|writ)",
            r"(chang|modif|updat|writ).*(weight|param)",
            r"optimizer",
        ),
    ),
    (
        "zero_grad in backward",
        {WEIGHT: "self.zero_grad()\n        " + WEIGHT},
        (*OVERWRITES, "zero_grad", "eras", "clear"),
    ),
    ("bias twice", {INPUT: BIAS + "\n        " + INPUT}, TWICE),
    (
        "bias added twice in forward",
        {"+ self.bias.data\n": "+ 2 * self.bias.data\n"},
        (*HALF, *TWICE),
    ),
    (
        "gradient of the bias weighted",
        {BIAS: "self.bias.grad += (grad_output * x.sum(axis=1, keepdims=True)).sum(axis=0)"},
        (r"\bx\b", r"weight", r"not depend", r"multipl"),
    ),
    (
        "input through the weight's sign",
        {INPUT: "return grad_output @ np.abs(self.weight.data).T"},
        (r"\babs", r"sign", r"magnitude", r"negative"),
    ),
)
mistakes(
    right.Dense,
    ("square weight transposed", {WEIGHT: "self.weight.grad += grad_output.T @ x"}, TRANSPOSED),
    ("square weight, input without transpose", {INPUT: INPUT[:-2]}, TRANSPOSED),
    ("square, bias over features", {BIAS: BIAS.replace("0", "1")}, OTHER_AXIS),
    args=(4, 4),
    x=right.normal(4, 4),
)
mistakes(
    right.DenseOverTime,
    (
        "bias of the first step",
        {"grad_output.sum(axis=(0, 1))": "grad_output[:, 0].sum(axis=0)"},
        NOT_SUMMED,
    ),
    (
        "bias of the last step",
        {"grad_output.sum(axis=(0, 1))": "grad_output[:, -1].sum(axis=0)"},
        NOT_SUMMED,
    ),
    (
        "bias mean over steps",
        {"grad_output.sum(axis=(0, 1))": "grad_output.sum(axis=0).mean(axis=0)"},
        DIVIDED,
    ),
    ("bias mean over batch and steps", {".sum(axis=(0, 1))": ".mean(axis=(0, 1))"}, DIVIDED),
    ("weight mean over steps", {"x, grad_output)": "x, grad_output) / x.shape[1]"}, DIVIDED),
    (
        "weight of the last step",
        {'"nti,nto->io", x, grad_output': '"ni,no->io", x[:, -1], grad_output[:, -1]'},
        NOT_SUMMED,
    ),
    (
        "weight without the first step",
        {"x, grad_output)": "x[:, 1:], grad_output[:, 1:])"},
        (*NOT_SUMMED, r"step", r"index 0", r"first"),
    ),
    (
        "input without the last step",
        {
            "return np": "grad_output = grad_output.copy()\n        grad_output[:, -1] = 0\n        return np"
        },
        (r"step", r"last", r"\b(0|zero)\b", r"missing"),
    ),
    (
        "steps in reverse",
        {"x, grad_output)": "x[:, ::-1], grad_output)"},
        (*FLIPPED, r"order", r"other step"),
    ),
)
mistakes(
    right.TwoLayers,
    ("tanh's derivative forgotten", {"d_h * (1 - h**2)": "d_h"}, NO_DERIVATIVE),
    ("1 − h for 1 − h²", {"h**2": "h"}, (*NO_DERIVATIVE, r"tanh", r"square")),
    ("derivative doubled", {"d_h * (1 - h**2)": "2 * d_h * (1 - h**2)"}, TWICE),
    ("derivative twice", {"d_h * (1 - h**2)": "d_h * (1 - h**2) ** 2"}, (*NO_DERIVATIVE, *TWICE)),
    (
        "v with the input",
        {"h.T @ grad_output": "np.tanh(h).T @ grad_output"},
        (r"tanh", r"activat", r"twice", r"hidden"),
    ),
    ("b from d_h", {"d_a.sum(axis=0)": "d_h.sum(axis=0)"}, NO_DERIVATIVE),
    ("w from d_h", {"x.T @ d_a": "x.T @ d_h"}, NO_DERIVATIVE),
    ("input from d_h", {"return d_a @": "return d_h @"}, NO_DERIVATIVE),
    ("b mean", {"d_a.sum(axis=0)": "d_a.mean(axis=0)"}, DIVIDED),
    ("w divided twice", {"x.T @ d_a": "x.T @ d_a / len(x) ** 2"}, DIVIDED),
)
mistakes(
    right.ScaleShift,
    (
        "scale without x",
        {"(grad_output * x).sum": "grad_output.sum"},
        (r"\bx\b", r"input", *SWAPPED, r"shift"),
    ),
    (
        "scale and shift swapped",
        {
            "self.scale.grad": "self.HERE.grad",
            "self.shift.grad": "self.scale.grad",
            "self.HERE.grad": "self.shift.grad",
        },
        SWAPPED,
    ),
    (
        "scale of the first sample",
        {"(grad_output * x).sum(axis=0)": "grad_output[0] * x[0]"},
        NOT_SUMMED,
    ),
    (
        "scale with y",
        {"(grad_output * x)": "(grad_output * (self.scale.data * x + self.shift.data))"},
        (r"\by\b", r"output", r"\bx\b"),
    ),
    (
        "scale sums apart",
        {"(grad_output * x).sum(axis=0)": "grad_output.sum(axis=0) * x.sum(axis=0)"},
        (r"sum",),
    ),
    (
        "input without the scale",
        {"return grad_output * self.scale.data": "return grad_output"},
        (r"scale", *NO_DERIVATIVE),
    ),
    (
        "input divided by the scale",
        {"grad_output * self.scale.data": "grad_output / self.scale.data"},
        (r"divi[ds]", r"inverse", r"1/", r"scale"),
    ),
    (
        "input with the scale twice",
        {"grad_output * self.scale.data": "grad_output * self.scale.data**2"},
        (*TWICE, r"squar", r"scale"),
    ),
    (
        "shift of zero",
        {"self.shift.grad += grad_output.sum(axis=0)": "self.shift.grad += 0"},
        NO_GRADIENT,
    ),
    ("scale mean", {"(grad_output * x).sum": "(grad_output * x).mean"}, DIVIDED),
    (
        "scale averaged over features",
        {"(grad_output * x).sum(axis=0)": "(grad_output * x).sum() / self.features"},
        (*OTHER_AXIS, *DIVIDED),
    ),
    (
        "x scaled in place",
        {"y = self.scale.data * x": "x *= self.scale.data\n        y = x"},
        X_WRITTEN,
    ),
    (
        "grad_output scaled in place",
        {
            "return grad_output * self.scale.data": "grad_output *= self.scale.data\n        return grad_output"
        },
        G_WRITTEN,
    ),
    (
        "scale after grad_output was scaled",
        {
            "(x,) = self.saved()": "(x,) = self.saved()\n        grad_output = grad_output * self.scale.data",
            "return grad_output * self.scale.data": "return grad_output",
        },
        (r"already", r"scale", r"multipl"),
    ),
    (
        "one output array for all calls",
        {
            "y = self.scale": "if getattr(self, '_y', np.empty(0)).shape != x.shape or self._y.dtype != x.dtype:\n"
            "            self._y = np.empty_like(x)\n        y = self._y\n        y[...] = self.scale"
        },
        REUSED,
    ),
)
mistakes(
    right.TiedAutoencoder,
    (
        "only the encoder's use",
        {"        self.weight.grad += grad_output.T @ h\n": ""},
        (*MISSING, r"\buse", r"both", r"second"),
    ),
    (
        "only the decoder's use",
        {"        self.weight.grad += x.T @ d_h\n": ""},
        (*MISSING, r"\buse", r"both", r"second"),
    ),
    (
        "the second use overwrites",
        {"self.weight.grad += x.T @ d_h": "self.weight.grad = x.T @ d_h"},
        OVERWRITES,
    ),
    (
        "decoder's use transposed",
        {"grad_output.T @ h": "(h.T @ grad_output).T[:, ::-1]"},
        (*FLIPPED, *TRANSPOSED, "order"),
    ),
    (
        "encoder from grad_output",
        {"x.T @ d_h": "x.T @ (grad_output @ self.weight.data) * 2"},
        TWICE,
    ),
)
mistakes(
    right.LowRank,
    (
        "u and v swapped roles",
        {"x.T @ (grad_output @ self.v.data.T)": "x.T @ (x @ self.u.data)"},
        (r"grad_output", r"\bG\b", r"linear", r"not depend"),
    ),
    (
        "v without u",
        {"(x @ self.u.data).T": "x[:, : self.rank].T"},
        (*MISSING, r"\bu\b", r"product"),
    ),
    (
        "input in the wrong order",
        {"grad_output @ self.v.data.T @ self.u.data.T": "grad_output @ self.u.data @ self.v.data"},
        (*TRANSPOSED, r"order", *SWAPPED),
    ),
    ("u forgotten", {"self.u.grad += x.T @ (grad_output @ self.v.data.T)": "pass"}, NO_GRADIENT),
)
mistakes(
    right.Bilinear,
    (
        "only the left factor",
        {"return left + right": "return left"},
        (*MISSING, r"product rule", r"\bterm\b", r"both", r"twice"),
    ),
    (
        "left twice",
        {"return left + right": "return 2 * left"},
        (r"symmetr", *TRANSPOSED, r"product rule", *MISSING),
    ),
    ("weight halved", {"self.weight.grad += np": "self.weight.grad += 0.5 * np"}, HALF),
)

# -- activations --------------------------------------------------------------------------------

mistakes(
    right.Relu,
    (
        "the mask of the gradient",
        {"(x > 0)": "(grad_output > 0)"},
        (r"grad_output", r"\bG\b", r"gradient", r"linear"),
    ),
    ("no mask", {"grad_output * (x > 0)": "grad_output"}, NO_DERIVATIVE),
    (
        "times x",
        {"grad_output * (x > 0)": "grad_output * np.maximum(x, 0)"},
        (*AT_Y, r"\bx\b", r"function", r"derivative"),
    ),
    (
        "the other half",
        {"(x > 0)": "(x < 0)"},
        (r"x < 0", r"negativ", r"other", r"wrong", r"complement", r"where x", r"invert"),
    ),
    ("sign for step", {"(x > 0)": "np.sign(x)"}, (r"sign", r"negativ", r"[−-]1", r"x (<|>) 0")),
    (
        "max of the gradient",
        {"grad_output * (x > 0)": "np.maximum(grad_output, 0)"},
        (r"grad_output", r"\bG\b", r"gradient", r"linear"),
    ),
    ("x in place", {"y = np.maximum(x, 0)": "x[x < 0] = 0\n        y = x"}, X_WRITTEN),
    (
        "grad_output in place",
        {"return grad_output * (x > 0)": "grad_output[x <= 0] = 0\n        return grad_output"},
        G_WRITTEN,
    ),
    (
        "mask past one",
        {"(x > 0)": "(x > 0.5)"},
        (r"x > 0", r"thresh", r"kink", r"between", r"range", r"where x", r"interval"),
    ),
)
mistakes(
    right.Leaky,
    (
        "slope forgotten",
        {"self.slope * grad_output)": "0 * grad_output)"},
        (r"slope", r"negativ", r"x [<≤] 0", r"\b0\b"),
    ),
    (
        "slope everywhere",
        {"np.where(x > 0, grad_output, self.slope * grad_output)": "self.slope * grad_output"},
        (r"slope", r"positiv", r"everywhere", r"0\.1"),
    ),
    (
        "slope inverted",
        {"self.slope * grad_output)": "grad_output / self.slope)"},
        (r"invers", r"divi[ds]", r"slope", r"negativ", r"x [<≤] 0", r"1/"),
    ),
    (
        "slope by the gradient's sign",
        {"np.where(x > 0, grad_output, ": "np.where(grad_output > 0, grad_output, "},
        (r"grad_output", r"\bG\b", r"gradient", r"linear"),
    ),
)
mistakes(
    right.LearnedSlope,
    (
        "slope's gradient over all x",
        {"np.where(x > 0, 0, x)": "x"},
        (r"negativ", r"x (<|>|≤) 0", r"mask", r"\bmin\b", r"where"),
    ),
    (
        "slope's gradient is G",
        {"(grad_output * np.where(x > 0, 0, x))": "(grad_output * (x <= 0))"},
        (r"\bx\b", r"input"),
    ),
    (
        "slope mean over the batch",
        {"(grad_output * np.where(x > 0, 0, x)).sum": "(grad_output * np.where(x > 0, 0, x)).mean"},
        DIVIDED,
    ),
    ("slope not summed per channel", {".sum(axis=0)": ".sum()"}, OTHER_AXIS),
)
mistakes(
    right.Sigmoid,
    ("σ for σ′", {"y * (1 - y)": "y"}, (r"derivative", r"1 [−-] ", r"σ")),
    ("1 − σ alone", {"y * (1 - y)": "(1 - y)"}, (r"derivative", r"σ", r"\by\b")),
    ("at x", {"y * (1 - y)": "x * (1 - x)"}, (r"at x", r"\bx\b", r"input", r"derivative")),
    ("at σ(y)", {"y * (1 - y)": "sigmoid(y) * (1 - sigmoid(y))"}, (*AT_Y, r"twice", r"derivative")),
    ("plus", {"(1 - y)": "(1 + y)"}, (r"sign", r"derivative", r"1 [−-]")),
    (
        "y squared forgotten",
        {"y * (1 - y)": "y * (1 - y) ** 2"},
        (r"derivative", r"twice", r"squar"),
    ),
)
mistakes(
    right.Tanh,
    ("1 − x²", {"y**2": "x**2"}, (r"\bx\b", r"at (the )?(x|input)", r"output", r"\by\b")),
    ("1 − y", {"y**2": "y"}, (r"squar", r"derivative", r"y²", r"tanh")),
    ("tanh for its derivative", {"(1 - y**2)": "y"}, (r"derivative", r"function")),
    ("at tanh(y)", {"y**2": "np.tanh(y) ** 2"}, (*AT_Y, r"twice", r"derivative")),
    ("1 + y²", {"(1 - y**2)": "(1 + y**2)"}, (r"sign", r"derivative")),
    ("sigmoid's formula", {"(1 - y**2)": "y * (1 - y)"}, (r"sigmoid", r"derivative", r"y\s?\(1")),
)
mistakes(
    right.Silu,
    ("second term missing", {"(s + x * s * (1 - s))": "s"}, (r"term", *MISSING, r"product rule")),
    (
        "first term missing",
        {"(s + x * s * (1 - s))": "(x * s * (1 - s))"},
        (r"term", *MISSING, r"product rule"),
    ),
    ("minus", {"s + x": "s - x"}, SIGN),
    ("x forgotten", {"s + x * s": "s + s"}, (r"\bx\b", r"product rule", r"derivative", r"term")),
)
mistakes(
    right.Gelu,
    (
        "second term missing",
        {"(0.5 * (1 + t) + 0.5 * x * (1 - t**2) * d_inner)": "0.5 * (1 + t)"},
        (r"term", *MISSING, r"product rule"),
    ),
    (
        "inner derivative missing",
        {" * d_inner)": ")"},
        (r"inner", r"chain", r"derivative", r"term", *MISSING),
    ),
    (
        "3 forgotten",
        {"3 * 0.044715": "0.044715"},
        (r"\b3\b", r"derivative", r"inner", r"coefficient", r"cube"),
    ),
    (
        "constant forgotten",
        {"d_inner = c * (1": "d_inner = (1"},
        (r"√|sqrt", r"constant", r"derivative", r"inner", r"factor"),
    ),
    ("½ forgotten", {"+ 0.5 * x": "+ x"}, (*TWICE, *HALF, r"derivative", r"term")),
)
mistakes(
    right.Softplus,
    ("σ at the output", {"sigmoid(x)": "sigmoid(y)"}, AT_Y),
    ("σ(−x)", {"sigmoid(x)": "sigmoid(-x)"}, (*SIGN, r"[-−]x", r"1 [-−] ")),
    (
        "exp forgotten",
        {"sigmoid(x)": "1 / (1 + np.exp(x))"},
        (*SIGN, r"[-−]x", r"1 [-−] ", r"derivative"),
    ),
    ("σ′", {"sigmoid(x)": "sigmoid(x) * (1 - sigmoid(x))"}, (r"derivative", r"second", r"twice")),
)
mistakes(
    right.Elu,
    (
        "y for y + 1",
        {"np.exp(np.minimum(x, 0)))\n": "np.exp(np.minimum(x, 0)) - 1)\n"},
        (r"negativ", r"x (<|≤) 0", r"derivative", r"\by\b", r"output"),
    ),
    (
        "zero on the left",
        {"np.where(x > 0, 1, np.exp(np.minimum(x, 0)))": "(x > 0)"},
        (r"negativ", r"x (<|≤) 0", r"derivative", r"\b0\b"),
    ),
    (
        "one everywhere",
        {"grad_output * np.where(x > 0, 1, np.exp(np.minimum(x, 0)))": "grad_output"},
        NO_DERIVATIVE,
    ),
)
mistakes(
    right.Square,
    ("2 forgotten", {"2 * x * grad_output": "x * grad_output"}, HALF),
    ("at the output", {"2 * x * grad_output": "2 * y * grad_output"}, AT_Y),
    (
        "x forgotten",
        {"2 * x * grad_output": "2 * grad_output"},
        (r"\bx\b", r"derivative", r"constant"),
    ),
)
mistakes(
    right.Cube,
    ("2 for 3", {"3 * x**2": "2 * x**2"}, (r"2/3", r"0\.66", r"factor", r"\b3\b", r"exponent")),
    (
        "x for x²",
        {"3 * x**2": "3 * x"},
        (r"x²", r"power", r"exponent", r"derivative", r"squar", r"\bx\b"),
    ),
    (
        "x³ for x²",
        {"3 * x**2": "3 * x**3"},
        (r"x²", r"power", r"exponent", r"derivative", r"\bx\b"),
    ),
)
mistakes(
    right.Sqrt,
    ("½ forgotten", {"(2 * y)": "y"}, TWICE),
    ("at x", {"(2 * y)": "(2 * x)"}, (r"\bx\b", r"√|sqrt|root", r"input", r"derivative", r"\by\b")),
    (
        "multiplied",
        {"grad_output / (2 * y)": "grad_output * 2 * y"},
        (r"invers", r"divi[ds]", r"multipl", r"1/", r"derivative"),
    ),
)
mistakes(
    right.Reciprocal,
    ("sign", {"-grad_output": "grad_output"}, SIGN),
    ("power", {"x**2": "x"}, (r"x²", r"power", r"exponent", r"squar", r"derivative", r"\bx\b")),
    (
        "at y",
        {"-grad_output / x**2": "-grad_output / y**2"},
        (*AT_Y, r"derivative", r"\by\b", r"invers"),
    ),
)
mistakes(
    right.Log,
    ("at y", {"grad_output / x": "grad_output / y"}, (*AT_Y, r"\by\b", r"derivative")),
    (
        "times x",
        {"grad_output / x": "grad_output * x"},
        (r"divi[ds]", r"invers", r"multipl", r"1/", r"derivative"),
    ),
    ("unchanged", {"grad_output / x": "grad_output"}, NO_DERIVATIVE),
)
mistakes(
    right.Exp,
    (
        "x for y",
        {"grad_output * y": "grad_output * x"},
        (r"\bx\b", r"derivative", r"input", r"\by\b"),
    ),
    (
        "power rule",
        {"grad_output * y": "grad_output * x * np.exp(x - 1)"},
        (r"derivative", r"power", r"\bx\b"),
    ),
    ("exp twice", {"grad_output * y": "grad_output * np.exp(y)"}, (*AT_Y, r"twice", r"derivative")),
    (
        "saved y written to",
        {
            "self.save_for_backward(x, y)\n        return y": "self.save_for_backward(x, y)\n        y -= 1\n        return y"
        },
        (r"in place", r"saved", r"after", r"overwr", r"modif", r"chang", r"later", r"derivative"),
    ),
)
mistakes(
    right.Sine,
    ("sin for cos", {"np.cos(inner)": "np.sin(inner)"}, (r"sin", r"cos", r"derivative")),
    ("−cos", {"* np.cos(inner)": "* -np.cos(inner)"}, SIGN),
    (
        "inner derivative missing",
        {"return d_inner * self.omega.data": "return d_inner"},
        (r"omega", r"inner", r"chain", *MISSING),
    ),
    ("ω without x", {"(d_inner * x).sum": "d_inner.sum"}, (r"\bx\b", r"inner", r"chain", r"input")),
    (
        "ω and amplitude swapped",
        {
            "self.amplitude.grad": "self.HERE.grad",
            "self.omega.grad": "self.amplitude.grad",
            "self.HERE.grad": "self.omega.grad",
        },
        SWAPPED,
    ),
    (
        "cos at x",
        {"np.cos(inner)": "np.cos(x)"},
        (r"inner", r"at x", r"omega", r"derivative", r"\bx\b"),
    ),
    (
        "amplitude left out",
        {"grad_output * self.amplitude.data * np.cos": "grad_output * np.cos"},
        (r"amplitude", *MISSING),
    ),
)
mistakes(
    right.Swish,
    ("β of the first sample", {"(d_s * x).sum()": "(d_s * x)[0].sum()"}, NOT_SUMMED),
    ("β mean", {"(d_s * x).sum()": "(d_s * x).mean()"}, DIVIDED),
    (
        "input without the inner β",
        {"d_s * self.beta.data": "d_s"},
        (r"beta", r"β", r"inner", r"chain", *MISSING),
    ),
    (
        "product rule cut",
        {"grad_output * s + d_s * self.beta.data": "grad_output * s"},
        (r"term", *MISSING, r"product rule"),
    ),
    ("β overwritten", {"self.beta.grad +=": "self.beta.grad ="}, OVERWRITES),
)
mistakes(
    right.Clip,
    ("no mask", {"grad_output * (np.abs(x) < 1)": "grad_output"}, NO_DERIVATIVE),
    (
        "only the upper bound",
        {"(np.abs(x) < 1)": "(x < 1)"},
        (
            r"slope is 0",
            r"x [<≤] [−-]1",
            r"lower",
            r"negativ",
            r"one side",
            r"bound",
            r"flat",
            r"clip",
        ),
    ),
    (
        "gradient clipped",
        {"grad_output * (np.abs(x) < 1)": "np.clip(grad_output, -1, 1)"},
        (r"grad_output", r"\bG\b", r"gradient.*clip", r"linear", r"clip"),
    ),
)
mistakes(
    right.Softmax,
    ("elementwise", {"y * (grad_output - inner)": "grad_output * y * (1 - y)"}, ELEMENTWISE),
    (
        "y G alone",
        {"y * (grad_output - inner)": "y * grad_output"},
        (*ELEMENTWISE, *MISSING, r"subtract", r"term", r"sum"),
    ),
    (
        "inner over the batch",
        {"sum(axis=-1, keepdims=True)": "sum(axis=0, keepdims=True)"},
        (*OTHER_AXIS, r"rows?", r"batch", r"ax[ie]s"),
    ),
    (
        "inner mean",
        {"sum(axis=-1, keepdims=True)": "mean(axis=-1, keepdims=True)"},
        (*DIVIDED, r"sum"),
    ),
    (
        "inner without y",
        {"(grad_output * y).sum": "grad_output.sum"},
        (r"\by\b", r"weight", r"sum", r"Jacobian"),
    ),
    ("plus", {"grad_output - inner": "grad_output + inner"}, SIGN),
    (
        "cross entropy's shortcut",
        {"y * (grad_output - inner)": "y - grad_output"},
        (r"cross.?entropy", r"loss", r"linear", r"\bG\b", r"grad_output"),
    ),
    (
        "identity",
        {"return y * (grad_output - inner)": "return grad_output"},
        (*NO_DERIVATIVE, r"Jacobian"),
    ),
)
mistakes(
    right.LogSoftmax,
    (
        "sum forgotten",
        {" * grad_output.sum(axis=-1, keepdims=True)": " * grad_output"},
        (r"sum", *ELEMENTWISE),
    ),
    ("y for exp y", {"np.exp(y)": "y"}, (r"\bexp\b", r"probabilit", r"softmax", r"\by\b", r"log")),
    (
        "only G",
        {" - np.exp(y) * grad_output.sum(axis=-1, keepdims=True)": ""},
        (*NO_DERIVATIVE, *MISSING, r"normaliz", r"sum"),
    ),
    (
        "over the batch",
        {"grad_output.sum(axis=-1, keepdims=True)": "grad_output.sum(axis=0, keepdims=True)"},
        (*OTHER_AXIS, r"rows?", r"batch"),
    ),
)
mistakes(
    right.Temperature,
    ("τ's sign", {"-(d_z * x)": "(d_z * x)"}, SIGN),
    (
        "τ for τ²",
        {"self.tau.data**2": "self.tau.data"},
        (r"tau", r"τ", r"power", r"squar", r"1\.7"),
    ),
    (
        "input not divided",
        {"return d_z / self.tau.data": "return d_z"},
        (r"tau", r"τ", r"1\.7", r"temperature", r"divi[ds]", r"inner"),
    ),
    (
        "input multiplied",
        {"d_z / self.tau.data\n": "d_z * self.tau.data\n"},
        (r"tau", r"τ", r"temperature", r"divi[ds]", r"invers"),
    ),
)

# -- gates and blocks ---------------------------------------------------------------------------

mistakes(
    right.Glu,
    ("halves swapped", {"[d_a, d_b]": "[d_b, d_a]"}, (*SWAPPED, r"order", r"halves", r"half")),
    ("the gate's σ forgotten", {"a * s * (1 - s)": "a"}, (*NO_DERIVATIVE, r"sigmoid", r"σ")),
    (
        "gate without a",
        {"a * s * (1 - s)": "s * (1 - s)"},
        (r"product rule", r"factor", *MISSING, r"\ba\b", r"half"),
    ),
    (
        "gate gets nothing",
        {"grad_output * a * s * (1 - s)": "np.zeros_like(a)"},
        (*NO_GRADIENT, r"half"),
    ),
    (
        "a unchanged",
        {"d_a = grad_output * s": "d_a = grad_output"},
        (r"gate", r"half", r"factor", *MISSING, *NO_DERIVATIVE),
    ),
)
mistakes(
    right.Highway,
    (
        "skip dropped",
        {"d_x = grad_output * (1 - g)": "d_x = np.zeros_like(x)"},
        (r"skip", r"direct", r"term", r"path", *MISSING),
    ),
    (
        "skip undamped",
        {"d_x = grad_output * (1 - g)": "d_x = grad_output.copy()"},
        (r"skip", r"1 [-−] g", r"gate", r"factor"),
    ),
    ("gate without − x", {"(h - x)": "h"}, (r"\bx\b", r"term", r"product rule", *MISSING)),
    (
        "gate's path forgotten",
        {"        d_x += d_gate @ self.w_gate.data.T\n": ""},
        (r"gate", r"term", r"path", *MISSING),
    ),
    (
        "gate's σ′ forgotten",
        {"(h - x) * g * (1 - g)": "(h - x)"},
        (*NO_DERIVATIVE, r"sigmoid", r"σ"),
    ),
    (
        "weights swapped",
        {
            "self.w_gate.grad": "self.HERE.grad",
            "self.w_h.grad": "self.w_gate.grad",
            "self.HERE.grad": "self.w_h.grad",
        },
        SWAPPED,
    ),
)
mistakes(
    right.ResidualBlock,
    (
        "skip dropped",
        {"return grad_output + d_a": "return d_a"},
        (r"skip", r"shortcut", r"G (itself )?is missing", r"identity", r"direct", r"residual"),
    ),
    (
        "skip doubled",
        {"return grad_output + d_a": "return 2 * grad_output + d_a"},
        (r"skip", r"shortcut", *TWICE, r"identity"),
    ),
    (
        "branch dropped",
        {"return grad_output + d_a @ self.weight.data.T": "return grad_output"},
        (r"branch", *MISSING, r"identity", r"unchanged", r"weight"),
    ),
    (
        "mask forgotten",
        {"d_a = grad_output * (a > 0)": "d_a = grad_output"},
        (*NO_DERIVATIVE, r"mask", r"relu", r"kink"),
    ),
    (
        "mask of x",
        {"(a > 0)": "(x > 0)"},
        (r"mask", r"\bx\b", r"x > 0", r"relu", r"pre-?activation"),
    ),
    (
        "skip masked too",
        {"return grad_output + d_a @": "return d_a + d_a @"},
        (r"skip", r"mask", r"shortcut", r"identity", r"direct"),
    ),
)
mistakes(
    right.SqueezeExcite,
    ("mean's 1/T forgotten", {"/ x.shape[1]": ""}, (r"1/T", *DIVIDED, r"steps", r"\b5\b")),
    (
        "through the gate forgotten",
        {" + d_m[:, None] / x.shape[1]": ""},
        (r"gate", *MISSING, r"term", r"product rule", *CONSTANT),
    ),
    (
        "gate not summed over time",
        {"(grad_output * x).sum(axis=1)": "(grad_output * x)[:, 0]"},
        NOT_SUMMED,
    ),
    (
        "gate mean over time",
        {"(grad_output * x).sum(axis=1)": "(grad_output * x).mean(axis=1)"},
        DIVIDED,
    ),
    (
        "direct path forgotten",
        {"grad_output * s[:, None] + ": "0 * x + "},
        (r"direct", *MISSING, r"term", r"product rule", r"path"),
    ),
)
mistakes(
    right.Maxout,
    (
        "both get all",
        {"grad_output * first, grad_output * ~first": "grad_output, grad_output"},
        (r"largest", r"both", r"mask", r"max", r"winner", r"route"),
    ),
    (
        "loser wins",
        {"grad_output * first, grad_output * ~first": "grad_output * ~first, grad_output * first"},
        (*SWAPPED, r"mask", r"winner", r"invert", r"other"),
    ),
    (
        "halves",
        {"grad_output * first, grad_output * ~first": "grad_output / 2, grad_output / 2"},
        (r"largest", r"both", r"mask", r"max", r"winner", r"half"),
    ),
)
mistakes(
    right.Experts,
    (
        "gate's softmax elementwise",
        {"p * (d_p - (p * d_p).sum(axis=1, keepdims=True))": "d_p * p * (1 - p)"},
        ELEMENTWISE,
    ),
    (
        "gate forgotten in the input",
        {"return d_x + d_z @ self.gate.data.T": "return d_x"},
        (r"gate", *MISSING, r"term", r"path"),
    ),
    (
        "experts unweighted",
        {"p[:, :, None] * grad_output": "np.ones_like(p)[:, :, None] * grad_output"},
        (r"gate", r"weight", r"\bp\b", *MISSING, r"factor"),
    ),
    ("gate without gradient", {"self.gate.grad += x.T @ d_z": "pass"}, NO_GRADIENT),
    ("experts overwritten", {"self.expert.grad += np": "self.expert.grad = np"}, OVERWRITES),
)
mistakes(
    right.Rbf,
    ("2 forgotten", {"d_diff = -2 *": "d_diff = -1 *"}, HALF),
    ("center's sign", {"-d_diff.sum(axis=0)": "d_diff.sum(axis=0)"}, SIGN),
    ("γ's sign", {"-(d_exponent * distance)": "(d_exponent * distance)"}, SIGN),
    (
        "input not summed over centers",
        {"return d_diff.sum(axis=1)": "return d_diff[:, 0]"},
        NOT_SUMMED,
    ),
    ("center mean", {"-d_diff.sum(axis=0)": "-d_diff.mean(axis=0)"}, DIVIDED),
    (
        "γ left out",
        {"(d_exponent * self.gamma.data)[..., None]": "d_exponent[..., None]"},
        (r"gamma", r"γ", *MISSING, r"inner", r"factor"),
    ),
    (
        "exp's derivative forgotten",
        {"d_exponent = grad_output * y": "d_exponent = grad_output"},
        (*NO_DERIVATIVE, r"\bexp"),
    ),
)

# -- normalizations -----------------------------------------------------------------------------

HAT = "rstd * (d_hat - mean_d - x_hat * mean_dx)"
mistakes(
    right.LayerNorm,
    ("statistics constant", {HAT: "rstd * d_hat"}, (*CONSTANT, r"mean and", r"variance")),
    ("mean's share missing", {HAT: "rstd * (d_hat - x_hat * mean_dx)"}, (r"mean", *CONSTANT)),
    (
        "variance's share missing",
        {HAT: "rstd * (d_hat - mean_d)"},
        (r"var", r"std", r"scale", r"x_hat|x̂"),
    ),
    (
        "rstd forgotten",
        {HAT: "d_hat - mean_d - x_hat * mean_dx"},
        (r"rstd", r"std", r"deviation", r"divi[ds]", r"scale"),
    ),
    (
        "rstd squared",
        {HAT: "rstd**2 * (d_hat - mean_d - x_hat * mean_dx)"},
        (r"rstd", r"std", r"deviation", r"var", r"twice"),
    ),
    (
        "sums for means",
        {"d_hat.mean(axis=-1": "d_hat.sum(axis=-1", "(d_hat * x_hat).mean": "(d_hat * x_hat).sum"},
        (r"mean", r"divi[ds]", r"1/D", r"sum"),
    ),
    (
        "means over the batch",
        {
            "d_hat.mean(axis=-1": "d_hat.mean(axis=0",
            "(d_hat * x_hat).mean(axis=-1": "(d_hat * x_hat).mean(axis=0",
        },
        (*OTHER_AXIS, r"batch", r"ax[ie]s"),
    ),
    (
        "γ forgotten in the input",
        {"d_hat = grad_output * self.gamma.data": "d_hat = grad_output"},
        (r"gamma", r"γ", r"scale", *MISSING),
    ),
    (
        "γ without x̂",
        {"(grad_output * x_hat).sum(axis=0)": "grad_output.sum(axis=0)"},
        (r"x_hat|x̂", r"normaliz", r"beta", *SWAPPED),
    ),
    (
        "β mean",
        {"self.beta.grad += grad_output.sum": "self.beta.grad += grad_output.mean"},
        DIVIDED,
    ),
    (
        "γ from d_hat",
        {
            "self.gamma.grad += (grad_output * x_hat)": "self.gamma.grad += (grad_output * self.gamma.data * x_hat)"
        },
        (r"gamma", r"already", r"multipl", r"twice"),
    ),
    ("plus for the variance", {"- x_hat * mean_dx": "+ x_hat * mean_dx"}, (*SIGN, r"var")),
    (
        "x̂ times the mean of d",
        {"(d_hat * x_hat).mean": "d_hat.mean"},
        (r"var", r"x_hat|x̂", r"std", r"correlat"),
    ),
)
BN = "rstd * (d_hat - d_hat.mean(axis=0) - x_hat * (d_hat * x_hat).mean(axis=0))"
mistakes(
    right.BatchNorm,
    (
        "statistics constant",
        {"return " + BN: "return d_hat * rstd"},
        (*CONSTANT, r"batch mean", r"variance"),
    ),
    (
        "mean's share missing",
        {BN: "rstd * (d_hat - x_hat * (d_hat * x_hat).mean(axis=0))"},
        (r"mean", *CONSTANT),
    ),
    (
        "variance's share missing",
        {BN: "rstd * (d_hat - d_hat.mean(axis=0))"},
        (r"var", r"std", r"x_hat|x̂"),
    ),
    (
        "training read in backward",
        {"        if not training:": "        if not self.training:"},
        MODE,
    ),
    (
        "buffers changed in eval mode",
        {
            "        if training:\n            mean, var = x.mean(axis=0), x.var(axis=0)": "        mean, var = x.mean(axis=0), x.var(axis=0)\n        if True:",
            "        else:\n            mean, var = self": "        if not training:\n            mean, var = self",
        },
        (r"eval", r"buffer", r"running"),
    ),
    (
        "batch statistics in eval mode's backward",
        {"            return d_hat * rstd\n": "            pass\n"},
        (*MODE, r"running"),
    ),
    (
        "β mean",
        {"self.beta.grad += grad_output.sum": "self.beta.grad += grad_output.mean"},
        DIVIDED,
    ),
    (
        "means over features",
        {
            "d_hat.mean(axis=0)": "d_hat.mean(axis=1, keepdims=True)",
            "(d_hat * x_hat).mean(axis=0)": "(d_hat * x_hat).mean(axis=1, keepdims=True)",
        },
        (*OTHER_AXIS, r"features?", r"ax[ie]s"),
    ),
    (
        "N forgotten",
        {
            "d_hat.mean(axis=0)": "d_hat.sum(axis=0)",
            "(d_hat * x_hat).mean(axis=0)": "(d_hat * x_hat).sum(axis=0)",
        },
        (r"mean", r"divi[ds]", r"1/N", r"sum"),
    ),
    (
        "running statistics in backward",
        {
            "return " + BN: "rstd = 1 / np.sqrt(self.running_var.data + self.eps)\n        return "
            + BN
        },
        (r"running", r"buffer", r"state", r"rstd|std|scale"),
    ),
)
mistakes(
    right.RmsNorm,
    (
        "rms constant",
        {"(d_hat - x_hat * (d_hat * x_hat).mean(axis=-1, keepdims=True)) / rms": "d_hat / rms"},
        (*CONSTANT, r"rms", r"term", *MISSING),
    ),
    (
        "sum for mean",
        {".mean(axis=-1, keepdims=True)) / rms": ".sum(axis=-1, keepdims=True)) / rms"},
        (r"mean", r"divi[ds]", r"1/D", r"sum"),
    ),
    (
        "gain of x",
        {"self.gain.grad += (grad_output * x_hat)": "self.gain.grad += (grad_output * x)"},
        (r"normaliz", r"x_hat|x̂", r"rms", r"divi[ds]"),
    ),
    (
        "not divided",
        {"keepdims=True)) / rms\n": "keepdims=True))\n"},
        (r"rms", r"divi[ds]", r"scale"),
    ),
    (
        "gain forgotten",
        {"d_hat = grad_output * self.gain.data": "d_hat = grad_output"},
        (r"gain", *MISSING),
    ),
)
mistakes(
    right.UnitLength,
    (
        "norm constant",
        {"(grad_output - y * along) / norm": "grad_output / norm"},
        (*CONSTANT, r"norm", r"length", r"project"),
    ),
    (
        "not divided",
        {"(grad_output - y * along) / norm": "grad_output - y * along"},
        (r"norm", r"divi[ds]", r"length"),
    ),
    ("plus", {"grad_output - y": "grad_output + y"}, SIGN),
    (
        "divided by norm²",
        {"(grad_output - y * along) / norm": "(grad_output - y * along) / norm**2"},
        (r"norm", r"divi[ds]", r"length", r"twice", r"squar"),
    ),
)
mistakes(
    right.GroupNorm,
    (
        "mean's share missing",
        {"d_z = d_centered - d_centered.mean(axis=-1, keepdims=True)": "d_z = d_centered"},
        (r"mean", *CONSTANT),
    ),
    (
        "variance's share missing",
        {"(g - z_hat * (g * z_hat).mean(axis=-1, keepdims=True)) / std": "g / std"},
        (r"var", r"std", r"deviation", *CONSTANT),
    ),
    (
        "over all channels",
        {"d_centered.mean(axis=-1, keepdims=True)": "d_centered.mean(axis=(1, 2), keepdims=True)"},
        (r"group", r"ax[ie]s", r"mean"),
    ),
    (
        "not divided",
        {"keepdims=True)) / std": "keepdims=True))"},
        (r"std", r"deviation", r"divi[ds]", r"scale"),
    ),
)
mistakes(
    right.Center,
    (
        "mean constant",
        {"return grad_output - grad_output.mean(axis=0)": "return grad_output"},
        (*CONSTANT, r"mean", *NO_DERIVATIVE),
    ),
    (
        "mean of the row",
        {"grad_output.mean(axis=0)": "grad_output.mean(axis=1, keepdims=True)"},
        (*OTHER_AXIS, r"ax[ie]s", r"row", r"batch"),
    ),
    (
        "sum for mean",
        {"grad_output.mean(axis=0)": "grad_output.sum(axis=0)"},
        (r"mean", r"divi[ds]", r"1/N", r"sum"),
    ),
)
mistakes(
    right.WeightNorm,
    ("norm constant", {"(d_w - unit * d_g)": "d_w"}, (*CONSTANT, r"norm", r"project", *MISSING)),
    (
        "g left out of v",
        {"self.g.data / norm * (": "1 / norm * ("},
        (r"\bg\b", *MISSING, r"factor"),
    ),
    ("g not summed", {"self.g.grad += d_g": "self.g.grad += d_w[0] * unit[0]"}, NOT_SUMMED),
    (
        "input through v",
        {"(self.g.data * unit).T": "self.v.data.T"},
        (r"\bv\b", r"norm", r"\bg\b", r"effective"),
    ),
    (
        "norm over all",
        {"self.g.data / norm * (": "self.g.data / np.sqrt((norm**2).sum()) * ("},
        (r"norm", r"ax[ie]s", r"column", r"all"),
    ),
)

# -- convolution, pooling, shapes ---------------------------------------------------------------

DX = "d_xp[:, t * s : t * s + k] += np.einsum"
mistakes(
    right.Conv1d,
    (
        "kernel not turned in the input",
        {'"nf,kcf->nkc", g, self.kernel.data': '"nf,kcf->nkc", g, self.kernel.data[::-1]'},
        FLIPPED,
    ),
    (
        "kernel's gradient turned",
        {'"nkc,nf->kcf", window, g': '"nkc,nf->kcf", window[:, ::-1], g'},
        FLIPPED,
    ),
    (
        "overlaps overwritten",
        {DX: DX.replace("+=", "=")},
        (*OVERWRITES, r"overlap", r"last window"),
    ),
    (
        "padding cut at one side",
        {"d_xp[:, p : d_xp.shape[1] - p]": "d_xp[:, : d_xp.shape[1] - 2 * p]"},
        (r"padd", r"shift", r"border", r"moved", r"step"),
    ),
    ("padding not cut", {"d_xp[:, p : d_xp.shape[1] - p]": "d_xp"}, (r"padd", r"shape")),
    (
        "stride forgotten in the input",
        {DX: "d_xp[:, t : t + k] += np.einsum"},
        (r"stride", r"place", r"shift", r"position"),
    ),
    (
        "stride forgotten in the kernel",
        {
            "            window = xp[:, t * s : t * s + k]\n": "            window = xp[:, t : t + k]\n"
        },
        (r"stride", r"place", r"shift", r"position", r"window"),
    ),
    (
        "last window left out",
        {"range(grad_output.shape[1])": "range(grad_output.shape[1] - 1)"},
        (r"last", *MISSING, r"window", r"step", r"border"),
    ),
    (
        "kernel overwritten",
        {"self.kernel.grad += np": "self.kernel.grad = np"},
        (*OVERWRITES, r"last (window|step)", r"only"),
    ),
    (
        "bias of the last window",
        {"self.bias.grad += g": "self.bias.grad = g"},
        (*OVERWRITES, r"last (window|step)", r"only"),
    ),
    ("bias mean over the batch", {"g.sum(axis=0)": "g.mean(axis=0)"}, DIVIDED),
    ("bias mean over steps", {"g.sum(axis=0)": "g.sum(axis=0) / grad_output.shape[1]"}, DIVIDED),
    (
        "border of the input missing",
        {"return d_xp[:, p": "d_xp[:, p] = 0\n        return d_xp[:, p"},
        (r"border", r"first", r"edge", r"padd", r"index 0", r"\b(0|zero)\b"),
    ),
    (
        "kernel's last tap missing",
        {
            'self.kernel.grad += np.einsum("nkc,nf->kcf", window, g)': 'self.kernel.grad[:-1] += np.einsum("nkc,nf->kcf", window, g)[:-1]'
        },
        (r"last", r"index 2", r"\b(0|zero)\b", *MISSING),
    ),
)
mistakes(
    right.Conv1d,
    (
        "channels transposed in the kernel",
        {'"nkc,nf->kcf", window, g': '"nkc,nf->kfc", window, g'},
        TRANSPOSED,
    ),
    ("channels transposed in the input", {'"nf,kcf->nkc", g': '"nf,kfc->nkc", g'}, TRANSPOSED),
    args=(3, 3, 3, 1, 1),
    x=right.normal(3, 6, 3),
)
mistakes(
    right.Conv2d,
    (
        "kernel turned",
        {
            "grad_output @ self.kernel.data[i, j].T": "grad_output @ self.kernel.data[-1 - i, -1 - j].T"
        },
        FLIPPED,
    ),
    (
        "kernel's axes swapped",
        {"d_kernel[i, j] =": "d_kernel[j, i] ="},
        (*TRANSPOSED, *SWAPPED, r"height", r"ax[ie]s"),
    ),
    (
        "input's kernel axes swapped",
        {"self.kernel.data[i, j].T": "self.kernel.data[j, i].T"},
        (*TRANSPOSED, *SWAPPED, r"height", r"ax[ie]s"),
    ),
    ("kernel of the first image", {"part, grad_output)": "part[:1], grad_output[:1])"}, NOT_SUMMED),
    (
        "kernel mean over pixels",
        {"self.kernel.grad += d_kernel": "self.kernel.grad += d_kernel / (height * width)"},
        DIVIDED,
    ),
    (
        "kernel mean over the batch",
        {"self.kernel.grad += d_kernel": "self.kernel.grad += d_kernel / len(xp)"},
        DIVIDED,
    ),
    (
        "overlaps overwritten",
        {"j : j + width] += grad_output": "j : j + width] = grad_output"},
        (*OVERWRITES, r"overlap", r"last"),
    ),
    (
        "only the middle tap",
        {
            "d_xp[:, i : i + height, j : j + width] += grad_output @ self.kernel.data[i, j].T": "if i == j == p:\n                    d_xp[:, i : i + height, j : j + width] += grad_output @ self.kernel.data[i, j].T"
        },
        (r"neighbo", r"middle", r"cent[re]", *MISSING, r"only", r"overlap", r"1×1"),
    ),
    (
        "last row of taps missing",
        {
            "        for i in range(self.size):\n            for j in range(self.size):\n                part": "        for i in range(self.size - 1):\n            for j in range(self.size):\n                part"
        },
        (r"row", r"last", *MISSING, r"index 2", r"\b(0|zero)\b"),
    ),
    (
        "padding cut off by one",
        {
            "d_xp[:, p : p + height, p : p + width]": "d_xp[:, p - 1 : p - 1 + height, p : p + width]"
        },
        (r"padd", r"shift", r"moved", r"row", r"off by one"),
    ),
    (
        "borders left out",
        {
            "return d_xp[:, p : p + height, p : p + width]": "d_xp[:, :, p] = 0\n        return d_xp[:, p : p + height, p : p + width]"
        },
        (r"border", r"column", r"edge", r"first", r"index 0", r"\b(0|zero)\b"),
    ),
    (
        "kernel overwritten",
        {"self.kernel.grad += d_kernel": "self.kernel.grad = d_kernel"},
        OVERWRITES,
    ),
)
mistakes(
    right.Depthwise,
    (
        "gradient goes to the future",
        {"d_x[:, : steps - k] += grad_output[:, k:]": "d_x[:, k:] += grad_output[:, : steps - k]"},
        (*FLIPPED, r"future", r"past", r"caus", r"direction", r"time", r"step"),
    ),
    (
        "weight's gradient shifted the other way",
        {"(grad_output[:, k:] * x[:, : steps - k])": "(grad_output[:, : steps - k] * x[:, k:])"},
        (*FLIPPED, r"future", r"past", r"caus", r"direction", r"time", r"step", r"shift"),
    ),
    (
        "only the first tap in the input",
        {
            "            d_x[:, : steps - k] += grad_output[:, k:] * self.weight.data[k]\n": "            if k == 0:\n                d_x += grad_output * self.weight.data[0]\n"
        },
        (*MISSING, r"tap", r"step", r"only", r"neighbo"),
    ),
    (
        "weight summed over the batch only, first step",
        {".sum(axis=(0, 1))": "[:, 0].sum(axis=0)"},
        NOT_SUMMED,
    ),
    ("tap overwritten", {"self.weight.grad[k] +=": "self.weight.grad[k] ="}, OVERWRITES),
)
TIED = np.round(right.normal(2, 6, 3) * 2) / 2
TIED[0, :2] = 1.0
mistakes(
    right.MaxPool1d,
    (
        "ties paid in full",
        {
            "np.put_along_axis(d_windows, best[:, :, None], grad_output[:, :, None], axis=2)": "d_windows[...] = grad_output[:, :, None] * (windows == windows.max(axis=2, keepdims=True))"
        },
        (r"\bties?\b", r"equal", r"both", r"several", r"once", r"more than one", r"twice"),
    ),
    x=TIED,
)
mistakes(
    right.MaxPool1d,
    (
        "all of the window",
        {
            "np.put_along_axis(d_windows, best[:, :, None], grad_output[:, :, None], axis=2)": "d_windows[...] = grad_output[:, :, None]"
        },
        (r"largest", r"\bmax", r"only", r"every", r"all", r"winner"),
    ),
    (
        "spread evenly",
        {
            "np.put_along_axis(d_windows, best[:, :, None], grad_output[:, :, None], axis=2)": "d_windows[...] = grad_output[:, :, None] / self.size"
        },
        (r"largest", r"\bmax", r"averag", r"mean", r"even"),
    ),
    (
        "always the first",
        {"best = windows.argmax(axis=2)": "best = 0 * windows.argmax(axis=2)"},
        (r"largest", r"\bmax", r"first", r"other", r"place", r"position", r"index"),
    ),
    (
        "smallest",
        {"argmax": "argmin"},
        (r"largest", r"smallest", r"\bmin\b", r"other", r"place", r"position"),
    ),
)
mistakes(
    right.MaxPool2d,
    (
        "window's axes swapped",
        {
            "2, 2, c).transpose(0, 1, 3, 2, 4, 5)\n        return d_windows.reshape": "2, 2, c).transpose(0, 1, 4, 2, 3, 5)\n        return d_windows.reshape"
        },
        (*TRANSPOSED, *SWAPPED, r"place", r"position", r"order", r"ax[ie]s", r"rearrang"),
    ),
    (
        "axes not put back",
        {
            "2, 2, c).transpose(0, 1, 3, 2, 4, 5)\n        return d_windows.reshape": "2, 2, c)\n        return d_windows.reshape"
        },
        (*TRANSPOSED, *SWAPPED, r"place", r"position", r"order", r"ax[ie]s", r"rearrang"),
    ),
    (
        "all of the window",
        {
            "np.put_along_axis(d_windows, best[:, :, :, None], grad_output[:, :, :, None], axis=3)": "d_windows[...] = grad_output[:, :, :, None]"
        },
        (r"largest", r"\bmax", r"only", r"every", r"all", r"winner"),
    ),
)
mistakes(
    right.AvgPool1d,
    (
        "borders divided by 3",
        {"/ (high - low)": "/ 3"},
        (r"border", r"edge", r"count", r"divi[ds]", r"first", r"last", r"end"),
    ),
    ("not divided", {" / (high - low)": ""}, (r"divi[ds]", r"mean", r"averag", r"sum", r"\b3\b")),
    ("overwritten", {"d_x[:, low:high] +=": "d_x[:, low:high] ="}, (*OVERWRITES, r"overlap")),
    (
        "own step only",
        {"d_x[:, low:high] +=": "d_x[:, t : t + 1] +="},
        (r"neighbo", r"window", *MISSING, r"step", r"only", r"spread"),
    ),
)
mistakes(
    right.GlobalMean,
    (
        "not divided",
        {" / (shape[1] * shape[2])": ""},
        (r"divi[ds]", r"mean", r"number", r"averag", r"\b12\b"),
    ),
    (
        "divided by the height",
        {"(shape[1] * shape[2])": "shape[1]"},
        (r"divi[ds]", r"width", r"\b4(\.0*)? times", r"number", r"factor", r"mean"),
    ),
    (
        "divided by the batch",
        {"(shape[1] * shape[2])": "(shape[0] * shape[1] * shape[2])"},
        (r"divi[ds]", r"batch", r"half", r"\b1/2\b", r"0\.5", r"mean"),
    ),
    (
        "one pixel gets all",
        {
            "return np.broadcast_to(d_x, shape).copy()": "full = np.zeros(shape, d_x.dtype)\n        full[:, :1, :1] = d_x * shape[1] * shape[2]\n        return full"
        },
        (r"spread", r"only", r"every", r"first", r"index 0", r"pixel", r"all"),
    ),
)
mistakes(
    right.GlobalMax,
    (
        "over all steps",
        {
            "np.put_along_axis(d_x, best[:, None], grad_output[:, None], axis=1)": "d_x[...] = grad_output[:, None]"
        },
        (r"largest", r"\bmax", r"every", r"only", r"all"),
    ),
    (
        "last step",
        {"best[:, None], grad_output": "0 * best[:, None] + shape[1] - 1, grad_output"},
        (r"largest", r"\bmax", r"last", r"step", r"place", r"position", r"index"),
    ),
    (
        "mean",
        {
            "np.put_along_axis(d_x, best[:, None], grad_output[:, None], axis=1)": "d_x[...] = grad_output[:, None] / shape[1]"
        },
        (r"largest", r"\bmax", r"mean", r"averag", r"divi[ds]", r"even"),
    ),
)
mistakes(
    right.Upsample,
    (
        "first copy only",
        {"grad_output[:, 0::2] + grad_output[:, 1::2]": "grad_output[:, 0::2]"},
        (r"\bsum", *MISSING, r"cop(y|ies)", r"only", r"both", r"twice"),
    ),
    (
        "mean of the copies",
        {
            "grad_output[:, 0::2] + grad_output[:, 1::2]": "(grad_output[:, 0::2] + grad_output[:, 1::2]) / 2"
        },
        (*HALF, *DIVIDED),
    ),
    (
        "halves for pairs",
        {
            "grad_output[:, 0::2] + grad_output[:, 1::2]": "grad_output[:, : grad_output.shape[1] // 2] + grad_output[:, grad_output.shape[1] // 2 :]"
        },
        (
            r"order",
            r"place",
            r"position",
            r"step",
            r"pair",
            r"neighbo",
            r"repeat",
            r"tile",
            r"rearrang",
        ),
    ),
)
mistakes(
    right.Flatten,
    (
        "other order",
        {
            "grad_output.reshape(shape)": "grad_output.reshape(shape[0], shape[2], shape[1]).transpose(0, 2, 1)"
        },
        (r"order", *TRANSPOSED, r"place", r"position", r"rearrang", r"reshape"),
    ),
    ("not put back", {"grad_output.reshape(shape)": "grad_output"}, (r"shape",)),
)
mistakes(
    right.SwapAxes,
    (
        "reshape for transpose",
        {
            "return grad_output.transpose(0, 2, 1)": "return grad_output.reshape(len(grad_output), grad_output.shape[2], -1)"
        },
        (*TRANSPOSED, r"reshape", r"order", r"place", r"position", r"rearrang"),
    ),
    (
        "not put back",
        {"return grad_output.transpose(0, 2, 1)": "return grad_output"},
        (*TRANSPOSED, r"shape"),
    ),
)
mistakes(
    right.Roll,
    (
        "same direction",
        {"-1, axis=1": "1, axis=1"},
        (r"direction", *FLIPPED, r"roll", r"shift", r"other way", r"place", r"order", r"forward"),
    ),
    (
        "batch rolled",
        {"-1, axis=1": "-1, axis=0"},
        (*OTHER_AXIS, r"batch", r"ax[ie]s", r"row", r"other sample", r"place"),
    ),
    (
        "not rolled back",
        {"np.roll(grad_output, -1, axis=1)": "grad_output"},
        (r"unchanged", r"as it (is|was|came)", r"identity", r"shift", r"place", r"order", r"roll"),
    ),
)
mistakes(
    right.Cumsum,
    (
        "from the front",
        {"np.cumsum(grad_output[:, ::-1], axis=1)[:, ::-1]": "np.cumsum(grad_output, axis=1)"},
        (*FLIPPED, r"direction", *TRANSPOSED, r"order", r"later", r"future"),
    ),
    ("not turned back", {"axis=1)[:, ::-1]": "axis=1)"}, (*FLIPPED, r"order")),
    (
        "identity",
        {"np.cumsum(grad_output[:, ::-1], axis=1)[:, ::-1]": "grad_output"},
        (*NO_DERIVATIVE, *ELEMENTWISE, r"later", r"\bsum"),
    ),
    (
        "itself left out",
        {
            "return np.cumsum(grad_output[:, ::-1], axis=1)[:, ::-1]": "return np.cumsum(grad_output[:, ::-1], axis=1)[:, ::-1] - grad_output"
        },
        (*MISSING, r"shift", r"diagonal", r"itself", r"own step", r"identity"),
    ),
)
mistakes(
    right.Difference,
    ("sign", {"d_x[:, :-1] -=": "d_x[:, :-1] +="}, SIGN),
    (
        "one side",
        {"        d_x[:, :-1] -= grad_output\n": ""},
        (*MISSING, r"term", r"neighbo", r"both", r"other", r"second"),
    ),
    (
        "overwritten",
        {"d_x[:, :-1] -= grad_output": "d_x[:, :-1] = -grad_output"},
        (*OVERWRITES, *MISSING),
    ),
)
mistakes(
    right.Powers,
    (
        "the first part dropped",
        {"return first + 2 * x * second": "return 2 * x * second"},
        (*MISSING, r"first", r"part", r"half", r"term", r"branch"),
    ),
    (
        "2x forgotten",
        {"2 * x * second": "second"},
        (r"derivative", r"2x|2 x", r"\bx\b", r"second", r"half"),
    ),
    (
        "parts swapped",
        {"first, second = np": "second, first = np"},
        (*SWAPPED, r"order", r"half", r"halves"),
    ),
)
mistakes(
    right.Gather,
    (
        "duplicates once",
        {
            "np.add.at(d_x, (slice(None), self.columns), grad_output)": "d_x[:, self.columns] += grad_output"
        },
        (
            r"duplic",
            r"twice",
            r"repeat",
            r"several times",
            r"more than once",
            r"add\.at",
            r"same (index|column)",
        ),
    ),
    (
        "overwritten",
        {
            "np.add.at(d_x, (slice(None), self.columns), grad_output)": "d_x[:, self.columns] = grad_output"
        },
        (
            r"duplic",
            r"twice",
            r"repeat",
            r"several times",
            r"more than once",
            r"add\.at",
            r"same (index|column)",
            *OVERWRITES,
        ),
    ),
)

# -- sequences ----------------------------------------------------------------------------------

DUPLICATES = (
    r"duplic",
    r"twice",
    r"repeat",
    r"several times",
    r"more than once",
    r"add\.at",
    r"same (token|index|row)",
    r"occur",
)
mistakes(
    right.Embedding,
    (
        "duplicates once",
        {"np.add.at(self.weight.grad, x, grad_output)": "self.weight.grad[x] += grad_output"},
        DUPLICATES,
    ),
    (
        "overwritten",
        {"np.add.at(self.weight.grad, x, grad_output)": "self.weight.grad[x] = grad_output"},
        (*DUPLICATES, *OVERWRITES),
    ),
    (
        "divided by the count",
        {"grad_output)\n": "grad_output / np.bincount(x.ravel())[x][..., None])\n"},
        (*DIVIDED, r"count", *DUPLICATES),
    ),
    ("mean over the batch", {"grad_output)\n": "grad_output / len(x))\n"}, DIVIDED),
    (
        "other row",
        {"np.add.at(self.weight.grad, x, ": "np.add.at(self.weight.grad, x - 1, "},
        (r"row", r"shift", r"token", r"index", r"place", r"off by one"),
    ),
    (
        "token 0 skipped",
        {
            "np.add.at(self.weight.grad, x, grad_output)": "np.add.at(self.weight.grad, x[x > 0], grad_output[x > 0])"
        },
        (r"index 0", r"row 0", r"token 0", r"first row", r"padding", r"\b(0|zero)\b"),
    ),
    (
        "last step skipped",
        {
            "np.add.at(self.weight.grad, x, grad_output)": "np.add.at(self.weight.grad, x[:, :-1], grad_output[:, :-1])"
        },
        (r"step", r"last", r"token", *MISSING),
    ),
)
mistakes(
    right.Positions,
    ("mean over the batch", {"grad_output.sum(axis=0)": "grad_output.mean(axis=0)"}, DIVIDED),
    (
        "summed over time too",
        {"grad_output.sum(axis=0)": "grad_output.sum(axis=(0, 1))"},
        (*OTHER_AXIS, r"time", r"step", r"ax[ie]s"),
    ),
    ("first sample", {"grad_output.sum(axis=0)": "grad_output[0]"}, NOT_SUMMED),
    (
        "steps in reverse",
        {"grad_output.sum(axis=0)": "grad_output.sum(axis=0)[::-1]"},
        (*FLIPPED, r"order"),
    ),
    (
        "shifted by a step",
        {"grad_output.sum(axis=0)": "np.roll(grad_output.sum(axis=0), 1, axis=0)"},
        (r"shift", r"roll", r"step", r"off by one", r"moved"),
    ),
)
DZ = "d_z = a * (d_a - (d_a * a).sum(axis=-1, keepdims=True))"
mistakes(
    right.Attention,
    (
        "scale forgotten in both",
        {"d_q = d_z @ k * scale": "d_q = d_z @ k", "@ q * scale": "@ q"},
        (r"scale", r"√|sqrt", r"1\.7"),
    ),
    ("scale forgotten in dK", {"@ q * scale": "@ q"}, (r"scale", r"√|sqrt", r"1\.7")),
    (
        "scale twice",
        {"d_q = d_z @ k * scale": "d_q = d_z @ k * scale**2", "@ q * scale": "@ q * scale**2"},
        (r"scale", r"√|sqrt", r"twice", r"0\.57"),
    ),
    (
        "dQ and dK swapped",
        {
            'self.w_q.grad += np.einsum("ntc,ntd->cd", x, d_q)': 'self.w_q.grad += np.einsum("ntc,ntd->cd", x, d_k)',
            'self.w_k.grad += np.einsum("ntc,ntd->cd", x, d_k)': 'self.w_k.grad += np.einsum("ntc,ntd->cd", x, d_q)',
        },
        SWAPPED,
    ),
    ("softmax elementwise", {DZ: "d_z = d_a * a * (1 - a)"}, ELEMENTWISE),
    (
        "softmax's sum over queries",
        {DZ: DZ.replace("axis=-1", "axis=1")},
        (*OTHER_AXIS, r"quer", r"ax[ie]s", r"softmax"),
    ),
    ("softmax forgotten", {DZ: "d_z = d_a"}, (r"softmax", *NO_DERIVATIVE, r"Jacobian")),
    (
        "value's path dropped",
        {" + d_v @ self.w_v.data.T": ""},
        (r"value", r"w_v", *MISSING, r"path", r"term"),
    ),
    (
        "query's path dropped",
        {"return d_q @ self.w_q.data.T + ": "return "},
        (r"quer", r"w_q", *MISSING, r"path", r"term"),
    ),
    (
        "key's path dropped",
        {" + d_k @ self.w_k.data.T": ""},
        (r"key", r"w_k", *MISSING, r"path", r"term"),
    ),
    (
        "attention not transposed for dV",
        {"d_v = a.transpose(0, 2, 1) @ d_h": "d_v = a @ d_h"},
        TRANSPOSED,
    ),
    ("scores not transposed for dK", {"d_z.transpose(0, 2, 1) @ q": "d_z @ q"}, TRANSPOSED),
    (
        "output map's gradient from v",
        {'"ntd,ntc->dc", h, grad_output': '"ntd,ntc->dc", v, grad_output'},
        (r"\bv\b", r"value", r"attention", r"\bh\b", r"weighted"),
    ),
    (
        "output map forgotten",
        {'self.w_o.grad += np.einsum("ntd,ntc->dc", h, grad_output)': "pass"},
        NO_GRADIENT,
    ),
    (
        "last step of w_v",
        {
            'self.w_v.grad += np.einsum("ntc,ntd->cd", x, d_v)': "self.w_v.grad += x[:, -1].T @ d_v[:, -1]"
        },
        NOT_SUMMED,
    ),
    (
        "attention constant",
        {DZ: "d_z = 0 * a"},
        (*NO_GRADIENT, r"constant", r"softmax", r"weights"),
    ),
)
mistakes(
    right.CausalMean,
    (
        "softmax elementwise",
        {"a * (d_a - (a * d_a).sum(axis=-1, keepdims=True))": "d_a * a * (1 - a)"},
        ELEMENTWISE,
    ),
    ("not transposed", {"return a.T @ grad_output": "return a @ grad_output"}, TRANSPOSED),
    (
        "score of the first sequence",
        {'"ntc,nsc->ts", grad_output, x': '"tc,sc->ts", grad_output[0], x[0]'},
        NOT_SUMMED,
    ),
    ("score transposed", {"nsc->ts": "nsc->st"}, TRANSPOSED),
    ("score mean", {"self.score.grad += a *": "self.score.grad += 1 / len(x) * a *"}, DIVIDED),
)
mistakes(
    right.Elman,
    (
        "nothing carried back",
        {"d_next = d_a @ self.u.data.T": "pass"},
        (
            r"carr",
            r"earlier step",
            r"through (the )?(state|time|hidden)",
            r"recurren",
            r"time step",
            r"\bpast\b",
            r"later step",
        ),
    ),
    (
        "carried without U",
        {"d_next = d_a @ self.u.data.T": "d_next = d_a"},
        (r"\bU\b", r"recurren", r"carr", r"weight"),
    ),
    (
        "carried with U, not Uᵀ",
        {"d_next = d_a @ self.u.data.T": "d_next = d_a @ self.u.data"},
        TRANSPOSED,
    ),
    (
        "U with the new state",
        {"h[:, t].T @ d_a": "h[:, t + 1].T @ d_a"},
        (r"step", r"previous", r"h_t|h_\{t", r"state", r"off by one", r"shift"),
    ),
    (
        "tanh's derivative at the old state",
        {"(1 - h[:, t + 1] ** 2)": "(1 - h[:, t] ** 2)"},
        (r"step", r"previous", r"state", r"derivative", r"shift", r"off by one"),
    ),
    ("tanh's derivative forgotten", {"d_h * (1 - h[:, t + 1] ** 2)": "d_h"}, NO_DERIVATIVE),
    (
        "forward in time",
        {"reversed(range(steps))": "range(steps)"},
        (*FLIPPED, r"order", r"last step first", r"from the end", r"direction", r"time"),
    ),
    (
        "first step left out",
        {"reversed(range(steps))": "reversed(range(1, steps))"},
        (r"first", r"step", *MISSING, r"index 0"),
    ),
    (
        "last step left out",
        {"reversed(range(steps))": "reversed(range(steps - 1))"},
        (r"last", r"step", *MISSING),
    ),
    ("b mean over time", {"d_a.sum(axis=0)": "d_a.sum(axis=0) / steps"}, DIVIDED),
    (
        "b of the first step",
        {"self.b.grad += d_a": "self.b.grad = d_a"},
        (*OVERWRITES, *NOT_SUMMED),
    ),
    (
        "w overwritten in the loop",
        {"self.w.grad += x": "self.w.grad = x"},
        (*OVERWRITES, *NOT_SUMMED),
    ),
    (
        "own output's gradient dropped",
        {
            "d_h = grad_output[:, t] + d_next": "d_h = d_next if t < steps - 1 else grad_output[:, t]"
        },
        (r"step", r"last", *MISSING, r"only", r"output"),
    ),
    (
        "carried twice",
        {"d_next = d_a @ self.u.data.T": "d_next = d_next + d_a @ self.u.data.T"},
        (*TWICE, r"carr", r"accumul", r"recurren", r"again", r"step"),
    ),
    ("u forgotten", {"self.u.grad += h[:, t].T @ d_a": "pass"}, NO_GRADIENT),
)
mistakes(
    right.Gru,
    (
        "u_r and u_z swapped",
        {
            "self.u_r.grad": "self.HERE.grad",
            "self.u_z.grad": "self.u_r.grad",
            "self.HERE.grad": "self.u_z.grad",
        },
        SWAPPED,
    ),
    ("sign of the update gate", {"(h - n)": "(n - h)"}, SIGN),
    (
        "z and 1 − z exchanged",
        {"d_n = d_h * (1 - z)": "d_n = d_h * z"},
        (r"1 [−-] z", *SWAPPED, r"\bz\b", r"gate"),
    ),
    (
        "direct path dropped",
        {"d_h = d_h * z + d_rh * r": "d_h = d_rh * r"},
        (r"direct", r"carr", *MISSING, r"path", r"state", r"term", r"recurren"),
    ),
    (
        "reset's path dropped",
        {"d_h * z + d_rh * r + d_r": "d_h * z + d_r"},
        (r"reset", r"carr", *MISSING, r"path", r"state", r"term", r"recurren"),
    ),
    (
        "reset forgotten in u_n",
        {"(r * h).T @ d_n": "h.T @ d_n"},
        (r"reset", r"\br\b", r"gate", *MISSING),
    ),
    (
        "gates' paths dropped",
        {" + d_r @ self.u_r.data.T + d_z @ self.u_z.data.T": ""},
        (r"gate", r"carr", *MISSING, r"path", r"state", r"term", r"recurren"),
    ),
    (
        "one step only",
        {"reversed(range(x.shape[1]))": "[x.shape[1] - 1]"},
        (r"step", r"only", r"last", r"time", *MISSING),
    ),
    ("n's derivative", {"(1 - n**2)": "n * (1 - n)"}, (r"derivative", r"tanh", r"sigmoid")),
)
mistakes(
    right.Lstm,
    (
        "i and f swapped",
        {"[d_i, d_f, d_g, d_o]": "[d_f, d_i, d_g, d_o]"},
        (*SWAPPED, r"order", r"gates?"),
    ),
    (
        "g and o swapped",
        {"[d_i, d_f, d_g, d_o]": "[d_i, d_f, d_o, d_g]"},
        (*SWAPPED, r"order", r"gates?"),
    ),
    (
        "cell not carried",
        {"d_c = d_c * f\n": "d_c = np.zeros_like(d_c)\n"},
        (r"cell", r"carr", r"step", r"forget", r"through time", r"recurren"),
    ),
    (
        "cell carried without f",
        {"d_c = d_c * f\n": "pass\n"},
        (r"forget", r"\bf\b", r"cell", r"carr"),
    ),
    (
        "hidden state not carried",
        {"d_h = d_a @ self.u.data.T": "d_h = np.zeros_like(d_h)"},
        (r"carr", r"state", r"step", r"recurren", r"through time"),
    ),
    ("tanh(c)'s derivative forgotten", {"d_h * o * (1 - tanh_c**2)": "d_h * o"}, NO_DERIVATIVE),
    (
        "f with the new cell",
        {"d_f = d_c * c * f": "d_f = d_c * c_new * f"},
        (r"previous", r"old", r"step", r"cell", r"\bc\b"),
    ),
    (
        "σ′ for g",
        {"d_c * i * (1 - g**2)": "d_c * i * g * (1 - g)"},
        (r"derivative", r"tanh", r"sigmoid"),
    ),
    ("o's derivative forgotten", {"d_h * tanh_c * o * (1 - o)": "d_h * tanh_c"}, NO_DERIVATIVE),
    (
        "cell's gradient replaced",
        {"d_c = d_c + d_h * o": "d_c = d_h * o"},
        (r"cell", r"carr", r"overwr", r"step", r"through time", *MISSING),
    ),
    ("b of the last step", {"self.b.grad += d_a": "self.b.grad = d_a"}, (*OVERWRITES, *NOT_SUMMED)),
    ("u mean over time", {"h.T @ d_a": "h.T @ d_a / x.shape[1]"}, DIVIDED),
)

# -- noise, containers --------------------------------------------------------------------------

mistakes(
    right.Dropout,
    (
        "mask drawn anew",
        {
            "return grad_output if mask is None else grad_output * mask": "if mask is None:\n            return grad_output\n        return grad_output * (self.rng.random(mask.shape) >= self.p) / (1 - self.p)"
        },
        (r"mask", r"drawn?", r"random", r"generator"),
    ),
    (
        "not rescaled",
        {"else grad_output * mask": "else grad_output * (mask > 0)"},
        (*HALF, r"1/\(1", r"scale", r"1 [−-] p", r"keep"),
    ),
    (
        "no mask in backward",
        {"return grad_output if mask is None else grad_output * mask": "return grad_output"},
        (r"mask", *NO_DERIVATIVE, r"dropped"),
    ),
    (
        "the other values",
        {"else grad_output * mask": "else grad_output * (2 - mask)"},
        (r"mask", r"other", r"dropped", r"invert", r"complement", r"kept"),
    ),
    (
        "training read in backward",
        {"return grad_output if mask is None else": "return grad_output if not self.training else"},
        MODE,
    ),
    (
        "grad_output in place",
        {
            "return grad_output if mask is None else grad_output * mask": "if mask is not None:\n            grad_output *= mask\n        return grad_output"
        },
        G_WRITTEN,
    ),
)
mistakes(
    right.Chain,
    (
        "forward's order",
        {"for layer in reversed(self.layers)": "for layer in self.layers"},
        (*FLIPPED, r"order", r"shape"),
    ),
    (
        "first layer skipped",
        {"reversed(self.layers)": "reversed(self.layers[1:])"},
        (r"first", r"skip", *MISSING, r"never", r"layer 0", r"shape"),
    ),
    (
        "tanh skipped",
        {
            "            grad_output = layer.backward(grad_output)\n": "            if layer.parameters():\n                grad_output = layer.backward(grad_output)\n"
        },
        (r"skip", *NO_DERIVATIVE, *MISSING, r"activation", r"never"),
    ),
    (
        "each gets the first gradient",
        {
            "            grad_output = layer.backward(grad_output)\n        return grad_output": "            d_x = layer.backward(grad_output)\n        return d_x"
        },
        (r"chain", r"shape", r"pass", r"previous", r"next"),
    ),
)
mistakes(
    right.Chain,
    (
        "same shapes, forward's order",
        {"for layer in reversed(self.layers)": "for layer in self.layers"},
        (*FLIPPED, r"order"),
    ),
    (
        "same shapes, tanh skipped",
        {
            "            grad_output = layer.backward(grad_output)\n": "            if layer.parameters():\n                grad_output = layer.backward(grad_output)\n"
        },
        (r"skip", *NO_DERIVATIVE, *MISSING, r"activation", r"never"),
    ),
    (
        "same shapes, each gets the first gradient",
        {
            "            grad_output = layer.backward(grad_output)\n        return grad_output": "            d_x = layer.backward(grad_output)\n        return d_x"
        },
        (r"chain", r"pass", r"previous", r"next", r"same gradient"),
    ),
    args=lambda: (right.Dense(4, 4), right.Tanh(), right.Dense(4, 4)),
)
mistakes(
    right.Sum,
    (
        "second branch's gradient dropped",
        {
            "return self.first.backward(grad_output) + self.second.backward(grad_output)": "self.second.backward(grad_output)\n        return self.first.backward(grad_output)"
        },
        (*MISSING, r"branch", r"second", r"term"),
    ),
    (
        "second branch not called",
        {" + self.second.backward(grad_output)": ""},
        (*NO_GRADIENT, r"second", r"branch"),
    ),
    (
        "mean of the branches",
        {
            "return self.first.backward(grad_output) + self.second.backward(grad_output)": "return (self.first.backward(grad_output) + self.second.backward(grad_output)) / 2"
        },
        (*HALF, *DIVIDED),
    ),
)
mistakes(
    right.Product,
    (
        "product rule without factors",
        {"grad_output * b": "grad_output", "grad_output * a": "grad_output"},
        (r"product rule", r"factor", r"other branch", *MISSING),
    ),
    (
        "factors swapped",
        {
            "grad_output * b": "grad_output * HERE",
            "grad_output * a": "grad_output * b",
            "grad_output * HERE": "grad_output * a",
        },
        (*SWAPPED, r"product rule", r"own", r"other branch"),
    ),
    (
        "one branch",
        {" + self.second.backward(grad_output * a)": ""},
        (*NO_GRADIENT, r"product rule", r"branch", r"second"),
    ),
)
mistakes(
    right.SideBySide,
    (
        "parts swapped",
        {
            "self.first.backward(grad_output[..., :n])": "self.first.backward(grad_output[..., -n:])",
            "grad_output[..., n:])": "grad_output[..., :-n])",
        },
        (*SWAPPED, r"order", r"part", r"slice", r"half"),
    ),
    (
        "first part only",
        {
            "return d_x + self.second.backward(grad_output[..., n:])": "self.second.backward(grad_output[..., n:])\n        return d_x"
        },
        (*MISSING, r"branch", r"second", r"part", r"term"),
    ),
    (
        "second overwrites",
        {"return d_x + self.second": "return self.second"},
        (*MISSING, r"branch", r"first", r"part", r"term", *OVERWRITES),
    ),
)

# -- losses -------------------------------------------------------------------------------------

D2 = "2 * w * d / self.denominator"
loss_mistakes(
    right.SquaredError,
    ("2 forgotten", {D2: "w * d / self.denominator"}, HALF),
    ("1/N forgotten", {D2: "2 * w * d"}, (*DIVIDED, r"\b12\b", r"denominator")),
    (
        "1/N twice",
        {D2: "2 * w * d / self.denominator**2"},
        (*DIVIDED, r"twice", r"1/12", r"denominator"),
    ),
    (
        "divided by the rows only",
        {D2: "2 * w * d / len(d)"},
        (*DIVIDED, *TWICE, r"denominator", r"rows"),
    ),
    ("sign", {D2: "-2 * w * d / self.denominator"}, SIGN),
    (
        "sign alone of d",
        {D2: "2 * w * np.sign(d) / self.denominator"},
        (r"sign", r"absolute", r"size", r"derivative"),
    ),
    ("not returned", {"return " + D2: D2}, (r"return", r"None")),
    ("shape of rows", {D2: "(2 * w * d / self.denominator).sum(axis=1)"}, SHAPE),
    (
        "one number",
        {D2: "float((2 * w * d / self.denominator).sum())"},
        (r"shape", r"float", r"array"),
    ),
    ("float32", {D2: "(2 * w * d / self.denominator).astype(np.float32)"}, DTYPE),
    (
        "target modified",
        {"d = prediction - target": "target -= prediction\n        d = -target"},
        (r"target", r"modif", r"in place"),
    ),
    (
        "prediction modified",
        {"d = prediction - target": "prediction -= target\n        d = prediction.copy()"},
        (r"prediction", r"modif", r"in place"),
    ),
    ("sample weight left out of backward", {D2: "2 * d / d.size"}, (r"weight",)),
    (
        "weights not in the divisor",
        {D2: "2 * w * d / d.size"},
        (r"weight", r"divi[ds]", r"denominator"),
    ),
    (
        "gradient clipped",
        {D2: "np.clip(2 * w * d / self.denominator, -0.1, 0.1)"},
        (r"clip", r"bound", r"0\.1", r"large"),
    ),
    (
        "first row only",
        {"return " + D2: "g = " + D2 + "\n        g[1:] = 0\n        return g"},
        (r"only", r"first", r"row", r"index 0", r"\b(0|zero)\b"),
    ),
    (
        "accumulates over calls",
        {"return " + D2: "self._g = getattr(self, '_g', 0) + " + D2 + "\n        return self._g"},
        (r"call", r"accumul", r"state", r"earlier", r"second", r"before"),
    ),
)
loss_mistakes(
    right.AbsoluteError,
    ("d for sign", {"np.sign(d)": "d"}, (r"sign", r"squar", r"derivative", r"\bd\b", r"abs")),
    ("sign turned", {"np.sign(d)": "-np.sign(d)"}, SIGN),
    ("absolute value", {"np.sign(d)": "np.abs(d)"}, (r"sign", r"derivative", r"abs", r"value")),
)
loss_mistakes(
    right.Huber,
    (
        "never clipped",
        {"np.where(np.abs(d) <= 1, d, np.sign(d))": "d"},
        (r"beyond", r"clip", r"large", r"δ|delta", r"outside", r"bound", r"where"),
    ),
    (
        "sign everywhere",
        {"np.where(np.abs(d) <= 1, d, np.sign(d))": "np.sign(d)"},
        (r"sign", r"small", r"inside", r"where", r"δ|delta", r"derivative"),
    ),
    (
        "2d inside",
        {"<= 1, d, np.sign(d))": "<= 1, 2 * d, np.sign(d))"},
        (*TWICE, r"inside", r"where", r"derivative"),
    ),
    ("1 beyond", {"d, np.sign(d))": "d, 1.0)"}, (*SIGN, r"beyond", r"where", r"negative")),
    (
        "zero beyond",
        {"d, np.sign(d))": "d, 0.0)"},
        (r"beyond", r"\b(0|zero)\b", r"clip", r"large", r"outliers"),
    ),
)
loss_mistakes(
    right.BinaryCrossEntropy,
    (
        "logits' formula",
        {"-target / p + (1 - target) / (1 - p)": "p - target"},
        (r"logit", r"score", r"sigmoid", r"p ?\(1", r"probabilit"),
    ),
    (
        "second term missing",
        {" + (1 - target) / (1 - p)": ""},
        (r"term", *MISSING, r"target.* 0", r"negativ", r"1 [−-]"),
    ),
    ("sign of the second term", {"+ (1 - target)": "- (1 - target)"}, (*SIGN, r"term", r"target")),
    (
        "clipped flat",
        {"return -target / p": "p = np.clip(p, 0.4, 0.6)\n        return -target / p"},
        (r"clip", r"flat", r"bound", r"derivative", r"\bp\b", r"where"),
    ),
    (
        "mean taken twice",
        {"-target / p + (1 - target) / (1 - p)": "(-target / p + (1 - target) / (1 - p)) / p.size"},
        (*DIVIDED, r"1/12", r"twice"),
    ),
)
loss_mistakes(
    right.LogitCrossEntropy,
    (
        "no sigmoid",
        {"sigmoid(z) - target": "z - target"},
        (r"sigmoid", r"σ", r"probabilit", r"logit"),
    ),
    ("sign", {"sigmoid(z) - target": "target - sigmoid(z)"}, SIGN),
    (
        "with σ′ besides",
        {"sigmoid(z) - target": "(sigmoid(z) - target) * sigmoid(z) * (1 - sigmoid(z))"},
        (r"derivative", r"σ|sigmoid", r"squar", r"factor"),
    ),
    (
        "probabilities' formula",
        {"sigmoid(z) - target": "(sigmoid(z) - target) / (sigmoid(z) * (1 - sigmoid(z)))"},
        (r"probabilit", r"σ|sigmoid", r"logit", r"p ?\(1", r"chain"),
    ),
)
loss_mistakes(
    right.CrossEntropy,
    (
        "p alone",
        {"        d_z[np.arange(len(p)), target] -= 1\n": ""},
        (r"target", r"one.?hot", r"[−-] ?1", r"subtract", *MISSING),
    ),
    (
        "only the true class",
        {"return d_z * w[:, None]": "d_z *= d_z < 0\n        return d_z * w[:, None]"},
        (r"only", r"class", r"target", r"other", r"diagonal", r"\b(0|zero)\b"),
    ),
    (
        "1/N forgotten",
        {" * w[:, None] / self.denominator": " * w[:, None]"},
        (*DIVIDED, r"denominator", r"\b6(\.0*)? "),
    ),
    (
        "divided by the classes too",
        {"w[:, None] / self.denominator": "w[:, None] / self.denominator / p.shape[1]"},
        (*DIVIDED, r"class", r"1/4|0\.25"),
    ),
    (
        "log left out",
        {
            "d_z[np.arange(len(p)), target] -= 1": "d_z[np.arange(len(p)), target] -= 1 / p[np.arange(len(p)), target]"
        },
        (r"softmax", r"1/p", r"prob", r"log", r"target"),
    ),
    (
        "saved p overwritten by the call",
        {"d_z = p.copy()": "d_z = p.copy()\n        target = target[::-1]"},
        (*FLIPPED, r"order", r"target", r"row", r"other"),
    ),
)
loss_mistakes(
    right.PoissonLoss,
    (
        "exp forgotten",
        {"return np.exp(log_rate) - target\n": "return log_rate - target\n"},
        (r"\bexp", r"rate", r"log", r"derivative"),
    ),
    (
        "formula of the rate",
        {"return np.exp(log_rate) - target\n": "return 1 - target / np.exp(log_rate)\n"},
        (r"rate", r"log", r"\bexp", r"chain", r"derivative"),
    ),
)
loss_mistakes(
    right.QuantileLoss,
    (
        "sides swapped",
        {"np.where(d > 0, -0.8, 0.2)": "np.where(d < 0, -0.8, 0.2)"},
        (*SWAPPED, r"side", r"sign", r"where", r"other"),
    ),
    ("sign", {"np.where(d > 0, -0.8, 0.2)": "np.where(d > 0, 0.8, -0.2)"}, SIGN),
)
loss_mistakes(
    right.FocalLoss,
    (
        "cross entropy's derivative",
        {"2 * (1 - q) * np.log(q) - (1 - q) ** 2 / q": "-((1 - q) ** 2) / q"},
        (r"term", *MISSING, r"product rule", r"weight", r"constant", r"focal", r"factor"),
    ),
    (
        "sign of the negatives",
        {"np.where(target > 0.5, d_q, -d_q)": "d_q"},
        (*SIGN, r"target", r"negativ", r"1 [−-] p"),
    ),
)
loss_mistakes(
    right.DiceLoss,
    (
        "divisor constant",
        {" + 2 * overlap / total**2 * np.ones_like(p)": ""},
        (r"term", *MISSING, r"quotient", r"divisor|denominator", r"constant", r"total"),
    ),
    ("sign of the second term", {"+ 2 * overlap": "- 2 * overlap"}, (*SIGN, r"term", r"quotient")),
    ("2 forgotten", {"-2 * target / total + 2 * overlap": "-target / total + overlap"}, HALF),
)
