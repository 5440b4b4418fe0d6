"""Where draws begin: every kind of `rng=`, and scopes with a seed of their own."""

import threading

import numpy as np
import pytest

import nnlite as nn
from nnlite.core.random import as_generator
from nnlite.ops.dropout import random_bits

KINDS = {
    "int": lambda: 7,
    "numpy int": lambda: np.int64(7),
    "SeedSequence": lambda: np.random.SeedSequence(7),
    "spawned SeedSequence": lambda: np.random.SeedSequence(7).spawn(2)[1],
    "Generator": lambda: np.random.default_rng(7),
    "BitGenerator": lambda: np.random.Philox(7),
    "RandomState": lambda: np.random.RandomState(7),
}
SHARED = ("Generator", "BitGenerator", "RandomState")  # draws move them on
every_kind = pytest.mark.parametrize("kind", KINDS)


def weights(rng=None):
    return nn.Linear(3, 4, rng=rng).weight.data


@every_kind
def test_each_kind_repeats(kind):
    np.testing.assert_array_equal(weights(KINDS[kind]()), weights(KINDS[kind]()))
    rng = KINDS[kind]()
    assert np.array_equal(weights(rng), weights(rng)) == (kind not in SHARED)


@every_kind
def test_each_kind_gives_a_generator_that_spawns(kind):
    layer = nn.LSTM(2, 3, num_layers=2, dropout=0.5, rng=KINDS[kind]())
    again = nn.LSTM(2, 3, num_layers=2, dropout=0.5, rng=KINDS[kind]())
    assert layer.drops[0].rng.random() == again.drops[0].rng.random()


def test_a_generator_is_used_as_it_is_and_seeds_as_numpy_does():
    rng = np.random.default_rng(7)
    assert as_generator(rng) is rng
    for seed in (7, np.random.SeedSequence(7)):
        assert as_generator(seed).random() == np.random.default_rng(seed).random()


@pytest.mark.parametrize(
    ("rng", "error", "words"),
    [
        ("7", TypeError, "rng must be a numpy Generator, .* got '7'"),
        (True, TypeError, "got True"),
        (1.5, TypeError, "got 1.5"),
        (-1, ValueError, "rng must be a numpy Generator, .*an integer seed ≥ 0 or None, got -1"),
    ],
)
def test_what_is_no_seed(rng, error, words):
    with pytest.raises(error, match=words):
        as_generator(rng)
    with pytest.raises(error, match=words), nn.random.scope(rng):
        pass


@every_kind
def test_a_scope_repeats_and_leaves_the_root_alone(kind):
    drawn = []
    for _ in range(2):
        nn.seed(1)
        with nn.random.scope(KINDS[kind]()):
            drawn.append([weights(), weights()])
        drawn[-1].append(weights())
    np.testing.assert_array_equal(drawn[0], drawn[1])
    nn.seed(1)
    np.testing.assert_array_equal(drawn[0][2], weights())
    assert not np.array_equal(drawn[0][0], drawn[0][1])


def test_a_scope_is_a_seed_for_a_block():
    nn.seed(7)
    seeded = weights()
    nn.seed(1)
    with nn.random.scope(7):
        np.testing.assert_array_equal(weights(), seeded)


def test_scopes_nest_and_end_with_an_error():
    nn.seed(1)
    outside = [weights(), weights()]
    with nn.random.scope(2):
        twice = [weights(), weights()]
    nn.seed(1)
    np.testing.assert_array_equal(weights(), outside[0])
    with nn.random.scope(2):
        np.testing.assert_array_equal(weights(), twice[0])
        with pytest.raises(ZeroDivisionError), nn.random.scope(3):
            raise ZeroDivisionError
        np.testing.assert_array_equal(weights(), twice[1])
    np.testing.assert_array_equal(weights(), outside[1])


def test_a_scope_belongs_to_its_thread():
    nn.seed(1)
    expected, drawn = weights(), []
    nn.seed(1)
    with nn.random.scope(2):
        thread = threading.Thread(target=lambda: drawn.append(weights()))
        thread.start()
        thread.join()
    np.testing.assert_array_equal(drawn[0], expected)


def test_scopes_of_generators_end_in_any_order():
    def hold(seed):
        with nn.random.scope(seed):
            yield

    nn.seed(1)
    expected = weights()
    nn.seed(1)
    first, second = hold(2), hold(3)
    next(first)
    next(second)
    first.close()
    second.close()
    np.testing.assert_array_equal(weights(), expected)


@pytest.mark.parametrize("kind", ["PCG64", "PCG64DXSM", "SFC64", "Philox", "MT19937"])
@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("shape", [(4, 33), (7, 9), (0, 4), (2, 3, 50)])
def test_bits_of_masks_are_those_of_integers(shape, before, kind):
    """The same numbers, and the same ones after them, however they are drawn."""
    ours, theirs = (np.random.Generator(getattr(np.random, kind)(3)) for _ in range(2))
    for rng in (ours, theirs):
        rng.integers(0, 1 << 32, before, np.uint32)  # an odd number leaves half of one over
    np.testing.assert_array_equal(
        random_bits(shape, ours), theirs.integers(0, 1 << 16, shape, np.uint16)
    )
    for draw in (lambda rng: rng.integers(0, 1 << 32, 3, np.uint32), lambda rng: rng.random(3)):
        np.testing.assert_array_equal(draw(ours), draw(theirs))
