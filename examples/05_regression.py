"""Lesson 5: regression, and why outliers ask for another loss.

A noisy sine with some targets far off. The squared error is pulled towards them; the Huber loss,
whose gradient is bounded, is not.
"""

import numpy as np

import nnlite as nn


def fitted(loss: nn.Loss, x: np.ndarray, y: np.ndarray) -> nn.Sequential:
    """A small model, trained with this loss."""
    model = nn.Sequential(
        nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)
    )
    trainer = nn.Trainer(model, loss, nn.Adam(model.parameters(), lr=5e-3))
    trainer.fit(x, y, epochs=150, verbose=False)
    return model


def main() -> float:
    """Fit with both losses, print how far each is from the clean curve, return Huber's R²."""
    nn.seed(0)
    x, y = nn.data.sine(n_samples=400, noise=0.1)
    x_clean, y_clean = nn.data.sine(n_samples=200, noise=0.0)
    outliers = np.random.default_rng(0).choice(len(y), 40, replace=False)
    y[outliers] += 3

    scores = {}
    for loss in (nn.MSELoss(), nn.HuberLoss(delta=0.2)):
        prediction = fitted(loss, x, y).predict(x_clean)
        metrics = [nn.MeanAbsoluteError(), nn.R2()]
        for metric in metrics:
            metric.update(prediction, y_clean)
        error, r2 = (metric.result() for metric in metrics)
        print(f"{loss!r:22s}  mean absolute error {error:.3f}  R² {r2:.3f}")
        scores[type(loss)] = r2
    return scores[nn.HuberLoss]


if __name__ == "__main__":
    main()
