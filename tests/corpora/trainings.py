"""Sick trainings, each with one cause, and healthy ones, for the audit.

A sick training is a factory with a switch: `make(sick=True)` has the cause, `make(sick=False)` is
the same training without it, so that what the sickness costs can be measured. `causes` are words
(regular expressions, any case) of which at least one has to be in the findings.
"""

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

import nnlite as nn


class Setup(NamedTuple):
    model: nn.Layer
    loss: nn.Loss
    optimizer: nn.Optimizer
    x: np.ndarray
    y: np.ndarray
    epochs: int = 5
    batch_size: int = 32
    shuffle: bool = True


class Sick(NamedTuple):
    name: str
    make: Callable[..., Setup]
    causes: tuple[str, ...]


class Healthy(NamedTuple):
    name: str
    make: Callable[[], Setup]


def run(setup, callbacks=()):
    """Train; returns the loss over all the data before and after (infinite where it broke off)."""
    trainer = nn.Trainer(setup.model, setup.loss, setup.optimizer, rng=0)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        before = trainer.evaluate(setup.x, setup.y)["loss"]
        try:
            trainer.fit(
                setup.x,
                setup.y,
                epochs=setup.epochs,
                batch_size=setup.batch_size,
                shuffle=setup.shuffle,
                callbacks=callbacks,
                verbose=False,
            )
            after = trainer.evaluate(setup.x, setup.y)["loss"]
        except nn.NonFiniteLossError:
            after = np.inf
    return before, after


X, Y = (values[:640] for values in nn.data.load_digits())
IMAGES = X.reshape(-1, 8, 8, 1)
ROWS = X.reshape(-1, 8, 8)  # an image as a sequence of its rows


def classifier(*widths, activation=nn.ReLU, weight_init=None, bias_init=None):
    """Linear layers from 64 values through the widths to 10 classes."""
    sizes = (64, *widths)
    parts = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        parts += [nn.Linear(inputs, outputs, True, weight_init, bias_init, rng=i), activation()]
    return nn.Sequential(*parts, nn.Linear(sizes[-1], 10, rng=99))


def digits(model, optimizer, x=X, y=Y, **options):
    return Setup(model, nn.CrossEntropyLoss(), optimizer, x, y, **options)


# -- sick ---------------------------------------------------------------------------------------


def exploding_recurrence(sick=True):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((256, 40, 4)).astype(np.float32)
    y = (x.mean(axis=(1, 2)) > 0).astype(int)
    rnn = nn.RNN(4, 16, nonlinearity="relu", return_sequences=False, rng=0)
    for parameter in rnn.parameters():
        if parameter.shape == (16, 16):  # from state to state
            parameter.data *= 1.9 if sick else 0.9
    model = nn.Sequential(rnn, nn.Linear(16, 2, rng=1))
    return digits(model, nn.SGD(model.parameters(), lr=0.01), x, y)


def unscaled_input(sick=True):
    model = classifier(32, activation=nn.Tanh)
    return digits(model, nn.SGD(model.parameters(), lr=0.3), X * 255 if sick else X)


def saturated_softmax(sick=True):
    model = classifier(32)
    if sick:
        model[-1].weight.data *= 500
    return digits(model, nn.SGD(model.parameters(), lr=0.1))


def softmax_twice(sick=True):
    model = classifier(32)
    if sick:
        model = nn.Sequential(*model, nn.Softmax())
    return digits(model, nn.SGD(model.parameters(), lr=0.3))


def zero_weights(sick=True):
    model = classifier(32, 32, activation=nn.Tanh)
    if sick:
        for parameter in model.parameters():
            parameter.data[...] = 0
    return digits(model, nn.Adam(model.parameters(), lr=0.003))


def alike_units(sick=True):
    model = classifier(32, 32, activation=nn.Tanh)
    if sick:
        for parameter in model.parameters():
            parameter.data[...] = 0.05
    return digits(model, nn.Adam(model.parameters(), lr=0.003))


def slow_adam(sick=True):
    model = classifier(32)
    return digits(model, nn.Adam(model.parameters(), lr=1e-7 if sick else 0.003))


def fast_sgd(sick=True):
    model = classifier(32)
    return digits(model, nn.SGD(model.parameters(), lr=30.0 if sick else 0.3))


def fast_adam(sick=True):
    model = classifier(32)
    return digits(model, nn.Adam(model.parameters(), lr=3.0 if sick else 0.003))


def batch_norm_of_two_rows(sick=True):
    model = nn.Sequential(
        nn.Linear(64, 32, rng=0), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10, rng=1)
    )
    optimizer = nn.SGD(model.parameters(), lr=0.1)
    return digits(model, optimizer, batch_size=2 if sick else 32, epochs=3)


def sorted_data(sick=True):
    order = np.argsort(Y, kind="stable")
    model = classifier(32)
    optimizer = nn.SGD(model.parameters(), lr=0.3)
    return digits(model, optimizer, X[order], Y[order], shuffle=not sick)


def heavy_decay(sick=True):
    model = classifier(32)
    optimizer = nn.SGD(model.parameters(), lr=0.1, weight_decay=1.0 if sick else 0.0)
    return digits(model, optimizer)


def heavy_decoupled_decay(sick=True):
    model = classifier(32)
    optimizer = nn.AdamW(model.parameters(), lr=0.003, weight_decay=100.0 if sick else 0.01)
    return digits(model, optimizer)


def dead_relu(sick=True):
    model = classifier(32, bias_init=nn.initializers.Constant(-8.0) if sick else None)
    return digits(model, nn.SGD(model.parameters(), lr=0.3))


def deep_sigmoid(sick=True):
    activation = nn.Sigmoid if sick else nn.ReLU
    model = classifier(*[32] * 7, activation=activation, weight_init=nn.initializers.He())
    return digits(model, nn.SGD(model.parameters(), lr=0.05))


def frozen_layer(sick=True):
    """The optimizer was made from the first layer's parameters only."""
    model = classifier(32, activation=nn.Tanh)
    trained = model[0].parameters() if sick else model.parameters()
    return digits(model, nn.SGD(trained, lr=0.1), epochs=8)


def not_trainable(sick=True):
    """Frozen once for fine-tuning, and never thawed."""
    model = classifier(32)
    for parameter in model[-1].parameters() + model[0].parameters()[1:]:
        parameter.trainable = not sick
    return digits(model, nn.SGD(model.parameters(), lr=0.1), epochs=8)


def unscaled_target(sick=True):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 4)).astype(np.float32)
    y = (x @ [[1.0], [2.0], [-1.0], [0.5]]).astype(np.float32)
    model = nn.Sequential(nn.Linear(4, 16, rng=0), nn.Tanh(), nn.Linear(16, 1, rng=1))
    optimizer = nn.SGD(model.parameters(), lr=0.05)
    return Setup(model, nn.MSELoss(), optimizer, x, 1e4 * y if sick else y)


def drops_too_much(sick=True):
    model = nn.Sequential(
        nn.Linear(64, 32, rng=0),
        nn.ReLU(),
        nn.Dropout(0.97 if sick else 0.1, rng=2),
        nn.Linear(32, 10, rng=1),
    )
    return digits(model, nn.SGD(model.parameters(), lr=0.1))


def clipped_to_nothing(sick=True):
    model = classifier(32)
    return digits(model, nn.SGD(model.parameters(), lr=0.3, clip_norm=1e-4 if sick else 1.0))


SMALL = (
    r"too (small|low|slow)",
    r"\bsmall\b.*(rate|step|chang|updat)",
    r"higher|larger|raise|increase",
)
LARGE = (r"too (large|high|big|fast)", r"explod", r"diverg", r"(smaller|lower|reduce).*(rate|lr)")

SICK = [
    Sick(
        "exploding recurrence", exploding_recurrence, (r"explod", r"grow", r"clip_norm", r"recurr")
    ),
    Sick(
        "unscaled input",
        unscaled_input,
        (r"\b(input|x)\b.*(scale|large|standard)", r"standardiz", r"satur"),
    ),
    Sick(
        "saturated softmax",
        saturated_softmax,
        (r"satur", r"logits?", r"softmax.*(large|certain|one)", r"scores"),
    ),
    Sick("softmax twice", softmax_twice, (r"softmax",)),
    Sick(
        "weights of zero",
        zero_weights,
        (r"weights? .*\bzero", r"symmetr", r"alike|same|identical|equal", r"initializ"),
    ),
    Sick(
        "all units alike",
        alike_units,
        (r"symmetr", r"alike|same|identical|equal|constant", r"initializ"),
    ),
    Sick("rate too low under Adam", slow_adam, SMALL),
    Sick("rate too high under SGD", fast_sgd, (*LARGE, r"dead|dies|die\b")),
    Sick("rate too high under Adam", fast_adam, (*LARGE, r"dead|dies|die\b")),
    Sick(
        "batch norm over two rows",
        batch_norm_of_two_rows,
        (r"batch ?norm", r"batch.*(small|two|2\b|larger)"),
    ),
    Sick(
        "sorted data",
        sorted_data,
        (r"sort", r"shuffl", r"order", r"one class|same class|only class"),
    ),
    Sick("heavy decay", heavy_decay, (r"decay", r"shrink")),
    Sick("heavy decoupled decay", heavy_decoupled_decay, (r"decay", r"shrink")),
    Sick(
        "dead ReLU",
        dead_relu,
        (r"dead", r"never (active|positive)", r"always (0|zero)", r"all zero", r"zeros? for"),
    ),
    Sick("deep sigmoid", deep_sigmoid, (r"vanish", r"sigmoid", r"satur")),
    Sick(
        "optimizer without the other layers",
        frozen_layer,
        (r"optimizer", r"not (updated|trained|moved|chang)", r"frozen", r"never", r"stand still"),
    ),
    Sick(
        "frozen and never thawed",
        not_trainable,
        (r"frozen", r"trainable", r"not (updated|trained|chang)"),
    ),
    Sick(
        "unscaled target",
        unscaled_target,
        (
            r"target",
            r"\by\b.*(scale|large)",
            r"standardiz",
        ),
    ),
    Sick(
        "drops nearly everything",
        drops_too_much,
        (
            r"drop\w* (too|nearly|most|almost)",
            r"\bp\b.*too (large|high)",
            r"(smaller|lower) p\b",
        ),
    ),
    Sick("clipped to nothing", clipped_to_nothing, (r"clip", *SMALL)),
]

# -- healthy ------------------------------------------------------------------------------------


def readme_digits():
    model = classifier(128)
    return digits(model, nn.Adam(model.parameters()))


def logistic_regression():
    model = nn.Sequential(nn.Linear(64, 10, rng=0))
    return digits(model, nn.SGD(model.parameters(), lr=0.5))


def conv_net():
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, rng=0),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 8, 10, rng=1),
    )
    return digits(model, nn.SGD(model.parameters(), lr=0.05, momentum=0.9), IMAGES)


def lstm():
    model = nn.Sequential(nn.LSTM(8, 24, rng=0), nn.LastStep(), nn.Linear(24, 10, rng=1))
    return digits(model, nn.Adam(model.parameters(), lr=0.01), ROWS)


def gru():
    model = nn.Sequential(nn.GRU(8, 24, rng=0), nn.MeanOverTime(), nn.Linear(24, 10, rng=1))
    return digits(model, nn.AdamW(model.parameters(), lr=0.01), ROWS)


def elman():
    model = nn.Sequential(nn.RNN(8, 24, rng=0), nn.LastStep(), nn.Linear(24, 10, rng=1))
    return digits(model, nn.Adam(model.parameters(), lr=0.003, clip_norm=1.0), ROWS)


def transformer():
    model = nn.Sequential(
        nn.Linear(8, 16, rng=0),
        nn.PositionalEncoding(16),
        nn.TransformerLayer(16, num_heads=2, d_ff=32, rng=1),
        nn.MeanOverTime(),
        nn.Linear(16, 10, rng=2),
    )
    return digits(model, nn.Adam(model.parameters(), lr=0.003), ROWS)


def token_model():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 20, (400, 6))
    y = (x < 10).sum(axis=1) // 2  # how many small numbers there are
    model = nn.Sequential(
        nn.Embedding(20, 8, rng=0), nn.GRU(8, 16, rng=1), nn.LastStep(), nn.Linear(16, 4, rng=2)
    )
    return digits(model, nn.Adam(model.parameters(), lr=0.01), x, y, epochs=10)


def autoencoder():
    model = nn.Sequential(
        nn.Linear(64, 24, rng=0),
        nn.Tanh(),
        nn.Linear(24, 64, rng=1),
        nn.Sigmoid(),
    )
    return Setup(model, nn.MSELoss(), nn.AdamW(model.parameters(), lr=0.01), X, X, epochs=8)


def regression():
    x, y = nn.data.sine(400, noise=0.05, rng=0)
    x, y = x.reshape(400, 1), y.reshape(400, 1)
    model = nn.Sequential(
        nn.Linear(1, 32, rng=0),
        nn.Tanh(),
        nn.Linear(32, 32, rng=1),
        nn.Tanh(),
        nn.Linear(32, 1, rng=2),
    )
    return Setup(model, nn.MSELoss(), nn.Adam(model.parameters(), lr=0.01), x, y, epochs=20)


def deep_residual():
    block = (
        nn.Residual(
            nn.Sequential(
                nn.LayerNorm(32), nn.Linear(32, 32, rng=i), nn.ReLU(), nn.Linear(32, 32, rng=9 + i)
            )
        )
        for i in range(4)
    )
    model = nn.Sequential(nn.Linear(64, 32, rng=20), *block, nn.Linear(32, 10, rng=21))
    return digits(model, nn.AdamW(model.parameters(), lr=0.003))


def with_dropout():
    model = nn.Sequential(
        nn.Linear(64, 64, rng=0), nn.ReLU(), nn.Dropout(0.3, rng=1), nn.Linear(64, 10, rng=2)
    )
    return digits(model, nn.AdamW(model.parameters(), lr=0.003, weight_decay=0.01))


def binary_labels():
    model = nn.Sequential(nn.Linear(64, 16, rng=0), nn.ReLU(), nn.Linear(16, 1, rng=1))
    y = (Y % 2)[:, None].astype(np.float32)
    optimizer = nn.SGD(model.parameters(), lr=0.3, momentum=0.9)
    return Setup(model, nn.BCEWithLogitsLoss(), optimizer, X, y)


HEALTHY = [
    Healthy("digits as in the README, Adam", readme_digits),
    Healthy("logistic regression, SGD", logistic_regression),
    Healthy("conv net with batch norm, SGD with momentum", conv_net),
    Healthy("LSTM, Adam", lstm),
    Healthy("GRU, AdamW", gru),
    Healthy("Elman, Adam with clipping", elman),
    Healthy("transformer, Adam", transformer),
    Healthy("tokens and a GRU", token_model),
    Healthy("autoencoder, AdamW", autoencoder),
    Healthy("regression, Adam", regression),
    Healthy("deep residual net, AdamW", deep_residual),
    Healthy("dropout, AdamW", with_dropout),
    Healthy("binary labels, SGD with momentum", binary_labels),
]
