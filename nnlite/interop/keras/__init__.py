"""Weights from Keras: from a model, a `.keras` file, or a `.weights.h5` file.

    nn.interop.load_keras(model, "net.keras")

A file needs h5py (`pip install "nnlite[keras]"`); nothing of a file is ever run, and Keras itself
is not imported.
"""

from nnlite.interop.keras.loading import load_keras

__all__ = ["load_keras"]
