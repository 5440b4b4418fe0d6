"""Augmentations: against loops over single images; seeded; nothing changed in place."""

import numpy as np
import pytest

import nnlite as nn
from nnlite.data import augment

ROWS = {
    "flip": lambda x, rng: augment.flip(x, rng=rng),
    "flip vertically": lambda x, rng: augment.flip(x, axis=1, rng=rng),
    "shift": lambda x, rng: augment.shift(x, 2, rng=rng),
    "crop": lambda x, rng: augment.crop(x, (3, 4), rng=rng),
    "crop padded": lambda x, rng: augment.crop(x, 5, padding=2, rng=rng),
    "noise": lambda x, rng: augment.noise(x, 0.1, rng=rng),
    "cutout": lambda x, rng: augment.cutout(x, 3, rng=rng),
    "mixup": lambda x, rng: augment.mixup(x, x[:, 0, 0], rng=rng)[0],
}
every_row = pytest.mark.parametrize("change", ROWS.values(), ids=ROWS)


def images(count=40, height=5, width=7, channels=2, dtype=np.float32):
    """No value is zero, and all differ, so that each shows where it came from."""
    x = np.arange(1, count * height * width * channels + 1).reshape(count, height, width, channels)
    x = (x / 256).astype(dtype) if np.dtype(dtype).kind == "f" else x.astype(dtype)
    x.flags.writeable = False
    return x


def test_every_augmentation_has_a_row():
    assert {name.split()[0] for name in ROWS} == set(augment.__all__)


@every_row
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtype_and_input_stay(change, dtype):
    x = images(dtype=dtype)
    y = change(x, 0)
    assert y.dtype == dtype
    assert y.ndim == 4
    assert len(y) == len(x)
    assert not np.shares_memory(x, y)
    assert not np.array_equal(x, y)


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("noise", "mixup")])
def test_bytes_stay_bytes(name):
    assert ROWS[name](images(3, dtype=np.uint8), 0).dtype == np.uint8


@every_row
def test_draws_follow_the_seed(change):
    x = images()
    first = change(x, 1)
    np.testing.assert_array_equal(first, change(x, np.random.default_rng(1)))
    assert not np.array_equal(first, change(x, 2))
    rng = np.random.default_rng(1)
    assert not np.array_equal(change(x, rng), change(x, rng))
    nn.seed(4)
    first = change(x, None)
    nn.seed(4)
    np.testing.assert_array_equal(first, change(x, None))


@every_row
def test_one_image(change):
    assert len(change(images(1), 0)) == 1


@pytest.mark.parametrize("axis", [1, 2])
def test_flip_mirrors_about_half(axis):
    x = images(400)
    y = augment.flip(x, axis=axis, rng=0)
    mirrored = 0
    for before, after in zip(x, y, strict=True):
        other = before[::-1] if axis == 1 else before[:, ::-1]
        flipped = np.array_equal(after, other)
        assert flipped or np.array_equal(after, before)
        mirrored += flipped
    assert 150 < mirrored < 250
    np.testing.assert_array_equal(augment.flip(x, 0.0), x)
    np.testing.assert_array_equal(augment.flip(x, 1.0), x[:, :, ::-1])


def windows(image, height, width, padding):
    """Every window of a padded image, by its place, one by one."""
    rows, columns, channels = image.shape
    padded = np.zeros((rows + 2 * padding, columns + 2 * padding, channels), image.dtype)
    padded[padding : padding + rows, padding : padding + columns] = image
    return {
        (top, left): padded[top : top + height, left : left + width]
        for top in range(padded.shape[0] - height + 1)
        for left in range(padded.shape[1] - width + 1)
    }


@pytest.mark.parametrize(("size", "padding"), [((3, 4), 0), (5, 2), ((5, 7), 0), ((2, 9), 1)])
def test_crops_are_windows_and_every_window_comes(size, padding):
    x = images(600)
    y = augment.crop(x, size, padding, rng=0)
    height, width = (size, size) if isinstance(size, int) else size
    assert y.shape == (600, height, width, 2)
    seen = set()
    for before, after in zip(x, y, strict=True):
        there = windows(before, height, width, padding)
        places = [place for place, window in there.items() if np.array_equal(window, after)]
        assert len(places) == 1
        seen.add(places[0])
    assert seen == set(there)


def test_shift_moves_and_fills_with_zeros():
    x = images(600)
    y = augment.shift(x, 1, rng=0)
    seen = set()
    for before, after in zip(x, y, strict=True):
        there = windows(before, 5, 7, 1)
        (place,) = [place for place, window in there.items() if np.array_equal(window, after)]
        seen.add(place)
    assert len(seen) == 9
    np.testing.assert_array_equal(augment.shift(x, 0), x)


def test_noise_has_its_deviation():
    x = np.zeros((100, 8, 8, 1), np.float32)
    y = augment.noise(x, 0.5, rng=0)
    assert y.std() == pytest.approx(0.5, rel=0.03)
    assert abs(y.mean()) < 0.02
    np.testing.assert_array_equal(augment.noise(x, 0.0), x)


@pytest.mark.parametrize("size", [1, 2, 3, 20])
def test_cutout_is_one_square(size):
    x = images(300)
    y = augment.cutout(x, size, rng=0)
    areas = set()
    for before, after in zip(x, y, strict=True):
        hole = (after == 0).all(axis=-1)
        np.testing.assert_array_equal(after[~hole], before[~hole])
        rows, columns = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        assert hole[np.ix_(rows, columns)].all()
        assert hole.sum() == len(rows) * len(columns)
        assert (np.diff(rows) == 1).all()
        assert (np.diff(columns) == 1).all()
        assert 1 <= len(rows) <= size
        assert 1 <= len(columns) <= size
        areas.add(hole.sum())
    assert max(areas) == min(size, 5) * min(size, 7)


def test_mixup_mixes_inputs_and_targets_alike():
    x = np.eye(6, dtype=np.float64)
    mixed_x, mixed_y = augment.mixup(x, x * 10, alpha=1.0, rng=0)
    np.testing.assert_allclose(mixed_x * 10, mixed_y)
    np.testing.assert_allclose(mixed_x.sum(axis=1), 1)
    assert len(np.unique(mixed_x.max(axis=1))) > 3  # a share for each sample


def test_the_smaller_alpha_the_less_is_mixed():
    x = np.eye(200, dtype=np.float32)
    largest = [augment.mixup(x, x, alpha, rng=0)[0].max(axis=1).mean() for alpha in (0.05, 1, 50)]
    assert largest == sorted(largest, reverse=True)
    assert largest[0] > 0.95
    assert largest[2] < 0.6


X = images(4)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: augment.flip(X[0]), ValueError, r"flip: expected images .* got shape \(5, 7, 2\)"),
        (lambda: augment.flip([1, 2]), TypeError, "flip: expected an array of numbers, got list"),
        (lambda: augment.flip(X.astype(str)), TypeError, "got <U"),
        (lambda: augment.flip(X, 1.5), ValueError, r"p must be a number in \[0, 1\], got 1\.5"),
        (lambda: augment.flip(X, axis=3), ValueError, "axis must be 1"),
        (lambda: augment.shift(X, -1), ValueError, "pixels must be a whole number ≥ 0, got -1"),
        (lambda: augment.crop(X, 6), ValueError, r"\(6, 6\) does not fit images \(5, 7\)"),
        (lambda: augment.crop(X, (5, 10), 1), ValueError, "does not fit .* padding 1"),
        (lambda: augment.crop(X, 0), ValueError, "size must be a whole number"),
        (lambda: augment.crop(X, 3, padding=-1), ValueError, "padding"),
        (lambda: augment.noise(X.astype(int), 1.0), TypeError, "array of floats, got int64"),
        (lambda: augment.noise(X, -1.0), ValueError, "std must be a number ≥ 0"),
        (lambda: augment.cutout(X, 0), ValueError, "size"),
        (lambda: augment.mixup(X, np.arange(4)), TypeError, "y must hold floats.*one_hot"),
        (lambda: augment.mixup(X, np.ones(3)), ValueError, r"\[4, 3\]"),
        (lambda: augment.mixup(X, np.ones(4), 0), ValueError, "alpha"),
        (lambda: augment.flip(X, rng="0"), TypeError, "rng must be"),
    ],
)
def test_bad_input(call, error, match):
    with pytest.raises(error, match=match):
        call()
