"""A sequence read in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np

from nnlite.core.construction import argument, signature
from nnlite.core.padded import Padded, plain
from nnlite.core.random import Rng, as_generator
from nnlite.core.reading import Reading
from nnlite.layers.base import Layer
from nnlite.layers.containers.base import Container, whole_or_nothing
from nnlite.layers.sequences.passes import apart
from nnlite.layers.sequences.recurrent import Recurrent


class Bidirectional(Container):
    """Two recurrent layers on the same sequence, one of them from its end to its beginning.

    Forward      y = [f(x), R f′(R x)],  R turns every sequence around within its own length
    Backward     dL/dx = J_fᵀ G_f + R J_f′ᵀ R G_f′,  G = [G_f, G_f′] cut where y was joined:
                 x feeds both, so their gradients add; R only moves steps and is its own inverse,
                 so gradients move back the same way
    Shapes       x (N, T, D) → y (N, T, 2H), or (N, 2H) without return_sequences: the forward
                 layer's state after the last step, and the other's after the first
                 state: the pair of both layers' states
    Saves        the lengths, and where y is cut
    Args         layer: an RNN, LSTM or GRU; not stateful
                 reverse: the layer that reads from the end, another object with the same
                 return_sequences and return_state (default None: built like `layer`, with values
                 of its own)
                 rng: a generator or seed for these values (default: see `nn.seed`)
    Raises       TypeError: when a layer is not recurrent
                 ValueError: when the layers do not fit each other, or are stateful
    Source       Schuster & Paliwal 1997

    A stack that hands both directions to both layers above, as PyTorch's `num_layers=2,
    bidirectional=True`, is `Sequential(Bidirectional(LSTM(D, H)), Bidirectional(LSTM(2 * H, H)))`.
    """

    accepts_padded = True

    def __init__(
        self,
        layer: Recurrent,
        reverse: Recurrent | None = None,
        rng: Rng = None,
    ) -> None:
        self.layer = layer
        self.reverse = reverse
        self.backwards = _like(layer, rng) if reverse is None else reverse
        self.check_children()
        for option in ("return_sequences", "return_state"):
            if getattr(self.layer, option) != getattr(self.backwards, option):
                raise ValueError(f"Bidirectional: both layers must have the same {option}")
        if self.layer.stateful or self.backwards.stateful:
            raise ValueError(
                "Bidirectional: a stateful layer cannot read from the end: the next batch's "
                "steps, where its state would come from, are not there yet"
            )

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self.layer.return_sequences:
            y, back = "R f′(R x)", "R ((R G_f′) J_f′)"
        else:
            y, back = "f′(R x)", "R (G_f′ J_f′)"
        return {
            "forward": f"y = [f(x), {y}],  where R turns sequences around",
            "input": f"dL/dx = G_f J_f + {back},  [G_f, G_f′] = G",
        }

    def reading(self, lengths: Any = None, width: int = 0, given: bool = False) -> Reading:
        at, back = ("n,t", "n, T−1−t") if self.layer.return_sequences else ("n", "n")
        return Reading(
            values={"H": width},
            components={  # an entry outside of an array is 0
                "forward": f"y[{at},i] = f(x)[{at},i] + f′(R x)[{back}, i−H]",
                "input": "dL/dx[n,t,i] = G_f J_f[n,t,i] + G_f′ J_f′[n, T−1−t, i]",
            },
            paths={"layer": ("f(x)", "G_f J_f"), "reverse": ("f′(R x)", "G_f′ J_f′")},
        )

    def children(self) -> list[tuple[str, Layer]]:
        return [("layer", self.layer), ("reverse", self.backwards)]

    @whole_or_nothing
    def forward(self, x: np.ndarray | Padded, state: Any = None) -> Any:
        """Both layers, side by side on the last axis; `state` is a pair of theirs."""
        lengths = x.lengths if isinstance(x, Padded) else None
        if state is not None and not (isinstance(state, tuple | list) and len(state) == 2):
            raise ValueError(f"{self!r}: expected a pair of states, got {type(state).__name__}")
        states = [(), ()] if state is None else [(each,) for each in state]
        read: list[Any] = [x, turned(x, lengths)]
        outputs = [
            self.forward_child(place, layer, each, *given)
            for (place, layer), each, given in zip(self.children(), read, states, strict=True)
        ]
        finals = None
        if self.layer.return_state:
            finals = tuple(final for _, final in outputs)
            outputs = [y for y, _ in outputs]
        first, second = plain(outputs[0]), plain(outputs[1])
        if self.layer.return_sequences:
            second = turned(second, lengths)
        y: Any = np.concatenate([first, second], axis=-1)
        if lengths is not None and self.layer.return_sequences:
            y = Padded(y, lengths)
        self.save_for_backward(lengths, first.shape[-1], state is not None)
        return y if finals is None else (y, finals)

    def __call__(self, x: np.ndarray | Padded, state: Any = None) -> Any:
        """`layer(x, state)` is `layer.forward(x, state)`."""
        return self.forward(x, state)

    @whole_or_nothing
    def backward(self, grad_output: Any) -> Any:
        """Each layer on its part of the gradient, the reverse one's turned around."""
        lengths, cut, given = self.saved()
        d_y, d_finals = apart(repr(self), grad_output, self.layer.return_state)
        parts: list[Any] = [d_y[..., :cut], d_y[..., cut:]]
        if self.layer.return_sequences:
            parts[1] = turned(parts[1], lengths)
        if self.layer.return_state:
            parts = list(zip(parts, d_finals or (None, None), strict=True))
        found = [
            self.backward_child(place, layer, part, self.needs_input_grad)
            for (place, layer), part in zip(self.children(), parts, strict=True)
        ]
        d_inputs = [d_x for d_x, _ in found] if given else found
        d_x = d_inputs[0] + turned(d_inputs[1], lengths) if self.needs_input_grad else None
        return (d_x, tuple(d_state for _, d_state in found)) if given else d_x


def turned(x: Any, lengths: np.ndarray | None) -> Any:
    """Every sequence from its end to its beginning; the padding stays where it is."""
    if isinstance(x, Padded):
        return Padded(turned(x.data, x.lengths), x.lengths)
    if lengths is None:
        return x[:, ::-1]
    steps = np.arange(x.shape[1])
    order = np.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return x[np.arange(len(x))[:, None], order]


def _like(layer: Recurrent, rng: Rng) -> Recurrent:
    """A layer built with the same arguments and first values of its own."""
    cls: Any = type(layer)
    given = {p.name: argument(layer, p) for p in signature(cls)}
    return cls(**given, rng=as_generator(rng))
