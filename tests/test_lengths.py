"""Batches of sequences of similar length: nothing is lost, and little of them is padding."""

import numpy as np
import pytest

import nnlite as nn


def sequences(rows=230, longest=60):
    lengths = np.random.default_rng(0).geometric(0.1, rows).clip(1, longest)
    return nn.pad_sequences([np.arange(n, dtype=np.float32)[:, None] + n for n in lengths])


def one_pass(*arrays, batch_size=16, seed=0):
    return list(nn.data.by_length(*arrays, batch_size=batch_size)(np.random.default_rng(seed)))


def test_every_row_comes_once_with_what_belongs_to_it():
    x = sequences()
    number, weight = np.arange(len(x)), np.random.default_rng(1).random(len(x))
    batches = one_pass(x, number, weight)
    assert sorted(np.concatenate([y for _, y, _ in batches])) == [*number]
    for part, rows, some in batches:
        np.testing.assert_array_equal(some, weight[rows])
        np.testing.assert_array_equal(part.lengths, x.lengths[rows])
        assert part.shape[1] == part.lengths.max()
        np.testing.assert_array_equal(part.data, x.data[rows, : part.shape[1]])
    assert max(len(rows) for _, rows, _ in batches) == 16


def test_little_of_a_batch_is_padding():
    x = sequences(2000)
    parts = [part for (part,) in one_pass(x)]
    assert x.mask.mean() < 0.2
    assert x.lengths.sum() / sum(part.mask.size for part in parts) > 0.9


def test_passes_differ_and_a_seed_repeats_one():
    x = sequences()
    first, again, other = ([part.data for (part,) in one_pass(x, seed=s)] for s in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_run_learns_from_it_and_targets_of_each_step_are_cut_too():
    x = sequences()
    x = nn.Padded(x.data / 60, x.lengths)
    y = nn.Padded((x.data[..., 0] > 0.5).astype(np.int64), x.lengths)
    model = nn.Sequential(nn.GRU(1, 8), nn.Linear(8, 2))
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), nn.Adam(model.parameters(), lr=0.03), rng=0)
    stream = nn.data.by_length(x, y, batch_size=32)
    history = trainer.fit(stream, epochs=12, verbose=False)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    whole = trainer.evaluate(x, y.data)["loss"]
    assert trainer.evaluate(stream, None)["loss"] == pytest.approx(whole, rel=1e-5)


def test_what_is_refused():
    x = sequences(20)
    with pytest.raises(
        TypeError, match=r"by_length: x must be Padded sequences, got .*; nn.pad_sequences"
    ):
        nn.data.by_length(x.data)
    with pytest.raises(ValueError, match=r"^by_length: expected arrays .* got \[20, 19\]"):
        nn.data.by_length(x, np.zeros(19))
    shorter = nn.Padded(x.data, np.maximum(x.lengths - 1, 1))
    with pytest.raises(ValueError, match="Padded targets must have the lengths of x"):
        nn.data.by_length(x, np.zeros(20), shorter)
    with pytest.raises(ValueError, match="batch_size must be"):
        nn.data.by_length(x, batch_size=0)
