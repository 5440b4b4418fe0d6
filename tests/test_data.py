"""Data: toy sets, digits, IDX files, splits, batches and preparation."""

import gzip
import math
import os
import struct
import tracemalloc

import numpy as np
import pytest

import nnlite as nn
from nnlite.data import (
    batches,
    load_digits,
    load_idx,
    one_hot,
    standardize,
    train_test_split,
)

# name: features, classes (0: regression)
TOYS = {
    "blobs": (2, 3),
    "checkerboard": (2, 2),
    "circles": (2, 2),
    "moons": (2, 2),
    "sine": (1, 0),
    "spirals": (2, 3),
    "swiss_roll": (3, 0),
    "xor": (2, 2),
}
FUNCTIONS = {
    "augment",
    "batches",
    "by_length",
    "k_fold",
    "load_digits",
    "load_idx",
    "one_hot",
    "prefetch",
    "standardize",
    "stratified_k_fold",
    "train_test_split",
}
every_toy = pytest.mark.parametrize("name", TOYS)


def toy(name, *args, **kwargs):
    return getattr(nn.data, name)(*args, **kwargs)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_every_public_name_is_covered():
    assert set(TOYS) | FUNCTIONS == set(nn.data.__all__)


# Toy sets


@every_toy
@pytest.mark.parametrize("n", [3, 50, 101])
def test_toy_shapes_and_dtypes(name, n):
    x, y = toy(name, n, rng=0)
    features, classes = TOYS[name]
    assert x.shape == (n, features)
    assert x.dtype == np.float32
    assert np.isfinite(x).all()
    assert y.shape == ((n,) if classes else (n, 1))
    assert y.dtype == (np.int64 if classes else np.float32)


@every_toy
def test_a_toy_set_repeats_with_its_seed(name):
    first = toy(name, rng=5)
    assert same(first, toy(name, rng=5))
    assert same(first, toy(name, rng=np.random.default_rng(5)))
    assert not np.array_equal(first[0], toy(name, rng=6)[0])


@every_toy
def test_the_root_seed_repeats_toy_sets_in_order(name):
    def two():
        nn.seed(11)
        return toy(name) + toy(name)

    drawn = two()
    assert not np.array_equal(drawn[0], drawn[2])
    assert same(drawn, two())


@pytest.mark.parametrize("n", [100, 101, 103])
@pytest.mark.parametrize(
    ("name", "arguments", "classes"),
    [
        *((name, {}, classes) for name, (_, classes) in TOYS.items() if classes),
        ("spirals", {"n_classes": 5}, 5),
        ("blobs", {"n_classes": 7}, 7),
        ("checkerboard", {"n_cells": 5}, 2),
    ],
)
def test_classes_are_even_and_shuffled(name, arguments, classes, n):
    _, y = toy(name, n, rng=0, **arguments)
    counts = np.bincount(y)
    assert len(counts) == classes
    assert counts.max() - counts.min() == (n % classes > 0)
    assert not np.array_equal(y, np.arange(n) % classes)
    assert not np.array_equal(y, np.sort(y))


@every_toy
def test_noise_moves_points(name):
    clean, noisy = toy(name, 200, noise=0.0, rng=0), toy(name, 200, noise=0.3, rng=0)
    assert not same(clean, noisy)
    assert np.abs(noisy[0] - clean[0]).max() < 2


def test_xor_is_the_difference_of_signs():
    x, y = nn.data.xor(200, noise=0, rng=0)
    np.testing.assert_array_equal(np.abs(x), 1)
    np.testing.assert_array_equal(x[:, 0] * x[:, 1] < 0, y == 1)
    assert len(np.unique(x, axis=0)) == 4


@pytest.mark.parametrize("factor", [0.2, 0.5, 0.9])
def test_circles_have_their_radii(factor):
    x, y = nn.data.circles(noise=0, factor=factor, rng=0)
    np.testing.assert_allclose(np.hypot(*x.T), np.where(y == 1, factor, 1), rtol=1e-6)


def test_moons_are_half_circles():
    x, y = nn.data.moons(noise=0, rng=0)
    np.testing.assert_allclose(np.hypot(*x[y == 0].T), 1, rtol=1e-6)
    np.testing.assert_allclose(np.hypot(*(x[y == 1] - [1, 0.5]).T), 1, rtol=1e-6)
    assert x[y == 0, 1].min() >= -1e-6
    assert x[y == 1, 1].max() <= 0.5 + 1e-6


def test_spirals_turn_from_arm_to_arm():
    x, y = nn.data.spirals(400, n_classes=4, noise=0, rng=0)
    radius = np.hypot(*x.T)
    assert 0.04 < radius.min() < radius.max() <= 1 + 1e-6
    turned = np.arctan2(x[:, 1], x[:, 0]) - 4 * radius - math.pi / 2 * y
    np.testing.assert_allclose(np.cos(turned), 1, atol=1e-5)


@pytest.mark.parametrize("n_features", [1, 2, 6])
def test_blobs_have_round_clouds(n_features):
    x, y = nn.data.blobs(6000, n_features=n_features, noise=0.5, rng=0)
    assert x.shape == (6000, n_features)
    for k in range(3):
        np.testing.assert_allclose(x[y == k].std(axis=0), 0.5, rtol=0.1)
        assert np.abs(x[y == k].mean(axis=0)).max() < 10.1


@pytest.mark.parametrize("n_cells", [2, 3, 4, 7])
def test_checkerboard_alternates(n_cells):
    x, y = nn.data.checkerboard(2000, n_cells=n_cells, rng=0)
    assert np.abs(x).max() <= 1
    position = (x.astype(np.float64) + 1) / 2 * n_cells
    clear = (np.abs(position - np.round(position)) > 1e-5).all(axis=1)  # not on an edge
    cell = np.floor(position).astype(int)
    np.testing.assert_array_equal((cell.sum(axis=1) % 2)[clear], y[clear])
    assert len(np.unique(cell[clear], axis=0)) == n_cells**2


def test_sine_is_a_sine():
    x, y = nn.data.sine(noise=0, rng=0)
    assert np.abs(x).max() <= 1
    np.testing.assert_allclose(y, np.sin(1.5 * np.pi * x), atol=1e-6)


def test_swiss_roll_unrolls():
    x, position = nn.data.swiss_roll(noise=0, rng=0)
    assert 0 <= position.min() < 0.05
    assert 0.95 < position.max() <= 1
    radius = 0.15 * math.pi * (1 + 2 * position[:, 0])
    np.testing.assert_allclose(np.hypot(x[:, 0], x[:, 2]), radius, rtol=1e-5)
    np.testing.assert_allclose(x[:, 0], radius * np.cos(10 * radius), atol=1e-5)


@every_toy
@pytest.mark.parametrize("n", [0, -1])
def test_toy_sets_need_samples(name, n):
    with pytest.raises(ValueError, match="n_samples must be a whole number ≥ 1"):
        toy(name, n)


@every_toy
@pytest.mark.parametrize("noise", [-0.1, math.nan, math.inf])
def test_noise_must_be_finite_and_not_negative(name, noise):
    with pytest.raises(ValueError, match=f"noise must be a number ≥ 0.*, got {noise}"):
        toy(name, noise=noise)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("blobs", {"n_samples": 2}, "one sample for each of 3 classes, got 2"),
        ("blobs", {"n_classes": 0}, "n_classes must be a whole number ≥ 1, got 0"),
        ("blobs", {"n_features": 0}, "n_features must be a whole number ≥ 1, got 0"),
        ("spirals", {"n_samples": 4, "n_classes": 5}, "one sample for each of 5 classes, got 4"),
        ("spirals", {"n_classes": -1}, "n_classes must be a whole number ≥ 1, got -1"),
        ("checkerboard", {"n_cells": 1}, "n_cells must be a whole number ≥ 2, got 1"),
        ("circles", {"factor": 0}, r"factor must be a number in \(0, 1\), got 0"),
        ("circles", {"factor": 1}, r"factor must be a number in \(0, 1\), got 1"),
        ("circles", {"factor": math.nan}, r"factor must be a number in \(0, 1\), got nan"),
        ("xor", {"n_samples": 1}, "one sample for each of 2 classes, got 1"),
        ("xor", {"rng": -1}, "an integer seed ≥ 0 or None, got -1"),
    ],
)
def test_bad_arguments_of_toy_sets(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        toy(name, **arguments)


# Digits


def test_digits_are_all_there():
    x, y = load_digits()
    assert x.shape == (1797, 64)
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (0, 1)
    np.testing.assert_array_equal(x * 16, np.round(x * 16))
    assert y.shape == (1797,)
    assert y.dtype == np.int64
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_digits_as_images():
    x, y = load_digits()
    images, labels = load_digits(flatten=False)
    assert images.shape == (1797, 8, 8, 1)
    np.testing.assert_array_equal(images.reshape(1797, 64), x)
    np.testing.assert_array_equal(labels, y)


def test_digits_look_like_digits():
    images, labels = load_digits(flatten=False)
    mean = np.stack([images[labels == k, :, :, 0].mean(axis=0) for k in range(10)])
    middle = mean[:, 3:5, 3:5].mean(axis=(1, 2))
    assert middle.argmin() == 0
    x, centres = images.reshape(-1, 1, 64), mean.reshape(10, 64)
    nearest = ((x - centres) ** 2).sum(axis=-1).argmin(axis=1)
    assert np.mean(nearest == labels) > 0.85


def test_each_call_returns_digits_of_its_own():
    load_digits()[0][:] = 7
    assert load_digits()[0].max() == 1


# IDX files

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array):
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">4B{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def written(tmp_path, data, name="file.idx"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


SMALL = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
each_packing = pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])


@each_packing
@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4), (0, 3)])
def test_idx_round_trip(tmp_path, pack, dtype, shape):
    low = 0 if dtype == "u1" else -100
    array = np.asarray(np.random.default_rng(0).integers(low, 100, shape)).astype(dtype)
    loaded = load_idx(written(tmp_path, pack(idx_bytes(array))))
    assert loaded.dtype == np.dtype(dtype)
    assert loaded.dtype.isnative
    assert loaded.flags.writeable
    assert loaded.shape == shape
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\0\0\x08\x01\0\0\0\x02\x01\xff", [1, 255]),
        (b"\0\0\x09\x01\0\0\0\x02\x01\xff", [1, -1]),
        (b"\0\0\x0b\x01\0\0\0\x02\x01\x02\xff\xfe", [258, -2]),
        (b"\0\0\x0c\x01\0\0\0\x01\x01\x02\x03\x04", [16909060]),
        (b"\0\0\x0d\x01\0\0\0\x01\x3f\xc0\0\0", [1.5]),
        (b"\0\0\x0e\x02\0\0\0\x01\0\0\0\x01\xbf\xf8\0\0\0\0\0\0", [[-1.5]]),
    ],
)
def test_idx_bytes_are_big_endian(tmp_path, data, expected):
    loaded = load_idx(written(tmp_path, data))
    assert loaded.tolist() == expected


def test_idx_larger_than_a_block(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (3, 700_001), dtype=np.uint8)
    for data in (idx_bytes(array), gzip.compress(idx_bytes(array), 1)):
        np.testing.assert_array_equal(load_idx(written(tmp_path, data)), array)


def test_idx_path_as_text_and_misleading_names(tmp_path):
    plain = written(tmp_path, idx_bytes(SMALL), "plain.gz")
    packed = written(tmp_path, gzip.compress(idx_bytes(SMALL)), "packed")
    np.testing.assert_array_equal(load_idx(str(plain)), SMALL)
    np.testing.assert_array_equal(load_idx(str(packed)), SMALL)


def refused(path, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_idx(path)
    assert str(path) in str(caught.value)


@each_packing
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\x01\0\x08\x01\0\0\0\x01a", "not an IDX file"),
        (b"\0\x01\x08\x01\0\0\0\x01a", "not an IDX file"),
        (b"\0\0\x0a\x01\0\0\0\x01a", "not an IDX file"),
        (b"\0\0\x00\x01\0\0\0\x01a", "not an IDX file"),
        (b"\x89PNG\r\n\x1a\n", "not an IDX file: it begins with b'.x89PNG'"),
        (b"\0\0\x08\x02\0\0\0\x01\0", "header of 2 axes is incomplete"),
        (b"\0\0\x08\x03", "header of 3 axes is incomplete"),
        (idx_bytes(SMALL)[:-1], r"is cut off: shape \(2, 3, 4\) of uint8 needs 24 bytes, found 23"),
        (idx_bytes(SMALL)[:16], "is cut off: .* found 0"),
        (idx_bytes(SMALL) + b"\0", "has bytes after its end: .* found more than 24"),
        (idx_bytes(np.zeros(3, "i4"))[:-4], r"shape \(3,\) of int32 needs 12 bytes, found 8"),
        (struct.pack(">4B2I", 0, 0, 8, 2, 2, 2) + b"abc", "is cut off: .* found 3"),
    ],
)
def test_damaged_idx_files(tmp_path, pack, data, message):
    refused(written(tmp_path, pack(data)), message)


@each_packing
def test_a_false_size_is_refused_before_anything_is_read(tmp_path, pack):
    """gzip makes at most 1032 bytes of one, and a plain file is as long as it is."""
    data = struct.pack(">4B2I", 0, 0, 8, 2, 2**32 - 1, 2**32 - 1) + b"abc"
    found = "3" if pack is bytes else "at most [1-9]"
    refused(written(tmp_path, pack(data)), f"is cut off: .* found {found}")


def test_what_gzip_holds_is_unfolded_into_the_array_alone(tmp_path):
    """Zeros of a thousand times the file's size, in the memory of one array."""
    zeros = np.zeros((64, 1 << 20), np.uint8)
    path = written(tmp_path, gzip.compress(idx_bytes(zeros)))
    tracemalloc.start()
    loaded = load_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded.shape == zeros.shape
    assert peak < zeros.nbytes + (4 << 20)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files here")
def test_what_is_no_regular_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(FileNotFoundError, match="is not a regular file"):
            load_idx(path)


def test_gzip_cut_off_anywhere(tmp_path):
    packed = gzip.compress(idx_bytes(SMALL))
    for size in range(2, len(packed)):
        refused(written(tmp_path, packed[:size]), "damaged or cut off")


@pytest.mark.parametrize("place", [2, 15, -8, -1])
def test_corrupt_gzip(tmp_path, place):
    packed = bytearray(gzip.compress(idx_bytes(SMALL)))
    packed[place] ^= 0xFF
    refused(written(tmp_path, bytes(packed)), "damaged or cut off")


def test_garbage_after_gzip(tmp_path):
    packed = gzip.compress(idx_bytes(SMALL)) + b"garbage"
    refused(written(tmp_path, packed), "damaged or cut off")


def test_missing_idx_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.idx"):
        load_idx(tmp_path / "nowhere.idx")


# Splits


@pytest.mark.parametrize("test_size", [0.25, 0.1, 0.9, 1, 39, np.int64(7), np.float32(0.5)])
@pytest.mark.parametrize("stratified", [False, True])
def test_a_split_is_disjoint_and_complete(test_size, stratified):
    x = np.arange(40)
    classes = np.zeros(40, int) if stratified else None
    train, test = train_test_split(x, test_size=test_size, stratify=classes)
    assert len(test) == (test_size if test_size >= 1 else round(40 * float(test_size)))
    np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), x)


def test_the_default_is_a_quarter_in_random_order():
    train, test = train_test_split(np.arange(400))
    assert len(test) == 100
    for part in (train, test):
        assert not np.array_equal(part, np.sort(part))
    assert abs(test.mean() - 199.5) < 50


@pytest.mark.parametrize("stratified", [False, True])
def test_arrays_are_split_the_same_way(stratified):
    x = np.arange(60).reshape(30, 2)
    y, z = x[:, 0] * 10, [str(row) for row in x[:, 0]]
    classes = np.arange(30) % 3 if stratified else None
    parts = train_test_split(x, y, z, stratify=classes)
    assert len(parts) == 6
    for xs, ys, zs in (parts[::2], parts[1::2]):
        np.testing.assert_array_equal(ys, xs[:, 0] * 10)
        np.testing.assert_array_equal(zs, xs[:, 0].astype(str))


@pytest.mark.parametrize("test_size", [0.2, 0.33, 0.5, 17])
@pytest.mark.parametrize("counts", [[100, 50, 10], [7, 7, 7], [33, 34, 35, 36]])
def test_stratified_parts_keep_the_proportions(test_size, counts):
    classes = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    train, test = train_test_split(classes, test_size=test_size, stratify=classes)
    share = len(test) / len(classes)
    found = np.bincount(test, minlength=len(counts))
    assert np.abs(found - share * np.array(counts)).max() < 1
    np.testing.assert_array_equal(found + np.bincount(train), counts)
    assert len(test) == (test_size if test_size > 1 else round(len(classes) * test_size))


def test_stratified_rows_are_drawn_and_shuffled():
    classes = np.repeat([0, 1], 50)
    train, test = train_test_split(np.arange(100), test_size=0.4, stratify=classes)
    for part in (train, test):
        assert not np.array_equal(classes[part], np.sort(classes[part]))
        assert not np.array_equal(np.sort(part), np.arange(len(part)))
    assert set(test[test < 50]) != set(range(20))


@pytest.mark.parametrize("labels", [[-3, 8], [0.5, 2.5], [False, True]])
def test_stratify_takes_any_numbers(labels):
    classes = np.array(labels)[np.arange(40) % 2]
    _, test = train_test_split(classes, test_size=10, stratify=classes)
    assert [(test == label).sum() for label in labels] == [5, 5]


@pytest.mark.parametrize("stratified", [False, True])
def test_a_split_repeats_with_its_seed(stratified):
    x = np.arange(50)
    classes = x % 2 if stratified else None

    def split(rng=None):
        return train_test_split(x, stratify=classes, rng=rng)

    assert same(split(3), split(3))
    assert same(split(3), split(np.random.default_rng(3)))
    assert not same(split(3), split(4))
    assert not same(split(), split())
    nn.seed(1)
    first = split()
    nn.seed(1)
    assert same(first, split())


@pytest.mark.parametrize("test_size", [0, -1, 0.0, -0.2, math.nan, math.inf, "half", None])
def test_a_size_that_is_no_positive_number_is_refused(test_size):
    with pytest.raises(ValueError, match="train_test_split: test_size must be a number > 0"):
        train_test_split(np.arange(10), test_size=test_size)


@pytest.mark.parametrize("test_size", [10, 11, 1.0, 1.5, 0.01, 0.99])
def test_a_size_that_leaves_a_part_empty_is_refused(test_size):
    with pytest.raises(ValueError, match=f"test_size={test_size} of 10 rows leaves one part empty"):
        train_test_split(np.arange(10), test_size=test_size)


@pytest.mark.parametrize(
    ("classes", "test_size", "message"),
    [
        ([0, 0, 0, 1], 2, r"at least two members each, .* 1 of class 1"),
        ([[0], [0], [1], [1]], 2, r"got shape \(4, 1\)"),
        ([0, 0, 1, 1, 2, 2], 2, "test part of 2 of 6 rows cannot hold each of the 3 classes"),
        ([0, 0, 1, 1, 2, 2], 4, "test part of 4 of 6 rows cannot hold each of the 3 classes"),
    ],
)
def test_classes_that_cannot_be_stratified(classes, test_size, message):
    with pytest.raises(ValueError, match=message):
        train_test_split(np.arange(len(classes)), test_size=test_size, stratify=np.array(classes))


@pytest.mark.parametrize("arrays", [(), ([],), ([1, 2], [1, 2, 3]), ([1], [])])
@pytest.mark.parametrize("function", [train_test_split, batches])
def test_lengths_must_agree(function, arrays):
    match = f"^{function.__name__}: expected arrays with the same number of rows, at least 1, got"
    with pytest.raises(ValueError, match=match) as caught:
        function(*map(np.array, arrays))
    assert str(caught.value).endswith(str([len(array) for array in arrays]))


@pytest.mark.parametrize(
    "stratify", [["a", "a", "b", "b"], [0, 0, 0, 1], [0, 0, 1], [0, 0, 1, 1, 1]]
)
def test_a_refused_split_draws_nothing(stratify):
    nn.seed(5)
    expected = nn.Linear(2, 2).weight.data
    nn.seed(5)
    with pytest.raises((TypeError, ValueError)):
        train_test_split(np.arange(4), test_size=1, stratify=stratify)
    np.testing.assert_array_equal(nn.Linear(2, 2).weight.data, expected)


def test_lists_are_taken_as_arrays():
    x, y = [[1, 2], [3, 4], [5, 6]], ["a", "b", "c"]
    pairs = [(tuple(a), b) for xs, ys in batches(x, y, batch_size=2, shuffle=True)
             for a, b in zip(xs, ys, strict=True)]  # fmt: skip
    assert sorted(pairs) == [((1, 2), "a"), ((3, 4), "b"), ((5, 6), "c")]
    assert [len(part) for part in train_test_split(x, y, test_size=1)] == [2, 1, 2, 1]
    with pytest.raises(ValueError, match="same number of rows"):
        list(batches(5))


def test_the_length_of_stratify_counts_too():
    with pytest.raises(ValueError, match=r"^train_test_split: stratify: expected .* got \[4, 3\]"):
        train_test_split(np.arange(4), stratify=np.array([0, 0, 1]))


# Batches


@pytest.mark.parametrize(
    ("rows", "batch_size", "drop_last", "sizes"),
    [
        (10, 4, False, [4, 4, 2]),
        (10, 4, True, [4, 4]),
        (8, 4, False, [4, 4]),
        (8, 4, True, [4, 4]),
        (3, 4, False, [3]),
        (3, 4, True, []),
        (3, 1, True, [1, 1, 1]),
        (5, np.int64(3), False, [3, 2]),
        (70, 32, False, [32, 32, 6]),
    ],
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_batch_sizes(rows, batch_size, drop_last, sizes, shuffle):
    walk = batches(np.arange(rows), batch_size=batch_size, drop_last=drop_last, shuffle=shuffle)
    assert [len(batch) for batch in walk] == sizes


def test_the_default_is_32_in_order():
    found = list(batches(np.arange(40)))
    assert len(found[0]) == 32
    np.testing.assert_array_equal(np.concatenate(found), np.arange(40))


def test_shuffling_covers_each_row_once_side_by_side():
    x, y = np.arange(50).reshape(25, 2), np.arange(25) * 2
    found = list(batches(x, y, batch_size=4, shuffle=True))
    for x_batch, y_batch in found:
        np.testing.assert_array_equal(x_batch[:, 0], y_batch)
    rows = np.concatenate([y_batch for _, y_batch in found])
    assert not np.array_equal(rows, y)
    np.testing.assert_array_equal(np.sort(rows), y)


def test_unshuffled_batches_are_views_and_shuffled_ones_are_not():
    x, y = np.zeros((10, 2)), np.zeros(10)
    for x_batch, y_batch in batches(x, y, batch_size=4):
        assert np.shares_memory(x_batch, x)
        assert np.shares_memory(y_batch, y)
    for batch in batches(x, batch_size=4, shuffle=True):
        assert not np.shares_memory(batch, x)


def test_one_array_gives_batches_and_several_give_tuples():
    x = np.arange(4)
    assert isinstance(next(batches(x)), np.ndarray)
    for count in (2, 3):
        batch = next(batches(*[x] * count))
        assert isinstance(batch, tuple)
        assert len(batch) == count


def order(rng=None):
    return np.concatenate(list(batches(np.arange(40), batch_size=7, shuffle=True, rng=rng)))


def test_shuffling_repeats_with_its_seed():
    np.testing.assert_array_equal(order(2), order(2))
    np.testing.assert_array_equal(order(2), order(np.random.default_rng(2)))
    assert not np.array_equal(order(2), order(3))
    rng = np.random.default_rng(2)
    assert not np.array_equal(order(rng), order(rng))
    nn.seed(4)
    first, second = order(), order()
    assert not np.array_equal(first, second)
    nn.seed(4)
    np.testing.assert_array_equal((first, second), (order(), order()))


@pytest.mark.parametrize("size", [0, -1, True, False, 2.0, 0.5, math.nan, "4", None, np.float32(2)])
def test_bad_batch_sizes_are_refused_at_the_call(size):
    with pytest.raises(ValueError, match="batch_size must be a whole number ≥ 1") as caught:
        batches(np.arange(4), batch_size=size)
    assert str(caught.value).endswith(f"got {size!r}")


def test_a_bad_generator_is_refused_at_the_call():
    with pytest.raises(TypeError, match="rng must be"):
        batches(np.arange(4), shuffle=True, rng="0")


# One-hot


@pytest.mark.parametrize("shape", [(1,), (6,), (4, 3), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8])
def test_one_hot_rows(shape, dtype):
    y = np.random.default_rng(0).integers(0, 5, shape).astype(dtype)
    rows = one_hot(y, 5)
    assert rows.shape == (*shape, 5)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, np.eye(5)[y])


def test_the_largest_class_sets_the_number_of_classes():
    assert one_hot(np.array([0, 3, 1])).shape == (3, 4)
    np.testing.assert_array_equal(one_hot([1, 0], 3), [[0, 1, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("y", "num_classes", "message"),
    [
        ([0, 3, 4], 3, r"y holds class 3 at \(1,\), outside 0 … 2"),
        ([0, -1], None, r"y holds class -1 at \(1,\), outside 0 … 0"),
        ([0, -1], 3, r"y holds class -1 at \(1,\), outside 0 … 2"),
        ([[0, 1], [2, 1]], 2, r"y holds class 2 at \(1, 0\), outside 0 … 1"),
        (np.zeros(0, int), 3, "y is empty"),
        (np.zeros((0, 2), int), None, "y is empty"),
    ],
)
def test_classes_outside_are_named(y, num_classes, message):
    with pytest.raises(ValueError, match=message):
        one_hot(np.array(y), num_classes)


@pytest.mark.parametrize("y", [[0.0, 1.0], [True, False], ["a"], [None]])
def test_classes_must_be_integers(y):
    with pytest.raises(TypeError, match="y must hold"):
        one_hot(np.array(y))


# Standardizing


@pytest.mark.parametrize("shape", [(50,), (50, 3), (50, 4, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8])
def test_standardized_features_have_mean_0_and_deviation_1(shape, dtype):
    scaled = standardize(np.random.default_rng(0).uniform(0, 200, shape).astype(dtype))
    assert scaled.shape == shape
    assert scaled.dtype == (np.float64 if dtype == np.float64 else np.float32)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1e-3, 1.0, 1e6])
def test_every_scale_is_standardized(scale):
    x = np.random.default_rng(0).standard_normal((40, 2))
    np.testing.assert_allclose(standardize(scale * x), standardize(x), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("value", [0, 0.1, -7.3, 1e6 + 0.1, 1e-20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", [1, 3, 1000])
def test_a_constant_feature_is_only_centred(value, dtype, rows):
    train, other = np.full((rows, 1), value, dtype), np.full((2, 1), value + 2, dtype)
    scaled, moved = standardize(train, other)
    np.testing.assert_allclose(scaled, 0, atol=1e-7 * max(1, abs(value)))
    np.testing.assert_allclose(moved, other - train[0], atol=1e-7 * max(1, abs(value)))


def test_others_are_scaled_by_the_statistics_of_train():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(3 * k, 1 + k, (20 + k, 4)) for k in range(3)]
    scaled = standardize(*arrays)
    assert isinstance(scaled, tuple)
    mean, std = arrays[0].mean(axis=0), arrays[0].std(axis=0)
    for array, result in zip(arrays, scaled, strict=True):
        np.testing.assert_allclose(result, (array - mean) / std, rtol=1e-12)
    np.testing.assert_array_equal(scaled[0], standardize(arrays[0]))


def test_each_array_keeps_its_dtype_and_the_input_stays():
    train, other = np.array([[1.0], [3.0]], np.float32), np.array([[5.0]])
    train.flags.writeable = other.flags.writeable = False
    scaled, moved = standardize(train, other)
    assert (scaled.dtype, moved.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(scaled, [[-1], [1]])
    np.testing.assert_array_equal(moved, [[3]])


def test_large_integers_are_centred_exactly():
    scaled = standardize(2**24 + np.array([[0], [1], [2], [3]]))
    np.testing.assert_allclose(scaled, standardize(np.array([[0], [1], [2], [3]])), rtol=1e-6)


def test_a_feature_that_varies_little_against_its_mean_is_scaled():
    seconds = 1.7e9 + 100 * np.array([[0.0], [1.0], [2.0]])
    np.testing.assert_allclose(standardize(seconds).std(), 1, rtol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("position", "name"), [(0, "train"), (1, "array 1"), (2, "array 2")])
def test_values_that_are_not_finite_are_named(bad, position, name):
    arrays = [np.ones((4, 2)) for _ in range(3)]
    arrays[position][2, 1] = bad
    with pytest.raises(ValueError, match=f"^{name} is not finite: row 2 contains {bad}$"):
        standardize(*arrays)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (5, 2, 1)])
def test_other_features_than_trains_are_refused(shape):
    with pytest.raises(ValueError, match="array 2 has features") as caught:
        standardize(np.ones((4, 2)), np.ones((3, 2)), np.ones(shape))
    assert str(caught.value) == f"array 2 has features {shape[1:]}, train has (2,)"


@pytest.mark.parametrize("values", [["a", "b"], [None], [1j, 2j]])
def test_what_is_not_a_number_is_refused(values):
    with pytest.raises(TypeError, match="train must hold numbers, got dtype"):
        standardize(np.array(values))
    with pytest.raises(TypeError, match="array 1 must hold numbers, got dtype"):
        standardize(np.ones(3), np.array(values))


@pytest.mark.parametrize("shape", [(0,), (0, 3)])
def test_train_must_have_rows(shape):
    with pytest.raises(ValueError, match="train is empty: expected at least one row"):
        standardize(np.ones(shape))


def test_one_number_is_no_data():
    with pytest.raises(ValueError, match=r"train must have one row for each sample, got 1\.0"):
        standardize(1.0)


class OnlyDLPack:
    """An array of another library, as its only way in shows it."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __len__(self):
        return len(self.array)

    def __getitem__(self, place):
        return OnlyDLPack(self.array[place])


class OnlyArray:
    """The same of one that has `__array__`, as JAX's."""

    def __init__(self, array):
        self.array = array
        self.shape = array.shape

    def __array__(self, dtype=None, copy=None):
        return np.array(self.array, dtype)


@pytest.mark.parametrize("kind", [OnlyDLPack, OnlyArray])
def test_arrays_of_other_libraries_are_taken(kind):
    x, y, w = np.eye(6, 3, dtype=np.float32), np.arange(6) % 2, np.arange(1.0, 7.0)

    def run(x, y, w):
        nn.seed(0)
        model = nn.Sequential(nn.Linear(3, 2))
        trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters()))
        history = trainer.fit(
            x, y, sample_weight=w, batch_size=4, validation_data=(x, y, w), verbose=False
        )
        trace = nn.trace(model, nn.CrossEntropyLoss(), x, y)
        parts = nn.data.train_test_split(x, y, rng=0)
        return history, model.predict(x).tolist(), str(trace), [part.tolist() for part in parts]

    assert run(kind(x), kind(y), kind(w)) == run(x, y, w)


def test_another_librarys_bfloat16_is_told_how_to_be_cast():
    array = OnlyDLPack(np.zeros((2, 3), np.float32))
    array.dtype = "bfloat16"
    with pytest.raises(TypeError, match=r"no bfloat16: write x\.astype\('float32'\)"):
        nn.Linear(3, 2).predict(array)
