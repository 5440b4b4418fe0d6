"""The contract that every layer keeps, and what a layer gets for keeping it.

A layer computes y = f(x; θ) and knows its own derivatives. Training is a loop of six steps, and a
layer's `backward` is four of them:

1. compute the loss gradient
2. go backward through the activation
3. compute the weight gradient
4. compute the bias gradient
5. pass the gradient upstream; repeat 2 to 5
6. after the last gradient is known, the optimizer updates the weights

A subclass writes two methods, and needs nothing else, not even `super().__init__()`:

    class Scale(nn.Layer):
        def __init__(self, features):
            self.features = features
            self.scale = nn.Parameter(np.ones(features))

        def forward(self, x):                      # x (N, features)
            y = x * self.scale.data
            self.save_for_backward(x)
            return y

        def backward(self, grad_output):           # G = dL/dy (N, features)
            (x,) = self.saved()
            self.scale.grad += (grad_output * x).sum(axis=0)
            return grad_output * self.scale.data   # dL/dx

What the framework relies on:

- *The slot.* The last line of `forward` before `return` saves what backward needs; `saved()`
  takes it out again. One forward, one backward; eval mode saves like training mode, and inside
  `nn.inference()` nothing is kept.
- *Accumulate.* `backward` adds to each parameter's `grad`, so that several batches, shared
  parameters and time steps sum up by themselves.
- *Pure.* `backward` depends on nothing but the slot, the parameters and its argument: neither on
  `training` nor on a generator. `x` and `grad_output` are never modified.
- *dtype.* float32 in, float32 out, gradients too; float64 likewise. `forward` never casts.
- *Finding parts.* Parameters, buffers, generators and sub-layers are found by walking the
  attributes in the order in which they were defined, lists, tuples and dicts too, each part once.
  Names that start with `_` are not walked. There is nothing to register.
- *Constructor arguments* are stored untouched under their own names (see `core/construction.py`).
- *Padded sequences.* What stands in the padding of `Padded(data, lengths)` changes no real value:
  a row in a batch gives the numbers that it gives alone, cut at its length. There are three kinds
  of layers. Most treat every time step by itself; that is what is taken for granted where nothing
  is said. Such a layer is called with the bare `data`, and what it returns, N sequences of T steps
  (anything else is an error), is padded again. A layer that mixes time steps says
  `accepts_padded = True` and gets the whole `Padded`: it treats every sequence as if it ended at
  its own length, and returns zeros beyond. One that mixes them and knows nothing of lengths lists
  in `mixed_axes` the axes along which values meet, and where time (axis 1) is one of them, the
  sequences are refused. A layer built from others hands them on: `accepts_padded = True`, and
  `x.through(self.inner)` where x is `Padded`. Gradients are plain arrays, zero in the padding: a
  loss gives what stands there no weight, so they start as zeros there, and a layer that accepts
  padding passes none on.
- *Carried state.* What a layer takes from one batch to the next on purpose (a stateful recurrent
  layer, or attention inside `nn.decoding`) is its `carried`; `reset_state()` drops it, and
  evaluation starts without it.
- *Terms.* A layer may add something to the loss, such as a penalty on what passes: it is told in
  forward and differentiated in backward, where the loss is computed and nowhere else; see
  `core/terms.py`.
- *Mode belongs to the thread.* Inside `evaluation()`, which `predict` uses, `training` and
  `carried` are read and written in a view of the running thread alone; the layers themselves, and
  what other threads see of them, stay as they are. So any number of threads may predict with one
  model, and one may train it meanwhile. A copy is made of what the copying thread sees.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from nnlite.core.arguments import checked
from nnlite.core.checks import warn
from nnlite.core.construction import Constructed
from nnlite.core.foreign import as_array, kind_of, number_hint
from nnlite.core.habits import Elsewhere
from nnlite.core.inputs import as_input
from nnlite.core.kinds import REFUSED, shown
from nnlite.core.padded import join
from nnlite.core.parameter import DTYPE, FLAG, Buffer, Parameter
from nnlite.core.reading import Reading
from nnlite.core.rows import as_source, check_lengths, each_input, each_of, stream_of, walk
from nnlite.core.slot import Slot, inference, open_contexts
from nnlite.layers.structure import (
    Node,
    Part,
    arrays,
    matching,
    named_parts,
    nested,
    sub_layers,
    tie,
    ties,
)

Kind = Literal["map", "activation", "rectifier", "rearrangement", "chain"]


class View(dict[int, dict[str, Any]]):
    """By a layer's id, what `evaluation()` puts before it; equal to itself alone."""

    __eq__ = object.__eq__


class _Views(threading.local):
    """The evaluations that this thread is inside of, the innermost last."""

    def __init__(self) -> None:
        self.open: list[View] = []

    def of(self, layer: Layer) -> dict[str, Any] | None:
        """What this thread sees in the place of the layer's own; None outside evaluation."""
        for view in reversed(self.open):
            if id(layer) in view:
                return view[id(layer)]
        return None


_views = _Views()


class _ByThread(property):
    """An attribute of layers that `evaluation()` replaces for its own thread."""

    def __init__(self, name: str, default: Any) -> None:
        self.default = default

        def read(layer: Layer) -> Any:
            if _views.open and (seen := _views.of(layer)) is not None:
                return seen[name]
            return layer.__dict__.get(name, default)

        def write(layer: Layer, value: Any) -> None:
            if name == "training":
                value = FLAG.checked(f"{layer.label()}: training", value)
            seen = _views.of(layer)
            (vars(layer) if seen is None else seen)[name] = value

        super().__init__(read, write)

    def __get__(self, layer: Any, owner: type | None = None) -> Any:
        """Of the class, the default: dataclasses look for it there."""
        return self.default if layer is None else super().__get__(layer, owner)


class IncompatibleKeys(NamedTuple):
    """What `load_state_dict` left alone, as in PyTorch.

    Attributes:
        missing_keys: paths of the model that the state does not have.
        unexpected_keys: paths of the state that the model does not have.
    """

    missing_keys: list[str]
    unexpected_keys: list[str]


class Layer(Node, Slot, Constructed):
    """y = f(x; θ), with its gradients written out. See the module's prose for the contract.

    Attributes:
        training: True in training mode, the default; set by `train()` and `eval()`.
        needs_input_grad: when False, step 5 may be skipped and `backward` return None, because
            nothing upstream has parameters. Set by containers and by the trainer.
        equations: what the layer computes with its options and in its mode, one line each, with
            `G` for the incoming gradient; the keys are "forward", "input" and the layer's
            parameter names. What a line's symbols mean follows behind commas. The trace prints
            them. (Default: none.)
        min_batch: the smallest batch that training mode accepts (default 1).
        accepts_padded: whether `forward` takes `Padded` sequences (default False).
        mixed_axes: the axes of x along which values meet, in a layer that knows nothing of padding
            (default none).
        instead_of_padded: what to use for `Padded` sequences where they are refused.
        carried: what the next batch starts from (default None).
        stateful: whether the layer carries a state from each batch to the next in training and in
            `predict`, row by row, so that all batches have the same size (default False).
        splits_products: whether it multiplies matrices in threads of nnlite's own, while those of
            OpenBLAS are switched off (default False; see `ops/threads.py`).
        kind: what those who look inside tell apart, one of `Kind`: "map", anything that computes
            (default); "activation", each value by itself, where it is a bad sign when most of the
            values lie where it is flat; "rectifier", an activation that is flat on one side on
            purpose; "rearrangement", which moves values and computes nothing; "chain", layers one
            after another, whose input gradient is that of the first.
        constant_entries: entries of parameters that get no gradient on purpose, as an index by
            the parameter's name, such as {"weight": 0} for row 0 (default: none).
        added_later: parameters that older versions of the layer did not have, each with one that
            they had; where a file has only that one, the new one is 0 (default: none).
        surrogate: why the gradient of the input is not the slope, on purpose, such as
            "straight-through: rounding has no slope"; of parameters too, as {"weight": why} (by
            default there is none). `check_gradients` and `trace` say so; see `check_gradients`.
        term: the name of what the layer adds to the loss, a column of the history (default "":
            nothing); see `nn.loss_terms`.
    """

    training = _ByThread("training", True)
    term: ClassVar[str] = ""
    needs_input_grad: bool = True
    equations: ClassVar[Mapping[str, str]] = {}
    min_batch: int = 1
    accepts_padded: bool = False
    mixed_axes: tuple[int, ...] = ()
    instead_of_padded: str = (
        "LastStep, MeanOverTime, GlobalMaxPool1d or GlobalAvgPool1d to make one vector of each; a "
        "layer of your own may say accepts_padded = True and read x.data and x.lengths"
    )
    stateful: bool = False
    splits_products: ClassVar[bool] = False
    carried = _ByThread("carried", None)
    _frozen: bool = False
    kind: Kind = "map"
    constant_entries: ClassVar[Mapping[str, Any]] = {}
    added_later: ClassVar[Mapping[str, str]] = {}
    surrogate: str | Mapping[str, str] = {}  # a mapping that nobody writes to

    trainable = Elsewhere("layer.freeze() and layer.unfreeze()")
    requires_grad = Elsewhere("layer.freeze() and layer.unfreeze()")

    def __init_subclass__(cls, **options: Any) -> None:
        """Take `training` or `carried` in a class's body as the default value that it is."""
        super().__init_subclass__(**options)
        for name in ("training", "carried"):
            if name in vars(cls) and not hasattr(vars(cls)[name], "__get__"):
                setattr(cls, name, _ByThread(name, vars(cls)[name]))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute y from x, and save for backward what it will need."""
        raise NotImplementedError(f"{type(self).__name__} must define forward(x)")

    def backward(self, grad_output: np.ndarray) -> np.ndarray | None:
        """Add to the parameters' gradients, and return dL/dx given dL/dy."""
        raise NotImplementedError(f"{type(self).__name__} must define backward(grad_output)")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """`layer(x)` is `layer.forward(x)`."""
        return self.forward(x)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse to put an array in the place of a parameter or buffer, which owns its memory."""
        own = vars(self).get(name)
        if isinstance(own, (Parameter, Buffer)) and not isinstance(value, type(own) | None):
            raise TypeError(
                f"{self.label()}: {name} is a {type(own).__name__}, and only another one can take "
                f"its place; assign to {name}.data to change its values"
            )
        super().__setattr__(name, value)

    def reading(self, *saved: Any) -> Reading:
        """What the letters of `equations` stand for, beside x, y, G, parameters and attributes.

        The trace asks after each forward, to show where every number comes from.

        Args:
            saved: what forward saved.
        """
        return Reading()

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Multiplications (with the addition that follows) of one forward; 0 unless overridden."""
        return 0

    # -- parts -----------------------------------------------------------------------------------

    def named_parts(self, kind: type[Part]) -> Iterator[tuple[str, Part]]:
        """Every part of one kind inside this layer with its path, each object once."""
        return named_parts(self, kind)

    def named_parameters(self) -> dict[str, Parameter]:
        """The parameters by path, such as "2.branch.0.weight"."""
        return dict(self.named_parts(Parameter))

    def parameters(self) -> list[Parameter]:
        """The parameters, each once, in the order of their definition."""
        return list(self.named_parameters().values())

    def buffers(self) -> list[Buffer]:
        """The buffers, each once, in the order of their definition."""
        return [buffer for _, buffer in self.named_parts(Buffer)]

    def named_layers(self) -> dict[str, Layer]:
        """This layer, under the empty path, and all layers inside it, by path."""
        return {"": self, **dict(self.named_parts(Layer))}

    def has_parameters(self) -> bool:
        """Whether there is a parameter in this layer or below it."""
        if Parameter in map(type, list(vars(self).values())):
            return True  # most layers, without the walk
        return next(self.named_parts(Parameter), None) is not None

    def clear_saved(self) -> None:
        """Empty this layer's slot and those of all layers inside."""
        super().clear_saved()
        for _, layer in self.named_parts(Layer):
            Slot.clear_saved(layer)

    def zero_grad(self) -> None:
        """Set every parameter's gradient to zero."""
        for parameter in self.parameters():
            parameter.zero_grad()

    # -- choice ----------------------------------------------------------------------------------

    @checked
    def freeze(self, paths: str | Sequence[str] = "*") -> Self:
        """Keep optimizers from updating the parameters that match; returns itself.

            model.freeze("0.*")                     # all of layer 0, as "0" does
            model.freeze(["*.bias", "2.branch"])    # all biases, and a branch

        They are outside update, decay, norm clipping and penalties from here on, in an optimizer
        that is there already too. What a layer keeps besides goes on: `eval()` of a BatchNorm
        stops its running statistics.

        Args:
            paths: one pattern of the shell's, or several, for the paths that `named_parameters()`
                and `named_layers()` have; `*` goes over dots too (default "*": all).

        Raises:
            ValueError: for a pattern that matches no parameter; it lists the paths that are near.
        """
        return self._set_trainable(matching(self, paths, "freeze"), False)

    @checked
    def unfreeze(self, paths: str | Sequence[str] = "*") -> Self:
        """Let optimizers update the parameters that match again; see `freeze`."""
        return self._set_trainable(matching(self, paths, "unfreeze"), True)

    def _set_trainable(self, parameters: list[Parameter], trainable: bool) -> Self:
        for parameter in parameters:
            parameter.trainable = trainable
        return self

    def parameter_groups(self, options: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The parameters in groups with options of their own, for an optimizer.

            groups = model.parameter_groups({"0.*": {"lr": 1e-4}, "*.bias": {"weight_decay": 0.0}})
            optimizer = nn.AdamW(groups, lr=1e-3)

        A parameter belongs to the first pattern that it matches. Those that match none are one
        more group, the last, with the optimizer's own options.

        Args:
            options: by pattern (see `freeze`), what the group has of its own.

        Raises:
            TypeError: when `options` is no such mapping.
            ValueError: for a pattern that matches no parameter, or none that an earlier one has
                left; the first lists the paths that are near.
        """
        where = "parameter_groups"
        if not isinstance(options, Mapping):
            wanted = 'options by pattern, as {"0.*": {"lr": 1e-4}}'
            raise TypeError(f"{where}: expected {wanted}, got {kind_of(options)}")
        left = {id(parameter): parameter for parameter in self.parameters()}
        groups: list[dict[str, Any]] = []
        for pattern, own in options.items():
            if not isinstance(pattern, str) or not isinstance(own, Mapping):
                wanted = 'a pattern and its options, as "0.*": {"lr": 1e-4}'
                raise TypeError(f"{where}: expected {wanted}, got {shown(pattern)}: {shown(own)}")
            found = [p for p in matching(self, pattern, where) if left.pop(id(p), None) is not None]
            if not found:
                raise ValueError(
                    f"{where}: all that matches {pattern!r} belongs to an earlier pattern; "
                    "put the narrower pattern first"
                )
            groups.append({**own, "params": found})
        return [*groups, {"params": list(left.values())}] if left else groups

    # -- mode ------------------------------------------------------------------------------------

    @checked
    def train(self, mode: bool = True) -> Self:
        """Put this layer and all inside it in training mode (or in eval mode); returns itself."""
        trained = self.training
        for layer in self.named_layers().values():
            # in eval mode before the rest of the model: `fit` warns when it is about to undo that
            layer._frozen = not mode and not layer.training and (trained or layer._frozen)
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Put this layer and all inside it in eval mode; returns itself."""
        return self.train(False)

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """A context in eval mode that keeps nothing, and in which nothing is carried at first.

        The running thread alone sees it so: the layers are not written to. What is assigned to
        `training` and `carried` inside is gone afterwards.
        """
        layers = list(self.named_layers().values())  # kept until the end, so that ids are theirs
        view = View({id(layer): {"training": False, "carried": None} for layer in layers})
        opened = _views.open  # this thread's, also when another one closes a generator
        contexts, quiet = open_contexts(), inference()
        try:
            opened.append(view)
            contexts.append(quiet)
            yield
        finally:
            # one call into C each, so that no Ctrl-C comes between; and not always the last ones:
            # generators may end in any order
            try:
                opened.remove(view)
            finally:
                if quiet in contexts:
                    contexts.remove(quiet)

    def reset_state(self) -> None:
        """Forget what this layer and all inside it carry from batch to batch."""
        for layer in self.named_layers().values():
            layer.carried = None

    def check_carried(self, carried: Any) -> None:
        """Refuse a state, from a file, that this layer could not go on from.

        Raises:
            ValueError: when it is not one of this layer; one of a user's may carry anything.
        """
        if type(self).__module__.startswith("nnlite.") and not self.stateful:
            raise ValueError(f"{self!r} carries no state from batch to batch")

    def __getstate__(self) -> dict[str, Any]:
        """A copy has the mode, and carries the state, that the running thread sees.

        What watches the passes of this very layer is not copied: it would run this one's.
        """
        state = super().__getstate__() | (_views.of(self) or {})
        for name in ("forward", "backward"):
            if hasattr(state.get(name), "__wrapped__"):
                del state[name]
        return state

    # -- state -----------------------------------------------------------------------------------

    def _take_after(self, original: Layer) -> None:
        tie(self, ties(original))
        dtypes = {path: part.dtype for path, part in arrays(original).items()}
        for path, part in arrays(self).items():
            part.cast(dtypes[path])

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of all parameters and buffers by path, each once."""
        return {path: part.data.copy() for path, part in arrays(self).items()}

    def load_state_dict(
        self, state: Mapping[str, np.ndarray], strict: bool = True
    ) -> IncompatibleKeys:
        """Write the values of `state` into the parameters and buffers.

        Args:
            state: arrays by path, as from `state_dict()`.
            strict: whether every path must be there and no other (default True); with False,
                what is on one side only is left alone.

        Returns:
            `missing_keys`, the paths that only the model has, and `unexpected_keys`, those that
            only the state has; with `strict` both are empty.

        Raises:
            ValueError: paths missing or unknown (with `strict`), a wrong shape, or values that
                the dtype cannot hold (always: leave such a path out of the state to skip it);
                nothing is written then.

        Warns:
            ModelWarning: when nothing at all was loaded.
        """
        own = arrays(self)
        where = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping):
            raise TypeError(
                f"{where}: expected arrays by path, as from state_dict(), got {kind_of(state)}"
            )
        state = completed(self, state)
        common = {p: as_array(f"{where}: {p}", state[p]) for p in own if p in state}
        misfits = ((path, _misfit(own[path], values)) for path, values in common.items())
        problems = [f"{path} {misfit}" for path, misfit in misfits if misfit]
        missing = [path for path in own if path not in state]
        unexpected = [path for path in state if path not in own]
        if strict:
            problems += [f"{path} is missing" for path in missing]
            problems += [f"{path} is not a part of this model" for path in unexpected]
        if problems:
            raise ValueError(f"{where}: " + "; ".join(problems))
        for path, values in common.items():
            np.copyto(own[path].data, values, casting="unsafe")
        if own and not common:
            warn(
                f"{where}: nothing was loaded: the state has {_few(unexpected)}, and the model "
                f"{_few(missing)}; rename the state's paths to the model's"
            )
        return IncompatibleKeys(missing, unexpected)

    def astype(self, dtype: DTypeLike) -> Self:
        """A copy with floating parameters and buffers in another dtype, as NumPy's `astype`.

        Raises:
            TypeError: when that is not a dtype of floats.
        """
        if DTYPE.take(dtype) is REFUSED or np.dtype(dtype).kind != "f":
            name = f"{type(self).__name__}.astype"
            raise TypeError(f"{name}: expected a dtype of floats such as np.float64, got {dtype!r}")
        other = copy.deepcopy(self)
        for part in arrays(other).values():
            part.cast(dtype)
        return other

    # -- use -------------------------------------------------------------------------------------

    @checked
    def predict(self, x: Any, batch_size: int = 256) -> Any:
        """The outputs for all of `x`, batch by batch, in eval mode and without keeping anything.

        A model with several outputs gives a tuple of them.

        Floating `x` is cast to the dtype of the parameters. The model is not written to: other
        threads may predict with it at the same time, and one may train it.

        Args:
            x: one row per sample: an array, `Padded` sequences, a `numpy.memmap`, or a sequence
                that loads its rows; for a model with several inputs, a tuple of them. Or a stream
                of batches, each like x and of any size: an iterator, such as a generator, or a
                generator function `f(rng)`, as for `fit`, but of x alone.
            batch_size: how many samples at a time (default 256); a stream decides for itself.

        Raises:
            ValueError: when `x` is empty, or not finite (the first such row is named), or when
                batch_size does not divide its rows for a model with a stateful layer; when batches
                of a stream give outputs that do not fit together.
            TypeError: when `x` does not hold numbers, or the layer returns its state too.
        """
        with closing(self._batches(x, batch_size)) as batches, self.evaluation():
            outputs = [self._one_output(self(batch)) for batch in batches]
        if not outputs:
            raise ValueError("x is empty: the stream gave no batch")
        if isinstance(outputs[0], tuple):
            return tuple(join(each) for each in zip(*outputs, strict=True))
        return join(outputs)

    def _batches(self, x: Any, batch_size: int) -> Generator[Any, None, None]:
        """What `predict` runs, piece by piece, checked and cast."""
        dtype = floating_dtype(self)
        stream: Any = stream_of("x", x)
        if stream is None:
            x = each_input("x", x, lambda name, values: as_source(name, values, dtype))
            inputs = check_lengths("x", *each_of(x))
            rows = len(inputs[0])
            check_even_batches(self, rows, batch_size)
            yield from walk(inputs, None, range(0, rows, batch_size))
            return
        with closing(stream) if hasattr(stream, "close") else nullcontext():
            for number, batch in enumerate(stream, start=1):
                x = each_input(
                    f"batch {number}: x", batch, lambda name, values: as_input(name, values, dtype)
                )
                check_lengths(f"batch {number}: x", *each_of(x))
                yield x

    def _one_output(self, y: Any) -> Any:
        if isinstance(y, tuple) and _returns_state(self):
            raise TypeError(
                f"{self.label()}: predict expected one output for each batch, got a tuple; call a "
                "layer with return_state on its own, inside evaluation()"
            )
        return y

    def _repr_html_(self) -> str:
        """In a notebook: every layer, where it stands, and its parameters."""
        from nnlite.core.tables import html_table  # here: a model that only runs needs none

        rows = [["layer", "parameters", "trainable"]]
        for place, layer in nested(self):
            parameters = layer.parameters()
            free = sum(p.size for p in parameters if p.trainable)
            size = sum(p.size for p in parameters)
            label = layer.label() if sub_layers(layer) else repr(layer)
            name = f"{place[-1]}: {label}" if place else label
            trains = "" if not size else "yes" if free == size else f"{free:,}" if free else "no"
            rows.append(["  " * len(place) + name, f"{size:,}" if size else "", trains])
        return html_table(rows)

    # -- checks for subclasses -------------------------------------------------------------------

    def check_array(self, x: np.ndarray, dtype: str = "float32") -> None:
        """Refuse what is not an array; `dtype` is what the error says it should hold.

        Raises:
            TypeError, ValueError: for anything else, lists included.
        """
        if type(x) is np.ndarray:
            return
        if isinstance(x, tuple):
            raise TypeError(
                f"{self!r}: expected one array, got a tuple of {len(x)}; several inputs go through "
                "Parallel, one layer for each, or Join, and predict takes x without y"
            )
        as_array(f"{self!r}: x", x)  # says more about what cannot become an array
        if not isinstance(x, np.ndarray):
            raise TypeError(
                f"{self!r}: expected a NumPy array, got {type(x).__name__}; "
                f"convert with np.asarray(x, np.{dtype})"
            )

    def check_floating(self, x: np.ndarray) -> None:
        """Refuse what is not an array of floats, for layers that do arithmetic.

        Raises:
            TypeError: for anything else, integers and half precision included.
        """
        if type(x) is not np.ndarray:
            self.check_array(x)
        if x.dtype.kind == "f" and x.itemsize >= 4:
            return
        if x.dtype.kind not in "fiub":
            hint = number_hint("x", x)
            raise TypeError(f"{self!r}: x must hold numbers, got dtype {x.dtype}{hint}")
        # half precision overflows in the mean of an image
        kind = "floating-point" if x.dtype.kind != "f" else "float32 or float64"
        scale = " / 255" if x.dtype == np.uint8 else ""  # an image
        raise TypeError(
            f"{self!r}: expected {kind} input, got dtype {x.dtype}; "
            f"convert with np.asarray(x, np.float32){scale}"
        )

    def check_grad_output(self, grad_output: np.ndarray, shape: tuple[int, ...]) -> None:
        """Refuse a gradient that does not have the output's shape.

        Raises:
            TypeError: when it is no array.
            ValueError: when the shapes differ.
        """
        if not isinstance(grad_output, np.ndarray):
            raise TypeError(
                f"{self!r}: backward expected dL/dy as a NumPy array {shape}, "
                f"got {type(grad_output).__name__}"
            )
        if grad_output.shape != shape:
            raise ValueError(
                f"{self!r}: backward expected dL/dy in y's shape {shape}, got {grad_output.shape}"
            )


def completed(model: Layer, state: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """A model's arrays by path, with zeros for the parameters that are younger than the file."""
    own, younger = arrays(model), {}
    for place, layer in model.named_layers().items():
        for new, old in layer.added_later.items():
            path, sign = (f"{place}.{name}".lstrip(".") for name in (new, old))
            if path in own and sign in state and path not in state:
                younger[path] = np.zeros_like(own[path].data)
    return {**state, **younger} if younger else state


def _few(paths: list[str]) -> str:
    """The first paths of a list, for a message."""
    return (", ".join(paths[:3]) + (", …" if len(paths) > 3 else "")) or "no paths"


def floating_dtype(layer: Layer) -> np.dtype[Any]:
    """The dtype of the layer's first floating parameter; float32 when there is none."""
    floating = (p.dtype for p in layer.parameters() if p.dtype.kind == "f")
    return next(floating, np.dtype(np.float32))


def _returns_state(layer: Layer) -> bool:
    """Whether a tuple is (y, state), and not one element for each of several outputs."""
    return any(getattr(part, "return_state", False) for part in layer.named_layers().values())


def check_even_batches(model: Layer, rows: int, batch_size: int, where: str = "") -> None:
    """Refuse a last batch that is smaller than the others when a layer carries its state there.

    Args:
        model, rows, batch_size: what would run.
        where: the beginning of the error.

    Raises:
        ValueError: says which batch sizes fit.
    """
    left = rows % batch_size
    if rows <= batch_size or left == 0:
        return
    for layer in model.named_layers().values():
        if layer.stateful:
            fits = max(size for size in range(1, batch_size) if rows % size == 0)
            raise ValueError(
                f"{where}{layer!r} is stateful: row i of a batch continues row i of the batch "
                f"before, so all batches need the same size, but {rows} rows in batches of "
                f"{batch_size} leave {left}; choose a batch_size that divides {rows}, such as "
                f"{fits}"
            )


def _misfit(part: Parameter | Buffer, values: np.ndarray) -> str | None:
    """What keeps the values from being written into the part."""
    if values.shape != part.shape:
        return f"has shape {values.shape} instead of {part.shape}"
    if values.dtype.kind not in "fiub":
        return f"does not hold numbers (dtype {values.dtype})"
    with np.errstate(all="ignore"):
        written = values.astype(part.dtype)
    # floats may be rounded but not overflow, integers have to be the same
    kept = (
        np.isfinite(written) == np.isfinite(values) if part.dtype.kind == "f" else written == values
    )
    return None if kept.all() else f"holds values that do not fit into {part.dtype}"
