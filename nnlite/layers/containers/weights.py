"""Weights that are computed from others: a wrapper trains what they are computed from.

In the place of the layer's parameter stands what the wrapper computes in each forward; the layer
itself notices nothing. Its backward yields dL/dw, which the wrapper hands on to its own parameters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnlite.core.checks import check_axis
from nnlite.core.parameter import Buffer, Computed, Parameter
from nnlite.core.random import Rng, as_generator
from nnlite.layers.base import Layer
from nnlite.layers.containers.base import Container, whole_or_nothing

FIRST = 15  # power iterations at construction, as in PyTorch


class ComputedWeight(Container):
    """What both wrappers share: the layer, and what stands in the place of its parameter."""

    def __init__(self, layer: Layer, name: str, axis: int) -> None:
        self.layer = layer
        self.name = name
        self.axis = axis
        weight = vars(layer).get(name)
        if not isinstance(weight, Parameter) or isinstance(weight, Computed):
            names = ", ".join(layer.named_parameters()) or "none"
            raise ValueError(
                f"{type(self).__name__}: {layer.label()} has no parameter {name!r} of its own; "
                f"its parameters: {names}"
            )
        check_axis(layer, axis, weight.shape)
        setattr(layer, name, Computed(weight.data, weight.dtype))

    @property
    def computed(self) -> Computed:
        """What stands in the layer's parameter's place."""
        stands: Computed = vars(self.layer)[self.name]
        return stands

    def children(self) -> list[tuple[str, Layer]]:
        return [("layer", self.layer)]

    def run(self, weight: np.ndarray, x: Any) -> Any:
        """The layer's y with this weight."""
        self.computed.put(weight)
        return self.forward_child("layer", self.layer, x)

    def run_back(self, grad_output: Any) -> tuple[Any, np.ndarray]:
        """(dL/dx, dL/dw) of the layer."""
        self.computed.zero_grad()
        d_x = self.backward_child("layer", self.layer, grad_output, self.needs_input_grad)
        return d_x, self.computed.grad


class WeightNorm(ComputedWeight):
    """A layer whose weight has its length and its direction learned apart.

    Forward      y = f(x; w),  w = g v / ‖v‖, for each output by itself
    Backward     dL/dg = Σ dL/dw ⊙ v/‖v‖,  summed over all axes but that of the outputs
                 dL/dv = g/‖v‖ (dL/dw − v/‖v‖ dL/dg),  dL/dx as f's
                 because ∂(vᵢ/‖v‖)/∂vⱼ = (δᵢⱼ − vᵢ vⱼ/‖v‖²)/‖v‖: what would only make v longer is
                 taken out of the gradient
    Shapes       those of f; magnitude g: w's, with 1 for all axes but `axis`; direction v: w's
    Saves        ‖v‖, v/‖v‖
    Args         layer: f; its parameter is replaced, at first with the same values
                 name: the parameter's (default "weight")
                 axis: w's axis of outputs, each with a g of its own (default −1)
    Raises       ValueError: when the layer has no such parameter, or that no such axis; when a
                 direction is 0
    Source       Salimans & Kingma 2016, "Weight Normalization", equations 2 and 3
    """

    def __init__(self, layer: Layer, name: str = "weight", axis: int = -1) -> None:
        super().__init__(layer, name, axis)
        weight = self.computed
        self.magnitude = Parameter(self._norm(weight.data), weight.dtype)
        self.direction = Parameter(weight.data, weight.dtype)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        return {
            "forward": "y = f(x),  w = g v / ‖v‖ in the place of its weight",
            "magnitude": "dL/dg = Σ dL/dw ⊙ v / ‖v‖",
            "direction": "dL/dv = g / ‖v‖ (dL/dw − v / ‖v‖ dL/dg)",
            "input": "dL/dx = G J_f",
        }

    def _sums(self, a: np.ndarray) -> np.ndarray:
        """Σ over all axes but that of the outputs, which have size 1 then."""
        others = tuple(i for i in range(a.ndim) if i != self.axis % a.ndim)
        return a.sum(axis=others, keepdims=True)

    def _norm(self, v: np.ndarray) -> np.ndarray:
        """‖v‖ of each output."""
        return np.sqrt(self._sums(v * v))

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        v = self.direction.data
        norm = self._norm(v)
        if not norm.all():
            raise ValueError(f"{self.label()}: all weights of an output are 0, without a direction")
        v_hat = v / norm
        y = self.run(self.magnitude.data * v_hat, x)
        self.save_for_backward(norm, v_hat)
        return y

    @whole_or_nothing
    def backward(self, grad_output: Any) -> Any:
        norm, v_hat = self.saved()
        d_x, d_w = self.run_back(grad_output)
        d_g = self._sums(d_w * v_hat)
        self.magnitude.add_grad(d_g)
        self.direction.add_grad(self.magnitude.data / norm * (d_w - v_hat * d_g))
        return d_x


class SpectralNorm(ComputedWeight):
    """A layer whose weight is divided by its largest singular value: it makes no x much longer.

    Forward      y = f(x; ŵ),  ŵ = w/σ,  σ = vᵀ M u, with w as a matrix M (inputs, outputs)
                 training: first u ← Mᵀ v/‖Mᵀ v‖, v ← M u/‖M u‖, which makes σ the largest singular
                 value in the course of many steps; eval: u and v stay
    Backward     dL/dM = (D − v uᵀ Σ D ⊙ M/σ)/σ,  D = dL/d(M/σ);  dL/dx as f's
                 because ∂σ/∂M = v uᵀ, with u and v as constants
    Shapes       those of f; original w: the weight's; u (outputs,); v (inputs,), inputs being the
                 product of all axes but `axis`
    Saves        u, v, σ
    Args         layer: f; its parameter is replaced
                 name: the parameter's (default "weight")
                 n_power_iterations: how often u and v are brought up to date in each forward of
                 training mode (default 1)
                 eps: the least ‖Mᵀ v‖ and ‖M u‖ (default 1e-12)
                 axis: w's axis of outputs (default −1)
                 rng: a generator or seed for the first v (default: see `nn.seed`)
    Raises       ValueError: when the layer has no such parameter, or that no such axis; when σ is 0
    Source       Miyato et al. 2018, "Spectral Normalization", equations 8 and 12, algorithm 1
    """

    surrogate: str | Mapping[str, str] = {
        "original": "u and v count as constants, though in training mode each forward moves them"
    }

    def __init__(
        self,
        layer: Layer,
        name: str = "weight",
        n_power_iterations: int = 1,
        eps: float = 1e-12,
        axis: int = -1,
        rng: Rng = None,
    ) -> None:
        super().__init__(layer, name, axis)
        self.n_power_iterations = n_power_iterations
        self.eps = eps
        weight = self.computed
        self.original = Parameter(weight.data, weight.dtype)
        generator = as_generator(rng)
        m = self._matrix(self.original.data)
        first = generator.standard_normal(m.shape[:1]).astype(weight.dtype)
        u, v = self._iterated(m, first, FIRST)
        self.u, self.v = Buffer(u, weight.dtype), Buffer(v, weight.dtype)

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        return {
            "forward": "y = f(x),  w / σ in the place of its weight w,  σ = vᵀ w u",
            "original": "dL/dw = (D − v uᵀ Σ D ⊙ w / σ) / σ,  where D is that of w / σ",
            "input": "dL/dx = G J_f",
        }

    def _matrix(self, w: np.ndarray) -> np.ndarray:
        """The weight as (inputs, outputs)."""
        last = np.moveaxis(w, self.axis, -1)
        return last.reshape(math.prod(last.shape[:-1]), last.shape[-1])

    def _iterated(self, m: np.ndarray, v: np.ndarray, times: int) -> tuple[np.ndarray, np.ndarray]:
        """(u, v) after so many power iterations."""
        eps = float(self.eps)
        for _ in range(times):
            u = m.T @ v
            u /= max(float(np.linalg.norm(u)), eps)
            v = m @ u
            v /= max(float(np.linalg.norm(v)), eps)
        return u, v

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        w = self.original.data
        m = self._matrix(w)
        if self.training:
            u, v = self._iterated(m, self.v.data, self.n_power_iterations)
            self.u.data, self.v.data = u, v
        else:
            u, v = self.u.data.copy(), self.v.data.copy()
        sigma = v @ m @ u
        if sigma == 0:
            raise ValueError(f"{self.label()}: the largest singular value of the weight is 0")
        y = self.run(w / sigma, x)
        self.save_for_backward(u, v, sigma)
        return y

    @whole_or_nothing
    def backward(self, grad_output: Any) -> Any:
        u, v, sigma = self.saved()
        d_x, d_w_hat = self.run_back(grad_output)
        d = self._matrix(d_w_hat)
        along = (d * self._matrix(self.original.data)).sum() / sigma  # Σ D ⊙ M/σ
        d_m = (d - along * np.outer(v, u)) / sigma
        shape = np.moveaxis(d_w_hat, self.axis, -1).shape
        self.original.add_grad(np.moveaxis(d_m.reshape(shape), -1, self.axis))
        return d_x
