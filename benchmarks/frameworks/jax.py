"""JAX, the whole step compiled by `jit`, its arguments donated.

Batch norm keeps no running averages here, which a training step does not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks import workloads
from benchmarks.frameworks import LEARNING_RATE, MOMENTUM, check_kinds


def convolution(x: Any, own: Any, key: Any, *sizes: int) -> Any:
    """Channels last, as in nnlite."""
    *_, stride, padding, groups = sizes
    y = lax.conv_general_dilated(
        x, own[0], (stride, stride), [(padding, padding)] * 2,
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups,
    )  # fmt: skip
    return y + own[1]


def maxpool(x: Any, own: Any, key: Any, k: int) -> Any:
    """Windows side by side."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, k, k, 1), (1, k, k, 1), "VALID")


def normalized(x: Any, axes: tuple[int, ...]) -> Any:
    """Mean 0 and variance 1 over these axes."""
    return (x - x.mean(axes, keepdims=True)) * lax.rsqrt(x.var(axes, keepdims=True) + 1e-5)


def lstm(x: Any, own: Any, key: Any, *sizes: int) -> Any:
    """Gates in the order i, f, g, o; their inputs for all steps in one product."""
    w, u, b = own

    def step(state: Any, gates: Any) -> Any:
        h, c = state
        i, f, g, o = jnp.split(gates + h @ u, 4, axis=-1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    zeros = jnp.zeros((len(x), len(u)), x.dtype)
    return lax.scan(step, (zeros, zeros), (x @ w + b).swapaxes(0, 1))[1].swapaxes(0, 1)


def gru(x: Any, own: Any, key: Any, *sizes: int) -> Any:
    """Gates in the order r, z, n."""
    w, u, b, b_hn = own

    def step(h: Any, gates: Any) -> Any:
        (r, z, n), (u_r, u_z, u_n) = jnp.split(gates, 3, -1), jnp.split(h @ u, 3, -1)
        r, z = jax.nn.sigmoid(r + u_r), jax.nn.sigmoid(z + u_z)
        h = (1 - z) * jnp.tanh(n + r * (u_n + b_hn)) + z * h
        return h, h

    zeros = jnp.zeros((len(x), len(u)), x.dtype)
    return lax.scan(step, zeros, (x @ w + b).swapaxes(0, 1))[1].swapaxes(0, 1)


def transformer(x: Any, own: Any, key: Any, d: int, heads: int, d_ff: int) -> Any:
    """Normalization first, GELU."""
    scale1, shift1, w_qkv, b_qkv, w_out, b_out, scale2, shift2, w1, b1, w2, b2 = own
    z = normalized(x, (-1,)) * scale1 + shift1
    q, k, v = jnp.split((z @ w_qkv + b_qkv).reshape(*x.shape[:2], 3 * heads, -1), 3, axis=2)
    weights = jax.nn.softmax(jnp.einsum("nthd,nshd->nhts", q, k) / (d // heads) ** 0.5)
    x = x + jnp.einsum("nhts,nshd->nthd", weights, v).reshape(x.shape) @ w_out + b_out
    z = normalized(x, (-1,)) * scale2 + shift2
    return x + jax.nn.gelu(z @ w1 + b1, approximate=False) @ w2 + b2


APPLY: dict[str, Callable[..., Any]] = {
    "linear": lambda x, own, key, *sizes: x @ own[0] + own[1],
    "relu": lambda x, own, key: jax.nn.relu(x),
    "gelu": lambda x, own, key: jax.nn.gelu(x, approximate=False),
    "dropout": lambda x, own, key, p: (
        x * jax.random.bernoulli(key, 1 - p, x.shape).astype(x.dtype) / (1 - p)
    ),
    "conv": convolution,
    "maxpool": maxpool,
    "batchnorm": lambda x, own, key, c: normalized(x, (0, 1, 2)) * own[0] + own[1],
    "flatten": lambda x, own, key: x.reshape(len(x), -1),
    "lstm": lstm,
    "gru": gru,
    "last": lambda x, own, key: x[:, -1],
    "embedding": lambda x, own, key, *sizes: own[0][x],
    "transformer": transformer,
}
DECAY = {"adam": 0.0, "adamw": 0.01}
OPTIMIZERS = {"sgd", "sgd momentum", *DECAY}


def forward(workload: workloads.Workload, parameters: Any, x: Any, key: Any) -> Any:
    """The model as a function; without a key, dropout does nothing."""
    drawn = iter(parameters)
    for kind, *sizes in workload.layers:
        own = [next(drawn) for _ in workloads.SHAPES.get(kind, lambda *sizes: [])(*sizes)]
        if key is not None:
            key, part = jax.random.split(key)
            x = APPLY[kind](x, own, part, *sizes)
        elif kind != "dropout":
            x = APPLY[kind](x, own, None, *sizes)
    return x


def update(workload: workloads.Workload, w: Any, g: Any, m: Any, v: Any, k: Any) -> tuple[Any, ...]:
    """One parameter's step."""
    if workload.optimizer == "sgd":
        return w - LEARNING_RATE * g, m, v
    if workload.optimizer == "sgd momentum":
        m = MOMENTUM * m + g
        return w - LEARNING_RATE * m, m, v
    w = w * (1 - LEARNING_RATE * DECAY[workload.optimizer])
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    scaled = (m / (1 - 0.9**k)) / (jnp.sqrt(v / (1 - 0.999**k)) + 1e-8)
    return w - LEARNING_RATE * scaled, m, v


def training(workload: workloads.Workload) -> Callable[[], float]:
    """A jitted step on donated state."""
    check_kinds(workload, APPLY, OPTIMIZERS)
    x, y = map(jnp.asarray, workloads.data(workload))
    random = any(kind[0] == "dropout" for kind in workload.layers)

    def loss(parameters: Any, key: Any) -> Any:
        scores = jax.nn.log_softmax(forward(workload, parameters, x, key))
        return -jnp.take_along_axis(scores, y[..., None], axis=-1).mean()

    def step(state: Any) -> Any:
        parameters, m, v, k, key = state
        key, part = jax.random.split(key)
        value, grads = jax.value_and_grad(loss)(parameters, part if random else None)
        new = [update(workload, *each, k) for each in zip(parameters, grads, m, v, strict=True)]
        parameters, m, v = ([row[i] for row in new] for i in range(3))
        return (parameters, m, v, k + 1, key), value

    jitted = jax.jit(step, donate_argnums=0)
    parameters = [jnp.asarray(w) for w in workloads.weights(workload)]
    zeros = [[jnp.zeros_like(w) for w in parameters] for _ in range(2)]
    state = (parameters, *zeros, jnp.float32(1), jax.random.key(0))

    def run() -> float:
        nonlocal state
        state, value = jitted(state)
        return float(value)

    return run


def inference(workload: workloads.Workload) -> Callable[[], Any]:
    """The jitted forward."""
    check_kinds(workload, APPLY, OPTIMIZERS)
    parameters = [jnp.asarray(w) for w in workloads.weights(workload)]
    x = jnp.asarray(workloads.data(workload)[0])
    jitted = jax.jit(lambda parameters, x: forward(workload, parameters, x, None))
    return lambda: jitted(parameters, x).block_until_ready()
