"""Lesson 17: a residual net, built from blocks that are layers themselves.

    python examples/17_residual_net.py [--plot FILE]

A block computes f(x) + x: it only learns what to change about x, and the gradient has a way around
it. `Residual` and `Sequential` are layers like any other, so a block is a function that returns
one, and blocks nest. `--plot` draws what leaves each block; it needs matplotlib.
"""

import argparse

import nnlite as nn
from nnlite.plotting.canvas import check_canvas

BATCH_SIZE = 64


def convolution(channels_in: int, channels: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution and its batch normalization, whose shift stands in for the bias."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(channels),
    )


def block(channels_in: int, channels: int, stride: int = 1) -> nn.Sequential:
    """ReLU(f(x) + s(x)); s is the identity where the shapes agree, and a 1×1 convolution else."""
    branch = nn.Sequential(
        convolution(channels_in, channels, stride=stride),
        nn.ReLU(),
        convolution(channels, channels),
    )
    same = channels_in == channels and stride == 1
    shortcut = None if same else convolution(channels_in, channels, size=1, stride=stride)
    return nn.Sequential(nn.Residual(branch, shortcut), nn.ReLU())


def main(plot: str | None = None, epochs: int = 8) -> float:
    """Train on four fifths of the digits and return the accuracy on the last fifth."""
    if plot:
        check_canvas(None, plot)  # before the training rather than after it
    nn.seed(0)
    x, y = nn.data.load_digits()
    x = x.reshape(-1, 8, 8, 1)
    x_train, x_test, y_train, y_test = nn.data.train_test_split(x, y, test_size=0.2, stratify=y)

    model = nn.Sequential(
        nn.Sequential(convolution(1, 16), nn.ReLU()),  # (N, 8, 8, 16)
        block(16, 16),  # (N, 8, 8, 16)
        block(16, 32, stride=2),  # (N, 4, 4, 32)
        block(32, 32),  # (N, 4, 4, 32)
        nn.GlobalAvgPool2d(),  # (N, 32)
        nn.Linear(32, 10),
    )
    print(nn.summary(model, (8, 8, 1), BATCH_SIZE))
    steps = epochs * -(-len(x_train) // BATCH_SIZE)
    rate = nn.PolynomialSchedule(0.1, steps)  # straight down to 0
    optimizer = nn.SGD(model.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=[nn.Accuracy()])
    trainer.fit(x_train, y_train, epochs, BATCH_SIZE, validation_data=(x_test, y_test))

    accuracy = trainer.evaluate(x_test, y_test)["accuracy"]
    print(f"\ntest accuracy {accuracy:.2%}")
    if plot:
        nn.plot.feature_maps(model, x_test[0], path=plot, layers=list(model)[:4])
        print(f"plot written to {plot}")
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to draw the feature maps")
    main(parser.parse_args().plot)
