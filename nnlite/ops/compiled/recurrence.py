"""Whole passes through time in one kernel, for the cells that nnlite has.

Here the features of one sequence lie side by side: gates are (T, N, gates·H) in memory, states
(T + 1, N, H), of which a `Run` holds transposed views. A block of sequences goes its way through
time by itself, its weights in the core's cache, and blocks run in several threads. Each step reads
its input, 1 and the state before it as one row, whose product with all weights and biases is what
the gates sum; and one product of these rows with A_t gives their gradients.

Each loop over a row writes one array, since the compiler has to see that arrays do not overlap.

A gradient that vanishes on its way back falls through the range below the normal floats, with which
processors are up to a hundred times as slow: there it counts as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnlite.ops import recurrence as definitions
from nnlite.ops.compiled import blas
from nnlite.ops.compiled.control import FLUSHING, exchange_control
from nnlite.ops.compiled.functions import sigmoid_of_negative, tanh
from nnlite.ops.compiled.kernel import FLOAT, ByName, helper, kernel, plain, uncounted
from nnlite.ops.compiled.panels import empty_panels, fill, fill_transposed, product
from nnlite.ops.recurrence import Cell, Run, States
from nnlite.ops.threads import evenly, over_parts

BLOCK = 32  # sequences that go through time together
NO_PADDING = np.empty((0, 0), np.bool_)
NO_OUTPUT = np.empty((0, 0, 0), np.float32)
ONE, ZERO = np.float32(1), np.float32(0)


class Joined(Run):
    """A pass whose x and h are views of `rows`, (T + 1, N, D + 1 + H): in each x_t, 1 and h_{t−1}.

    What the gates sum is then one product, [x_t 1 h_{t−1}] [W_ih; b; W_hh].
    """

    rows: np.ndarray


def steps(
    cell: Cell,
    x: np.ndarray,
    start: Sequence[np.ndarray | float],
    padding: np.ndarray | None,
    weight_ih: np.ndarray,
    bias: np.ndarray | None,
    weight_hh: np.ndarray,
) -> Run:
    known = _STEPS.get(cell.step)
    (count, length, features), (hidden, columns) = x.shape, weight_hh.shape
    # kernels read what the shapes promise: weights that were replaced by others go to NumPy, which
    # says what does not fit
    fits = (
        blas.available and x.dtype == weight_ih.dtype == weight_hh.dtype == FLOAT
        and columns == len(cell.gate_scales) * hidden and weight_ih.shape == (features, columns)
        and (bias is None or (bias.dtype == FLOAT and bias.shape == (columns,)))
    )  # fmt: skip
    if known is None or not fits:
        return plain(definitions.steps)(cell, x, start, padding, weight_ih, bias, weight_hh)
    through_time, option, factors = known
    given = option(cell)
    panels = factors(cell, weight_ih, bias, weight_hh)
    if panels is None:
        return plain(definitions.steps)(cell, x, start, padding, weight_ih, bias, weight_hh)
    gates = np.empty((length, count, columns), np.float32)
    rows = np.empty((length + 1, count, features + 1 + hidden), np.float32)
    states = tuple(np.empty((length + 1, count, hidden), np.float32) for _ in start[1:])
    kept = np.empty((length, count, hidden if cell.keeps_more else 0), np.float32)
    h = rows[..., features + 1 :]
    for each, first in zip((h, *states), start, strict=True):
        each[0] = np.transpose(first)
    arguments = (
        given, panels, _ready(x), NO_PADDING if padding is None else padding,
        gates, rows, states, kept,
    )  # fmt: skip
    _in_blocks(lambda begin, end: through_time(begin, end, *arguments), count, gates.size)
    run = Joined(
        rows[:-1, :, :features].transpose(1, 0, 2),
        gates.reshape(length, count, len(cell.gate_scales), hidden).transpose(0, 2, 3, 1),
        tuple(each.transpose(0, 2, 1) for each in (h, *states)),
        kept.transpose(0, 2, 1),
        padding,
    )
    run.rows = rows
    return run


def steps_back(
    cell: Cell, run: Run, d_y: np.ndarray | None, d_states: States, weight_hh: np.ndarray
) -> States:
    known = _STEPS_BACK.get(cell.backward_step)
    length, per_step, hidden, count = run.gates.shape
    kinds = {each.dtype for each in (weight_hh, *d_states)}
    if d_y is not None:
        kinds.add(d_y.dtype)
    fits = kinds == {FLOAT} and weight_hh.shape == (hidden, per_step * hidden)
    if known is None or not isinstance(run, Joined) or not fits:
        return plain(definitions.steps_back)(cell, run, d_y, d_states, weight_hh)
    through_time, option, factors = known
    d_rows = tuple(np.array(d.T, order="C") for d in d_states)  # (N, H)
    arguments = (
        option(cell), factors(cell, weight_hh), NO_OUTPUT if d_y is None else _ready(d_y),
        NO_PADDING if run.padding is None else run.padding,
        run.gates.transpose(0, 3, 1, 2).reshape(length, count, per_step * hidden),
        run.rows, tuple(each.transpose(0, 2, 1) for each in run.states[1:]),
        run.kept.transpose(0, 2, 1), d_rows,
    )  # fmt: skip
    blas.wake()
    _in_blocks(lambda begin, end: through_time(begin, end, *arguments), count, run.gates.size)
    return tuple(d.T for d in d_rows)


def weight_grads(
    run: Run, d_a: np.ndarray, direct: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not isinstance(run, Joined):
        return plain(definitions.weight_grads)(run, d_a, direct)
    rows = run.rows[:-1].reshape(-1, run.rows.shape[2])  # (T·N, D + 1 + H)
    features = run.x.shape[2]
    d_w = _over_time(rows, d_a[:direct].T)  # of [W_ih; b; W_hh]
    d_w, d_w_hh = d_w[: features + 1], d_w[features + 1 :]
    if direct < len(d_a):
        more = _over_time(rows[:, : features + 1], d_a[direct:].T)
        d_w = np.concatenate((d_w, more), axis=1)
    return d_w[:features], d_w_hh, d_w[features]


def _over_time(rows: np.ndarray, d_a: np.ndarray) -> np.ndarray:
    """rowsᵀ A, each thread some columns of it."""
    blas.wake()
    d_w = np.empty((rows.shape[1], d_a.shape[1]), np.float32)

    def each(part: slice) -> None:
        _flushed_product(rows, d_a[:, part], d_w[:, part])

    over_parts(each, d_a.shape[1], d_a.size, products=True)
    return d_w


def _ready(a: np.ndarray) -> np.ndarray:
    """The array as kernels take it: a read-only one would be compiled for anew."""
    return a if a.flags.carray else a.copy()


def _in_blocks(work: Callable[[int, int], None], count: int, values: int) -> None:
    """`work(begin, end)` for blocks of so many sequences, in several threads."""

    def each(part: slice) -> None:
        for block in evenly(part, -(-(part.stop - part.start) // BLOCK)):
            work(block.start, block.stop)

    over_parts(each, count, values, products=True)


@kernel
def _flushed_product(a, b, c):
    """In place, C = Aᵀ B."""
    control = exchange_control(FLUSHING)
    blas.transposed_product(a, b, c, 0.0)
    exchange_control(control)


@helper
def _put_inputs(x, t, begin, end, rows):
    """x_t and 1 in front of h_{t−1}."""
    features = x.shape[2]
    for n in range(begin, end):
        row, here = rows[t, n], x[n, t]
        for j in range(features):
            row[j] = here[j]
        row[features] = ONE


@helper
def _open(z):
    """σ(−z) in the place of each z."""
    for j in range(z.size):
        z[j] = sigmoid_of_negative(z[j])


@helper
def _tanh(z):
    """The tangent in the place of each z."""
    for j in range(z.size):
        z[j] = tanh(z[j])


@helper
def _add(g, d):
    """d += g."""
    for j in range(d.size):
        d[j] += g[j]


@helper
def _products(a, b, c):
    """C = A ⊙ B."""
    for j in range(c.size):
        c[j] = a[j] * b[j]


@helper
def _times_slope(d, s, a):
    """d ⊙ s ⊙ a(1 − a) in the place of a."""
    for j in range(a.size):
        a[j] = d[j] * s[j] * (a[j] - a[j] * a[j])


# -- LSTM ------------------------------------------------------------------------------------------


@kernel
def _lstm(begin, end, _, panels, x, padding, gates, rows, states, kept):
    x, gates, kept = uncounted(x), uncounted(gates), uncounted(kept)
    w, rows, c = uncounted(panels[0]), uncounted(rows), uncounted(states[0])
    size = c.shape[2]
    for t in range(len(gates)):
        _put_inputs(x, t, begin, end, rows)
        product(rows[t, begin:end], w, gates[t, begin:end])
        for n in range(begin, end):
            a, c_next, tanh_c = gates[t, n], c[t + 1, n], kept[t, n]
            h_next = rows[t + 1, n][-size:]
            if padding.size and padding[t, n]:
                a[:], tanh_c[:], h_next[:], c_next[:] = 0, 0, rows[t, n][-size:], c[t, n]
                continue
            i, f, g, o = a[:size], a[size : 2 * size], a[2 * size : 3 * size], a[3 * size :]
            _open(a[: 2 * size])
            _tanh(g)
            _open(o)
            c_before = c[t, n]
            for j in range(size):
                c_next[j] = f[j] * c_before[j] + i[j] * g[j]
            for j in range(size):
                tanh_c[j] = tanh(c_next[j])
            for j in range(size):
                h_next[j] = o[j] * tanh_c[j]


@kernel
def _lstm_back(begin, end, _, panels, d_y, padding, gates, rows, states, kept, d_states):
    d_y, gates, kept = uncounted(d_y), uncounted(gates), uncounted(kept)
    w, c = uncounted(panels[0]), uncounted(states[0])
    d_h, d_c = uncounted(d_states[0])[begin:end], uncounted(d_states[1])[begin:end]
    size = c.shape[2]
    later = np.zeros((end - begin, size), np.float32)  # what the step after gives back
    s = np.empty(size, np.float32)
    control = exchange_control(FLUSHING)
    for t in range(len(gates) - 1, -1, -1):
        for n in range(end - begin):
            a, d, d_cell = gates[t, begin + n], d_h[n], d_c[n]
            _add(later[n], d)
            if padding.size and padding[t, begin + n]:
                a[:] = 0
                continue
            if d_y.size:
                _add(d_y[begin + n, t], d)
            tanh_c, c_before = kept[t, begin + n], c[t, begin + n]
            i, f, g, o = a[:size], a[size : 2 * size], a[2 * size : 3 * size], a[3 * size :]
            for j in range(size):  # δᶜ_{t+1} ⊙ f_{t+1} + δʰ ⊙ o ⊙ (1 − tanh² c_t)
                d_cell[j] += o[j] * (d[j] - d[j] * tanh_c[j] * tanh_c[j])
            _times_slope(d, tanh_c, o)  # A_o
            for j in range(size):
                s[j] = d_cell[j] * i[j] * (ONE - g[j] * g[j])  # A_g
            _times_slope(d_cell, g, i)  # A_i
            g[:] = s
            for j in range(size):
                s[j] = d_cell[j] * f[j]  # of c_{t−1}
            _times_slope(d_cell, c_before, f)  # A_f
            d_cell[:] = s
            d[:] = 0
        product(gates[t, begin:end], w, later)  # A_t W_hhᵀ
    for n in range(end - begin):
        _add(later[n], d_h[n])
    exchange_control(control)


# -- GRU -------------------------------------------------------------------------------------------


@kernel
def _gru(begin, end, reset_after, panels, x, padding, gates, rows, _, kept):
    x, gates, kept, rows = uncounted(x), uncounted(gates), uncounted(kept), uncounted(rows)
    w_both, w_n, u_n = uncounted(panels[0]), uncounted(panels[1]), uncounted(panels[2])
    size, features = kept.shape[2], x.shape[2]
    both = 2 * size
    p = np.empty((end - begin, size), np.float32)
    for t in range(len(gates)):
        _put_inputs(x, t, begin, end, rows)
        a, row, more = gates[t, begin:end], rows[t, begin:end], kept[t, begin:end]
        product(row, w_both, a[:, :both])
        product(row[:, : features + 1], w_n, a[:, both:])
        if reset_after:
            product(row[:, features:], u_n, more)  # h_{t−1} U_n + b_hn
        for n in range(len(a)):
            _open(a[n, :both])
            if not reset_after:
                _products(a[n, :size], row[n][-size:], more[n])  # r ⊙ h_{t−1}
        if not reset_after:
            product(more, u_n, p)
        for n in range(len(a)):
            after, here, k = rows[t + 1, begin + n][-size:], row[n][-size:], more[n]
            if padding.size and padding[t, begin + n]:
                a[n], k[:], after[:] = 0, 0, here
                continue
            r, z, proposal = a[n, :size], a[n, size:both], a[n, both:]
            if reset_after:
                for j in range(size):
                    proposal[j] += r[j] * k[j]
            else:
                _add(p[n], proposal)
            _tanh(proposal)
            for j in range(size):  # (1 − z) ⊙ n + z ⊙ h_{t−1}
                after[j] = z[j] * (here[j] - proposal[j]) + proposal[j]


@kernel
def _gru_back(begin, end, reset_after, panels, d_y, padding, gates, rows, _, kept, d_states):
    d_y, gates, kept, rows = uncounted(d_y), uncounted(gates), uncounted(kept), uncounted(rows)
    w_both, w_n, d_h = uncounted(panels[0]), uncounted(panels[1]), uncounted(d_states[0])
    size = kept.shape[2]
    both = 2 * size
    later = np.zeros((end - begin, size), np.float32)  # what the step after gives back
    p = np.zeros((end - begin, size), np.float32)
    control = exchange_control(FLUSHING)
    for t in range(len(gates) - 1, -1, -1):
        a, d_block, more = gates[t, begin:end], d_h[begin:end], kept[t, begin:end]
        for n in range(len(a)):
            d, before, k, s = d_block[n], rows[t, begin + n][-size:], more[n], later[n]
            _add(s, d)
            if reset_after:
                _add(p[n], d)
            if padding.size and padding[t, begin + n]:
                a[n], k[:] = 0, 0
                continue
            if d_y.size:
                _add(d_y[begin + n, t], d)
            r, z, proposal = a[n, :size], a[n, size:both], a[n, both:]
            for j in range(size):
                s[j] = d[j] - d[j] * z[j]  # δ ⊙ (1 − z)
            for j in range(size):
                d[j] *= z[j]
            for j in range(size):
                z[j] = s[j] * z[j] * (before[j] - proposal[j])  # A_z
            for j in range(size):
                proposal[j] = s[j] * (ONE - proposal[j] * proposal[j])  # A_n
            if reset_after:
                s[:] = k
                _products(proposal, r, k)  # Q
                _times_slope(proposal, s, r)  # A_r
        if reset_after:
            product(more, w_n, p)  # Q U_nᵀ
        else:
            product(a[:, both:], w_n, p)  # P = A_n U_nᵀ
            for n in range(len(a)):
                r, d = a[n, :size], d_block[n]
                for j in range(size):
                    d[j] += p[n, j] * r[j]
                _times_slope(p[n], rows[t, begin + n][-size:], r)  # A_r
        product(a[:, :both], w_both, later)  # A_r U_rᵀ + A_z U_zᵀ
    for n in range(begin, end):
        _add(later[n - begin], d_h[n])
        if reset_after:
            _add(p[n - begin], d_h[n])
    exchange_control(control)


# -- RNN -------------------------------------------------------------------------------------------


@kernel
def _rnn(begin, end, by_tanh, panels, x, padding, gates, rows, _, kept):
    x, gates, rows = uncounted(x), uncounted(gates), uncounted(rows)
    w = uncounted(panels[0])
    size = gates.shape[2]
    for t in range(len(gates)):
        _put_inputs(x, t, begin, end, rows)
        product(rows[t, begin:end], w, gates[t, begin:end])
        for n in range(begin, end):
            a, h_next = gates[t, n], rows[t + 1, n][-size:]
            if padding.size and padding[t, n]:
                h_next[:] = rows[t, n][-size:]
                continue
            if by_tanh:
                _tanh(a)
                h_next[:] = a
            else:
                for j in range(a.size):
                    h_next[j] = max(a[j], ZERO)


@kernel
def _rnn_back(begin, end, by_tanh, panels, d_y, padding, gates, rows, _, kept, d_states):
    d_y, gates, rows = uncounted(d_y), uncounted(gates), uncounted(rows)
    w, d_h = uncounted(panels[0]), uncounted(d_states[0])
    size = gates.shape[2]
    later = np.zeros((end - begin, size), np.float32)  # what the step after gives back
    control = exchange_control(FLUSHING)
    for t in range(len(gates) - 1, -1, -1):
        for n in range(begin, end):
            a, d, after = gates[t, n], d_h[n], rows[t + 1, n][-size:]
            _add(later[n - begin], d)
            if padding.size and padding[t, n]:
                a[:] = 0
                continue
            if d_y.size:
                _add(d_y[n, t], d)
            for j in range(a.size):
                slope = ONE - after[j] * after[j] if by_tanh else ONE if after[j] > ZERO else ZERO
                a[j] = d[j] * slope
            d[:] = 0
        product(gates[t, begin:end], w, later)  # A_t W_hhᵀ
    for n in range(begin, end):
        _add(later[n - begin], d_h[n])
    exchange_control(control)


# -- what they multiply by -------------------------------------------------------------------------

Panels = tuple[np.ndarray, ...]


def _stacked(scales: np.ndarray, *factors: np.ndarray) -> np.ndarray:
    """Matrices on each other, in panels, each of their columns times its scale."""
    panels = empty_panels(sum(map(len, factors)), len(scales))
    first = 0
    for each in factors:
        fill(panels, first, each, scales)
        first += len(each)
    return panels


def _scales(cell: Cell, hidden: int) -> np.ndarray:
    return np.repeat(np.array(cell.gate_scales, np.float32), hidden)


def _row(bias: np.ndarray | None, columns: int) -> np.ndarray:
    """The bias as a matrix of one row, of zeros where there is none."""
    return (np.zeros(columns, np.float32) if bias is None else bias)[None]


def _all_at_once(
    cell: Cell, weight_ih: np.ndarray, bias: np.ndarray | None, weight_hh: np.ndarray
) -> Panels:
    """[W_ih; b; W_hh]."""
    hidden, columns = weight_hh.shape
    return (_stacked(_scales(cell, hidden), weight_ih, _row(bias, columns), weight_hh),)


def _of_gru(
    gru: Any, weight_ih: np.ndarray, bias: np.ndarray | None, weight_hh: np.ndarray
) -> Panels | None:
    """[W_ih; b; W_hh] of both gates, [W_ih; b] of the proposal, and [b_hn; U_n] or U_n."""
    hidden, columns = weight_hh.shape
    both, scales = 2 * hidden, _scales(gru, hidden)
    b_hn = None if gru.bias_hn is None else gru.bias_hn.data
    if b_hn is not None and (b_hn.dtype != FLOAT or b_hn.shape != (hidden,)):
        return None
    b = _row(bias, columns)
    u_n = weight_hh[:, both:]
    above = (_row(b_hn, hidden),) if gru.reset_after else ()
    return (
        _stacked(scales[:both], weight_ih[:, :both], b[:, :both], weight_hh[:, :both]),
        _stacked(scales[both:], weight_ih[:, both:], b[:, both:]),
        _stacked(scales[both:], *above, u_n),
    )


def _transposed(_: Cell, weight_hh: np.ndarray) -> Panels:
    """W_hhᵀ."""
    panels = empty_panels(weight_hh.shape[1], len(weight_hh))
    fill_transposed(panels, weight_hh)
    return (panels,)


def _transposed_of_gru(cell: Cell, weight_hh: np.ndarray) -> Panels:
    """The transposes of [U_r U_z] and U_n."""
    both = 2 * len(weight_hh)
    return _transposed(cell, weight_hh[:, :both]) + _transposed(cell, weight_hh[:, both:])


def _no_option(_: Any) -> bool:
    return False


def _reset_after(gru: Any) -> bool:
    return bool(gru.reset_after)


def _by_tanh(rnn: Any) -> bool:
    return bool(rnn.nonlinearity == "tanh")


_STEPS = ByName({
    "sequences.lstm:LSTM.step": (_lstm, _no_option, _all_at_once),
    "sequences.gru:GRU.step": (_gru, _reset_after, _of_gru),
    "sequences.rnn:RNN.step": (_rnn, _by_tanh, _all_at_once),
})  # fmt: skip
_STEPS_BACK = ByName({
    "sequences.lstm:LSTM.backward_step": (_lstm_back, _no_option, _transposed),
    "sequences.gru:GRU.backward_step": (_gru_back, _reset_after, _transposed_of_gru),
    "sequences.rnn:RNN.backward_step": (_rnn_back, _by_tanh, _transposed),
})  # fmt: skip
