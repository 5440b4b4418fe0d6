"""Lesson 15: handwritten digits, from data to confusion matrix.

    python examples/15_digits.py [--plot FILE]

`--plot` draws the curves and some digits that were taken for others; it needs matplotlib.
"""

import argparse
import time

import numpy as np

import nnlite as nn
from nnlite.plotting.canvas import check_canvas


def main(plot: str | None = None, epochs: int = 60) -> float:
    """Train on four fifths of the digits and return the accuracy on the last fifth."""
    if plot:
        check_canvas(None, plot)  # before the training rather than after it
    nn.seed(0)
    x, y = nn.data.load_digits()
    x_train, x_test, y_train, y_test = nn.data.train_test_split(x, y, test_size=0.2, stratify=y)

    model = nn.Sequential(
        nn.Linear(64, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 10),
    )
    print(nn.summary(model, 64))
    # With a tenth of each target spread over all classes the loss levels off near 0.5: even the
    # best prediction has the entropy of such a target.
    trainer = nn.Trainer(
        model,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.Adam(model.parameters(), lr=1e-3),
        metrics=[nn.Accuracy(), nn.ConfusionMatrix()],
    )
    start = time.perf_counter()
    history = trainer.fit(x_train, y_train, epochs=epochs, validation_data=(x_test, y_test))
    seconds = time.perf_counter() - start

    result = trainer.evaluate(x_test, y_test)
    print("\nconfusion matrix (rows: the digit, columns: what it was taken for)")
    print(result["confusion_matrix"].astype(int))
    print(f"\ntest accuracy {result['accuracy']:.2%} after {seconds:.1f} s of training")
    if plot:
        draw(plot, history, x_test, y_test, model.predict(x_test).argmax(axis=1))
        print(f"plot written to {plot}")
    return result["accuracy"]


def draw(path: str, history: nn.History, x: np.ndarray, y: np.ndarray, guess: np.ndarray) -> None:
    """The curves of training, and the first digits that were taken for others."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 4, figsize=(10, 5), layout="constrained")
    for axis, name in zip(axes[:, 0], ("loss", "accuracy"), strict=True):
        history.plot(axis, name=name)
    wrong = np.flatnonzero(guess != y)
    for axis in axes[:, 1:].flat:
        axis.axis("off")
    for axis, row in zip(axes[:, 1:].flat, wrong, strict=False):
        axis.imshow(x[row].reshape(8, 8), cmap="gray_r")
        axis.set_title(f"{y[row]} taken for {guess[row]}")
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to draw curves and mistakes")
    main(parser.parse_args().plot)
