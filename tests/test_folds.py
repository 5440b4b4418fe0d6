"""Cross-validation: disjoint, complete, even folds."""

import numpy as np
import pytest

import nnlite as nn
from nnlite.data import k_fold, stratified_k_fold


def assert_folds(folds, rows, count):
    assert len(folds) == count
    for train, test in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(rows))
        for part in (train, test):
            assert (np.diff(part) > 0).all()
    np.testing.assert_array_equal(
        np.sort(np.concatenate([test for _, test in folds])), np.arange(rows)
    )
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("rows", "count"), [(10, 5), (11, 3), (7, 7), (2, 2), (103, 10)])
def test_every_row_is_tested_once(rows, count, shuffle):
    folds = k_fold(rows, count, shuffle=shuffle)
    assert_folds(folds, rows, count)
    stretches = all((np.diff(test) == 1).all() for _, test in folds)
    assert stretches or shuffle
    if rows > 50:
        assert stretches is not shuffle


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("sizes", [[50, 10, 5], [7, 7, 7], [5, 6, 7, 8]])
def test_stratified_folds_keep_the_proportions(count, sizes):
    classes = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    folds = stratified_k_fold(classes, count)
    assert_folds(folds, len(classes), count)
    counts = np.array([np.bincount(classes[test], minlength=len(sizes)) for _, test in folds])
    assert (np.ptp(counts, axis=0) <= 1).all()


def test_folds_follow_the_seed():
    def tests(function, *args, rng=None):
        return [test.tolist() for _, test in function(*args, rng=rng)]

    for function, of in ((k_fold, 40), (stratified_k_fold, np.arange(40) % 2)):
        assert tests(function, of, rng=1) == tests(function, of, rng=np.random.default_rng(1))
        assert tests(function, of, rng=1) != tests(function, of, rng=2)
        assert tests(function, of) != tests(function, of)
        nn.seed(5)
        first = tests(function, of)
        nn.seed(5)
        assert tests(function, of) == first


@pytest.mark.parametrize(
    ("function", "arguments", "error", "match"),
    [
        (k_fold, (10, 1), ValueError, "folds must be a whole number ≥ 2, got 1"),
        (k_fold, (3, 5), ValueError, "5 folds need as many rows, got 3"),
        (k_fold, (10, 2.5), ValueError, r"got 2\.5"),
        (k_fold, (np.arange(10), 2), ValueError, "rows must be a whole number"),
        (stratified_k_fold, ([0, 1, 0, 1], 1), ValueError, "≥ 2, got 1"),
        (stratified_k_fold, ([0, 1, 0, 0], 2), ValueError, "class 1 has 1 members, fewer than"),
        (stratified_k_fold, ([[0], [1]], 2), ValueError, r"\(N,\), got shape \(2, 1\)"),
        (stratified_k_fold, (["a", "b"], 2), TypeError, "must hold numbers"),
        (stratified_k_fold, ([], 2), ValueError, "empty"),
    ],
)
def test_bad_arguments(function, arguments, error, match):
    with pytest.raises(error, match=match):
        function(*arguments)


def test_a_cross_validation():
    x, y = nn.data.blobs(120, noise=0.5, rng=0)
    blueprint = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 3))
    scores = []
    for train, test in stratified_k_fold(y, 3):
        model = nn.clone(blueprint)
        optimizer = nn.Adam(model.parameters(), lr=0.05)
        trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, [nn.Accuracy()])
        trainer.fit(x[train], y[train], epochs=15, verbose=False)
        scores.append(trainer.evaluate(x[test], y[test])["accuracy"])
    assert min(scores) > 0.9
