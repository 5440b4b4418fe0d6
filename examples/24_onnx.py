"""Lesson 24: a model leaves nnlite as an ONNX file, comes back, and learns on.

Other runtimes compute with the file (in phones, browsers, servers), and what other frameworks
export is read the same way. Needs the onnx package: pip install "nnlite[onnx]".
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

import nnlite as nn


def main(epochs: int = 5) -> float:
    """Train, write, read, train on; returns the accuracy at the end."""
    nn.seed(0)
    x, y = nn.data.load_digits()
    x = x.reshape(-1, 8, 8, 1)
    x_train, x_test, y_train, y_test = nn.data.train_test_split(x, y, test_size=0.2, stratify=y)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Residual(nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.SiLU())),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 10),
    )
    fit(model, x_train, y_train, epochs)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.onnx"
        nn.interop.save_onnx(model, path, (8, 8, 1))
        again = nn.interop.load_onnx(path)
    print(again)
    difference = abs(again.predict(x_test) - model.predict(x_test)).max()
    print(f"largest difference after the way there and back: {difference:.1e}")

    fit(again, x_train, y_train, epochs)
    accuracy = float((again.predict(x_test).argmax(axis=1) == y_test).mean())
    print(f"accuracy after training on: {accuracy:.3f}")
    return accuracy


def fit(model: nn.Layer, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """A few epochs of Adam."""
    optimizer = nn.Adam(model.parameters(), lr=5e-3)
    nn.Trainer(model, nn.CrossEntropyLoss(), optimizer).fit(x, y, epochs=epochs)


if __name__ == "__main__":
    main()
