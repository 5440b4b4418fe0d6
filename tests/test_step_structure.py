"""The structure of a fast step: NumPy calls, allocations and dtypes, counted instead of timed."""

import sys
import tracemalloc

import numpy as np
import pytest

import nnlite as nn


def training_step(dtype=np.float32, batch=64, activation=nn.ReLU):
    nn.seed(0)
    model = nn.Sequential(
        nn.Linear(64, 128), activation(), nn.Linear(128, 64), activation(), nn.Linear(64, 10)
    ).astype(dtype)
    model.needs_input_grad = False
    loss, optimizer = nn.CrossEntropyLoss(), nn.Adam(model.parameters())
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((batch, 64)).astype(dtype), rng.integers(0, 10, batch)

    def step():
        optimizer.zero_grad()
        value = loss(model.forward(x), y)
        model.backward(loss.backward())
        optimizer.step()
        return value

    return step, model, optimizer


def c_calls(run):
    """How many C functions and methods `run` calls, by name (operators are not among them)."""
    counts = {}

    def count(frame, event, argument):
        if event == "c_call":
            counts[argument.__name__] = counts.get(argument.__name__, 0) + 1

    sys.setprofile(count)
    try:
        run()
    finally:
        sys.setprofile(None)
    return counts


def test_calls_per_step_do_not_grow():
    step, *_ = training_step()
    step()
    counts = c_calls(step)
    assert sum(counts.values()) <= 110
    assert counts.get("fill", 0) == 0  # backward writes over cleared gradients


def test_the_optimizers_calls_do_not_depend_on_the_number_of_parameters():
    def calls(depth):
        model = nn.Sequential(*(nn.Linear(4, 4) for _ in range(depth)))
        optimizer = nn.Adam(model.parameters())
        optimizer.step()
        return sum(c_calls(optimizer.step).values())

    assert calls(1) == calls(20)


def test_memory_of_a_step_is_bounded_and_constant():
    step, model, _ = training_step()
    for _ in range(5):
        step()
    peaks = []
    tracemalloc.start()
    for _ in range(6):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        step()
        after, peak = tracemalloc.get_traced_memory()
        peaks.append(peak - before)
        assert after - before < 50_000  # what is saved for the next step, at most
    tracemalloc.stop()
    activations = 4 * 64 * (128 + 128 + 64 + 64 + 10)
    weights = sum(p.data.nbytes for p in model.parameters())
    assert max(peaks) < 2 * activations + weights
    assert max(peaks) - min(peaks) < 20_000


@pytest.mark.parametrize(
    "activation", [nn.ReLU, nn.GELU, nn.Tanh, nn.SiLU, nn.ELU, lambda: nn.Dropout(0.5)]
)
def test_no_float64_in_a_float32_step(activation):
    step, model, optimizer = training_step(activation=activation)
    seen = set()
    for layer in model:
        forward, backward = layer.forward, layer.backward

        def watched_forward(x, forward=forward):
            y = forward(x)
            seen.update((x.dtype, y.dtype))
            return y

        def watched_backward(g, backward=backward):
            d_x = backward(g)
            seen.update((g.dtype, *([] if d_x is None else [d_x.dtype])))
            return d_x

        layer.forward, layer.backward = watched_forward, watched_backward
    step()
    state = optimizer.state_dict()["parameters"]
    seen |= {v.dtype for entry in state for v in entry.values() if isinstance(v, np.ndarray)}
    assert seen == {np.dtype(np.float32)}


def test_results_that_a_caller_holds_are_never_overwritten():
    _, model, _ = training_step()
    rng = np.random.default_rng(1)
    first, second = (rng.standard_normal((64, 64)).astype(np.float32) for _ in range(2))
    held = [model(first), *(layer.forward(first) for layer in model[:1])]
    kept = [y.copy() for y in held]
    model(second)
    for y, copy in zip(held, kept, strict=True):
        np.testing.assert_array_equal(y, copy)
