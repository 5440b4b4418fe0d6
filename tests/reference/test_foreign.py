"""Data of pandas, scipy and PyTorch is taken where it is whole, and refused by name where not."""

import numpy as np
import pytest

import nnlite as nn

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
Y = np.array([0, 1, 2, 0, 1, 2])
YES = X[:, 0] > 0


def trainer(features):
    model = nn.Sequential(nn.Linear(features, 4), nn.Tanh(), nn.Linear(4, 3))
    return nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters()))


def frame(**columns):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abc"), index=list("uvwxyz"))
    for name, (values, dtype) in columns.items():
        table[name] = pandas.array(values, dtype=dtype)
    return table


def losses(x, y):
    """Of an epoch, and evaluated."""
    nn.seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 3))
    t = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters()))
    history = t.fit(x, y, validation_data=(x, y), verbose=False)
    return history["loss"], history["val_loss"], t.evaluate(x, y), model.predict(x).tolist()


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (YES, "bool"),
        (YES, "boolean"),
        (Y, "int64"),
        (Y, "Int64"),
        (Y, "UInt8"),
        (X[:, 0], "Float32"),
        (X[:, 0].astype(float), "float64"),
    ],
)
def test_columns_of_numbers_are_taken(values, dtype):
    plain = np.column_stack([X, values.astype(np.float32)])
    assert losses(frame(d=(values, dtype)), Y) == losses(plain, Y)


def test_columns_of_one_kind_are_taken():
    pandas = pytest.importorskip("pandas")
    flags = pandas.DataFrame(dict.fromkeys("abcd", YES))
    assert losses(flags, Y) == losses(np.column_stack([YES] * 4).astype(np.float32), Y)
    tokens = pandas.DataFrame({"first": Y, "second": Y}).astype("Int64")
    embedding = nn.Embedding(3, 2)
    np.testing.assert_array_equal(embedding.predict(tokens), embedding(np.stack([Y, Y], axis=1)))
    series = pandas.Series(Y, index=list("uvwxyz"), dtype="Int64")
    assert losses(frame(d=(YES, "bool")), series) == losses(frame(d=(YES, "bool")), Y)


@pytest.mark.parametrize(
    ("columns", "error", "words"),
    [
        (
            {"d": (list("abcabc"), None)},
            TypeError,
            r"got column 'd' \(\w+\); number",
        ),
        ({"d": (list("abcabc"), "category")}, TypeError, r"got column 'd' \(category\); number or"),
        ({"d": (Y, "datetime64[ns]")}, TypeError, r"column 'd' \(datetime64\[ns\]\); .* into days"),
        (
            {"d": (list("abcabc"), object), "e": (list("abcabc"), "category")},
            TypeError,
            r"got columns 'd' \(\w+\), 'e' \(category\)",
        ),
        ({"d": ([1, 2, None, 4, 5, 6], "Int64")}, ValueError, "column 'd' has missing .* row 2;"),
        ({"d": ([None] + [True] * 5, "boolean")}, ValueError, "column 'd' has missing .* row 0;"),
        (
            {"d": ([1, 2, 3, np.nan, 5, 6], "float64")},
            ValueError,
            "not finite: row 3, column 'd', contains nan",
        ),
    ],
)
def test_columns_that_are_no_numbers_are_named(columns, error, words):
    table = frame(**columns)
    t = trainer(len(table.columns))
    for call, name in (
        (lambda: t.fit(table, Y, verbose=False), "x"),
        (lambda: t.evaluate(table, Y), "x"),
        (lambda: t.model.predict(table), "x"),
        (lambda: t.fit(lambda rng: [(table, Y)], verbose=False), "batch 1: x"),
        (lambda: nn.check_gradients(t.model, table), "check_gradients: x"),
    ):
        with pytest.raises(error, match=f"^{name}.*{words}"):
            call()


def test_classes_in_a_series():
    pandas = pytest.importorskip("pandas")
    for dtype in (object, "category", "string"):
        with pytest.raises(TypeError, match=r"number class names with np\.unique\(y"):
            trainer(3).fit(X, pandas.Series(list("abcabc"), dtype=dtype), verbose=False)
    with pytest.raises(ValueError, match=r"^y has missing values, the first in row 0"):
        trainer(3).fit(X, pandas.Series([None, 1, 2, 0, 1, 2], dtype="Int64"), verbose=False)


@pytest.mark.parametrize("kind", ["csr_matrix", "csc_array", "coo_array", "dok_matrix"])
def test_sparse_matrices_are_told_how_to_become_dense(kind):
    sparse = pytest.importorskip("scipy.sparse")
    x = getattr(sparse, kind)(X)
    for call in (
        lambda: trainer(3).fit(x, Y, verbose=False),
        lambda: trainer(3).evaluate(x, Y),
        lambda: trainer(3).model.predict(x),
        lambda: trainer(3).model(x),
        lambda: nn.data.train_test_split(x, Y),
    ):
        with pytest.raises(TypeError, match=r"\.toarray\(\), or give batches of it by a generator"):
            call()


def test_tensors_are_taken_unless_they_carry_gradients():
    torch = pytest.importorskip("torch")
    x, y = torch.tensor(X), torch.tensor(Y)
    four = np.column_stack([X, Y]).astype(np.float32)
    assert losses(torch.tensor(four), y) == losses(four, Y)
    for given, words in (
        (x.clone().requires_grad_(), r"write x\.detach\(\)\.cpu\(\)\.numpy\(\)"),
        (x.to("meta"), r"write x\.detach\(\)\.cpu\(\)\.numpy\(\)"),
        (x.bfloat16(), r"write x\.float\(\)"),
    ):
        with pytest.raises(TypeError, match=rf"^x must be an array, got a Tensor; .*{words}"):
            trainer(3).fit(given, y, verbose=False)


def test_a_data_loader_becomes_a_stream():
    torch = pytest.importorskip("torch")
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y)), batch_size=4
    )
    with pytest.raises(TypeError, match=r"got a DataLoader; .* a function: lambda rng: x$"):
        trainer(3).fit(loader, Y, verbose=False)
    trainer(3).fit(lambda rng: loader, verbose=False)
