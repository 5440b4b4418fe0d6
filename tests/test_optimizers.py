"""Optimizers: every subclass through the same contract; packing, freezing, clipping, state."""

import copy
import functools
import pickle
import re
import textwrap
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import nnlite as nn
from nnlite.ops import threads
from nnlite.optimizers import packing

OPTIMIZERS = {
    name: value
    for name, value in vars(nn.optimizers).items()
    if isinstance(value, type) and issubclass(value, nn.Optimizer) and value is not nn.Optimizer
}
every_optimizer = pytest.mark.parametrize("cls", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())


def parameters(*shapes, dtype=np.float32):
    rng = np.random.default_rng(0)
    return [nn.Parameter(rng.standard_normal(shape), dtype=dtype) for shape in shapes]


def give_gradients(params, seed):
    rng = np.random.default_rng(seed)
    for p in params:
        p.grad = rng.standard_normal(p.shape)


def walk(optimizer, steps=3, first=0):
    for k in range(first, first + steps):
        give_gradients(optimizer.parameters, k)
        optimizer.step()


def values(params):
    return [p.data.copy() for p in params]


def assert_equal(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_optimizer_is_public():
    def below(cls):
        return {sub for c in cls.__subclasses__() for sub in (c, *below(c))}

    named = {c for c in below(nn.Optimizer) if c.__module__.startswith("nnlite")}
    assert {c for c in named if not c.__name__.startswith("_")} == set(OPTIMIZERS.values())


@every_optimizer
def test_a_bowl_is_descended(cls):
    (p,) = parameters((5,))
    optimizer = cls([p], lr=0.5 if cls is nn.Adadelta else 0.02)
    start = float((p.data**2).sum())
    for _ in range(100):
        p.grad = 2 * p.data
        optimizer.step()
    assert float((p.data**2).sum()) < 0.5 * start or cls is nn.Adadelta
    assert float((p.data**2).sum()) < start


@every_optimizer
def test_packing_changes_nothing(cls):
    together, alone = parameters((3, 4), (4,), (2, 2)), parameters((3, 4), (4,), (2, 2))
    one, several = cls(together), [cls([p]) for p in alone]
    for k in range(5):
        give_gradients(together, k)
        give_gradients(alone, k)
        one.step()
        for optimizer in several:
            optimizer.step()
    assert_equal(values(together), values(alone))


@every_optimizer
@pytest.mark.parametrize("cores", [1, 3])
def test_long_vectors_are_walked_in_stretches(cls, cores, monkeypatch):
    whole = parameters((7, 1000))
    walk(cls(whole, weight_decay=0.1))
    monkeypatch.setattr(packing, "CHUNK", 1000)
    monkeypatch.setattr(threads, "SMALL", 0)
    monkeypatch.setattr(threads, "thread_functions", lambda: (lambda: cores, lambda count: None))
    parts = parameters((7, 1000))
    walk(cls(parts, weight_decay=0.1))
    np.testing.assert_array_equal(parts[0].data, whole[0].data)


def test_stretches_cover_a_vector():
    (pack,) = nn.SGD(parameters((1_000_003,)))._packs
    assert not pack.pieces
    stretches = [chunk.data for chunk in pack.chunks(slice(17, 1_000_003))]
    assert {len(stretch) for stretch in stretches} <= {249_996, 249_997}
    np.testing.assert_array_equal(np.concatenate(stretches), pack.data[17:])


@every_optimizer
def test_parameters_become_views_of_one_vector(cls):
    params = parameters((3, 4), (4,))
    before = values(params)
    cls(params)
    assert_equal(values(params), before)
    assert params[0].data.base is params[1].data.base
    assert params[0].grad.base is params[1].grad.base


@every_optimizer
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_continue_to_the_bit(cls, copied):
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    optimizer = cls(model.parameters(), weight_decay=0.01)
    walk(optimizer)
    twin_model, twin = copied((model, optimizer))
    assert twin_model[0].weight is twin.parameters[0]
    walk(optimizer, first=3)
    walk(twin, first=3)
    assert_equal(values(model.parameters()), values(twin_model.parameters()))


@every_optimizer
def test_state_round_trip_continues_to_the_bit(cls):
    params, others = parameters((3, 4), (4,)), parameters((3, 4), (4,))
    optimizer, other = cls(params), cls(others)
    walk(optimizer)
    state = optimizer.state_dict()
    for p, q in zip(params, others, strict=True):
        q.data = p.data
    other.load_state_dict(state)
    walk(optimizer, first=3)
    walk(other, first=3)
    assert_equal(values(params), values(others))
    assert all(
        v.base is None for entry in state["parameters"] for n, v in entry.items() if n != "steps"
    )


@every_optimizer
def test_frozen_parameters_are_left_alone(cls):
    frozen, free = parameters((3,), (4,))
    optimizer = cls([frozen, free], weight_decay=0.1)
    walk(optimizer)
    frozen.trainable = False
    before = frozen.data.copy()
    walk(optimizer, first=3)
    np.testing.assert_array_equal(frozen.data, before)
    frozen.trainable = True
    walk(optimizer, first=6)
    assert not np.array_equal(frozen.data, before)


@every_optimizer
def test_a_step_makes_no_arrays(cls):
    params = parameters((200, 300), (300, 200), (20_000,))
    optimizer = cls(params, weight_decay=0.1, maximize=True)
    walk(optimizer)
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000  # bytes; an array of the largest has 240,000, NumPy's own buffers 66,000


@every_optimizer
@pytest.mark.parametrize("others", [[], [(3, 4), (2,)]])
def test_parameters_without_entries(cls, others):
    params = parameters((0, 3), *others, (3, 0), (0,))
    before = values(params)
    walk(cls(params, weight_decay=0.1))
    assert all(p.size == 0 or (p.data != w).any() for p, w in zip(params, before, strict=True))


@every_optimizer
def test_dtypes_are_packed_apart(cls):
    params = [*parameters((3,), (2,)), *parameters((4,), dtype=np.float64)]
    walk(cls(params))
    assert [p.data.dtype.name for p in params] == ["float32", "float32", "float64"]


def test_another_optimizer_takes_over():
    model = nn.Linear(2, 2)
    first = nn.SGD(model.parameters())
    nn.Adam(model.parameters())
    with pytest.raises(RuntimeError, match="SGD: another optimizer has taken over"):
        first.step()


def test_norms_are_clipped_over_all_groups():
    a, b, frozen = parameters((3,), (4,), (5,))
    frozen.trainable = False
    optimizer = nn.SGD([{"params": [a]}, {"params": [b, frozen]}], lr=1.0, clip_norm=1.0)
    give_gradients([a, b, frozen], 0)
    norm = np.sqrt((a.grad**2).sum() + (b.grad**2).sum())
    before, grads = values([a, b]), [a.grad.copy(), b.grad.copy()]
    optimizer.step()
    assert optimizer.grad_norm == pytest.approx(norm, rel=1e-6)
    for p, start, g in zip([a, b], before, grads, strict=True):
        np.testing.assert_allclose(start - p.data, g / norm, rtol=1e-4)
        np.testing.assert_array_equal(p.grad, g)


def test_norms_beyond_the_range_of_float32():
    (p,) = parameters((4,))
    p.grad = np.full(4, 1e30)
    optimizer = nn.SGD([p], lr=1.0, clip_norm=1.0)
    optimizer.step()
    assert optimizer.grad_norm == pytest.approx(2e30, rel=1e-6)
    p.grad = np.full(4, np.nan)
    with pytest.raises(RuntimeError, match="not finite"):
        optimizer.step()


def test_values_are_clipped():
    p = nn.Parameter([0.0, 0.0])
    p.grad = [5.0, -0.1]
    nn.SGD([p], lr=1.0, clip_value=0.5).step()
    np.testing.assert_allclose(p.data, [-0.5, 0.1])


def test_uphill_is_downhill_on_the_gradient_turned_round():
    (down,), (up,) = parameters((3,)), parameters((3,))
    options = {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.1, "clip_norm": 1.0}
    descent = nn.SGD([down], **options)
    ascent = nn.SGD([{"params": [up], "maximize": True}], **options)
    for k in range(3):
        give_gradients([down], k)
        up.grad = -down.grad
        descent.step(grad_scale=0.5)
        ascent.step(grad_scale=0.5)
    np.testing.assert_array_equal(up.data, down.data)
    assert ascent.grad_norm == descent.grad_norm > 0


def test_orthogonalized_matrices_have_singular_values_near_one():
    for shape in ((4, 4), (3, 7), (7, 3)):
        (p,) = parameters(shape, dtype=np.float64)
        before = p.data.copy()
        optimizer = nn.Muon([p], lr=1.0, weight_decay=0.0)
        give_gradients([p], 0)
        u, _, v = np.linalg.svd(p.grad, full_matrices=False)
        optimizer.step()
        way = (before - p.data) / np.sqrt(max(1, shape[1] / shape[0]))
        values = np.linalg.svd(way, compute_uv=False)
        assert values.min() > 0.6
        assert values.max() < 1.3
        assert np.abs(way - u @ v).max() < 0.35


def test_what_muon_keeps_depends_on_shape_and_group():
    hidden, kernel, head = parameters((3, 4), (3, 3, 2, 2), (4, 2))
    optimizer = nn.Muon([{"params": [hidden, kernel]}, {"params": [head], "matrices": False}])
    walk(optimizer)
    kept = [set(state) - {"steps"} for state in optimizer.state_dict()["parameters"]]
    assert kept == [{"momentum_buffer"}, {"exp_avg", "exp_avg_sq"}, {"exp_avg", "exp_avg_sq"}]
    lines = optimizer.equations
    assert "group 0: X 5 times" in lines
    assert lines["group 0: other m"] == lines["group 1: m"] == "m ← β₁ m + (1 − β₁) g"


def test_adafactor_keeps_a_row_and_a_column():
    params = parameters((30, 40), (40,), (2, 3, 5))
    optimizer = nn.Adafactor(params)
    walk(optimizer)
    kept = [
        {name: value.shape for name, value in state.items() if name != "steps"}
        for state in optimizer.state_dict()["parameters"]
    ]
    assert kept == [
        {"row_var": (30, 1), "col_var": (1, 40)},
        {"variance": (40,)},
        {"row_var": (2, 3, 1), "col_var": (2, 1, 5)},
    ]
    assert "vector v" in optimizer.equations
    assert "v" in nn.Adafactor([params[1]]).equations


def test_a_bias_of_zeros_moves_under_lamb():
    p = nn.Parameter(np.zeros(3))
    optimizer = nn.LAMB([p], lr=0.1)
    p.grad = [1.0, -2.0, 0.0]
    optimizer.step()
    np.testing.assert_allclose(p.data, [-0.1, 0.1, 0.0], rtol=1e-5)
    p.zero_grad()
    nn.LAMB([p]).step()  # no gradient: a direction of length 0
    np.testing.assert_allclose(p.data, [-0.1, 0.1, 0.0], rtol=1e-5)


def test_the_mean_of_asgd():
    p = nn.Parameter([1.0], dtype=np.float64)
    optimizer = nn.ASGD([p], lr=0.1, lambd=0.0, t0=2)
    path = []
    for k in range(8):
        p.grad = [(-1.0) ** k]
        optimizer.step()
        path.append(float(p.data[0]))
    mean = optimizer.state_dict()["parameters"][0]["ax"]
    np.testing.assert_allclose(mean, np.mean(path[3:]))


def test_small_slopes_have_signs_for_rprop():
    p = nn.Parameter([0.0])
    optimizer = nn.Rprop([p], lr=1.0)
    for _ in range(2):
        p.grad = [1e-30]  # the product of two is 0 in float32
        optimizer.step()
    np.testing.assert_allclose(p.data, [-2.2], rtol=1e-6)


def test_clipping_comes_before_l2_decay():
    p = nn.Parameter([2.0])
    p.grad = [10.0]
    nn.SGD([p], lr=1.0, weight_decay=0.5, clip_norm=1.0).step()
    np.testing.assert_allclose(p.data, [2 - (1 + 0.5 * 2)], atol=1e-5)


def test_groups_have_options_of_their_own():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = nn.SGD([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    give = np.array([1.0])
    a.grad, b.grad = give, give
    optimizer.step()
    np.testing.assert_allclose([a.data[0], b.data[0]], [0.9, 0.5])


def test_learning_rate_schedules_count_completed_steps():
    seen = []
    p = nn.Parameter([0.0])

    def schedule(k):
        seen.append(k)
        return 1.0 / (k + 1)

    optimizer = nn.SGD([p], lr=schedule)
    used = []
    for _ in range(3):
        p.grad = [1.0]
        optimizer.step()
        used.append(optimizer.current_lr)
    assert used == [1.0, 0.5, pytest.approx(1 / 3)]
    assert set(seen) == {0, 1, 2}
    optimizer.lr_scale = 0.5
    p.grad = [1.0]
    optimizer.step()
    assert optimizer.current_lr == pytest.approx(0.125)


def test_accumulated_gradients_are_scaled():
    p = nn.Parameter([0.0])
    p.grad = [6.0]
    nn.SGD([p], lr=1.0).step(grad_scale=0.5)
    np.testing.assert_allclose(p.data, [-3.0])
    np.testing.assert_allclose(p.grad, [6.0])


def test_zero_grad_reaches_frozen_parameters():
    a, frozen = parameters((2,), (2,))
    frozen.trainable = False
    optimizer = nn.SGD([a, frozen])
    give_gradients([a, frozen], 0)
    optimizer.zero_grad()
    assert not a.grad.any()
    assert not frozen.grad.any()


def test_a_rule_of_ones_own():
    space = {"nn": nn, "np": np}
    (example,) = re.findall(r"    class SignSGD.*?\n\n", nn.optimizers.base.__doc__, re.S)
    exec(textwrap.dedent(example), space)  # as it stands in the documentation
    p = nn.Parameter([1.0, 1.0])
    p.grad = [3.0, -0.2]
    space["SignSGD"]([p], lr=0.1).step()
    np.testing.assert_allclose(p.data, [0.9, 1.1])


def test_a_rule_names_what_it_needs_in_any_order():
    class Momentum(nn.Optimizer):
        state = {"m": "mean"}  # noqa: RUF012
        state_if = {"fast": {"n": "newest"}}  # noqa: RUF012
        scratch = ("a", "b")

        def __init__(self, parameters, lr=1e-3, keep=0.5, fast=False):
            super().__init__(parameters, lr, keep=keep, fast=fast)

        def update(self, w, g, lr, b, k, n, keep, m):
            m *= keep
            m += g
            if n is not None:
                n[:] = k
            w -= np.multiply(m, lr, out=b)

    p, q = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = Momentum([{"params": [p]}, {"params": [q], "keep": 0.25, "fast": True}], lr=0.5)
    for _ in range(2):
        p.grad, q.grad = [1.0], [1.0]
        optimizer.step()
    np.testing.assert_array_equal([p.data[0], q.data[0]], [1 - 0.5 * 2.5, 1 - 0.5 * 2.25])
    first, second = optimizer.state_dict()["parameters"]
    assert first == {"steps": 2, "mean": 1.5}
    assert second == {"steps": 2, "mean": 1.25, "newest": 2}
    state = optimizer.state_dict()
    optimizer.load_state_dict(state)  # each group is asked for what its own options call for
    state["parameters"].reverse()
    with pytest.raises(ValueError, match=r"parameter 0 needs \['mean'\], got \['mean', 'newest'\]"):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize(
    ("update", "match"),
    [
        (lambda self, w, g, m, learning_rate: None, "names 'learning_rate'; there are w, g, m, a,"),
        (lambda self, w, g, m, *, lr: None, r"names '\*lr'; there are"),
        (lambda self, w, g, m, **options: None, r"names '\*options'; there are"),
        (lambda self, w, g, lr: None, r"Rule.update\(self, w, g, lr\) does not name 'm'"),
        (lambda self, vectors, options, k: None, "must begin with self, w, g"),
        (lambda self, w: None, "must begin with self, w, g"),
    ],
)
def test_a_rule_that_names_what_is_not_there(update, match):
    rule = type("Rule", (nn.Optimizer,), {"update": update, "state": {"m": "mean"}})
    params = parameters((3,))
    first = nn.SGD(params)
    with pytest.raises(TypeError, match=match):
        rule(params, lr=0.1)
    first.step()  # it is still in charge


def test_a_rule_without_update():
    optimizer = type("Rule", (nn.Optimizer,), {})(parameters((3,)), lr=0.1)
    with pytest.raises(NotImplementedError, match="Rule must define update"):
        optimizer.step()


class Normalized(nn.Optimizer):
    """Each parameter moves by lr along its momentum, however long that is."""

    whole = True
    state = {"m": "mean"}  # noqa: RUF012

    def update(self, w, g, m, a, lr):
        assert w.shape == g.shape == m.shape == a.shape
        m += g
        np.multiply(m, lr / np.linalg.norm(m), out=a)
        w -= a


@pytest.mark.parametrize("chunk", [5, packing.CHUNK])
def test_a_whole_rule_takes_each_parameter_in_its_shape(chunk, monkeypatch):
    monkeypatch.setattr(packing, "CHUNK", chunk)
    params = parameters((3, 4), (4,), (), (2, 3, 2), (5,), dtype=np.float64)
    *_, frozen, last = params
    frozen.trainable = False
    groups = [{"params": params[:2]}, {"params": params[2:], "lr": 0.5, "weight_decay": 0.1}]
    optimizer = Normalized(groups, lr=0.25)
    expected, means = values(params), [np.zeros(p.shape) for p in params]
    for k in range(6):
        if k == 3:
            frozen.trainable, last.trainable = True, False
        give_gradients(params, k)
        for i, p in enumerate(params):
            if p.trainable:
                means[i] = means[i] + 2 * p.grad + (0.1 * expected[i] if i > 1 else 0)
                lr = 0.5 if i > 1 else 0.25
                expected[i] = expected[i] - means[i] * (lr / np.linalg.norm(means[i]))
        optimizer.step(grad_scale=2.0)
        optimizer = copy.deepcopy(optimizer) if k == 1 else optimizer
        params = optimizer.parameters
        *_, frozen, last = params
    for p, value in zip(params, expected, strict=True):
        np.testing.assert_allclose(p.data, value, rtol=1e-12)


def test_the_state_of_a_whole_rule_has_shapes_of_its_own():
    class RowScaled(nn.Optimizer):
        whole = True
        state = {"r": "rows"}  # noqa: RUF012

        def first_state(self, parameter, options):
            return {"rows": np.ones_like(parameter.data[..., :1])}

        def update(self, w, g, r, lr):
            r += (g * g).mean(axis=-1, keepdims=True)
            w -= lr * g / np.sqrt(r)

    params, others = parameters((3, 4), (5,)), parameters((3, 4), (5,))
    optimizer, other = RowScaled(params, lr=0.1), RowScaled(others, lr=0.1)
    start, _ = values(params)
    give_gradients(params, 0)
    grads = params[0].grad.copy()
    optimizer.step()
    rows = 1 + (grads**2).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(params[0].data, start - 0.1 * grads / np.sqrt(rows), rtol=1e-6)
    state = optimizer.state_dict()
    assert [entry["rows"].shape for entry in state["parameters"]] == [(3, 1), (1,)]
    for p, q in zip(params, others, strict=True):
        q.data = p.data
    other.load_state_dict(state)
    walk(optimizer)
    walk(other)
    assert_equal(values(params), values(others))
    state["parameters"][0]["rows"] = np.ones((3, 4))
    with pytest.raises(ValueError, match=r"rows has shape \(3, 4\) instead of \(3, 1\)"):
        optimizer.load_state_dict(state)


def test_arrays_to_work_in_are_not_kept_beyond_need():
    short, long = np.empty(3, np.float32), np.empty((2, 500_000), np.float32)
    before = packing.scratch_arrays(2, short)
    after = packing.scratch_arrays(2, long)
    assert [array.shape for array in after[:2]] == [long.shape] * 2
    again = packing.scratch_arrays(2, short)
    assert np.shares_memory(again[0], after[0])
    assert not np.shares_memory(again[0], before[0])
    four = packing.scratch_arrays(4, short)[:4]
    assert len({array.ctypes.data for array in four}) == 4


def test_arrays_to_work_in_go_with_their_thread():
    step, seen = nn.Adam([nn.Parameter(np.ones(7))]), []

    def work():
        step.step()
        seen.extend(map(weakref.ref, packing._scratch.vectors[np.dtype(np.float32)]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen
    assert not any(vector() is not None for vector in seen)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "optimizer",
    [
        nn.Adam,
        nn.Adamax,
        nn.NAdam,
        nn.RAdam,
        nn.LAMB,
        functools.partial(nn.SGD, lr=0.1, momentum=0.9),
        functools.partial(nn.RMSprop, momentum=0.9, centered=True),
    ],
)
def test_averages_fade_to_zero_and_not_to_subnormal_numbers(optimizer, dtype):
    w = nn.Parameter(np.ones(3), dtype)
    step = optimizer([w])
    w.grad[:] = 1e8 * np.finfo(dtype).tiny, 0, 1
    step.step()
    w.grad[:] = 0, 0, 1
    for _ in range(511):
        step.step()
    (state,) = step.state_dict()["parameters"]
    for name in {"exp_avg", "momentum_buffer"} & state.keys():
        np.testing.assert_array_equal(state[name][:2], 0)
        assert state[name][2] != 0


def test_long_averages_fade_stretch_by_stretch(monkeypatch):
    monkeypatch.setattr(packing, "CHUNK", 4)
    w = nn.Parameter(np.ones(11))
    step = nn.SGD([w], lr=0.1, momentum=0.9)
    w.grad[::2] = 1e-30
    step.step()
    w.grad[:] = 0
    for _ in range(255):
        step.step()
    np.testing.assert_array_equal(step.state_dict()["parameters"][0]["momentum_buffer"], 0)


def test_averages_in_half_precision_keep_their_small_values():
    w = nn.Parameter(np.ones(3), np.float16)
    step = nn.SGD([w], lr=0.1, momentum=0.5)
    w.grad[:] = 2.0**-20  # a gradient as any other, but subnormal
    for _ in range(256):
        step.step()
    (state,) = step.state_dict()["parameters"]
    np.testing.assert_array_equal(state["momentum_buffer"], 2 * w.grad)


def test_a_rule_that_lets_fade_what_it_does_not_have():
    class Faded(nn.Optimizer):
        fading = ("m",)

        def update(self, w, g, lr):
            w -= lr * g

    with pytest.raises(TypeError, match="fading names 'm', which is not in its state"):
        Faded([nn.Parameter(np.ones(3))], lr=0.1)


def test_a_rule_without_scratch_arrays_can_decay():
    class Plain(nn.Optimizer):
        scratch = ()

        def update(self, w, g, lr):
            w -= lr * g

    p = nn.Parameter([1.0, 2.0])
    p.grad = [3.0, 0.0]
    Plain([p], lr=0.1, weight_decay=0.5).step(grad_scale=2.0)
    np.testing.assert_allclose(p.data, [1 - 0.1 * 6.5, 2 - 0.1 * 1.0], rtol=1e-6)


def test_a_refused_optimizer_leaves_the_first_in_charge():
    model = nn.Linear(2, 2)
    first = nn.SGD(model.parameters())
    for lr in (lambda k: -1.0, lambda k: "1"):
        with pytest.raises(ValueError, match="Adam: lr schedule at step 0 must be a number ≥ 0"):
            nn.Adam([{"params": [model.weight]}, {"params": [model.bias], "lr": lr}])
    first.step()


def test_a_refused_step_updates_no_group():
    a, b = parameters((3,), (4,))
    optimizer = nn.SGD([{"params": [a]}, {"params": [b], "lr": lambda k: 1.0 if k < 1 else np.nan}])
    walk(optimizer, steps=1)
    before, state = values([a, b]), optimizer.state_dict()["parameters"]
    with pytest.raises(ValueError, match="lr schedule at step 1"):
        optimizer.step()
    assert_equal(values([a, b]), before)
    assert (optimizer.steps, optimizer.state_dict()["parameters"]) == (1, state)


@pytest.mark.parametrize("lr", [0, -1.0, float("nan"), float("inf"), "1", None, True])
def test_learning_rates_out_of_range(lr):
    with pytest.raises(ValueError, match="lr must be a number > 0"):
        nn.SGD(parameters((2,)), lr=lr)
    optimizer = nn.SGD(parameters((2,)))
    with pytest.raises(ValueError, match="lr must be"):
        optimizer.lr = lr
    assert optimizer.lr == 1e-3


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: nn.Adam([]), ValueError, "no parameters"),
        (lambda: nn.Adam(nn.ReLU().parameters()), ValueError, "no parameters"),
        (lambda: nn.Adam(nn.Parameter([1.0])), TypeError, "a list of Parameters"),
        (lambda: nn.Adam([np.ones(2)]), TypeError, "pass model.parameters"),
        (lambda: nn.Adam([nn.Parameter([1, 2])]), TypeError, "integers"),
        (lambda: nn.Adam([nn.Parameter([1.0])] * 2), ValueError, "there twice"),
        (lambda: nn.Adam(parameters((1,)), betas=(0.9, 1.0)), ValueError, "betas"),
        (lambda: nn.Adam(parameters((1,)), betas=0.9), ValueError, "betas must be two numbers"),
        (lambda: nn.Adam(parameters((1,)), betas=(0.9,)), ValueError, "betas must be two numbers"),
        (lambda: nn.Adam(parameters((1,)), betas=(0.9, "0")), ValueError, "betas must be two"),
        (lambda: nn.Adam([{"params": nn.Parameter([1.0])}]), TypeError, r"list .* wrap it in \["),
        (lambda: nn.Adam(parameters((1,)), clip_norm="1"), ValueError, "clip_norm must be"),
        (lambda: nn.NAdam(parameters((1,)), momentum_decay=-5.0), ValueError, "momentum_decay"),
        (lambda: nn.SGD(parameters((1,)), dampening=np.nan), ValueError, "dampening must be"),
        (lambda: nn.Adam(parameters((1,)), eps=-1), ValueError, "eps"),
        (lambda: nn.Adam(parameters((1,)), weight_decay=-1), ValueError, "weight_decay"),
        (lambda: nn.Adam(parameters((1,)), clip_norm=0), ValueError, "clip_norm"),
        (lambda: nn.SGD(parameters((1,)), momentum=1.5), ValueError, "momentum"),
        (lambda: nn.SGD(parameters((1,)), nesterov=True), ValueError, "esterov"),
        (lambda: nn.Adagrad(parameters((1,)), lr_decay=-1), ValueError, "lr_decay"),
        (lambda: nn.Adadelta(parameters((1,)), rho=2), ValueError, "rho"),
        (lambda: nn.RMSprop(parameters((1,)), alpha=1), ValueError, "alpha"),
        (lambda: nn.SGD([{"params": parameters((1,)), "lrr": 1}]), ValueError, "lrr"),
        (lambda: nn.SGD(parameters((1,)), maximize="no"), ValueError, "maximize must be True or"),
        (
            lambda: nn.Rprop(parameters((1,)), etas=(0.5, 0.9)),
            ValueError,
            r"above 1, got \(0.5, 0.9",
        ),
        (lambda: nn.Rprop(parameters((1,)), etas=(1.2, 0.5)), ValueError, "below and above 1"),
        (lambda: nn.Rprop(parameters((1,)), etas=(0, 2)), ValueError, "two numbers, each > 0"),
        (lambda: nn.Rprop(parameters((1,)), step_sizes=(2, 1)), ValueError, "must be in order"),
        (lambda: nn.ASGD(parameters((1,)), lambd=-1), ValueError, "lambd must be a number ≥ 0"),
        (lambda: nn.Adafactor(parameters((1,)), d=0.5), ValueError, "d must be a number ≥ 1"),
        (lambda: nn.Adafactor(parameters((1,)), beta2_decay=0.8), ValueError, "beta2_decay must"),
        (lambda: nn.Adafactor(parameters((1,)), eps=1e-3), ValueError, "eps must be two numbers"),
        (lambda: nn.Adafactor(parameters((1,)), eps=(0, None)), ValueError, "only the first eps"),
        (lambda: nn.Muon(parameters((1,)), ns_coefficients=(1, 2)), ValueError, "three numbers"),
        (
            lambda: nn.Muon(parameters((1,)), ns_coefficients=(1, 2, 3)),
            ValueError,
            "beyond 10 in 5",
        ),
        (lambda: nn.Muon(parameters((1,)), ns_steps=100), ValueError, "ns_steps must be a whole"),
        (lambda: nn.Muon(parameters((1,)), adjust_lr_fn="x"), ValueError, "adjust_lr_fn must be"),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda p: nn.SGD(p, learning_rate=0.1), "; learning_rate is lr here$"),
        (lambda p: nn.Adam(p, beta_1=0.9), "; beta_1 is betas here$"),
        (lambda p: nn.Adam(p, epsilon=1e-7), "; epsilon is eps here$"),
        (lambda p: nn.Adam(p, global_clipnorm=1.0), "; global_clipnorm is clip_norm here$"),
        (lambda p: nn.Adamax(p, foreach=True), "foreach makes no difference .*: leave it out$"),
        (lambda p: nn.RAdam(p, decoupled_weight_decay=True), r"with it is nn\.RAdamW$"),
        (lambda p: nn.AdamW(p, decoupled_weight_decay=True), "clip_norm, clip_value, maximize$"),
        (lambda p: nn.CosineSchedule(0.1, T_max=10), "; T_max is steps here$"),
        (lambda p: nn.CyclicSchedule(base_lr=0.1, max_lr=1.0), "; base_lr is min_lr here$"),
        (lambda p: nn.SGD(p, decay=0.1), "clip_norm, clip_value, maximize$"),
        (lambda p: nn.Trainer(nn.Linear(2, 2), nn.MSELoss(), "lamb"), r"write nn\.LAMB\("),
    ],
)
def test_words_of_other_libraries(make, match):
    with pytest.raises(TypeError, match=match):
        make(parameters((2,)))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda s: s["parameters"].pop(), "state of 1 parameters for 2"),
        (lambda s: s.pop("steps"), "Adam: the state has no steps"),
        (lambda s: s.pop("lr_scale"), "Adam: the state has no lr_scale"),
        (lambda s: s.update(lr_scale="1"), "lr_scale must be a number"),
        (lambda s: s.update(steps=-1), "steps must be a whole number"),
        (lambda s: s["parameters"][1].pop("steps"), "parameter 1: steps must be a whole"),
        (lambda s: s["parameters"].__setitem__(1, {"steps": 2}), "parameter 1 needs .*exp_avg"),
        (lambda s: s["parameters"][1].update(exp_avg=np.array(list("abcd"))), "not hold numbers"),
        (lambda s: s["parameters"][0].pop("exp_avg"), "parameter 0 needs"),
        (lambda s: s["parameters"][1].update(exp_avg=np.ones(7)), r"shape \(7,\) instead"),
    ],
)
def test_state_that_does_not_fit_changes_nothing(spoil, match):
    params = parameters((3,), (4,))
    optimizer = nn.Adam(params)
    walk(optimizer)
    twin = copy.deepcopy(optimizer)
    state = optimizer.state_dict()
    spoil(state)
    with pytest.raises(ValueError, match=match):
        optimizer.load_state_dict(state)
    walk(optimizer, first=3)
    walk(twin, first=3)
    assert_equal(values(params), values(twin.parameters))


def test_the_state_of_another_rule_is_refused():
    params = parameters((3,))
    sgd = nn.SGD(params)
    walk(sgd, steps=2)
    with pytest.raises(ValueError, match=r"Adam: parameter 0 needs \['exp_avg', 'exp_avg_sq'\]"):
        nn.Adam(params).load_state_dict(sgd.state_dict())


@every_optimizer
def test_state_from_before_the_first_step_can_be_loaded(cls):
    frozen, free = parameters((3,), (4,))
    frozen.trainable = False
    optimizer = cls([frozen, free])
    optimizer.load_state_dict(optimizer.state_dict())
    walk(optimizer)
    optimizer.load_state_dict(optimizer.state_dict())


def test_repr_names_the_options():
    optimizer = nn.SGD(parameters((2,)))
    optimizer.lr = 0.5
    assert "lr=0.5" in repr(optimizer)
    assert repr(nn.SGD(parameters((2,)), lr=0.1)).startswith("SGD(1 parameters, lr=0.1")
