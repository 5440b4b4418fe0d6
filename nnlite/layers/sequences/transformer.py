"""The layers that transformers stack, from layers that are there already."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from nnlite.core.padded import Padded, plain
from nnlite.core.random import Rng, as_generator
from nnlite.layers.activations.rectifiers import ReLU
from nnlite.layers.activations.smooth import GELU
from nnlite.layers.base import Layer
from nnlite.layers.containers.base import Container, whole_or_nothing
from nnlite.layers.containers.branches import Residual
from nnlite.layers.containers.parallel import Parallel
from nnlite.layers.containers.sequential import Sequential
from nnlite.layers.dropout import Dropout
from nnlite.layers.linear import Linear
from nnlite.layers.normalization.features import LayerNorm
from nnlite.layers.sequences.attention import MultiHeadAttention
from nnlite.layers.shape import Identity

Activation = Literal["gelu", "relu"]


class Block(Container):
    """What the layers of encoders and decoders share: their arguments, and branches."""

    def __init__(
        self,
        d_model: int,
        num_heads: int,
        d_ff: int,
        dropout: float = 0.0,
        norm_first: bool = True,
        causal: bool = False,
        activation: Activation | Layer = "gelu",
        bias: bool = True,
        rng: Rng = None,
    ) -> None:
        self.d_model = d_model
        self.num_heads = num_heads
        self.d_ff = d_ff
        self.dropout = dropout
        self.norm_first = norm_first
        self.causal = causal
        self.activation = activation
        self.bias = bias
        self.add_layers(as_generator(rng))

    def add_layers(self, rng: np.random.Generator) -> None:
        """Make the layers inside; a subclass says which."""
        raise NotImplementedError

    def attending(self, causal: bool, rng: np.random.Generator) -> list[Layer]:
        """The branch a, dropout on its weights and after it."""
        attention = MultiHeadAttention(
            self.d_model, self.num_heads, self.dropout, causal, self.bias, rng=rng
        )
        return [attention, Dropout(self.dropout, rng)]

    def feeding_forward(self, rng: np.random.Generator) -> list[Layer]:
        """The branch f(u) = φ(u W₁ + b₁) W₂ + b₂, dropout inside and after it."""
        first = Linear(self.d_model, self.d_ff, self.bias, rng=rng)
        activation = self.activation
        if not isinstance(activation, Layer):
            activation = GELU() if activation == "gelu" else ReLU()
        inside = Dropout(self.dropout, rng)
        second = Linear(self.d_ff, self.d_model, self.bias, rng=rng)
        return [first, activation, inside, second, Dropout(self.dropout, rng)]

    def around(self, branch: list[Layer]) -> list[Layer]:
        """The branch with its shortcut, normalized before it or after the sum."""
        if self.norm_first:
            return [Residual(Sequential(self.one_norm(), *branch))]
        return [Residual(Sequential(*branch)), self.one_norm()]

    def one_norm(self) -> LayerNorm:
        return LayerNorm(self.d_model, bias=self.bias)


class TransformerLayer(Block, Sequential):
    """Time steps look at each other, then each is worked on by itself; both around a shortcut.

    Forward      z = x + a(norm₁(x)),  y = z + f(norm₂(z))         with norm_first, "pre-norm"
                 z = norm₁(x + a(x)),  y = norm₂(z + f(z))         without, as in the first paper
                 a is attention, f(u) = φ(u W₁ + b₁) W₂ + b₂ with φ the activation, each followed
                 by dropout
    Backward     that of the layers inside, last to first; with norm_first, and J the Jacobian of
                 each branch, dL/dx = G (1 + J_f) (1 + J_a): however many layers are stacked, one
                 term is G itself
    Shapes       x (N, T, D) → y (N, T, D); W₁ (D, d_ff); W₂ (d_ff, D)
    Saves        nothing itself
    Args         d_model: D, the size of the last axis, ≥ 1
                 num_heads: how many heads attention has; divides d_model
                 d_ff: the width of f, ≥ 1; often 4 D
                 dropout: the probability of zero, on the weights of attention, inside f, and
                 after a and f (default 0)
                 norm_first: whether a and f get a normalized input, which trains without a
                 warm-up (default True); otherwise the sums are normalized
                 causal: whether attention sees only earlier steps (default False)
                 activation: φ, "gelu" (default), "relu", or a layer
                 bias: whether attention, f and the norms add biases (default True)
                 rng: a generator or seed for first values and masks (default: see `nn.seed`)
    Raises       ValueError, TypeError: as `MultiHeadAttention`
    Source       Vaswani et al. 2017, section 3.1; Xiong et al. 2020, figure 1, for norm_first;
                 Radford et al. 2018, section 4.1, for GELU
    """

    def add_layers(self, rng: np.random.Generator) -> None:
        attention = self.around(self.attending(self.causal, rng))
        Sequential.__init__(self, *attention, *self.around(self.feeding_forward(rng)))

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self.norm_first:
            return {
                "forward": "y = z + f(norm₂(z)),  z = x + a(norm₁(x))",
                "input": "dL/dx = G (1 + J_f) (1 + J_a),  where J_f and J_a are those of f norm₂ "
                "and a norm₁",
            }
        return {
            "forward": "y = norm₂(z + f(z)),  z = norm₁(x + a(x))",
            "input": "dL/dx = G J_norm₂ (1 + J_f) J_norm₁ (1 + J_a)",
        }


class TransformerDecoderLayer(Block):
    """A `TransformerLayer` that also looks at a memory, of an encoder, say, in between.

    Forward      z = x + a(norm₁(x)),  w = z + c(norm₂(z), m),  y = w + f(norm₃(w))
                 with norm_first; without, z = norm₁(x + a(x)),  w = norm₂(z + c(z, m)),
                 y = norm₃(w + f(w)). a is attention of x to itself, c that of the memory m,
                 f(u) = φ(u W₁ + b₁) W₂ + b₂ with φ the activation, each followed by dropout
    Backward     that of the layers inside, last to first: with G_w = dL/dw and G_z = dL/dz,
                 [dL/dz through c, dL/dm] = J_cᵀ G_w, and G_z = G_w + the former: the shortcut
                 passes G_w on unchanged, and m reaches y through c alone
    Shapes       x is a tuple, (x (N, T, D), m (N, S, D)) → y (N, T, D); backward returns
                 (dL/dx, dL/dm)
    Saves        nothing itself
    Args         d_model: D, the size of the last axis, ≥ 1
                 num_heads: how many heads a and c have; divides d_model
                 d_ff: the width of f, ≥ 1; often 4 D
                 dropout: the probability of zero, on the weights of attention, inside f, and
                 after a, c and f (default 0)
                 norm_first: whether a, c and f get a normalized input (default True); otherwise
                 the sums are normalized
                 causal: whether a sees only earlier steps, as where x is what has been written so
                 far (default False, as in `TransformerLayer`)
                 activation: φ, "gelu" (default), "relu", or a layer
                 bias: whether attention, f and the norms add biases (default True)
                 rng: a generator or seed for first values and masks (default: see `nn.seed`)
    Raises       ValueError, TypeError: when x is not a tuple of two, and as `MultiHeadAttention`
    Source       Vaswani et al. 2017, section 3.1

    Several of them, all with the same memory, are a `TransformerDecoder`.
    """

    def add_layers(self, rng: np.random.Generator) -> None:
        norm = self.one_norm()
        self.attention = Sequential(*self.around(self.attending(self.causal, rng)))
        cross = self.attending(False, rng)
        self.norm: Layer
        if self.norm_first:
            self.cross = Sequential(Parallel(norm, Identity()), *cross)
            self.norm = Identity()
        else:
            self.cross = Sequential(*cross)
            self.norm = norm
        self.feed_forward = Sequential(*self.around(self.feeding_forward(rng)))

    @property
    def equations(self) -> dict[str, str]:  # type: ignore[override]
        if self.norm_first:
            y = "y = w + f(norm₃(w)),  w = z + c(norm₂(z), m),  z = x + a(norm₁(x))"
            back = "dL/dx = G_z (1 + J_a),  G_z = G_w (1 + J_c),  G_w = G (1 + J_f)"
        else:
            y = "y = norm₃(w + f(w)),  w = norm₂(z + c(z, m)),  z = norm₁(x + a(x))"
            back = "dL/dx = G_z J_norm₁ (1 + J_a),  G_z = G_w J_norm₂ (1 + J_c),  "
            back += "G_w = G J_norm₃ (1 + J_f)"
        return {"forward": y, "input": back}

    def children(self) -> list[tuple[str, Layer]]:
        names = ("attention", "cross", "norm", "feed_forward")
        return [(name, getattr(self, name)) for name in names]

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        x, memory = with_memory(self, x)
        z = self.forward_child("attention", self.attention, x)
        c = self.forward_child("cross", self.cross, (z, memory))
        w: Any = plain(z) + plain(c)
        w = Padded(w, z.lengths) if isinstance(z, Padded) else w
        w = self.forward_child("norm", self.norm, w)
        y = self.forward_child("feed_forward", self.feed_forward, w)
        self.save_for_backward()
        return y

    @whole_or_nothing
    def backward(self, grad_output: np.ndarray) -> Any:
        self.saved()
        d_w = self.backward_child("feed_forward", self.feed_forward, grad_output)
        d_w = self.backward_child("norm", self.norm, d_w)
        d_z, d_memory = self.backward_child("cross", self.cross, d_w)
        d_x = self.backward_child("attention", self.attention, d_w + d_z, self.needs_input_grad)
        return (d_x, d_memory) if self.needs_input_grad else None


class TransformerDecoder(Container):
    """Layers one after another that all look at the same memory.

    Forward      x₀ = x,  xᵢ = fᵢ(xᵢ₋₁, m),  y = x_L
    Backward     from the last layer to the first, [Gᵢ₋₁, Mᵢ] = Jᵢᵀ Gᵢ with G_L = G;
                 dL/dx = G₀ and dL/dm = Σᵢ Mᵢ: every layer reads m, so their gradients add
    Shapes       x is a tuple, (x (N, T, D), m (N, S, D)) → y (N, T, D); backward returns
                 (dL/dx, dL/dm)
    Saves        nothing itself
    Args         layers: `TransformerDecoderLayer`, or others that take (x, m); at least one
    Raises       ValueError, TypeError: when x is not a tuple of two
    Source       Vaswani et al. 2017, section 3.1

    From the tokens of a text and those of its translation so far to the next one:

        model = nn.Sequential(
            nn.Parallel(embed, encoder),  # (translation (N, T), text (N, S)) → (x, m)
            nn.TransformerDecoder(*[nn.TransformerDecoderLayer(64, 4, 256, causal=True)] …),
            nn.Linear(64, tokens),
        )
    """

    equations: ClassVar = {
        "forward": "y = x_L,  xᵢ = fᵢ(xᵢ₋₁, m),  x₀ = x",
        "input": "dL/dx = G₀,  [Gᵢ₋₁, Mᵢ] = Gᵢ Jᵢ,  dL/dm = Σᵢ Mᵢ",
    }

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise ValueError("TransformerDecoder needs at least one layer")
        self.layers = layers
        self.check_children()

    def children(self) -> list[tuple[str, Layer]]:
        return [(f"layer {index}", layer) for index, layer in enumerate(self.layers)]

    @whole_or_nothing
    def forward(self, x: Any) -> Any:
        x, memory = with_memory(self, x)
        for place, layer in self.children():
            x = self.forward_child(place, layer, (x, memory))
        self.save_for_backward()
        return x

    @whole_or_nothing
    def backward(self, grad_output: np.ndarray) -> Any:
        self.saved()
        d_x, d_memory = grad_output, None
        for place, layer in reversed(self.children()):
            needed = self.needs_input_grad or layer is not self.layers[0]
            found = self.backward_child(place, layer, d_x, needed)
            if not needed:
                return None
            d_x, d_m = found
            d_memory = d_m if d_memory is None else d_memory + d_m
        return d_x, d_memory


def with_memory(owner: Layer, x: Any) -> tuple[Any, Any]:
    """The pair (x, m).

    Raises:
        TypeError, ValueError: when it is none.
    """
    if not isinstance(x, tuple):
        raise TypeError(
            f"{type(owner).__name__}: expected a tuple (x, memory), got {type(x).__name__}"
        )
    if len(x) != 2:
        raise ValueError(
            f"{type(owner).__name__}: expected a tuple (x, memory), got one of {len(x)}"
        )
    return x
