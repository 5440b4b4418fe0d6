"""The engines: how one is chosen, what happens without Numba, and that twins equal definitions."""

import copy
import functools
import gc
import itertools
import os
import pickle
import subprocess
import sys
import textwrap
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from cases import LAYERS, layer_input, layer_of

import nnlite as nn
from nnlite.ops import (
    attention,
    chain,
    channels,
    dropout,
    engine,
    features,
    moments,
    ranks,
    recurrence,
    scatter,
    softmax,
    special,
    windows,
)
from nnlite.ops.convolution import depthwise, direct, winograd
from nnlite.ops.convolution.geometry import Geometry

numba = pytest.importorskip("numba")


@pytest.fixture
def compiled():
    """The compiled engine for one test."""
    before = nn.engine()
    nn.set_engine("numba")
    yield
    nn.set_engine(before)


def run(code, **environment):
    """What a new process prints, on both streams."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


# -- twins and definitions -------------------------------------------------------------------------

rng = np.random.default_rng(0)
SHAPES = [(7,), (5, 3), (2, 4, 33), (0, 3)]
ODD = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, -1e-42, 90, -90, 200, -200, 1e30])
CLASSES = np.array([0, 4, 2, 2])
LOG_P = np.log(rng.dirichlet(np.ones(5), 4))


def vectors(*signs):
    made = [rng.standard_normal(1000) for _ in signs]
    return [np.abs(v) if sign == "+" else v for v, sign in zip(made, signs, strict=True)]


images = np.random.default_rng(1)


def per_channel(groups, rows, together, c, odd=False):
    """Rows (B, R, k·C) of values with means, the channels, a mean and three factors for each."""
    x = images.standard_normal((groups, rows, together, c)) + np.linspace(-3, 3, c)
    if odd:
        x[0, 0, 0, :3] = np.nan, np.inf, -np.inf
    return x.reshape(groups, rows, -1), c, x.mean((1, 2)), images.standard_normal((3, groups, c))


PER_CHANNEL = [
    per_channel(1, 1, 5, 3),
    per_channel(4, 3, 2, 7),
    per_channel(1, 50, 64, 48),  # several runs, the last one shorter
    per_channel(1, 4, 3, 600),
    per_channel(1, 40, 256, 16),  # two threads
    per_channel(3, 2, 4, 4, odd=True),
]


def pooled(shape, *each, odd=False):
    """An image with ties and its windows, (size, kernel, stride, padding, count) for each axis."""
    x = images.integers(-2, 3, shape).astype(float)
    if odd:
        x.reshape(-1)[:: x.size // 9] = np.nan
        x.reshape(-1)[1 :: x.size // 7] = -np.inf
    along = [windows.Windows(*numbers) for numbers in each]
    y, above = windows.max_windows.definition(x, along)
    g = images.standard_normal(y.shape)
    g.reshape(-1)[:: g.size // 2 or 1] = np.inf
    return x, along, g, above


POOLED = [
    pooled((2, 4, 6, 5), (4, 2, 2, 0, 2), (6, 2, 2, 0, 3)),  # few channels
    pooled((2, 5, 7, 19), (5, 2, 2, 0, 2), (7, 2, 2, 0, 3), odd=True),  # values unused
    pooled((2, 5, 4, 37), (5, 2, 1, 0, 4), (4, 2, 1, 0, 3)),  # windows overlap
    pooled((2, 7, 16), (7, 3, 2, 0, 3), odd=True),  # sequences
    pooled((2, 7, 16), (7, 2, 3, 0, 2)),
    pooled((2, 5, 5, 16), (5, 2, 2, 0, 3), (5, 2, 2, 0, 3)),  # beyond the edge
    pooled((2, 5, 5, 16), (5, 3, 2, 1, 3), (5, 3, 2, 1, 3), odd=True),
    pooled((40, 16, 16, 16), (16, 2, 2, 0, 8), (16, 2, 2, 0, 8)),  # two threads
    pooled((0, 4, 4, 16), (4, 2, 2, 0, 2), (4, 2, 2, 0, 2)),
]


def convolved(shape, kernel, out=None, odd=False, **options):
    """Images, a kernel (for each channel, unless `out`), biases, a gradient and how they meet."""
    channels = shape[3]
    geometry = Geometry(kernel, groups=1 if out else channels, **options)
    sizes, out = (channels // geometry.groups, out or channels), out or channels
    size = shape[0], *geometry.out_size(shape[1:3]), out
    w, bias = images.standard_normal((*kernel, *sizes)), images.standard_normal(out)
    if odd:
        x = images.standard_normal(shape)
        x[0, :, 2], x[0, 1] = np.nan, np.inf
        return x, w, bias, images.standard_normal(size), geometry
    return images.standard_normal(shape), w, bias, images.standard_normal(size), geometry


AROUND = ((1, 1), (1, 1))
CONVOLVED = [
    convolved((2, 6, 5, 7), (3, 3), padding=AROUND),
    convolved((2, 9, 5, 300), (3, 2), padding=((2, 0), (0, 3)), dilation=(2, 1)),
    convolved((2, 9, 8, 3), (5, 3), stride=(2, 1), dilation=(1, 2)),  # values unused
    convolved((2, 9, 8, 3), (3, 3), stride=(2, 2), padding=AROUND),
    convolved((1, 1, 7, 4), (1, 1)),
    convolved((9, 31, 32, 16), (3, 3), padding=AROUND),  # two threads
    convolved((0, 5, 5, 3), (3, 3)),
]
OF_FEW_CHANNELS = [
    convolved((2, 6, 5, 1), (3, 3), 4, padding=AROUND),
    convolved((2, 9, 8, 3), (5, 3), 7, stride=(2, 1), dilation=(1, 2)),  # values unused
    convolved((2, 9, 8, 2), (3, 2), 5, padding=((2, 0), (0, 3)), dilation=(2, 1)),
    convolved((2, 9, 8, 3), (3, 3), 5, stride=(2, 2), padding=AROUND),
    convolved((2, 9, 8, 4), (3, 3), 5, padding=AROUND),
    convolved((1, 300, 33, 3), (5, 5), 4, padding=AROUND),  # more products than are summed at once
    convolved((2, 1, 9000, 3), (1, 11), 2),  # windows that do not fit into a buffer
    convolved((9, 31, 32, 3), (3, 3), 16, padding=AROUND),  # two threads
    convolved((2, 6, 5, 3), (3, 3), 4, odd=True, padding=AROUND),
    convolved((0, 5, 5, 3), (3, 3), 4),
]


def tiled(shape, out, padding=AROUND, odd=False):
    """Images, a kernel of 3×3 for all channels, biases, a gradient and how they meet."""
    x, geometry = images.standard_normal(shape), Geometry((3, 3), padding=padding)
    g = images.standard_normal((shape[0], *geometry.out_size(shape[1:3]), out))
    if odd:
        x[0, 4, 5, 2], x[1, 0, 0, 16], x[1, -1, -1] = np.nan, np.inf, -np.inf
        g[0, 3, 4, 1], g[1, 0, 0, 0], g[1, -1, -1] = np.nan, -np.inf, np.inf
    return (
        x,
        images.standard_normal((3, 3, shape[3], out)),
        images.standard_normal(out),
        g,
        geometry,
    )


TILED = [
    tiled((2, 9, 11, 16), 16),  # tiles reach beyond the edge
    tiled((3, 10, 10, 20), 33, ((0, 0), (0, 0))),  # vectors overlap
    tiled((1, 13, 7, 17), 16, ((0, 3), (2, 1))),
    tiled((1, 3, 1, 80), 150, ((4, 0), (9, 8))),  # products in parts; a tile in the padding alone
    tiled((2, 12, 9, 19), 18, odd=True),
    tiled((2, 6, 6, 16), 16),  # small tiles
    tiled((2, 8, 8, 12), 16),  # few channels
    tiled((9, 32, 16, 32), 24),  # two threads, several blocks that end within an image
    tiled((0, 8, 8, 16), 16),
]


ACTIVATIONS = [
    *(nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Sigmoid(), nn.Mish(), nn.LogSigmoid()),
    *(nn.Softplus(), nn.Softplus(2.5), nn.ELU(), nn.ELU(0.7), nn.SELU(), nn.CELU(2), nn.Tanh()),
    nn.LeakyReLU(),
]
more = np.random.default_rng(1)
MANY = np.concatenate([more.standard_normal(2200) * 3, np.linspace(-110, 110, 500), ODD])


MATRIX = more.standard_normal((150, 21)) * 3 + 1
GAMMA, BETA = more.standard_normal((2, 21))
MANY_ROWS = more.standard_normal((9000, 64))  # in two threads
ODD_ROWS = np.concatenate([np.roll(ODD, 3)[None], ODD[None], np.ones((2, 12)), np.zeros((1, 12))])


RANDOM_BITS = [
    more.integers(0, 1 << 16, shape, np.uint16) for shape in [(7, 5), (0, 3), (900, 900)]
]


def saved_of(layer):
    """What the layer keeps of all these values."""
    with np.errstate(all="ignore"):
        return list(layer.function(MANY)[1:])


# by function: arguments as float64 arrays and numbers; floats are cast, so each runs in both dtypes
ROWS = {
    softmax.log_softmax: [
        *[(rng.standard_normal(shape) * 5,) for shape in SHAPES[:3]],
        (np.array([[1e4, -1e4, 0], [-90, -90, -90.0], [0, 0, 20]]),),
        (np.array([[np.nan, 1, 2], [np.inf, 1, 2], [-np.inf, 1, 2], [-np.inf, -np.inf, 0]]),),
        (rng.standard_normal((3, 4, 5)), 1),
        (np.concatenate([rng.standard_normal((3, 37)) * 20 - 30, np.full((1, 37), -7.0)]),),
        (np.where(rng.random((200, 37)) < 0.02, np.nan, rng.standard_normal((200, 37))),),
        (np.where(rng.random((200, 37)) < 0.02, -np.nan, -np.abs(rng.standard_normal((200, 37)))),),
        (np.where(rng.random((200, 37)) < 0.02, np.inf, rng.standard_normal((200, 37))),),
        (np.where(rng.random((200, 37)) < 0.5, -np.inf, rng.standard_normal((200, 37))),),
        (np.full((2, 20), -np.inf),),
    ],
    softmax.log_softmax_at: [
        (LOG_P * 9, CLASSES),
        (rng.standard_normal((2, 2, 5)), CLASSES.reshape(2, 2)),
    ],
    special.times_derivative: [
        (rng.standard_normal(shape), nn.ReLU().derivative, [rng.standard_normal(shape)])
        for shape in [*SHAPES, (300, 300)]
    ]
    + [(np.tile(ODD, 200), nn.ReLU().derivative, [np.repeat(ODD, 200)])]
    + [(np.roll(MANY, 7), layer.derivative, saved_of(layer)) for layer in ACTIVATIONS],
    special.apply: [
        *[(layer.function, MANY) for layer in ACTIVATIONS],
        (nn.GELU().function, more.standard_normal((5, 3))),
        (nn.GELU().function, more.standard_normal((0, 3))),
        (nn.GELU().function, more.standard_normal((400, 2, 200))),
    ],
    dropout.mask_of_bits: [(bits, 20_000, np.dtype(np.float32)) for bits in RANDOM_BITS],
    dropout.dropout: [
        *[(more.standard_normal(bits.shape), bits, 20_000) for bits in RANDOM_BITS],
        (more.standard_normal((3, 7, 5)), RANDOM_BITS[0][:3, None], 20_000),
        (ODD, np.arange(12, dtype=np.uint16), 6),
    ],
    features.normalized: [
        *[(MATRIX, GAMMA, BETA, 1e-5, centre) for centre in (True, False)],
        *[(MATRIX, GAMMA, None, 1e-5, centre) for centre in (True, False)],
        *[(MATRIX, None, None, 1e-5, centre) for centre in (True, False)],
        *[(MATRIX * 1e20, GAMMA, BETA, 1e-5, centre) for centre in (True, False)],  # squares are ∞
        *[(rows, np.ones(rows.shape[1]), None, 1e-5, True) for rows in (ODD_ROWS, MATRIX[:0])],
        (MANY_ROWS, MANY_ROWS[0], MANY_ROWS[1], 1e-5, True),
    ],
    features.normalized_backward: [
        (MATRIX[::-1].copy(), MATRIX, MATRIX[:, :1], gamma, centre, needed)
        for gamma in (GAMMA, None)
        for centre in (True, False)
        for needed in (True, False)
    ]
    + [
        (ODD_ROWS, ODD_ROWS[::-1].copy(), ODD_ROWS[:, :1], np.ones(12), True, True),
        (MATRIX[:0], MATRIX[:0], MATRIX[:0, :1], GAMMA, True, True),
        (MANY_ROWS, MANY_ROWS[::-1].copy(), MANY_ROWS[:, :1], MANY_ROWS[0], True, True),
    ],
    channels.moments: [(rows, c) for rows, c, _, _ in PER_CHANNEL],
    channels.sums_along: [(rows[::-1].copy(), rows, mean) for rows, _, mean, _ in PER_CHANNEL],
    channels.scale_and_shift: [(rows, *factors[:2]) for rows, _, _, factors in PER_CHANNEL],
    channels.combine: [
        (rows[:, ::-1].copy(), rows, *factors) for rows, _, _, factors in PER_CHANNEL
    ],
    windows.max_windows: [(x, along) for x, along, *_ in POOLED],
    windows.max_windows_backward: [(g, above, along) for _, along, g, above in POOLED],
    depthwise.forward: [
        *[(x, w, bias, geometry) for x, w, bias, _, geometry in CONVOLVED],
        (*CONVOLVED[0][:2], None, CONVOLVED[0][4]),
    ],
    depthwise.weight_gradient: [(x, g, geometry) for x, _, _, g, geometry in CONVOLVED],
    direct.forward: [
        *[(x, w, bias, geometry) for x, w, bias, _, geometry in OF_FEW_CHANNELS],
        (*OF_FEW_CHANNELS[0][:2], None, OF_FEW_CHANNELS[0][4]),
    ],
    direct.weight_gradients: [
        *[(x, g, geometry, True) for x, _, _, g, geometry in OF_FEW_CHANNELS if x.shape[3] < 4],
        *[(x, g, geometry, False) for x, _, _, g, geometry in OF_FEW_CHANNELS],
    ],
    winograd.forward: [
        *[(x, w, bias, geometry) for x, w, bias, _, geometry in TILED],
        (*TILED[0][:2], None, TILED[0][4]),
    ],
    winograd.backward: [
        (x if needs_w else None, g, w if needs_x else None, x.shape, geometry)
        for x, w, _, g, geometry in TILED
        for needs_w, needs_x in ((True, True), (True, False), (False, True))
    ],
    scatter.add_rows: [
        (more.standard_normal((9, 4)), more.integers(0, 9, 50), more.standard_normal((50, 4))),
        (more.standard_normal((9, 4)), np.arange(0), np.ones((0, 4))),
        (np.zeros((3, 12)), np.array([2, 0, 2]), np.stack([ODD, ODD[::-1], np.roll(ODD, 1)])),
    ],
    ranks.ranks: [
        (LOG_P, CLASSES),
        (np.rint(MATRIX), np.arange(150) % 21),  # of equals the earlier ones are ahead
        (np.stack([np.roll(ODD, n) for n in range(12)]), np.arange(12) % 3),
        (MATRIX[:0], CLASSES[:0]),
        (LOG_P, CLASSES - 5),  # none of the classes: the definition counts them from the end
        (LOG_P, CLASSES.astype(np.int32)),
        (LOG_P, np.repeat(CLASSES, 2)[::2]),
    ],
    moments.running_mean: [
        (MATRIX, MATRIX[::-1], 0.9, None),
        (MATRIX[0], MATRIX[1], 0.999, np.empty(21)),
        (MATRIX[:0], MATRIX[:0], 0.9, None),
        (MATRIX, GAMMA, 0.9, None),
        (ODD, np.roll(ODD, 5), 0.9, None),
    ],
    moments.adam_step: [
        (*vectors("", "", "", "+"), None, np.empty(1000), 0.9, 0.999, 1e-8, 1e-2),
        (*vectors("", "", "", "+", "+"), np.empty(1000), 0.9, 0.999, 1e-8, 1e-2),
    ],
    moments.nadam_step: [
        (*vectors("", "", "", "+", "", ""), 0.9, 0.999, 1e-8, 1.5, 1e-2, 2e-2),
    ],
    moments.adagrad_step: [(*vectors("", "", "+", ""), 1e-8, 1e-2)],
    moments.adadelta_step: [(*vectors("", "", "+", "+", "", ""), 0.9, 1e-6, 1e-2)],
    moments.rms_step: [
        (*vectors("", "", "+"), None, None, *vectors(""), 0.9, 1e-8, 0.0, 1e-2),
        (*vectors("", "", "+"), None, *vectors("", ""), 0.9, 1e-8, 0.9, 1e-2),
        (*vectors("", "", "+", ""), None, *vectors(""), 0.9, 1e-8, 0.0, 1e-2),
    ],
    moments.gradient_step: [(*vectors("", "", ""), 1e-2)],
    moments.momentum_step: [
        (*vectors("", "", "", ""), 0.9, 1.0, False, 1e-2),
        (*vectors("", "", "", ""), 0.9, 0.5, True, 1e-2),
    ],
    moments.lion_step: [
        (*vectors("", "", "", ""), 0.9, 0.99, 1e-2),
        (ODD, ODD[::-1], np.roll(ODD, 3), ODD, 0.9, 0.99, 1e-2),
        (np.ones(4), np.zeros(4), np.zeros(4), np.zeros(4), 0.9, 0.99, 1e-2),
    ],
}
BELOW = {  # tested in their own ways
    *(chain.forward_chain, chain.backward_chain),
    *(recurrence.steps, recurrence.steps_back, recurrence.weight_grads),
    *(attention.attend, attention.attend_backward),
}
# add up terms that may cancel: exact to the rounding of the largest value
SUMS = {
    *(channels.sums_along, channels.scale_and_shift, channels.combine),
    *(depthwise.forward, depthwise.weight_gradient, direct.forward, direct.weight_gradients),
    *(winograd.forward, winograd.backward),
    *(features.normalized, features.normalized_backward, scatter.add_rows),
}
# where the arrays to work in stand, which hold anything afterwards
SCRATCH = {
    moments.running_mean: [3], moments.adam_step: [5], moments.nadam_step: [4, 5],
    moments.adagrad_step: [3], moments.adadelta_step: [4, 5], moments.rms_step: [5],
    moments.momentum_step: [3], moments.lion_step: [3], moments.gradient_step: [2],
}  # fmt: skip
CASES = [
    pytest.param(function, arguments, id=f"{function.__name__}-{number}")
    for function, rows in ROWS.items()
    for number, arguments in enumerate(rows)
]


def test_every_function_with_a_twin_has_a_row():
    assert set(engine.marked()) == {*ROWS, *BELOW}


def cast(value, dtype, layout):
    """A copy in this dtype, in memory of its own or with gaps."""
    if isinstance(value, list):
        return [cast(v, dtype, layout) for v in value]
    if not isinstance(value, np.ndarray):
        return value
    kept = value.astype(dtype if value.dtype.kind == "f" else value.dtype)
    if layout == "gaps":
        wide = np.zeros((*kept.shape, 2), kept.dtype)
        wide[..., 0] = kept
        return wide[..., 0]
    return kept


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["contiguous", "gaps"])
@pytest.mark.parametrize(("function", "arguments"), CASES)
def test_twins_equal_their_definitions(compiled, function, arguments, layout, dtype):
    ours, theirs = ([cast(a, dtype, layout) for a in arguments] for _ in range(2))
    with np.errstate(all="ignore"):
        returned = function(*ours)
        expected = function.definition(*theirs)
    tolerance = {"rtol": 8 * np.finfo(dtype).eps, "atol": 4 * np.finfo(dtype).eps}
    pairs = zip([*flat(returned), *flat(ours)], [*flat(expected), *flat(theirs)], strict=True)
    for one, other in pairs:
        assert np.asarray(one).dtype == np.asarray(other).dtype
        if any(one is ours[place] for place in SCRATCH.get(function, ())):
            continue
        if function in SUMS and np.size(other):
            largest = np.abs(other).max(initial=1, where=np.isfinite(other))
            terms = 50 if function.__module__.endswith(("features", "winograd")) else 4
            tolerance["atol"] = terms * np.finfo(dtype).eps * largest
        np.testing.assert_allclose(one, other, **tolerance)


def flat(value):
    if isinstance(value, list | tuple):
        return [part for each in value for part in flat(each)]
    return [value] if isinstance(value, np.ndarray | np.generic | float | int) else []


def test_rows_are_never_added_outside_of_the_array(compiled):
    for place in (3, -4):
        with pytest.raises(IndexError):
            scatter.add_rows(np.zeros((3, 2), np.float32), np.array([place]), np.ones((1, 2), "f"))


# -- attention -------------------------------------------------------------------------------------

# N, T, D, heads: more than one block of queries, one head, odd sizes, several threads, nothing
ATTENTION = [
    (3, 70, 12, 3),
    (2, 5, 4, 1),
    (1, 1, 6, 2),
    (9, 131, 33, 3),
    (40, 64, 8, 2),
    (0, 4, 4, 2),
]


@pytest.mark.parametrize("odd", [None, np.nan, np.inf])
@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shape", ATTENTION)
def test_attention_by_both(compiled, shape, causal, padded, dropped, odd):
    n, steps, features, heads = shape
    rng = np.random.default_rng(0)
    qkv = rng.standard_normal((n, steps, 3 * features)).astype(np.float32)
    if odd is not None and n > 1:
        qkv[1, steps // 2, ::features] = odd  # in one query, key and value
    q, k, v = np.split(qkv, 3, axis=-1)
    valid = np.arange(steps) < rng.integers(1, steps + 1, (n, 1)) if padded else None
    mask = None
    if dropped:
        mask = (rng.random((n, heads, steps, steps)) < 0.9).astype(np.float32) / np.float32(0.9)
    grad = rng.standard_normal((n, steps, features)).astype(np.float32)

    def both(attend, attend_backward):
        o, p = attend(q, k, v, heads, causal, valid, mask)
        return o, p, attend_backward(grad, q, k, v, o, p, mask, 0.3)

    forward, backward = attention.attend, attention.attend_backward
    with np.errstate(all="ignore"):
        ours = both(forward, backward)
        theirs = both(forward.definition, backward.definition)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-5)
    np.testing.assert_array_equal(ours[1] == 0, theirs[1] == 0)


def test_a_query_that_sees_nothing_is_nan_for_both(compiled):
    q, k, v = np.split(np.ones((2, 3, 6), np.float32), 3, axis=-1)
    valid = np.zeros((2, 3), bool)
    with np.errstate(all="ignore"):
        for attend in (attention.attend, attention.attend.definition):
            assert all(np.isnan(a).all() for a in attend(q, k, v, 1, False, valid, None))


# -- choosing one ----------------------------------------------------------------------------------


def test_numpy_is_the_default():
    assert run("import nnlite as nn; print(nn.engine())").strip() == "numpy"


def test_the_environment_chooses_without_importing_numba():
    code = "import sys, nnlite as nn; print(nn.engine(), 'numba' in sys.modules)"
    assert run(code, NNLITE_ENGINE="numba").strip() == "numba False"


def test_an_unknown_engine_in_the_environment_is_told():
    printed = run("import nnlite as nn; print(nn.engine())", NNLITE_ENGINE="fortran")
    assert 'NNLITE_ENGINE must be "numpy" or "numba", got \'fortran\'' in printed
    assert printed.startswith("numpy")


@pytest.mark.parametrize("name", ["cuda", "", None, True, 1])
def test_an_unknown_engine_is_refused(name):
    with pytest.raises((TypeError, ValueError), match="set_engine: name must be"):
        nn.set_engine(name)


def test_both_train_alike(compiled):
    def losses():
        nn.seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
        x = np.random.default_rng(1).standard_normal((90, 4)).astype(np.float32)
        return trainer.fit(x, np.arange(90) % 3, epochs=3, verbose=False)["loss"]

    fast = losses()
    nn.set_engine("numpy")
    np.testing.assert_allclose(fast, losses(), rtol=1e-5)


# -- when Numba is no help -------------------------------------------------------------------------

TRAIN = """
    import sys, numpy as np
    {before}
    import nnlite as nn
    model = nn.Sequential(nn.Linear(2, 4, rng=0), nn.ReLU(), nn.Linear(4, 2, rng=1))
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()), rng=0)
    trainer.fit(np.ones((8, 2)), np.arange(8) % 2, epochs=2, verbose=False)
    print(nn.engine(), trainer.last_loss)
"""


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ("sys.meta_path.insert(0, type('No', (), {'find_spec': staticmethod(lambda n, *a: "
         "(_ for _ in ()).throw(ImportError('NumPy is too new')) if n == 'numba' else None)}))",
         "Numba cannot be imported: NumPy is too new"),
        ("sys.meta_path.insert(0, type('No', (), {'find_spec': staticmethod(lambda n, *a: "
         "(_ for _ in ()).throw(ModuleNotFoundError(n, name=n)) if n == 'numba' else None)}))",
         "Numba is not installed: pip install 'nnlite[fast]'"),
        ("import numba; numba.__version__ = '0.50.1'", "Numba 0.50.1 is too old"),
    ],
    ids=["broken", "missing", "old"],
)  # fmt: skip
def test_numpy_goes_on_with_one_warning(before, said):
    printed = run(TRAIN.format(before=before), NNLITE_ENGINE="numba")
    plain = run(TRAIN.format(before=""))
    assert printed.count("ModelWarning") == 1
    assert said in printed
    assert plain.strip() in printed


def test_numpy_goes_on_when_a_kernel_does_not_compile(compiled, monkeypatch):
    from nnlite.ops.compiled import softmax as twins

    def broken(*arguments):
        raise numba.core.errors.TypingError("no such type\nand more")

    monkeypatch.setattr(twins, "log_softmax", broken)
    nn.set_engine("numba")  # looks for its twins anew
    x = np.ones((2, 3), np.float32)
    with pytest.warns(nn.ModelWarning, match=r"failed to compile log_softmax: no such type; NumPy"):
        y = softmax.log_softmax(x)
    np.testing.assert_array_equal(y, softmax.log_softmax.definition(x))
    assert nn.engine() == "numpy"


def test_without_a_folder_for_the_cache_kernels_are_compiled_for_this_process(monkeypatch):
    from nnlite.ops.compiled import kernel

    def no_folder(function):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(kernel, "_Cache", no_folder)
    assert kernel.kernel(lambda a, b: a + b)(1, 2) == 3


def test_kernels_on_disk_belong_to_the_code_as_it_is():
    from nnlite.ops.compiled import kernel

    assert kernel.kernel(lambda x: x).py_func.__qualname__.endswith(f"_{kernel.VERSION:08x}")


def test_a_checkpoint_of_one_engine_goes_on_with_the_other(compiled, tmp_path):
    x, y = np.random.default_rng(0).standard_normal((40, 4)), np.arange(40) % 3

    def trainer():
        nn.seed(0)
        model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        return nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))

    first = trainer()
    first.fit(x, y, epochs=1, verbose=False)
    first.save(tmp_path / "run.ckpt")
    nn.set_engine("numpy")
    with pytest.warns(nn.ModelWarning, match="engine numba in the file, numpy now"):
        trainer().fit(x, y, epochs=2, resume=tmp_path / "run.ckpt", verbose=False)


def test_methods_of_other_classes_have_no_kernels():
    from nnlite.ops.compiled.special import _DERIVATIVES

    class ReLU(nn.Elementwise):
        def derivative(self, y):
            return y

    assert _DERIVATIVES.get(nn.ReLU().derivative) is not None
    assert _DERIVATIVES.get(ReLU().derivative) is None
    assert _DERIVATIVES.get(lambda y: y) is None


def test_products_inside_kernels():
    from nnlite.ops.compiled import blas
    from nnlite.ops.compiled.kernel import kernel

    @kernel
    def products(a, b, c, d, e):
        blas.product(a, b, c, 0.0)
        blas.product_with_transposed(c, b, d, 1.0)
        blas.transposed_product(a, c, e, 2.0)

    assert blas.available  # with NumPy's own wheel, as in these tests
    shapes = [(5, 4), (4, 3), (5, 9), (5, 4), (4, 3)]
    a, b, wide, d, e = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    c = wide[:, 2:5]  # rows with gaps
    expected_c = a @ b
    expected = [expected_c, d + expected_c @ b.T, 2 * e + a.T @ expected_c]
    products(a, b, c, d, e)
    for got, wanted in zip([c, d, e], expected, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


# -- chains ----------------------------------------------------------------------------------------


class Own(nn.Linear):
    """A user's layer, which computes something else."""

    def forward(self, x):
        return super().forward(x) * 2

    def backward(self, grad_output):
        return super().backward(grad_output * 2)


def linear(*sizes, cls=nn.Linear, **options):
    return cls(*sizes, rng=sum(sizes), **options)


def watch(layer):
    """Note what its forward is called with."""
    layer.seen = []
    forward = layer.forward
    layer.forward = lambda x: layer.seen.append(x.copy()) or forward(x)


MODELS = {
    "pairs": lambda: [linear(5, 70), nn.ReLU(), linear(70, 9), nn.ReLU(), linear(9, 3)],
    "no bias": lambda: [linear(5, 8, bias=False), nn.ReLU(), linear(8, 3, bias=False)],
    "rectifiers alone": lambda: [nn.ReLU(), linear(5, 4), nn.ReLU(), nn.ReLU(), linear(4, 3)],
    "linear alone": lambda: [linear(5, 4), linear(4, 3)],
    "others between": lambda: [linear(5, 4), nn.Tanh(), linear(4, 6), nn.ReLU(), nn.LayerNorm(6)],
    "a user's": lambda: [linear(5, 4, cls=Own), nn.ReLU(), linear(4, 4, cls=Own), linear(4, 3)],
    "watched": lambda: [linear(5, 4), nn.ReLU(), linear(4, 3), nn.ReLU()],
    "nested": lambda: [nn.Residual(nn.Sequential(linear(5, 5), nn.ReLU())), linear(5, 3)],
    "nothing to train": lambda: [nn.ReLU(), nn.Flatten()],
}


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", MODELS)
def test_chains_leave_what_their_layers_would_leave(compiled, kind, dtype, needed):
    """Outputs, slots, gradients that add up, and the input's gradient, over 130 rows."""
    found = []
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        model = nn.Sequential(*MODELS[kind]()).astype(dtype)
        for layer in model[1:3] if kind == "watched" else ():
            watch(layer)
        model.needs_input_grad = needed
        x = np.random.default_rng(0).standard_normal((130, 5)).astype(dtype)
        for _ in range(2):  # the second time, gradients add up
            y = model(x)
            slots = [each for layer in model for each in layer._slot if each is not None]
            grad = np.random.default_rng(1).standard_normal(y.shape).astype(dtype)
            d_x = model.backward(grad)
        grads = [p.grad for p in model.parameters()]
        assert all(layer._slot is None for layer in model)
        assert kind != "watched" or all(len(layer.seen) == 2 for layer in model[1:3])
        seen = [a for layer in model for a in getattr(layer, "seen", [])]
        found.append([y, *([] if d_x is None else [d_x]), *grads, *seen, *flat(list(slots))])
        assert (d_x is not None) == needed
    for one, other in zip(*found, strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e3 * np.finfo(dtype).eps)


POOLINGS = {
    "tiles": ((3, 6, 4, 16), lambda: [nn.ReLU(), nn.MaxPool2d(2)]),
    "values unused": ((3, 5, 7, 19), lambda: [nn.ReLU(), nn.MaxPool2d(2)]),
    "overlapping": ((3, 5, 7, 37), lambda: [nn.ReLU(), nn.MaxPool2d(2, 1)]),
    "rows": ((3, 6, 4, 16), lambda: [nn.Tanh(), nn.ReLU(), nn.MaxPool2d((1, 3))]),
    "two threads": ((40, 16, 16, 16), lambda: [nn.ReLU(), nn.MaxPool2d(2)]),
    "no images": ((0, 6, 4, 16), lambda: [nn.ReLU(), nn.MaxPool2d(2)]),
    "few channels": ((3, 6, 4, 5), lambda: [nn.ReLU(), nn.MaxPool2d(2)]),
    "padding": ((3, 6, 4, 16), lambda: [nn.ReLU(), nn.MaxPool2d(2, padding=1)]),
    "sequences": ((3, 6, 16), lambda: [nn.ReLU(), nn.MaxPool1d(2)]),
    "twice": ((3, 8, 8, 16), lambda: [nn.ReLU(), nn.MaxPool2d(2), nn.ReLU(), nn.MaxPool2d(2)]),
}


@pytest.mark.parametrize(
    ("kind", "dtype", "layout"),
    [
        *[(kind, np.float32, "contiguous") for kind in POOLINGS],
        *[("tiles", np.float64, "contiguous"), ("overlapping", np.float32, "gaps")],
        ("tiles", np.float32, "read-only"),
    ],
)
def test_rectified_maxima_are_those_of_their_layers(compiled, kind, dtype, layout):
    """With every engine before every other one, and with ties, NaN and infinite values."""
    shape, make = POOLINGS[kind]
    x = np.random.default_rng(0).integers(-2, 2, shape).astype(float)
    for place, value in enumerate((np.nan, np.inf, -np.inf, -0.0)):
        x.reshape(-1)[place :: x.size // 7 + 1] = value
    x = cast(x, dtype, layout)
    found = []
    for ahead, back in itertools.product(("numpy", "numba"), repeat=2):
        nn.set_engine(ahead)
        model = nn.Sequential(*make())
        x.flags.writeable = layout != "read-only"
        with np.errstate(all="ignore"):
            y = model(x)
            grad = np.random.default_rng(1).standard_normal(y.shape)
            grad.reshape(-1)[:: y.size // 3 or 1] = np.inf
            grad = cast(grad, dtype, layout)
            grad.flags.writeable = layout != "read-only"
            nn.set_engine(back)
            d_x = model.backward(grad)
        assert all(layer._slot is None for layer in model)
        found.append((y, d_x))
    for y, d_x in found:
        assert y.dtype == d_x.dtype == dtype
        np.testing.assert_allclose(y, found[0][0], rtol=1e-6)
        np.testing.assert_allclose(d_x, found[0][1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("place", [0, 1])
def test_rectified_maxima_are_left_to_layers_that_are_watched(compiled, place):
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    watch(model[place])
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 16)).astype(np.float32)
    y = model(x)
    np.testing.assert_array_equal(model[place].seen, [x if place == 0 else np.maximum(x, 0)])
    assert y.shape == (2, 2, 2, 16)
    model.backward(y)
    with nn.inference():
        model(x)
    assert all(layer._slot is None for layer in model)


def test_rectified_maxima_with_their_places_and_errors(compiled):
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, return_indices=True))
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 16)).astype(np.float32)
    y, places = model(x)
    assert y.shape == places.shape == (2, 2, 2, 16)
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(5))
    with pytest.raises(ValueError, match=r"in Sequential layer 1 › MaxPool2d.*larger than"):
        model(x)
    model = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    for problem in ("matching forward", r"dL/dy in y's shape \(2, 2, 2, 16\)"):
        with pytest.raises((RuntimeError, ValueError), match=problem):
            model.backward(np.ones((2, 2, 3, 16), np.float32))
        model(x)


@pytest.mark.parametrize("shape", [(4,), (2, 3, 5), (0, 5), (7, 6), (1, 5)])
def test_chains_take_and_refuse_what_their_layers_do(compiled, shape):
    said = []
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        model = nn.Sequential(*MODELS["pairs"]())
        try:
            said.append(model(np.ones(shape, np.float32)).shape)
        except (TypeError, ValueError) as error:
            said.append(str(error))
    assert said[0] == said[1]


@pytest.mark.parametrize("shape", [(3,), (7, 4), (6, 3), (0, 3), (8, 3)])
@pytest.mark.parametrize("kind", ["pairs", "watched"])  # which end in a Linear and in a ReLU
def test_chains_refuse_gradients_as_their_layers_do(compiled, kind, shape):
    said = []
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        model = nn.Sequential(*MODELS[kind]())
        model(np.ones((7, 5), np.float32))
        with pytest.raises(ValueError, match=r"dL/dy in y's shape \(7, 3\)") as caught:
            model.backward(np.ones(shape, np.float32))
        said.append(str(caught.value))
        assert all(not p.grad.any() for p in model.parameters())
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ["weight", "bias"])
@pytest.mark.parametrize("way", ["forward", "backward"])
def test_a_chain_looks_at_weights_that_were_replaced(compiled, name, way):
    """Arrays that do not fit each other would be read beyond their ends."""
    model = nn.Sequential(linear(5, 4), nn.ReLU(), linear(4, 3))
    x = np.ones((7, 5), np.float32)
    if way == "backward":
        model(x)
    setattr(model[2], name, nn.Parameter(np.ones((400, 300) if name == "weight" else 300)))
    with pytest.raises(ValueError, match=r"layer 2 › Linear\(4, 3\)"):
        model(x) if way == "forward" else model.backward(np.ones((7, 3), np.float32))


@pytest.mark.parametrize("name", {type(layer_of(c)): name for name, c in LAYERS.items()}.values())
def test_one_sample_out_of_many_counts_as_any_other(compiled, name):
    """The array x[0][None] has a step of 0 from sample to sample, which no product may read."""
    case, (y, d_x, found) = LAYERS[name], ([], [], [])
    x = np.ascontiguousarray(layer_input(case, np.float32)[:1])
    for each in ("numpy", "numba"):
        nn.set_engine(each)
        nn.seed(0)
        layer = layer_of(case, np.float32).eval()
        y.append(layer(x[0][None]))
        d_x.append(layer.backward(np.ones_like(y[0][0])[None]))
        found.append([p.grad for p in layer.parameters()])
    for one, other in zip((y[0], d_x[0], *found[0]), (y[1], d_x[1], *found[1]), strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def replaced(layer, path, more):
    """Put an array with so many more values along each axis in a parameter's place."""
    place, _, name = path.rpartition(".")
    owner = layer.named_layers()[place]
    shape = tuple(max(1, d + more) for d in getattr(owner, name).data.shape)
    setattr(owner, name, nn.Parameter(np.full(shape, 0.5)))


@pytest.mark.parametrize("name", {type(layer_of(c)): name for name, c in LAYERS.items()}.values())
@pytest.mark.parametrize("more", [-1, 1])
def test_weights_that_were_replaced_are_refused_as_numpy_refuses_them(compiled, name, more):
    case = LAYERS[name]
    x = layer_input(case, np.float32)
    for path in layer_of(case).named_parameters():
        said = []
        for each in ("numpy", "numba"):
            nn.set_engine(each)
            layer = layer_of(case, np.float32)
            try:
                replaced(layer, path, more)
                layer(x)
                said.append("nothing")
            except (ValueError, IndexError) as error:
                said.append(type(error).__name__)
        assert said[0] == said[1], path


@pytest.mark.parametrize("kind", [">f4", "<f4"])
def test_a_chain_takes_floats_in_any_byte_order(compiled, kind):
    model = nn.Sequential(linear(5, 4), nn.ReLU())
    x = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    np.testing.assert_array_equal(model(x.astype(kind)), model(x))
    assert nn.engine() == "numba"


def test_a_chain_uses_a_method_that_was_put_into_the_class(compiled, monkeypatch):
    model = nn.Sequential(linear(3, 3), nn.ReLU())
    before = model(np.ones((2, 3), np.float32))
    monkeypatch.setattr(nn.ReLU, "function", lambda self, x: (-x, x))
    assert (model(np.ones((2, 3), np.float32)) != before).any()


def test_what_is_known_of_a_chain_goes_with_its_model(compiled):
    """A layer that is watched later is seen, and no model is kept from going."""
    x = np.ones((2, 3), np.float32)
    model = nn.Sequential(linear(3, 3), nn.ReLU())
    model[1]._inside = model
    y = model(x)
    for other in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(other(x), y)
        assert other[0]._slot is not None
    watch(model[1])
    model(x)
    assert len(model[1].seen) == 1
    del other
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    for _ in range(50):  # new ones at the places of old ones
        np.testing.assert_array_equal(nn.Sequential(nn.ReLU())(-x), np.zeros_like(x))
        assert (nn.Sequential(linear(3, 3))(x) == nn.Sequential(linear(3, 3))[0](x)).all()


def test_a_chain_that_was_not_run_says_so(compiled):
    model = nn.Sequential(linear(3, 3), nn.ReLU())
    with pytest.raises(RuntimeError, match="backward without a matching forward"):
        model.backward(np.ones((2, 3), np.float32))


# -- layers in blocks ------------------------------------------------------------------------------


def transformer(**options):
    return nn.TransformerLayer(12, 3, 20, rng=0, **options)


def inner(*layers):
    return nn.Residual(nn.Sequential(*layers))


IN_BLOCKS = {
    "transformer": lambda: [transformer(), transformer(causal=True), linear(12, 5)],
    "dropout": lambda: [transformer(dropout=0.3), transformer(dropout=0.3, activation="relu")],
    "post-norm": lambda: [transformer(norm_first=False, activation=nn.GELU("tanh"))],
    "no bias": lambda: [transformer(bias=False), nn.LayerNorm(12, bias=False)],
    # x of a shortcut, or what a slot holds, must not be written over
    "shortcuts": lambda: [linear(12, 12), inner(nn.GELU(), linear(12, 12)), inner(nn.RMSNorm(12))],
    "rectifiers": lambda: [linear(12, 12), nn.ReLU(), inner(nn.Dropout(0)), nn.Dropout(0.5, rng=1)],
    "nothing inside": lambda: [linear(12, 12), nn.GELU(), linear(12, 12), inner()],
    "others between": lambda: [linear(12, 6), nn.GELU(), nn.Tanh(), nn.LayerNorm(6), linear(6, 5)],
    "a user's": lambda: [inner(linear(12, 12, cls=Own), nn.GELU()), transformer()],
    "two axes": lambda: [linear(12, 12), nn.GELU(), nn.LayerNorm((30, 12)), linear(12, 12)],
    "watched": lambda: [transformer(), transformer()],
    "nothing to train first": lambda: [nn.Dropout(0.5, rng=0), linear(12, 4), nn.GELU()],
}


@pytest.fixture
def in_blocks(compiled, monkeypatch):
    """Small arrays in blocks too; how long the runs were, which the engine has made."""
    from nnlite.ops.compiled import blocks

    monkeypatch.setattr(blocks, "LEAST", 1)
    runs, run = [], blocks.Plan.run
    monkeypatch.setattr(
        blocks.Plan, "run", lambda plan: (runs.append((plan.way, len(plan.work))), run(plan))
    )
    return runs


def sequences_of(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize("samples", [40, 9])  # in two threads, and in one
@pytest.mark.parametrize("kind", IN_BLOCKS)
def test_blocks_leave_what_their_layers_would_leave(in_blocks, kind, samples, needed):
    """Outputs, slots, gradients that add up, and generators, of both engines."""
    found = []
    x = sequences_of(samples, 30, 12)
    x.flags.writeable = False
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        nn.seed(0)
        model = nn.Sequential(*IN_BLOCKS[kind]())
        if kind == "watched":
            watch(model.named_layers()["0.layers.1.branch.2"])  # a GELU
        model.needs_input_grad = needed
        for _ in range(2):
            y = model(x)
            layers = model.named_layers()
            slots = {
                path: [np.copy(a) for a in flat(list(each._slot))] for path, each in layers.items()
            }
            grad = sequences_of(*y.shape, seed=1)
            grad.flags.writeable = False
            d_x = model.backward(grad)
        assert all(layer._slot is None for layer in layers.values())
        states = [layer.rng.random() for layer in layers.values() if hasattr(layer, "rng")]
        grads = [p.grad for p in model.parameters()]
        found.append(
            [y, *([] if d_x is None else [d_x]), *grads, *flat([*slots.values()]), *states]
        )
        assert (d_x is not None) == needed
    assert {way for way, _ in in_blocks} == {"forward", "backward"}
    for one, other in zip(*found, strict=True):
        assert np.asarray(one).dtype == np.asarray(other).dtype
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_whole_transformer_is_one_run_each_way(in_blocks):
    model = nn.Sequential(transformer(), transformer(dropout=0.1), linear(12, 5))
    model.backward(sequences_of(*model(sequences_of(8, 3, 12)).shape))
    assert [way for way, _ in in_blocks] == ["forward", "backward"]


def test_blocks_keep_nothing_in_inference(in_blocks):
    """What another pass has left stays, and each layer of a model is a run by itself."""
    model = nn.Sequential(transformer(), transformer())
    x = sequences_of(8, 3, 12)
    y = model(x)
    slots = [layer._slot for layer in model.named_layers().values()]
    with nn.inference():
        np.testing.assert_array_equal(model(x), y)
    kept = [layer._slot for layer in model.named_layers().values()]
    assert all(one is other for one, other in zip(slots, kept, strict=True))
    assert [count for _, count in in_blocks] == [20, 10, 10]


def test_blocks_pass_on_nan_and_infinities(in_blocks):
    found = []
    x = sequences_of(8, 3, 12)
    x[1, 0, 0], x[2, 1, 3], x[5, 2, 5] = np.nan, np.inf, 1e-42
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        model = nn.Sequential(transformer(activation="relu"), transformer())
        with np.errstate(all="ignore"):
            y = model(x)
            d_x = model.backward(x[::-1].copy())
        found.append([y, d_x, *(p.grad for p in model.parameters())])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("x", "counts"),
    [
        (sequences_of(8, 3, 12), [3]),
        (sequences_of(8, 3, 12).astype(">f4"), [2]),  # the first layer by itself
        (sequences_of(8, 12, 3).swapaxes(1, 2), [2]),
        (sequences_of(8, 3, 24)[..., ::2], [2]),
        (sequences_of(7, 3, 12), []),  # few samples
        (sequences_of(8, 3, 12).astype(np.float64), []),
        (sequences_of(0, 3, 12), []),
        (sequences_of(8, 12), []),
        (nn.Padded(sequences_of(8, 3, 12), [3] * 8), []),
    ],
)
def test_only_some_arrays_are_worked_on_in_blocks(in_blocks, x, counts):
    nn.Sequential(linear(12, 12), nn.LayerNorm(12), linear(12, 5))(x)
    assert [count for _, count in in_blocks] == counts


@pytest.mark.parametrize("shape", [(8, 0, 12), (8, 3, 11), (9, 3, 12)])
def test_blocks_take_and_refuse_what_their_layers_do(in_blocks, shape):
    said = []
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        model = nn.Sequential(transformer())
        try:
            model(np.ones(shape, np.float32))
            model.backward(np.ones((8, 3, 12), np.float32))
        except ValueError as error:
            said.append(str(error))
        assert not any(p.has_grad for p in model.parameters())
    assert said[0] == said[1]


@pytest.mark.parametrize("more", [-1, 1])
@pytest.mark.parametrize("way", ["forward", "backward"])
def test_blocks_look_at_weights_that_were_replaced(in_blocks, way, more):
    x = sequences_of(8, 3, 12)
    for path in transformer().named_parameters():
        said = []
        for name in ("numba", "numpy"):
            nn.set_engine(name)
            model = nn.Sequential(transformer())
            if way == "backward":
                model(x)
            replaced(model, f"0.{path}", more)
            try:
                model(x) if way == "forward" else model.backward(x)
                said.append("nothing")
            except (ValueError, IndexError) as error:
                said.append(str(error))
        assert said[0] == said[1], path


def test_heads_that_do_not_divide_the_features_are_refused(in_blocks):
    said = []
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        model = nn.Sequential(transformer())
        model[0].layers[0].branch[1].num_heads = 5
        with pytest.raises(ValueError, match="MultiHeadAttention") as error:
            model(sequences_of(8, 3, 12))
        said.append(str(error.value))
    assert said[0] == said[1]


def test_blocks_that_were_not_run_say_so(in_blocks):
    model = nn.Sequential(transformer())
    x = sequences_of(8, 3, 12)
    model(x)
    model.backward(x)
    with pytest.raises(RuntimeError, match="backward without a matching forward"):
        model.backward(x)


def test_blocks_leave_slots_of_another_dtype_than_the_gradient_alone(in_blocks):
    found = []
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        layers = nn.GELU(), linear(12, 12, bias=False), nn.ReLU(), nn.Dropout(0.5, rng=0)
        model = nn.Sequential(linear(12, 12, bias=False), *layers).astype(np.float64)
        model(sequences_of(8, 3, 12).astype(np.float64))
        found.append(
            [model.backward(sequences_of(8, 3, 12)), *(p.grad for p in model.parameters())]
        )
    assert not in_blocks
    for one, other in zip(*found, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_array_equal(one, other)


def test_blocks_empty_the_slots_of_layers_whose_gradients_nobody_needs(in_blocks):
    """Those inside of others too."""
    still = nn.Residual(nn.Sequential(nn.Dropout(0.5, rng=0)))
    model = nn.Sequential(nn.Sequential(still, linear(12, 12), nn.LayerNorm(12)))
    model.needs_input_grad = False
    model.backward(model(sequences_of(8, 3, 12)))
    assert [way for way, _ in in_blocks] == ["forward", "backward"]
    assert all(layer._slot is None for layer in model.named_layers().values())


def test_a_method_that_was_put_into_a_class_runs_instead_of_blocks(in_blocks, monkeypatch):
    model = nn.Sequential(transformer())
    x = sequences_of(8, 3, 12)
    before = model(x)
    monkeypatch.setattr(nn.GELU, "function", lambda self, x: (-x, x))
    assert (model(x) != before).any()


def test_two_threads_may_predict_in_blocks_at_once(in_blocks):
    model, x = nn.Sequential(transformer(), linear(12, 5)), sequences_of(40, 30, 12)
    expected = model(x)

    def predict(_):
        with nn.inference():
            return [model(x) for _ in range(20)]

    with ThreadPoolExecutor(2) as pool:
        for y in [y for ys in pool.map(predict, range(2)) for y in ys]:
            np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


# -- recurrent layers ------------------------------------------------------------------------------

CELLS = {
    "lstm": lambda **options: nn.LSTM(3, 20, rng=0, **options),
    "gru": lambda **options: biased(nn.GRU(3, 20, rng=0, **options)),
    "gru, reset before": lambda **options: nn.GRU(3, 20, rng=0, reset_after=False, **options),
    "rnn": lambda **options: nn.RNN(3, 20, rng=0, **options),
    "rnn, relu": lambda **options: nn.RNN(3, 20, rng=0, nonlinearity="relu", **options),
}


def biased(gru):
    """With a bias inside the reset, which is 0 at first."""
    for layer in [gru, *gru.above]:
        if layer.bias_hn is not None:
            layer.bias_hn.data = np.linspace(-1, 1, layer.hidden_size)
    return gru


OPTIONS = {
    "sequences": {},
    "last": {"return_sequences": False, "bias": False},
    "state": {"return_state": True, "num_layers": 2},
    "stateful": {"stateful": True},
}


def some(*shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def through_time(layer, x, lengths=None, given=False):
    """Outputs, gradients and what stands in the slots, after two batches."""
    shape, count = (layer.num_layers, len(x), layer.hidden_size), layer.state_count
    states = [some(*shape, seed=i, dtype=x.dtype) for i in range(count)]
    state = [layer._packed(tuple(states))] if given else []
    found = []
    for _ in range(2):
        y = layer(x if lengths is None else nn.Padded(x, lengths), *state)
        run, _ = layer._slot
        live = slice(None) if lengths is None else ~run.padding
        before = (run.gates.transpose(0, 3, 1, 2), run.kept.transpose(0, 2, 1))
        found += [*run.states, *[a[live].copy() for a in before]]  # backward writes into them
        y, d_state = y if layer.return_state else (y, None)
        y = y.data if lengths is not None and isinstance(y, nn.Padded) else y
        g = some(*y.shape, seed=7, dtype=x.dtype)
        d_x = layer.backward((g, d_state) if layer.return_state else g)
        found += [np.copy(a) for a in [y, *flat(d_state), *flat(d_x)]]
    return [*found, *[p.grad for p in layer.parameters()]]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_layers_compute_the_same(compiled, cell, options, padded, given):
    x = some(70, 6, 3)  # in three blocks
    lengths = np.random.default_rng(1).integers(1, 7, 70) if padded else None
    kept = []
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        kept.append(through_time(CELLS[cell](**OPTIONS[options]), x, lengths, given))
    for one, other in zip(*kept, strict=True):
        assert one.dtype == other.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=0, atol=4e-6 * np.abs(other).max(initial=1))


@pytest.mark.parametrize("cell", CELLS)
def test_whole_passes_run_in_kernels(compiled, cell, monkeypatch):
    layer = CELLS[cell]()
    monkeypatch.setattr(recurrence, "Run", None)  # the definition would make one
    through_time(layer, some(2, 3, 3))
    nn.set_engine("numpy")
    with pytest.raises(TypeError):
        layer(some(2, 3, 3))


@pytest.mark.parametrize("cell", CELLS)
def test_recurrent_layers_take_arrays_of_every_kind(compiled, cell):
    """Float64, with gaps in memory, read-only, turned round, empty, and two parts in threads."""
    frozen = some(4, 5, 3)
    frozen.flags.writeable = False
    wide, turned = some(4, 5, 6)[:, :, ::2], some(4, 5, 3)[:, ::-1]
    large = some(150, 60, 3)
    for x in (some(4, 5, 3, dtype=np.float64), frozen, wide, turned, some(0, 5, 3), large):
        kept = []
        for name in ("numba", "numpy"):
            nn.set_engine(name)
            kept.append(through_time(CELLS[cell]().astype(x.dtype), x))
        for one, other in zip(*kept, strict=True):
            assert one.dtype == other.dtype == x.dtype
            atol = 50 * np.finfo(x.dtype).eps * np.abs(other).max(initial=1)
            np.testing.assert_allclose(one, other, rtol=0, atol=atol)


@pytest.mark.parametrize("cell", CELLS)
def test_one_direction_in_a_kernel_and_the_other_watched(compiled, cell):
    def watched(layer):
        back = layer.backward_step
        layer.backward_step = lambda t, d, run: seen.append(t) or back(t, d, run)
        return layer

    seen, lengths = [], [3, 5, 1, 2]
    x = some(4, 5, 3)
    kept = [through_time(wrap(CELLS[cell]()), x, lengths) for wrap in (watched, lambda each: each)]
    assert seen == [4, 3, 2, 1, 0] * 2
    for one, other in zip(*kept, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tiles", [pytest.param(True, marks=pytest.mark.slow), False])
def test_products_with_panels(compiled, monkeypatch, tiles):
    """In tiles that overlap or not, or by OpenBLAS; rows with gaps; what is not a number stays."""
    from nnlite.ops.compiled import panels

    if not tiles:
        monkeypatch.setattr(panels, "TILES", False)
    times = numba.njit(panels.product.py_func)
    for rows, inner, columns in itertools.product((0, 1, 8, 9, 31), (1, 40), (1, 31, 32, 33, 100)):
        a, scales = some(rows, inner + 3)[:, 1:-2], some(columns, seed=1)
        w, transposed = some(inner, columns, seed=2), some(columns, inner, seed=3)
        a[3:4, 0] = np.nan
        w[-1, 5:6] = np.inf
        stacked, turned = (panels.empty_panels(inner, columns) for _ in range(2))
        panels.fill(stacked, 0, w[:1], scales)
        panels.fill(stacked, 1, w[1:], scales)
        panels.fill_transposed(turned, transposed)
        for each, right in ((stacked, w * scales), (turned, transposed.T)):
            wide = np.full((rows, columns + 2), 7, np.float32)
            times(a, each, wide[:, 1:-1])
            with np.errstate(invalid="ignore"):
                expected = a @ right
            np.testing.assert_allclose(wide[:, 1:-1], expected, rtol=0, atol=2e-5)
            assert (wide[:, [0, -1]] == 7).all()


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_below_the_normal_floats_count_as_zero(compiled, cell):
    """In kernels only, on x86: what the thread computes afterwards is as before."""
    from nnlite.ops.compiled.control import X86

    tiny = np.full((4, 5, 20), 1e-40, np.float32)
    layer = CELLS[cell]()
    layer(some(4, 5, 3))
    found = [layer.backward(tiny), *[p.grad for p in layer.parameters()]]
    assert all((each == 0).all() for each in found) or not X86
    assert (tiny + tiny > 0).all()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_threads_that_start_after_a_fork_know_numbers_below_the_normal_floats():
    """OpenBLAS starts its threads anew in the first large product, here one of the kernels'."""
    code = """
    import os
    import numpy as np
    import nnlite as nn

    a, b = np.zeros((2, 600, 600), np.float32)
    a[:, 0], b[0] = 1e-40, 1

    def computes(where):
        layer, x = nn.LSTM(64, 64, rng=0), np.ones((40, 10, 64), np.float32)
        layer.backward(layer(x))
        print(where, (a @ b > 0).mean(), flush=True)

    child = os.fork()
    computes("parent" if child else "child")
    if child:
        assert os.waitpid(child, 0)[1] == 0
    """
    found = run(code, NNLITE_ENGINE="numba", OPENBLAS_NUM_THREADS="2")
    assert sorted(found.splitlines()) == ["child 1.0", "parent 1.0"]


def test_a_cell_of_ones_own_takes_its_own_steps(compiled):
    class Leaky(nn.RNN):
        def step(self, t, run, weight):
            super().step(t, run, weight)
            run.states[0][t + 1] *= 0.5

    x = some(2, 3, 3)
    assert np.abs(Leaky(3, 4, rng=0)(x) - nn.RNN(3, 4, rng=0)(x)).max() > 0.1


# -- what belongs to somebody else, or is broken ---------------------------------------------------


def doubled(method):
    """A wrapper that bears the name of what it wraps."""

    @functools.wraps(method)
    def wrapper(*arguments):
        return tuple(2 * each for each in method(*arguments))

    return wrapper


def test_a_wrapped_method_of_one_layer_runs(compiled):
    x = some(700, 4)
    layer, plain = nn.GELU(), nn.GELU()
    layer.function = doubled(layer.function)
    np.testing.assert_allclose(layer(x), 2 * plain(x), rtol=1e-4)


def test_a_wrapped_step_of_a_class_runs(compiled, monkeypatch):
    before = nn.LSTM(4, 3, rng=0)(some(2, 5, 4))
    step, taken = nn.LSTM.step, []
    monkeypatch.setattr(
        nn.LSTM, "step", functools.wraps(step)(lambda *a: taken.append(a[1]) or step(*a))
    )
    np.testing.assert_allclose(nn.LSTM(4, 3, rng=0)(some(2, 5, 4)), before, rtol=1e-5, atol=1e-6)
    assert taken == [0, 1, 2, 3, 4]


def test_a_class_of_the_same_name_in_a_module_of_the_same_name_has_no_kernels(compiled):
    class Own(nn.LSTM):
        def step(self, t, run, weight):
            taken.append(t)
            super().step(t, run, weight)

    taken = []
    Own.step.__module__, Own.step.__qualname__ = "sequences.lstm", "LSTM.step"
    Own(4, 3, rng=0)(some(2, 5, 4))
    assert taken == [0, 1, 2, 3, 4]


def test_what_was_put_into_one_layer_runs_instead_of_blocks(in_blocks):
    """A function of an activation, and the passes of a shortcut."""
    model = nn.Sequential(linear(12, 12), nn.GELU(), inner(linear(12, 12)), nn.LayerNorm(12))
    model[1].function = doubled(model[1].function)
    shortcut, seen = model[2]._identity, []
    shortcut.forward = lambda x: seen.append("x") or type(shortcut).forward(shortcut, x)
    shortcut.backward = lambda g: seen.append("G") or type(shortcut).backward(shortcut, g)
    x, found = sequences_of(8, 3, 12), []
    for name in ("numba", "numpy"):
        nn.set_engine(name)
        y = model(x)
        found.append([y, model.backward(y)])
    assert seen == ["x", "G"] * 2
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_what_was_put_into_one_rectifier_runs_instead_of_a_chain(compiled):
    rectifiers = nn.ReLU(), nn.ReLU()
    for layer in rectifiers:
        layer.function = lambda x: (-x, x)
        layer.derivative = lambda x: -np.ones_like(x)
    dense = nn.Sequential(linear(5, 5), rectifiers[0])
    pooled = nn.Sequential(rectifiers[1], nn.MaxPool2d(2))
    x = some(130, 5)
    np.testing.assert_allclose(dense(x), -linear(5, 5)(x), rtol=1e-6, atol=1e-6)
    expected = -x @ dense[0].weight.data.T
    np.testing.assert_allclose(dense.backward(x), expected, rtol=1e-5, atol=1e-5)
    images = some(2, 4, 4, 16)
    np.testing.assert_array_equal(pooled(images), pooled[1](-images))
    assert (pooled.backward(np.ones((2, 2, 2, 16), np.float32)) <= 0).all()


def test_a_function_without_a_hash_runs(compiled):
    class Twice:
        __hash__ = None

        def __call__(self, x):
            return 2 * x, x

    layer = nn.ReLU()
    layer.function = Twice()
    np.testing.assert_array_equal(layer(np.ones((3, 2), "f")), 2)


@pytest.mark.parametrize(
    "make",
    [
        *(nn.GELU, nn.Sigmoid, nn.LogSoftmax, lambda: nn.LSTM(4, 3, rng=0)),
        *(lambda: nn.MultiHeadAttention(4, 2, rng=0), lambda: nn.Dropout(0.5, rng=0)),
    ],
)
def test_layers_take_floats_in_any_byte_order(compiled, make):
    x = some(60, 20, 4)
    expected = make()(x)
    np.testing.assert_allclose(make()(x.astype(">f4")), expected, rtol=1e-4, atol=1e-6)
    assert nn.engine() == "numba"


@pytest.mark.parametrize(
    "optimizer", ["Adam", "NAdam", "SGD", "RMSprop", "Lion", "Adagrad", "Adadelta"]
)
def test_optimizers_that_take_whole_matrices(compiled, optimizer):
    """Kernels take vectors: going through as many rows as a matrix has values, they would crash."""
    base = getattr(nn, optimizer)
    whole = type("Whole", (base,), {"whole": True})
    options = {"momentum": 0.9, "lr": 0.1} if optimizer == "SGD" else {}
    found = []
    for cls in (base, whole):
        weights = [nn.Parameter(some(30, 40)), nn.Parameter(some(50))]
        steps = cls(weights, **options)
        for _ in range(2):
            for weight in weights:
                weight.grad = some(*weight.shape, seed=1)
            steps.step()
        found.append([weight.data.copy() for weight in weights])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_moments_of_another_length_are_refused(compiled):
    w, m = np.ones(4, np.float32), np.ones(3, np.float32)
    with pytest.raises(ValueError, match="broadcast"):
        moments.lion_step(w, w.copy(), m, w.copy(), 0.9, 0.99, 1e-2)


KERNEL = """
    import sys, pathlib, numpy as np
    {before}
    from nnlite.ops.compiled.kernel import kernel
    from nnlite.ops.compiled import moments
    w = [np.ones(3, np.{dtype}) for _ in range(3)]
    moments._lion(*w, 0.5, 0.5, 0.25)
    print(w[0], moments._lion.stats.cache_hits.total())
"""


def kernels_on_disk(folder, dtype="float32", before=""):
    """What a kernel computes, and how often it was found on disk."""
    code = KERNEL.format(before=before, dtype=dtype)
    numbers, _, hits = run(code, NUMBA_CACHE_DIR=str(folder)).strip().rpartition(" ")
    assert numbers == "[0.75 0.75 0.75]"
    return int(hits)


def test_a_full_disk_keeps_no_kernel_from_running(tmp_path):
    pytest.importorskip("resource")
    full = """import resource
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"""
    assert kernels_on_disk(tmp_path, before=full) == 0
    assert kernels_on_disk(tmp_path) == 0
    assert kernels_on_disk(tmp_path) == 1


@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_files_that_were_cut_off_are_written_anew(tmp_path, kind):
    kernels_on_disk(tmp_path)
    for path in tmp_path.rglob(f"*_lion*.{kind}"):
        path.write_bytes(path.read_bytes()[: 30 if kind == "nbc" else 0])
    assert [kernels_on_disk(tmp_path) for _ in range(2)] == [0, 1]


def test_a_kernel_for_other_arguments_is_not_taken_from_disk(tmp_path):
    """Two processes that write at the same time may leave one's index beside the other's code."""
    kernels_on_disk(tmp_path, "float32")
    kernels_on_disk(tmp_path, "float64")
    first, second = sorted(tmp_path.rglob("*_lion*.nbc"))
    code = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(code)
    assert kernels_on_disk(tmp_path, "float32") == 0
    assert kernels_on_disk(tmp_path, "float64") == 0
