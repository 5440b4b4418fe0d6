"""Lesson 13: regression, and why outliers ask for another loss.

    python examples/13_regression.py [--plot FILE]

A noisy sine with some targets t far off. The squared error pulls the predictions p towards them,
as its gradient 2 (p − t) grows with the distance. That of the Huber loss is p − t up to a distance
of δ, and stays at ±δ beyond. How well a curve fits is told by R² = 1 − Σ (t − p)² / Σ (t − t̄)²:
1 is perfect, 0 as good as the mean t̄ everywhere. `--plot` draws both curves; it needs matplotlib.
"""

import argparse

import numpy as np

import nnlite as nn
from nnlite.plotting.canvas import canvas, check_canvas


def fitted(loss: nn.Loss, x: np.ndarray, y: np.ndarray) -> nn.Sequential:
    """A small model, trained with this loss."""
    model = nn.Sequential(
        nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    trainer = nn.Trainer(model, loss, nn.Adam(model.parameters(), lr=5e-3))
    trainer.fit(x, y, epochs=150, verbose=False)
    return model


def main(plot: str | None = None) -> float:
    """Fit with both losses, print how far each is from the clean curve, return Huber's R²."""
    if plot:
        check_canvas(None, plot)  # before the training rather than after it
    nn.seed(0)
    x, y = nn.data.sine(n_samples=400, noise=0.1)
    x_clean, y_clean = nn.data.sine(n_samples=200, noise=0.0)
    outliers = np.random.default_rng(0).choice(len(y), 40, replace=False)
    y[outliers] += 3

    for distance in (0.1, 1.0, 3.0):
        p, t = np.array([[distance]]), np.zeros((1, 1))
        pulls = []
        for loss in (nn.MSELoss(), nn.HuberLoss(delta=0.2)):
            loss(p, t)
            pulls.append(float(loss.backward()[0, 0]))
        print(
            "a target {} away pulls with {:.1f} (squared), {:.1f} (Huber)".format(distance, *pulls)
        )

    scores, curves = {}, {}
    for loss in (nn.MSELoss(), nn.HuberLoss(delta=0.2)):
        prediction = curves[str(loss)] = fitted(loss, x, y).predict(x_clean)
        metrics = [nn.MeanAbsoluteError(), nn.R2()]
        for metric in metrics:
            metric.update(prediction, y_clean)
        error, r2 = (metric.result() for metric in metrics)
        print(f"{loss!r:22s}  mean absolute error {error:.3f}  R² {r2:.3f}")
        scores[type(loss)] = r2
    if plot:
        draw(plot, x, y, x_clean, {"clean": y_clean, **curves})
        print(f"plot written to {plot}")
    return scores[nn.HuberLoss]


def draw(
    path: str, x: np.ndarray, y: np.ndarray, x_clean: np.ndarray, curves: dict[str, np.ndarray]
) -> None:
    """The points, and each curve."""
    with canvas(None, path, (8, 4)) as axes:
        axes.plot(x, y, ".", color="gray", alpha=0.5)
        order = x_clean[:, 0].argsort()
        for name, curve in curves.items():
            axes.plot(x_clean[order], curve[order], label=name)
        axes.legend()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to draw points and curves")
    main(parser.parse_args().plot)
