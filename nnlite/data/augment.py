"""Image augmentations: a batch of images in, a changed batch of the same kind out.

Images are (N, H, W, C) with any dtype, and each gets a draw of its own. Nothing is changed in
place, and the dtype stays. `rng` is a generator or seed (default: see `nn.seed`); a stream hands
on the one that it is called with, so that a run repeats and resumes exactly:

    def stream(rng):
        for images, labels in nn.data.batches(x, y, batch_size=64, shuffle=True, rng=rng):
            yield augment.crop(augment.flip(images, rng=rng), 28, padding=2, rng=rng), labels

    trainer.fit(stream, epochs=10)
"""

from __future__ import annotations

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.checks import check_sizes
from nnlite.core.random import Rng, as_generator
from nnlite.core.rows import check_lengths

__all__ = ["crop", "cutout", "flip", "mixup", "noise", "shift"]


@checked
def flip(x: np.ndarray, p: float = 0.5, axis: int = 2, rng: Rng = None) -> np.ndarray:
    """Mirror each image with probability p.

    Args:
        x: images (N, H, W, C).
        p: the probability, in [0, 1] (default 0.5).
        axis: 2 swaps left and right (default), 1 top and bottom.
        rng: a generator or seed.

    Raises:
        TypeError, ValueError: for what is not a batch of images, or arguments out of range.
    """
    _check_images("flip", x)
    if axis not in (1, 2):
        raise ValueError(f"flip: axis must be 1 (top and bottom) or 2 (left and right), got {axis}")
    chosen = as_generator(rng).random(len(x)) < p
    return np.where(chosen[:, None, None, None], np.flip(x, axis), x)


@checked
def shift(x: np.ndarray, pixels: int, rng: Rng = None) -> np.ndarray:
    """Move each image by up to so many pixels along both axes; zeros come in at the edges.

    Args:
        x: images (N, H, W, C).
        pixels: the longest way, ≥ 0; every whole number from −pixels to pixels is as likely.
        rng: a generator or seed.

    Raises:
        TypeError, ValueError: for what is not a batch of images, or pixels that are negative.
    """
    _check_images("shift", x)
    return _cut(x, x.shape[1:3], pixels, as_generator(rng))


@checked
def crop(
    x: np.ndarray, size: int | tuple[int, int], padding: int = 0, rng: Rng = None
) -> np.ndarray:
    """Cut a window out of each image, anywhere.

    Args:
        x: images (N, H, W, C).
        size: of the window, (h, w) or one number for both.
        padding: zeros to add on all four sides first (default 0).
        rng: a generator or seed.

    Returns:
        Images (N, h, w, C).

    Raises:
        TypeError, ValueError: for what is not a batch of images, or a window that does not fit.
    """
    _check_images("crop", x)
    height, width = check_sizes("crop: size", size, 2)
    for wanted, there in ((height, x.shape[1]), (width, x.shape[2])):
        if wanted > there + 2 * padding:
            raise ValueError(
                f"crop: a window of ({height}, {width}) does not fit images {x.shape[1:3]} with "
                f"padding {padding}"
            )
    return _cut(x, (height, width), padding, as_generator(rng))


@checked
def noise(x: np.ndarray, std: float, rng: Rng = None) -> np.ndarray:
    """Add normal noise to every value.

    Args:
        x: floats of any shape.
        std: its standard deviation, ≥ 0.
        rng: a generator or seed.

    Raises:
        TypeError: when x does not hold floats.
        ValueError: when std is negative or not finite.
    """
    if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
        got = getattr(x, "dtype", type(x).__name__)
        raise TypeError(f"noise: expected an array of floats, got {got}")
    drawn = as_generator(rng).standard_normal(x.shape, np.float64 if x.itemsize == 8 else "f4")
    return x + (std * drawn).astype(x.dtype, copy=False)


@checked
def cutout(x: np.ndarray, size: int, rng: Rng = None) -> np.ndarray:
    """Set a square of each image to zero; its centre is any pixel, so it may stick out.

    Args:
        x: images (N, H, W, C).
        size: the side of the square in pixels, ≥ 1.
        rng: a generator or seed.

    Raises:
        TypeError, ValueError: for what is not a batch of images, or a size below 1.

    Source: DeVries & Taylor 2017.
    """
    _check_images("cutout", x)
    rng = as_generator(rng)
    inside = []  # (N, H) and (N, W): the rows and the columns of the square
    for length in x.shape[1:3]:
        start = rng.integers(0, length, (len(x), 1)) - size // 2
        place = np.arange(length)
        inside.append((start <= place) & (place < start + size))
    hole = inside[0][:, :, None] & inside[1][:, None, :]  # (N, H, W)
    return np.where(hole[..., None], x.dtype.type(0), x)


@checked
def mixup(
    x: np.ndarray, y: np.ndarray, alpha: float = 0.2, rng: Rng = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mix each sample with another one of the batch, inputs and targets alike.

    λ x + (1 − λ) x′ and λ y + (1 − λ) y′ with λ ~ Beta(α, α), drawn for each sample.

    Args:
        x: floats (N, …).
        y: floats (N, …): one-hot or soft rows of classes, or values of a regression.
        alpha: α > 0; the smaller, the closer λ is to 0 or 1 (default 0.2).
        rng: a generator or seed.

    Raises:
        TypeError: when x or y does not hold floats.
        ValueError: for different lengths, or an α that is not positive.

    Source: Zhang et al. 2018, equation 1.
    """
    x, y = check_lengths("mixup", x, y)
    for name, values in (("x", x), ("y", y)):
        if values.dtype.kind != "f":
            raise TypeError(
                f"mixup: {name} must hold floats, got dtype {values.dtype}; "
                "classes go through one_hot first"
            )
    rng = as_generator(rng)
    share, partner = rng.beta(alpha, alpha, len(x)), rng.permutation(len(x))
    return _mixed(x, share, partner), _mixed(y, share, partner)


def _mixed(values: np.ndarray, share: np.ndarray, partner: np.ndarray) -> np.ndarray:
    """The given share of each row, and the rest of its partner."""
    share = share.astype(values.dtype).reshape(-1, *[1] * (values.ndim - 1))
    return share * values + (1 - share) * values[partner]


def _cut(
    x: np.ndarray, size: tuple[int, ...], padding: int, rng: np.random.Generator
) -> np.ndarray:
    """A window of the padded images, at a place drawn for each."""
    around = (padding, padding)
    padded = np.pad(x, ((0, 0), around, around, (0, 0)))
    rows, columns = (
        rng.integers(0, there - wanted, (len(x), 1), endpoint=True) + np.arange(wanted)
        for there, wanted in zip(padded.shape[1:3], size, strict=True)
    )  # (N, h) and (N, w)
    image = np.arange(len(x))[:, None, None]
    return padded[image, rows[:, :, None], columns[:, None, :]]


def _check_images(name: str, x: np.ndarray) -> None:
    if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
        got = getattr(x, "dtype", type(x).__name__)
        raise TypeError(f"{name}: expected an array of numbers, got {got}")
    if x.ndim != 4:
        raise ValueError(f"{name}: expected images (N, H, W, C), got shape {x.shape}")
