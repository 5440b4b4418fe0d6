"""Trainings to audit: sick ones, each with words that name its cause, and healthy ones.

Each is a function of a seed that returns a trainer and the arguments of its `fit`.
"""

import contextlib
import warnings

import numpy as np

import nnlite as nn

ROWS = 512  # enough for a few dozen steps


def digits(scale=1.0, images=False):
    x, y = nn.data.load_digits(flatten=not images)
    return scale * x[:ROWS], y[:ROWS]


def waves(rng, steps=30):
    """Sequences whose class is the sign of their first half's sum."""
    x = rng.standard_normal((ROWS, steps, 3)).astype(np.float32)
    return x, (x[:, : steps // 2, 0].sum(axis=1) > 0).astype(int)


def tokens(rng, steps=12):
    """Sequences of 20 words; the class is the word that stands first, modulo 4."""
    x = rng.integers(0, 20, (ROWS, steps))
    return x, x[:, 0] % 4


def curve(rng):
    x = rng.uniform(-1, 1, (ROWS, 8)).astype(np.float32)
    y = np.sin(3 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] + 0.1 * rng.standard_normal((ROWS, 1))
    return x, y.astype(np.float32)


def mlp(depth=2, width=64, activation=nn.ReLU, init=None, end=(), inputs=64):
    layers, last = [], inputs
    for _ in range(depth):
        layers += [nn.Linear(last, width, weight_init=init), activation()]
        last = width
    return nn.Sequential(*layers, nn.Linear(width, 10, weight_init=init), *end)


def conv(norm=True):
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), *([nn.BatchNorm2d(8)] if norm else []), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.GlobalAvgPool2d(),
        nn.Linear(16, 10),
    )  # fmt: skip


def transformer(layers=2, causal=False):
    return nn.Sequential(
        nn.Embedding(20, 32), nn.PositionalEncoding(32),
        *[nn.TransformerLayer(32, 4, 64, causal=causal) for _ in range(layers)],
        nn.MeanOverTime(), nn.Linear(32, 4),
    )  # fmt: skip


def run(
    model,
    data,
    optimizer=nn.Adam,
    loss=None,
    lr=1e-3,
    epochs=4,
    batch_size=32,
    shuffle=True,
    **options,
):
    loss = nn.CrossEntropyLoss() if loss is None else loss
    trainer = nn.Trainer(model, loss, optimizer(model.parameters(), lr=lr, **options))
    how = {"epochs": epochs, "batch_size": batch_size, "shuffle": shuffle}
    return trainer, data, how


def sgd(model, data, lr=0.05, momentum=0.9, **options):
    return run(model, data, nn.SGD, lr=lr, momentum=momentum, **options)


# -- sick ------------------------------------------------------------------------------------------


def dead_relu(rng):
    model = mlp(2)
    model[2].bias.data = np.full(64, -20.0)
    return sgd(model, digits(), lr=0.01)


def saturated(rng):
    return run(mlp(3, activation=nn.Tanh, init=nn.initializers.Normal(3.0)), digits())


def vanishing(rng):
    return sgd(mlp(8, activation=nn.Sigmoid), digits())


def exploding(rng):
    return sgd(mlp(10, init=nn.initializers.Normal(0.6)), digits(), lr=1e-12)


def exploding_recurrence(rng):
    layer = nn.RNN(3, 32, return_sequences=False, nonlinearity="relu")
    layer.weight_hh.data *= 2
    return run(nn.Sequential(layer, nn.Linear(32, 2)), waves(rng), lr=1e-4)


def exploding_tanh(rng):
    layer = nn.RNN(3, 32, return_sequences=False)
    layer.weight_hh.data *= 3
    layer.weight_ih.data *= 0.02
    layer.bias.data *= 0
    return sgd(nn.Sequential(layer, nn.Linear(32, 2)), waves(rng), lr=1e-3)


def bytes_as_input(rng):
    return sgd(mlp(2), digits(255.0), lr=0.01)


def raw_table(rng):
    x, y = curve(rng)
    x = (x * [1, 5e3, 40, 1, 1, 1, 1, 1] + [0, 2e4, 50, 0, 0, 0, 0, 0]).astype(np.float32)
    return run(
        nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1)),
        (x, y),
        loss=nn.MSELoss(),
    )


def saturated_attention(rng):
    model = transformer()
    for layer in model.named_layers().values():
        if isinstance(layer, nn.MultiHeadAttention):
            layer.qkv.weight.data *= 60
    return run(model, tokens(rng))


def softmax_twice(rng):
    return run(mlp(2, end=[nn.Softmax()]), digits())


def sigmoid_twice(rng):
    x, y = digits()
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    return run(model, (x, (y > 4).astype(np.float32)[:, None]), loss=nn.BCEWithLogitsLoss())


def zeros(rng):
    return run(mlp(2, init=nn.initializers.Zeros()), digits())


def constant(rng):
    return sgd(mlp(2, init=nn.initializers.Constant(0.05)), digits())


def slow_adam(rng):
    return run(mlp(2), digits(), lr=1e-7)


def slow_sgd(rng):
    return sgd(mlp(2), digits(), lr=1e-5, momentum=0)


def fast_sgd(rng):
    return sgd(mlp(2), digits(), lr=30.0, momentum=0)


def fast_adam(rng):
    return run(mlp(2), digits(), lr=1.0)


def two_rows(rng):
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    return run(model, tuple(a[:64] for a in digits()), batch_size=2)


def sorted_classes(rng):
    x, y = digits()
    order = np.argsort(y, kind="stable")
    return sgd(mlp(2), (x[order], y[order]), shuffle=False)


def sorted_values(rng):
    x, y = curve(rng)
    order = np.argsort(y[:, 0])
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
    return run(model, (x[order], y[order]), loss=nn.MSELoss(), shuffle=False)


def decayed(rng):
    return sgd(mlp(2), digits(), weight_decay=3.0, momentum=0, lr=0.01)


def decayed_adamw(rng):
    return run(mlp(2), digits(), nn.AdamW, weight_decay=50.0)


SICK = {
    dead_relu: "dead",
    saturated: "saturated",
    vanishing: "gradients vanish",
    exploding: "gradients explode",
    exploding_recurrence: "exploding recurrence",
    exploding_tanh: "exploding recurrence",
    bytes_as_input: "inputs of size",
    raw_table: "inputs of size",
    saturated_attention: "saturated softmax",
    softmax_twice: "softmax twice",
    sigmoid_twice: "has a sigmoid of its own",
    zeros: "copies of one unit",
    constant: "copies of one unit",
    slow_adam: "larger learning rate",
    slow_sgd: "larger learning rate",
    fast_sgd: "smaller learning rate",
    fast_adam: "smaller learning rate",
    two_rows: "values are mostly chance",
    sorted_classes: "sorted",
    sorted_values: "sorted",
    decayed: "weight decay pulls",
    decayed_adamw: "weight decay pulls",
}


# -- healthy ---------------------------------------------------------------------------------------


def plain_mlp(rng):
    return run(mlp(2), digits())


def mlp_sgd(rng):
    return sgd(mlp(2, init=nn.initializers.He()), digits())


def mlp_adamw_fast(rng):
    return run(mlp(2), digits(), nn.AdamW, lr=1e-2, weight_decay=0.05)


def deep_mlp(rng):
    return run(mlp(5, activation=nn.Tanh), digits())


def wide_mlp(rng):
    return run(mlp(2, 256), digits(), nn.AdamW, lr=3e-3)


def residual(rng):
    blocks = [
        nn.Residual(
            nn.Sequential(
                nn.LayerNorm(32),
                nn.Linear(32, 32),
                nn.ReLU(),
                nn.Linear(32, 32, weight_init=nn.initializers.Zeros()),
            )
        )
        for _ in range(4)
    ]
    return run(nn.Sequential(nn.Linear(64, 32), *blocks, nn.Linear(32, 10)), digits())


def dropped(rng):
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10))
    return sgd(model, digits(), weight_decay=5e-4)


def zero_head(rng):
    model = nn.Sequential(
        nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 10, weight_init=nn.initializers.Zeros())
    )
    return run(model, digits())


def frozen(rng):
    model = mlp(2)
    for p in model[0].parameters():
        p.trainable = False
    return run(model, digits())


def convolution(rng):
    return run(conv(), digits(images=True), lr=3e-3)


def convolution_sgd(rng):
    return sgd(conv(norm=False), digits(images=True), lr=0.02)


def lstm(rng):
    return run(
        nn.Sequential(nn.LSTM(3, 24, num_layers=2, return_sequences=False), nn.Linear(24, 2)),
        waves(rng),
        lr=3e-3,
    )


def gru(rng):
    return run(
        nn.Sequential(nn.Bidirectional(nn.GRU(3, 16)), nn.MeanOverTime(), nn.Linear(32, 2)),
        waves(rng),
        nn.AdamW,
        clip_norm=1.0,
    )


def rnn(rng):
    return run(
        nn.Sequential(nn.RNN(3, 16), nn.LastStep(), nn.Linear(16, 2)), waves(rng, 15), clip_norm=1.0
    )


def attention(rng):
    return run(transformer(), tokens(rng), nn.AdamW)


def attention_warm(rng):
    return run(
        transformer(1), tokens(rng), nn.AdamW, lr=nn.WarmupSchedule(nn.CosineSchedule(2e-3, 64), 16)
    )


def regression(rng):
    model = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 1))
    return sgd(model, curve(rng), loss=nn.MSELoss(), lr=0.02)


def linear_regression(rng):
    return sgd(nn.Linear(8, 1), curve(rng), loss=nn.MSELoss(), lr=0.1, momentum=0, epochs=12)


def autoencoder(rng):
    x, _ = digits()
    model = nn.Sequential(
        nn.Linear(64, 32),
        nn.ReLU(),
        nn.Linear(32, 8),
        nn.Linear(8, 32),
        nn.ReLU(),
        nn.Linear(32, 64),
        nn.Sigmoid(),
    )
    return run(model, (x, x), loss=nn.MSELoss())


def logistic(rng):
    return sgd(nn.Linear(64, 10), digits(), lr=0.1)


def rare_class(rng):
    x, y = digits()
    model = nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 1))
    return run(
        model, (x, (y == 3).astype(np.float32)[:, None]), loss=nn.BCEWithLogitsLoss(), shuffle=False
    )


def long_run(rng):
    return sgd(mlp(2), digits(), epochs=25)


def long_adam(rng):
    return run(mlp(2), digits(), lr=3e-3, epochs=25)


def long_decayed(rng):
    return sgd(mlp(2), digits(), epochs=40, weight_decay=1e-3)


def remembering(rng):
    """Grows a gradient back in time on purpose: the class is decided by the first step."""
    x = rng.standard_normal((ROWS, 30, 3)).astype(np.float32)
    layer = nn.LSTM(3, 24, return_sequences=False)
    return run(nn.Sequential(layer, nn.Linear(24, 2)), (x, (x[:, 0, 0] > 0).astype(int)), lr=5e-3)


def running_sum(rng):
    """A class for every step."""
    x = rng.standard_normal((ROWS, 60, 3)).astype(np.float32)
    y = (x[:, :, 0].cumsum(axis=1) > 0).astype(int)
    return run(nn.Sequential(nn.RNN(3, 24), nn.Linear(24, 2)), (x, y), lr=3e-3)


def fine_tuned(rng):
    return run(mlp(2), digits(), nn.AdamW, lr=1e-4, epochs=8)


def pixels(rng):
    """An autoencoder whose last sigmoid is flat in the end, where it is right."""
    x = (digits()[0] > 0.5).astype(np.float32)
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 64), nn.Sigmoid())
    return run(model, (x, x), loss=nn.BCELoss(), lr=1e-2, epochs=30)


def spirals(rng):
    x, y = nn.data.spirals(300)
    model = nn.Sequential(
        nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, int(y.max()) + 1)
    )
    return run(model, (x, y), lr=2e-2, epochs=60)


def xor(rng):
    x, y = nn.data.xor(200)
    model = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 2))
    return run(model, (x, y), lr=3e-2, epochs=40)


def small_batches(rng):
    model = nn.Sequential(nn.Linear(64, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 10))
    return run(model, digits(), nn.RMSprop, batch_size=8)


def padded(rng):
    x, y = waves(rng, 12)
    lengths = rng.integers(6, 13, ROWS)
    model = nn.Sequential(nn.GRU(3, 16), nn.LastStep(), nn.Linear(16, 2))
    return run(model, (nn.Padded(x, lengths), y), lr=3e-3)


def two_inputs(rng):
    x, _ = curve(rng)
    words, y = tokens(rng)
    model = nn.Sequential(
        nn.Parallel(nn.Linear(8, 16), nn.Sequential(nn.Embedding(20, 16), nn.MeanOverTime())),
        nn.Join(), nn.ReLU(), nn.Linear(32, 4),
    )  # fmt: skip
    return run(model, ((x, words), y), lr=3e-3)


def deep_selu(rng):
    return sgd(mlp(6, activation=nn.SELU, init=nn.initializers.LeCun()), digits(), lr=0.02)


def decoder(rng):
    x, _ = digits(images=True)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.GroupNorm(2, 8), nn.SiLU(),
        nn.ConvTranspose2d(8, 1, 2, stride=2),
    )  # fmt: skip
    return run(model, (x, x), nn.AdamW, loss=nn.MSELoss(), lr=3e-3)


def predicted_words(rng):
    """A causal transformer that predicts the next of words in order."""
    x = (rng.integers(0, 20, (ROWS // 2, 1)) + np.arange(12)) % 20
    model = nn.Sequential(
        nn.Embedding(20, 32), nn.PositionalEncoding(32),
        nn.TransformerLayer(32, 4, 64, causal=True), nn.LayerNorm(32), nn.Linear(32, 20),
    )  # fmt: skip
    return run(model, (x[:, :-1], x[:, 1:]), nn.AdamW, lr=3e-3, epochs=10)


HEALTHY = [
    plain_mlp, mlp_sgd, mlp_adamw_fast, deep_mlp, wide_mlp, residual, dropped, zero_head, frozen,
    convolution, convolution_sgd, lstm, gru, rnn, attention, attention_warm, regression,
    linear_regression, autoencoder, logistic, rare_class, long_run, long_adam, long_decayed,
    remembering, running_sum, fine_tuned, pixels, spirals, xor, small_batches, padded, two_inputs,
    deep_selu, decoder, predicted_words,
]  # fmt: skip


def audited(make, seed=0):
    """The audits of one training, one per epoch."""
    nn.seed(seed)
    trainer, data, how = make(np.random.default_rng(seed))
    callback = nn.GradientAudit(verbose=False)
    with (
        warnings.catch_warnings(action="ignore", category=nn.ModelWarning),  # of what is sick
        contextlib.suppress(nn.NonFiniteLossError),  # the audits so far must have said why
    ):
        trainer.fit(*data, callbacks=[callback], verbose=False, **how)
    return trainer, callback.audits
