"""The printed equations are what the code computes: each string is read, evaluated and compared."""

import copy
import re
from types import SimpleNamespace

import numpy as np
import pytest
from cases import FIRST, LAYERS, LOSSES, SAMPLE, layer_input, layer_of
from cases.kinds import all_of
from cases.sequences import Ending
from equation_parser import Sheet
from reference.optimizer_rows import OPTIONS

import nnlite as nn
from nnlite.inspection.equations import symbol
from nnlite.layers.convolution.base import Convolution
from nnlite.layers.normalization.channels import BatchNorm, ChannelNorm
from nnlite.layers.normalization.features import FeatureNorm
from nnlite.layers.pooling.borders import Border
from nnlite.layers.pooling.resize import AxisMaps
from nnlite.layers.pooling.whole import GlobalPool
from nnlite.layers.pooling.windows import Pool
from nnlite.layers.sequences.positional import _Positions
from nnlite.layers.sequences.recurrent import Recurrent
from nnlite.optimizers.base import Optimizer

WORDS = {  # by the row's name, what is not evaluated and why
    "padded": "a wrapper of the tests, whose equations name the layer inside",
    "stacked": "the layers above have pages of their own",
    "GRU dropout": "as stacked",
    "LSTM dropout": "as stacked",
    "RNN dropout": "as stacked",
    "RNN relu dropout": "as stacked",
    "GRU before dropout": "as stacked",
    "MultiHeadAttention": "heads cut the features into pieces; one head is evaluated",
    "AdaptiveMaxPool1d": "maxima over windows of several sizes; loops compute them",
    "AdaptiveMaxPool2d": "as AdaptiveMaxPool1d",
    "WeightNorm": "of the layer inside, dL/dw has a page of its own",
    "SpectralNorm": "as WeightNorm",
    "RotaryAttention": "as MultiHeadAttention",
    "ALiBiAttention": "as MultiHeadAttention",
    "SlidingWindowAttention": "as MultiHeadAttention",
    "GroupedQueryAttention": "as MultiHeadAttention",
    "TransformerDecoderLayer": "tuples go in and out of the layers inside",
    "TransformerDecoder": "as TransformerDecoderLayer",
    "Parallel": "tuples go in and out of the layers inside",
    "Join": "as Parallel",
    "Sequential nested": "masks inside are drawn once more by the copies",
}
EVALUATED = ("MultiHeadAttention 1 head", "MultiHeadAttention one head", "Bidirectional")


def is_evaluated(name, case):
    if not case.by_difference or isinstance(case.make(), Ending):
        return False  # only larger, or only a wrapper
    return name.startswith(EVALUATED) or not any(
        re.search(rf"(^|\s){word}(\s|$)", name) for word in WORDS
    )


def rows(modes=(True, False), quick=SAMPLE):
    return pytest.mark.parametrize(
        ("case", "training"),
        [
            pytest.param(
                *(case, training),
                id=f"{name}, {'train' if training else 'eval'}",
                marks=() if name in quick else pytest.mark.slow,
            )
            for name, case in LAYERS.items()
            for training in modes
            if is_evaluated(name, case)
        ],
    )


def assert_close(found, actual, line):
    assert np.shape(found) == np.shape(actual), line
    scale = max(1.0, float(np.abs(actual).max(initial=0)))
    np.testing.assert_allclose(found, actual, rtol=1e-9, atol=1e-10 * scale, err_msg=line)


# -- layers --------------------------------------------------------------------------------------


def run(layer, x):
    """What one forward and backward gave: y, G, dL/dx and each own parameter's gradient."""
    with nn.loss_terms() as terms:
        y = layer(x)
    terms.grad = TERM
    g = np.random.default_rng(1).standard_normal(y.shape)
    d_x = layer.backward(g)
    grads = {name: p.grad.copy() for name, p in own(layer).items()}
    return SimpleNamespace(x=x, y=y, g=g, d_x=d_x, grads=grads)


def own(layer):
    return {name: p for name, p in vars(layer).items() if isinstance(p, nn.Parameter)}


TERM = 0.7  # dL/dP of a term that a layer adds to the loss
ATTRIBUTES = {
    "negative_slope": "a", "alpha": "α", "beta": "β", "min_val": "low", "max_val": "high",
    "eps": "ε", "scale": "λ", "lambd": "λ", "threshold": "θ", "value": "v",
    "l1": "λ₁", "l2": "λ₂",
}  # fmt: skip


def values_of(layer, ran):
    values = {"x": ran.x, "y": ran.y, "p": ran.y, "G": ran.g, "π": np.pi}
    for name, letter in ATTRIBUTES.items():
        if isinstance(value := getattr(layer, name, None), float | int):
            values[letter] = value
    for name, p in own(layer).items():
        values[symbol(layer, name)] = p.data
    return values


def drawn(case, training):
    """The row's layer, with no parameter or running statistic at a value that would not show."""
    layer, rng = layer_of(case).train(training), np.random.default_rng(3)
    for part in [*layer.parameters(), *layer.buffers()]:
        if part.dtype.kind == "f":
            part.data = np.abs(part.data + rng.uniform(0.1, 0.3, part.shape))
    return layer


def differing(case, training, change=lambda line, same: same):
    """The lines that, once changed, do not give what the code computed; and all lines read."""
    layer, x = drawn(case, training), layer_input(case)
    twin = copy.deepcopy(layer)
    ran = run(layer, x)
    sheet, expected = page(twin, ran)
    lines = {key: change(line, line) for key, line in twin.equations.items()}
    assert set(expected) <= set(lines)
    for line in lines.values():
        sheet.define(line)
    wrong = []
    for key, actual in expected.items():
        left = re.match(r"dL/d(\w+?)(?:\[| =)", lines[key])
        shape = np.shape(sheet.values[left[1]]) if key in ran.grads and left else np.shape(actual)
        try:
            found = np.asarray(sheet.evaluate(lines[key], shape))
            assert_close(found.reshape(np.shape(actual)), actual, lines[key])
        except (ArithmeticError, AssertionError, ValueError, KeyError, SyntaxError, IndexError):
            wrong.append(lines[key])
    return wrong, [lines[key] for key in expected]


@rows()
def test_equations_of_layers(case, training):
    wrong, lines = differing(case, training)
    assert not wrong
    assert lines


CHANGES = [
    (" + ", " − "), (" − ", " + "), ("²", "³"), ("ᵀ G", "ᵀ (2 G)"), (" = G", " = 2 G"),
    ("[x > 0]", "[x < 0]"), (" ⊙ ", " ⊙ 2 ⊙ "), (" γ", " (2 γ)"), ("+k", "+k+1"),
]  # fmt: skip
# Not values: a cut of G, and what names a convolution; too small to be seen: RMSNorm's own ε; and
# the largest value may be the same in a window that lies elsewhere.
UNSEEN = re.compile(r",  .* = G|mean x² \+ ε|max_|= y")


@rows(modes=(True,), quick=FIRST)
def test_a_changed_line_is_seen(case, training):
    _, lines = differing(case, training)
    for at in lines:
        for old, new in CHANGES:
            named = old == " = G" and re.search("[⋆∗]", at)
            if at.count(old) != 1 or UNSEEN.search(at) or named:
                continue
            changed = at.replace(old, new)
            wrong, _ = differing(case, training, {at: changed}.get)
            assert wrong, changed


def page(layer, ran):
    """(the sheet with everything that the layer's symbols stand for, what its lines must give)."""
    expected = {"forward": ran.y, "input": ran.d_x, **ran.grads}
    kinds = [
        (nn.Sequential, of_layers_inside), (nn.MultiHeadAttention, of_attention),
        (nn.Bidirectional, of_layers_inside), (Recurrent, of_recurrence),
        (nn.Embedding, of_tokens), (Convolution, of_places), (Pool, of_places),
        (Border, of_places), (ChannelNorm, of_channels), (AxisMaps, of_images),
        (GlobalPool, of_positions), (_Positions, of_steps), ((nn.Concat, nn.Add), of_layers_inside),
        (nn.LocalResponseNorm, of_response),
    ]  # fmt: skip
    for kind, view in kinds:
        if isinstance(layer, kind):
            return view(layer, ran, expected)
    values = values_of(layer, ran)
    axes = {"n": 0, "j": getattr(layer, "axis", -1), "mean": -1}
    if isinstance(layer, nn.Linear | nn.Affine | FeatureNorm):  # further axes are samples too
        features = getattr(layer, "_shape", ran.x.shape[-1:])
        for name in ("x", "G", "y"):
            shape = features if isinstance(layer, FeatureNorm) else values[name].shape[-1:]
            values[name] = values[name].reshape(-1, *shape)
        axes["mean"] = tuple(range(-len(features), 0))
    if isinstance(layer, nn.RMSNorm) and layer.eps is None:
        values["ε"] = np.finfo(np.float64).eps
    if isinstance(layer, nn.Dropout):
        values["m"] = layer(np.ones(ran.x.shape))
    if isinstance(layer, nn.RReLU):
        values["a"] = -layer(-np.ones(ran.x.shape))
    if isinstance(layer, nn.GaussianNoise):
        values["n"] = layer(np.zeros(ran.x.shape))
    if layer.term:
        values |= {"c": TERM, "N": len(ran.x)}
    if isinstance(layer, nn.GaussianSample):
        values["ε"] = layer(np.zeros(ran.x.shape))
    if isinstance(layer, nn.Lambda):
        values |= {"function": layer.function, "gradient": layer.gradient}
    if isinstance(layer, nn.LastStep | nn.MeanOverTime):
        steps = ran.x.shape[1]
        values |= {"x_T": ran.x[:, -1], "T": steps, "L": steps, "G": ran.g[:, None]}
        values["t"] = np.arange(1, steps + 1).reshape(-1, *[1] * (ran.x.ndim - 2))
        axes["t"] = 1
    return Sheet(values, axes, getattr(layer, "axis", -1)), expected


def of_tokens(layer, ran, expected):
    """The rows' tokens and the table's rows each on an axis of their own."""
    tokens = np.floor(4 * np.abs(ran.x)).astype(int) % layer.num_embeddings
    values = values_of(layer, ran) | {"x": tokens, "W": layer.weight.data}
    sheet = Sheet(values, {"n": 0})
    del expected["input"]  # tokens have none
    np.testing.assert_array_equal(sheet.evaluate(layer.equations["forward"]), ran.y)
    del expected["forward"]
    sheet.values |= {
        "x": tokens.reshape(-1, 1, 1), "v": np.arange(layer.num_embeddings)[:, None],
        "G": ran.g.reshape(tokens.size, 1, -1),
    }  # fmt: skip
    return sheet, expected


def of_channels(layer, ran, expected):
    """(N, positions, groups, channels of a group), with means over what shares its statistics."""
    groups = getattr(layer, "num_groups", layer._channels)
    each = layer._channels // groups
    values = values_of(layer, ran)
    for name in ("x", "y", "G"):
        values[name] = values[name].reshape(len(ran.x), -1, groups, each)
    for name in ("γ", "β", "running_mean", "running_var"):
        running = getattr(layer, name, None) if name[0] == "r" else None
        found = values.get(name) if running is None else running.data
        if found is not None:
            values[name] = found.reshape(groups, each)
    return Sheet(values, {"mean": (0, 1) if isinstance(layer, BatchNorm) else (1, 3)}), expected


def of_images(layer, ran, expected):
    """Images as matrices: channels are samples."""
    if isinstance(layer, nn.Upsample1d | nn.Upsample2d) and layer._repeats:
        return of_places(layer, ran, expected)
    if layer.spatial == 1:
        return Sheet({"X": ran.x, "G": ran.g, "A": layer.axis_map(0, ran.x.shape[1])}), expected
    values = {name: a.transpose(0, 3, 1, 2) for name, a in (("X", ran.x), ("G", ran.g))}
    values |= {
        f"A_{letter}": layer.axis_map(i, ran.x.shape[1 + i]) for i, letter in enumerate("HW")
    }
    return Sheet(values), {key: a.transpose(0, 3, 1, 2) for key, a in expected.items()}


def of_positions(layer, ran, expected):
    x = ran.x.reshape(len(ran.x), -1, ran.x.shape[-1])
    values = {"x": x, "y": ran.y[:, None], "G": ran.g[:, None], "P": x.shape[1]}
    expected["input"] = expected["input"].reshape(x.shape)
    return Sheet(values, {"p": 1}), expected


def of_steps(layer, ran, expected):
    steps, size = ran.x.shape[1:]
    values = {"x_t": ran.x, "G": ran.g, "G_nt": ran.g}
    if isinstance(layer, nn.PositionalEncoding):
        t, feature = np.arange(steps)[:, None], np.arange(size)
        angle = t / 10_000 ** (2 * (feature // 2) / size)
        values["P_t"] = np.where(feature % 2, np.cos(angle), np.sin(angle))
    else:
        values["W_t"] = layer.weight.data[:steps]
        assert not expected["weight"][steps:].any()
        expected["weight"] = expected["weight"][:steps]
    return Sheet(values, {"n": 0}), expected


class Places(Sheet):
    """Index notation: each letter of a line runs along an axis of its own."""

    def __init__(self, values, sizes):
        super().__init__(values)
        self.sizes = sizes

    def evaluate(self, line, shape=None):
        indexed = line.partition(",  ")[2] if re.search("[⋆∗]|= Σ G,", line) else line
        left = re.match(r"[^\[]*\[([a-z,]+)\] = ", indexed)[1].replace(",", "")
        used = re.findall(r"(?:Σ|max)_([a-z]+)", indexed)
        letters = left + "".join(sorted(set("".join(used)) - set(left)))
        sizes = [*shape, *(self.sizes[letter] for letter in letters[len(left) :])]
        for place, (letter, size) in enumerate(zip(letters, sizes, strict=True)):
            self.axes[letter] = place - len(letters)
            self.values[letter] = np.arange(size).reshape(-1, *[1] * (len(letters) - place - 1))
        self.computed.clear()
        for name in ("y", "dL/dW", "dL/db", "dL/dx"):
            self.definitions = {k: v for k, v in self.definitions.items() if not k.startswith(name)}
        return super().evaluate(line, shape)


class Response(Places):
    """With a d that has letters of its own, and is what its line says."""

    def evaluate(self, line, shape=None):
        if "d" not in self.values:
            self.values["d"] = super().evaluate(self.definitions["d[n,c]"], shape)
        return super().evaluate(line, shape)


def of_response(layer, ran, expected):
    """Places are samples."""
    rows = {name: a.reshape(-1, a.shape[-1]) for name, a in (("x", ran.x), ("y", ran.y))}
    shape = rows["x"].shape
    values = values_of(layer, ran) | rows | {"k": layer.k, "G": ran.g.reshape(shape)}
    sheet = Response(values, {"n": shape[0], "c": shape[1], "j": shape[1]})
    return sheet, {key: a.reshape(shape) for key, a in expected.items()}


def of_places(layer, ran, expected):
    values = values_of(layer, ran)
    two = ran.x.ndim == 4
    x_letters, y_letters = ("nhwc", "nijo") if two else ("nhc", "nio")
    if isinstance(layer, nn.ConvTranspose1d | nn.ConvTranspose2d):
        x_letters, y_letters = ("nijc", "nhwo") if two else ("nic", "nho")
    if isinstance(layer, Pool | Border):
        values |= {"H": ran.x.shape[1], "W": ran.x.shape[2]}
    sizes = {}
    pairs = [(x_letters, ran.x.shape), (y_letters, ran.y.shape)]
    if isinstance(layer, Convolution):
        pairs.append(("klco" if two else "kco", layer.weight.shape))
    elif isinstance(layer, Pool):
        pairs.append(("kl" if two else "k", [kernel for kernel, *_ in layer._geometry]))
    for letters, shape in pairs:
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 0))
    return Places(values, sizes), expected


class Map:
    """A Jacobian on paper, G J: backward of the layer that ran last; 1 + J for a shortcut."""

    def __init__(self, apply):
        self.apply = apply

    def __call__(self, g):
        return self.apply(g)

    def __radd__(self, one):
        assert one == 1
        return Map(lambda g: g + self.apply(g))


def of_layers_inside(layer, ran, expected):
    """f and J are the layers' own forward and backward; what they do inside has its own page."""
    values = {"x": ran.x, "G": ran.g}

    def put(name, *parts):
        def forward(x):
            for part in parts:
                x = part(x)
            return x

        def backward(g):
            for part in reversed(parts):
                g = part.backward(g)
            return g

        j = f"J_{name}" if name[-1] not in "₁₂₃₄" or name.startswith("norm") else f"J{name[1:]}"
        values.update({name: forward, j: Map(backward)})

    if isinstance(layer, nn.TransformerLayer):
        parts = layer.layers
        if layer.norm_first:
            (norm1, *a), (norm2, *f) = parts[0].branch.layers, parts[1].branch.layers
        else:
            a, norm1, f, norm2 = parts[0].branch.layers, parts[1], parts[2].branch.layers, parts[3]
        for name, inside in (("norm₁", [norm1]), ("norm₂", [norm2]), ("a", a), ("f", f)):
            put(name, *inside)
        if layer.norm_first:
            for name, norm in (("a", "norm₁"), ("f", "norm₂")):
                of_both = values[f"J_{name}"], values[f"J_{norm}"]
                values[f"J_{name}"] = Map(lambda g, both=of_both: both[1](both[0](g)))
    elif isinstance(layer, nn.Bidirectional):
        put("f", layer.layer)
        put("f′", layer.backwards)
        values["R"] = lambda a: a[:, ::-1]
    elif isinstance(layer, nn.Residual):
        put("f", layer.branch)
        if layer.shortcut is not None:
            put("s", layer.shortcut)
    else:
        children = layer.layers if isinstance(layer, nn.Sequential) else layer.branches
        for name, child in zip(("f₁", "f₂", "f₃", "f₄"), children, strict=False):
            put(name, child)
    sheet = Sheet(values)
    if isinstance(layer, nn.Concat | nn.Bidirectional):  # cut where the outputs were joined
        names = re.search(r"\[([^\]]*)\] = G", layer.equations["input"])
        if names:
            parts = (
                layer.branches if isinstance(layer, nn.Concat) else [layer.layer, layer.backwards]
            )
            read = copy.deepcopy(parts)
            ends = np.cumsum([part(ran.x).shape[-1] for part in read])[:-1]
            cut = np.split(ran.g, ends, axis=-1)
            sheet.values.update(zip(names[1].split(", "), cut, strict=True))
    return sheet, expected


def of_attention(layer, ran, expected):
    values = {
        "x": ran.x, "G": ran.g, "Wᵢ": layer.qkv.weight.data, "Wₒ": layer.out.weight.data,
        "d": layer.d_model,
    }  # fmt: skip
    if layer.bias is not None:
        values |= {"bᵢ": layer.qkv.bias.data, "bₒ": layer.out.bias.data}
    return Sheet(values, {"s": -1}), expected


class Recurrence(Sheet):
    """One step at a time: names with _{t−1} and _{t+1} are what the steps around found."""

    def __init__(self, values, layer, ran):
        super().__init__(values, {"n": 0, "t": ()})
        self.layer, self.ran = layer, ran
        self.steps = ran.x.shape[1]
        self.past = []  # what each step computed, by name

    def step(self, t, more):
        self.computed = dict(more)
        self.values |= {"x_t": self.ran.x[:, t], "t": t + 1}
        last = self.ran.y.ndim == 2
        self.values["G_t"] = None if last else self.ran.g[:, t]

    def evaluate(self, line, shape=None):
        zero = np.zeros((len(self.ran.x), self.layer.hidden_size))
        if not self.past:
            before = {"h_{t−1}": zero[:, : self.layer.state_sizes[0]], "c_{t−1}": zero}
            for t in range(self.steps):
                self.step(t, before)
                kept = {name: self.lookup(name) for name in self.forward_names}
                self.past.append({**before, **kept})
                before = {"h_{t−1}": kept["h_t"], "c_{t−1}": kept.get("c_t", zero)}
            self.later = self.backward_through(zero)
        statement = self.define(line)
        if statement.startswith("y"):
            y = [step["h_t"] for step in self.past]
            return y[-1] if len(shape) == 2 else np.stack(y, axis=1)
        found = []
        for t in range(self.steps):
            self.step(t, {**self.past[t], **self.later[t]})
            found.append(super().evaluate(statement))
        return np.stack(found, axis=1) if "dx_t" in statement else sum(found).reshape(shape)

    @property
    def forward_names(self):
        return [n for n in self.definitions if re.fullmatch("[hc]_t|[ifgorzn]", n)]

    def backward_through(self, zero):
        later, found = {}, [None] * self.steps
        hidden = self.layer.hidden_size
        zeros = {
            "A_{t+1}": np.zeros((len(zero), hidden * len(self.layer.gate_scales))),
            "δᶜ_{t+1}": zero, "f_{t+1}": zero, "B_{t+1}": zero,
        }  # fmt: skip
        for t in reversed(range(self.steps)):
            self.step(t, {**self.past[t], **(later or zeros)})
            names = [n for n in self.definitions if re.fullmatch(r"[AB]_t|δᶜ_t|f", n)]
            later = {f"{n.removesuffix('_t')}_{{t+1}}": self.lookup(n) for n in names}
            found[t] = {k: v for k, v in self.computed.items() if k not in self.past[t]}
        return found


def of_recurrence(layer, ran, expected):
    values = values_of(layer, ran) | {"T": ran.x.shape[1]}
    values |= {"W_ih": layer.weight_ih.data, "W_hh": layer.weight_hh.data}
    if layer.bias is not None:
        values["b"] = layer.bias.data
    del values["y"], values["p"]
    return Recurrence(values, layer, ran), expected


def test_the_words_left_unread_are_few():
    unread = {name for name, case in LAYERS.items() if case.by_difference}
    unread -= {name for name, case in LAYERS.items() if is_evaluated(name, case)}
    assert all(any(word in name for word in (*WORDS, "padded")) for name in unread)
    assert len(unread) < 0.3 * len(LAYERS)


# -- losses --------------------------------------------------------------------------------------

loss_rows = pytest.mark.parametrize("case", LOSSES.values(), ids=LOSSES.keys())
IN_WORDS = ("CTCLoss", "MultiLabelMarginLoss")  # sums over walks, and over labels: not evaluated
EVALUATED_LOSSES = {n: case for n, case in LOSSES.items() if not n.startswith(IN_WORDS)}
BY_ROW = (
    nn.CrossEntropyLoss, nn.NLLLoss, nn.FocalLoss, nn.KLDivLoss, nn.MultiMarginLoss,
    nn.MultiLabelSoftMarginLoss, nn.CosineEmbeddingLoss, nn.TripletMarginLoss,
)  # fmt: skip
INPUTS = {
    nn.GaussianNLLLoss: ("μ", "σ²"), nn.MarginRankingLoss: ("a", "b"),
    nn.CosineEmbeddingLoss: ("a", "b"), nn.TripletMarginLoss: ("a", "p", "n"),
}  # fmt: skip


@pytest.mark.parametrize("case", EVALUATED_LOSSES.values(), ids=EVALUATED_LOSSES.keys())
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_equations_of_losses(case, weighted, apart):
    rng = np.random.default_rng(0)
    loss, prediction, target = case.make(), case.prediction(rng), case.target(rng)
    if apart:
        loss.reduction = "none"
    rows, first = isinstance(loss, BY_ROW), all_of(prediction)[0]
    weight = rng.uniform(0, 2, first.shape[:-1] if rows else len(first))
    value = loss(prediction, target, weight if weighted else None)
    upstream = rng.standard_normal(np.shape(value))
    grad = loss.backward(upstream) if apart else loss.backward()
    lines = loss.equations
    assert ("w ℓ" in lines["loss"]) == weighted
    sheet = loss_page(loss, prediction, target, weight, rows)
    for line in lines.values():
        sheet.define(line)
    element = np.asarray(sheet.evaluate(lines["forward"]))
    upstream = upstream.reshape(upstream.shape + (1,) * (element.ndim - upstream.ndim))
    sheet.values |= {"ℓ": element, "G": upstream}
    if "D" not in sheet.definitions:
        of_rows = lines["loss"].endswith("the number of rows")
        sheet.values["D"] = element.size // (element.shape[-1] if of_rows else 1)
    found = np.asarray(sheet.evaluate(lines["loss"]))
    assert_close(found.reshape(np.shape(value)), value, lines["loss"])
    of_inputs = list(lines.values())[2:]
    for line, actual in zip(of_inputs, all_of(grad), strict=True):
        assert_close(sheet.evaluate(line, actual.shape), actual, line)


def loss_page(loss, prediction, target, weight, rows):
    values = {"t": target, "π": np.pi}
    if isinstance(prediction, tuple):
        values |= dict(zip(INPUTS[type(loss)], prediction, strict=True))
        prediction = prediction[0]
    else:
        letter = re.match(r"dL/d\(?(?:log )?(\w)", loss.equations["prediction"])[1]
        log_p = isinstance(loss, nn.NLLLoss | nn.KLDivLoss)
        values[letter] = np.exp(prediction) if log_p else prediction
    classes = prediction.shape[-1]
    if target.ndim < prediction.ndim:
        values["t"] = target[..., None]
    if rows:
        values |= {"j": np.arange(classes), "C": classes, "w": weight[..., None]}
    else:
        wide = weight.reshape(-1, *[1] * (prediction.ndim - 1))
        values["w"] = np.broadcast_to(wide, prediction.shape)
    if isinstance(loss, nn.DiceLoss | nn.JaccardLoss):
        values |= {"w": wide, "C": classes, "s": loss.smooth}
    names = {"delta": "δ", "eps": "ε", "label_smoothing": "ε", "gamma": "γ", "pos_weight": "c",
             "weight": "c", "margin": "m", "q": "q"}  # fmt: skip
    if isinstance(loss, nn.TripletMarginLoss):
        values["q"] = loss.p
    for name, symbol_of in names.items():
        if (value := getattr(loss, name, None)) is not None:
            values[symbol_of] = np.asarray(value)
    return Sheet(values, {"j": -1, "p": tuple(range(1, prediction.ndim - 1))})


@loss_rows
def test_losses_have_equations_before_the_first_call(case):
    inputs = all_of(case.prediction(np.random.default_rng(0)))
    lines = list(case.make().equations)
    assert lines[:2] == ["forward", "loss"]
    assert len(lines) == 2 + len(inputs)
    assert len(inputs) > 1 or lines[2] == "prediction"


# -- optimizers ----------------------------------------------------------------------------------

SHARED = [
    {"clip_norm": 0.5}, {"clip_value": 0.3}, {"clip_norm": 0.5, "clip_value": 0.1},
    {"weight_decay": 0.1, "clip_norm": 0.5}, {"weight_decay": 0.1},
    {"maximize": True, "clip_norm": 0.5}, {"maximize": True, "clip_norm": 0.5, "clip_value": 0.1},
]  # fmt: skip
RULES = [(n, r) for n, rows_ in OPTIONS.items() for r in [*rows_, *SHARED]]
OPTION_NAMES = {
    "lr": "lr",
    "weight_decay": "λ",
    "momentum": "μ",
    "dampening": "τ",
    "eps": "ε",
    "alpha": "α",
    "rho": "ρ",
    "lr_decay": "lr_decay",
    "momentum_decay": "ψ",
    "lambd": "λ₀",
    "t0": "t₀",
    "beta2_decay": "beta2_decay",
    "d": "d",
}
PAIRS = {
    "betas": ("β₁", "β₂"), "etas": ("η₋", "η₊"), "step_sizes": ("s_min", "s_max"),
    "ns_coefficients": ("c₁", "c₃", "c₅"), "eps": ("ε₁", "ε₂"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "options"), RULES, ids=str)
def test_equations_of_optimizers(name, options):
    rng = np.random.default_rng(0)
    p = nn.Parameter(rng.standard_normal((3, 4)), dtype=np.float64)
    optimizer = getattr(nn, name)([p], **options)
    group = optimizer.groups[0]
    values = {letter: group[option] for option, letter in OPTION_NAMES.items() if option in group}
    for option, letters in PAIRS.items():
        if isinstance(group.get(option), tuple):
            values |= dict(zip(letters, group[option], strict=True))
    if values.get("ε₁", 0) is None:
        values["ε₁"] = np.finfo(np.float64).eps
    values |= {"n": 3, "m": 4, "size": 12} if optimizer.whole else {}
    values |= {"clip_norm": optimizer.clip_norm, "clip_value": optimizer.clip_value, "Π": 1.0}
    state = optimizer.first_state(p, group)
    for letter, kept in optimizer.state_names().items():
        if kept in state:
            values[letter] = state[kept].copy()
    values["w"] = p.data.copy()
    for k in range(1, 9):
        p.grad = rng.standard_normal(p.shape)
        values |= {"dL/dw": p.grad.copy(), "k": k}
        for line in optimizer.equations.values():
            times = re.search(r",  (\d+) times", line)
            for _ in range(int(times[1]) if times else 1):
                sheet = Sheet(values, {"i": 0, "j": 1})
                for other in optimizer.equations.values():
                    sheet.define(other)
                values[line.split()[0]] = sheet.evaluate(line)
        optimizer.step()
        assert_close(values["w"], p.data, "\n".join(optimizer.equations.values()))


def test_groups_with_other_formulas_have_their_own_lines():
    p, q = nn.Parameter(np.ones(2)), nn.Parameter(np.ones(3))
    optimizer = nn.AdamW([{"params": [p], "weight_decay": 0.0}, {"params": [q]}])
    lines = optimizer.equations
    assert "group 0: decay" not in lines
    assert lines["group 1: decay"] == "w ← w − lr λ w"
    same = nn.AdamW([{"params": [p], "lr": 0.1}, {"params": [q]}])
    assert list(same.equations) == ["g", "decay", "m", "v", "w"]


def test_a_rule_without_a_print_has_no_equations():
    class Plain(Optimizer):
        def update(self, w, g, lr):
            w -= lr * g

    assert Plain([nn.Parameter(np.ones(2))], lr=0.1).equations == {}
