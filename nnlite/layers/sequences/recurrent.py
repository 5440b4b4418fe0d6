"""What recurrent layers share: the loop over time, there and back.

A cell turns the state before a step and the step's input into the state after it,

    s_t = cell(s_{t−1}, x_t; θ),    t = 1 … T,  the same θ in every step

so a weight reaches the loss through every step. Unrolled, the chain rule runs backward through
time (BPTT): with δ_t = dL/ds_t, the whole gradient of a state, and G_t the part of it that arrives
from outside at step t, through the output,

    δ_t = G_t + (∂s_{t+1}/∂s_t)ᵀ δ_{t+1}           dL/dθ = Σ_t (∂s_t/∂θ)ᵀ δ_t

A subclass writes one step of each direction, `step` and `backward_step`. Here is the rest: the
input's share of all steps in one product before the loop, the weights' gradients of all steps in
one product after it, padding, states that come in and go out, and layers stacked on each other.

Inside, batches lie feature-major: (gates, H, N) for each step. A gate is then one contiguous
block, and a step is `W (gates·H, H) @ h (H, N)`. Gates that are sigmoids are computed by
σ(a) = 1 / (1 + e⁻ᵃ); the minus is multiplied into the weights once, before the loop.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from nnlite.core.checks import layout_hint
from nnlite.core.formulas import subscript
from nnlite.core.kinds import shown
from nnlite.core.padded import Padded, plain
from nnlite.core.parameter import Parameter
from nnlite.core.random import Rng, as_generator
from nnlite.core.reading import Reading
from nnlite.initializers import Initializer, Orthogonal, Shape, Uniform, first_values
from nnlite.layers.containers.base import Composite, whole_or_nothing
from nnlite.layers.dropout import Dropout
from nnlite.layers.sequences.passes import apart, level_of, padding_of
from nnlite.ops.recurrence import Run, States, side_by_side, steps, steps_back, weight_grads

CELL = {"step", "backward_step", "add_recurrent_grad", "cell_options", "gate_scales"}


class _OrthogonalGates(Initializer):
    """An orthogonal matrix (H, H) for each gate, side by side."""

    def __init__(self, gates: int) -> None:
        self.gates = gates

    def draw(self, shape: Shape, rng: np.random.Generator) -> np.ndarray:
        rows, columns = shape
        hidden = columns // self.gates
        each = [Orthogonal()((rows, hidden), rng) for _ in range(self.gates)]
        return np.concatenate(each, axis=1)


class Recurrent(Composite):
    """The base of RNN, LSTM and GRU; see the module's prose.

    A subclass sets `gate_scales` (−1 for a sigmoid gate, 1 otherwise), `state_count` and
    `keeps_more`, and writes `step` and `backward_step`. The trace wraps `backward_step`, which is
    therefore looked up on the instance.
    """

    accepts_padded = True
    splits_products = True
    gate_scales: ClassVar[tuple[float, ...]] = (1.0,)
    state_count: ClassVar[int] = 1
    keeps_more: ClassVar[bool] = False
    # the gates whose sum has h_{t−1} W_hh as it stands, from the first on (None: all of them)
    direct_gates: ClassVar[int | None] = None
    # what equations call the gates; δ_t, and what comes back to it from the step after
    gate_letters: ClassVar[str] = ""
    passed_letters: ClassVar[tuple[str, str]] = ("δ_t", "A_{t+1} W_hhᵀ")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        dropout: float = 0.0,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        rng: Rng = None,
    ) -> None:
        rng = as_generator(rng)
        gates = len(self.gate_scales)
        uniform = Uniform(-1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))
        self.hidden_size = hidden_size
        shape = (self.state_sizes[0], gates * hidden_size)
        recurrent = first_values(_OrthogonalGates(gates), shape, rng)
        self.input_size = input_size
        self.num_layers = num_layers
        self.dropout = dropout
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.stateful = stateful
        self.weight_ih = Parameter(first_values(uniform, (input_size, gates * hidden_size), rng))
        self.weight_hh = Parameter(recurrent)
        biases = (gates * hidden_size,)
        self.bias = Parameter(first_values(uniform, biases, rng)) if bias else None
        self.add_cell_parameters(rng)
        self.drops = [Dropout(dropout, rng.spawn(1)[0]) for _ in range(num_layers - 1)]
        self.above = [self._one_above(level, bias, rng) for level in range(1, num_layers)]

    def _one_above(self, level: int, bias: bool, rng: np.random.Generator) -> Recurrent:
        """A layer of the stack, which reads the one below; only the last may return one step."""
        # a subclass that leaves the cell as it is may have a constructor of its own
        cls: Any = next(cls for cls in type(self).__mro__ if CELL & vars(cls).keys())
        return cls(
            self.state_sizes[0],
            self.hidden_size,
            bias=bias,
            return_sequences=self.return_sequences or level < self.num_layers - 1,
            return_state=self.return_state,
            stateful=self.stateful,
            rng=rng,
            **self.cell_options(),
        )

    # -- equations -------------------------------------------------------------------------------

    @property
    def plus_bias(self) -> str:
        """How b ends a sum in the equations."""
        return "" if self.bias is None else " + b"

    @property
    def from_outside(self) -> str:
        """The gradient that reaches h_t through the output, in the equations."""
        return "G_t" if self.return_sequences or self.above else "[t = T] G"

    def printed(self, cell: str, **gradients: str) -> dict[str, str]:
        """The equations, given those of one step."""
        y = "y_t = h_t" if self.return_sequences else "y = h_T"
        if self.above:
            y = "h"
            for level, drop in enumerate(self.drops, 2):
                given = f"m{subscript(level)} ⊙ {y}" if drop.training and drop.p > 0 else y
                y = f"f{subscript(level)}({given})"
            y = f"y = {y},  f the layers above and G what comes back from them"
        if self.bias is not None:
            gradients["bias"] = "dL/db = Σ_t Σₙ A_t"
        return {"forward": f"{y},  {cell}", **gradients, "input": "dL/dx_t = A_t W_ihᵀ"}

    def reading(self, run: Run | None = None, given: bool = False) -> Reading:
        """All steps at once; after backward, A_t stands where the gates were."""
        if run is None:
            return Reading()
        length, gates, hidden, count = run.gates.shape
        a = run.gates.reshape(length, gates * hidden, count)
        values = {"A": a.transpose(2, 0, 1), "h": run.states[0].transpose(2, 0, 1)}
        lines = {
            "weight_ih": "dL/dW_ih[i,j] = Σ_tn x[n,t,i] A[n,t,j]",
            "weight_hh": "dL/dW_hh[i,j] = Σ_tn h[n,t,i] A[n,t,j]",
            "bias": "dL/db[j] = Σ_tn A[n,t,j]",
            "input": "dL/dx[n,t,i] = Σ_j A[n,t,j] W_ih[i,j]",
        }
        if not self.above:
            last = f"h[n,{length},i]"
            every = self.return_sequences
            lines["forward"] = "y[n,t,i] = h[n,t+1,i]" if every else f"y[n,i] = {last}"
        return Reading(values=values, components=lines)

    def reading_of_step(self, t: int, run: Run) -> Reading:
        """What equations say of one step forward, with copies of what backward writes over."""
        now, before = (
            {
                f"{letter}_{at}": states[t + later].T
                for letter, states in zip("hc", run.states, strict=False)
            }
            for at, later in (("t", 1), ("{t−1}", 0))
        )
        gates = dict(zip(self.gate_letters, (gate.T.copy() for gate in run.gates[t]), strict=False))
        return Reading(
            values={"x_t": run.x[:, t], **before, **gates, **dict(reversed(now.items()))}
        )

    def reading_of_step_back(
        self, known: Reading, g: np.ndarray | None, d_states: States, before: States,
        d_a: np.ndarray, later: np.ndarray | None,
    ) -> Reading:  # fmt: skip
        """What equations say of one step back.

        Args:
            known: that of the same step forward.
            g: G_t, (N, H); None where nothing arrives from outside.
            d_states: the gradients of the states after the step, each (H, N).
            before: those of the states before it.
            d_a: A_t, (gates, H, N).
            later: what came back from the step after, (N, H); None for the last one.
        """
        delta, passed = self.passed_letters
        gates = {f"A_{letter}": a.T for letter, a in zip(self.gate_letters, d_a, strict=False)}
        whole = d_a.reshape(-1, d_a.shape[-1]).T
        values = {delta: d_states[0].T, **gates, "A_t": whole, "dL/dh_{t−1}": before[0].T}
        lines = {} if g is None and later is None else {delta: f"{delta} = "}
        if lines:
            terms = [name for name, a in (("G_t", g), (passed, later)) if a is not None]
            lines[delta] += " + ".join(terms)
        if len(before) > 1:
            values["dL/dc_{t−1}"] = before[1].T
            values["δᶜ_{t+1} ⊙ f_{t+1}"] = d_states[1].T
        return known._replace(
            values={**known.values, "G_t": g, passed: later, **values}, components=lines
        )

    # -- what a subclass writes ------------------------------------------------------------------

    @property
    def state_sizes(self) -> tuple[int, ...]:
        """The features of each state, those of the output first."""
        return (self.hidden_size,) * self.state_count

    def cell_options(self) -> dict[str, Any]:
        """The constructor arguments that a cell adds, for the layers above the first."""
        return {}

    def add_cell_parameters(self, rng: np.random.Generator) -> None:
        """Make the parameters that a cell has besides weight_ih, weight_hh and bias."""

    def step(self, t: int, run: Run, weight: np.ndarray) -> None:
        """From states[t] and gates[t] to states[t + 1], and the gates' values into gates[t].

        Args:
            t: the step, 0 first.
            run: the pass.
            weight: W_hhᵀ (gates·H, H), its rows scaled by `gate_scales`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define step")

    def backward_step(self, t: int, d_states: States, run: Run) -> tuple[States, np.ndarray]:
        """From the gradient of the states after step t to that of the states before it.

        Args:
            t: the step; T − 1 comes first.
            d_states: each (H, N).
            run: the pass.

        Returns:
            The states' gradients, each (H, N), and A_t, that of W_ih x_t + b, (gates, H, N).
        """
        raise NotImplementedError(f"{type(self).__name__} must define backward_step")

    def add_recurrent_grad(self, run: Run, d_a: np.ndarray, d_w: np.ndarray) -> None:
        """Add dL/dW_hh, given d_w = Σ_t h_{t−1}ᵀ A_t (H, …) of the gates in `direct_gates`.

        Args:
            run: the pass.
            d_a: A_t of all steps side by side, (gates·H, T·N).
            d_w: that sum.
        """
        self.weight_hh.add_grad(d_w)

    # -- forward ---------------------------------------------------------------------------------

    @whole_or_nothing
    def forward(self, x: np.ndarray | Padded, state: Any = None) -> Any:
        """The states of the last layer after each step.

        Args:
            x: (N, T, input_size), or Padded.
            state: where to start from (default None: zeros, or for a stateful layer where the
                last batch ended).

        Returns:
            y, or (y, state) with `return_state`.
        """
        self._check_input(plain(x), x)
        initial = None if state is None else self._check_state(state, plain(x))
        y, final = self._forward_own(x, None if initial is None else level_of(initial, 0))
        finals = [final]
        for level, (drop, layer) in enumerate(zip(self.drops, self.above, strict=True), 1):
            y = self.forward_child(f"dropout {level}", drop, y)
            given = () if initial is None else (self._packed(level_of(initial, level)),)
            y = self.forward_child(f"layer {level}", layer, y, *given)
            if self.return_state:
                y, above = y
                finals.append(self._unpacked(above))
        if not self.return_state:
            return y
        return y, self._packed(tuple(np.concatenate(each) for each in zip(*finals, strict=True)))

    def __call__(self, x: np.ndarray | Padded, state: Any = None) -> Any:
        """`layer(x, state)` is `layer.forward(x, state)`."""
        return self.forward(x, state)

    def _forward_own(self, x: np.ndarray | Padded, initial: States | None) -> tuple[Any, States]:
        """This layer's own loop: (y, final states), without those above it."""
        data = plain(x)
        run = steps(
            self,
            data,
            self._start(len(data)) if initial is None else [s[0].T for s in initial],
            padding_of(x),
            self.weight_ih.data,
            None if self.bias is None else self.bias.data,
            self.weight_hh.data,
        )

        if self.stateful:
            self.carried = tuple(states[-1].copy() for states in run.states)
        y = self._output(x, run)
        self.save_for_backward(run, initial is not None)
        return y, tuple(states[-1].T[None].copy() for states in run.states)

    def _start(self, count: int) -> States | list[float]:
        """What the last batch left behind, or zeros."""
        if not self.stateful or self.carried is None:
            return [0.0] * self.state_count
        before = self.carried[0].shape[1]
        if before != count:
            raise ValueError(
                f"{self!r}: the state carried from the last batch has {before} sequences and this "
                f"batch {count}; call reset_state() between them, or give all batches the same "
                "number of rows"
            )
        return self.carried

    def check_carried(self, carried: Any) -> None:
        """Each of its states (H, N), with as many sequences."""
        super().check_carried(carried)
        floats = isinstance(carried, tuple) and all(
            isinstance(state, np.ndarray) and state.dtype.kind == "f" for state in carried
        )
        shapes = [state.shape for state in carried] if floats else []
        expected = [(size, *shapes[0][1:2]) for size in self.state_sizes] if shapes else []
        if not shapes or shapes != expected or len(expected[0]) != 2:
            wanted = " and ".join(f"({size}, N)" for size in self.state_sizes)
            raise ValueError(
                f"{self!r}: from batch to batch it carries arrays {wanted} of floats in a tuple, "
                f"got {shown(carried)}"
            )

    def _output(self, x: np.ndarray | Padded, run: Run) -> Any:
        """The hidden states after every step, or after the last."""
        states = run.states[0]
        if not (self.return_sequences or self.above):
            return np.ascontiguousarray(states[-1].T)
        y = np.ascontiguousarray(states[1:].transpose(2, 0, 1))  # (N, T, H)
        if not isinstance(x, Padded):
            return y
        y[~x.mask] = 0
        return Padded(y, x.lengths)

    # -- backward --------------------------------------------------------------------------------

    @whole_or_nothing
    def backward(self, grad_output: Any) -> Any:
        """Back through the layers of the stack, and in each of them through time.

        Args:
            grad_output: dL/dy, or (dL/dy, dL/dstate or None) with `return_state`.

        Returns:
            dL/dx, or (dL/dx, dL/dstate) when forward was given a state.
        """
        run, given = self.saved()
        d_y, d_final = apart(repr(self), grad_output, self.return_state)
        d_finals = None if d_final is None else self._check_state(d_final, run.x)
        d_initials: list[States] = []
        for level in range(len(self.above), 0, -1):
            layer = self.above[level - 1]
            if self.return_state:
                d_level = None if d_finals is None else self._packed(level_of(d_finals, level))
                d_y = (d_y, d_level)
            d_y = self.backward_child(f"layer {level}", layer, d_y)
            if given:
                d_y, d_initial = d_y
                d_initials.insert(0, self._unpacked(d_initial))
            d_y = self.backward_child(f"dropout {level}", self.drops[level - 1], d_y)
        own = None if d_finals is None else level_of(d_finals, 0)
        d_x, d_states = self._backward_own(run, d_y, own)
        if not given:
            return d_x
        d_initials.insert(0, tuple(d.T[None].copy() for d in d_states))
        return d_x, self._packed(tuple(np.concatenate(d) for d in zip(*d_initials, strict=True)))

    def _backward_own(
        self, run: Run, grad_output: np.ndarray, d_finals: States | None
    ) -> tuple[np.ndarray | None, States]:
        """This layer's own loop: (dL/dx, dL/d of the initial states)."""
        length, gates, hidden, count = run.gates.shape
        every, features = self.return_sequences or self.above, self.state_sizes[0]
        shape = (count, length, features) if every else (count, features)
        self.check_grad_output(grad_output, shape)
        d_states: States = tuple(np.zeros_like(states[0]) for states in run.states)
        if d_finals is not None:
            d_states = tuple(np.ascontiguousarray(d[0].T) for d in d_finals)
        d_y = grad_output if every else None
        if d_y is None:  # y was the last state
            d_states = (d_states[0] + grad_output.T, *d_states[1:])
        d_states = steps_back(self, run, d_y, d_states, self.weight_hh.data)

        # A_t took the place of the gates, which nobody needs after their step
        d_rows = side_by_side(run.gates.reshape(length, gates * hidden, count))
        direct = hidden * (gates if self.direct_gates is None else self.direct_gates)
        d_w_ih, d_w_hh, d_b = weight_grads(run, d_rows, direct)
        self.weight_ih.add_grad(d_w_ih)
        self.add_recurrent_grad(run, d_rows, d_w_hh)
        if self.bias is not None:
            self.bias.add_grad(d_b)
        if not self.needs_input_grad:
            return None, d_states
        d_x = (self.weight_ih.data @ d_rows).reshape(self.input_size, length, count)  # (D, T, N)
        return np.ascontiguousarray(d_x.transpose(2, 1, 0)), d_states

    # -- states and checks -----------------------------------------------------------------------

    def _packed(self, states: States) -> Any:
        """As users see them: one array, or the pair (h, c)."""
        return states[0] if self.state_count == 1 else states

    def _unpacked(self, state: Any) -> States:
        return (state,) if self.state_count == 1 else tuple(state)

    def _check_input(self, data: np.ndarray, x: Any) -> None:
        self.check_floating(data if isinstance(x, Padded) else x)
        if data.ndim != 3 or data.shape[2] != self.input_size or data.shape[1] == 0:
            raise ValueError(
                f"{self!r}: expected (N, T, {self.input_size}) with T ≥ 1, got {data.shape}"
                + layout_hint(data.shape, self.input_size, (3,))
            )

    def _check_state(self, state: Any, data: np.ndarray) -> States:
        """The initial states, or their gradients, in the shape and dtype that they must have."""
        expected = [(self.num_layers, len(data), size) for size in self.state_sizes]
        single = self.state_count == 1
        states = self._unpacked(state) if single or isinstance(state, tuple | list) else (state,)
        shapes = [np.shape(each) for each in states]
        if shapes != expected:
            alike = f"each {expected[0]}" if len(set(expected)) == 1 else f"of shapes {expected}"
            wanted = f"a state of shape {expected[0]}" if single else f"(h, c), {alike}"
            raise ValueError(f"{self!r}: expected {wanted}, got {', '.join(map(str, shapes))}")
        for each in states:
            self.check_floating(each)
        return states

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """One for each step and weight of this layer; those above count their own."""
        return x_shape[0] * x_shape[1] * (self.weight_ih.size + self.weight_hh.size)
