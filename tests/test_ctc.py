"""CTC against all paths, one by one; frames and labels of different numbers in a batch."""

import itertools

import numpy as np
import pytest

import nnlite as nn


def log_rows(*shape, seed=0):
    return nn.LogSoftmax()(np.random.default_rng(seed).standard_normal(shape))


def labels_of(path, blank):
    """A path without its repetitions, and then without its blanks."""
    return [k for k, _ in itertools.groupby(path) if k != blank]


def by_paths(log_p, labels, blank):
    """(−log P, the probability of each class at each frame given the target) of one row."""
    frames, classes = log_p.shape
    total, expected = 0.0, np.zeros(log_p.shape)
    for path in itertools.product(range(classes), repeat=frames):
        if labels_of(path, blank) == labels:
            p = np.exp(log_p[np.arange(frames), path].sum())
            total += p
            expected[np.arange(frames), path] += p
    return -np.log(total), expected / total


@pytest.mark.parametrize("blank", [0, 2])
@pytest.mark.parametrize("labels", [[1], [1, 1], [1, 3], [3, 1, 3], [1, 1, 1], []])
def test_all_paths(labels, blank):
    log_p = log_rows(1, 5, 4)
    loss = nn.CTCLoss(blank, reduction="none")
    value = loss(log_p, np.array([[*labels, -1]]))
    gradient = loss.backward(np.ones(1))
    expected, gamma = by_paths(log_p[0], labels, blank)
    assert value == pytest.approx([expected], rel=1e-12)
    np.testing.assert_allclose(gradient[0], -gamma, atol=1e-12)


def test_behind_log_softmax_it_is_prediction_minus_what_is_expected():
    scores = np.random.default_rng(1).standard_normal((1, 5, 3))
    log_softmax, loss = nn.LogSoftmax(), nn.CTCLoss(reduction="sum")
    log_p = log_softmax(scores)
    loss(log_p, np.array([[1, 2]]))
    _, gamma = by_paths(log_p[0], [1, 2], 0)
    gradient = log_softmax.backward(loss.backward())
    np.testing.assert_allclose(gradient[0], np.exp(log_p[0]) - gamma, atol=1e-12)


def test_a_row_alone_and_in_a_padded_batch():
    log_p, lengths = log_rows(3, 8, 4), [8, 5, 3]
    rows = [[1, 2, 3], [2], [3, 1]]
    targets = nn.pad_sequences(rows, value=-1)
    loss = nn.CTCLoss(reduction="none")
    batch = loss(nn.Padded(log_p, lengths), targets.data)
    gradient = loss.backward(np.ones(3))
    for row, (length, labels) in enumerate(zip(lengths, rows, strict=True)):
        alone = loss(log_p[row : row + 1, :length], np.array([labels]))
        assert batch[row] == pytest.approx(alone[0], rel=1e-12)
        np.testing.assert_allclose(gradient[row, :length], loss.backward(np.ones(1))[0], atol=1e-14)
        assert not gradient[row, length:].any()
    np.testing.assert_array_equal(loss(nn.Padded(log_p, lengths), targets), batch)
    unsigned = nn.pad_sequences([np.array(labels, np.uint8) for labels in rows])
    np.testing.assert_array_equal(loss(nn.Padded(log_p, lengths), unsigned), batch)
    weight = np.array([0.5, 0.0, 2.0])
    weighted = loss(nn.Padded(log_p, lengths), targets, weight)
    np.testing.assert_allclose(weighted, weight * batch)


def test_the_mean_is_that_of_losses_per_label():
    log_p, target = log_rows(2, 6, 4), np.array([[1, 2, 3], [2, -1, -1]])
    apart = nn.CTCLoss(reduction="none")(log_p, target)
    assert nn.CTCLoss()(log_p, target) == pytest.approx((apart / [3, 1]).mean())


def test_too_few_frames():
    log_p, target = log_rows(2, 3, 3), np.array([[1, 1, 1], [1, 2, -1]])
    loss = nn.CTCLoss(reduction="none")
    value = loss(log_p, target)
    assert np.isinf(value).tolist() == [True, False]
    gradient = loss.backward(np.ones(2))
    assert not gradient[0].any()
    assert gradient[1].any()
    loss = nn.CTCLoss(zero_infinity=True)
    assert loss(log_p, target) == pytest.approx(value[1] / 2 / 2)


def test_impossible_classes_and_long_sequences():
    log_p = log_rows(2, 400, 5).astype(np.float32)
    log_p[0, :, 4] = -np.inf  # a label that the row does not need
    target = np.random.default_rng(0).integers(1, 4, (2, 90))
    loss = nn.CTCLoss(reduction="sum")
    assert np.isfinite(loss(log_p, target))
    gradient = loss.backward()
    assert gradient.dtype == np.float32
    np.testing.assert_allclose(-gradient.sum(axis=-1), np.ones((2, 400)), rtol=1e-5)


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        (np.array([[1, 5]]), ValueError, "row 0 has label 5 at place 1"),
        (np.array([[1, 0]]), ValueError, "but for the blank 0"),
        (np.array([[-1, 1]]), ValueError, "row 0 has label 1 at place 1"),
        (np.array([[-2, 1]]), ValueError, "label -2"),
        (np.array([[1.0, 2.0]]), TypeError, r"astype\(np.int64\)"),
        (np.array([1, 2]), ValueError, r"labels \(N, S\), got \(1, 4, 3\) and \(2,\)"),
        (np.array([[1], [2]]), ValueError, r"\(2, 1\)"),
    ],
)
def test_labels_that_do_not_fit(target, error, words):
    with pytest.raises(error, match=words):
        nn.CTCLoss()(log_rows(1, 4, 3), target)


def test_blanks_and_weights_that_do_not_fit():
    log_p, target = log_rows(2, 4, 3), np.array([[1], [2]])
    with pytest.raises(ValueError, match="blank is class 3 of 3, counted from 0"):
        nn.CTCLoss(blank=3)(log_p, target)
    with pytest.raises(ValueError, match="same for all frames of a row"):
        nn.CTCLoss()(log_p, target, np.array([[1, 2, 0, 0], [1, 1, 1, 1]]))
    with pytest.raises(ValueError, match="same for all frames of a row"):
        nn.CTCLoss()(log_p, target, np.array([[1, 0, 1, 0], [1, 1, 1, 1]]))
    for shape in ((2, 3), (2, 5), (3, 4)):
        with pytest.raises(ValueError, match=r"leading axes of the losses \(2,\)"):
            nn.CTCLoss()(log_p, target, np.ones(shape))
    with pytest.raises(TypeError, match="sample_weight must be numeric"):
        nn.CTCLoss()(log_p, target, np.full((2, 4), "a"))


def test_training_on_padded_sequences():
    nn.seed(0)
    rng = np.random.default_rng(0)
    lengths = rng.integers(6, 11, 40)
    first = rng.integers(1, 3, 40)
    x = rng.standard_normal((40, 10, 3)).astype(np.float32) * 0.1
    x[np.arange(40), 1, first] += 2
    x[np.arange(40), 4, 3 - first] += 2
    y = np.stack([first, 3 - first], axis=1)
    model = nn.Sequential(nn.GRU(3, 8), nn.Linear(8, 3), nn.LogSoftmax())
    trainer = nn.Trainer(model, nn.CTCLoss(), nn.Adam(model.parameters(), lr=0.02))
    history = trainer.fit(nn.Padded(x, lengths), y, epochs=30, verbose=False)
    assert history["loss"][-1] < 0.1 * history["loss"][0]
    best = trainer.model.predict(nn.Padded(x, lengths)).data.argmax(axis=-1)
    found = [labels_of(path[:n], 0) for path, n in zip(best.tolist(), lengths, strict=True)]
    assert np.mean([f == list(t) for f, t in zip(found, y.tolist(), strict=True)]) > 0.9
