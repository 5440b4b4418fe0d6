"""The trace: what it shows is what backward computed."""

import copy
import itertools
import json

import numpy as np
import pytest

import nnlite as nn
from nnlite.inspection.picture import picture

X = np.random.default_rng(0).standard_normal((2, 3)).astype(np.float32)
Y = np.array([0, 1])


def mlp():
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def deep():
    layers = [layer for _ in range(6) for layer in (nn.Linear(16, 16), nn.ReLU())]
    return nn.Sequential(nn.Linear(3, 16), *layers, nn.Linear(16, 2))


def residual():
    branch = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    return nn.Sequential(nn.Linear(3, 4), nn.Residual(branch), nn.Linear(4, 2))


MODELS = {"mlp": mlp, "deep": deep, "residual": residual}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
def test_the_arrays_are_those_of_the_step(make):
    model, loss = make(), nn.CrossEntropyLoss()
    twin = copy.deepcopy(model)
    trace = nn.trace(model, loss, X, Y)
    assert trace.loss_value == loss(twin(X), Y)
    grad = loss.backward()
    np.testing.assert_array_equal(trace.steps[0].result.array, grad)
    twin.backward(grad)
    shown = [step.result.array for step in trace if step.number in (3, 4)]
    for array in shown:
        assert any(np.array_equal(array, p.grad) for p in twin.parameters())
    assert len(shown) == len(twin.parameters())


def test_the_steps_are_those_of_the_loop():
    numbers = [step.number for step in nn.trace(mlp(), nn.CrossEntropyLoss(), X, Y)]
    assert numbers == [1, 3, 4, 5, 2, 3, 4, 5]


def test_each_step_passes_its_result_on():
    steps = list(nn.trace(mlp(), nn.CrossEntropyLoss(), X, Y))
    for before, after in itertools.pairwise(steps):
        if before.number in (1, 2, 5):
            assert after.incoming.array is before.result.array


class Reversed(nn.Layer):
    """The features in reversed order."""

    def forward(self, x):
        self.save_for_backward()
        return x[:, ::-1]

    def backward(self, grad_output):
        self.saved()
        return grad_output[:, ::-1]


def test_what_changes_the_shape_is_no_activation():
    x = np.ones((2, 4, 3), np.float32)
    model = nn.Sequential(nn.Tanh(), nn.MaxPool1d(2), nn.MeanOverTime())
    steps = nn.trace(model, nn.MSELoss(), x, np.zeros((2, 3), np.float32))
    assert [step.number for step in steps] == [1, 5, 5, 2]


@pytest.mark.parametrize(("kind", "number"), [("map", 2), ("rearrangement", 5)])
def test_layers_say_whether_they_only_move_values(kind, number, monkeypatch):
    monkeypatch.setattr(Reversed, "kind", kind)
    model = nn.Sequential(nn.Linear(3, 2), Reversed())
    assert [step.number for step in nn.trace(model, nn.MSELoss(), X, X[:, :2])] == [
        1, number, 3, 4, 5,
    ]  # fmt: skip


@pytest.mark.parametrize("cell", [nn.RNN, nn.LSTM, nn.GRU])
def test_recurrent_layers_go_back_step_by_step(cell):
    model = nn.Sequential(cell(3, 4), nn.LastStep(), nn.Linear(4, 2))
    x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)
    trace = nn.trace(model, nn.CrossEntropyLoss(), x, Y)
    steps = [step for step in trace if "through time" in step.title]
    assert [step.title for step in steps] == [
        f"go back through time, step {t}" for t in (4, 3, 2, 1, 0)
    ]
    assert {step.number for step in steps} == {5}
    upstream = next(step for step in trace if step.layer == "Linear(4, 2)" and step.number == 5)
    np.testing.assert_array_equal(steps[0].incoming.array, upstream.result.array)
    for before, after in itertools.pairwise(steps):
        np.testing.assert_array_equal(after.incoming.array, before.result.array)
    given = cell(3, 4, return_state=True)
    given.load_state_dict(model[0].state_dict())
    step_by_step = given.backward_step  # as under the trace; a compiled pass rounds otherwise
    given.backward_step = lambda t, d_states, run: step_by_step(t, d_states, run)
    state = np.zeros((1, 2, 4), np.float32)
    given.forward(x, (state, state) if cell is nn.LSTM else state)
    d_y = np.zeros((2, 5, 4), np.float32)
    d_y[:, -1] = upstream.result.array
    _, d_state = given.backward((d_y, None))
    d_h = d_state[0] if cell is nn.LSTM else d_state
    np.testing.assert_array_equal(steps[-1].result.array, d_h[0])
    assert "through time, step 0" in str(trace)
    assert "backward_step" not in vars(model[0])


def test_every_layer_of_a_stack_goes_back_through_time():
    model = nn.Sequential(nn.Bidirectional(nn.GRU(3, 4, num_layers=2)), nn.MeanOverTime())
    x = nn.Padded(np.random.default_rng(0).standard_normal((2, 5, 3)), [5, 2])
    trace = nn.trace(model.astype(np.float64), nn.MSELoss(), x, np.zeros((2, 8)))
    steps = [step for step in trace if "through time" in step.title]
    assert len(steps) == 2 * 2 * 5
    assert len({step.place for step in steps}) == 4


def test_every_array_of_a_tuple_is_shown():
    inputs = nn.Sequential(nn.Embedding(9, 2), nn.MeanOverTime())
    model = nn.Sequential(nn.Parallel(nn.Linear(3, 2), inputs), nn.Join(), nn.Linear(4, 2))
    trace = nn.trace(model, nn.CrossEntropyLoss(), (X, np.array([[1, 2], [3, 4]])), Y)
    join = next(step for step in trace.forward if step.layer == "Join()")
    assert [value.name for value in join.inputs] == ["x₁", "x₂"]
    np.testing.assert_array_equal(
        np.concatenate([value.array for value in join.inputs], axis=1), join.result.array
    )
    assert "x₁ (2, 2), x₂ (2, 2)" in join.shapes
    back = next(step for step in trace if step.layer == "Join()")
    assert [value.name for value in back.results] == ["dL/dx₁", "dL/dx₂"]
    assert "dL/dx₂ (2, 2): norm" in str(trace)
    assert trace.to_markdown().count("pass the gradient upstream | dL/dxᵢ = Gᵢ") == 2
    parallel = next(step for step in trace if step.layer == "Parallel")
    assert [value.name for value in parallel.results] == ["dL/dx₁"]  # words have no gradient
    data = json.loads(trace.to_json())
    results = data["steps"][list(trace).index(back)]["results"]
    assert [data["values"][each]["name"] for each in results] == ["dL/dx₁", "dL/dx₂"]


def test_formulas_have_the_shapes_filled_in():
    trace = nn.trace(mlp(), nn.CrossEntropyLoss(), X, Y)
    assert trace.forward[0].shapes == "y (2, 4) = x (2, 3) W (3, 4) + b (4,)"
    assert trace.steps[1].shapes == "dL/dW (4, 2) = xᵀ (4, 2) G (2, 2)"
    assert trace.steps[3].shapes == "dL/dx (2, 4) = G (2, 2) Wᵀ (2, 4)"


def test_shapes_multiply_on_paper_and_entries_stand_where_they_are_said_to():
    x = np.random.default_rng(0).standard_normal((2, 4, 3)).astype(np.float32)
    trace = nn.trace(nn.Sequential(nn.Linear(3, 5)), nn.MSELoss(), x, np.zeros((2, 4, 5)))
    assert trace.steps[1].shapes == "dL/dW (3, 5) = xᵀ (3, 8) G (8, 5)"
    assert trace.steps[3].shapes == "dL/dx (2, 4, 3) = G (2, 4, 5) Wᵀ (5, 3)"
    back = str(trace.steps[3])
    assert "dL/dx (2, 4, 3), read as (8, 3): norm" in back
    rows = back.partition("read as")[2].partition("[[")[2].partition("]]")[0].splitlines()
    assert len(rows) == 8


def test_an_update_prints_small_numbers_and_its_shape():
    model = mlp()
    optimizer = nn.Adam(model.parameters(), lr=1e-3)
    trace = nn.trace(model, nn.CrossEntropyLoss(), 1e-3 * X, Y, optimizer=optimizer)
    step = trace.update[0]
    assert step.shapes.startswith("w (3, 4) ← w − lr m̂ / (√v̂ + ε),  m̂ = ")
    v = next(e.result.array for e in step.equations if e.result.name == "v")
    assert 0 < v.max() < 1e-8
    assert f"{v[0, 0]:.4e}" in str(step)


def test_the_model_in_hand_is_left_alone():
    model = mlp()
    before = [(p.data.copy(), p.grad.copy()) for p in model.parameters()]
    nn.trace(model, nn.CrossEntropyLoss(), X, Y)
    for p, (data, grad) in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.data, data)
        np.testing.assert_array_equal(p.grad, grad)
    assert "forward" not in vars(model[0])


def test_tied_parameters_show_each_share():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    model = nn.Sequential(first, second)
    trace = nn.trace(model, nn.MSELoss(), X, X)
    shares = [step.result.array for step in trace if step.title == "compute the weight gradient"]
    loss = nn.MSELoss()
    loss(model(X), X)
    model.backward(loss.backward())
    np.testing.assert_allclose(sum(shares), first.weight.grad, rtol=1e-6)


def test_text_and_markdown():
    trace = nn.trace(residual(), nn.CrossEntropyLoss(), X, Y)
    for text in (str(trace), trace.to_markdown()):
        for words in (
            "compute the loss gradient", "compute the weight gradient",
            "compute the bias gradient", "go backward through the activation",
            "pass the gradient upstream", "branch", "Residual",
        ):  # fmt: skip
            assert words in text
    assert "6. update the weights" in str(trace)
    assert str(trace.steps[1]) in "\n".join(line[2:] for line in str(trace).splitlines())


def test_json_is_complete_and_averages_large_arrays():
    model = nn.Sequential(nn.Linear(300, 200), nn.ReLU(), nn.Linear(200, 2))
    x = np.ones((4, 300), np.float32)
    trace = nn.trace(model, nn.CrossEntropyLoss(), x, np.array([0, 1, 0, 1]))
    data = json.loads(trace.to_json())
    results = [data["values"][step["results"][0]] for step in data["steps"]]
    gradient = next(value for value in results if value["shape"] == [300, 200])
    weight = gradient["picture"]
    assert len(weight["values"]) * len(weight["values"][0]) <= 4096
    assert len(gradient["corner"]["values"]) == np.prod(gradient["corner"]["shape"]) <= 4096
    rows, columns = weight["block"]
    step = next(s for s in trace if s.result.array.shape == (300, 200))
    mean = step.result.array[:rows, :columns].mean()
    assert weight["values"][0][0] == pytest.approx(mean, rel=1e-3, abs=1e-9)


def test_images_and_kernels_are_tiles():
    images = np.arange(2 * 3 * 5 * 4.0).reshape(2, 3, 5, 4)
    drawn = picture(images, 4096)
    assert drawn.tiles == (3, 5, 2, 4, (0, 3, 1, 2))
    assert drawn.values.shape == (2 * 3, 4 * 5)
    assert drawn.values[3 + 2, 3 * 5 + 4] == images[1, 2, 4, 3]
    kernel = images.reshape(5, 3, 2, 4)
    drawn = picture(kernel, 4096, kernel=True)
    assert drawn.values[5 + 4, 3 * 3 + 2] == kernel[4, 2, 1, 3]


def test_of_many_tiles_the_first_are_drawn():
    images = np.random.default_rng(0).standard_normal((9, 8, 8, 6))
    drawn = picture(images, 64 * 13)
    np.testing.assert_array_equal(drawn.values[8:16, 8:16], images[1, :, :, 1])
    assert drawn.values.shape == (2 * 8, 6 * 8)
    large = picture(images[:, :6, :6], 9)  # a tile alone is too large
    assert large.values.shape == (3, 3)
    assert large.block == (2, 2)
    assert large.values[2, 1] == pytest.approx(images[0, 4:6, 2:4, 0].mean())


def test_values_that_are_not_finite_are_still_json():
    model = nn.Sequential(nn.Lambda(lambda x: x * np.inf, lambda g, x: g), nn.Linear(3, 2))
    with np.errstate(all="ignore"):
        trace = nn.trace(model, nn.CrossEntropyLoss(), X, Y)
        text = trace.to_json()
    assert json.loads(text, parse_constant=pytest.fail)["loss_value"] == "nan"


def test_a_hat_stays_on_its_letter():
    trace = nn.trace(nn.Sequential(nn.LayerNorm(3)), nn.MSELoss(), X, X)
    assert "x\u0302 (2, 3) = (x (2, 3) − μ)" in trace.forward[0].shapes


@pytest.mark.parametrize("size", [0, -4, 2.5])
def test_an_array_keeps_one_value_at_least(size):
    trace = nn.trace(mlp(), nn.CrossEntropyLoss(), X, Y)
    with pytest.raises(ValueError, match=rf"to_dict: size must be a whole number ≥ 1, got {size}"):
        trace.to_dict(size)
    assert all(len(v["corner"]["values"]) == 1 for v in trace.to_dict(1)["values"])
