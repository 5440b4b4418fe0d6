"""Every row of the case table keeps the layer contract."""

import copy
import inspect
import pickle

import numpy as np
import pytest
from cases import FIRST, LAYERS, MEMORY_ORDERS, SAMPLE, layer_input, layer_of
from cases.attention import Attending
from cases.convolution import LAYERS as CONVOLUTION
from cases.core import LAYERS as CORE
from cases.core import Cube, Halves
from cases.normalization import LAYERS as NORMALIZATION
from cases.pooling import LAYERS as POOLING
from cases.sequences import Ending, Tokens

import nnlite as nn
from nnlite.layers.containers.base import Container


def layers(keep=lambda case: True, quick=SAMPLE):
    return pytest.mark.parametrize(
        "case",
        [
            pytest.param(case, id=name, marks=() if name in quick else pytest.mark.slow)
            for name, case in LAYERS.items()
            if keep(case)
        ],
    )


every_layer = layers()
PUBLIC = {
    name: value
    for name, value in vars(nn).items()
    if inspect.isclass(value) and issubclass(value, nn.Layer) and value is not nn.Layer
}


def run(layer, x, grad_seed=1, change=lambda g: g):
    """(y, dL/dx, parameter gradients) of one forward and backward from zero gradients."""
    layer.zero_grad()
    y = layer(x)
    g = np.random.default_rng(grad_seed).standard_normal(y.shape).astype(y.dtype)
    g.flags.writeable = False
    d_x = layer.backward(change(g))
    return y, d_x, [p.grad.copy() for p in layer.parameters()]


def flat(results):
    """y, dL/dx and each parameter's gradient in one list."""
    y, d_x, grads = results
    return [y, d_x, *grads]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        if isinstance(a, list):
            assert_same(a, b)
        else:
            np.testing.assert_array_equal(a, b)


def test_every_public_layer_has_a_row():
    assert set(PUBLIC) <= {name.split()[0] for name in LAYERS}


@layers(lambda case: case.by_difference, quick=FIRST)
@pytest.mark.usefixtures("few_entries")
def test_gradients_are_the_slopes(case):
    check_slopes(case)


@pytest.mark.slow
@layers(lambda case: case.by_difference)
def test_gradients_are_the_slopes_in_every_entry(case):
    check_slopes(case)


def check_slopes(case):
    rows = nn.check_gradients(layer_of(case), layer_input(case))
    assert len(rows) == 1 + len(case.make().parameters())


@every_layer
def test_gradients_accumulate(case):
    layer, x = layer_of(case), layer_input(case)
    twin = copy.deepcopy(layer)
    _, _, once = run(layer, x)
    y = twin(x)
    g = np.random.default_rng(1).standard_normal(y.shape)
    start = [np.random.default_rng(2).standard_normal(p.shape) for p in twin.parameters()]
    for p, value in zip(twin.parameters(), start, strict=True):
        p.grad = value
    twin.backward(g)
    for p, value, grad in zip(twin.parameters(), start, once, strict=True):
        np.testing.assert_allclose(p.grad, value + grad, rtol=1e-12, atol=1e-12)


@every_layer
def test_inputs_are_never_modified(case):
    layer, x = layer_of(case), layer_input(case)
    x.flags.writeable = False
    before = x.copy()
    run(layer, x)
    np.testing.assert_array_equal(x, before)


@every_layer
@pytest.mark.parametrize("order", MEMORY_ORDERS)
def test_the_order_in_memory_does_not_matter(case, order):
    layer, x = layer_of(case), layer_input(case)
    twin = copy.deepcopy(layer)
    expected = run(layer, x)
    results = run(twin, order(x), change=order)
    for a, b in zip(flat(results), flat(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@every_layer
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept(case, dtype):
    layer = layer_of(case, dtype)
    y, d_x, grads = run(layer, layer_input(case, dtype))
    assert {a.dtype for a in (y, d_x, *grads)} == {np.dtype(dtype)}


@every_layer
def test_numpy_scalars_as_arguments_do_not_promote(case):
    layer = layer_of(case, np.float32)
    for part in layer.named_layers().values():
        for name in inspect.signature(type(part)).parameters:
            if type(getattr(part, name, None)) is float and name in vars(part):
                setattr(part, name, np.float64(getattr(part, name)))
    y, d_x, grads = run(layer, layer_input(case, np.float32))
    assert {a.dtype for a in (y, d_x, *grads)} == {np.dtype(np.float32)}


@every_layer
def test_float32_agrees_with_float64(case):
    layer = layer_of(case, np.float32)
    twin = layer.astype(np.float64)
    x = layer_input(case, np.float32)
    ours, exact = run(layer, x), run(twin, x.astype(np.float64))
    for a, b in zip([*ours[:2], *ours[2]], [*exact[:2], *exact[2]], strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1, np.abs(b).max()))


@every_layer
def test_state_round_trip(case):
    layer, other = layer_of(case), layer_of(case)
    other.load_state_dict(layer.state_dict())
    x = layer_input(case)
    np.testing.assert_array_equal(layer.eval()(x), other.eval()(x))


@every_layer
def test_copies_are_equal_and_independent(case):
    layer, x = layer_of(case), layer_input(case)
    layer(x)  # a filled slot is not copied
    copies = [copy.deepcopy(layer)]
    if not any(isinstance(part, nn.Lambda) for part in layer.named_layers().values()):
        copies.append(pickle.loads(pickle.dumps(layer)))
    expected = run(layer, x)
    for p in layer.parameters():
        p.data = p.data + 1
    for twin in copies:
        assert_same(run(twin, x), expected)


@layers(lambda case: case.by_sample)
def test_batch_is_one_by_one(case):
    layer, x = layer_of(case), layer_input(case)
    y, d_x, grads = run(layer, x)
    g = np.random.default_rng(1).standard_normal(y.shape)
    layer.zero_grad()
    for n in range(len(x)):
        np.testing.assert_allclose(layer(x[n : n + 1]), y[n : n + 1], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(
            layer.backward(g[n : n + 1]), d_x[n : n + 1], rtol=1e-11, atol=1e-12
        )
    for p, grad in zip(layer.parameters(), grads, strict=True):
        np.testing.assert_allclose(p.grad, grad, rtol=1e-11, atol=1e-12)


@every_layer
def test_inside_residual(case):
    layer, other = layer_of(case), layer_of(case)
    x = layer_input(case)
    both = copy.deepcopy(nn.Residual(layer, other))
    (y1, d1, g1), (y2, d2, g2) = run(layer, x), run(other, x)
    y, d_x, grads = run(both, x)
    np.testing.assert_allclose(y, y1 + y2)
    np.testing.assert_allclose(d_x, d1 + d2)
    for a, b in zip(grads, g1 + g2, strict=True):
        np.testing.assert_allclose(a, b)


@every_layer
def test_backward_needs_a_forward(case):
    layer, x = layer_of(case), layer_input(case)
    with pytest.raises(RuntimeError, match=type(layer).__name__):
        layer.backward(np.ones(1))
    run(layer, x)
    with pytest.raises(RuntimeError, match="call forward first"):
        layer.backward(np.ones(1))
    with nn.inference():
        y = layer(x)
    with pytest.raises(RuntimeError, match="inference"):
        layer.backward(y)


HAND_ON = (nn.Sequential, nn.Concat, nn.Add, nn.Identity, nn.Lambda)  # as it came, or inside
REARRANGE = (nn.Flatten, nn.Reshape, nn.Permute)  # NumPy refuses what cannot be turned back
BY_THEMSELVES = {**CORE, **CONVOLUTION, **POOLING, **NORMALIZATION}


@layers(
    lambda case: case in BY_THEMSELVES.values() and not isinstance(case.make(), HAND_ON + REARRANGE)
)
def test_gradients_of_another_shape_are_refused(case):
    layer, x = layer_of(case), layer_input(case)
    shape = layer(x).shape
    for wrong in (shape[1:], (1, *shape), (1 + shape[0], *shape[1:]), (*shape[:-1], 1 + shape[-1])):
        layer(x)
        with pytest.raises(ValueError, match="backward expected dL/dy in y's shape"):
            layer.backward(np.ones(wrong))
        assert not any(p.grad.any() for p in layer.parameters())


@every_layer
def test_inference_keeps_nothing(case):
    layer, x = layer_of(case), layer_input(case)
    with nn.inference():
        layer(x)
    assert all(part._slot is None for part in layer.named_layers().values())


@every_layer
def test_backward_empties_every_slot(case):
    layer, x = layer_of(case), layer_input(case)
    for needed in (True, False):
        layer.needs_input_grad = needed
        run(layer, x)
        assert all(part._slot is None for part in layer.named_layers().values())


@layers(lambda case: isinstance(case.make(), Container))
def test_a_child_that_fails_leaves_no_slot_filled(case):
    layer, x = layer_of(case), layer_input(case)

    def fails(value):
        raise ZeroDivisionError

    for method in ("forward", "backward"):
        for child in [*layer.named_layers().values()][1:]:
            setattr(child, method, fails)
            with pytest.raises(ZeroDivisionError):
                run(layer, x)
            assert all(part._slot is None for part in layer.named_layers().values())
            delattr(child, method)


@every_layer
def test_backward_does_not_read_the_mode_or_a_generator(case):
    layer, x = layer_of(case), layer_input(case)
    twin = copy.deepcopy(layer)
    expected = run(layer, x)
    y = twin(x)
    twin.train(not case.training)
    for _, generator in twin.named_parts(np.random.Generator):
        generator.random(7)
    g = np.random.default_rng(1).standard_normal(y.shape)
    assert_same((y, twin.backward(g), [p.grad for p in twin.parameters()]), expected)


@every_layer
def test_skipping_the_input_gradient_changes_no_other(case):
    layer, x = layer_of(case), layer_input(case)
    twin = copy.deepcopy(layer)
    twin.needs_input_grad = False
    assert_same(run(twin, x)[2], run(layer, x)[2])
    twin.needs_input_grad = True
    assert run(twin, x)[1] is not None


@every_layer
def test_equations_are_complete(case):
    layer = case.make()
    own = {name for name, value in vars(layer).items() if isinstance(value, nn.Parameter)}
    assert {"forward", "input"} | own <= set(layer.equations)
    assert all("\n" not in line for line in layer.equations.values())


@every_layer
def test_repr_is_the_call_that_makes_it(case):
    layer = case.make()
    text = repr(layer)
    assert type(layer).__name__ in text
    if not isinstance(layer, nn.Lambda):
        names = {
            **vars(nn),
            **vars(nn.initializers),
            "Cube": Cube,
            "Halves": Halves,
            "Ending": Ending,
            "Attending": Attending,
            "inf": np.inf,
            "Tokens": Tokens,
        }
        assert repr(eval(text, names)) == text


@every_layer
def test_integers_and_half_precision_are_refused_where_there_is_arithmetic(case):
    layer, x = layer_of(case), layer_input(case).astype(np.int64)
    if case.moves_only:
        assert layer(x).dtype == np.int64
    elif not isinstance(layer, nn.Lambda):
        with pytest.raises(TypeError, match=r"np\.float32\)"):
            layer(x)
        with pytest.raises(TypeError, match=r"float32 or float64 input, got dtype float16"):
            layer(x.astype(np.float16))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@layers(lambda case: case.whole_range)
def test_finite_over_the_whole_range(case, dtype):
    layer = layer_of(case, dtype)
    size = np.concatenate([[0], np.geomspace(np.finfo(dtype).tiny, 0.4 * np.finfo(dtype).max, 99)])
    values = np.concatenate([-size, size]).astype(dtype).reshape(-1, *case.shape[1:])
    y = layer(values)
    d_x = layer.backward(np.ones_like(y) * dtype(1e-3))
    assert np.isfinite(y).all()
    assert np.isfinite(d_x).all()


@pytest.mark.parametrize("cls", PUBLIC.values(), ids=PUBLIC.keys())
def test_docstrings_hold_the_derivation(cls):
    for heading in ("Forward ", "Backward ", "Shapes ", "Saves "):
        assert f"\n{heading}" in inspect.cleandoc(cls.__doc__)
    if cls is not nn.Elementwise:
        assert "\nSource " in inspect.cleandoc(cls.__doc__)
