"""Mistakes that a newcomer makes: each is refused at once, with the way out in the message."""

import numpy as np
import pytest

import nnlite as nn

X = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)


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


@pytest.mark.parametrize(
    "metric", [nn.Accuracy(), nn.TopKAccuracy(2), nn.F1(), nn.MeanAbsoluteError(), nn.R2()]
)
def test_a_metric_names_itself(metric):
    text = message(ValueError, lambda: metric.update(X, np.zeros((2, 2))))
    assert text.startswith(f"{metric!r}: ")


def test_a_metric_names_itself_for_classes_out_of_range():
    text = message(ValueError, lambda: nn.Accuracy().update(X, np.arange(6)))
    assert text == "Accuracy(): targets from 0 to 5 are not classes 0 … 2"


# -- data --------------------------------------------------------------------------------------


def test_rows_of_different_lengths():
    text = message(ValueError, lambda: nn.Linear(3, 2).predict([[1.0, 2.0, 3.0], [1.0]]))
    assert text.startswith("x must be an array: ")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: nn.data.train_test_split(X, stratify=True),
            ValueError,
            "stratify is empty: expected at least one row",
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
    text = message(TypeError, lambda: nn.SGD(nn.Linear(3, 2).parameters))
    assert text == "SGD: parameters must be a list of Parameters, got parameters; add ()"


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
        ({"loss": "ce"}, "loss must be a Loss, got 'ce'$"),
        ({"loss": nn.SGD(net().parameters())}, r"loss must be a Loss, got SGD\("),
        ({"optimizer": nn.SGD}, r"optimizer must be an Optimizer, got .*add \(\)"),
        ({"optimizer": "adam"}, "optimizer must be an Optimizer, got 'adam'"),
        ({"optimizer": nn.MSELoss()}, r"optimizer must be an Optimizer, got MSELoss\(\)"),
        ({"model": nn.Linear}, r"model must be a Layer, got .*add \(\)"),
        ({"metrics": [nn.Accuracy]}, r"metrics\[0\] must be a Metric, got .*add \(\)"),
        ({"metrics": nn.Accuracy()}, r"metrics must be a list, got Accuracy\(\); put it in \[ \]"),
        ({"metrics": ["accuracy"]}, r"metrics\[0\] must be a Metric, got 'accuracy'"),
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
