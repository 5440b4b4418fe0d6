"""Lesson 10: vanishing and exploding gradients, by activation and first weights.

    python examples/10_vanishing_gradients.py [--plot FILE]

A gradient on its way down is multiplied by Wᵀ and f′ in every layer. So it keeps its size only
where both together neither shrink nor grow it, and that is what Glorot's and He's first weights
are made for. `--plot` draws the gradient over the layers; it needs matplotlib.
"""

import argparse

import numpy as np

import nnlite as nn
from nnlite.plotting.canvas import check_canvas

DEPTH, WIDTH, BATCH = 20, 64, 256
ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "ReLU": nn.ReLU}
FIRST_WEIGHTS = {
    "N(0, 0.05²)": nn.initializers.Normal(std=0.05),
    "N(0, 0.3²)": nn.initializers.Normal(std=0.3),
    "Glorot": nn.initializers.Glorot(),  # variance 2 / (in + out)
    "He": nn.initializers.He(),  # variance 2 / in: a ReLU cuts half of it away
}


def gradients(activation: type[nn.Layer], weights: nn.initializers.Initializer) -> list[float]:
    """|dL/dx| at the input of every linear layer, first to last, before any training."""
    nn.seed(0)
    layers = []
    for _ in range(DEPTH):
        layers += [nn.Linear(WIDTH, WIDTH, weight_init=weights), activation()]
    layers.append(nn.Linear(WIDTH, 2))
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, WIDTH)).astype(np.float32)
    for layer in layers:
        x = layer.forward(x)
    loss = nn.CrossEntropyLoss()
    loss(x, rng.integers(0, 2, BATCH))
    grad, norms = loss.backward(), []
    for layer in reversed(layers):
        grad = layer.backward(grad)
        if isinstance(layer, nn.Linear):
            norms.append(float(np.linalg.norm(grad.astype(float))))
    return norms[::-1]


def main(plot: str | None = None) -> float:
    """Print and compare all pairs; returns how evenly He's weights carry it through ReLUs."""
    if plot:
        check_canvas(None, plot)  # before all else
    print(f"|dL/dx| below and above {DEPTH} layers; a block is a factor of 10 between them\n")
    found = {}
    for name, activation in ACTIVATIONS.items():
        for first, weights in FIRST_WEIGHTS.items():
            norms = found[name, first] = gradients(activation, weights)
            tens = np.log10(norms[0] / norms[-1])
            verdict = "vanishes" if tens < -2 else "explodes" if tens > 2 else "arrives"
            bar = "█" * round(abs(tens))
            print(f"{name:8s}{first:12s}{norms[0]:9.1e}{norms[-1]:9.1e}  {verdict:9s}{bar}")
        print()
    print("Sigmoids lose it with any of these: their slope is ¼ at most. Where no first weights")
    print("help, other activations, normalization (lesson 11) or Residual (lesson 17) do.")
    if plot:
        draw(plot, found)
        print(f"plot written to {plot}")
    return found["ReLU", "He"][0] / found["ReLU", "He"][-1]


def draw(path: str, found: dict[tuple[str, str], list[float]]) -> None:
    """The gradient over the layers, one picture for each activation."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 4), sharey=True, layout="constrained")
    for axis, name in zip(axes, ACTIVATIONS, strict=True):
        for first in FIRST_WEIGHTS:
            axis.semilogy(range(1, DEPTH + 2), found[name, first], ".-", label=first)
        axis.set(title=name, xlabel="layer")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("|dL/dx|")
    axes[0].legend()
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to draw the gradients")
    main(parser.parse_args().plot)
