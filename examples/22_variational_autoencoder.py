"""Lesson 22: a variational autoencoder, which draws digits that nobody has written.

    python examples/22_variational_autoencoder.py

An encoder turns an image into a distribution over codes of 8 numbers, N(μ, σ²). `GaussianSample`
draws a code from it and adds to the loss what such distributions may cost: their KL divergence
from N(0, 1). A decoder turns the code back. So nearby codes mean similar images, and codes drawn
from N(0, 1) mean new ones. The trainer shows the divergence in a column of its own.
"""

import numpy as np

import nnlite as nn

PIXELS, CODE = 64, 8


def main(epochs: int = 30) -> float:
    """Train, draw, and return how many nats a digit costs less than with the mean image."""
    nn.seed(0)
    x, _ = nn.data.load_digits()
    x = x / x.max()  # (N, 64), from 0 to 1
    x_train, x_test = nn.data.train_test_split(x, test_size=0.2)

    encoder = nn.Sequential(nn.Linear(PIXELS, 64), nn.ReLU(), nn.Linear(64, 2 * CODE))
    decoder = nn.Sequential(nn.Linear(CODE, 64), nn.ReLU(), nn.Linear(64, PIXELS))
    # the loss is a mean over pixels, so the divergence is divided by their number, too
    model = nn.Sequential(encoder, nn.GaussianSample(beta=1 / PIXELS), decoder)
    loss = nn.BCEWithLogitsLoss()
    print(nn.check_gradients(model, x_test[:3], loss, x_test[:3]), end="\n\n")

    trainer = nn.Trainer(model, loss, nn.Adam(model.parameters(), lr=0.005))
    history = trainer.fit(x_train, x_train, epochs, validation_data=(x_test, x_test), verbose=False)
    print(history, end="\n\n")

    mean = x_train.mean(axis=0).clip(1e-6, 1 - 1e-6)
    blind = PIXELS * nn.BCELoss()(np.tile(mean, (len(x_train), 1)), x_train)
    bound = PIXELS * history["loss"][-1]  # not val_loss, which takes codes at their means
    print(f"nats per digit: {bound:.2f}, and {blind:.2f} for the mean image without a code")

    to_pixels = nn.Sigmoid()
    print("\ndigits of the test set, and what came back through the code:")
    show(x_test[:8])
    show(to_pixels(model.predict(x_test[:8])))
    print("drawn:")
    codes = np.random.default_rng(0).standard_normal((8, CODE))
    show(to_pixels(decoder.predict(codes)))
    return blind - bound


def show(images: np.ndarray) -> None:
    """Images (N, 64) side by side, darker characters for larger values."""
    shades = np.array(list(" .:-=+*#%@"))
    for row in shades[(images * 9.99).astype(int)].reshape(-1, 8, 8).transpose(1, 0, 2):
        print("   ".join("".join(image) for image in row))
    print()


if __name__ == "__main__":
    main()
