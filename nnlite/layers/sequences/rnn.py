"""The simple recurrent layer."""

from __future__ import annotations

from typing import Literal

import numpy as np

from nnlite.core.random import Rng
from nnlite.layers.sequences.recurrent import Recurrent
from nnlite.ops.recurrence import Run, States
from nnlite.ops.special import relu


class RNN(Recurrent):
    """A recurrent layer whose state is its output: h_t = f(W_ihᵀ x_t + W_hhᵀ h_{t−1} + b).

    Forward      a_t = x_t W_ih + h_{t−1} W_hh + b        h_t = f(a_t),  f = tanh or relu
    Backward     with G_t = dL/dy_t from outside and δ_t = dL/dh_t, from t = T down to 1
                 δ_t = G_t + A_{t+1} W_hhᵀ,  δ_T = G_T        A_t = dL/da_t = δ_t ⊙ f′(a_t)
                 dL/dW_ih = Σ_t x_tᵀ A_t    dL/dW_hh = Σ_t h_{t−1}ᵀ A_t    dL/db = Σ_t Σₙ A_t
                 dL/dx_t = A_t W_ihᵀ        dL/dh_0 = A_1 W_hhᵀ
                 because h_t reaches the loss in two ways, through y_t and through a_{t+1}:
                 ∂a_{t+1}/∂h_t = W_hh; and a weight takes part in every a_t, so its shares add up.
                 f′ = 1 − h² for tanh, [h > 0] for relu. Unrolled over k steps,
                 ∂h_{t+k}/∂h_t = Π W_hhᵀ diag f′: k factors, which vanish or explode with k
    Shapes       x (N, T, input_size) → y (N, T, H), or (N, H) without return_sequences
                 weight_ih (input_size, H); weight_hh (H, H); bias (H,); state (num_layers, N, H)
    Saves        x, h_0 … h_T, the activations
    Args         input_size, hidden_size: features of x_t, and H, those of the state
                 num_layers: how many layers stand on each other (default 1)
                 bias: whether to add b (default True); without it `bias` is None
                 dropout: its probability between stacked layers (default 0)
                 return_sequences: every step's output (default True), or only the last
                 return_state: forward returns (y, state), and backward takes (dL/dy, dL/dstate),
                 whose second may be None (default False)
                 stateful: start where the last batch ended; gradients stop there (truncated BPTT),
                 until `reset_state()` (default False)
                 nonlinearity: "tanh" (default) or "relu"
                 rng: a generator or seed for the first values and masks (default: see `nn.seed`)
    Raises       TypeError: when x does not hold floats
                 ValueError: when x is not (N, T, input_size), or a state has another shape, or
                 is carried on to a batch of another size
    Source       Elman 1990; BPTT: Werbos 1990; recurrent weights orthogonal: Saxe et al. 2014
    """

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
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        rng: Rng = None,
    ) -> None:
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, dropout,
            return_sequences, return_state, stateful, rng,
        )  # fmt: skip

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        tanh = self.nonlinearity == "tanh"
        slope = "(1 − h_t²)" if tanh else "[h_t > 0]"
        return self.printed(
            f"h_t = {'tanh(a_t)' if tanh else 'max(a_t, 0)'},  "
            f"a_t = x_t W_ih + h_{{t−1}} W_hh{self.plus_bias}",
            weight_ih=f"dL/dW_ih = Σ_t x_tᵀ A_t,  A_t = δ_t ⊙ {slope}",
            weight_hh="dL/dW_hh = Σ_t h_{t−1}ᵀ A_t,  "
            f"δ_t = {self.from_outside} + A_{{t+1}} W_hhᵀ",
            state="dL/dh_{t−1} = A_t W_hhᵀ",
        )

    def cell_options(self) -> dict[str, str]:
        return {"nonlinearity": self.nonlinearity}

    def step(self, t: int, run: Run, weight: np.ndarray) -> None:
        (h,) = run.states
        (a,) = run.gates[t]
        a += weight @ h[t]
        h[t + 1] = np.tanh(a, out=a) if self.nonlinearity == "tanh" else relu(a)

    def backward_step(self, t: int, d_states: States, run: Run) -> tuple[States, np.ndarray]:
        (d_h,), h = d_states, run.states[0][t + 1]
        d_a = d_h * (1 - h * h if self.nonlinearity == "tanh" else h > 0)
        return (self.weight_hh.data @ d_a,), d_a[None]
