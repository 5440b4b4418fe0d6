"""Long short-term memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng
from nnlite.initializers import Uniform, first_values
from nnlite.layers.sequences.recurrent import Recurrent
from nnlite.ops.recurrence import Run, States
from nnlite.ops.special import sigmoid_of_negative


class LSTM(Recurrent):
    """A recurrent layer with a memory cell, which gates write, keep and read.

    Forward      a_t = x_t W_ih + h_{t−1} W_hh + b, cut into the four gates' parts
                 i = σ(a_i)   f = σ(a_f)   g = tanh(a_g)   o = σ(a_o)
                 c_t = f ⊙ c_{t−1} + i ⊙ g        h_t = o ⊙ tanh(c_t)
                 and with proj_size P, h_t = (o ⊙ tanh(c_t)) W_hr, of P features
    Backward     with G_t = dL/dy_t from outside, from t = T down to 1
                 δʰ_t = G_t + A_{t+1} W_hhᵀ
                 δᶜ_t = δᶜ_{t+1} ⊙ f_{t+1} + δʰ_t ⊙ o ⊙ (1 − tanh² c_t)
                 A_i = δᶜ ⊙ g ⊙ i(1 − i)              A_f = δᶜ ⊙ c_{t−1} ⊙ f(1 − f)
                 A_g = δᶜ ⊙ i ⊙ (1 − g²)              A_o = δʰ ⊙ tanh(c_t) ⊙ o(1 − o)
                 dL/dW_ih = Σ_t x_tᵀ A_t    dL/dW_hh = Σ_t h_{t−1}ᵀ A_t    dL/db = Σ_t Σₙ A_t
                 dL/dx_t = A_t W_ihᵀ        dL/dh_0 = A_1 W_hhᵀ            dL/dc_0 = δᶜ_1 ⊙ f_1
                 with proj_size, D_t = dL/dh_t = G_t + A_{t+1} W_hhᵀ, δʰ_t = D_t W_hrᵀ, and
                 dL/dW_hr = Σ_t (o ⊙ tanh(c_t))ᵀ D_t
                 because c_t reaches the loss through h_t and through c_{t+1}, where
                 ∂c_{t+1}/∂c_t = f_{t+1}: over k steps the product of k forget gates, near 1 when
                 they are open, and no weight matrix in between. That is how gradients last
    Shapes       x (N, T, input_size) → y (N, T, H), or (N, H) without return_sequences
                 weight_ih (input_size, 4H), weight_hh (H, 4H) and bias (4H,) in the order i f g o;
                 state (h, c), each (num_layers, N, H); with proj_size, y and h have P features
                 instead of H, weight_hh is (P, 4H), and weight_hr (H, P)
    Saves        x, the gates, h_0 … h_T, c_0 … c_T, tanh(c_t)
    Args         input_size, hidden_size: features of x_t, and H, those of h and c
                 num_layers: how many layers stand on each other (default 1)
                 bias: whether to add b (default True); without it `bias` is None
                 dropout: its probability between stacked layers (default 0)
                 return_sequences: every step's output (default True), or only the last
                 return_state: forward returns (y, (h, c)), and backward takes (dL/dy, dL/dstate),
                 whose second may be None (default False)
                 stateful: start where the last batch ended; gradients stop there (truncated BPTT),
                 until `reset_state()` (default False)
                 forget_bias: first value of b_f (default 1: remember at first)
                 proj_size: P, fewer than H: what is put out, and seen by the next step's gates, are
                 P mixtures of o ⊙ tanh(c) (default 0: all H as they are, without W_hr)
                 rng: a generator or seed for the first values and masks (default: see `nn.seed`)
    Raises       TypeError: when x does not hold floats
                 ValueError: when x is not (N, T, input_size), or a state has another shape, or
                 is carried on to a batch of another size; when proj_size is not below hidden_size
    Source       Hochreiter & Schmidhuber 1997; forget gate: Gers et al. 2000; its bias:
                 Jozefowicz et al. 2015; recurrent weights orthogonal: Saxe et al. 2014;
                 proj_size: Sak et al. 2014
    """

    gate_scales = (-1.0, -1.0, 1.0, -1.0)
    gate_letters = "ifgo"
    state_count = 2
    keeps_more = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        forget_bias: float = 1.0,
        proj_size: int = 0,
        rng: Rng = None,
    ) -> None:
        if proj_size >= hidden_size:
            raise ValueError(
                f"LSTM: proj_size must be below hidden_size={hidden_size}, got {proj_size}"
            )
        self.forget_bias = forget_bias
        self.proj_size = proj_size
        super().__init__(
            input_size, hidden_size, num_layers, bias, dropout,
            return_sequences, return_state, stateful, rng,
        )  # fmt: skip
        if self.bias is not None:
            self.bias.data[hidden_size : 2 * hidden_size] = forget_bias

    def add_cell_parameters(self, rng: np.random.Generator) -> None:
        self.weight_hr = None
        if self.proj_size:
            bound = 1 / math.sqrt(self.hidden_size)
            shape = (self.hidden_size, self.proj_size)
            self.weight_hr = Parameter(first_values(Uniform(-bound, bound), shape, rng))

    @property
    def passed_letters(self) -> tuple[str, str]:  # type: ignore[override]
        return "δʰ_t" if self.weight_hr is None else "D_t", "A_{t+1} W_hhᵀ"

    @property
    def state_sizes(self) -> tuple[int, ...]:
        return self.proj_size or self.hidden_size, self.hidden_size

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        h, d_h, more = "o ⊙ tanh(c_t)", f"{self.from_outside} + A_{{t+1}} W_hhᵀ", {}
        if self.weight_hr is not None:
            more["weight_hr"] = f"dL/dW_hr = Σ_t ({h})ᵀ D_t"
            h, d_h = f"({h}) W_hr", f"D_t W_hrᵀ,  D_t = {d_h}"
        return self.printed(
            f"h_t = {h},  c_t = f ⊙ c_{{t−1}} + i ⊙ g,  i = σ(a_i),  f = σ(a_f),  "
            "g = tanh(a_g),  o = σ(a_o),  "
            f"[a_i, a_f, a_g, a_o] = x_t W_ih + h_{{t−1}} W_hh{self.plus_bias}",
            weight_ih="dL/dW_ih = Σ_t x_tᵀ A_t,  A_t = [δᶜ_t ⊙ g ⊙ i ⊙ (1 − i), "
            "δᶜ_t ⊙ c_{t−1} ⊙ f ⊙ (1 − f), δᶜ_t ⊙ i ⊙ (1 − g²), "
            "δʰ_t ⊙ tanh(c_t) ⊙ o ⊙ (1 − o)]",
            weight_hh="dL/dW_hh = Σ_t h_{t−1}ᵀ A_t,  "
            f"δʰ_t = {d_h},  "
            "δᶜ_t = δᶜ_{t+1} ⊙ f_{t+1} + δʰ_t ⊙ o ⊙ (1 − tanh² c_t)",
            **more,
            state="dL/dh_{t−1} = A_t W_hhᵀ,  dL/dc_{t−1} = δᶜ_t ⊙ f",
        )

    def cell_options(self) -> dict[str, Any]:
        return {"forget_bias": self.forget_bias, "proj_size": self.proj_size}

    def step(self, t: int, run: Run, weight: np.ndarray) -> None:
        h, c = run.states
        gates = run.gates[t]  # (4, H, N)
        gates += (weight @ h[t]).reshape(gates.shape)
        i, f, g, o = gates
        sigmoid_of_negative(gates[:2])
        np.tanh(g, out=g)
        sigmoid_of_negative(o)
        np.multiply(f, c[t], out=c[t + 1])
        c[t + 1] += i * g  # f ⊙ c_{t−1} + i ⊙ g
        np.tanh(c[t + 1], out=run.kept[t])
        if self.weight_hr is None:
            np.multiply(o, run.kept[t], out=h[t + 1])  # o ⊙ tanh(c_t)
        else:
            np.matmul(self.weight_hr.data.T, o * run.kept[t], out=h[t + 1])

    def backward_step(self, t: int, d_states: States, run: Run) -> tuple[States, np.ndarray]:
        """The gates' gradients from those of h and c, (H, N) each."""
        (d_h, d_c), tanh_c, gates = d_states, run.kept[t], run.gates[t]
        c_before = run.states[1][t]
        i, f, g, o = gates
        if self.weight_hr is not None:
            self.weight_hr.add_grad(o * tanh_c, times=d_h.T)
            d_h = self.weight_hr.data @ d_h  # D_t W_hrᵀ, (H, N)
        d_o = d_h * tanh_c  # δʰ ⊙ tanh(c_t)
        d_c = d_c + o * (d_h - d_o * tanh_c)  # δᶜ_{t+1} ⊙ f_{t+1} + δʰ ⊙ o ⊙ (1 − tanh² c_t)
        # A = the gate's slope, times what the gate multiplies, times what arrives: (4, H, N)
        d_a = gates * gates
        np.subtract(gates[:2], d_a[:2], out=d_a[:2])  # i(1 − i) and f(1 − f)
        np.subtract(1, d_a[2], out=d_a[2])  # 1 − g²
        np.subtract(o, d_a[3], out=d_a[3])  # o(1 − o)
        for a, factor in zip(d_a, (g, c_before, i, d_o), strict=True):
            a *= factor
        d_a[:3] *= d_c  # δᶜ, for A_i, A_f and A_g; in A_o, d_o holds δʰ
        d_h_before = self.weight_hh.data @ d_a.reshape(4 * self.hidden_size, -1)  # A_t W_hhᵀ
        return (d_h_before, d_c * f), d_a

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        own = 0 if self.weight_hr is None else self.weight_hr.size
        return super().multiply_adds(x_shape, y_shape) + x_shape[0] * x_shape[1] * own
