"""What layers add to the loss besides the prediction's: terms, such as a penalty on activations.

A term P belongs to a forward. So it counts where the loss of that forward is computed, and nowhere
else: inside a `loss_terms` context layers say what their P is, and remember the context for their
backward, which adds dL/dP · dP/dx. Outside, as in `predict`, a Jacobian or a saliency, they are
plain maps, and backward is that of the map alone.
"""

from __future__ import annotations

import threading


class _Open(threading.local):
    """The contexts that this thread is inside of, the innermost last."""

    def __init__(self) -> None:
        self.contexts: list[loss_terms] = []


_open = _Open()


class loss_terms:
    """A context around a forward, in which layers say what they add to the loss: L + Σ P.

    `Trainer` opens it. A loop by hand does so where the model has such layers:

        with nn.loss_terms() as terms:
            prediction = model(x)
        value = loss(prediction, y) + terms.total
        model.backward(loss.backward())  # the layers add the gradients of their terms

    A layer of one's own has a `term`, the name of its P (a column in the history), and

        terms = nn.loss_terms.current()            # in forward; None outside a context
        if terms is not None:
            terms.add(self.term, P)
        self.save_for_backward(x, terms)

        d_x = …                                    # in backward: that of the map alone
        if terms is not None:
            d_x = d_x + terms.grad * dP_dx

    Attributes:
        values: the terms by name; of one name they are summed.
        grad: dL/dP of every term (default 1). Accumulation over batches weighs each batch's loss,
            and the terms with it.
    """

    __slots__ = ("grad", "values")

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.grad = 1.0

    def __enter__(self) -> loss_terms:
        _open.contexts.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _open.contexts.remove(self)

    def add(self, name: str, value: float) -> None:
        """Add a term, a number: where each row has one, their mean over the batch."""
        self.values[name] = self.values.get(name, 0.0) + float(value)

    @property
    def total(self) -> float:
        """Σ P, the sum of all terms."""
        return sum(self.values.values()) if self.values else 0.0

    @staticmethod
    def current() -> loss_terms | None:
        """The innermost context of this thread; None outside."""
        return _open.contexts[-1] if _open.contexts else None
