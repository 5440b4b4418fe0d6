"""clone: the same constructor calls, fresh draws; ties and dtypes as they were."""

import numpy as np
import pytest
from cases import LAYERS, LOSSES, layer_input, layer_of

import nnlite as nn


@pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS.keys())
def test_every_layer_is_built_anew(case):
    layer = layer_of(case)
    twin = nn.clone(layer).train(case.training)
    assert repr(twin) == repr(layer)
    assert type(twin) is type(layer)
    mine, its = layer.state_dict(), twin.state_dict()
    assert {k: (v.shape, v.dtype) for k, v in mine.items()} == {
        k: (v.shape, v.dtype) for k, v in its.items()
    }
    parts = [set(map(id, model.named_layers().values())) for model in (layer, twin)]
    assert not parts[0] & parts[1]
    x = layer_input(case)
    assert twin(x).shape == layer(x).shape


@pytest.mark.parametrize("case", LOSSES.values(), ids=LOSSES.keys())
def test_losses_too(case):
    loss = case.make()
    twin = nn.clone(loss)
    assert twin is not loss
    assert repr(twin) == repr(loss)


def test_schedules_and_initializers_too():
    schedule = nn.WarmupSchedule(nn.CosineSchedule(0.1, 10), 5)
    twin = nn.clone(schedule)
    assert repr(twin) == repr(schedule)
    assert twin.schedule is not schedule.schedule
    assert nn.clone(nn.initializers.He()) is not None


def model():
    return nn.Sequential(nn.Linear(4, 5, rng=1), nn.Residual(nn.Linear(5, 5)), nn.Dropout(rng=2))


def test_draws_are_fresh_and_follow_the_seed():
    blueprint = model()
    nn.seed(3)
    first, second = nn.clone(blueprint), nn.clone(blueprint)
    nn.seed(3)
    again = nn.clone(blueprint)
    weights = [m[0].weight.data for m in (blueprint, first, second, again)]
    assert not np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[1], weights[2])
    np.testing.assert_array_equal(weights[1], weights[3])
    assert blueprint[2].rng is not first[2].rng
    assert first[2].rng.random() == again[2].rng.random() != blueprint[2].rng.random()


def test_what_was_learned_or_set_is_left_behind():
    blueprint = model().eval()
    before = blueprint.state_dict()
    blueprint[0].weight.trainable = False
    blueprint[0].weight.grad = np.ones((4, 5))
    twin = nn.clone(blueprint)
    assert twin.training
    assert twin[0].weight.trainable
    assert not twin[0].weight.grad.any()
    for path, value in blueprint.state_dict().items():
        np.testing.assert_array_equal(value, before[path])


def test_the_dtype_stays():
    twin = nn.clone(model().astype(np.float64))
    assert {p.dtype for p in twin.parameters()} == {np.dtype(np.float64)}
    assert {p.grad.dtype for p in twin.parameters()} == {np.dtype(np.float64)}


def test_shared_parameters_are_shared_again():
    net = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Residual(nn.Linear(4, 4)))
    net[2].branch.weight = net[0].weight
    twin = nn.clone(net)
    assert twin[2].branch.weight is twin[0].weight
    assert twin[2].branch.bias is not twin[0].bias
    assert twin[0].weight is not net[0].weight
    assert len(twin.parameters()) == 3


class Mixed(nn.Layer):
    """Every kind of argument at once."""

    def __init__(self, size, *layers, rng=None, inits=(), weight=None, **options):
        self.size = size
        self.layers = layers
        self.rng = rng
        self.inits = inits
        self.weight = weight
        self.options = options


def test_every_kind_of_argument():
    shared = nn.Parameter(np.arange(3.0))
    layer = Mixed(
        3, nn.ReLU(), nn.Linear(2, 2), inits=[nn.initializers.He(), {"a": nn.ReLU()}],
        weight=shared, extra=(1, "b"), other=shared,
    )  # fmt: skip
    twin = nn.clone(layer)
    assert twin.size == 3
    assert [type(part) for part in twin.layers] == [nn.ReLU, nn.Linear]
    assert twin.inits[0] is not layer.inits[0]
    assert isinstance(twin.inits[1]["a"], nn.ReLU)
    assert twin.options["extra"] == (1, "b")
    assert twin.weight is twin.options["other"] is not shared
    np.testing.assert_array_equal(twin.weight.data, shared.data)


def test_arguments_that_were_not_kept_are_named():
    class Forgetful(nn.Layer):
        def __init__(self, units):
            self.n = units

    with pytest.raises(TypeError, match="Forgetful has no attribute 'units'"):
        nn.clone(nn.Sequential(nn.ReLU(), Forgetful(3)))


@pytest.mark.parametrize(
    "rng",
    [
        lambda: 5,
        lambda: np.random.SeedSequence(5),
        lambda: np.random.default_rng(5),
        lambda: np.random.RandomState(5),
        lambda: np.random.PCG64(5),
    ],
)
def test_fresh_draws_from_a_seed(rng):
    blueprint = nn.Sequential(*model().layers, nn.LSTM(5, 3, num_layers=2, rng=3))
    nn.seed(1)
    expected = nn.clone(blueprint).state_dict()
    nn.seed(1)
    first, again = (nn.clone(blueprint, rng()) for _ in range(2))
    for path, value in first.state_dict().items():
        np.testing.assert_array_equal(value, again.state_dict()[path])
    assert first[2].rng.random() == again[2].rng.random()
    assert not np.array_equal(first[0].weight.data, blueprint[0].weight.data)
    for path, value in nn.clone(blueprint).state_dict().items():  # the root was left alone
        np.testing.assert_array_equal(value, expected[path])


def test_a_generator_gives_another_clone_each_time():
    rng = np.random.default_rng(5)
    first, second = (nn.clone(model(), rng)[0].weight.data for _ in range(2))
    assert not np.array_equal(first, second)


def test_optimizers_and_trainers_belong_to_one_model():
    net = model()
    optimizer = nn.Adam(net.parameters(), lr=0.1)
    with pytest.raises(
        TypeError, match=r"clone: Adam updates .* a new Adam from .* parameters\(\)"
    ):
        nn.clone(optimizer)
    with pytest.raises(TypeError, match=r"clone: Trainer updates .* build a new Adam"):
        nn.clone(nn.Trainer(net, nn.MSELoss(), optimizer))
