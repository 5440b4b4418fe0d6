"""A step on a copy that can be played again: what all tools that look inside a model share.

None of them may change the model in hand, its gradients or its randomness. So each looks at a
copy, which starts every run from the state that the model was in when it was copied.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from nnlite.core.foreign import as_array
from nnlite.core.padded import Padded, masked, plain
from nnlite.core.parameter import Buffer
from nnlite.core.rows import each_input
from nnlite.core.slot import inference
from nnlite.core.terms import loss_terms
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss, check_one_number
from nnlite.losses.penalties import Penalized, Penalty
from nnlite.training.feeding.checks import each_target


class Replica:
    """A copy of a layer that can be run again and again and always does the same.

    Generators and buffers are put back before each run: dropout draws the same mask every time,
    while statistics over the batch are computed anew, as forward defines them. Nothing is carried
    from run to run. Every backward gives dL/dx, also where training has no use for it, and forward
    keeps what backward needs inside `nn.inference()` too.

    Attributes:
        layer: the copy.
    """

    def __init__(self, original: Layer) -> None:
        self.layer = copy.deepcopy(original)
        found = [self.layer, *(part for _, part in self.layer.named_parts(object))]
        self._layers = [part for part in found if isinstance(part, Layer)]
        for part in self._layers:
            part.needs_input_grad = True
        self._generators = [
            (part, part.bit_generator.state)
            for part in found
            if isinstance(part, np.random.Generator)
        ]
        self._buffers = [(part, part.data.copy()) for part in found if isinstance(part, Buffer)]

    def forward(self, x: Any) -> Any:
        """y, from the state that the layer was in when it was copied."""
        for generator, state in self._generators:
            generator.bit_generator.state = copy.deepcopy(state)
        for buffer, data in self._buffers:
            buffer.data = data
        for part in self._layers:
            if part.carried is not None:
                part.carried = None
        with inference(False):
            return x.through(self.layer) if isinstance(x, Padded) else self.layer.forward(x)

    def backward(self, grad_output: Any) -> Any:
        """What the layer's backward returns."""
        return self.layer.backward(grad_output)


class Ran(NamedTuple):
    """What happened between the model's forward and its backward.

    Attributes:
        prediction: the model's output.
        loss: the number, with all terms.
        terms: what layers and penalties have added to it, by name.
        grad: dL/dprediction.
        loss_seconds: what the loss took, forward and backward.
    """

    prediction: np.ndarray
    loss: float
    terms: dict[str, float]
    grad: np.ndarray
    loss_seconds: tuple[float, float]


class OneStep(Replica):
    """One training step, but for the update, on copies of a model and of its loss.

    Args:
        model, loss: what to copy.
        penalties: of the parameters (default: none).
    """

    def __init__(self, model: Layer, loss: Loss, penalties: Sequence[Penalty] = ()) -> None:
        check_one_number("one training step", loss)
        super().__init__(model)
        self.loss = copy.deepcopy(loss)
        self.penalized = Penalized(penalties, self.layer, "penalties")

    def run(self, x: Any, y: np.ndarray) -> Ran:
        """Steps 1 to 5 of the loop, from gradients of zero."""
        self.layer.zero_grad()
        with loss_terms() as terms:
            prediction, weight = masked(self.forward(x), None)
        with inference(False):
            start = time.perf_counter()
            value = self.loss(prediction, y, weight)
            middle = time.perf_counter()
        grad = self.loss.backward()
        end = time.perf_counter()
        self.backward(grad)
        self.penalized.add_terms(terms)
        self.penalized.add_gradients()
        value += terms.total
        return Ran(prediction, value, terms.values, grad, (middle - start, end - middle))

    def loss_of(self, x: Any, y: np.ndarray) -> float:
        """Step 1's loss alone, with all terms."""
        with loss_terms() as terms:
            prediction, weight = masked(self.forward(x), None)
        self.penalized.add_terms(terms)
        with inference(False):
            return self.loss(prediction, y, weight) + terms.total


def batch_of(what: str, loss: Loss, x: Any, y: Any) -> tuple[Any, Any]:
    """A batch as arrays, where it comes as tables, tensors or lists.

    Args:
        what: for errors, which function was given it.
        loss: of several outputs, y is a tuple.
        x, y: inputs, of which `Padded` sequences stay, and targets.
    """

    def whole(name: str, values: Any) -> Any:
        return values if isinstance(values, Padded) else as_array(name, values)

    return each_input(f"{what}: x", x, whole), each_target(loss, f"{what}: y", y, as_array)


def parts(layer: Layer, value: Any) -> list[Any]:
    """The arrays in what a layer takes or returns, one for each element where it is a tuple.

    None stands where there is no gradient, as for whole numbers. The arrays are bare of lengths.
    The state that a recurrent layer returns beside its output is left out: such a layer has an
    option for it, `return_state`.
    """
    if isinstance(value, tuple) and _has_state(layer):
        value = value[0]
    return list(flat(value))


def _has_state(layer: Layer) -> bool:
    """Whether a tuple is (y, state), and not one element for each of several inputs."""
    return hasattr(getattr(layer, "layer", layer), "return_state")  # Bidirectional's is inside


def flat(value: Any) -> Iterator[Any]:
    """The bare arrays in a value, one after another."""
    if isinstance(value, tuple | list):
        for each in value:
            yield from flat(each)
    else:
        yield plain(value)
