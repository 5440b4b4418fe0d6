"""What optimizers share: flat memory, the walk over it, clipping, decay and the learning rate.

A subclass writes only its update rule, elementwise; `update` names what it needs:

    class SignSGD(nn.Optimizer):
        def update(self, w, g, lr):
            w -= lr * np.sign(g)

All parameters of one group and dtype lie in one flat vector, of which each parameter's `data` is
a view, and so do their gradients and each kind of state. A model of many small layers then costs
as many NumPy calls as one layer. Long vectors are walked in chunks that stay in the cache. A rule
that is not elementwise says `whole = True`, and takes each parameter by itself, in its shape.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Iterable, Mapping
from operator import is_
from typing import Any, ClassVar

import numpy as np

from nnlite.core.arguments import arguments_of, check_constructor
from nnlite.core.construction import OfOneModel
from nnlite.core.forms import ANYTHING, COUNT, Table, check_form
from nnlite.core.habits import Elsewhere
from nnlite.core.kinds import NOT_NEGATIVE, Number
from nnlite.core.parameter import Owner, Parameter
from nnlite.ops.threads import over_parts
from nnlite.optimizers.groups import (
    SCHEDULED,
    Group,
    Options,
    Schedule,
    as_groups,
    members_of,
    options_now,
)
from nnlite.optimizers.packing import (
    FADING,
    Chunk,
    Pack,
    checked_state,
    copied_state,
    pack_parameters,
    scratch_arrays,
)

Array = np.ndarray
SCALE = Number(NOT_NEGATIVE)  # of learning rates


@check_constructor
class Optimizer(OfOneModel):
    """Step 6 of the loop: once all gradients are known, update the weights.

    Args:
        parameters: what to train, such as `model.parameters()`; or groups with options of their
            own, `[{"params": [...], "lr": 0.1}, {"params": [...]}]`.
        lr: the learning rate, a number > 0 or a function of the step: `lr(k)`, k = 0 first.
        weight_decay: λ ≥ 0, or a function of the step. L2 decay adds λ w to the gradient; a
            `decoupled` optimizer shrinks the weights by lr λ instead (default 0).
        clip_norm: the largest norm of all gradients together; longer ones are scaled down to it,
            before L2 decay (default None: no clipping).
        clip_value: the largest size of a single gradient entry (default None).
        maximize: whether to go uphill: the rule is given −g for g (default False).
        options: the rule's own options; `momentum` may be a schedule too.

    Attributes:
        groups: one dictionary of options per group, with its parameters under "params".
        steps: completed steps.
        current_lr: the learning rate that the last step used, of the first group.
        lr_scale: a factor on every group's learning rate (default 1).
        grad_norm: with `clip_norm`, the norm that the last step found, before clipping.

    What a rule may set for its class, beside `update`:
        decoupled: whether weight decay bypasses the gradient (default False).
        own_decay: whether `update` applies weight decay itself, in a third way (default False).
        whole: whether `update` takes each parameter by itself, in its shape (default False).
        state: what it keeps between steps, its name in `update` and in files, such as
            {"m": "exp_avg"} (default: nothing).
        state_if: the same for what only an option calls for, such as
            {"momentum": {"b": "momentum_buffer"}}.
        scratch: the names in `update` of arrays to work in (default ("a",)).
        fading: the names in `update` of averages of gradients whose smallest values may become 0,
            see `Pack.end_fading` (default: none).

    Raises:
        ValueError: no parameters, one that is there twice, or an option out of range.
        TypeError: what is not a `Parameter`, or one of integers; an `update` that names what is
            not there.
    """

    decoupled: ClassVar[bool] = False
    own_decay: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    state: ClassVar[Mapping[str, str]] = {}
    state_if: ClassVar[Mapping[str, Mapping[str, str]]] = {}
    scratch: ClassVar[tuple[str, ...]] = ("a",)
    fading: ClassVar[tuple[str, ...]] = ()

    param_groups = Elsewhere("groups")
    learning_rate = Elsewhere("lr, which may be a schedule, or lr_scale to change it in a run")

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_constructor(cls)

    def __init__(
        self,
        parameters: Iterable[Parameter] | Iterable[Group],
        lr: float | Schedule,
        weight_decay: float | Schedule = 0.0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        self._name = type(self).__name__
        self.defaults = {"lr": lr, "weight_decay": weight_decay, **options, "maximize": maximize}
        self.groups = as_groups(self._name, parameters, self.defaults)
        for group in self.groups:
            group.update(self._checked(group))
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.steps = 0
        self._lr_scale = 1.0
        self._taken = [list(group.values()) for group in self.groups]  # which were checked
        self._constant: dict[int, Options] | None = None  # options now, while none is a schedule
        self.grad_norm: float | None = None
        self._members = members_of(self._name, self.groups)
        self._states: list[dict[str, Any]] = [{"steps": 0} for _ in self._members]
        self._packs: list[Pack] = []
        self._owner = Owner()
        self._named = self._checked_names()
        # where k and the arrays to work in stand among them, which each update has anew
        moving = enumerate(("k", *self.scratch))
        self._moving = [(self._named.index(name), i) for i, name in moving if name in self._named]
        self._work_arrays = 1 + max(1, len(self.scratch))  # L2 decay needs one besides g
        now = self.options_now()  # may raise: before any claim
        self._ready()
        self.current_lr = now[id(self.groups[0])]["lr"]

    # -- what a subclass writes ------------------------------------------------------------------

    def update(self, w: Array, g: Array, *arrays: Any, **options: Any) -> None:
        """The rule: change the weights and the state in place.

        A subclass names behind w and g what it needs, in any order, and is given just that.

        Args:
            w: a stretch of weights; in a `whole` rule, those of one parameter, in its shape.
            g: their gradients, clipped and with L2 decay, not to be changed.
            arrays: by the names in `state` and `state_if`, what the rule keeps, of the same shape
                and 0 before the first step (None where the options do not call for it); by those
                in `scratch`, arrays of that shape to work in, with anything in them.
            options: by their names, the options of the group: numbers to use now, no schedules;
                "k" is the number of this step, 1 first.
        """
        raise NotImplementedError(f"{type(self).__name__} must define update")

    def first_state(self, parameter: Parameter, options: Options) -> dict[str, Array]:
        """A parameter's state before its first step, by names in files: zeros in its shape.

        A `whole` rule may override it with arrays of other shapes.
        """
        names = [*self.state.values()]
        for option, more in self.state_if.items():
            names += more.values() if options[option] else ()
        return {name: np.zeros_like(parameter.data) for name in names}

    def rule(self, options: Options) -> dict[str, str]:
        """The update rule in print, for a group with these options: see `equations`.

        One line for each name that `update` changes, in its order, such as {"w": "w ← w − lr g"};
        {}, the default, leaves `equations` empty.
        """
        return {}

    def rule_numbers(self, options: Options, k: int) -> dict[str, float]:
        """What `rule` names at step k beside w, g, the state and options (default: nothing)."""
        return {}

    def check_options(self, options: Options) -> None:
        """Refuse options that do not go together; each by itself is in its range by then."""

    # -- use -------------------------------------------------------------------------------------

    def step(self, grad_scale: float = 1.0) -> None:
        """Update every trainable parameter from its gradient.

        Args:
            grad_scale: a factor on all gradients, for those that were added up over several
                batches (default 1).

        Raises:
            RuntimeError: when another optimizer has taken over a parameter, or, with
                `clip_norm`, when a gradient is not finite. Nothing has changed then.
            ValueError: when a schedule gives what its option does not allow; nothing has
                changed then.
        """
        self._ready()
        now = self.options_now()
        self._settle()
        scale = grad_scale if self.clip_norm is None else self._clip_scale(grad_scale)
        for pack in self._packs:
            pack.steps += 1
            self._update_pack(pack, now[id(pack.group)], scale)
            if pack.steps % FADING == 0:
                pack.end_fading(self.fading)
        self.current_lr = now[id(self.groups[0])]["lr"]
        self.steps += 1

    def check_schedules(self, k: int) -> None:
        """Refuse schedules that fail after k steps, the last of a run, while nothing is lost.

        Raises:
            ValueError: names the option, and the step.
        """
        try:
            for group in self.groups:
                options_now(self._name, group, k, self.lr_scale)
        except Exception as error:  # whatever a function of the user's raises
            own = "" if isinstance(error, ValueError) else f"a schedule fails at step {k}: "
            raise ValueError(
                f"{own}{error or type(error).__name__}; this run has {k + 1} steps, and a "
                "schedule is called with the completed ones, 0 first"
            ) from error

    def flat_gradients(self) -> list[Array]:
        """All gradients that `step` will use, themselves: one vector for each group and dtype."""
        self._ready()
        self._settle()
        return [pack.grad for pack in self._packs]

    def zero_grad(self) -> None:
        """Set all gradients to zero, frozen parameters included."""
        self._ready()
        for parameter, _ in self._members:
            parameter.zero_grad()

    @property
    def equations(self) -> dict[str, str]:
        """What a step computes with these options, in its order: g from the gradient, state, w.

        Groups for which another formula holds have lines of their own, "group 0: w" and so on.
        """
        sheets = [self.printed(group) for group in self.groups]
        if all(sheet == sheets[0] for sheet in sheets):
            return sheets[0]
        return {
            f"group {index}: {name}": line
            for index, sheet in enumerate(sheets)
            for name, line in sheet.items()
        }

    @property
    def parameters(self) -> list[Parameter]:
        """All parameters of all groups."""
        return [parameter for parameter, _ in self._members]

    @property
    def lr(self) -> float | Schedule:
        """The first group's learning rate or schedule; setting it sets every group's."""
        lr: float | Schedule = self.groups[0]["lr"]
        return lr

    @lr.setter
    def lr(self, value: float | Schedule) -> None:
        checked = self._checked({**self.groups[0], "lr": value})
        for group in self.groups:
            group["lr"] = checked["lr"]

    @property
    def lr_scale(self) -> float:
        """A factor on every group's learning rate, of callbacks; a number ≥ 0."""
        return self._lr_scale

    @lr_scale.setter
    def lr_scale(self, value: float) -> None:
        check_form(f"{self._name}: lr_scale", value, SCALE)
        self._lr_scale = float(value)
        self._constant = None

    def state_dict(self) -> dict[str, Any]:
        """What the rule remembers: per parameter, in the order of the groups, copied.

        Options are not in it: they are the constructor's arguments.
        """
        return {
            "steps": self.steps,
            "lr_scale": self.lr_scale,
            "parameters": self._copied_states(),
        }

    def live_state(self) -> dict[str, Any]:
        """The same as `state_dict`, but with the optimizer's own arrays: they change at `step`."""
        self._collect()
        states = [dict(state) for state in self._states]
        return {"steps": self.steps, "lr_scale": self.lr_scale, "parameters": states}

    def check_state_dict(self, state: Options) -> list[dict[str, Any]]:
        """Copies of the parameters' states, when `load_state_dict` can take over `state`.

        Raises:
            ValueError: when something is missing, or the parameters differ in number, shape or
                state.
        """
        check_form(f"{self._name}: the state", state, Table(ANYTHING))
        missing = {"steps", "lr_scale", "parameters"} - set(state)
        if missing:
            raise ValueError(f"{self._name}: the state has no {', '.join(sorted(missing))}")
        loaded = state["parameters"]
        check_form(f"{self._name}: steps", state["steps"], COUNT)
        check_form(f"{self._name}: lr_scale", state["lr_scale"], SCALE)
        check_form(f"{self._name}: parameters", loaded, [Table(ANYTHING)])
        if len(loaded) != len(self._members):
            raise ValueError(
                f"{self._name}: state of {len(loaded)} parameters for {len(self._members)}"
            )
        return [
            checked_state(f"{self._name}: parameter {index}", entry, self.first_state(p, group))
            for index, ((p, group), entry) in enumerate(zip(self._members, loaded, strict=True))
        ]

    def checked_options(self, group: Options, options: Options) -> Options:
        """The options to change in a group, from a file, as the constructor would keep them.

        A schedule is the script's, and finds its place by the number of steps: it stays.

        Raises:
            ValueError, TypeError: for an unknown option, or one that the constructor refuses.
        """
        unknown = sorted(options.keys() - self.defaults.keys())
        if unknown:
            raise ValueError(f"{self._name}: unknown options {unknown}")
        for name, value in options.items():
            if isinstance(value, bool) != isinstance(group[name], bool):
                raise TypeError(f"{self._name}: {name} is {value!r} instead of {group[name]!r}")
        changed = {name: v for name, v in options.items() if not callable(group[name])}
        checked = self._checked({**group, **changed})
        return {name: checked[name] for name in changed}

    def load_state_dict(self, state: Options) -> None:
        """Take over what `state_dict` of an optimizer of the same kind returned.

        Raises:
            ValueError: when `check_state_dict` refuses it; nothing changes then.
        """
        self._states = self.check_state_dict(state)
        self.steps = int(state["steps"])
        self.lr_scale = float(state["lr_scale"])
        self._packs = []
        self._owner.stale = True

    # -- inside ----------------------------------------------------------------------------------

    def _ready(self) -> None:
        """Lay out the flat vectors, when that was never done or no longer holds."""
        owner = self._owner
        if owner.displaced:
            raise RuntimeError(
                f"{self._name}: another optimizer has taken over one of its parameters; "
                "give each parameter to one optimizer"
            )
        if owner.stale:
            self._collect()
            for parameter, _ in self._members:
                parameter.claim(owner)
            self._packs = pack_parameters(
                self._members, self._states, self.first_state, self.state_names(), self.whole
            )
            owner.stale = False

    def _settle(self) -> None:
        """Let the flat vectors hold all gradients, zeros included."""
        for pack in self._packs:
            for parameter in pack.parameters:
                parameter.settle()

    def _collect(self) -> None:
        """Write each pack's step count back to the states of its parameters."""
        for pack in self._packs:
            for index in pack.indices:
                self._states[index]["steps"] = pack.steps

    def _take_options(self, group: dict[str, Any], taken: list[Any]) -> None:
        """Look at the options of a group that were set since the last step."""
        different = group.keys() ^ {"params", *self.defaults}
        if different:
            raise ValueError(
                f"{self._name}: a group has the options {['params', *self.defaults]}, no more and "
                f"no less, but {sorted(map(str, different))} was added or taken out"
            )
        group.update(self._checked(group))
        taken[:] = group.values()
        self._constant = None

    def _checked(self, group: Options) -> Options:
        """The group's options, each checked as the constructor's argument of that name."""
        owner = next(cls for cls in type(self).__mro__ if cls.__module__.startswith("nnlite."))
        arguments = arguments_of(owner)
        options = {
            name: arguments.one(self._name, name, value) if name in arguments.kinds else value
            for name, value in group.items()
        }
        self.check_options(options)
        return options

    def state_names(self) -> dict[str, str]:
        """All that the rule may keep: the names in `update`, and in files."""
        conditional = (pair for more in self.state_if.values() for pair in more.items())
        return {**self.state, **dict(conditional)}

    def _checked_names(self) -> list[str]:
        """What `update` names behind w and g.

        Raises:
            TypeError: when it names what is not there, or not all of its state.
        """
        rule: Any = type(self)
        named, state = _names(rule), self.state_names()
        there = ["w", "g", *state, *self.scratch, *self.defaults, "k"]
        where = f"{self._name}.update(self, {', '.join(named)})"
        if named and named[:2] != ["w", "g"]:
            raise TypeError(f"{where} must begin with self, w, g")
        for name in named:
            if name not in there:
                raise TypeError(f"{where} names {name!r}; there are {', '.join(there)}")
        for name in state:
            if name not in named:
                raise TypeError(f"{where} does not name {name!r}, which is in its state")
        for name in self.fading:
            if name not in state:
                raise TypeError(f"{self._name}.fading names {name!r}, which is not in its state")
        return named[2:]

    def printed(self, group: Options) -> dict[str, str]:
        """The equations of one group; see `equations`."""
        rule = self.rule(group)
        if not rule:
            return {}
        g, meaning = "−dL/dw" if group["maximize"] else "dL/dw", ""
        if self.clip_norm is not None:
            g = g.replace("dL", "c dL")
            meaning = ",  c = min(1, clip_norm / (‖dL/dw‖ + 10⁻⁶)),  the norm over all parameters"
        if self.clip_value is not None:
            g = f"clip({g}, −clip_value, clip_value)"
        decayed = group["weight_decay"] != 0 and not self.own_decay
        if decayed and self.decoupled:
            rule = {"decay": "w ← w − lr λ w", **rule}
        elif decayed:
            g += " + λ w"
        return {"g": f"g = {g}{meaning}", **rule}

    def options_now(self) -> dict[int, Options]:
        """Each group's options as numbers, by the group's id."""
        name, k, scale = self._name, self.steps, self._lr_scale
        for group, taken in zip(self.groups, self._taken, strict=True):
            if len(group) != len(taken) or not all(map(is_, group.values(), taken)):
                self._take_options(group, taken)
        if self._constant is not None:
            return self._constant
        now = {id(group): options_now(name, group, k, scale) for group in self.groups}
        if not any(callable(group.get(option)) for group in self.groups for option in SCHEDULED):
            self._constant = now
        return now

    def _copied_states(self) -> list[dict[str, Any]]:
        """What the rule remembers of each parameter, in memory of its own."""
        self._collect()
        return [copied_state(state) for state in self._states]

    def _update_pack(self, pack: Pack, options: Options, scale: float) -> None:
        """Piece after piece; long vectors in several threads, each with its part of them."""
        if options["maximize"]:
            scale = -scale
        if pack.pieces or self.whole:
            for piece in pack.pieces:
                self._update_chunk(piece, options, pack.steps, scale)
            return

        def update(part: slice) -> None:
            for chunk in pack.chunks(part):
                self._update_chunk(chunk, options, pack.steps, scale)

        # A rule without state is so short that it waits for memory: a second core is no help.
        size = pack.data.size
        over_parts(update, size, size if pack.state else 0)

    def _update_chunk(self, chunk: Chunk, options: Options, k: int, scale: float) -> None:
        arrays = scratch_arrays(self._work_arrays, chunk.data)
        decay = 0.0 if self.own_decay else options["weight_decay"]
        if decay and self.decoupled:
            chunk.data *= 1 - options["lr"] * decay
            decay = 0.0
        g = chunk.grad
        if decay or scale != 1 or self.clip_value is not None:
            g = self._gradient(chunk, scale, decay, arrays[-1], arrays[0])
        if chunk.options is not options:  # as a rule they stay, and are looked up once
            there = {**options, **chunk.state}
            chunk.options, chunk.arguments = options, [there.get(name) for name in self._named]
        arguments, moving = chunk.arguments[:], (k, *arrays)
        for place, number in self._moving:
            arguments[place] = moving[number]
        self.update(chunk.data, g, *arguments)

    def _gradient(self, chunk: Chunk, scale: float, decay: float, own: Array, work: Array) -> Array:
        """The chunk's gradient as the rule shall see it; the parameters' own stays as it is."""
        g = chunk.grad
        if scale != 1:
            g = np.multiply(g, scale, out=own)
        if self.clip_value is not None:
            g = np.clip(g, -self.clip_value, self.clip_value, out=own)
        if decay:
            shrink = np.multiply(chunk.data, decay, out=work)
            g = np.add(g, shrink, out=own)
        return g

    def _clip_scale(self, grad_scale: float) -> float:
        """The factor that brings the norm of all gradients down to `clip_norm`."""
        assert self.clip_norm is not None
        with np.errstate(over="ignore", invalid="ignore"):
            square = sum(float(np.dot(pack.grad, pack.grad)) for pack in self._packs)
        if not math.isfinite(square):  # the squares overflow float32 before the values do
            square = sum(
                float(np.square(pack.grad, dtype=np.float64).sum()) for pack in self._packs
            )
        if not math.isfinite(square):
            raise RuntimeError(f"{self._name}: a gradient is not finite, so it cannot be clipped")
        self.grad_norm = math.sqrt(square) * grad_scale
        # the 1e-6 is PyTorch's, and keeps a norm of zero from dividing
        return grad_scale * min(1.0, self.clip_norm / (self.grad_norm + 1e-6))

    def __getstate__(self) -> dict[str, Any]:
        """A copy holds its state per parameter, and lays out vectors of its own when first used."""
        states = self._copied_states()
        return {**vars(self), "_states": states, "_packs": [], "_owner": Owner(), "_constant": None}

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={self.groups[0][name]!r}" for name in self.defaults)
        return f"{self._name}({len(self._members)} parameters, {options})"


@functools.cache
def _names(rule: Any) -> list[str]:
    """The names of the arguments of `update`, none where the rule does not define it.

    All are given by position: one that cannot be has a star before its name.
    """
    if rule.update is Optimizer.update:
        return []
    parameters = [*inspect.signature(rule.update).parameters.values()][1:]  # without self
    return [p.name if p.kind is p.POSITIONAL_OR_KEYWORD else f"*{p.name}" for p in parameters]
