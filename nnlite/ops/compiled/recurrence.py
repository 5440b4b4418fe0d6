"""Whole passes through time in one kernel, for the cells that nnlite has.

Here the features of one sequence lie side by side: gates are (T, N, gates·H) in memory, states
(T + 1, N, H), of which a `Run` holds transposed views. A block of sequences goes its way through
time by itself, its weights in the core's cache, and blocks run in several threads.

Each loop over a row writes one array, since the compiler has to see that arrays do not overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nnlite.ops import recurrence as definitions
from nnlite.ops.compiled import blas
from nnlite.ops.compiled.functions import exp, tanh
from nnlite.ops.compiled.kernel import FLOAT, ByName, helper, kernel, plain, uncounted
from nnlite.ops.products import SMALL
from nnlite.ops.recurrence import Cell, Run, States
from nnlite.ops.threads import evenly, over_parts

BLOCK = 32  # sequences that go through time together
ONE = np.float32(1)
NO_PADDING = np.empty((0, 0), np.bool_)
NO_OUTPUT = np.empty((0, 0, 0), np.float32)


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
    (count, length, features), (rows, hidden) = x.shape, weight_hh.shape
    # kernels read what the shapes promise: weights that were replaced by others go to NumPy, which
    # says what does not fit
    fits = (
        blas.available and x.dtype == weight_ih.dtype == weight_hh.dtype == FLOAT
        and rows == len(cell.gate_scales) * hidden and weight_ih.shape == (rows, features)
        and (bias is None or (bias.dtype == FLOAT and bias.shape == (rows, 1)))
    )  # fmt: skip
    if known is None or not fits:
        return plain(definitions.steps)(cell, x, start, padding, weight_ih, bias, weight_hh)
    through_time, option = known
    given = option(cell)
    if isinstance(given, np.ndarray) and (given.dtype.char != "f" or given.size not in (0, hidden)):
        return plain(definitions.steps)(cell, x, start, padding, weight_ih, bias, weight_hh)
    gates = np.empty((length, count, rows), np.float32)
    states = tuple(np.empty((length + 1, count, hidden), np.float32) for _ in start)
    kept = np.empty((length, count, hidden if cell.keeps_more else 0), np.float32)
    for each, first in zip(states, start, strict=True):
        each[0] = np.transpose(first)
    arguments = (
        given, _ready(x), weight_ih.T.copy(), weight_hh.T.copy(),
        np.zeros(rows, np.float32) if bias is None else bias[:, 0],
        NO_PADDING if padding is None else padding, gates, states, kept,
    )  # fmt: skip
    _in_blocks(lambda begin, end: through_time(begin, end, *arguments), count, gates.size)
    return Run(
        x,
        gates.reshape(length, count, len(cell.gate_scales), hidden).transpose(0, 2, 3, 1),
        tuple(each.transpose(0, 2, 1) for each in states),
        kept.transpose(0, 2, 1),
        padding,
    )


def steps_back(
    cell: Cell, run: Run, d_y: np.ndarray | None, d_states: States, weight_hh: np.ndarray
) -> States:
    known = _STEPS_BACK.get(cell.backward_step)
    length, per_step, hidden, count = run.gates.shape
    gates = run.gates.transpose(0, 3, 1, 2)
    kinds = {each.dtype for each in (gates, weight_hh, *d_states)}
    if d_y is not None:
        kinds.add(d_y.dtype)
    fits = gates.flags.c_contiguous and weight_hh.shape == (hidden, per_step * hidden)
    if known is None or not blas.available or kinds != {FLOAT} or not fits:
        return plain(definitions.steps_back)(cell, run, d_y, d_states, weight_hh)
    through_time, option = known
    d_rows = tuple(np.array(d.T, order="C") for d in d_states)  # (N, H)
    arguments = (
        option(cell), weight_hh.T.copy(), NO_OUTPUT if d_y is None else _ready(d_y),
        NO_PADDING if run.padding is None else run.padding,
        gates.reshape(length, count, per_step * hidden),
        tuple(each.transpose(0, 2, 1) for each in run.states), run.kept.transpose(0, 2, 1),
        np.empty_like(d_rows[0]), d_rows,
    )  # fmt: skip
    _in_blocks(lambda begin, end: through_time(begin, end, *arguments), count, gates.size)
    return tuple(d.T for d in d_rows)


def _ready(a: np.ndarray) -> np.ndarray:
    """The array as kernels take it: a read-only one would be compiled for anew."""
    return a if a.flags.carray else a.copy()


def _in_blocks(work: Callable[[int, int], None], count: int, values: int) -> None:
    """`work(begin, end)` for blocks of so many sequences, in several threads."""

    def each(part: slice) -> None:
        for block in evenly(part, -(-(part.stop - part.start) // BLOCK)):
            work(block.start, block.stop)

    over_parts(each, count, values, products=True)


@helper
def _add_product(a, b, c):
    """In place, C += A B, in as many parts as keep each on OpenBLAS's fast path for small ones."""
    columns, width = b.shape[1], b.shape[1]
    if a.size * columns > SMALL:
        width = 16
        while 2 * width * a.size <= SMALL:
            width *= 2
    for j in range(0, columns, width):
        blas.product(a, b[:, j : j + width], c[:, j : j + width], 1.0)


@helper
def _input(x, w_ih, w_hh, b, h, a):
    """All that the gates sum, A = X W_ih + b + H W_hh, of one step."""
    for n in range(len(a)):
        a[n] = b
    _add_product(x, w_ih, a)
    _add_product(h, w_hh, a)


@helper
def _open(z):
    """σ(−z) in the place of each z."""
    for j in range(z.size):
        z[j] = ONE / (ONE + exp(z[j]))


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
def _lstm(begin, end, _, x, w_ih, w_hh, b, padding, gates, states, kept):
    x, gates, kept = uncounted(x), uncounted(gates), uncounted(kept)
    h, c = uncounted(states[0]), uncounted(states[1])
    size = h.shape[2]
    for t in range(len(gates)):
        a = gates[t, begin:end]
        _input(x[begin:end, t], w_ih, w_hh, b, h[t, begin:end], a)
        for n in range(begin, end):
            a, h_next, c_next, tanh_c = gates[t, n], h[t + 1, n], c[t + 1, n], kept[t, n]
            if padding.size and padding[t, n]:
                a[:], tanh_c[:], h_next[:], c_next[:] = 0, 0, h[t, n], c[t, n]
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
def _lstm_back(begin, end, _, w, d_y, padding, gates, states, kept, scratch, d_states):
    d_y, gates, kept = uncounted(d_y), uncounted(gates), uncounted(kept)
    scratch = uncounted(scratch)
    h, c = uncounted(states[0]), uncounted(states[1])
    d_h, d_c = uncounted(d_states[0]), uncounted(d_states[1])
    size = h.shape[2]
    for t in range(len(gates) - 1, -1, -1):
        for n in range(begin, end):
            a, d, d_cell = gates[t, n], d_h[n], d_c[n]
            if padding.size and padding[t, n]:
                a[:] = 0
                continue
            if d_y.size:
                _add(d_y[n, t], d)
            tanh_c, c_before, s = kept[t, n], c[t, n], scratch[n]
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
        _add_product(gates[t, begin:end], w, d_h[begin:end])  # A_t W_hhᵀ


# -- GRU -------------------------------------------------------------------------------------------


@kernel
def _gru(begin, end, b_hn, x, w_ih, w_hh, b, padding, gates, states, kept):
    reset_after = b_hn.size > 0
    x, gates, kept = uncounted(x), uncounted(gates), uncounted(kept)
    h = uncounted(states[0])
    size = h.shape[2]
    both = 2 * size
    for t in range(len(gates)):
        a, before, more = gates[t, begin:end], h[t, begin:end], kept[t, begin:end]
        for n in range(len(a)):
            a[n] = b
        _add_product(x[begin:end, t], w_ih, a)
        _add_product(before, w_hh[:, :both], a[:, :both])
        if reset_after:
            for n in range(len(more)):
                more[n] = b_hn
            _add_product(before, w_hh[:, both:], more)
        for n in range(len(a)):
            _open(a[n, :both])
            if not reset_after:
                _products(a[n, :size], before[n], more[n])  # r ⊙ h_{t−1}
        if not reset_after:
            _add_product(more, w_hh[:, both:], a[:, both:])
        for n in range(len(a)):
            after, here, k = h[t + 1, begin + n], before[n], more[n]
            if padding.size and padding[t, begin + n]:
                a[n], k[:], after[:] = 0, 0, here
                continue
            r, z, proposal = a[n, :size], a[n, size:both], a[n, both:]
            if reset_after:
                for j in range(size):
                    proposal[j] += r[j] * k[j]
            _tanh(proposal)
            for j in range(size):  # (1 − z) ⊙ n + z ⊙ h_{t−1}
                after[j] = z[j] * (here[j] - proposal[j]) + proposal[j]


@kernel
def _gru_back(begin, end, reset_after, w, d_y, padding, gates, states, kept, scratch, d_states):
    d_y, gates, kept = uncounted(d_y), uncounted(gates), uncounted(kept)
    scratch = uncounted(scratch)
    h, d_h = uncounted(states[0]), uncounted(d_states[0])
    size = h.shape[2]
    both = 2 * size
    for t in range(len(gates) - 1, -1, -1):
        a, d_block, more = gates[t, begin:end], d_h[begin:end], kept[t, begin:end]
        p = scratch[begin:end]
        for n in range(len(a)):
            d, before, k, s = d_block[n], h[t, begin + n], more[n], p[n]
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
            _add_product(more, w[both:], d_block)  # Q U_nᵀ
        else:
            p[:] = 0
            _add_product(a[:, both:], w[both:], p)  # P = A_n U_nᵀ
            for n in range(len(a)):
                r, d = a[n, :size], d_block[n]
                for j in range(size):
                    d[j] += p[n, j] * r[j]
                _times_slope(p[n], h[t, begin + n], r)  # A_r
        _add_product(a[:, :both], w[:both], d_block)  # A_r U_rᵀ + A_z U_zᵀ


# -- RNN -------------------------------------------------------------------------------------------


@kernel
def _rnn(begin, end, by_tanh, x, w_ih, w_hh, b, padding, gates, states, kept):
    x, gates, kept = uncounted(x), uncounted(gates), uncounted(kept)
    h = uncounted(states[0])
    zero = np.float32(0)
    for t in range(len(gates)):
        _input(x[begin:end, t], w_ih, w_hh, b, h[t, begin:end], gates[t, begin:end])
        for n in range(begin, end):
            a, h_next = gates[t, n], h[t + 1, n]
            if padding.size and padding[t, n]:
                h_next[:] = h[t, n]
                continue
            if by_tanh:
                _tanh(a)
                h_next[:] = a
            else:
                for j in range(a.size):
                    h_next[j] = max(a[j], zero)


@kernel
def _rnn_back(begin, end, by_tanh, w, d_y, padding, gates, states, kept, scratch, d_states):
    d_y, gates = uncounted(d_y), uncounted(gates)
    h, d_h = uncounted(states[0]), uncounted(d_states[0])
    zero = np.float32(0)
    for t in range(len(gates) - 1, -1, -1):
        for n in range(begin, end):
            a, d, after = gates[t, n], d_h[n], h[t + 1, n]
            if padding.size and padding[t, n]:
                a[:] = 0
                continue
            if d_y.size:
                _add(d_y[n, t], d)
            for j in range(a.size):
                slope = ONE - after[j] * after[j] if by_tanh else ONE if after[j] > zero else zero
                a[j] = d[j] * slope
            d[:] = 0
        _add_product(gates[t, begin:end], w, d_h[begin:end])  # A_t W_hhᵀ


def _no_option(_: Any) -> bool:
    return False


def _reset_after(gru: Any) -> bool:
    return bool(gru.reset_after)


def _recurrent_bias(gru: Any) -> np.ndarray:
    """The bias b_hn, zeros where there is none; empty with the reset before the product."""
    if not gru.reset_after:
        return np.empty(0, np.float32)
    if gru.bias_hn is None:
        return np.zeros(gru.hidden_size, np.float32)
    bias: np.ndarray = gru.bias_hn.data
    return bias


def _by_tanh(rnn: Any) -> bool:
    return bool(rnn.nonlinearity == "tanh")


_STEPS = ByName({
    "sequences.lstm:LSTM.step": (_lstm, _no_option),
    "sequences.gru:GRU.step": (_gru, _recurrent_bias),
    "sequences.rnn:RNN.step": (_rnn, _by_tanh),
})  # fmt: skip
_STEPS_BACK = ByName({
    "sequences.lstm:LSTM.backward_step": (_lstm_back, _no_option),
    "sequences.gru:GRU.backward_step": (_gru_back, _reset_after),
    "sequences.rnn:RNN.backward_step": (_rnn_back, _by_tanh),
})  # fmt: skip
