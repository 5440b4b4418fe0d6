"""Lesson 16: a convolution net that reads digits as images.

    python examples/16_lenet_digits.py [--plot FILE]

The dense net of lesson 15 sees 64 numbers. This one sees a picture: a small filter slides over it,
so what it learns in one place holds in all of them. `--plot` draws the filters and what they see;
it needs matplotlib.
"""

import argparse

import numpy as np

import nnlite as nn

BATCH_SIZE = 64


def main(plot: str | None = None, epochs: int = 20) -> float:
    """Train on four fifths of the digits and return the accuracy on the last fifth."""
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
    """The first layer's filters, and what each makes of one digit."""
    import matplotlib.pyplot as plt

    filters = model[0].weight.data  # (3, 3, 1, 16)
    maps = model[:2].predict(image[None])[0]  # (8, 8, 16), after the ReLU
    figure, axes = plt.subplots(4, 9, figsize=(10, 5), layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    axes[0, 0].imshow(image[..., 0], cmap="gray_r")
    axes[0, 0].set_title("digit")
    largest = np.abs(filters).max()
    for k in range(16):
        row, column = 2 * (k // 8), 1 + k % 8
        axes[row, column].imshow(filters[..., 0, k], cmap="RdBu", vmin=-largest, vmax=largest)
        axes[row, column].set_title(f"filter {k}")
        axes[row + 1, column].imshow(maps[..., k], cmap="gray_r")
    figure.savefig(path)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", metavar="FILE", help="where to draw filters and feature maps")
    main(parser.parse_args().plot)
