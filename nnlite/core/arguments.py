"""What arguments may be: one table of ranges, and one checker that reads the annotations.

Every constructor of nnlite is checked (see `construction.py`), and every public function that is
marked `@checked`, before its first line runs:

    Linear: out_features must be a whole number ≥ 1, got '7'

The annotation says what kind of value it is, the table below in which range. NumPy's numbers
become Python's on the way: a NumPy scalar would turn float32 into float64 later on. What relates
one argument to another stays in the constructor's body. Classes outside nnlite are left alone.
"""

from __future__ import annotations

import builtins
import functools
import inspect
import types
from collections import ChainMap
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from importlib import import_module
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from nnlite.core.kinds import (
    ANY,
    BETWEEN,
    LONGEST,
    NOT_NEGATIVE,
    PART,
    POSITIVE,
    RATE,
    REFUSED,
    SHARE,
    Called,
    Choice,
    Drawing,
    DType,
    Either,
    Flag,
    Generator,
    Instance,
    Kind,
    Nothing,
    Number,
    Numbers,
    Place,
    Range,
    Several,
    Sizes,
    Text,
    Whole,
    at_least,
)

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)

INITIALIZER = Drawing()
SCHEDULE = Called(1, "a schedule such as nn.ConstantSchedule(lr)")
FACTOR = Range(0, LONGEST, with_low=False)
BETAS = Several(Number(PART), 2)

# Every whole or floating argument has its range here, by its name. Where a name means something
# else in one class or function, `Class.name` goes before `name`, for its subclasses too.
RANGES: dict[str, Range | Kind] = {
    # sizes and counts
    "in_features": at_least(1),
    "out_features": at_least(1),
    "in_channels": at_least(1),
    "out_channels": at_least(1),
    "num_features": at_least(1),
    "num_channels": at_least(1),
    "channels": at_least(1),
    "num_groups": at_least(1),
    "groups": at_least(1),
    "kernel_size": at_least(1),
    "stride": at_least(1),
    "dilation": at_least(1),
    "padding": at_least(0),
    "output_padding": at_least(0),
    "output_size": at_least(1),
    "scale_factor": Either([Number(FACTOR), Several(Number(FACTOR))]),
    "num_embeddings": at_least(1),
    "embedding_dim": at_least(1),
    "padding_idx": at_least(0),
    "num_parameters": at_least(1),
    "input_size": at_least(1),
    "kdim": at_least(1),
    "vdim": at_least(1),
    "num_kv_heads": at_least(1),
    "window": at_least(1),
    "proj_size": at_least(0),
    "gates": at_least(1),
    "widths": at_least(1),
    "hidden_size": at_least(1),
    "num_layers": at_least(1, 1000),  # each is an object of its own
    "d_model": at_least(1, LONGEST // 4),  # queries, keys and values side by side
    "d_ff": at_least(1),
    "num_heads": at_least(1),
    "max_length": at_least(1),
    "shape": at_least(-1),  # Reshape's, where −1 is found out
    "filters.shape": at_least(1),
    "axes": at_least(-64, 63),  # an array has 64 axes at most
    "axis": at_least(-64, 63),
    "k": at_least(1),
    "LocalResponseNorm.k": POSITIVE,
    "rows": at_least(1),
    "folds": at_least(2),
    "num_classes": at_least(1),
    "n_samples": at_least(1),
    "samples": at_least(1),
    "n_classes": at_least(1),
    "n_features": at_least(1),
    "n_cells": at_least(2),
    "pixels": at_least(0),
    "size": at_least(1),
    "ahead": at_least(1),
    "input_shape": at_least(1),
    "batch_size": at_least(1),
    "validation_batch_size": at_least(1),
    "epochs": at_least(1),
    "accumulate": at_least(1),
    "max_iter": at_least(1),
    "keep": at_least(1, 10_000),  # each is a file to look for
    "every_steps": at_least(1),
    "every_epochs": at_least(1),
    "patience": at_least(0),
    "cooldown": at_least(0),
    "start": at_least(0),
    "steps": at_least(1),
    "OneCycleSchedule.steps": at_least(2),
    "lr_range_test.steps": at_least(10),
    "loss_surface.steps": at_least(3, 1000),
    "step_size": at_least(1),
    "step_size_up": at_least(1),
    "step_size_down": at_least(1),
    "milestones": at_least(0),
    "growth": at_least(1),
    "ignore_index": at_least(-LONGEST),
    "blank": at_least(0),
    "seed.value": Whole(Range(0, float("inf"))),
    # numbers
    "p": PART,
    "flip.p": SHARE,
    "dropout": PART,
    "std": NOT_NEGATIVE,
    "Normal.std": POSITIVE,
    "TruncatedNormal.std": POSITIVE,
    "mean": ANY,
    "low": ANY,
    "high": ANY,
    "value": ANY,
    "gain": POSITIVE,
    "eps": NOT_NEGATIVE,
    "momentum": PART,
    "TrackingNorm.momentum": SHARE,
    "negative_slope": ANY,
    "init": ANY,
    "alpha": POSITIVE,
    "RMSprop.alpha": PART,
    "Lookahead.alpha": Range(0, 1, with_low=False),
    "beta": POSITIVE,
    "GaussianSample.beta": NOT_NEGATIVE,
    "l1": NOT_NEGATIVE,
    "l2": NOT_NEGATIVE,
    "strength": NOT_NEGATIVE,
    "min_val": ANY,
    "max_val": ANY,
    "forget_bias": ANY,
    "label_smoothing": SHARE,
    "margin": ANY,
    "TripletMarginLoss.margin": POSITIVE,
    "TripletMarginLoss.p": Range(1),
    "MultiMarginLoss.p": at_least(1, 2),
    "GaussianNLLLoss.eps": POSITIVE,
    "SpectralNorm.eps": PART,
    "smooth": NOT_NEGATIVE,
    "gamma": POSITIVE,
    "FocalLoss.gamma": NOT_NEGATIVE,
    "delta": POSITIVE,
    "threshold": ANY,
    "lambd": NOT_NEGATIVE,
    "n_power_iterations": at_least(1),
    "divisor_override": at_least(1),
    "norm_type": Range(1),
    "lower": ANY,
    "upper": ANY,
    "lr": RATE,
    "max_lr": RATE,
    "min_lr": NOT_NEGATIVE,
    "lr_range_test.min_lr": RATE,
    "lr_decay": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
    "momentum_decay": NOT_NEGATIVE,
    "dampening": NOT_NEGATIVE,
    "t0": NOT_NEGATIVE,
    "etas": Several(Number(POSITIVE), 2),
    "step_sizes": Several(Number(POSITIVE), 2),
    "beta2_decay": Range(-10, 0),
    "Adafactor.eps": Several(Either([Nothing(), Number(NOT_NEGATIVE)]), 2),
    "Adafactor.d": Range(1),
    "ns_coefficients": Several(Number(ANY), 3),
    "ns_steps": at_least(1, 99),
    "rho": PART,
    "initial_accumulator_value": NOT_NEGATIVE,
    "clip_norm": POSITIVE,
    "clip_value": POSITIVE,
    "power": POSITIVE,
    "start_factor": SHARE,
    "pct_start": BETWEEN,
    "div_factor": POSITIVE,
    "final_div_factor": POSITIVE,
    "decay": PART,
    "min_delta": NOT_NEGATIVE,
    "factor": BETWEEN,
    "baseline": ANY,
    "seconds": POSITIVE,
    "tol": POSITIVE,
    "noise": NOT_NEGATIVE,
    "distance": POSITIVE,
    "test_size": POSITIVE,
    "validation_split": PART,
    # what the annotation does not tell
    "betas": BETAS,
    "weight": Numbers(NOT_NEGATIVE, axes=1),
    "pos_weight": Numbers(NOT_NEGATIVE),
    "weights": Several(Number(NOT_NEGATIVE)),
    "q": Numbers(BETWEEN),
    "schedule": SCHEDULE,
    "schedules": Several(SCHEDULE),
    "weight_init": INITIALIZER,
    "bias_init": INITIALIZER,
    "dtype": DType(),
    "summary.dtype": Either([DType(), Several(DType())]),  # one for each input
    "path": Place(),
    "resume": Place(),
    "folder": Place(),
}


# What Keras, PyTorch and scikit-learn call arguments, and what they are called here; the first one
# that there is.
OTHER_ARGUMENTS = {
    "dim": "axis",
    "units": "out_features hidden_size",
    "hidden_layer_sizes": "hidden model",
    "input_dim": "num_embeddings",
    "output_dim": "embedding_dim",
    "filters": "out_channels",
    "strides": "stride",
    "pool_size": "kernel_size",
    "use_bias": "bias",
    "kernel_initializer": "weight_init",
    "bias_initializer": "bias_init",
    "rate": "p",
    "embed_dim": "d_model",
    "key_dim": "d_model",
    "nhead": "num_heads",
    "dim_feedforward": "d_ff",
    "seed": "rng",
    "random_state": "rng",
    "nb_epoch": "epochs",
    "n_epochs": "epochs",
    "nb_epochs": "epochs",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "max_iter": "epochs",
    "solver": "optimizer",
    "learning_rate_init": "lr",
    "alpha": "negative_slope weight_decay",
    "rho": "alpha",
    "class_weight": "weight",
    "elementwise_affine": "affine",
    "filepath": "path",
    "save_best_only": "best_only",
    "learning_rate": "lr",
    "initial_learning_rate": "lr",
    "epsilon": "eps",
    "beta_1": "betas",
    "beta_2": "betas",
    "beta1": "betas",
    "beta2": "betas",
    "clipnorm": "clip_norm",
    "global_clipnorm": "clip_norm",
    "clipvalue": "clip_value",
    "params": "parameters",
    "T_max": "steps",
    "T_0": "steps",
    "T_mult": "growth",
    "eta_min": "min_lr",
    "base_lr": "min_lr",
    "total_steps": "steps",
    "total_iters": "steps",
    "decay_steps": "steps",
}
# Those that choose how PyTorch computes, not what.
WAYS_TO_COMPUTE = {"foreach", "fused", "capturable", "differentiable"}
# What is no argument here, and what to do instead.
NO_ARGUMENTS = {
    "activation": "put the activation behind the layer, such as nn.ReLU()",
    "input_shape": "leave it out: the first layer's own arguments say what it takes",
    "batch_first": "leave it out: x is always (N, T, D)",
    "bidirectional": "write nn.Bidirectional(layer)",
    "data_format": "leave it out: channels are always last",
    "device": "leave it out: there is one device, the processor",
    "dtype": "leave it out, and convert the finished layer with layer.astype(dtype)",
    "inplace": "leave it out",
    "restore_best_weights": "leave it out: EarlyStopping ends with the best weights",
    "optimizer": "give it to nn.Trainer(model, loss, optimizer)",
    "loss": "give it to nn.Trainer(model, loss, optimizer)",
    "from_logits": "BCEWithLogitsLoss and CrossEntropyLoss take scores, BCELoss and NLLLoss do not",
    "num_workers": "leave it out; nn.data.prefetch loads batches ahead",
    "pin_memory": "leave it out",
    "workers": "leave it out; nn.data.prefetch loads batches ahead",
    "verbose": "leave it out: nothing is printed",
    "initial_epoch": "leave it out: fit goes on when it is called again",
    "save_weights_only": "leave it out: it is the whole run; nn.save_model has the model alone",
    "size_average": 'write reduction="mean" or "sum"',
    "reduce": 'write reduction="mean" or "sum", or "none"',
    "steps_per_epoch": "leave it out: an epoch is all of x, and a stream's length its own",
}


# -- reading annotations ---------------------------------------------------------------------------


def kind_of(annotation: Any, entry: Range | Kind | None) -> Kind | None:
    """The kind of an annotation with the table's entry; None when the callee checks it itself."""
    members = get_args(annotation) if _is_union(annotation) else (annotation,)
    optional = [Nothing()] if type(None) in members else []
    if np.random.Generator in members:
        return Generator(tuple(m for m in members if m not in (int, type(None))))
    if isinstance(entry, Kind):
        kinds: list[Kind | None] = [entry]
    elif complex in members:  # ArrayLike, which each version of NumPy spells out otherwise
        return None
    elif int in members and any(get_origin(member) is tuple for member in members):
        choices = [_plain_kind(member, None) for member in members if get_origin(member) is Literal]
        inner = [get_args(member) for member in members if get_origin(member) is tuple]
        nested = any(get_origin(item) is tuple for items in inner for item in items)
        kinds = [Sizes(_range(entry), nested), *choices]
    else:
        kinds = [_plain_kind(member, entry) for member in members if member is not type(None)]
    found = [kind for kind in kinds if kind is not None]
    if len(found) < len(kinds) or not found:
        return None
    found += optional
    return found[0] if len(found) == 1 else Either(found)


def _plain_kind(annotation: Any, entry: Range | None) -> Kind | None:
    """The kind of an annotation that is no union."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is bool:
        return Flag()
    if annotation is int:
        return Whole(_range(entry))
    if annotation is float:
        return Number(_range(entry))
    if annotation is str:
        return Text()
    if origin is Literal:
        return Choice(inner)
    if origin is Callable:
        one = entry is not None  # a number's place may be taken by a function of the step
        count = None if inner[0] is ... else len(inner[0])
        return Called(count, "a function of the step" if one else "callable")
    if origin is Sequence:
        item = kind_of(inner[0], entry)
        return None if item is None else Several(item)
    own = isinstance(annotation, type) and annotation.__module__.startswith("nnlite.")
    return Instance(annotation) if own else None


def _is_union(annotation: Any) -> bool:
    return isinstance(annotation, types.UnionType) or get_origin(annotation) is Union


def _range(entry: Range | None) -> Range:
    assert entry is not None, "a number without its row in RANGES"
    return entry


class _Public(dict[str, Any]):
    """nnlite's public names, for annotations that are imported only for type checking."""

    def __missing__(self, name: str) -> Any:
        try:
            return getattr(import_module("nnlite"), name)
        except AttributeError:
            raise KeyError(name) from None


class Arguments:
    """What may be passed to a function, by its annotations and the table.

    Args:
        function: the function or constructor.
        names: the names before the dot in the table, the first one first.
    """

    def __init__(self, function: Callable[..., Any], names: Sequence[str]) -> None:
        self.signature = inspect.signature(function)
        parameters = list(self.signature.parameters.values())
        if parameters and parameters[0].name == "self":
            parameters = parameters[1:]
            self.signature = self.signature.replace(parameters=parameters)
        place = ChainMap(function.__globals__, vars(builtins), _Public())
        self.kinds: dict[str, Kind | None] = {}
        self.positional: list[str] = []
        self.required: set[str] = set()
        self.star: str | None = None
        self.open = False  # takes any name
        for p in parameters:
            annotation = p.annotation
            if isinstance(annotation, str):
                annotation = eval(annotation, {}, place)
            if isinstance(annotation, TypeVar):
                annotation = annotation.__bound__
            keys = [*(f"{name}.{p.name}" for name in names), p.name]
            entry = next((RANGES[key] for key in keys if key in RANGES), None)
            self.kinds[p.name] = kind_of(annotation, entry)
            if p.kind is p.VAR_POSITIONAL:
                self.star = p.name
            elif p.kind is p.VAR_KEYWORD:
                self.open = True
            elif p.kind is not p.KEYWORD_ONLY:
                self.positional.append(p.name)
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
                self.required.add(p.name)

    def checked(
        self, label: str, args: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """The arguments to pass on, as Python's numbers.

        Raises:
            ValueError, TypeError: names the first argument that is not what it must be.
        """
        if not (args or named or self.required):  # as `with nn.inference():` at every prediction
            return [], named
        positional, kinds = self.positional, self.kinds
        taken = [self.one(label, *given) for given in zip(positional, args, strict=False)]
        if len(args) > len(positional):
            if self.star is None:
                raise self._misfit(label, args, named)
            taken += self._starred(label, self.star, args[len(positional) :])
        for name, value in named.items():
            if name not in kinds:
                if not self.open:
                    raise self._misfit(label, args, named)
            else:
                named[name] = self.one(label, name, value)
        by_place = positional[: len(args)]
        if not named.keys().isdisjoint(by_place) or not self.required.issubset([*by_place, *named]):
            raise self._misfit(label, args, named)
        return taken, named

    def one(self, label: str, name: str, value: Any) -> Any:
        """The value to keep for one argument."""
        kind = self.kinds[name]
        if kind is None:
            return value
        if (taken := kind.take(value)) is REFUSED:
            raise kind.refusal(f"{label}: {name}", value)
        return taken

    def _starred(self, label: str, name: str, values: tuple[Any, ...]) -> list[Any]:
        """The values to keep for `*name`."""
        kind = self.kinds[name]
        if kind is None:
            return list(values)
        taken = [kind.take(value) for value in values]
        for index, value in enumerate(values):
            if taken[index] is REFUSED:
                error = kind.refusal(f"{label}: {name}[{index}]", value)
                if isinstance(value, list | tuple | Iterator):
                    error = type(error)(f"{error}; write {label}(*{name}) to pass a list")
                raise error
        return taken

    def _misfit(self, label: str, args: tuple[Any, ...], named: dict[str, Any]) -> TypeError:
        """The error for arguments of unknown names, given twice, missing or too many."""
        try:
            self.signature.bind(*args, **named)
        except TypeError as error:
            problem = error
        known = f"the arguments are {', '.join(self.kinds)}" if self.kinds else "it takes none"
        return TypeError(f"{label}: {problem}; {known}{other_words(label, self.kinds, named)}")


def named_here(init: Function) -> Function:
    """A constructor as scikit-learn wants it: it checks nothing but the names of its arguments."""
    known = list(inspect.signature(init).parameters)[1:]

    @functools.wraps(init)
    def guarded(self: Any, *args: Any, **named: Any) -> None:
        for name in named:
            if name not in known:
                label = type(self).__name__
                raise TypeError(
                    f"{label}: there is no argument {name}; the arguments are {', '.join(known)}"
                    f"{other_words(label, known, named)}"
                )
        init(self, *args, **named)

    return guarded  # type: ignore[return-value]  # the same call, as wraps says


def other_words(label: str, known: Container[str], named: Iterable[str]) -> str:
    """What to write for an argument that has another library's name."""
    for name in (name for name in named if name not in known):
        for own in OTHER_ARGUMENTS.get(name, "").split():
            if own in known:
                return f"; {name} is {own} here"
        if name in NO_ARGUMENTS:
            return f"; instead of {name}=: {NO_ARGUMENTS[name]}"
        if name in WAYS_TO_COMPUTE and "maximize" in known:
            return f"; {name} makes no difference to the result: leave it out"
        if name == "decoupled_weight_decay" and label in ("Adam", "NAdam", "RAdam"):
            return f"; the rule with it is nn.{label}W"
    return ""


def checked(function: Function) -> Function:
    """A function or method of nnlite whose arguments are checked before it runs."""

    @functools.cache
    def arguments() -> Arguments:  # at the first call: what the annotations name is there by then
        plain = inspect.unwrap(function)
        return Arguments(plain, [plain.__name__])

    method = inspect.unwrap(function).__code__.co_varnames[:1] == ("self",)

    @functools.wraps(function)
    def guarded(*args: Any, **named: Any) -> Any:
        taken, named = arguments().checked(function.__name__, args[method:], named)
        return function(*args[:method], *taken, **named)

    return guarded  # type: ignore[return-value]  # the same call, as wraps says


def check_constructor(cls: Class) -> Class:
    """Check the arguments of a class's own constructor, if the class is nnlite's.

    A constructor that was called by one that has checked does not check again.
    """
    init = vars(cls).get("__init__")
    if init is None or not cls.__module__.startswith("nnlite."):
        return cls

    @functools.wraps(init)
    def guarded(self: Any, *args: Any, **named: Any) -> None:
        outermost: Any = type(self).__init__
        if outermost is guarded or not hasattr(outermost, "is_checked"):
            args, named = arguments_of(cls).checked(type(self).__name__, args, named)  # type: ignore[assignment]
        try:
            init(self, *args, **named)
        except MemoryError as error:
            if isinstance(error.__cause__, MemoryError):  # said so already
                raise
            raise MemoryError(f"{type(self).__name__}: not enough memory: {error}") from error

    guarded.is_checked = True  # type: ignore[attr-defined]
    cls.__init__ = guarded  # type: ignore[misc]
    return cls


@functools.cache
def arguments_of(cls: type) -> Arguments:
    """The arguments of a class's constructor."""
    constructor: Any = cls.__init__  # type: ignore[misc]
    if constructor is object.__init__:
        return Arguments(lambda: None, [])
    return Arguments(inspect.unwrap(constructor), [base.__name__ for base in cls.__mro__])
