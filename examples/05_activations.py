"""Lesson 5: activations and their slopes: what each does to a gradient that passes.

    python examples/05_activations.py [--plot FILE]

Step 2 of the loop multiplies the gradient by f′(x). So it is the slope that decides how much of a
gradient reaches the layers below. `--plot` draws f and f′; it needs matplotlib. For all
activations with their formulas: nn.formula_sheet("formulas.html").
"""

import argparse

import numpy as np

import nnlite as nn
from nnlite.plotting.canvas import check_canvas, panels

NAMES = ("Sigmoid", "Tanh", "Softsign", "ReLU", "LeakyReLU", "ELU", "Softplus", "GELU", "SiLU")
ACTIVATIONS = {name: getattr(nn, name)() for name in NAMES}
LAYERS = 10


def slopes(activation: nn.Layer, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """f and f′ at x: a backward with G = 1 is the slope itself."""
    y = activation.forward(x)
    return y, activation.backward(np.ones_like(y))


def main(plot: str | None = None) -> float:
    """Print the slopes, and what is left of a gradient; returns how much more ReLU leaves."""
    if plot:
        check_canvas(None, plot)  # before all else
    x = np.array([-4.0, -2.0, 0.0, 2.0, 4.0])
    print("f′(x) at x =" + "".join(f"{each:>8g}" for each in x) + "   largest f′")
    line = np.linspace(-6, 6, 2401)
    for name, activation in ACTIVATIONS.items():
        values = "".join(f"{slope:8.3f}" for slope in slopes(activation, x)[1])
        print(f"{name:12s}{values}   {slopes(activation, line)[1].max():.2f}")

    print(f"\nthe share of a gradient that is left after {LAYERS} of them, x drawn from N(0, 1):")
    print("the root of the mean square, as most of it may come from few x")
    left, drawn = {}, np.random.default_rng(0).standard_normal((10_000, LAYERS))
    for name, activation in ACTIVATIONS.items():
        share = slopes(activation, drawn)[1].prod(axis=1)  # of each way through the layers
        left[name] = float(np.sqrt(np.mean(share**2)))
        bar = "█" * round(10 + np.log10(left[name]))  # a block less is a tenth of it
        print(f"{name:12s}{left[name]:8.1e}  {bar:10s}  exactly 0 on {np.mean(share == 0):5.1%}")
    print(
        "\nA sigmoid leaves at most ¼ in each layer. A ReLU leaves all or nothing: its slopes are 1"
    )
    print("and 0. What the weights between the layers add to that is lesson 10.")
    if plot:
        draw(plot)
        print(f"plot written to {plot}")
    return left["ReLU"] / left["Sigmoid"]


def draw(path: str) -> None:
    """Each activation with its slope."""
    with panels(None, path, len(ACTIVATIONS)) as axes:
        for axis, activation in zip(axes, ACTIVATIONS.values(), strict=True):
            nn.plot.activation(activation, ax=axis)
            axis.set(ylim=(-1.3, 2.3))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to draw f and f′")
    main(parser.parse_args().plot)
