"""Every rule that a trace shows, on the operands that it captured, gives what the run computed."""

import copy
import json
import math
from typing import ClassVar

import numpy as np
import pytest
from cases import LAYERS, LOSSES, layer_input, layer_of
from cases.kinds import loss_check
from reference.optimizer_rows import OPTIONS

import nnlite as nn
from nnlite.inspection.captured.activation import slope_of
from nnlite.inspection.component import Operand, Rule

WITHOUT = {  # by layer, what no formula of arrays says, and why; "" is everything
    "Lambda": {"": "functions of the user's"},
    "GaussianNoise": {"y": "the noise is not kept: backward has no use for it"},
    "Tokens": {"dL/dx": "there is none"},
    "MaxPool1d": {"y₂": "places, not values"},
    "MaxPool2d": {"y₂": "places, not values"},
    "WeightNorm": {"": "dL/dw belongs to the layer inside"},
    "SpectralNorm": {"": "as WeightNorm"},
    "MultiHeadAttention": {"dL/dbias_k": "in words", "dL/dbias_v": "in words"},
    "RotaryAttention": {
        "dL/dQ": "turned back",
        "dL/dK": "turned back",
        "dL/dbias_k": "in words",
        "dL/dbias_v": "in words",
    },
    "Projections": {"": "of three inputs, each with its part of W"},
    "TransformerDecoderLayer": {"": "tuples go in and out of the layers inside"},
    "TransformerDecoder": {"": "as TransformerDecoderLayer"},
    "Ending": {"": "a wrapper of the tests"},
    "Attending": {"": "a wrapper of the tests"},
    "Halves": {"": "a wrapper of the tests"},
    "LSTM": {"dL/dW_hr": "D_t of all steps is not kept"},
}
BY_ROW = {  # words in a row's name
    "padded": {"": "equations say nothing of padding"},
    "masked": {"P": "a mask comes from outside"},
    "bias_kv": {"P": "a mask comes from outside"},
    "stacked": {"": "what comes from the layers above is not G"},
    "dropout": {"δ_t": "as stacked", "δʰ_t": "as stacked", "y": "as stacked"},
}
TRIED = 8  # entries of each result


def excused(row, step, equation):
    """Whether an equation is known to have no rule."""
    name = equation.result.name.rstrip("₁₂₃")
    known = [WITHOUT.get(step.layer.split("(")[0], {})]
    known += [reasons for word, reasons in BY_ROW.items() if word in row.split()]
    return any(
        "" in reasons or name in reasons or equation.result.name in reasons for reasons in known
    )


def bound_twice(node, letters):
    """Whether a sum runs over a letter that has a meaning already, on paper hard to read."""
    if not isinstance(node, list):
        return False
    if node[0] in ("sum", "largest"):
        own = [letter for letter, _ in node[1]]
        return bool({*own} & letters) or bound_twice(node[2], {*letters, *own})
    return any(bound_twice(each, letters) for each in node[1:])


def check(equation, row):
    """Compare what the rule says of some entries with what the run computed."""
    assert not bound_twice(equation.rule.body, {*equation.rule.indices}), str(equation.rule)
    seen = equation.seen.astype(float)
    places = np.random.default_rng(0).permutation(seen.size)[:TRIED]
    scale = max(1e-6, float(np.abs(seen).max(initial=0)))
    for place in places:
        entry = tuple(int(i) for i in np.unravel_index(place, seen.shape))
        found = equation.rule.value(entry)
        assert found == pytest.approx(seen[entry], rel=1e-7, abs=1e-9 * max(scale, 1)), (
            row, equation.formula, entry, str(equation.rule),
        )  # fmt: skip


def trace_of(case):
    layer, x = layer_of(case), layer_input(case)
    with nn.loss_terms():
        y = copy.deepcopy(layer).forward(x)
    target = np.random.default_rng(1).standard_normal(y.shape)
    return nn.trace(layer, nn.MSELoss(reduction="sum"), x, target)


SMALL = {name: case for name, case in LAYERS.items() if case.by_difference}


@pytest.mark.slow
@pytest.mark.parametrize("row", SMALL)
def test_the_rule_of_every_equation_gives_what_the_layer_computed(row):
    trace = trace_of(SMALL[row])
    for step in [*trace.forward, *trace.steps[1:]]:
        assert step.equations, step.title
        for equation in step.equations:
            if equation.rule is None:
                assert excused(row, step, equation), (step.layer, equation.formula)
                assert equation.operands or not equation.page.arrays
            else:
                check(equation, row)


IN_WORDS = ("CTCLoss", "MultiLabelMarginLoss")  # sums over walks, and over labels


@pytest.mark.slow
@pytest.mark.parametrize("row", LOSSES)
def test_the_rule_of_every_equation_gives_what_the_loss_computed(row):
    rng = np.random.default_rng(0)
    case = LOSSES[row]
    loss, prediction, target = case.make(), case.prediction(rng), case.target(rng)
    if loss.reduction == "none":
        with pytest.raises(ValueError, match="one number"):
            nn.trace(nn.Identity(), loss, np.ones((1, 1)), target)
        return
    model, x = loss_check(prediction)
    trace = nn.trace(model, loss, x, target)
    equations = [*trace.loss_step.equations, *trace.steps[0].equations]
    assert len(equations) >= 2
    for equation in equations:
        if not row.startswith(IN_WORDS):
            assert equation.rule is not None, equation.formula
            check(equation, row)


SHARED = [
    {"clip_norm": 0.5, "clip_value": 0.1}, {"weight_decay": 0.1}, {"maximize": True},
]  # fmt: skip
RULES = [(name, options) for name, rows in OPTIONS.items() for options in [*rows, *SHARED]]


def small_model():
    nn.seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).astype(np.float64)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), RULES, ids=str)
@pytest.mark.parametrize("done", [0, 2])
def test_the_rule_of_every_update_gives_the_new_weights(name, options, done):
    rng, model = np.random.default_rng(0), small_model()
    optimizer = getattr(nn, name)(model.parameters(), **options)
    for _ in range(done):
        for p in model.parameters():
            p.grad = rng.standard_normal(p.shape)
        optimizer.step()
    x, y = rng.standard_normal((5, 3)), np.array([0, 1, 1, 0, 1])
    trace = nn.trace(model, nn.CrossEntropyLoss(), x, y, optimizer=optimizer)
    assert optimizer.steps == done
    loss = nn.CrossEntropyLoss()
    loss(model(x), y)
    optimizer.zero_grad()
    model.backward(loss.backward())
    before = [p.data.copy() for p in model.parameters()]
    optimizer.step()
    for step, old, p in zip(trace.update, before, model.parameters(), strict=True):
        np.testing.assert_array_equal(step.inputs[0].array, old)
        np.testing.assert_array_equal(step.result.array, p.data)
        for equation in step.equations:
            if equation.rule is None:  # Muon's products, several times over
                assert name == "Muon"
                assert " X" in equation.formula
            else:
                check(equation, name)
        np.testing.assert_allclose(old - step.inputs[2].array, p.data, rtol=0, atol=1e-12)


# -- the ways that lead from number to number -----------------------------------------------------

X = np.array([[0.31, 0.08], [-0.5, 1.2], [0.7, -0.9]])
Y = np.array([0, 1, 1])


def a_trace(**more):
    nn.seed(1)
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2)).astype(np.float64)
    return nn.trace(model, nn.CrossEntropyLoss(), X, Y, **more), model


def test_one_walks_from_a_weight_gradient_to_the_loss():
    data = a_trace()[0].to_dict()
    last = next(s for s in reversed(data["steps"]) if s["title"] == "compute the weight gradient")
    way, here = [], last["equations"][-1]
    while True:
        g = next((o for o in here["operands"] if o["name"] in ("G", "p")), None)
        if g is None or g["from"] is None:
            break
        at = g["from"]
        part = data[at["part"]]
        step = part if at["part"] == "loss_step" else part[at["step"]]
        here = step["equations"][at["equation"]]
        way.append(here["formula"].partition(",")[0])
        assert here["result"]["value"] == g["value"]
    assert way == [
        "dL/dx = G ⊙ f′(x)", "dL/dx = G Wᵀ", "dL/dz = (p − [j = t]) / D", "p = softmax(z)",
    ]  # fmt: skip


def test_an_example_is_the_sum_in_numbers():
    trace, _ = a_trace()
    step = next(s for s in trace if s.title == "compute the weight gradient")
    (equation,) = step.equations
    assert str(equation.rule) == "dL/dW[i,j] = Σₙ x[n,i] G[n,j]"
    row, column = equation.entry
    x, g = (operand.array for operand in equation.operands)
    terms = [f"{a:.4g}·{b:.4g}" for a, b in zip(x[:, row], g[:, column], strict=True)]
    text = equation.example.replace("−", "-").replace("(", "").replace(")", "")
    assert text.startswith(f"dL/dW[{row},{column}] = Σₙ x[n,{row}] G[n,{column}] = ")
    assert " + ".join(terms).replace("-0·", "0·") in text
    assert float(text.rpartition(" = ")[2]) == pytest.approx(
        step.result.array[row, column], rel=1e-3
    )


def equation_of(layer, x, name):
    """The equation that gives this array, in the trace of a layer alone."""
    target = np.zeros(copy.deepcopy(layer).forward(x).shape)
    trace = nn.trace(layer, nn.MSELoss(), x, target)
    steps = [*trace.forward, *trace.steps[1:]]
    return next(e for step in steps for e in step.equations if e.result.name == name)


IMAGES = np.random.default_rng(0).standard_normal((2, 4, 4, 1))


def test_every_condition_that_says_what_a_letter_is_is_solved():
    equation = equation_of(nn.Conv2d(1, 2, 3, padding=1), IMAGES, "dL/dx")
    assert str(equation.rule) == "dL/dx[n,h,w,c] = Σₖₗₒ G[n,h−k+1,w−l+1,o] W[k,l,c,o]"
    equation = equation_of(nn.MaxPool2d(2), IMAGES, "dL/dx")
    assert str(equation.rule).startswith("dL/dx[n,h,w,c] = Σₖₗ [s[n,(h−k)/2,(w−l)/2,c] = ")


def test_a_product_in_an_index_stays_one():
    rule = equation_of(nn.MaxPool2d(2), IMAGES, "y").rule
    assert str(rule) == "y[n,i,j,c] = maxₖₗ x[n,2i+k,2j+l,c]"
    assert rule.with_numbers((0, 1, 0, 0)).startswith("y[0,1,0,0] = maxₖₗ x[0,2·1+k,2·0+l,0] = ")
    rule = equation_of(nn.CircularPad1d(1), IMAGES[..., 0], "y").rule
    assert str(rule) == "y[n,i,c] = x[n,(i−1) mod H,c]"


def test_functions_are_written_alike_in_symbols_and_in_numbers():
    x = np.array([-1.5])
    entry = ["at", 0, ["i"]]
    body = ["+", ["f", "floor", entry], ["f", "abs", ["f", "ceil", entry]]]
    rule = Rule(["i"], body, [Operand("x", x, x)], "y")
    assert rule.with_numbers((0,)) == "y[0] = ⌊x[0]⌋ + |⌈x[0]⌉| = ⌊−1.5⌋ + |⌈−1.5⌉| = −1"


@pytest.mark.parametrize(
    ("layer", "slope"),
    [
        (nn.ELU(), "f′(x)[n,i] = [x[n,i] > 0] + α e^x[n,i] [x[n,i] ≤ 0]"),
        (nn.Softplus(), "f′(x)[n,i] = σ(β x[n,i])"),
        (nn.Softsign(), "f′(x)[n,i] = 1 / (1 + |x[n,i]|)^2"),
        (nn.ReLU(), "f′(x)[n,i] = [y[n,i] > 0]"),
    ],
    ids=repr,
)
def test_a_slope_keeps_its_factors_of_one(layer, slope):
    assert str(equation_of(layer, X, "f′(x)").rule) == slope


@pytest.mark.parametrize(
    ("line", "slope"),
    [
        ("dL/dx = G ⊙ (Φ(x) + x φ(x))", "Φ(x) + x φ(x)"),
        ("dL/dx = G ⊙ (t + x),  t = tanh(x)", "t + x,  t = tanh(x)"),
        ("dL/dx = G ⊙ (1 + y) ⊙ (1 − y)", "(1 + y) ⊙ (1 − y)"),
        ("dL/dx = G / (1 + |x|)²", "1 / (1 + |x|)²"),
        ("dL/dx = G", "1"),
        ("", ""),
    ],
)
def test_a_slope_is_the_line_without_g(line, slope):
    assert slope_of(line) == slope


def test_an_example_leaves_out_the_parts_of_other_entries():
    model = nn.Sequential(nn.LSTM(2, 3), nn.LastStep())
    x = np.random.default_rng(0).standard_normal((2, 2, 2))
    trace = nn.trace(model, nn.MSELoss(), x, np.zeros((2, 3)))
    step = next(s for s in trace if "through time" in s.title)
    gates = next(e for e in step.equations if e.result.name == "A_t")
    assert gates.rule.with_numbers((0, 10)).startswith(
        "A_t[0,10] = δʰ_t[0,10−9] tanh(c_t[0,10−9]) o[0,10−9] (1 − o[0,10−9]) = "
    )
    before = next(e for e in step.equations if e.result.name == "dL/dc_{t−1}")
    assert "((δᶜ_{t+1} ⊙ f_{t+1})[i,j] + " in str(before.rule)


def test_operands_lie_in_the_order_of_the_formula():
    trace, _ = a_trace()
    step = next(s for s in trace if s.title == "compute the weight gradient")
    assert step.equations[0].matrix == [
        {"operand": 0, "transposed": True}, " ", {"operand": 1, "transposed": False},
    ]  # fmt: skip
    assert [operand.name for operand in step.equations[0].operands] == ["x", "G"]


def test_samples_and_steps_in_time_are_rows():
    model = nn.Sequential(nn.Linear(3, 4))
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    trace = nn.trace(model, nn.MSELoss(), x, np.zeros((2, 5, 4), np.float32))
    (equation,) = trace.steps[1].equations
    assert [operand.array.shape for operand in equation.operands] == [(10, 3), (10, 4)]
    ref = trace.to_dict()["steps"][1]["equations"][0]["operands"][0]
    assert ref["shape"] == [10, 3]
    assert trace.to_dict()["values"][ref["value"]]["shape"] == [2, 5, 3]


def test_the_slope_of_an_activation_is_its_own():
    trace, model = a_trace()
    step = next(s for s in trace if "activation" in s.title)
    slope, product = step.equations
    assert slope.formula == "f′(x) = [y > 0]"
    np.testing.assert_array_equal(slope.result.array, trace.forward[1].result.array > 0)
    assert product.formula == "dL/dx = G ⊙ f′(x)"
    curve = step.curve
    np.testing.assert_array_equal(curve.f, np.maximum(curve.x, 0))
    np.testing.assert_array_equal(curve.slope, curve.x > 0)
    assert model[1].equations["input"] == "dL/dx = G ⊙ [y > 0]"


@pytest.mark.parametrize(
    "layer",
    [nn.Softmax(), nn.Dropout(0.5), nn.LayerNorm(4, affine=False), nn.BatchNorm1d(4, affine=False),
     nn.Flatten(), nn.GaussianNoise(0.1), nn.LocalResponseNorm(3)],
    ids=repr,
)  # fmt: skip
def test_what_mixes_or_moves_values_is_no_activation(layer):
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    trace = nn.trace(nn.Sequential(layer), nn.MSELoss(), x, np.zeros((3, 4), np.float32))
    assert [(step.number, step.title) for step in trace.steps[1:]] == [
        (5, "pass the gradient upstream")
    ]


class Gain(nn.Layer):
    """A layer of a user's, with equations that name an attribute."""

    equations: ClassVar = {
        "forward": "y = a s ⊙ x",
        "scale": "dL/ds = a Σₙ Gₙ ⊙ xₙ",
        "input": "dL/dx = a G ⊙ s",
    }

    def __init__(self):
        self.a = 3.0
        self.scale = nn.Parameter(np.array([1.0, -2.0]), dtype=np.float64)

    def forward(self, x):
        self.save_for_backward(x)
        return self.a * self.scale.data * x

    def backward(self, grad_output):
        (x,) = self.saved()
        self.scale.grad += self.a * (grad_output * x).sum(axis=0)
        return self.a * grad_output * self.scale.data


def test_a_layer_of_a_users_has_rules_by_its_equations():
    trace = nn.trace(nn.Sequential(Gain()), nn.MSELoss(), X, np.zeros((3, 2)))
    forward, scale, back = (s.equations[0] for s in (trace.forward[0], *trace.steps[1:]))
    assert str(forward.rule) == "y[n,i] = a s[i] x[n,i]"
    assert str(scale.rule) == "dL/ds[i] = a Σₙ G[n,i] x[n,i]"
    assert str(back.rule) == "dL/dx[n,i] = a G[n,i] s[i]"
    for equation in (forward, scale, back):
        check(equation, "Gain")


class Silent(Gain):
    equations: ClassVar = {}


class Wrong(Gain):
    equations: ClassVar = {**Gain.equations, "input": "dL/dx = G ⊙ s"}


def test_a_layer_without_equations_shows_x_and_g():
    trace = nn.trace(nn.Sequential(Silent()), nn.MSELoss(), X, np.zeros((3, 2)))
    scale = trace.steps[1].equations[0]
    assert scale.rule is None
    assert {"x", "G"} == {operand.name for operand in scale.operands}
    assert [operand.name for operand in trace.forward[0].equations[0].operands] == ["x"]


def test_a_formula_that_gives_other_numbers_is_no_rule():
    trace = nn.trace(nn.Sequential(Wrong()), nn.MSELoss(), X, np.zeros((3, 2)))
    assert trace.steps[-1].equations[0].rule is None
    assert trace.steps[1].equations[0].rule is not None


MARKS = "ᵀΣₙⱼ+−·⊙/^()[]|⌊⌋√{},=≤x̂GWab12 ²₁_σe"


class Scribbled(nn.Layer):
    """A linear layer whose equations someone has typed with errors."""

    def __init__(self, equations):
        self.printed = equations
        self.weight = nn.Parameter(np.ones((2, 2)), dtype=np.float64)

    @property
    def equations(self):
        return self.printed

    def forward(self, x):
        self.save_for_backward(x)
        return x @ self.weight.data

    def backward(self, grad_output):
        (x,) = self.saved()
        self.weight.add_grad(x.T @ grad_output)
        return grad_output @ self.weight.data.T


@pytest.mark.slow
def test_no_scribble_in_an_equation_breaks_the_trace():
    rng = np.random.default_rng(0)
    printed = sorted({line for case in LAYERS.values() for line in case.make().equations.values()})

    def scribble(line):
        signs = list(line)
        for _ in range(rng.integers(4)):
            at = rng.integers(len(signs))
            signs[at : at + rng.integers(2)] = rng.choice([*MARKS, ""])
        return "".join(signs)

    for _ in range(120):
        keys = ("forward", "input", "weight")
        lines = {key: scribble(printed[rng.integers(len(printed))]) for key in keys}
        trace = nn.trace(Scribbled(lines), nn.MSELoss(), X, X)
        assert json.loads(trace.to_json())["steps"]
        assert "one training step" in str(trace)


def test_ties_in_a_window_go_to_the_first():
    x = np.zeros((1, 4, 4, 1), np.float32)
    trace = nn.trace(
        nn.Sequential(nn.MaxPool2d(2)), nn.MSELoss(), x, np.ones((1, 2, 2, 1), np.float32)
    )
    (equation,) = trace.steps[1].equations
    for entry in np.ndindex(x.shape):
        assert equation.rule.value(entry) == equation.seen[entry]
    assert np.count_nonzero(equation.seen) == 4


def test_the_inner_steps_of_attention_come_in_order():
    model = nn.Sequential(nn.MultiHeadAttention(4, 2))
    x = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)
    trace = nn.trace(model, nn.MSELoss(), x, x)
    inner = next(s for s in trace if s.layer == "MultiHeadAttention")
    assert [e.result.name for e in inner.equations] == [
        "dL/dV", "dL/dP", "dL/dS", "dL/dQ", "dL/dK",
    ]  # fmt: skip
    places = [" ".join(step.place) for step in trace]
    assert [p for p, _ in zip(places, [None, *places], strict=False) if p][:6] == [
        "layer 0 out", "layer 0 out", "layer 0 out", "layer 0", "layer 0 qkv", "layer 0 qkv",
    ]  # fmt: skip
    forward = [" ".join(step.place) for step in trace.forward]
    assert forward == ["layer 0 qkv", "layer 0", "layer 0 out"]
    assert [e.result.name for e in trace.forward[1].equations] == ["Q/√d", "K", "V", "P", "O"]


def test_an_lstm_shows_each_step_in_time():
    x = np.random.default_rng(0).standard_normal((2, 3, 2)).astype(np.float32)
    trace = nn.trace(nn.Sequential(nn.LSTM(2, 2)), nn.MSELoss(), x, np.zeros((2, 3, 2), np.float32))
    inner = [(e.heading, e.result.name) for e in trace.forward[0].equations]
    assert inner[:6] == [("time step 0", name) for name in ("i", "f", "g", "o", "c_t", "h_t")]
    assert inner[-1] == ("", "y")
    back = [s for s in trace if "through time" in s.title]
    assert [e.result.name for e in back[0].equations][-2:] == ["dL/dh_{t−1}", "dL/dc_{t−1}"]
    assert {e.heading for e in back[0].equations} == {"time step 2"}


def follow(data, ref, entry):
    """(equation, entry) that an entry of an operand came from, as the page walks; or None."""
    source, entry = ref["from"], list(entry)
    if "slices" in ref:
        source = ref["slices"]["from"][entry.pop(ref["slices"]["axis"])]
    elif "views" in ref:
        offset = np.dot(entry, ref["views"]["strides"])
        for part in ref["views"]["parts"]:
            places = part["start"] + np.einsum(
                "i,i...->...", part["strides"], np.indices(part["shape"])
            )
            if (places == offset).any():
                source, entry = part["from"], [int(i) for i in np.argwhere(places == offset)[0]]
    if source is None:
        return None
    part = data[source["part"]]
    step = part if source["part"] == "loss_step" else part[source["step"]]
    return step["equations"][source["equation"]], entry


def number_at(data, ref, entry):
    return data["values"][ref["value"]]["corner"]["values"][
        np.ravel_multi_index(entry, ref["shape"])
    ]


@pytest.mark.parametrize("cell", [nn.RNN, nn.LSTM, nn.GRU])
def test_one_walks_from_step_to_step_through_a_recurrent_layer(cell):
    x = np.random.default_rng(0).standard_normal((2, 4, 2))
    model = nn.Sequential(nn.Linear(2, 3), cell(3, 2), nn.Linear(2, 1)).astype(np.float64)
    data = nn.trace(model, nn.MSELoss(), x, np.zeros((2, 4, 1))).to_dict()
    name = "dL/dW_ih"
    here = next(
        e for s in data["steps"] for e in s["equations"] if e["result"]["name"] == name
    )  # fmt: skip
    ref = next(o for o in here["operands"] if o["name"] == "A")
    step, entry = follow(data, ref, (1, 0, 1))
    assert step["heading"] == "time step 0"
    assert step["result"]["name"] == "A_t"
    assert number_at(data, step["result"], entry) == number_at(data, ref, (1, 0, 1))
    # from the first step's δ to the second's, and from each to the loss
    delta = next(
        e for s in data["steps"] for e in s["equations"]
        if e["heading"] == "time step 0" and e["formula"].startswith("δ")
    )  # fmt: skip
    g, later = delta["operands"]
    equation, entry = follow(data, g, (1, 1))
    assert equation["result"]["name"] == "dL/dx"
    assert number_at(data, equation["result"], entry_of(equation, entry)) == number_at(
        data, g, (1, 1)
    )
    equation, entry = follow(data, later, (1, 1))
    assert (equation["heading"], equation["result"]["name"]) == ("time step 1", "dL/dh_{t−1}")
    assert number_at(data, equation["result"], entry) == number_at(data, later, (1, 1))


def entry_of(equation, entry):
    """An entry of (N, T, D) where the equation sees N·T rows."""
    shape = equation["result"]["shape"]
    return entry if len(shape) == len(entry) else (entry[0] * 4 + entry[1], entry[2])


# -- bounds and refusals ---------------------------------------------------------------------------


def test_large_arrays_keep_a_corner_and_an_example():
    model = nn.Sequential(nn.Linear(300, 200))
    x = np.random.default_rng(0).standard_normal((64, 300)).astype(np.float32)
    trace = nn.trace(model, nn.MSELoss(), x, np.zeros((64, 200), np.float32))
    data = trace.to_dict(512)
    for value in data["values"]:
        corner = value["corner"]
        assert len(corner["values"]) == math.prod(corner["shape"]) <= 512
        if math.prod(value["shape"]) > 512:
            assert value["picture"] is not None
            assert sum(map(len, value["picture"]["values"])) <= 512
    assert "(64 terms)" in data["steps"][1]["equations"][0]["example"]["text"]
    assert len(json.dumps(data)) < 100_000


def test_an_optimizer_of_other_parameters_is_refused():
    with pytest.raises(ValueError, match=r"none of the model's parameters.*model\.parameters\(\)"):
        a_trace(optimizer=nn.SGD([nn.Parameter(np.ones(2))], lr=0.1))


def test_the_update_leaves_model_and_optimizer_alone():
    model = small_model()
    optimizer = nn.Adam(model.parameters(), lr=0.1)
    before = [p.data.copy() for p in model.parameters()]
    trace = nn.trace(model, nn.MSELoss(), np.ones((2, 3)), np.zeros((2, 2)), optimizer=optimizer)
    assert optimizer.steps == 0
    for p, data in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, data)
    assert [step.place for step in trace.update] == [
        ("0.weight",), ("0.bias",), ("2.weight",), ("2.bias",),
    ]  # fmt: skip
    assert {step.number for step in trace.update} == {6}
    dL_dW = next(s for s in trace if s.title == "compute the weight gradient").result.array
    assert any(step.inputs[1].array is dL_dW for step in trace.update)


def test_frozen_parameters_are_not_updated():
    model = small_model().freeze("0.*")
    trace = nn.trace(
        model, nn.MSELoss(), np.ones((2, 3)), np.zeros((2, 2)),
        optimizer=nn.SGD(model.parameters(), lr=0.1),
    )  # fmt: skip
    assert [step.place for step in trace.update] == [("2.weight",), ("2.bias",)]


def test_a_batch_of_one_keeps_its_letter_and_axes_of_one_value_have_none():
    x = np.array([[1.0, -2.0]])
    trace = nn.trace(nn.Linear(2, 2), nn.MSELoss(), x, np.zeros((1, 2)))
    rules = [str(step.equations[0].rule) for step in (trace.forward[0], *trace.steps[1:])]
    assert rules == [
        "y[n,i] = Σⱼ x[n,j] W[j,i] + b[i]",
        "dL/dW[i,j] = Σₙ x[n,i] G[n,j]",
        "dL/db[i] = Σₙ G[n,i]",
        "dL/dx[n,i] = Σⱼ G[n,j] W[i,j]",
    ]
    norm = nn.trace(nn.LayerNorm(2), nn.MSELoss(), np.eye(2), np.zeros((2, 2))).forward[0]
    x_hat = "x̂[i,j] = (x[i,j] − (Σₖ x[i,k]) / 2) / √(σ² + ε)[i]"
    assert str(norm.equations[0].rule) == x_hat


def test_a_slope_too_small_for_its_formula_is_shown_without_it():
    x = np.array([[400.0, 0.5]])  # cosh² 400 is more than a float can hold
    trace = nn.trace(nn.Tanh(), nn.MSELoss(), x, np.zeros((1, 2)))
    slope, product = json.loads(trace.to_json())["steps"][-1]["equations"]
    assert slope["rule"] is None
    assert product["rule"] is not None
    assert "f′(x)" in str(trace)
