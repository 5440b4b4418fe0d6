"""Gated recurrent units."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng
from nnlite.core.reading import Reading
from nnlite.layers.sequences.recurrent import Recurrent
from nnlite.ops.recurrence import Run, States, side_by_side
from nnlite.ops.special import sigmoid_of_negative


class GRU(Recurrent):
    """A recurrent layer whose state is a moving mean of new proposals, with learned gates.

    Forward      a_t = x_t W_ih + b, and the recurrent parts U_r, U_z, U_n of W_hh
                 r = σ(a_r + h_{t−1} U_r)        z = σ(a_z + h_{t−1} U_z)
                 n = tanh(a_n + r ⊙ (h_{t−1} U_n + b_hn))     reset after the product (default)
                 n = tanh(a_n + (r ⊙ h_{t−1}) U_n)            reset before it
                 h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}
    Backward     with G_t = dL/dy_t from outside and δ_t = dL/dh_t, from t = T down to 1
                 A_z = δ_t ⊙ (h_{t−1} − n) ⊙ z(1 − z)        A_n = δ_t ⊙ (1 − z) ⊙ (1 − n²)
                 after:   Q = A_n ⊙ r      A_r = A_n ⊙ (h_{t−1} U_n + b_hn) ⊙ r(1 − r)
                          dL/dU_n = Σ_t h_{t−1}ᵀ Q        dL/db_hn = Σ_t Σₙ Q
                          δ_{t−1} = G_{t−1} + δ_t ⊙ z + A_r U_rᵀ + A_z U_zᵀ + Q U_nᵀ
                 before:  P = A_n U_nᵀ     A_r = P ⊙ h_{t−1} ⊙ r(1 − r)
                          dL/dU_n = Σ_t (r ⊙ h_{t−1})ᵀ A_n
                          δ_{t−1} = G_{t−1} + δ_t ⊙ z + A_r U_rᵀ + A_z U_zᵀ + P ⊙ r
                 dL/dW_ih = Σ_t x_tᵀ A_t    dL/dU_r, dL/dU_z = Σ_t h_{t−1}ᵀ A_r, Σ_t h_{t−1}ᵀ A_z
                 dL/db = Σ_t Σₙ A_t         dL/dx_t = A_t W_ihᵀ
                 because h_{t−1} reaches h_t directly (∂ = z), through both gates and through n;
                 where z is near 1 the direct way carries the gradient over many steps
    Shapes       x (N, T, input_size) → y (N, T, H), or (N, H) without return_sequences
                 weight_ih (input_size, 3H), weight_hh (H, 3H) and bias (3H,) in the order r z n;
                 bias_hn (H,); state (num_layers, N, H)
    Saves        x, the gates, h_0 … h_T, and h_{t−1} U_n + b_hn (after) or r ⊙ h_{t−1} (before)
    Args         input_size, hidden_size: features of x_t, and H, those of the state
                 num_layers: how many layers stand on each other (default 1)
                 bias: whether to add b and b_hn, which is 0 at first (default True); without it
                 `bias` and `bias_hn` are None
                 dropout: its probability between stacked layers (default 0)
                 return_sequences: every step's output (default True), or only the last
                 return_state: forward returns (y, state), and backward takes (dL/dy, dL/dstate),
                 whose second may be None (default False)
                 stateful: start where the last batch ended; gradients stop there (truncated BPTT),
                 until `reset_state()` (default False)
                 reset_after: where r acts (default True, as in PyTorch); before the product
                 there is no b_hn: r cannot keep it out, so it would be a part of b
                 rng: a generator or seed for the first values and masks (default: see `nn.seed`)
    Raises       TypeError: when x does not hold floats
                 ValueError: when x is not (N, T, input_size), or a state has another shape, or
                 is carried on to a batch of another size
    Source       Cho et al. 2014 (before); reset after: the form of cuDNN and PyTorch
    """

    gate_scales = (-1.0, -1.0, 1.0)
    gate_letters = "rzn"
    passed_letters = "δ_t", "B_{t+1}"
    keeps_more = True
    direct_gates = 2
    added_later: ClassVar = {"bias_hn": "bias"}

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
        reset_after: bool = True,
        rng: Rng = None,
    ) -> None:
        self.reset_after = reset_after
        super().__init__(
            input_size, hidden_size, num_layers, bias, dropout,
            return_sequences, return_state, stateful, rng,
        )  # fmt: skip

    def add_cell_parameters(self, rng: np.random.Generator) -> None:
        inside = self.bias is not None and self.reset_after
        self.bias_hn = Parameter(np.zeros(self.hidden_size)) if inside else None

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        more = {}
        if self.reset_after:
            product = "h_{t−1} U_n"
            if self.bias_hn is not None:
                product += " + b_hn"
                more["bias_hn"] = "dL/db_hn = Σ_t Σₙ A_n ⊙ r"
            inner, d_r = f"r ⊙ ({product})", f"A_n ⊙ ({product})"
            recurrent = "Σ_t h_{t−1}ᵀ Q_t,  Q_t = [A_r, A_z, A_n ⊙ r]"
            before = "Q_t W_hhᵀ"
        else:
            inner, d_r = "(r ⊙ h_{t−1}) U_n", "P ⊙ h_{t−1}"
            recurrent = "Σ_t [h_{t−1}ᵀ A_r, h_{t−1}ᵀ A_z, (r ⊙ h_{t−1})ᵀ A_n],  P = A_n U_nᵀ"
            before = "A_r U_rᵀ + A_z U_zᵀ + P ⊙ r"
        return self.printed(
            "h_t = (1 − z) ⊙ n + z ⊙ h_{t−1},  r = σ(a_r + h_{t−1} U_r),  "
            f"z = σ(a_z + h_{{t−1}} U_z),  n = tanh(a_n + {inner}),  "
            f"[a_r, a_z, a_n] = x_t W_ih{self.plus_bias},  [U_r, U_z, U_n] = W_hh",
            weight_ih="dL/dW_ih = Σ_t x_tᵀ A_t,  A_t = [A_r, A_z, A_n],  "
            f"A_r = {d_r} ⊙ r ⊙ (1 − r),  A_z = δ_t ⊙ (h_{{t−1}} − n) ⊙ z ⊙ (1 − z),  "
            "A_n = δ_t ⊙ (1 − z) ⊙ (1 − n²)",
            weight_hh=f"dL/dW_hh = {recurrent},  δ_t = {self.from_outside} + B_{{t+1}}",
            **more,
            state=f"dL/dh_{{t−1}} = B_t,  B_t = δ_t ⊙ z + {before}",
        )

    def reading(self, run: Run | None = None, given: bool = False) -> Reading:
        known = super().reading(run, given)
        if run is None:
            return known
        a, kept, both = known.values["A"], run.kept.transpose(2, 0, 1), 2 * self.hidden_size
        values: dict[str, Any] = {
            **known.values,
            "k": kept,
            "A_u": a[..., :both],
            "A_c": a[..., both:],
        }
        of_n = "h[n,t,i] k" if self.reset_after else "k[n,t,i] A_c"
        recurrent = f"Σ_tn h[n,t,i] A_u[n,t,j] + Σ_tn {of_n}[n,t, j−{both}]"
        lines = {
            **known.components,
            "weight_hh": f"dL/dW_hh[i,j] = {recurrent}",
            "bias_hn": "dL/db_hn[j] = Σ_tn k[n,t,j]",
        }
        return known._replace(values=values, components=lines)

    def cell_options(self) -> dict[str, Any]:
        return {"reset_after": self.reset_after}

    def step(self, t: int, run: Run, weight: np.ndarray) -> None:
        """Both gates, the proposal n, then the mean of n and the state."""
        h = run.states[0]
        gates, kept = run.gates[t], run.kept[t]  # (3, H, N), (H, N)
        r, z, n = gates
        both = 2 * self.hidden_size
        if self.reset_after:
            recurrent = weight @ h[t]
            kept[:] = recurrent[both:]
            if self.bias_hn is not None:
                kept += self.bias_hn.data[:, None]
        else:
            recurrent = weight[:both] @ h[t]
        gates[:2] += recurrent[:both].reshape(2, *r.shape)
        sigmoid_of_negative(gates[:2])
        if self.reset_after:
            n += r * kept
        else:
            np.multiply(r, h[t], out=kept)
            n += weight[both:] @ kept
        np.tanh(n, out=n)
        np.multiply(z, h[t] - n, out=h[t + 1])
        h[t + 1] += n  # (1 − z) ⊙ n + z ⊙ h_{t−1} = z ⊙ (h_{t−1} − n) + n

    def backward_step(self, t: int, d_states: States, run: Run) -> tuple[States, np.ndarray]:
        """The gates' gradients; with reset after, Q takes the place of h_{t−1} U_n + b_hn."""
        (d_h,), h, kept = d_states, run.states[0][t], run.kept[t]
        r, z, n = run.gates[t]
        both = 2 * self.hidden_size
        u_gates, u_n = self.weight_hh.data[:, :both], self.weight_hh.data[:, both:]
        d_a = np.empty_like(run.gates[t])  # (3, H, N)
        a_r, a_z, a_n = d_a  # A_r, A_z, A_n, (H, N) like all that follows
        d_before = d_h * z  # δ ⊙ z
        d_n = d_h - d_before  # δ ⊙ (1 − z)
        np.multiply(d_n * z, h - n, out=a_z)  # δ ⊙ (h_{t−1} − n) ⊙ z(1 − z)
        np.multiply(d_n, 1 - n * n, out=a_n)  # δ ⊙ (1 − z) ⊙ (1 − n²)
        slope = r - r * r  # r(1 − r)
        if self.reset_after:
            np.multiply(a_n * kept, slope, out=a_r)  # A_n ⊙ (h_{t−1} U_n + b_hn) ⊙ r(1 − r)
            q = np.multiply(a_n, r, out=kept)
            d_before += u_n @ q  # Q U_nᵀ
        else:
            p = u_n @ a_n  # A_n U_nᵀ
            np.multiply(p * h, slope, out=a_r)  # P ⊙ h_{t−1} ⊙ r(1 − r)
            d_before += p * r
        d_before += u_gates @ d_a[:2].reshape(both, -1)  # A_r U_rᵀ + A_z U_zᵀ
        return (d_before,), d_a

    def add_recurrent_grad(self, run: Run, d_a: np.ndarray, d_w: np.ndarray) -> None:
        """To dL/dU_r and dL/dU_z, dL/dU_n and dL/db_hn by where the reset gate acts."""
        both = 2 * self.hidden_size
        kept = side_by_side(run.kept)  # (H, T·N)
        if self.reset_after:
            d_u_n = side_by_side(run.states[0][:-1]) @ kept.T  # Σ_t h_{t−1}ᵀ Q, (H, H)
        else:
            d_u_n = kept @ d_a[both:].T  # Σ_t (r ⊙ h_{t−1})ᵀ A_n, (H, H)
        self.weight_hh.add_grad(np.concatenate((d_w, d_u_n), axis=1))
        if self.bias_hn is not None:
            self.bias_hn.add_grad(kept.sum(axis=1))  # Σ_t Σₙ Q
