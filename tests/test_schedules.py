"""Schedules: their values worked out by hand, what they refuse, and their use in optimizers."""

import inspect
import math

import numpy as np
import pytest

import nnlite as nn

CASES = {
    "ConstantSchedule": nn.ConstantSchedule(0.1),
    "StepSchedule": nn.StepSchedule(0.1, 3, gamma=0.5),
    "MultiStepSchedule": nn.MultiStepSchedule(0.1, (2, 5)),
    "ExponentialSchedule": nn.ExponentialSchedule(0.1, 0.5),
    "PolynomialSchedule": nn.PolynomialSchedule(0.1, 4, power=2.0),
    "CosineSchedule": nn.CosineSchedule(0.1, 10, min_lr=0.01, restarts=True, growth=2),
    "WarmupSchedule": nn.WarmupSchedule(nn.CosineSchedule(0.1, 10), 5, start_factor=0),
    "OneCycleSchedule": nn.OneCycleSchedule(0.1, 20, anneal_strategy="linear"),
    "InverseSqrtSchedule": nn.InverseSqrtSchedule(0.1, 4),
    "CyclicSchedule": nn.CyclicSchedule(0.01, 0.1, 3, 5, "exp_range", 0.9),
    "SequentialSchedule": nn.SequentialSchedule(
        [nn.ConstantSchedule(0.1), nn.CosineSchedule(0.1, 5)], [4]
    ),
    "ChainedSchedule": nn.ChainedSchedule(
        [nn.StepSchedule(0.1, 3), nn.ExponentialSchedule(1.0, 0.9)]
    ),
}


def values(schedule, steps):
    return [schedule(k) for k in range(steps)]


def test_every_schedule_has_a_row():
    assert list(CASES) == [type(schedule).__name__ for schedule in CASES.values()]
    assert set(CASES) == set(nn.schedules.__all__)


@pytest.mark.parametrize("schedule", CASES.values(), ids=CASES)
def test_what_all_schedules_share(schedule):
    assert repr(eval(repr(schedule), vars(nn))) == repr(schedule)
    for name, parameter in inspect.signature(type(schedule)).parameters.items():
        assert hasattr(schedule, name), parameter
    for heading in ("Rule", "Args", "Raises", "Source"):
        assert heading in inspect.getdoc(type(schedule))
    found = values(schedule, 60)
    assert all(type(value) is float and 0 <= value <= 0.1 * (1 + 1e-12) for value in found)
    assert found == values(schedule, 60)  # no state
    optimizer = nn.SGD([nn.Parameter([1.0])], lr=schedule)
    optimizer.step()
    assert optimizer.current_lr == schedule(0)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (nn.ConstantSchedule(2.0), [2, 2, 2]),
        (nn.StepSchedule(8.0, 2, gamma=0.5), [8, 8, 4, 4, 2, 2, 1]),
        (nn.MultiStepSchedule(8.0, [1, 4], gamma=0.5), [8, 4, 4, 4, 2, 2]),
        (nn.MultiStepSchedule(8.0, []), [8, 8]),
        (nn.ExponentialSchedule(8.0, 0.5), [8, 4, 2, 1]),
        (nn.PolynomialSchedule(4.0, 4), [4, 3, 2, 1, 0, 0]),
        (nn.PolynomialSchedule(5.0, 2, power=2.0, min_lr=1.0), [5, 2, 1, 1]),
        (nn.CosineSchedule(4.0, 2), [4, 2, 0, 0, 0]),
        (nn.CosineSchedule(4.0, 2, min_lr=2.0), [4, 3, 2, 2]),
        (nn.CosineSchedule(4.0, 2, restarts=True), [4, 2, 4, 2, 4, 2]),
        (
            nn.CosineSchedule(4.0, 2, restarts=True, growth=2),
            [4, 2, 4, 2 + math.sqrt(2), 2, 2 - math.sqrt(2), 4],
        ),
        (nn.WarmupSchedule(nn.ConstantSchedule(4.0), 4, start_factor=0), [0, 1, 2, 3, 4, 4]),
        (nn.WarmupSchedule(nn.ConstantSchedule(3.0), 2), [1, 2, 3, 3]),
        (nn.WarmupSchedule(nn.StepSchedule(4.0, 2, gamma=0.5), 1, 0.5), [2, 4, 4, 2, 2, 1]),
        (nn.WarmupSchedule(lambda k: 1.0 / (k + 1), 1, 0), [0, 1, 0.5]),
        (
            nn.OneCycleSchedule(4.0, 5, 0.6, "linear", div_factor=4, final_div_factor=2),
            [1, 2.5, 4, 2.25, 0.5, 0.5],
        ),
        (nn.OneCycleSchedule(4.0, 5, 0.6, div_factor=2, final_div_factor=1), [2, 3, 4, 3, 2, 2]),
        (nn.OneCycleSchedule(4.0, 4, 0.25, "linear", 2, 1), [4, 10 / 3, 8 / 3, 2]),
        (
            nn.OneCycleSchedule(4.0, 7, 3 / 7, "linear", 4, 2, three_phase=True),
            [1, 2.5, 4, 2.5, 1, 0.75, 0.5, 0.5],
        ),
        (
            nn.OneCycleSchedule(4.0, 4, 0.5, "linear", 2, 1, three_phase=True),
            [2, 4, 2, 2, 2],
        ),
        (
            nn.OneCycleSchedule(4.0, 4, 0.25, "linear", 2, 2, three_phase=True),
            [2, 5 / 3, 4 / 3, 1],
        ),
        (nn.CyclicSchedule(1.0, 3.0, 2), [1, 2, 3, 2, 1, 2, 3, 2, 1]),
        (nn.CyclicSchedule(0.0, 4.0, 1, 2, "triangular2"), [0, 4, 2, 0, 2, 1, 0, 1, 0.5]),
        (nn.CyclicSchedule(1.0, 3.0, 2, 1, "exp_range", 0.5), [1, 1.5, 1.5, 1, 1.0625, 1.0625]),
        (
            nn.SequentialSchedule(
                [nn.ConstantSchedule(3.0), nn.PolynomialSchedule(4.0, 2), lambda k: 7.0 + k], [2, 4]
            ),
            [3, 3, 4, 2, 7, 8],
        ),
        (nn.SequentialSchedule([nn.ExponentialSchedule(8.0, 0.5)], []), [8, 4, 2]),
        (
            nn.ChainedSchedule([nn.StepSchedule(8.0, 2, 0.5), nn.ExponentialSchedule(1, 0.5)]),
            [8, 4, 1, 0.5],
        ),
        (nn.InverseSqrtSchedule(6.0, 1), [6, 6 / math.sqrt(2), 6 / math.sqrt(3), 3]),
    ],
    ids=repr,
)
def test_values_by_hand(schedule, expected):
    assert values(schedule, len(expected)) == pytest.approx(expected, abs=1e-12)


def test_the_transformers_schedule():
    width, warmup = 64, 40
    peak = width**-0.5 * warmup**-0.5
    schedule = nn.WarmupSchedule(nn.InverseSqrtSchedule(peak, warmup), warmup, start_factor=0)
    for k in range(1, 200):
        assert schedule(k) == pytest.approx(width**-0.5 * min(k**-0.5, k * warmup**-1.5))


def test_momentum_goes_the_other_way_in_one_cycle():
    momentum = nn.OneCycleSchedule(0.85, 100, div_factor=0.85 / 0.95, final_div_factor=1)
    found = values(momentum, 120)
    assert (found[0], min(found), found[-1]) == pytest.approx((0.95, 0.85, 0.95))
    assert max(found) < 1


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: nn.ConstantSchedule(0), ValueError, "ConstantSchedule: lr must be a number > 0"),
        (lambda: nn.ConstantSchedule(math.nan), ValueError, "lr .* got nan"),
        (lambda: nn.StepSchedule(0.1, 0), ValueError, "step_size must be a whole number ≥ 1"),
        (lambda: nn.StepSchedule(0.1, 3, gamma=-1), ValueError, "gamma must be"),
        (lambda: nn.MultiStepSchedule(0.1, [5, 2]), ValueError, r"must increase, got \[5, 2\]"),
        (lambda: nn.MultiStepSchedule(0.1, [2, 2]), ValueError, "must increase"),
        (lambda: nn.MultiStepSchedule(0.1, [2.5]), ValueError, r"got 2\.5"),
        (lambda: nn.ExponentialSchedule(0.1, math.inf), ValueError, "gamma"),
        (lambda: nn.PolynomialSchedule(0.1, 10, power=0), ValueError, "power"),
        (lambda: nn.PolynomialSchedule(0.1, 10, min_lr=0.2), ValueError, r"at most lr=0\.1, got"),
        (lambda: nn.PolynomialSchedule(0.1, 0), ValueError, "steps must be"),
        (lambda: nn.CosineSchedule(-0.1, 10), ValueError, "CosineSchedule: lr"),
        (lambda: nn.CosineSchedule(0.1, 1.5), ValueError, "steps"),
        (lambda: nn.CosineSchedule(0.1, 10, min_lr=-1), ValueError, "min_lr"),
        (lambda: nn.CosineSchedule(0.1, 10, growth=2), ValueError, "needs restarts=True"),
        (lambda: nn.CosineSchedule(0.1, 10, restarts=True, growth=0), ValueError, "growth"),
        (lambda: nn.WarmupSchedule(0.1, 10), TypeError, r"ConstantSchedule\(lr\), got 0\.1"),
        (lambda: nn.WarmupSchedule(nn.ConstantSchedule(1), 0), ValueError, "steps"),
        (lambda: nn.WarmupSchedule(nn.ConstantSchedule(1), 5, 1.5), ValueError, "start_factor"),
        (lambda: nn.OneCycleSchedule(0.1, 1), ValueError, "steps must be a whole number ≥ 2"),
        (lambda: nn.OneCycleSchedule(0.1, 10, pct_start=0.05), ValueError, "one of 10 steps"),
        (lambda: nn.OneCycleSchedule(0.1, 10, pct_start=1.0), ValueError, "pct_start"),
        (lambda: nn.OneCycleSchedule(0.1, 10, anneal_strategy="sin"), ValueError, "'sin'"),
        (lambda: nn.OneCycleSchedule(0.1, 10, div_factor=0), ValueError, "div_factor"),
        (lambda: nn.InverseSqrtSchedule(0.1, -4), ValueError, "steps"),
        (lambda: nn.OneCycleSchedule(0.1, 10, 0.6, three_phase=True), ValueError, "at most 0.5"),
        (lambda: nn.CyclicSchedule(0.2, 0.1), ValueError, "at most max_lr=0.1, got 0.2"),
        (lambda: nn.CyclicSchedule(0.1, 0.2, 0), ValueError, "step_size_up must be a whole"),
        (lambda: nn.CyclicSchedule(0.1, 0.2, mode="sine"), ValueError, "mode must be"),
        (lambda: nn.CyclicSchedule(0.1, 0.2, gamma=0.9), ValueError, 'needs mode="exp_range"'),
        (lambda: nn.SequentialSchedule([], []), ValueError, "no schedules to follow"),
        (
            lambda: nn.SequentialSchedule([lambda k: 1.0] * 2, [3, 4]),
            ValueError,
            r"2 schedules need 1 milestones between them, got \[3, 4\]",
        ),
        (lambda: nn.SequentialSchedule([lambda k: 1.0] * 3, [4, 3]), ValueError, "must increase"),
        (lambda: nn.SequentialSchedule([0.1, 0.2], [3]), TypeError, "a schedule such as"),
        (lambda: nn.ChainedSchedule([]), ValueError, "no schedules to multiply"),
        (lambda: nn.ChainedSchedule(nn.ConstantSchedule(0.1)), TypeError, r"put it in \[ \]"),
        (
            lambda: nn.ChainedSchedule([lambda k: None])(3),
            ValueError,
            "schedule must return a number, got None at step 3",
        ),
    ],
)
def test_bad_arguments(make, error, match):
    with pytest.raises(error, match=match):
        make()


# In optimizers


def walk(optimizer, params, steps):
    rng = np.random.default_rng(1)
    for _ in range(steps):
        for p in params:
            p.grad = rng.standard_normal(p.shape)
        optimizer.step()


DECAYING = [nn.SGD, nn.Adam, nn.AdamW, nn.Lion, nn.RMSprop, nn.Adagrad]


@pytest.mark.parametrize("cls", DECAYING)
def test_weight_decay_by_schedule(cls):
    """One step at a time, each by an optimizer with the number in place of the schedule."""
    schedule = nn.StepSchedule(0.4, 2, gamma=0.5)
    one, other = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(3))
    scheduled, plain = cls([one], weight_decay=schedule), cls([other], weight_decay=0.1)
    for k in range(6):
        plain.groups[0]["weight_decay"] = schedule(k)
        one.grad = other.grad = np.array([1.0, -2.0, 0.5])
        scheduled.step()
        plain.step()
        np.testing.assert_array_equal(one.data, other.data)


@pytest.mark.parametrize("cls", [nn.SGD, nn.RMSprop])
def test_momentum_by_schedule(cls):
    schedule = nn.OneCycleSchedule(0.85, 6, 0.5, div_factor=0.85 / 0.95, final_div_factor=1)
    one, other = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(3))
    scheduled, plain = cls([one], momentum=schedule), cls([other], momentum=0.1)
    for k in range(6):
        plain.groups[0]["momentum"] = schedule(k)
        one.grad = other.grad = np.array([1.0, -2.0, 0.5])
        scheduled.step()
        plain.step()
        np.testing.assert_array_equal(one.data, other.data)


def test_momentum_may_be_zero_for_a_while():
    p = nn.Parameter([0.0])
    optimizer = nn.SGD([p], lr=1.0, momentum=lambda k: [0.5, 0.0, 0.5][k])
    ways = []
    for gradient in (1.0, 3.0, 1.0):
        before = float(p.data[0])
        p.grad = [gradient]
        optimizer.step()
        ways.append(before - float(p.data[0]))
    assert ways == [1.0, 3.0, 2.5]  # b = 1;  b = 0 · 1 + 3;  b = ½ · 3 + 1


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"lr": lambda k: 1.0 - 2 * k}, "lr schedule at step 1 must be"),
        ({"momentum": lambda k: float(k)}, r"momentum schedule at step 1 must be .*\[0, 1"),
        ({"weight_decay": lambda k: (0.0, math.nan)[k]}, "weight_decay schedule at step 1 .*nan"),
        ({"weight_decay": lambda k: (0.0, "1")[k]}, "weight_decay schedule at step 1 .*'1'"),
    ],
)
def test_a_schedule_out_of_range_changes_nothing(options, match):
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = nn.SGD([{"params": [a]}, {"params": [b], **options}])
    optimizer.step()
    a.grad, b.grad = [1.0], [1.0]
    with pytest.raises(ValueError, match=match):
        optimizer.step()
    assert (a.data[0], b.data[0], optimizer.steps) == (1, 1, 1)


def test_a_scheduled_run_resumes_where_it_was():
    def made():
        p = nn.Parameter(np.ones(3))
        return [p], nn.SGD(
            [p], lr=nn.CosineSchedule(0.1, 8), momentum=lambda k: 0.9 - 0.05 * k,
            weight_decay=nn.ExponentialSchedule(0.1, 0.5),
        )  # fmt: skip

    (params, optimizer), (others, other) = made(), made()
    walk(optimizer, params, 3)
    other.load_state_dict(optimizer.state_dict())
    others[0].data = params[0].data
    for o, group in ((optimizer, params), (other, others)):
        walk(o, group, 4)
    np.testing.assert_array_equal(params[0].data, others[0].data)


def test_lr_scale_multiplies_a_schedule():
    optimizer = nn.SGD([nn.Parameter([1.0])], lr=nn.StepSchedule(0.4, 1, gamma=0.5))
    optimizer.lr_scale = 0.1
    optimizer.step()
    optimizer.step()
    assert optimizer.current_lr == pytest.approx(0.02)
