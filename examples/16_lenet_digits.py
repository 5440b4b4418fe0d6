"""Lesson 16: a convolution net that reads digits as images.

    python examples/16_lenet_digits.py [--plot FILE]

The dense net of lesson 15 sees 64 numbers. This one sees a picture: a small filter slides over it,
so what it learns in one place holds in all of them. `--plot` draws the filters and what they see;
it needs matplotlib.
"""

import argparse

import numpy as np

import nnlite as nn
from nnlite.plotting.canvas import check_canvas

BATCH_SIZE = 64


def main(plot: str | None = None, epochs: int = 20) -> float:
    """Train on four fifths of the digits and return the accuracy on the last fifth."""
    if plot:
        check_canvas(None, plot)  # before the training rather than after it
    nn.seed(0)
    x, y = nn.data.load_digits()
    x = x.reshape(-1, 8, 8, 1)  # (N, H, W, C): images, channels last
    x_train, x_test, y_train, y_test = nn.data.train_test_split(x, y, test_size=0.2, stratify=y)

    model = nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),  # (N, 8, 8, 16)
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),  # (N, 8, 8, 32)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (N, 4, 4, 32)
        nn.ChannelDropout(0.1),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(4 * 4 * 32, 128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 10),
    )
    print(nn.summary(model, (8, 8, 1), BATCH_SIZE))
    steps = epochs * -(-len(x_train) // BATCH_SIZE)
    trainer = nn.Trainer(
        model,
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.Adam(model.parameters(), lr=lambda k: 2e-3 * (1 - k / steps)),  # down to 0
        metrics=[nn.Accuracy()],
    )
    trainer.fit(x_train, y_train, epochs, BATCH_SIZE, validation_data=(x_test, y_test))

    accuracy = trainer.evaluate(x_test, y_test)["accuracy"]
    print(f"\ntest accuracy {accuracy:.2%}")
    if plot:
        draw(plot, model, x_test[0])
        print(f"plot written to {plot}")
    return accuracy


def draw(path: str, model: nn.Sequential, image: np.ndarray) -> None:
    """The first layer's filters, and what the first layers make of one digit."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 4), width_ratios=(1, 2), layout="constrained"
    )
    nn.plot.filters(model, left)
    nn.plot.feature_maps(model, image, right, layers=list(model)[:5])
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to draw filters and feature maps")
    main(parser.parse_args().plot)
