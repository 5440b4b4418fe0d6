"""Lesson 18: the adding problem: why an LSTM learns what a simple RNN cannot.

    python examples/18_adding_problem.py [--plot FILE]

Each sequence is numbers in [0, 1] beside marks, which are 1 at two places, one early and one late;
the target is the sum of the two marked numbers. Who always answers 1 is off by 0.167 in the mean
square. To do better, the loss at the last step has to reach the first half of the sequence.
"""

import argparse

import numpy as np

import nnlite as nn
from nnlite.plotting.canvas import canvas, check_canvas


def adding(count: int, steps: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sequences (N, T, 2) of numbers and marks, and their sums (N, 1)."""
    numbers, marks = rng.random((count, steps)), np.zeros((count, steps))
    rows = np.arange(count)
    marks[rows, rng.integers(0, steps // 2, count)] = 1
    marks[rows, rng.integers(steps // 2, steps, count)] = 1
    x = np.stack([numbers, marks], axis=2)
    return x.astype(np.float32), (numbers * marks).sum(axis=1, keepdims=True).astype(np.float32)


def gradient_norms(layer: nn.Layer, grad_output: np.ndarray) -> np.ndarray:
    """|dL/dstate_t| for every t: what the backward steps, last first, hand to each other."""
    norms, backward_step = [], layer.backward_step

    def watched(t, d_states, run):
        norms.append(np.sqrt(sum(float((d * d).sum()) for d in d_states)))
        return backward_step(t, d_states, run)

    layer.backward_step = watched
    layer.backward(grad_output)
    del layer.backward_step
    return np.array(norms[::-1])


def main(plot: str | None = None, steps: int = 40, updates: int = 1000) -> float:
    """Train both and return how many times smaller the LSTM's error is."""
    if plot:
        check_canvas(None, plot)  # before the training rather than after it
    errors, norms, loss = {}, {}, nn.MSELoss()
    for cell in (nn.RNN, nn.LSTM):
        nn.seed(0)
        rng = np.random.default_rng(0)
        layer, name = cell(2, 32, return_sequences=False), cell.__name__
        model = nn.Sequential(layer, nn.Linear(32, 1))
        optimizer = nn.Adam(model.parameters(), lr=1e-2, clip_norm=1.0)
        for update in range(1, updates + 1):
            x, y = adding(64, steps, rng)
            value = loss(model.forward(x), y)
            model.backward(loss.backward())
            optimizer.step()
            optimizer.zero_grad()
            if update % (updates // 5) == 0:
                print(f"{name:4s}  update {update:5d}  loss {value:.4f}")

        x, y = adding(500, steps, rng)
        errors[name] = loss(model.forward(x), y)
        norms[name] = gradient_norms(layer, model[1].backward(loss.backward()))
        share = norms[name][0] / norms[name][-1]
        print(f"{name:4s}  error {errors[name]:.4f}; of the gradient, {share:.0e} reaches step 1\n")
    if plot:
        draw(plot, norms)
        print(f"plot written to {plot}")
    return errors["RNN"] / errors["LSTM"]


def draw(path: str, norms: dict[str, np.ndarray]) -> None:
    """How much of the loss's gradient is left at each step."""
    with canvas(None, path, (7, 4)) as axes:
        for name, values in norms.items():
            axes.semilogy(np.arange(1, len(values) + 1), values / values[-1], label=name)
        axes.set(xlabel="step t", ylabel="|dL/dstate at t|, the last step's = 1")
        axes.legend()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to draw the gradient over time")
    main(parser.parse_args().plot)
