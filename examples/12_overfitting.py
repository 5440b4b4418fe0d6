"""Lesson 12: overfitting, and what helps: stopping, decay, dropout, noise, more data.

    python examples/12_overfitting.py [--plot FILE]

Two crescents that overlap: no boundary gets every point right, but a large net bends its boundary
around each of 60 points. The loss on these falls towards zero, and that on others rises.
`--plot` draws the boundaries; it needs matplotlib.
"""

import argparse
from typing import Any

import numpy as np

import nnlite as nn
from nnlite.plotting.canvas import check_canvas, panels

FEW = 60
CURES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "early stopping": {"callbacks": [nn.EarlyStopping(patience=20)]},
    "weight decay": {"decay": 3.0},
    "dropout": {"dropout": 0.5},
    "noise on x": {"noise": 0.3},
    "10 × the data": {"rows": 10 * FEW},
}


def train(
    data: list, epochs: int, rows: int = FEW, dropout: float = 0.0, decay: float = 0.0,
    noise: float = 0.0, callbacks: tuple = (),
) -> nn.Trainer:  # fmt: skip
    """One training, with as many steps for each cure, unless it is stopped."""
    nn.seed(0)
    x, x_val, y, y_val = data
    model = nn.Sequential(
        nn.GaussianNoise(noise), nn.Linear(2, 100), nn.ReLU(), nn.Dropout(dropout),
        nn.Linear(100, 100), nn.ReLU(), nn.Dropout(dropout), nn.Linear(100, 2),
    )  # fmt: skip
    optimizer = nn.AdamW(model.parameters(), lr=5e-3, weight_decay=decay)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=[nn.Accuracy()])
    trainer.fit(x[:rows], y[:rows], epochs=epochs, batch_size=rows,
                validation_data=(x_val, y_val), callbacks=callbacks, verbose=False)  # fmt: skip
    return trainer


def main(plot: str | None = None, epochs: int = 300) -> float:
    """Train with each cure; returns how many times smaller the best test loss is."""
    if plot:
        check_canvas(None, plot)  # before the training rather than after it
    nn.seed(0)
    x, y = nn.data.moons(n_samples=3000, noise=0.35)
    data, (x_test, y_test) = [x[:600], x[600:900], y[:600], y[600:900]], (x[900:], y[900:])
    print("                  training loss   test loss   test accuracy")
    losses, trainers = {}, {}
    for name, cure in CURES.items():
        trainer = trainers[name] = train(data, epochs, **cure)
        rows = cure.get("rows", FEW)
        seen, unseen = trainer.evaluate(x[:rows], y[:rows]), trainer.evaluate(x_test, y_test)
        losses[name] = unseen["loss"]
        print(f"{name:18s}{seen['loss']:13.3f}{unseen['loss']:12.3f}{unseen['accuracy']:16.1%}")
    print("\nAccuracy asks on which side of the boundary a point is; the loss asks how sure, too.")
    print("Early stopping looks for the lowest loss. Who goes on is right about as often, but just")
    print("as sure of its mistakes.")
    if plot:
        draw(plot, trainers, x[:FEW], y[:FEW])
        print(f"plot written to {plot}")
    return losses["nothing"] / min(losses.values())


def draw(path: str, trainers: dict[str, nn.Trainer], x: np.ndarray, y: np.ndarray) -> None:
    """What each net says of every place, and the few points."""
    with panels(None, path, len(trainers)) as axes:
        for axis, (name, trainer) in zip(axes, trainers.items(), strict=True):
            nn.plot.decision_boundary(trainer.model, x, y, ax=axis)
            axis.set(title=name, xticks=[], yticks=[])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to draw the boundaries")
    main(parser.parse_args().plot)
