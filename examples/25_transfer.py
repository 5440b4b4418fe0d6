"""Lesson 25: transfer learning: load, freeze, replace the head, train.

A net that somebody else has trained to read digits learns what is odd, from twenty images. Where
PyTorch is installed it comes in a file of PyTorch's: pip install "nnlite[torch]".
"""

from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import nnlite as nn


def net() -> nn.Sequential:
    """Strokes, what they form, and a head that tells ten digits apart."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 4 * 32, 128),
        nn.ReLU(),
        nn.Linear(128, 10),
    )


def train(model: nn.Layer, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """All that is not frozen learns."""
    optimizer = nn.Adam(model.parameters(), lr=0.003)
    nn.Trainer(model, nn.CrossEntropyLoss(), optimizer).fit(x, y, epochs=epochs, verbose=False)


def somebody_elses(folder: str, x: np.ndarray, y: np.ndarray) -> nn.Sequential:
    """A net that was trained on many images, and came in a file."""
    model = net()
    train(model, x, y, epochs=12)
    if not find_spec("torch"):
        print('without PyTorch (pip install "nnlite[torch]"), in a file of nnlite\n')
        nn.save_model(model, Path(folder, "net.npz"))
        return nn.load_model(Path(folder, "net.npz"))
    import torch

    torch.save(nn.interop.to_torch(model).state_dict(), Path(folder, "net.pt"))
    model = net()  # the same layers, with other weights
    print(nn.interop.load_torch(model, Path(folder, "net.pt")), end="\n\n")
    return model


def main() -> float:
    """Learn from 20 images with and without what was known, and return what that is worth."""
    nn.seed(0)
    x, y = nn.data.load_digits()
    x = x.reshape(-1, 8, 8, 1)
    with TemporaryDirectory() as folder:
        known = somebody_elses(folder, x[:1000], y[:1000])
    odd = y % 2
    few, others = slice(1000, 1020), slice(1020, None)

    known.freeze()  # what it knows of strokes and digits stays
    transferred = nn.Sequential(*known[:-1], nn.Linear(128, 2))  # the head is new
    print(nn.summary(transferred, (8, 8, 1)), end="\n\n")
    beginner = nn.Sequential(*net()[:-1], nn.Linear(128, 2))
    shares = {}
    for name, model in {"transferred": transferred, "from scratch": beginner}.items():
        train(model, x[few], odd[few], epochs=200)
        shares[name] = float((model.predict(x[others]).argmax(axis=-1) == odd[others]).mean())
        print(f"{name:12s} {shares[name]:.1%} right of {len(x[others])} images it has not seen")
    return shares["transferred"] - shares["from scratch"]


if __name__ == "__main__":
    main()
