"""Layers side by side on the same input."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.formulas import subscript
from nnlite.core.padded import plain
from nnlite.core.reading import Reading
from nnlite.layers.base import Layer
from nnlite.layers.containers.base import Container, whole_or_nothing
from nnlite.layers.containers.joining import ends_of, joined_padding
from nnlite.layers.shape import Identity


class _Branches(Container):
    """Layers side by side on the same input: y = combine(f₁(x), f₂(x), …).

    The input feeds every branch, so its gradient is the sum of theirs.
    """

    def __init__(self, *branches: Layer) -> None:
        if not branches:
            raise ValueError(f"{type(self).__name__} needs at least one branch")
        self.branches = branches
        self.check_children()

    def children(self) -> list[tuple[str, Layer]]:
        return [(f"branch {index}", branch) for index, branch in enumerate(self.branches)]

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        outputs = [self.forward_child(place, branch, x) for place, branch in self.children()]
        y = self.combine([plain(output) for output in outputs])
        return joined_padding(f"{type(self).__name__}: branches", y, outputs)

    @whole_or_nothing
    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        d_inputs = [
            self.backward_child(place, branch, d_branch, self.needs_input_grad)
            for (place, branch), d_branch in zip(
                self.children(), self.split(grad_output), strict=True
            )
        ]
        if not self.needs_input_grad or all(d_input is None for d_input in d_inputs):
            return None  # not needed, or x was whole numbers
        d_x: np.ndarray | None = None
        for (place, branch), d_input in zip(self.children(), d_inputs, strict=True):
            if d_input is None:
                self.refuse_nothing(place, branch)
            d_x = d_input if d_x is None else d_x + d_input
        return d_x

    def combine(self, outputs: list[np.ndarray]) -> np.ndarray:
        """y from the branches' outputs; saves what `split` needs."""
        raise NotImplementedError

    def split(self, grad_output: np.ndarray) -> list[np.ndarray]:
        """The gradient of each branch's output."""
        raise NotImplementedError


class Concat(_Branches):
    """Branches side by side, their outputs joined along the last axis.

    Forward      y = [f₁(x), f₂(x), …]
    Backward     dL/dx = Σᵦ Jᵦᵀ Gᵦ, where Gᵦ is the slice of G that belongs to branch b:
                 each output value comes from one branch, and x feeds all of them
    Shapes       branch b: x → (N, …, Cᵦ);  y (N, …, ΣCᵦ)
    Saves        where each branch's slice ends
    Args         branches: the layers, at least one
    Raises       ValueError: when the outputs differ in another axis than the last
    Source       Szegedy et al. 2015, "Going Deeper with Convolutions"
    """

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        branches = [subscript(b) for b in range(1, 1 + len(self.branches))]
        y = ", ".join(f"f{b}(x)" for b in branches)
        if len(branches) == 1:
            return {"forward": f"y = {y}", "input": "dL/dx = G J₁"}
        back = " + ".join(f"G{b} J{b}" for b in branches)
        cut = ", ".join(f"G{b}" for b in branches)
        return {"forward": f"y = [{y}]", "input": f"dL/dx = {back},  [{cut}] = G"}

    def reading(self, ends: Any = ()) -> Reading:
        branches = [subscript(b) for b in range(1, 1 + len(self.branches))]
        back = "G J{0}" if len(branches) == 1 else "G{0} J{0}"
        paths = {f"branch {i}": (f"f{b}(x)", back.format(b)) for i, b in enumerate(branches)}
        return Reading(paths=paths)

    def combine(self, outputs: list[np.ndarray]) -> np.ndarray:
        self.save_for_backward(ends_of(outputs, f"{type(self).__name__}: branches"))
        return np.concatenate(outputs, axis=-1)

    def split(self, grad_output: np.ndarray) -> list[np.ndarray]:
        (ends,) = self.saved()
        return np.split(grad_output, ends, axis=-1)


class Add(_Branches):
    """Branches side by side, their outputs added.

    Forward      y = f₁(x) + f₂(x) + …
    Backward     dL/dx = Σᵦ Jᵦᵀ G: a sum passes its gradient unchanged to every term
    Shapes       every branch: x → y's shape
    Saves        nothing itself
    Args         branches: the layers, at least one
    Raises       ValueError: when the outputs differ in shape; there is no broadcasting
    Source       standard result
    """

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        branches = [subscript(b) for b in range(1, 1 + len(self.branches))]
        y, back = (" + ".join(form.format(b) for b in branches) for form in ("f{}(x)", "G J{}"))
        return {"forward": f"y = {y}", "input": f"dL/dx = {back}"}

    def reading(self, *saved: Any) -> Reading:
        branches = enumerate(map(subscript, range(1, 1 + len(self.branches))))
        return Reading(paths={f"branch {i}": (f"f{b}(x)", f"G J{b}") for i, b in branches})

    def combine(self, outputs: list[np.ndarray]) -> np.ndarray:
        shapes = [output.shape for output in outputs]
        if len(set(shapes)) > 1:
            raise ValueError(
                f"{type(self).__name__}: branches must give the same shape, got {shapes}"
            )
        y = outputs[0].copy() if len(outputs) == 1 else outputs[0] + outputs[1]
        for output in outputs[2:]:
            y += output
        self.save_for_backward()
        return y

    def split(self, grad_output: np.ndarray) -> list[np.ndarray]:
        self.saved()
        return [grad_output for _ in self.children()]


class Residual(Add):
    """A branch and a way around it: y = f(x) + s(x), where s is the identity unless given.

    Forward      y = f(x) + s(x)
    Backward     dL/dx = J_fᵀ G + J_sᵀ G; with the identity, dL/dx = J_fᵀ G + G: however small
                 the branch's Jacobian, G itself reaches the layers below
    Shapes       x (N, …) → y with the branch's output shape, which must be the shortcut's too
    Saves        nothing itself
    Args         branch: the layer f
                 shortcut: the layer s (default None: the identity)
    Raises       ValueError: when the two outputs differ in shape
    Source       He et al. 2016, "Deep Residual Learning", equations 1 and 2
    """

    def __init__(self, branch: Layer, shortcut: Layer | None = None) -> None:
        self.branch = branch
        self.shortcut = shortcut
        self._identity = Identity()  # stands in for a shortcut that is None
        self.check_children()

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self.shortcut is None:
            return {"forward": "y = f(x) + x", "input": "dL/dx = G J_f + G"}
        return {"forward": "y = f(x) + s(x)", "input": "dL/dx = G J_f + G J_s"}

    def reading(self, *saved: Any) -> Reading:
        paths = {"branch": ("f(x)", "G J_f")}
        if self.shortcut is not None:
            paths["shortcut"] = "s(x)", "G J_s"
        return Reading(paths=paths)

    def children(self) -> list[tuple[str, Layer]]:
        shortcut = self._identity if self.shortcut is None else self.shortcut
        return [("branch", self.branch), ("shortcut", shortcut)]
