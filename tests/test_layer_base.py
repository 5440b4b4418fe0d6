"""What every layer gets from the base: parts, state, modes, prediction."""

import copy
import threading

import numpy as np
import pytest

import nnlite as nn


class Odd(nn.Layer):
    """Parts in every place where they may stand, and some where they are not looked for."""

    def __init__(self):
        self.first = nn.Parameter(np.ones(2))
        self.items = [nn.Linear(2, 3), {"inner": nn.Parameter(np.zeros(1))}, 7, "text"]
        self.pair = (nn.Buffer(np.zeros(4)), nn.Parameter(np.ones((1, 2))))
        self.again = self.first
        self._hidden = nn.Parameter(np.ones(9))


def model():
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Residual(nn.Sequential(nn.Linear(4, 4))))


def test_parts_are_found_in_order_once_each():
    odd = Odd()
    assert list(odd.named_parameters()) == [
        "first", "items.0.weight", "items.0.bias", "items.1.inner", "pair.1",
    ]  # fmt: skip
    assert len(odd.buffers()) == 1
    assert list(model().named_parameters()) == [
        "0.weight", "0.bias", "2.branch.0.weight", "2.branch.0.bias",
    ]  # fmt: skip
    assert next(nn.Dropout().named_parts(np.random.Generator))[0] == "rng"


def test_tied_parameters_are_one():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    tied = nn.Sequential(first, second)
    assert len(tied.parameters()) == 3
    x = np.random.default_rng(0).standard_normal((4, 3))
    nn.check_gradients(tied, x)
    assert len(copy.deepcopy(tied).parameters()) == 3


def test_two_parts_with_the_same_path_are_refused():
    class Named(nn.Layer):
        def __init__(self):
            self.items = {0: nn.Linear(2, 2), "0": nn.Linear(2, 2)}

    with pytest.raises(ValueError, match=r"same path, items\.0"):
        Named().parameters()


def test_state_dict_is_a_copy():
    layer = nn.Linear(2, 2)
    layer.state_dict()["weight"][:] = 9
    assert not (layer.weight.data == 9).any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("0.bias"), "0.bias is missing"),
        (lambda s: s.update(extra=np.ones(1)), "extra is not a part"),
        (lambda s: s.update({"0.weight": np.ones((4, 3))}), r"0.weight has shape \(4, 3\)"),
        (lambda s: s.update({"0.bias": np.array(list("abcd"))}), "does not hold numbers"),
        (lambda s: s.update({"0.bias": np.array([0, 1, 1e300, 0])}), "0.bias holds values that"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, words):
    net = model()
    before, state = net.state_dict(), {k: v + 1 for k, v in net.state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=words):
        net.load_state_dict(state)
    for path, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[path])


@pytest.mark.parametrize("count", [1.7, np.nan, 2.0**70])
def test_an_integer_buffer_takes_only_whole_numbers(count):
    layer = nn.Identity()
    layer.count = nn.Buffer(np.array(3))
    with pytest.raises(ValueError, match="count holds values that do not fit into int64"):
        layer.load_state_dict({"count": np.array(count)})
    assert layer.count.data == 3
    layer.load_state_dict({"count": np.array(4.0)})
    assert layer.count.data == 4


def test_loading_keeps_what_is_not_finite():
    layer = nn.PReLU(2)
    layer.load_state_dict({"weight": np.array([np.nan, np.inf])})
    np.testing.assert_array_equal(layer.weight.data, [np.nan, np.inf])


def test_loading_loosely():
    net = model()
    paths = list(net.state_dict())
    left = net.load_state_dict({"0.bias": np.full(4, 7.0), "other": np.ones(1)}, strict=False)
    assert (net[0].bias.data == 7).all()
    assert left.unexpected_keys == ["other"]
    assert left.missing_keys == [path for path in paths if path != "0.bias"]
    assert net.load_state_dict(net.state_dict()) == ([], [])
    with pytest.raises(ValueError, match=r"0\.bias has shape \(3,\) instead of \(4,\)"):
        net.load_state_dict({"0.bias": np.ones(3)}, strict=False)


def test_loading_nothing_is_told():
    net = model()
    before = net.state_dict()
    renamed = {f"net.{path}": value for path, value in before.items()}
    words = r"nothing was loaded: the state has net\.0\.\w+, .*, and the model 0\.\w+.*rename"
    with pytest.warns(nn.ModelWarning, match=words) as told:
        left = net.load_state_dict(renamed, strict=False)
    assert [warning.filename for warning in told] == [__file__]
    assert left == (list(before), list(renamed))
    with pytest.warns(nn.ModelWarning, match="the state has no paths"):
        net.load_state_dict({}, strict=False)
    assert nn.ReLU().load_state_dict({}, strict=False) == ([], [])  # there is nothing to load


def test_modes_recurse_and_are_restored_one_by_one():
    net = nn.Sequential(nn.Dropout(), nn.Residual(nn.Sequential(nn.Dropout())))
    assert net.train() is net
    assert net.eval() is net
    assert not any(layer.training for layer in net.named_layers().values())
    net.train()
    net[1].branch.eval()
    before = [layer.training for layer in net.named_layers().values()]
    net.predict(np.ones((3, 2), np.float32))
    assert [layer.training for layer in net.named_layers().values()] == before
    with pytest.raises(ZeroDivisionError), net.evaluation():
        raise ZeroDivisionError
    assert [layer.training for layer in net.named_layers().values()] == before


def test_inference_belongs_to_its_thread():
    layer, x = nn.Linear(2, 2), np.ones((1, 2), np.float32)
    with nn.inference():
        thread = threading.Thread(target=lambda: layer(x))
        thread.start()
        thread.join()
    assert layer.backward(np.ones((1, 2), np.float32)) is not None


def test_inference_contexts_nest():
    layer, x = nn.Linear(2, 2), np.ones((1, 2), np.float32)
    context = nn.inference()
    with context, context, nn.inference(False):
        layer(x)
        layer.backward(x)
    layer(x)
    layer.backward(x)

    @nn.inference()
    def predict():
        return layer(x)

    predict()
    with pytest.raises(RuntimeError, match="inference"):
        layer.backward(x)


def test_inference_left_in_another_thread():
    def stream():
        with nn.inference():
            yield

    generator = stream()
    entering = threading.Thread(target=lambda: next(generator))
    entering.start()
    entering.join()
    generator.close()
    layer, x = nn.Linear(2, 2), np.ones((1, 2), np.float32)
    layer(x)
    layer.backward(x)

    generator = stream()
    next(generator)
    closing = threading.Thread(target=generator.close)
    closing.start()
    closing.join()
    layer(x)
    layer.backward(x)


def test_inference_contexts_of_generators_end_in_any_order():
    def stream(mode):
        with nn.inference(mode):
            yield

    layer, x = nn.Linear(2, 2), np.ones((1, 2), np.float32)
    first, second = stream(True), stream(False)
    next(first)
    next(second)
    first.close()
    layer(x)
    layer.backward(x)
    second.close()
    layer(x)
    layer.backward(x)


class Tensor:
    """As PyTorch's, with a gradient."""

    requires_grad = True


def test_a_state_that_holds_no_arrays():
    layer = nn.Linear(2, 2, bias=False)
    with pytest.raises(TypeError, match=r"load_state_dict: expected arrays by path.*a list"):
        layer.load_state_dict([np.ones((2, 2))])
    with pytest.raises(TypeError, match=r": weight must be .*; write weight\.detach\(\)\.cpu"):
        layer.load_state_dict({"weight": Tensor()})


def test_the_mode_is_a_flag():
    with pytest.raises(ValueError, match=r"^train: mode must be True or False, got 'False'"):
        nn.Linear(2, 2).train("False")


def test_astype_is_a_copy():
    layer = nn.Linear(2, 2)
    double = layer.astype(np.float64)
    assert {p.dtype for p in double.parameters()} == {np.dtype(np.float64)}
    assert double.weight.grad.dtype == np.float64
    assert layer.weight.dtype == np.float32
    for dtype in (np.int64, bool, "complex64", "no dtype"):
        with pytest.raises(TypeError, match=r"^Linear.astype: expected a dtype of floats"):
            layer.astype(dtype)


def frozen(net):
    return [path for path, p in net.named_parameters().items() if not p.trainable]


@pytest.mark.parametrize(
    ("paths", "chosen"),
    [
        ("*", ["0.weight", "0.bias", "2.branch.0.weight", "2.branch.0.bias"]),
        ("0.*", ["0.weight", "0.bias"]),
        ("0", ["0.weight", "0.bias"]),  # a layer: all inside
        ("2.branch", ["2.branch.0.weight", "2.branch.0.bias"]),
        ("*.bias", ["0.bias", "2.branch.0.bias"]),
        ("[01].w*", ["0.weight"]),
        (["2.*.bias", "0.weight"], ["0.weight", "2.branch.0.bias"]),
    ],
)
def test_patterns_choose_what_is_frozen(paths, chosen):
    net = model()
    assert net.freeze(paths) is net
    assert frozen(net) == chosen
    net.unfreeze(chosen[0])
    assert frozen(net) == chosen[1:]
    assert frozen(net.unfreeze()) == []


def test_a_frozen_part_rests_in_an_optimizer_that_is_there_already():
    net, x = model(), np.ones((2, 3), np.float32)
    optimizer, before = nn.SGD(net.parameters(), lr=0.1, weight_decay=0.1), net.state_dict()
    net.freeze("0.*")
    net.backward(np.ones_like(net(x)))
    optimizer.step()
    moved = [path for path, old in before.items() if (net.state_dict()[path] != old).any()]
    assert moved == ["2.branch.0.weight", "2.branch.0.bias"]


def test_a_tied_parameter_is_chosen_by_each_of_its_paths():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
    second.weight = first.weight
    assert frozen(nn.Sequential(first, second).freeze("1.*")) == ["0.weight"]


def test_a_pattern_without_a_match_lists_near_paths_and_changes_nothing():
    net = model()
    with pytest.raises(ValueError, match=r"^freeze: no parameter matches '2.brnch.\*'; near are 2"):
        net.freeze(["0.*", "2.brnch.*"])
    with pytest.raises(ValueError, match=r"no parameter matches '1'; near are 0.weight"):
        net.freeze("1")
    assert frozen(net) == []
    with pytest.raises(ValueError, match="matches '\\*': there are no parameters"):
        nn.ReLU().freeze()


def test_groups_by_pattern_the_first_that_matches_decides():
    net = model()
    groups = net.parameter_groups({"0.bias": {"lr": 0.5}, "*.bias": {}, "0": {"weight_decay": 1.0}})
    named = {id(p): path for path, p in net.named_parameters().items()}
    paths = [[named[id(p)] for p in group["params"]] for group in groups]
    assert paths == [["0.bias"], ["2.branch.0.bias"], ["0.weight"], ["2.branch.0.weight"]]
    optimizer = nn.Adam(groups, lr=0.1)
    assert [(g["lr"], g["weight_decay"]) for g in optimizer.groups] == [
        (0.5, 0), (0.1, 0), (0.1, 1.0), (0.1, 0),
    ]  # fmt: skip
    assert len(net.parameter_groups({"*": {"lr": 0.1}})) == 1


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"3.*": {}}, ValueError, "^parameter_groups: no parameter matches '3"),
        ({"*": {}, "0.*": {}}, ValueError, "'0.*' belongs to an earlier pattern; put the narrower"),
        ("0.*", TypeError, 'expected options by pattern, as {"0.*": {"lr": 1e-4}}, got'),
        ({"0.*": 0.1}, TypeError, "expected a pattern and its options, .* got '0.*': 0.1"),
        ({0: {}}, TypeError, "expected a pattern and its options, .* got 0: {}"),
    ],
)
def test_groups_that_make_no_sense_are_refused(options, error, words):
    with pytest.raises(error, match=words):
        model().parameter_groups(options)


def test_predict_works_in_batches_and_casts():
    net, x = model(), np.random.default_rng(0).standard_normal((10, 3))
    whole = net.predict(x)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(net.predict(x, batch_size=3), whole, rtol=1e-6)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((0, 3)), ValueError, "x is empty"),
        (np.array([[0, 0, 0], [0, np.nan, 0]]), ValueError, "row 1 contains nan"),
        (np.array([[0, 0, -np.inf]]), ValueError, "row 0 contains -inf"),
        (np.array([[0, 0, 0], [0, 1e300, 0]]), ValueError, "x as float32 .* row 1 contains inf"),
        (np.array([["a", "b", "c"]]), TypeError, "x must hold numbers"),
        (np.array([[None, 1, 2]]), TypeError, "x must hold numbers"),
        (np.zeros((2, 5)), ValueError, r"layer 0 › Linear\(3, 4\): expected \(N, 3\)"),
        (np.zeros(3), ValueError, r"expected \(N, 3\), got \(3,\)"),
        (np.zeros((2, 3), int), TypeError, "floating-point"),
    ],
)
def test_predict_refuses_what_does_not_fit(x, error, words):
    with pytest.raises(error, match=words):
        model().predict(x)


def test_predict_over_streams():
    net, x = model(), np.random.default_rng(0).standard_normal((10, 3))
    whole, closed = net.predict(x), []

    def stream(rng):
        try:
            yield x[:4]
            yield x[4:]
        finally:
            closed.append(True)

    for source in (stream, stream(None), iter([x[:4], x[4:]]), lambda rng: [x[:4], x[4:]]):
        np.testing.assert_allclose(net.predict(source), whole, rtol=1e-6)
    assert closed == [True, True]
    noise = net.predict(lambda rng: [rng.standard_normal((2, 3))])
    np.testing.assert_array_equal(noise, net.predict(lambda rng: [rng.standard_normal((2, 3))]))
    two = nn.Sequential(nn.Parallel(nn.Linear(3, 2), nn.Linear(3, 2)), nn.Join())
    np.testing.assert_array_equal(two.predict(iter([(x, x)])), two.predict((x, x)))


def test_predict_over_a_stream_pads_to_the_longest():
    rnn, short, long = nn.LSTM(1, 2), nn.pad_sequences([[1.0, 2.0]]), nn.pad_sequences([[3.0] * 4])
    parts = [nn.Padded(p.data[..., None], p.lengths) for p in (short, long)]
    y = rnn.predict(iter(parts))
    assert (y.shape, y.lengths.tolist()) == ((2, 4, 2), [2, 4])
    np.testing.assert_array_equal(y.data[0, :2], rnn.predict(parts[0]).data[0])
    assert not y.data[0, 2:].any()


@pytest.mark.parametrize(
    ("batches", "error", "words"),
    [
        ([], ValueError, "x is empty: the stream gave no batch"),
        (
            [np.ones((2, 3)), np.full((2, 3), np.nan)],
            ValueError,
            "batch 2: x .* row 0 contains nan",
        ),
        ([3.0], ValueError, "batch 1: x must have one row for each sample"),
        ([(np.ones((2, 3)), np.ones(2))], TypeError, "predict takes x without y"),
        ([(np.ones((2, 3)), np.ones((3, 1)))], ValueError, "^batch 1: x: .* same number of rows"),
    ],
)
def test_predict_refuses_batches_that_do_not_fit(batches, error, words):
    with pytest.raises(error, match=words):
        model().predict(iter(batches))


def test_outputs_that_do_not_fit_together_are_refused():
    x = np.ones((2, 4, 3), np.float32)
    for other in (x[:, :2], nn.Padded(x, [4, 2])):
        with pytest.raises(ValueError, match="the outputs of the batches do not fit together: "):
            nn.Identity().predict(iter([x, other]))


def test_repr_never_raises():
    class Forgetful(nn.Layer):
        def __init__(self, size, mode="a"):
            self.other = size

    class Rude:
        def __repr__(self):
            raise ZeroDivisionError

    class Holder(nn.Layer):
        def __init__(self, thing):
            self.thing = thing

    class Unfinished(nn.Layer):
        def __init__(self, *shape):
            self.shape = None

    class Touchy(nn.Layer):
        def __init__(self, size):
            pass

        @property
        def size(self):
            raise ValueError("not yet")

    assert repr(Forgetful(3)) == "Forgetful(size=?, mode=?)"
    assert repr(Unfinished(3)) == "Unfinished(shape=?)"
    assert repr(Touchy(3)) == "Touchy(size=?)"
    assert repr(Holder(Rude())) == "Holder(<Rude>)"
    assert repr(Holder(np.ones((2, 3)))) == "Holder(array(2, 3))"
    assert repr(nn.Linear(2, 3, bias=False)) == "Linear(2, 3, bias=False)"
    assert "\n  Linear(100, 100)," in repr(nn.Sequential(*[nn.Linear(100, 100) for _ in "abcdef"]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.Linear(0, 3), "in_features must be a whole number"),
        (lambda: nn.Linear(3, 2.5), "out_features"),
        (lambda: nn.Dropout(1.0), "p must be"),
        (lambda: nn.Dropout(float("nan")), "p must be"),
        (lambda: nn.Permute(0, 1), "axes 1 to 2"),
        (lambda: nn.GELU("exact"), "approximate"),
        (lambda: nn.HardTanh(1, 1), "min_val < max_val"),
        (lambda: nn.RReLU(0.5, 0.25), "lower ≤ upper"),
        (lambda: nn.Softshrink(-1), "lambd must be a number ≥ 0"),
        (lambda: nn.Softplus(0), "beta"),
        (lambda: nn.ELU(0), "alpha"),
        (
            lambda: nn.Linear(2, 3, weight_init=lambda shape, rng: np.ones(5)),
            r"shape \(2, 3\), got",
        ),
        (lambda: nn.Linear(2, 3, bias_init=lambda shape, rng: 0.0), r"shape \(3,\), got \(\)"),
        (lambda: nn.seed(None), "seed: value must be a whole number ≥ 0, got None"),
        (lambda: nn.seed(-1), "seed: value must be"),
        (lambda: nn.PReLU(0), "num_parameters must be a whole number"),
        (lambda: nn.Reshape(2, 0), r"whole number ≥ 1, or −1, got \(2, 0\)"),
        (lambda: nn.Reshape((2, 3)), r"write Reshape\(\*shape\) to pass a list"),
        (lambda: nn.Reshape(-1, -1), "only one size can be −1"),
    ],
)
def test_bad_arguments_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("layer", [nn.Linear(3, 2), nn.Tanh(), nn.ReLU(), nn.PReLU()])
@pytest.mark.parametrize("shape", [(2, 4), (2, 1), (4,), (8, 1), (1, 2, 4)])
def test_a_gradient_of_another_shape_changes_nothing(layer, shape):
    layer(np.ones((4, 3), np.float32))
    with pytest.raises(ValueError, match=rf"{type(layer).__name__}\(.*in y's shape \(4, "):
        layer.backward(np.ones(shape, np.float32))
    assert not any(p.grad.any() for p in layer.parameters())
    layer(np.ones((4, 3), np.float32))
    with pytest.raises(TypeError, match="got NoneType"):
        layer.backward(None)


def test_a_function_that_forgets_the_tuple():
    class Half(nn.Elementwise):
        def function(self, x):
            return x / 2

    with pytest.raises(TypeError, match=r"Half\(\): function must return a tuple.*got ndarray"):
        Half()(np.ones((3, 2), np.float32))


@pytest.mark.parametrize("layer", [nn.Flatten(), nn.Reshape(2, -1), nn.Reshape(-1)])
def test_no_samples_can_be_reshaped(layer):
    y = layer(np.ones((0, 2, 3), np.float32))
    assert y.shape == layer(np.ones((1, 2, 3), np.float32))[:0].shape
    layer(np.ones((0, 2, 3), np.float32))
    assert layer.backward(y).shape == (0, 2, 3)


def test_a_missing_axis_is_named():
    for layer in (nn.GLU(axis=2), nn.Softmax(axis=5), nn.LogSoftmax(axis=-3)):
        with pytest.raises(ValueError, match=r"expected an input with axis \S+, got \(2, 4\)") as e:
            layer(np.ones((2, 4), np.float32))
        assert str(e.value).startswith(f"{layer!r}: ")


def test_a_layer_without_methods_says_so():
    with pytest.raises(NotImplementedError, match=r"Odd must define forward"):
        Odd()(np.ones(1))


def test_dropout_keeps_the_mean_and_differs_from_call_to_call():
    layer, x = nn.Dropout(0.3, rng=0), np.ones((100, 100), np.float32)
    first, second = layer(x), layer(x)
    assert abs(first.mean() - 1) < 0.02
    assert abs((first == 0).mean() - 0.3) < 0.02
    assert (first != second).any()
    assert (layer.eval()(x) == x).all()


def test_seeding_makes_models_equal():
    nn.seed(3)
    first = model().state_dict()
    nn.seed(3)
    second = model().state_dict()
    third = model().state_dict()
    for path, value in first.items():
        np.testing.assert_array_equal(value, second[path])
        assert (value != third[path]).any()
    with pytest.raises(TypeError, match="rng must be"):
        nn.Linear(2, 2, rng="0")


def test_rrelu_draws_a_slope_for_each_negative_value_and_takes_the_mean_in_eval_mode():
    layer, x = nn.RReLU(0.25, 0.5, rng=0), np.full((100, 100), -2.0)
    slopes = layer(x) / x
    np.testing.assert_array_equal(layer.backward(np.ones_like(x)), slopes)
    assert (slopes.min(), slopes.max()) == pytest.approx((0.25, 0.5), abs=1e-3)
    assert slopes.mean() == pytest.approx(0.375, abs=5e-3)
    assert (layer(x) / x != slopes).mean() > 0.99
    assert (layer.eval()(x) == 0.375 * x).all()
    assert (layer.train()(-x) == -x).all()
