"""Mistakes that a newcomer makes: each is refused at once, with the way out in the message."""

import errno
import operator
import os
import re
from pathlib import Path

import numpy as np
import pytest

import nnlite as nn
from nnlite.core.checks import OTHER_NAMES, own_call

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
REGRESSION = [
    nn.MeanAbsoluteError(), nn.MeanSquaredError(), nn.MeanAbsolutePercentageError(), nn.R2(),
    nn.ExplainedVariance(),
]  # fmt: skip
METRICS = [
    nn.Accuracy(), nn.TopKAccuracy(2), nn.F1(), nn.LogLoss(), nn.Perplexity(), nn.AUROC(),
    nn.AveragePrecision(), *REGRESSION,
]  # fmt: skip


def message(error, call):
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


# -- layers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.zeros((3, 2)), [[0.0]], 0.0])
def test_an_array_cannot_take_a_parameters_place(value):
    model = nn.Sequential(nn.Linear(3, 2))
    before = model[0].weight
    with pytest.raises(TypeError, match=r"Linear\(3, 2\): weight is a Parameter.*weight\.data"):
        model[0].weight = value
    assert model[0].weight is before
    model[0].weight.data = np.zeros((3, 2))
    assert not before.data.any()


def test_a_buffer_keeps_its_place_too_and_parts_may_be_shared_or_left_out():
    class Mean(nn.Layer):
        def __init__(self):
            self.mean = nn.Buffer(np.zeros(3))

    layer = Mean()
    with pytest.raises(TypeError, match=r"mean is a Buffer.*assign to mean\.data"):
        layer.mean = np.ones(3)
    layer.mean = nn.Buffer(np.ones(3))
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight, second.bias = first.weight, None
    assert second.parameters() == [first.weight]


@pytest.mark.parametrize(
    ("grad", "error", "words"),
    [
        (None, TypeError, "got NoneType"),
        (1.0, TypeError, "got float"),
        (np.zeros((2, 6)), ValueError, r"in y's shape \(6, 2\), got \(2, 6\)"),
        (np.zeros(12), ValueError, r"got \(12,\)"),
        (np.zeros((6, 3)), ValueError, r"got \(6, 3\)"),
    ],
)
def test_a_gradient_of_another_shape(grad, error, words):
    layer = nn.Linear(3, 2)
    layer.forward(X)
    with pytest.raises(error, match=rf"Linear\(3, 2\): backward expected dL/dy.*{words}"):
        layer.backward(grad)
    assert not layer.weight.grad.any()


class Forgetful(nn.Layer):
    """Forgets one of the three things that a layer must do."""

    def __init__(self, forgets):
        self.forgets = forgets

    def forward(self, x):
        if self.forgets != "save":
            self.save_for_backward(x)
        return None if self.forgets == "y" else x

    def backward(self, grad_output):
        self.saved()
        return None if self.forgets == "dL/dx" else grad_output


def sequential(layer):
    return nn.Sequential(nn.Linear(3, 3), layer, nn.Linear(3, 3)), "Sequential layer 1"


def branches(layer):
    return nn.Sequential(nn.Linear(3, 3), nn.Residual(layer)), "Residual branch"


@pytest.mark.parametrize("build", [sequential, branches])
@pytest.mark.parametrize(
    ("forgets", "words"),
    [
        ("y", "forward returned None; it must return y"),
        ("dL/dx", "backward returned None; it must return dL/dx"),
        ("save", r"\(or forward did not call save_for_backward\)"),
    ],
)
def test_a_layer_that_forgets(build, forgets, words):
    model, place = build(Forgetful(forgets))
    with pytest.raises((TypeError, RuntimeError), match=rf"{place} › Forgetful\(.*{words}"):
        model.backward(model(X))


def test_containers_are_named_and_not_printed():
    model = nn.Sequential(nn.Linear(3, 3), nn.Tanh())
    text = message(RuntimeError, lambda: model.backward(X))
    assert text.startswith("Sequential: backward without a matching forward")
    nested = nn.Sequential(nn.Tanh(), model)
    nested(X)
    model.clear_saved()
    text = message(RuntimeError, lambda: nested.backward(X))
    assert text.startswith("in Sequential layer 1 › Sequential: backward")
    text = message(ValueError, lambda: nn.Sequential(model, nn.Residual(model)))
    assert text.startswith("Sequential: Sequential stands in layer 0 and again in layer 1")


@pytest.mark.parametrize("value", [X.astype(int), X.tolist()])
def test_what_is_not_floating_is_told_how_to_become_it(value):
    text = message(TypeError, lambda: nn.Linear(3, 2)(value))
    assert text.endswith("convert with np.asarray(x, np.float32)")


def test_bytes_are_told_their_scale():
    text = message(TypeError, lambda: nn.Linear(3, 2)(np.ones((2, 3), np.uint8)))
    assert text.endswith("got dtype uint8; convert with np.asarray(x, np.float32) / 255")


def test_one_sample_is_not_a_batch():
    model = nn.Sequential(nn.Linear(3, 2))
    text = message(ValueError, lambda: model.predict(X[0]))
    assert text.endswith("expected (N, 3), got (3,); for one sample use x[None]")
    assert "one sample" not in message(ValueError, lambda: model.predict(X[:, :2]))


def test_layers_in_a_list_and_layers_twice():
    text = message(TypeError, lambda: nn.Sequential([nn.ReLU(), nn.Tanh()]))
    assert text.endswith("write Sequential(*layers) to pass a list")
    relu, linear = nn.ReLU(), nn.Linear(2, 2)
    assert message(ValueError, lambda: nn.Sequential(relu, relu)).endswith("Make a second one")
    text = message(ValueError, lambda: nn.Sequential(linear, linear))
    assert text.endswith("share the Parameter: second.weight = first.weight")


@pytest.mark.parametrize("name", ["weight_init", "bias_init"])
@pytest.mark.parametrize("value", ["he", nn.initializers.He])
def test_an_initializer_is_an_object(name, value):
    text = message(TypeError, lambda: nn.Linear(3, 2, **{name: value}))
    assert text.startswith(f"Linear: {name} must be an initializer such as nn.initializers.He()")
    assert text.endswith("add ()") == isinstance(value, type)


# -- losses and metrics ------------------------------------------------------------------------


def test_targets_that_nearly_fit():
    scores, classes = X, np.array([0, 1, 2, 0, 1, 2])
    for loss in (nn.CrossEntropyLoss(), nn.NLLLoss(), nn.FocalLoss()):
        text = message(ValueError, lambda loss=loss: loss(scores, classes[:, None]))
        assert text.endswith("; use y[:, 0]")
        assert "use y" not in message(ValueError, lambda loss=loss: loss(scores, classes[:4]))
    text = message(ValueError, lambda: nn.MSELoss()(scores, classes))
    assert text.endswith("for classes use CrossEntropyLoss, or one_hot(target)")
    assert "one_hot" not in message(ValueError, lambda: nn.MSELoss()(scores, classes * 1.0))


@pytest.mark.parametrize("metric", METRICS, ids=repr)
def test_a_metric_names_itself(metric):
    text = message(ValueError, lambda: metric.update(X, np.zeros((2, 2))))
    assert text.startswith(f"{metric!r}: ")


@pytest.mark.parametrize("metric", METRICS, ids=repr)
@pytest.mark.parametrize("weight", [-1.0, np.nan])
def test_a_metric_takes_no_negative_weights(metric, weight):
    text = message(ValueError, lambda: metric.update(X, np.eye(3)[Y], np.full(6, weight)))
    assert text == f"{metric!r}: sample_weight must be ≥ 0, got {weight}"


def test_a_metric_names_itself_for_classes_out_of_range():
    text = message(ValueError, lambda: nn.Accuracy().update(X, np.arange(6)))
    assert text == "Accuracy(): targets from 0 to 5 are not classes 0 … 2"


# -- data --------------------------------------------------------------------------------------


def test_rows_of_different_lengths():
    text = message(ValueError, lambda: nn.Linear(3, 2).predict([[1.0, 2.0, 3.0], [1.0]]))
    assert text == (
        "x has rows of 1 to 3 entries; give all the same, or for sequences write "
        "nn.pad_sequences(x)"
    )


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: nn.data.train_test_split(X, stratify=True),
            ValueError,
            "stratify must have one row for each sample, got True",
        ),
        (lambda: nn.data.xor(n_samples="9"), ValueError, "a whole number ≥ 1, got '9'"),
        (lambda: nn.data.xor(n_samples=9.0), ValueError, r"a whole number ≥ 1, got 9\.0"),
        (lambda: nn.data.xor(noise="0.1"), ValueError, r"noise must be a number ≥ 0, got '0\.1'"),
        (lambda: nn.data.spirals(n_classes="3"), ValueError, "a whole number ≥ 1, got '3'"),
        (lambda: nn.data.circles(factor="0.5"), ValueError, r"factor must be a number in \(0, 1\)"),
    ],
)
def test_arguments_of_another_type(call, error, words):
    with pytest.raises(error, match=words):
        call()


# -- optimizers --------------------------------------------------------------------------------


def test_the_learning_rate_is_a_number_or_a_function():
    parameters = nn.Linear(3, 2).parameters()
    for lr in ("0.1", 0, None, float("nan"), True):
        text = message(ValueError, lambda lr=lr: nn.SGD(parameters, lr=lr))
        assert text == f"SGD: lr must be a number > 0 or a function of the step, got {lr!r}"


def test_a_misspelt_option_of_a_group():
    parameters = nn.Linear(3, 2).parameters()

    def group(**options):
        return lambda: nn.SGD([{"params": parameters, **options}])

    text = message(ValueError, group(weigth_decay=0.1))
    assert text == "SGD: a group has no option 'weigth_decay'; did you mean 'weight_decay'?"
    text = message(ValueError, group(wings=2))
    assert text.startswith("SGD: a group has no option 'wings'; there are ['params', 'lr'")
    text = message(ValueError, lambda: nn.SGD([{"lr": 0.1}]))
    assert text == "SGD: a group needs \"params\", got ['lr']"


def test_parameters_without_parentheses():
    model = net()
    expected = "must be a list of Parameters, got"

    def refused(given):
        return message(TypeError, lambda: nn.Adam(given))

    pass_them = "; pass its parameters: model.parameters()"
    assert refused(model.parameters) == f"Adam: parameters {expected} parameters; add ()"
    assert refused(model) == f"Adam: parameters {expected} {model!r}{pass_them}"
    weight = model[0].weight
    assert refused(weight) == f"Adam: parameters {expected} {weight!r}; wrap it in [ ]"
    assert refused({"params": model.parameters()}).endswith("; wrap it in [ ]")
    for named in (model.named_parameters(), model.state_dict()):
        assert refused(named).endswith("}; pass model.parameters()")
    assert refused(None) == f"Adam: parameters {expected} None"
    text = refused([{"params": model.parameters}])
    assert text == f'Adam: a group\'s "params" {expected} parameters; add ()'
    assert refused([model]).endswith("; pass model.parameters()")


# -- the trainer -------------------------------------------------------------------------------

Y = np.array([0, 1, 2, 0, 1, 2])


def net(features=3):
    return nn.Sequential(nn.Linear(features, 3), nn.Tanh(), nn.Linear(3, 3))


def trainer(**changed):
    model = net()
    given = {"model": model, "loss": nn.CrossEntropyLoss(), "optimizer": nn.SGD(model.parameters())}
    return nn.Trainer(**given | changed)


def test_an_optimizer_of_another_model():
    text = message(ValueError, lambda: trainer(optimizer=nn.SGD(net().parameters())))
    assert "the optimizer updates none of the model's parameters" in text
    model = net()
    trainer(model=model, optimizer=nn.SGD(model[2].parameters()))  # a part of it will do


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"loss": nn.CrossEntropyLoss}, r"loss must be a Loss, got .*; pass an instance: add \(\)"),
        ({"loss": "ce"}, r"loss must be a Loss, got 'ce'; write nn\.CrossEntropyLoss\(\)$"),
        ({"loss": "wrong"}, "loss must be a Loss, got 'wrong'$"),
        ({"loss": nn.SGD(net().parameters())}, r"loss must be a Loss, got SGD\("),
        (
            {"optimizer": nn.SGD},
            r"optimizer must be an Optimizer, got .*; pass an instance: nn\.SGD\(model\.param.*\)$",
        ),
        (
            {"optimizer": "adam"},
            r"optimizer must be an Optimizer, got 'adam'; write nn\.Adam\(model\.parameters\(\)\)$",
        ),
        ({"optimizer": nn.MSELoss()}, r"optimizer must be an Optimizer, got MSELoss\(\)"),
        (
            {"model": nn.Linear},
            r"model must be a Layer, got .*; pass an instance: nn\.Linear\(…\)",
        ),
        ({"metrics": [nn.Accuracy]}, r"metrics\[0\] must be a Metric, got .*add \(\)"),
        ({"metrics": nn.Accuracy()}, r"metrics must be a list, got Accuracy\(\); put it in \[ \]"),
        (
            {"metrics": ["accuracy"]},
            r"metrics\[0\] must be a Metric, got 'accuracy'; write nn\.Accuracy\(\)$",
        ),
        ({"metrics": "acc"}, r"metrics must be a list, got 'acc'; write \[nn\.Accuracy\(\)\]$"),
        ({"metrics": None}, "metrics must be a list, got None$"),
    ],
)
def test_what_the_trainer_is_made_of(changed, words):
    with pytest.raises(TypeError, match=f"Trainer: {words}"):
        trainer(**changed)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"callbacks": [print]}, TypeError, r"fit: callbacks\[0\] must be a Callback, got print"),
        ({"callbacks": nn.Callback()}, TypeError, "fit: callbacks must be a list"),
        ({"validation_split": 20}, ValueError, r"must be a number in \[0, 1\), got 20"),
        ({"validation_split": "0.2"}, ValueError, r"must be a number in \[0, 1\), got '0\.2'"),
        ({"validation_data": X[:2]}, ValueError, r"must be \(x, y\) .*, got ndarray"),
        ({"validation_data": (X,)}, ValueError, r"must be \(x, y\) .*, got 1 items"),
        (
            {"validation_data": (X[:, :2], Y)},
            ValueError,
            r"^validation x \(6, 2\): in Sequential layer 0",
        ),
        ({"validation_data": (X, Y[:, None])}, ValueError, r"^validation y \(6, 1\): CrossEnt"),
        ({"x": X[:, :2]}, ValueError, r"^x \(6, 2\): in Sequential layer 0.*got \(1, 2\)$"),
        ({"y": np.array(list("abcabc"))}, TypeError, r"np\.unique\(y, return_inverse=True\)\[1\]"),
        ({"y": Y[:, None]}, ValueError, r"; use y\[:, 0\]$"),
        ({"class_weight": [1, 2]}, ValueError, "one number for each of 3 classes"),
        ({"class_weight": [1, 2, 3, 4]}, ValueError, r"3 classes.*got \[1, 2, 3, 4\]"),
        ({"class_weight": {"a": 2.0}}, ValueError, "'a' is not a class 0 … 2"),
        ({"class_weight": {3: 2.0}}, ValueError, "3 is not a class 0 … 2"),
        ({"class_weight": {0: "2"}}, ValueError, "must be finite and ≥ 0, got '2' for 0"),
    ],
)
def test_what_fit_is_given(options, error, words):
    t = trainer()
    before = t.model.state_dict()
    with pytest.raises(error, match=words):
        t.fit(**{"x": X, "y": Y, "epochs": 1, "verbose": False} | options)
    for name, value in t.model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_class_weights_of_single_scores_are_those_of_0_and_1():
    model = nn.Linear(3, 1)
    t = nn.Trainer(model, nn.BCEWithLogitsLoss(), nn.SGD(model.parameters()))
    y = (Y[:, None] > 0).astype(np.float32)
    t.fit(X, y, epochs=1, class_weight=[1, 3], verbose=False)
    with pytest.raises(ValueError, match="each of 2 classes"):
        t.fit(X, y, epochs=1, class_weight=[1, 3, 1], verbose=False)


def test_a_trainer_prints_as_its_call():
    text = repr(trainer(metrics=[nn.Accuracy()]))
    assert text.startswith("Trainer(\n  Sequential(")
    assert "metrics=[Accuracy()]" in text
    assert "metrics" not in repr(trainer())


def test_a_run_that_diverges_ends_in_one_message():
    model = net()
    t = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=1e30))
    text = message(FloatingPointError, lambda: t.fit(X, X, epochs=50, batch_size=3, verbose=False))
    assert text.startswith("the loss is ")
    assert ",;" not in text


@pytest.mark.parametrize(
    ("kind", "name", "call"),
    [
        (nn.Loss, "mse", "nn.MSELoss()"),
        (nn.Loss, "mean_squared_error", "nn.MSELoss()"),
        (nn.Loss, "L1Loss", "nn.MAELoss()"),
        (nn.Loss, "huber", "nn.HuberLoss()"),
        (nn.Loss, "binary_crossentropy", "nn.BCEWithLogitsLoss()"),
        (nn.Loss, "sparse_categorical_crossentropy", "nn.CrossEntropyLoss()"),
        (nn.Loss, "NLLLoss", "nn.NLLLoss()"),
        (nn.Optimizer, "AdamW", "nn.AdamW(model.parameters())"),
        (nn.Optimizer, "rmsprop", "nn.RMSprop(model.parameters())"),
        (nn.Metric, "f1_score", "nn.F1()"),
        (nn.Metric, "sparse_categorical_accuracy", "nn.Accuracy()"),
        (nn.Metric, "roc_auc_score", "nn.AUROC()"),
        (nn.Metric, "AUC", "nn.AUROC()"),
        (nn.Metric, "average_precision", "nn.AveragePrecision()"),
        (nn.Metric, "log_loss", "nn.LogLoss()"),
        (nn.Metric, "mse", "nn.MeanSquaredError()"),
        (nn.Metric, "explained_variance_score", "nn.ExplainedVariance()"),
        (nn.Layer, "relu", "nn.ReLU()"),
        (nn.Layer, "Dense", "nn.Linear(…)"),
        (nn.Layer, "Conv2D", "nn.Conv2d(…)"),
        (nn.Callback, "ModelCheckpoint", "nn.Checkpoint(…)"),
        (nn.initializers.Initializer, "he", "nn.initializers.He()"),
        (nn.Loss, "adam", ""),
    ],
)
def test_names_from_elsewhere(kind, name, call):
    assert own_call(name, kind) == call
    assert own_call(type(name, (), {}), kind) == call  # the class of another library
    assert own_call(type(name, (), {})(), kind) == call  # its instance


def test_every_name_from_elsewhere_leads_to_a_class_of_ours():
    for kind, names in OTHER_NAMES.items():
        for name, ours in names.items():
            place = nn.initializers if kind == "Initializer" else nn
            assert issubclass(getattr(place, ours), getattr(place, kind))
            own = own_call(name, getattr(place, kind))
            assert own.startswith(f"{place.__name__.replace('nnlite', 'nn')}.{ours}(")


def test_a_name_among_the_layers():
    text = message(TypeError, lambda: nn.Sequential(nn.Linear(3, 2), "relu"))
    assert text == "Sequential: layers[1] must be a Layer, got 'relu'; write nn.ReLU()"


# -- a parameter is no array -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nn.Parameter, nn.Buffer])
@pytest.mark.parametrize(
    "name",
    [
        *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
        *("iadd", "isub", "imul", "itruediv", "imatmul"),
        *("lt", "le", "gt", "ge", "eq", "ne"),
    ],
)
def test_arithmetic_with_a_parameter_names_its_data(kind, name):
    operate, part = getattr(operator, name), kind(np.ones((3, 3)))
    for other in (np.ones((3, 3), np.float32), np.float32(2), np.float64(2), 2, 2.0):
        for pair in ((part, other), (other, part)):
            text = message(TypeError, lambda pair=pair: operate(*pair))
            assert text == f"{part!r} is no array; write .data for its values (or .grad)"
    np.testing.assert_array_equal(part.data, np.ones((3, 3)))


def test_parameters_are_told_apart_but_not_calculated_with():
    first, second = nn.Parameter([1.0]), nn.Parameter([1.0])
    assert first == first  # itself
    assert first != second
    assert [second, first].index(first) == 1
    for call in (lambda: -first, lambda: abs(first), lambda: first[0], lambda: list(first)):
        assert "write .data" in message(TypeError, call)
    with pytest.raises(TypeError, match=r"write \.data"):
        first[0] = 1


def test_functions_of_numpy_read_a_parameters_values():
    part = nn.Parameter(np.arange(6.0).reshape(2, 3))
    assert np.asarray(part).dtype == np.float32
    assert np.isfinite(part).all()
    assert np.exp(part).dtype == np.float32
    np.testing.assert_array_equal(np.dot(np.ones((1, 2), np.float32), part), [[3, 5, 7]])
    np.testing.assert_array_equal(nn.Parameter(part).data, part)
    assert not np.shares_memory(np.array(part), part.data)


def test_a_layer_that_forgets_data_is_named():
    class Scale(nn.Layer):
        def __init__(self):
            self.scale = nn.Parameter(np.ones(3))

        def forward(self, x):
            return x * self.scale

    text = message(TypeError, lambda: nn.Sequential(Scale())(X))
    assert text.startswith("in Sequential layer 0 › Scale(): Parameter(shape (3,), float32) is no")


# -- data in other forms -----------------------------------------------------------------------


class Sparse:
    """As scipy's matrices."""

    def __len__(self):
        raise TypeError("sparse array length is ambiguous")

    def __getitem__(self, row):
        return self

    def toarray(self):
        return X


class Tensor:
    """As PyTorch's."""

    requires_grad = True

    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        return X[row]

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


class Pairs:
    """A data set of (x, y), as PyTorch's."""

    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        return X[row], Y[row]


class Endless:
    """A data set without a length."""

    def __getitem__(self, row):
        return X[row]


class Loader:
    """Batches to walk through."""

    def __iter__(self):
        return iter([(X, Y)])


def objects(*entries):
    array = np.empty(len(entries), object)
    array[:] = entries
    return array


DATA = {
    "sparse": (Sparse(), TypeError, r"write x\.toarray\(\), or give batches of it"),
    "a dict": ({"a": X}, TypeError, "got a dict; give the array itself; .*several inputs"),
    "a path": ("data.npy", TypeError, r"got 'data\.npy'; load the file first: np\.load\(x\)"),
    "Path": (Path("data.csv"), TypeError, r"Path\('data\.csv'\); load the file first"),
    "None": (None, TypeError, "must be an array, got None"),
    "gradients": (Tensor(), TypeError, r"got a Tensor; write x\.detach\(\)\.cpu\(\)\.numpy\(\)"),
    "generator": ((row for row in X), TypeError, "pass the generator function itself"),
    "no length": (Endless(), TypeError, "a data set needs __len__ beside __getitem__"),
    "loader": (Loader(), TypeError, r"a function: lambda rng: x$"),
    "a set": ({1.0, 2.0}, TypeError, "got a set; give an array$"),
    "words": ([["a", "b"]] * 6, TypeError, r"dtype <U1; words need numbers: count them from 0"),
    "dates": (np.zeros(6, "M8[D]"), TypeError, "dates become days since the first"),
    "complex": (X * 1j, TypeError, r"give both parts: np\.stack\(\[x\.real, x\.imag\]"),
    "fields": (np.zeros(6, [("a", "f4")]), TypeError, "give its fields side by side"),
    "objects": (X.astype(object), TypeError, r"if these are numbers, write np\.asarray\(x, np"),
    "holes": (objects(1.0, None), TypeError, "some entries are None"),
    "arrays": (objects(*X), TypeError, r"write np\.stack\(list\(x\)\)"),
    "sequences": (objects(X[0], X[0, :2]), TypeError, r"write nn\.pad_sequences\(list\(x\)\)"),
    "ragged": ([X[:2], X[:3]], ValueError, r"2 to 3 entries.* write nn\.pad_sequences\(x\)$"),
    "tokens": ([[1, 2], [3]], ValueError, r"1 to 2 entries.* write nn\.pad_sequences\(x\)$"),
    "inputs": ([X, X[:, :2]], ValueError, r"\(6, 3\), \(6, 2\); several inputs are a tuple"),
    "shapes": ([X, X[0]], ValueError, r"shapes: \(6, 3\) in row 0 and \(3,\) in row 1"),
    "deep": ([[[1], [1, 2]], [[1]]], ValueError, "different lengths inside row 0"),
    "a number": (3.0, ValueError, r"one row for each sample, got 3\.0"),
    "masked": (np.ma.masked_array(X, X > 0), ValueError, r"masked entries; fill them: x\.filled"),
}
USES = {
    "fit": (lambda x: trainer().fit(x, Y, verbose=False), "x"),
    "evaluate": (lambda x: trainer().evaluate(x, Y), "x"),
    "predict": (lambda x: net().predict(x), "x"),
    "validation": (
        lambda x: trainer().fit(X, Y, validation_data=(x, Y), verbose=False),
        "validation x",
    ),
    "stream": (lambda x: trainer().fit(lambda rng: iter([(x, Y)]), verbose=False), "batch 1: x"),
    "check": (lambda x: nn.check_gradients(net(), x), "check_gradients: x"),
    "jacobian": (lambda x: nn.jacobian(net(), x), "jacobian: x"),
}


PAIRS = [(kind, use) for kind in DATA for use in USES]
PAIRS.remove(("generator", "predict"))  # which walks through it; see the next test


@pytest.mark.parametrize(("kind", "use"), PAIRS)
def test_data_in_another_form(kind, use):
    x, error, words = DATA[kind]
    call, name = USES[use]
    with pytest.raises(error, match=rf"^{name}.*{words}"):
        call(x)


def test_a_generator_of_rows_for_predict():
    text = message(ValueError, lambda: net().predict(row for row in X))
    assert text.endswith("expected (N, 3), got (3,); for one sample use x[None]")


LAYERS = [
    nn.Linear(3, 2),
    nn.Flatten(),
    nn.Permute(1),
    nn.Embedding(3, 2),
    nn.LastStep(),
    nn.ReLU(),
]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
@pytest.mark.parametrize("kind", ["sparse", "a dict", "a path", "None", "gradients", "ragged"])
def test_data_in_another_form_for_a_layer(kind, layer):
    x, error, words = DATA[kind]
    with pytest.raises(error, match=rf"^{re.escape(repr(layer))}: x .*{words}"):
        layer(x)


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_a_list_for_a_layer(layer):
    dtype = "int64" if isinstance(layer, nn.Embedding) else "float32"
    with pytest.raises(
        TypeError, match=rf"array, got list; convert with np\.asarray\(x, np\.{dtype}"
    ):
        layer([[1, 2, 0]])


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.MSELoss()], ids=repr)
def test_data_in_another_form_for_a_loss(loss):
    for kind in ("sparse", "a dict", "gradients"):
        given, error, words = DATA[kind]
        with pytest.raises(error, match=rf"\(\): target .*{words.replace('x', 'target')}"):
            loss(X, given)
        with pytest.raises(error, match=rf"\(\): prediction .*{words.replace('x', 'prediction')}"):
            loss(given, Y)
    text = message(TypeError, lambda: loss(X, list("abcabc")))
    assert text.endswith(
        "dtype <U1; number class names with np.unique(target, return_inverse=True)[1]"
    )
    text = message(TypeError, lambda: loss(Y, X))
    assert text.endswith("got dtype int64; the prediction comes first, then the target")


def test_several_inputs_for_a_model_of_one():
    words = r"Linear\(3, 3\): expected one array, got a tuple of 2; several inputs"
    for call in (lambda: trainer().fit((X, X), Y, verbose=False), lambda: net().predict((X, X))):
        with pytest.raises(TypeError, match=rf"in Sequential layer 0 › {words}"):
            call()
    text = message(ValueError, lambda: net().predict((X, np.ma.masked_array(X, X > 0))))
    assert text == "x[1] has masked entries; fill them: x[1].filled(0)"


@pytest.mark.parametrize("metric", METRICS, ids=repr)
@pytest.mark.parametrize("kind", ["sparse", "a dict", "gradients", "ragged", "dates", "None"])
def test_data_in_another_form_for_a_metric(kind, metric):
    given, error, words = DATA[kind]
    for name, values in (
        ("prediction", (given, Y)),
        ("target", (X, given)),
        ("sample_weight", (X, X if metric in REGRESSION else Y, given)),
    ):
        if kind == "None" and name == "sample_weight":
            continue  # all weigh 1
        text = message(error, lambda values=values: metric.update(*values))
        assert text.startswith(f"{metric!r}: {name} ")
        assert re.search(re.sub(r"\bx\b", name, words).removesuffix("$"), text)


def test_pairs_come_apart():
    words = r"^row 0 is a tuple of 2: x and y are given apart"
    for call in (trainer().fit, trainer().evaluate):
        with pytest.raises(TypeError, match=words):
            call(Pairs(), Y)


def test_a_loader_in_a_function_is_a_stream():
    trainer().fit(lambda rng: Loader(), verbose=False)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (np.stack([X, X]), Y, "x has 2 rows and y has 6; several inputs are a tuple of arrays"),
        ([X, X], Y, "x has 2 rows and y has 6; several inputs are a tuple of arrays"),
        (X[0], Y[:1], r"x has 3 rows and y has 1; a single sample needs its batch axis: x\[None\]"),
        (X.T, Y, r"x has 3 rows and y has 6; rows are samples: x\.T$"),
        (X[:5], Y, "x has 5 rows and y has 6$"),
    ],
)
def test_rows_that_do_not_match(x, y, words):
    with pytest.raises(ValueError, match=words):
        trainer().fit(x, y, verbose=False)


# -- shapes that nearly fit --------------------------------------------------------------------


def test_one_feature_is_a_column():
    model = net(1)
    t = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters()))
    for call in (lambda: t.fit(X[:, 0], Y), lambda: model.predict(X[:, 0]), lambda: model(X[:, 0])):
        text = message(ValueError, call)
        assert text.endswith("; one feature for each sample is a column: x[:, None]")
        assert "in Sequential layer 0 › Linear(1, 3): " in text
    assert not message(ValueError, lambda: net()(X[:, 0])).endswith("]")


@pytest.mark.parametrize(
    ("shape", "features", "words"),
    [
        ((2, 4, 4, 3), 48, r"; put a Flatten\(\) before it"),
        ((2, 4, 5), 20, r"; put a Flatten\(\) before it"),
        ((2, 4, 4, 3), 50, r"; an image has 48 features after Flatten\(\)"),
        ((2, 4, 5), 21, r"got \(2, 4, 5\)"),
    ],
)
def test_a_flatten_is_missing(shape, features, words):
    model = nn.Sequential(nn.Identity(), nn.Linear(features, 2))
    place = rf"in Sequential layer 1 › Linear\({features}, 2\): expected \(N, {features}\)"
    with pytest.raises(ValueError, match=rf"^{place}.*{words}$"):
        model(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (nn.Conv2d(1, 2, 3), (2, 784), r"put a Reshape\(28, 28, 1\) before it to make images"),
        (nn.Conv2d(3, 2, 3), (2, 48), r"put a Reshape\(4, 4, 3\) before it to make images"),
        (nn.Conv2d(1, 2, 3), (2, 28, 28), r"a single channel needs its axis: x\[..., None\]"),
        (nn.Conv2d(3, 2, 3), (2, 3, 8, 8), r"channels come last here: x\.transpose\(0, 2, 3, 1\)"),
        (nn.LSTM(1, 2), (4, 5), r"a single channel needs its axis: x\[..., None\]"),
        (nn.LSTM(3, 2), (5, 3), r"a single sample needs its batch axis: x\[None\]"),
        (nn.GRU(3, 2), (4, 3, 5), r"channels come last here: x\.transpose\(0, 2, 1\)"),
        (nn.MultiHeadAttention(4, 2), (5, 4), r"a single sample needs its batch axis"),
        (nn.PositionalEncoding(4), (5, 4), r"a single sample needs its batch axis"),
    ],
)
def test_axes_in_another_place_reach_the_user_of_fit(layer, shape, words):
    model = nn.Sequential(nn.Identity(), layer)
    with pytest.raises(ValueError, match=rf"^in Sequential layer 1 › .*{words}"):
        model(np.zeros(shape, np.float32))
    if len(shape) == 4 or shape[0] == 2:
        head = nn.Sequential(model, nn.Flatten(), nn.Linear(3, 3))
        t = nn.Trainer(head, nn.CrossEntropyLoss(), nn.SGD(head.parameters()))
        with pytest.raises(ValueError, match=rf"^x .*Sequential layer 0 › .*layer 1 › .*{words}"):
            t.fit(np.zeros(shape, np.float32), Y[:2], verbose=False)


def test_images_of_bytes():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    images = np.full((6, 2, 2, 1), 200, np.uint8)
    for call in (lambda: model.predict(images), lambda: nn.check_gradients(model, images)):
        text = message(TypeError, call)
        assert text.startswith(
            "in Sequential layer 1 › Linear(4, 3): expected floating-point input"
        )
        assert text.endswith("convert with np.asarray(x, np.float32) / 255")


@pytest.mark.parametrize(
    ("loss", "prediction", "target", "error", "words"),
    [
        (nn.CrossEntropyLoss(), (6, 5, 3), Y, ValueError, r"put LastStep\(\) or MeanOverTime\(\)"),
        (nn.CrossEntropyLoss(), (6, 4, 4, 3), Y, ValueError, r"put Flatten\(\) or GlobalAvgPool2d"),
        (nn.MSELoss(), (6, 5, 3), X, ValueError, r"put LastStep\(\) or MeanOverTime\(\)"),
        (nn.CrossEntropyLoss(), (6, 3), Y + 1, ValueError, "count from 0: write y - 1$"),
        (nn.CrossEntropyLoss(), (6, 3), Y - 1, ValueError, "row 0 is outside 0 … 2; .* from 0$"),
        (
            nn.CrossEntropyLoss(),
            (6, 2),
            Y,
            ValueError,
            "class 2 at row 2 is outside 0 … 1; .* has 2 outputs, and these classes need 3$",
        ),
        (nn.CrossEntropyLoss(), (6, 2), X, ValueError, "last layer needs 3 outputs, one for each"),
        (nn.CrossEntropyLoss(), (6, 1), Y, ValueError, "single score use BCEWithLogitsLoss"),
        (nn.CrossEntropyLoss(), (6, 3), Y * 1.0, TypeError, r"convert with y\.astype"),
        (nn.CrossEntropyLoss(), (6, 3), Y + 0.5, TypeError, "for numbers use MSELoss"),
        (nn.BCEWithLogitsLoss(), (6,), np.sign(Y - 0.5), ValueError, r"write \(y \+ 1\) / 2"),
        (nn.BCEWithLogitsLoss(), (6,), Y % 2 + 1, ValueError, r"write y - 1"),
        (nn.BCELoss(), (6,), Y, ValueError, "for several classes use CrossEntropyLoss"),
        (nn.BCELoss(), (6,), Y + 0.5, ValueError, r"got 0\.5 to 2\.5$"),
    ],
)
def test_targets_of_another_kind(loss, prediction, target, error, words):
    with pytest.raises(error, match=words):
        loss(np.full(prediction, 0.5, np.float32), target)


def test_a_last_step_is_missing():
    model = nn.Sequential(nn.LSTM(3, 4), nn.Linear(4, 3))
    t = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters()))
    x = np.zeros((6, 5, 3), np.float32)
    with pytest.raises(ValueError, match=r"^y \(6,\): CrossEntropyLoss.*put LastStep\(\) or Mean"):
        t.fit(x, Y, verbose=False)


# -- files -------------------------------------------------------------------------------------


def files():
    """Every way to write a file, by name."""
    model = net()
    matrix = nn.jacobian(model, X[:1])
    step = nn.trace(model, nn.CrossEntropyLoss(), X, Y)

    def fit(callback):
        trainer().fit(X, Y, callbacks=[callback], verbose=False)

    return {
        "save_model": (nn.CheckpointError, lambda path: nn.save_model(model, path)),
        "save": (nn.CheckpointError, lambda path: trainer().save(path)),
        "Checkpoint": (ValueError, lambda path: fit(nn.Checkpoint(path))),
        "CSVLogger": (ValueError, lambda path: fit(nn.CSVLogger(path))),
        "JSONLogger": (ValueError, lambda path: fit(nn.JSONLogger(path))),
        "to_html": (ValueError, step.to_html),
        "plot": (ValueError, lambda path: matrix.plot(path=path)),
    }


@pytest.mark.parametrize("name", files())
def test_a_folder_that_is_not_there(name, tmp_path):
    error, write = files()[name]
    gone = tmp_path / "gone"
    text = message(error, lambda: write(str(gone / "file.npz")))
    assert text.endswith(f"there is no folder {gone}; make it first: os.makedirs({str(gone)!r})")
    assert message(error, lambda: write(tmp_path)).endswith("is a folder; name a file in it")
    if name != "plot":  # None shows it
        assert "must be a path, a string or an os.PathLike, got None" in message(
            TypeError, lambda: write(None)
        )
    assert not list(tmp_path.iterdir())


class Path3:
    def __fspath__(self):
        return 3


@pytest.mark.parametrize("name", files())
def test_a_path_is_a_string_or_a_path(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write = files()[name][1]
    handle = (tmp_path / "open").open("w")
    for value in (True, 1, 2.5, b"x.npz", handle, "", ["x"], Path, Path3(), "a\0b", Path("a\0b")):
        text = message(TypeError, lambda value=value: write(value))
        assert "must be a path" in text
        assert "got" in text
    handle.close()
    assert os.listdir(tmp_path) == ["open"]
    os.write(1, b"")  # standard output was not closed


@pytest.mark.parametrize("name", files())
def test_what_is_there_and_is_no_file_that_may_be_replaced(name, tmp_path, monkeypatch):
    error, write = files()[name]
    os.mkfifo(tmp_path / "pipe")
    fixed = tmp_path / "fixed"
    fixed.write_text("mine")
    fixed.chmod(0o444)
    words = {
        tmp_path / "pipe": "pipe is not a regular file; name another one",
        os.devnull: "null is not a regular file; name another one",
        fixed: f"{fixed} is read-only; name another file, or make it writable: "
        f"os.chmod({str(fixed)!r}, 0o644)",
        fixed / "x.npz": f"{fixed} is no folder",
        f"{tmp_path}/new/": "new is a folder; name a file in it",
        "~/x.npz": "only a shell knows ~: write Path('~/x.npz').expanduser()",
        tmp_path / ("x" * 300): "File name too long; name another file",
    }
    for path, text in words.items():
        assert text in message(error, lambda path=path: write(path))
    monkeypatch.setattr(os, "access", lambda folder, mode: False)
    assert f"you may not write into the folder {tmp_path}" in message(
        error, lambda: write(tmp_path / "x")
    )
    assert sorted(os.listdir(tmp_path)) == ["fixed", "pipe"]
    assert fixed.read_text() == "mine"


def test_a_page_is_whole_or_not_there(tmp_path, monkeypatch):
    model = net()
    step = nn.trace(model, nn.CrossEntropyLoss(), X, Y)
    page = tmp_path / "page.html"
    step.to_html(page)
    before = page.read_text()
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        step.to_html(page)
    assert page.read_text() == before
    assert os.listdir(tmp_path) == ["page.html"]


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "gone.npz"
    for read in (nn.load_model, trainer().load, nn.data.load_idx):
        assert message(FileNotFoundError, lambda read=read: read(path)).endswith(
            f"the file {path} is not there"
        )
        assert message(FileNotFoundError, lambda read=read: read(tmp_path)).endswith("no file")
        assert message(FileNotFoundError, lambda read=read: read(os.devnull)).endswith(
            "is not a regular file; copy what it gives into one"
        )
        assert message(FileNotFoundError, lambda read=read: read("x" * 300)).endswith(
            "is not there"
        )
        for value in (True, b"x", "a\0b", ""):
            assert "must be a path" in message(TypeError, lambda read=read, v=value: read(v))
        assert "must be a path, a string or an os.PathLike, got 3" in message(
            TypeError, lambda read=read: read(3)
        )


# -- sequences of different lengths ------------------------------------------------------------


def test_sequences_are_padded():
    x = nn.pad_sequences([[7, 2, 9], [4], (1, 3)])
    np.testing.assert_array_equal(x.data, [[7, 2, 9], [4, 0, 0], [1, 3, 0]])
    np.testing.assert_array_equal(x.lengths, [3, 1, 2])
    assert x.dtype == np.int64
    x = nn.pad_sequences((X[:n] for n in (2, 4)), value=0.5)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x.data[0], [*X[:2], [0.5] * 3, [0.5] * 3])
    np.testing.assert_array_equal(x.data[1], X[:4])
    assert nn.pad_sequences([[1], [2.5, 3]]).dtype == np.float64
    assert nn.pad_sequences([[1]], dtype=np.float32).dtype == np.float32
    layer = nn.Sequential(nn.LSTM(3, 2), nn.LastStep())
    x = nn.pad_sequences([X[:2], X])
    np.testing.assert_allclose(layer.predict(x)[:1], layer.predict(X[None, :2]), rtol=1e-6)


@pytest.mark.parametrize(
    ("sequences", "options", "error", "words"),
    [
        ([], {}, ValueError, "expected at least one sequence, got none"),
        ([[1], []], {}, ValueError, "sequence 1 is empty; leave it out"),
        ([X, X[:, :2]], {}, ValueError, r"sequence 1 has steps of shape \(2,\), sequence 0 of sh"),
        ([[1], [[1], [1, 2]]], {}, ValueError, "sequence 1 has rows of 1 to 2 entries"),
        ([1, 2], {}, ValueError, r"sequence 0 is 1; expected an array \(T, …\)"),
        ([["a"]], {}, TypeError, "sequence 0 must hold numbers, got dtype <U1; words need numbers"),
        ([[1], None], {}, TypeError, "sequence 1 must be an array, got None"),
        (None, {}, TypeError, "expected a list of sequences, got None"),
        ("abc", {}, TypeError, "expected a list of sequences, got 'abc'"),
        ({"a": [1]}, {}, TypeError, "expected a list of sequences, got a dict"),
        ([[1]], {"dtype": str}, TypeError, "dtype must be a dtype of numbers"),
        ([[1]], {"value": "0"}, ValueError, "value must be a number, got '0'"),
        ([[1]], {"value": 0.5}, ValueError, r"int64 cannot hold value=0\.5"),
        ([[1]], {"value": 300, "dtype": np.uint8}, ValueError, "uint8 cannot hold value=300"),
        ([[1.0]], {"value": 1e5, "dtype": "f2"}, ValueError, r"float16 cannot hold value=100000"),
    ],
)
def test_what_cannot_be_padded(sequences, options, error, words):
    with pytest.raises(error, match=f"^pad_sequences: {words}"):
        nn.pad_sequences(sequences, **options)
