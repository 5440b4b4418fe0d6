"""JAX, the whole step compiled by `jit`, its arguments donated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import workloads
from benchmarks.frameworks import LEARNING_RATE

APPLY: dict[str, Callable[..., Any]] = {
    "linear": lambda x, own, key, *sizes: x @ own[0] + own[1],
    "relu": lambda x, own, key: jax.nn.relu(x),
    "gelu": lambda x, own, key: jax.nn.gelu(x, approximate=False),
    "dropout": lambda x, own, key, p: (
        x * jax.random.bernoulli(key, 1 - p, x.shape).astype(x.dtype) / (1 - p)
    ),
}
DECAY = {"adam": 0.0, "adamw": 0.01}


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
    w = w * (1 - LEARNING_RATE * DECAY[workload.optimizer])
    m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
    scaled = (m / (1 - 0.9**k)) / (jnp.sqrt(v / (1 - 0.999**k)) + 1e-8)
    return w - LEARNING_RATE * scaled, m, v


def training(workload: workloads.Workload) -> Callable[[], float]:
    """A jitted step on donated state."""
    workloads.require(workload, APPLY)
    x, y = map(jnp.asarray, workloads.data(workload))
    random = any(kind[0] == "dropout" for kind in workload.layers)

    def loss(parameters: Any, key: Any) -> Any:
        scores = jax.nn.log_softmax(forward(workload, parameters, x, key))
        return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()

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
    workloads.require(workload, APPLY)
    parameters = [jnp.asarray(w) for w in workloads.weights(workload)]
    x = jnp.asarray(workloads.data(workload)[0])
    jitted = jax.jit(lambda parameters, x: forward(workload, parameters, x, None))
    return lambda: jitted(parameters, x).block_until_ready()
