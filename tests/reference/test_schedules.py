"""Schedules give the learning rates of PyTorch's schedulers, step by step."""

import pytest

import nnlite as nn

torch = pytest.importorskip("torch")
scheduler = torch.optim.lr_scheduler

LR = 0.3
STEPS = 40

ROWS = {
    "constant": (nn.ConstantSchedule(LR), lambda o: scheduler.LambdaLR(o, lambda k: 1.0)),
    "step": (nn.StepSchedule(LR, 7), lambda o: scheduler.StepLR(o, 7)),
    "step, gamma": (nn.StepSchedule(LR, 3, 0.7), lambda o: scheduler.StepLR(o, 3, 0.7)),
    "multistep": (
        nn.MultiStepSchedule(LR, [4, 5, 20], 0.5),
        lambda o: scheduler.MultiStepLR(o, [4, 5, 20], 0.5),
    ),
    "exponential": (
        nn.ExponentialSchedule(LR, 0.9), lambda o: scheduler.ExponentialLR(o, 0.9),
    ),
    "polynomial": (
        nn.PolynomialSchedule(LR, 25), lambda o: scheduler.PolynomialLR(o, 25),
    ),
    "polynomial, power": (
        nn.PolynomialSchedule(LR, 25, 1.7), lambda o: scheduler.PolynomialLR(o, 25, 1.7),
    ),
    "linear": (  # LinearLR can go down, too
        nn.PolynomialSchedule(LR, 25, min_lr=LR / 4),
        lambda o: scheduler.LinearLR(o, 1.0, 0.25, 25),
    ),
    "cosine": (
        nn.CosineSchedule(LR, STEPS, 0.01),
        lambda o: scheduler.CosineAnnealingLR(o, STEPS, eta_min=0.01),
    ),
    "cosine, restarts": (
        nn.CosineSchedule(LR, 6, 0.01, restarts=True),
        lambda o: scheduler.CosineAnnealingWarmRestarts(o, 6, eta_min=0.01),
    ),
    "cosine, growing restarts": (
        nn.CosineSchedule(LR, 3, restarts=True, growth=3),
        lambda o: scheduler.CosineAnnealingWarmRestarts(o, 3, 3),
    ),
    "warm-up": (
        nn.WarmupSchedule(nn.ConstantSchedule(LR), 9),
        lambda o: scheduler.LinearLR(o, total_iters=9),
    ),
    "warm-up and cosine": (
        nn.WarmupSchedule(nn.CosineSchedule(LR, 30), 10, 0.1),
        lambda o: scheduler.SequentialLR(
            o,
            [scheduler.LinearLR(o, 0.1, total_iters=10), scheduler.CosineAnnealingLR(o, 30)],
            [10],
        ),
    ),
    "one cycle": (
        nn.OneCycleSchedule(LR, STEPS),
        lambda o: scheduler.OneCycleLR(o, LR, STEPS, cycle_momentum=False),
    ),
    "one cycle, linear": (
        nn.OneCycleSchedule(LR, STEPS, 0.43, "linear", 10.0, 100.0),
        lambda o: scheduler.OneCycleLR(
            o, LR, STEPS, pct_start=0.43, anneal_strategy="linear", div_factor=10.0,
            final_div_factor=100.0, cycle_momentum=False,
        ),
    ),
    "one cycle, three phases": (
        nn.OneCycleSchedule(LR, STEPS, three_phase=True),
        lambda o: scheduler.OneCycleLR(o, LR, STEPS, three_phase=True, cycle_momentum=False),
    ),
    "one cycle, three phases, linear": (
        nn.OneCycleSchedule(LR, STEPS, 0.43, "linear", 10.0, 100.0, three_phase=True),
        lambda o: scheduler.OneCycleLR(
            o, LR, STEPS, pct_start=0.43, anneal_strategy="linear", div_factor=10.0,
            final_div_factor=100.0, three_phase=True, cycle_momentum=False,
        ),
    ),
    "cyclic": (
        nn.CyclicSchedule(0.1, LR, 4),
        lambda o: scheduler.CyclicLR(o, 0.1, LR, 4, cycle_momentum=False),
    ),
    "cyclic, lower and lower": (
        nn.CyclicSchedule(0.1, LR, 4, 7, "triangular2"),
        lambda o: scheduler.CyclicLR(o, 0.1, LR, 4, 7, "triangular2", cycle_momentum=False),
    ),
    "cyclic, gamma": (
        nn.CyclicSchedule(0.1, LR, 6, 3, "exp_range", 0.95),
        lambda o: scheduler.CyclicLR(o, 0.1, LR, 6, 3, "exp_range", 0.95, cycle_momentum=False),
    ),
    "one after another": (
        nn.SequentialSchedule(
            [nn.StepSchedule(LR, 3), nn.ExponentialSchedule(LR, 0.9), nn.CosineSchedule(LR, 9)],
            [8, 21],
        ),
        lambda o: scheduler.SequentialLR(
            o,
            [
                scheduler.StepLR(o, 3), scheduler.ExponentialLR(o, 0.9),
                scheduler.LambdaLR(o, lambda k: nn.CosineSchedule(1.0, 9)(k)),
            ],
            [8, 21],
        ),
    ),
    "at the same time": (
        nn.ChainedSchedule([nn.StepSchedule(LR, 9, 0.5), nn.ExponentialSchedule(1.0, 0.95)]),
        lambda o: scheduler.ChainedScheduler(
            [scheduler.StepLR(o, 9, 0.5), scheduler.ExponentialLR(o, 0.95)]
        ),
    ),
    "inverse square root": (
        nn.InverseSqrtSchedule(LR, 5),
        lambda o: scheduler.LambdaLR(o, lambda k: (5 / (5 + k)) ** 0.5),
    ),
}  # fmt: skip


def test_every_public_schedule_has_a_row():
    assert {type(ours).__name__ for ours, _ in ROWS.values()} == set(nn.schedules.__all__)


def path(make, key="lr", **options):
    """What PyTorch uses at each step."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=LR, **options)
    theirs = make(optimizer)
    found = []
    for _ in range(STEPS):
        found.append(float(optimizer.param_groups[0][key]))
        optimizer.step()
        theirs.step()
    return found


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize("name", ROWS)
def test_the_same_learning_rates(name):
    ours, theirs = ROWS[name]
    assert [ours(k) for k in range(STEPS)] == pytest.approx(path(theirs), rel=1e-9, abs=1e-12)


def test_the_same_momentum_in_one_cycle():
    ours = nn.OneCycleSchedule(0.85, STEPS, div_factor=0.85 / 0.95, final_div_factor=1)

    def theirs(optimizer):
        return scheduler.OneCycleLR(optimizer, LR, STEPS)

    found = path(theirs, "momentum", momentum=0.9)
    assert [ours(k) for k in range(STEPS)] == pytest.approx(found, rel=1e-9)
