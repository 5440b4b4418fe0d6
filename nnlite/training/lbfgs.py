"""L-BFGS on all data at once, by SciPy (`pip install "nnlite[lbfgs]"`), imported only there."""

from __future__ import annotations

import copy
import math
from contextlib import closing
from importlib import import_module
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.checks import warn
from nnlite.core.padded import masked
from nnlite.core.parameter import Buffer, Parameter
from nnlite.core.slot import inference
from nnlite.core.terms import loss_terms
from nnlite.layers.base import Layer
from nnlite.losses.base import Loss, check_one_number
from nnlite.training.diagnosis import NonFiniteLossError, first_non_finite
from nnlite.training.feeding import ArrayDataset, Batch, as_dataset
from nnlite.training.feeding.checks import check_batches
from nnlite.training.feeding.weights import ClassWeight
from nnlite.training.history import History

ROUNDING = 10 * float(np.finfo(np.float64).eps)  # of f, relative to it
PASSES = 1000  # at most, until running statistics have settled


@checked
def fit_lbfgs(
    model: Layer,
    loss: Loss,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    class_weight: ClassWeight | None = None,
    weight_decay: float = 0.0,
    max_iter: int = 200,
    tol: float = 1e-5,
) -> History:
    """Minimise the loss over all data by a quasi-Newton method: for small data, to the very bottom.

        nn.fit_lbfgs(model, nn.MSELoss(), x, y)

    Every step looks at the whole of the data: f(w) = loss + ½ λ ‖w‖², with its gradient. From the
    last ten steps s and changes of the gradient y it knows H, near to the inverse of f's second
    derivative (H y = s), goes along −H ∇f, and searches this line until f has fallen enough
    (Wolfe's conditions). Close to a minimum, the error shrinks faster than by any fixed factor,
    and there is no learning rate to choose.

    All of it happens in float64, on a copy of the model, whatever its dtype is: the line search
    compares losses that differ in their last digits. The weights go into the model in the end, and
    when Ctrl-C ends it sooner; running statistics come to be those of the last weights.

    Args:
        model: the layer to train; its optimizers, if it has some, can go on from there.
        loss: what to minimise.
        x, y, sample_weight, class_weight: arrays, as for `Trainer.fit`.
        weight_decay: λ ≥ 0, of all trainable parameters (default 0).
        max_iter: the largest number of steps (default 200).
        tol: it ends when no entry of ∇f is larger than this, > 0 (default 1e-5), or when f falls
            by no more than its rounding.

    Returns:
        The history: "loss" is f before the first step, and after each.

    Raises:
        ValueError: when a layer draws random numbers, such as Dropout: f must be the same function
            each time. For a generator function as data: there is no whole of it.
        TypeError, ValueError: when the data does not fit.
        NonFiniteLossError: when f is not finite at the first weights.
        ImportError: without SciPy.

    Warns:
        ModelWarning: when it ends before it has found a minimum.

    Source: Liu & Nocedal 1989; Byrd et al. 1995 is SciPy's code.
    """
    check_one_number("fit_lbfgs", loss)
    minimize = _minimize()
    problem = _Problem(model, loss, weight_decay)
    data = as_dataset(problem.model, problem.loss, x, y, sample_weight, class_weight)
    if not isinstance(data, ArrayDataset):
        raise ValueError(
            "fit_lbfgs: every step needs all data: give arrays, not a generator function"
        )
    check_batches(problem.model, data.rows, data.rows, drop_last=False)
    with closing(data.batches(data.rows)) as batches:
        problem.batch = next(iter(batches))
    history, weights = History({"loss": [problem.check()]}), problem.weights()

    def keep(intermediate_result: Any) -> None:  # SciPy goes by the argument's name
        nonlocal weights
        weights = intermediate_result.x.copy()
        history.append({"loss": float(intermediate_result.fun)})

    try:
        with np.errstate(all="ignore"):  # a step too far may overflow; the search then goes back
            found = minimize(
                problem.value_and_gradient, weights, jac=True, method="L-BFGS-B", callback=keep,
                options={
                    "maxiter": max_iter, "maxfun": 20 * max_iter, "gtol": tol, "ftol": ROUNDING,
                },
            )  # fmt: skip
    finally:
        problem.finish(model, weights)
    if not found.success:
        warn(
            f"fit_lbfgs: no minimum after {found.nit} steps ({found.nfev} passes over the data), "
            f"with a gradient of {float(np.abs(found.jac).max()):.2g}: {found.message}; "
            "try a larger max_iter, standardized inputs, or a larger weight_decay"
        )
    return history


def _minimize() -> Any:
    try:
        return import_module("scipy.optimize").minimize
    except ImportError as error:
        raise ImportError('fit_lbfgs needs SciPy: python -m pip install "nnlite[lbfgs]"') from error


class _Problem:
    """The loss as a function of one vector, on a copy of the model in float64.

    Attributes:
        batch: all data; to be set.
    """

    batch: Batch

    def __init__(self, model: Layer, loss: Loss, weight_decay: float) -> None:
        self.model, self.loss = copy.deepcopy(model).astype(np.float64), copy.deepcopy(loss)
        if not model.training:
            self.model.train()  # as in `fit`, layers in eval mode by themselves stay there
        self.model.needs_input_grad = False
        self.weight_decay = weight_decay
        self.parameters = [p for p in self.model.parameters() if p.trainable]
        if not self.parameters:
            raise ValueError("fit_lbfgs: the model has no parameters to train")

    def weights(self) -> np.ndarray:
        """All trainable weights as one vector."""
        return np.concatenate([p.data.ravel() for p in self.parameters])

    def put_in(self, w: np.ndarray) -> None:
        """The vector's parts into the parameters."""
        ends = np.cumsum([p.size for p in self.parameters])[:-1]
        for p, part in zip(self.parameters, np.split(w, ends), strict=True):
            p.data = part.reshape(p.shape)

    def forward(self) -> float:
        """The loss of all data, with what layers add to it."""
        x, y, weight = self.batch
        self.model.reset_state()
        with loss_terms() as terms:
            prediction, weight = masked(self.model.forward(x), weight)
        return self.loss(prediction, y, weight) + terms.total

    def value_and_gradient(self, w: np.ndarray) -> tuple[float, np.ndarray]:
        """f and ∇f: one pass forward and one backward."""
        self.put_in(w)
        self.model.zero_grad()
        value = self.forward()
        self.model.backward(self.loss.backward())
        g = np.concatenate([p.grad.ravel() for p in self.parameters])
        if self.weight_decay:
            value += self.weight_decay / 2 * float(w @ w)
            g += self.weight_decay * w
        return value, g

    def settle(self) -> None:
        """Let running statistics come to those of the weights, which do not move any more."""
        kept = [b for _, b in self.model.named_parts(Buffer) if b.dtype.kind == "f"]
        for _ in range(PASSES if kept else 0):
            before = [b.data.copy() for b in kept]
            with inference():
                self.forward()
            if all(np.allclose(b.data, a, 1e-5, 1e-9) for a, b in zip(before, kept, strict=True)):
                return

    def check(self) -> float:
        """f where it begins; refuse one that is not finite, or another one each time."""
        generators = dict(self.model.named_parts(np.random.Generator))
        before = {path: g.bit_generator.state for path, g in generators.items()}
        with np.errstate(all="ignore"):
            value, _ = self.value_and_gradient(self.weights())
        drawn = [path for path, g in generators.items() if g.bit_generator.state != before[path]]
        if drawn:
            path = drawn[0].rpartition(".")[0]
            layer = self.model.named_layers()[path]
            raise ValueError(
                f"fit_lbfgs: {layer!r} at {path!r} draws random numbers, and the loss must be the "
                "same function each time; leave it out, put it in eval mode, or use Trainer.fit"
            )
        if not math.isfinite(value):
            reason = first_non_finite(self.model, self.batch[0], [])
            raise NonFiniteLossError(
                f"fit_lbfgs: the loss is {value} at the first weights; {reason}"
            )
        return value

    def finish(self, model: Layer, w: np.ndarray) -> None:
        """The weights into the model that was given, and what else the passes have changed."""
        self.put_in(w)
        try:
            self.settle()
        finally:  # Ctrl-C may come here, too
            for kind in (Parameter, Buffer):
                ours, theirs = (dict(m.named_parts(kind)) for m in (self.model, model))
                for path, part in theirs.items():
                    if part.dtype.kind == "f" or isinstance(part, Buffer):
                        part.data = ours[path].data
