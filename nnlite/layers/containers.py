"""Layers made of layers: one after another, side by side, and around.

A container is a layer like any other: it has a forward and a backward, so containers nest. It
adds two things of its own. It tells its children whether their input gradient is needed, and it
says where in the model an error happened: every container on the way out puts its own place in
front of the message, until it reads

    in Sequential layer 2 › Residual branch › Linear(64, 10): expected (N, 64), got (32, 128)
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn, TypeVar, overload

import numpy as np

from nnlite.layers.base import Layer
from nnlite.layers.shape import Identity
from nnlite.layers.structure import Parent
from nnlite.padded import Padded, plain
from nnlite.slot import keeping

LOCATED = (ValueError, TypeError, RuntimeError)
Pass = TypeVar("Pass", bound=Callable[..., Any])


def whole_or_nothing(run: Pass) -> Pass:
    """A container's forward or backward that empties the slots of all children when it fails.

    A half-run pass, stopped by whatever error or by Ctrl-C, leaves nothing to continue from.
    Inside `nn.inference()` it has left nothing, and the slots belong to someone else's pass.
    """

    @functools.wraps(run)
    def guarded(self: Container, *values: Any, **named: Any) -> Any:
        try:
            return run(self, *values, **named)
        except BaseException:
            if keeping():
                self.clear_saved()
            raise

    return guarded  # type: ignore[return-value]  # the same call, as wraps says


class Composite(Layer):
    """A layer with layers inside: it runs each of them by one guarded call, there and back."""

    def forward_child(self, place: str, child: Layer, x: Any, *state: Any) -> Any:
        """What the child makes of x; an error on the way names the child's place."""
        try:
            whole = state or not isinstance(x, Padded)
            y = child.forward(x, *state) if whole else x.through(child)
            if y is None:
                raise _nothing_from("forward", child, "y")
        except LOCATED as error:
            self._raise_from(place, child, error)
        return y

    def backward_child(
        self, place: str, child: Layer, grad_output: Any, needed: bool = True
    ) -> Any:
        """What the child makes of its output's gradient.

        Args:
            place: the words that name it in errors.
            child: the layer.
            grad_output: dL/dy.
            needed: whether the child shall return dL/dx, which is None for whole numbers even so.
        """
        if child.needs_input_grad != needed:  # rarely; Layer checks every write
            child.needs_input_grad = needed
        try:
            return child.backward(grad_output)
        except LOCATED as error:
            self._raise_from(place, child, error)

    def refuse_nothing(self, place: str, child: Layer) -> NoReturn:
        """Raise the error for a child whose backward lacks its return."""
        self._raise_from(place, child, _nothing_from("backward", child, "dL/dx"))

    def _raise_from(self, place: str, child: Layer, error: Exception) -> NoReturn:
        """Put the child's place in front of the error's message, and raise it again."""
        prefix = f"in {type(self).__name__} {place} › "
        if error.args and isinstance(error.args[0], str):
            message = error.args[0]
            if isinstance(child, Composite) and message.startswith(f"in {type(child).__name__} "):
                message = message.removeprefix("in ")  # it has named its own place already
            elif not message.startswith(type(child).__name__):
                message = f"{child.label()}: {message}"
            error.args = (prefix + message, *error.args[1:])
        else:
            error.add_note(prefix + child.label())
        raise error


def _nothing_from(method: str, layer: Layer, wanted: str) -> TypeError:
    """The error for a method that lacks its return."""
    return TypeError(f"{layer.label()}: {method} returned None; it must return {wanted}")


class Container(Composite, Parent):
    """What containers share: their children, by place, and the place in error messages."""

    accepts_padded = True

    def children(self) -> list[tuple[str, Layer]]:
        """The layers directly inside, each with the words that name its place."""
        return super().children()

    def check_children(self) -> None:
        """Refuse a layer that stands in two places.

        A layer has one slot, so a second forward would overwrite what the first one saved.
        """
        seen: dict[int, str] = {}
        for place, child in self.children():
            for layer in child.named_layers().values():
                if id(layer) in seen:
                    tie = ", and to tie their weights share the Parameter: second.weight = first"
                    raise ValueError(
                        f"{type(self).__name__}: {layer.label()} stands in {seen[id(layer)]} and "
                        f"again in {place}; a layer can be used once. Make a second one"
                        + (f"{tie}.weight" if layer.has_parameters() else "")
                    )
                seen[id(layer)] = place

    def label(self) -> str:
        """The class alone: the whole model would fill the screen."""
        return type(self).__name__


class Sequential(Container):
    """One layer after another: y = fₖ(… f₂(f₁(x))).

    Forward      x₀ = x,  xᵢ = fᵢ(xᵢ₋₁),  y = xₖ
    Backward     G_k = dL/dy,  Gᵢ₋₁ = Gᵢ ∂xᵢ/∂xᵢ₋₁,  dL/dx = G₀
                 the chain rule, last layer first: each layer turns the gradient of its output
                 into that of its input, and adds to its parameters' gradients on the way
    Shapes       those of the layers
    Saves        nothing itself
    Args         layers: the layers, in order; none makes an identity
    Raises       TypeError: for what is not a layer
                 ValueError: for a layer that is already in the model
    Source       the chain rule

    `len`, iteration and indexing work as on a tuple, and a slice is a Sequential of the same
    layers. With `needs_input_grad` False, backward stops after the lowest layer with parameters.
    """

    kind = "chain"
    equations: ClassVar = {"forward": "y = fₖ(… f₂(f₁(x)))", "input": "dL/dx = G Jₖ … J₂ J₁"}

    def __init__(self, *layers: Layer) -> None:
        self.layers = layers
        self._children = [(f"layer {index}", layer) for index, layer in enumerate(layers)]
        self.check_children()

    def children(self) -> list[tuple[str, Layer]]:
        """Each layer with its index."""
        return self._children

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        """Through the layers, first to last."""
        for place, layer in self._children:
            x = self.forward_child(place, layer, x)
        self.save_for_backward()
        return x

    @whole_or_nothing
    def backward(self, grad_output: Any) -> Any:
        """Back through the layers, last to first."""
        self.saved()
        lowest = 0 if self.needs_input_grad else self._lowest_with_parameters()
        grad = grad_output
        for index in range(len(self.layers) - 1, lowest - 1, -1):
            place, layer = self._children[index]
            needed = self.needs_input_grad or index > lowest
            grad = self.backward_child(place, layer, grad, needed)
            if grad is None and index > lowest:  # the lowest may have had whole numbers
                self.refuse_nothing(place, layer)
        for layer in self.layers[:lowest]:
            layer.clear_saved()
        return grad if self.needs_input_grad else None

    def _lowest_with_parameters(self) -> int:
        for index, layer in enumerate(self.layers):
            if layer.has_parameters():
                return index
        return len(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Sequential: ...
    def __getitem__(self, index: int | slice) -> Layer | Sequential:
        part = self.layers[index]
        return Sequential(*part) if isinstance(part, tuple) else part


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
        """Each branch with its index."""
        return [(f"branch {index}", branch) for index, branch in enumerate(self.branches)]

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        """Each branch on the same x, then combined."""
        outputs = [self.forward_child(place, branch, x) for place, branch in self.children()]
        y = self.combine([plain(output) for output in outputs])
        return joined_padding(f"{type(self).__name__}: branches", y, outputs)

    @whole_or_nothing
    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        """Each branch on its part of the gradient; dL/dx is the sum."""
        d_inputs = [
            self.backward_child(place, branch, d_branch, self.needs_input_grad)
            for (place, branch), d_branch in zip(
                self.children(), self.split(grad_output), strict=True
            )
        ]
        if not self.needs_input_grad or all(d_input is None for d_input in d_inputs):
            return None  # nobody asked, or x was whole numbers
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


def joined_padding(name: str, y: np.ndarray, parts: Sequence[Any]) -> Any:
    """What was made of the parts, as sequences where they are some.

    Raises:
        ValueError: when the parts do not agree in where sequences end; `name` says what they are.
    """
    lengths = [part.lengths for part in parts if isinstance(part, Padded)]
    if not lengths:
        return y
    together = len(lengths) == len(parts) and all((each == lengths[0]).all() for each in lengths)
    if not together or y.shape[:2] != parts[0].shape[:2]:
        given = (p if isinstance(p, Padded) else f"an array {p.shape}" for p in parts)
        raise ValueError(
            f"{name} must agree in where Padded sequences end, and have features on an axis after "
            f"time; got {', '.join(map(str, given))}"
        )
    return Padded(y, lengths[0])


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

    equations: ClassVar = {"forward": "y = [f₁(x), f₂(x), …]", "input": "dL/dx = Σᵦ Gᵦ Jᵦ"}

    def combine(self, outputs: list[np.ndarray]) -> np.ndarray:
        """Joined along the last axis."""
        self.save_for_backward(ends_of(outputs, f"{type(self).__name__}: branches"))
        return np.concatenate(outputs, axis=-1)

    def split(self, grad_output: np.ndarray) -> list[np.ndarray]:
        """Cut where the branches were joined."""
        (ends,) = self.saved()
        return np.split(grad_output, ends, axis=-1)


def ends_of(arrays: Sequence[np.ndarray], name: str) -> list[int]:
    """Where each array but the last ends, once they are joined along the last axis.

    Raises:
        ValueError: when they differ in another axis; `name` says what they are.
    """
    shapes = [array.shape for array in arrays]
    if len({shape[:-1] for shape in shapes}) > 1:
        raise ValueError(f"{name} must agree in all axes but the last, got {shapes}")
    return list(itertools.accumulate(shape[-1] for shape in shapes[:-1]))


class Parallel(Container):
    """Several inputs, each through a layer of its own: y = (f₁(x₁), f₂(x₂), …).

    Forward      yᵢ = fᵢ(xᵢ)
    Backward     dL/dxᵢ = Jᵢᵀ Gᵢ: no input reaches another one's output
    Shapes       x and y are tuples, one array (or `Padded`) for each layer
    Saves        nothing itself
    Args         layers: one for each input; `Identity()` hands its input on as it is
    Raises       TypeError: when x, or G, is not a tuple
                 ValueError: when it has another number of elements
    Source       standard result

    A model that begins with it takes a tuple of arrays:

        model = nn.Sequential(
            nn.Parallel(nn.Linear(4, 8), nn.Sequential(nn.Embedding(50, 8), nn.MeanOverTime())),
            nn.Join(),
            nn.Linear(16, 1),
        )
        trainer.fit((numbers, tokens), y)
    """

    equations: ClassVar = {"forward": "yᵢ = fᵢ(xᵢ)", "input": "dL/dxᵢ = Gᵢ Jᵢ"}

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise ValueError("Parallel needs at least one layer")
        self.layers = layers
        self.check_children()

    def children(self) -> list[tuple[str, Layer]]:
        """Each layer with its input's index."""
        return [(f"input {index}", layer) for index, layer in enumerate(self.layers)]

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        """Each element through its layer."""
        self._check_elements("x", x)
        y = tuple(
            self.forward_child(place, layer, each)
            for (place, layer), each in zip(self.children(), x, strict=True)
        )
        self.save_for_backward()
        return y

    @whole_or_nothing
    def backward(self, grad_output: Any) -> Any:
        """Each gradient through its layer; None in the place of an input of whole numbers."""
        self.saved()
        self._check_elements("backward: dL/dy", grad_output)
        d_x = tuple(
            self.backward_child(place, layer, each, self.needs_input_grad)
            for (place, layer), each in zip(self.children(), grad_output, strict=True)
        )
        return d_x if self.needs_input_grad else None

    def _check_elements(self, name: str, values: Any) -> None:
        count = len(self.layers)
        if not isinstance(values, tuple):
            raise TypeError(
                f"Parallel: expected {name} as a tuple of {count} arrays, one for each layer, "
                f"got {type(values).__name__}"
            )
        if len(values) != count:
            raise ValueError(f"Parallel: expected {name} as {count} arrays, got {len(values)}")


class Join(Layer):
    """The elements of a tuple, joined along the last axis.

    Forward      y = [x₁, x₂, …]
    Backward     dL/dxᵢ = Gᵢ, the slice of G that xᵢ became
    Shapes       xᵢ (N, …, Cᵢ) → y (N, …, ΣCᵢ); `Padded` where all elements are, with the same ends
    Saves        where each element's slice ends
    Raises       TypeError: when x is not a tuple
                 ValueError: when the elements differ in another axis than the last, or in where
                 their sequences end
    Source       standard result; see `Parallel`
    """

    equations: ClassVar = {"forward": "y = [x₁, x₂, …]", "input": "dL/dxᵢ = Gᵢ"}

    def forward(self, x: Any) -> Any:
        """Joined along the last axis."""
        if not isinstance(x, tuple) or not x:
            raise TypeError(
                f"Join: expected a tuple of arrays, as Parallel returns it, got {type(x).__name__}"
            )
        arrays = [plain(each) for each in x]
        ends = ends_of(arrays, "Join: arrays")
        y = np.concatenate(arrays, axis=-1)
        self.save_for_backward(ends)
        return joined_padding("Join: arrays", y, x)

    def backward(self, grad_output: np.ndarray) -> Any:
        """Cut where the elements were joined."""
        (ends,) = self.saved()
        return tuple(np.split(grad_output, ends, axis=-1))


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

    equations: ClassVar = {"forward": "y = f₁(x) + f₂(x) + …", "input": "dL/dx = Σᵦ G Jᵦ"}

    def combine(self, outputs: list[np.ndarray]) -> np.ndarray:
        """The sum of the outputs."""
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
        """The same gradient for each."""
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

    equations: ClassVar = {"forward": "y = f(x) + s(x)", "input": "dL/dx = G J_f + G J_s"}

    def __init__(self, branch: Layer, shortcut: Layer | None = None) -> None:
        self.branch = branch
        self.shortcut = shortcut
        self._identity = Identity()  # stands in for a shortcut that is None
        self.check_children()

    def children(self) -> list[tuple[str, Layer]]:
        """The branch and the shortcut."""
        shortcut = self._identity if self.shortcut is None else self.shortcut
        return [("branch", self.branch), ("shortcut", shortcut)]
