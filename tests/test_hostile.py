"""Arguments that make no sense: refused at once, by name, by every constructor and function."""

import inspect
import zlib
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pytest

import nnlite as nn
from benchmarks import hostile
from nnlite.core.arguments import RANGES, Arguments, check_constructor, checked, kind_of
from nnlite.data import augment

BASES = {
    "Callback", "Elementwise", "Initializer", "Layer", "Loss", "Metric", "Optimizer",
    "Penalty",
}  # fmt: skip
RESULTS = {"Audit", "GradientReport", "History", "Jacobian", "Profile", "ProfileRow", "Trace"}
RESULTS |= {"OptimizerReport", "TraceStep"}


def public():
    initializers = [
        name
        for name, thing in vars(nn.initializers).items()
        if inspect.isclass(thing) and issubclass(thing, nn.initializers.Initializer)
        if not name.startswith("_")
    ]
    places = {
        "": (nn, nn.__all__),
        "data.": (nn.data, nn.data.__all__),
        "augment.": (augment, augment.__all__),
        "initializers.": (nn.initializers, initializers),
    }
    for module, names in places.values():
        for name in names:
            thing = getattr(module, name)
            wrong = inspect.isclass(thing) and issubclass(thing, Exception)
            if callable(thing) and not wrong:
                yield f"augment.{name}" if module is augment else name


def test_everything_public_is_in_the_table():
    assert set(public()) - BASES - RESULTS <= set(hostile.SUBJECTS)


@pytest.mark.parametrize("name", hostile.SUBJECTS)
def test_what_is_not_checked_by_its_annotation_is_meant_to_be_free(name):
    kinds = hostile.arguments(hostile.SUBJECTS[name]).kinds
    free = {argument for argument, kind in kinds.items() if kind is None}
    # any object of nnlite, any optimizer and what it takes
    own = {
        "clone": {"model"}, "check_optimizer": {"optimizer", "options"},
        "integrated_gradients": {"baseline"},
    }  # fmt: skip
    assert free <= hostile.FREE | own.get(name, set())


@pytest.mark.parametrize("name", hostile.SUBJECTS)
@pytest.mark.parametrize("every", [8, pytest.param(2, marks=pytest.mark.slow)])
def test_a_sample_of_the_sweep(name, every, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if nn.engine() == "numba":
        monkeypatch.setattr(hostile, "SECONDS", 60)  # a first call compiles

    calls = hostile.calls([name])
    chosen = [call for call in calls if zlib.crc32("".join(call).encode()) % every == 0]
    with np.errstate(over="warn", invalid="warn", divide="warn"):
        found = list(hostile.sweep(chosen))
    assert [row for row in found if row[1] not in hostile.RIGHT] == []


def careless(p=0.5, size=1):
    if size == 0:
        raise ValueError("careless: size must be a number that is not 0")
    return np.zeros(size) + np.sqrt(p)


@pytest.mark.parametrize(
    ("argument", "value", "verdict"),
    [
        ("size", "-1", "raw"),
        ("size", "'7'", "raw"),
        ("p", "nan", "NaN"),
        ("p", "-1", "raw"),  # a warning
        ("p", "0.5", "accepted"),
    ],
)
def test_the_sweep_sees_what_is_wrong(monkeypatch, argument, value, verdict):
    careless.__annotations__ = {}
    monkeypatch.setitem(hostile.SUBJECTS, "careless", hostile.Subject(careless, use=lambda y: y))
    with np.errstate(invalid="warn"):
        assert hostile.verdict(hostile.Call("careless", argument, value))[0] == verdict


def test_ranges_without_an_argument_are_no_rows():
    names = {key.split(".")[-1] for key in RANGES}
    used = {n for s in hostile.SUBJECTS.values() for n in hostile.arguments(s).kinds}
    assert (
        names - used - {"channels", "gates", "widths", "distance"} == set()
    )  # of what is not public


# -- the form of the errors --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.Linear(3, "7"), "Linear: out_features must be a whole number ≥ 1, got '7'"),
        (lambda: nn.Linear(3, 4, bias="no"), "Linear: bias must be True or False, got 'no'"),
        (
            lambda: nn.Linear(2**40, 4),
            f"Linear: in_features must be a whole number ≥ 1 and ≤ 2147483647, got {2**40}",
        ),
        (lambda: nn.Dropout(1), "Dropout: p must be a number in [0, 1), got 1"),
        (lambda: nn.LeakyReLU(None), "LeakyReLU: negative_slope must be a number, got None"),
        (
            lambda: nn.RNN(3, 4, nonlinearity="gelu"),
            'RNN: nonlinearity must be "tanh" or "relu", got \'gelu\'',
        ),
        (
            lambda: nn.Adam(nn.Linear(2, 2)),
            "Adam: parameters must be a list of Parameters, got Linear(2, 2); pass its parameters: "
            "model.parameters()",
        ),
        (
            lambda: nn.CSVLogger(3),
            "CSVLogger: path must be a path, a string or an os.PathLike, got 3",
        ),
        (
            lambda: nn.SGD(nn.Linear(2, 2).parameters(), lr=lambda: 0.1),
            "SGD: lr must be a number > 0 or a function of the step, with 1 argument, got <lambda>",
        ),
        (
            lambda: nn.Linear(3, 4, biass=True),
            "Linear: got an unexpected keyword argument 'biass'; the arguments are in_features, "
            "out_features, bias, weight_init, bias_init, rng",
        ),
        (
            lambda: nn.Tanh.__init__ and nn.Dropout(0.5, 0, 3),
            "Dropout: too many positional arguments; the arguments are p, rng",
        ),
        (
            lambda: nn.Linear(3),
            "Linear: missing a required argument: 'out_features'; the arguments are in_features, "
            "out_features, bias, weight_init, bias_init, rng",
        ),
        (
            lambda: nn.Linear(3, 4, in_features=3),
            "Linear: multiple values for argument 'in_features'; the arguments are in_features, "
            "out_features, bias, weight_init, bias_init, rng",
        ),
        (
            lambda: nn.ReLU().predict(),
            "predict: missing a required argument: 'x'; the arguments are x, batch_size",
        ),
    ],
)
def test_one_form_for_all(call, text):
    with pytest.raises((TypeError, ValueError)) as caught:
        call()
    assert str(caught.value) == text


def test_options_of_a_group_are_checked_like_arguments():
    parameters = nn.Linear(2, 2).parameters()
    with pytest.raises(ValueError, match="Adam: amsgrad must be True or False, got 'no'"):
        nn.Adam([{"params": parameters, "amsgrad": "no"}])
    optimizer = nn.Adam([{"params": parameters, "eps": np.float64(1e-6)}])
    assert type(optimizer.groups[0]["eps"]) is float


# -- what is kept ------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [np.int64(8), np.array(8), np.uint8(8)])
@pytest.mark.parametrize(
    "make",
    [
        nn.LayerNorm,
        nn.RMSNorm,
        lambda d: nn.LayerNorm(8, eps=np.float64(1e-5)),
        lambda d: nn.TransformerLayer(d, np.int64(2), d),
        lambda d: nn.LeakyReLU(np.float64(0.1)),
        lambda d: nn.Softplus(np.array(2.0)),
    ],
)
def test_numpy_numbers_become_pythons(make, number):
    layer = make(number)
    x = np.ones((2, 3, 8), np.float32)
    assert layer(x).dtype == np.float32
    assert layer.backward(x).dtype == np.float32
    assert "np." not in repr(layer)


def test_what_was_right_is_kept_as_it_was():
    layer = nn.MaxPool2d((2, 2), [1, 1])
    assert (layer.kernel_size, layer.stride) == ((2, 2), [1, 1])
    assert nn.Conv2d(1, 1, (np.int64(2), 3)).kernel_size == (2, 3)
    assert type(nn.Dropout(0).p) is int
    assert nn.Linear(2, 2, bias=np.True_).bias is not None


# -- whose constructors ------------------------------------------------------------------------


class Mine(nn.Linear):
    def __init__(self, width: int, flag: bool = False):
        super().__init__(width, 2, bias=flag)
        self.width = width
        self.flag = flag


def test_users_constructors_are_their_own():
    class Free(nn.Layer):
        def __init__(self, flag: bool):
            self.flag = flag

    assert Free("no").flag == "no"
    assert Mine(3).bias is None
    with pytest.raises(ValueError, match="Mine: bias must be True or False, got 'no'"):
        Mine(3, "no")
    assert repr(nn.clone(Mine(3, True))) == "Mine(3, flag=True)"


def test_signatures_stay():
    assert list(inspect.signature(nn.Linear).parameters)[:3] == [
        "in_features",
        "out_features",
        "bias",
    ]
    assert list(inspect.signature(nn.data.xor).parameters) == ["n_samples", "noise", "rng"]
    assert nn.data.xor.__doc__.startswith("Four clouds")


def test_checks_happen_once(monkeypatch):
    seen = []
    one = Arguments.one
    monkeypatch.setattr(Arguments, "one", lambda *given: seen.append(given[1:3]) or one(*given))
    nn.LSTM(3, 5)
    assert seen.count(("LSTM", "hidden_size")) == 1  # not again in the constructor of its base


# -- memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10**9, 2**31 - 1])
def test_an_array_that_does_not_fit_is_named(size):
    with pytest.raises(MemoryError, match=rf"^Linear: not enough memory: .*\({size}, {size}\)"):
        nn.Linear(size, size)
    with pytest.raises(MemoryError, match=r"^Projections: not enough memory: .*shape"):
        nn.TransformerLayer(size // 4, 1, 1)


def test_both_decorators_return_what_they_decorate():
    class Plain:
        def __init__(self, n):
            self.n = n

    assert check_constructor(Plain) is Plain  # not nnlite's: as it was
    assert Plain("x").n == "x"

    @checked
    def double(size: int) -> int:
        return 2 * size

    assert double(np.int64(4)) == 8
    with pytest.raises(ValueError, match="double: size must be a whole number ≥ 1, got 0"):
        double(0)


def test_array_like_is_read_as_every_numpy_spells_it():
    older = bool | int | float | complex | str | bytes | Sequence[float]  # as NumPy 2.2 does
    assert kind_of(Mapping[int, float] | older | Literal["balanced"] | None, None) is None
