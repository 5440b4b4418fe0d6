"""Runs that several processes have to make as one does: `python parallel_runs.py FOLDER` by MPI.

Each run trains with the `parallel` that it is given, and returns what must be equal.
"""

import sys
from pathlib import Path

import numpy as np

import nnlite as nn


def data(rows=150, features=6, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, features))
    return x, (x[:, 0] + 0.3 * x[:, 1] ** 2 > 0.2).astype(int), rng.random(rows)


def outcome(trainer, history, **more):
    columns = {name: np.array(values) for name, values in history.items()}
    return {**trainer.model.state_dict(), **columns, **more}


def train(parallel, layers, loss, x, y, optimizer=None, dtype=np.float64, **options):
    """One `fit` of a model that is built anew; 3 epochs of batches of 37 rows."""
    of_trainer = {"metrics", "penalties"}
    given = {name: options.pop(name) for name in of_trainer & options.keys()}
    with nn.random.scope(3):  # of this thread: others may be ranks
        model = nn.Sequential(*layers()).astype(dtype)
        optimizer = (optimizer or nn.Adam)(model.parameters(), lr=0.01)
        trainer = nn.Trainer(model, loss, optimizer, parallel=parallel, **given)
    options = {"epochs": 3, "batch_size": 37, "verbose": False, **options}
    return outcome(trainer, trainer.fit(x, y, **options))


def dense():
    """No bias below a normalization: its gradient is 0, of which Adam sees the rounding alone."""
    first = nn.Linear(6, 16, bias=False)
    return [first, nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 2)]


def weighted(parallel):
    """Sample weights, a last batch of 2 rows, a split, and a norm to clip to."""
    x, y, w = data()
    return train(
        parallel, dense, nn.CrossEntropyLoss(), x, y, validation_split=0.2, sample_weight=w,
        optimizer=lambda p, lr: nn.AdamW(p, nn.CosineSchedule(lr, 12), clip_norm=0.1),
    )  # fmt: skip


def single(parallel):
    """The same in single precision, by the default optimizer."""
    x, y, w = data()
    return train(
        parallel, dense, nn.CrossEntropyLoss(), x, y, validation_split=0.2, sample_weight=w,
        dtype=np.float32,
    )  # fmt: skip


def accumulated(parallel):
    """Updates from three batches, of classes that weigh differently and are partly ignored."""
    x, y, _ = data()
    y[::7] = -100
    layers = lambda: [nn.Linear(6, 16), nn.ActivityRegularization(l2=0.1), nn.Linear(16, 2)]  # noqa: E731
    return train(
        parallel, layers, nn.CrossEntropyLoss(weight=[1, 3]), x, y, accumulate=3, batch_size=16,
        class_weight="balanced", penalties=[nn.L2Penalty(0.01)], metrics=[nn.Accuracy()],
    )  # fmt: skip


def images(parallel):
    """Convolutions, normalization in all its ways, and noise in all its ways."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((60, 6, 6, 2)), rng.integers(0, 3, 60)
    layers = lambda: [  # noqa: E731
        nn.Conv2d(2, 4, 3),
        nn.BatchNorm2d(4, momentum=None),
        nn.RReLU(),
        nn.ChannelDropout(0.3),
        nn.Conv2d(4, 4, 3),
        nn.InstanceNorm2d(4, track_running_stats=True),
        nn.GaussianNoise(0.1),
        nn.BatchNorm2d(4, track_running_stats=False),
        nn.Flatten(),
        nn.Linear(16, 3),
    ]
    return train(
        parallel, layers, nn.CrossEntropyLoss(), x, y, batch_size=17, validation_data=(x, y),
        optimizer=lambda p, lr: nn.SGD(p, lr, momentum=0.9),
    )  # fmt: skip


def sequences(parallel):
    """Padded sequences, one target for each step, dropout between layers and in attention."""
    rng = np.random.default_rng(2)
    x = nn.pad_sequences([rng.integers(0, 9, n) for n in rng.integers(2, 8, 40)])
    y = rng.integers(0, 5, x.shape)
    layers = lambda: [  # noqa: E731
        nn.Embedding(9, 8),
        nn.LSTM(8, 8, num_layers=2, dropout=0.4),
        nn.BatchNorm1d(8),
        nn.TransformerLayer(8, 2, 16, dropout=0.3),
        nn.Linear(8, 5),
    ]
    return train(
        parallel, layers, nn.CrossEntropyLoss(), x, y, batch_size=11,
        metrics=[nn.Accuracy(), nn.Perplexity()], validation_split=0.25,
    )  # fmt: skip


def streams(parallel):
    """Generator functions for both, one of them with weights and loaded ahead."""
    x, y, w = data()

    def batches(rng):
        for _ in range(5):
            rows = rng.integers(0, len(x), rng.integers(2, 30))
            yield x[rows], y[rows], w[rows]

    return train(
        parallel, dense, nn.CrossEntropyLoss(), lambda rng: nn.data.prefetch(batches(rng)), None,
        validation_data=batches, class_weight={0: 2.0}, metrics=[nn.AUROC()],
    )  # fmt: skip


def rows(parallel):
    """Rows that are loaded one by one, as they lie."""
    x, y, _ = data()

    class Loaded:
        def __init__(self, values):
            self.values = values

        def __len__(self):
            return len(self.values)

        def __getitem__(self, number):
            return self.values[number]

    return train(
        parallel, dense, nn.CrossEntropyLoss(), Loaded(x), Loaded(y), shuffle=False, drop_last=True
    )


def measured(parallel):
    """Every metric, on two and three classes, labels and numbers, weighted."""
    rng, found = np.random.default_rng(4), {}
    x, w = rng.standard_normal((90, 4)), rng.random(90)
    of_classes = lambda: [  # noqa: E731
        *[nn.Accuracy(), nn.ConfusionMatrix(), nn.TopKAccuracy(2), nn.LogLoss(), nn.Perplexity()],
        *[kind() for kind in (nn.Precision, nn.Recall, nn.F1, nn.AUROC, nn.AveragePrecision)],
        *[nn.F1(average="macro"), nn.AUROC("micro"), nn.AveragePrecision("weighted")],
    ]
    of_numbers = lambda: [  # noqa: E731
        *[nn.MeanAbsoluteError(), nn.MeanSquaredError(), nn.MeanAbsolutePercentageError()],
        *[nn.R2(), nn.ExplainedVariance()],
    ]
    kinds = {
        "two classes": (2, nn.CrossEntropyLoss(), rng.integers(0, 2, 90), of_classes()),
        "three classes": (3, nn.CrossEntropyLoss(), rng.integers(0, 3, 90), of_classes()),
        "numbers": (2, nn.MSELoss(), 1 + rng.standard_normal((90, 2)), of_numbers()),
    }
    labels = [m for m in of_classes() if not isinstance(m, nn.TopKAccuracy)]
    kinds["labels"] = (3, nn.BCEWithLogitsLoss(), rng.integers(0, 2, (90, 3)), labels)
    for name, (width, loss, y, metrics) in kinds.items():
        run = train(
            parallel, lambda width=width: [nn.Linear(4, width)], loss, x, y, sample_weight=w,
            metrics=metrics, validation_data=(x, y, w), batch_size=32, epochs=1,
        )  # fmt: skip
        found |= {f"{name}: {key}": value for key, value in run.items()}
    return found


def outputs(parallel):
    """Several losses of several outputs, a term that a layer adds, and a last batch of one row."""
    rng = np.random.default_rng(5)
    x, classes, numbers = rng.standard_normal((49, 4)), rng.integers(0, 3, 49), rng.random((49, 2))
    classes[::5] = -100  # so that the losses count different rows
    layers = lambda: [  # noqa: E731
        nn.Linear(4, 16),
        nn.GaussianSample(beta=0.1),
        nn.Parallel(nn.Linear(8, 3), nn.Linear(8, 2)),
    ]
    loss = nn.Losses(nn.CrossEntropyLoss(), nn.MSELoss("sum"), weights=(1, 0.1), names=("a", "b"))

    def branch():
        one, two, three = layers()
        return [one, two, Twice(), three]

    metrics = [nn.OutputMetric("a", nn.Accuracy()), nn.OutputMetric("b", nn.R2())]
    return train(
        parallel, branch, loss, x, (classes, numbers), metrics=metrics, batch_size=12,
        sample_weight=rng.random(49), validation_data=(x, (classes, numbers)),
    )  # fmt: skip


class Twice(nn.Layer):
    """The same array for two layers."""

    def forward(self, x):
        self.save_for_backward()
        return x, x

    def backward(self, grad_output):
        self.saved()
        return grad_output[0] + grad_output[1]


def summed(parallel):
    """A loss that is a sum, parameters in groups, some of them frozen, a rule for matrices."""
    x, y, w = data()
    nn.seed(6)
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
    model = model.astype(np.float64)
    model.freeze("2.*")
    groups = [{"params": [model[0].weight, model[4].weight]}, {"params": [model[0].bias], "lr": 1}]
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(reduction="sum"), nn.LAMB(groups, lr=0.01),
                         parallel=parallel)  # fmt: skip
    trainer.fit(x, y, batch_size=37, sample_weight=w, verbose=False)
    loss = trainer.train_step(x, y)  # by hand
    history = trainer.fit(x, y, epochs=2, batch_size=64, verbose=False)
    return outcome(trainer, history, by_hand=np.array(loss), alone=trainer.evaluate(x, y)["loss"])


def callbacks(parallel):
    """What looks at the numbers of each epoch, and averages of weights."""
    x, y, _ = data()
    return train(
        parallel, dense, nn.CrossEntropyLoss(), x, y, validation_split=0.2, epochs=8,
        callbacks=[
            nn.EMA(0.9), nn.SWA(1), nn.Lookahead(2), nn.ReduceLROnPlateau("loss", patience=1),
            nn.EarlyStopping(patience=2),
        ],
    )  # fmt: skip


class StopAt(nn.Callback):
    """Ends the run at a step, on the last rank alone."""

    def __init__(self, step, how):
        self.step = step
        self.how = how

    def on_step_end(self, trainer):
        ranks = 1 if trainer.parallel is None else trainer.parallel.size
        if trainer.optimizer.steps == self.step and trainer.rank == ranks - 1:
            setattr(trainer, self.how, True)


def stopped(parallel):
    """A callback ends the run in the middle of an epoch."""
    x, y, _ = data()
    return train(
        parallel, dense, nn.CrossEntropyLoss(), x, y, callbacks=[StopAt(7, "stop_training")]
    )


def long_run(parallel, folder, *more):
    """Six epochs, saved every 4 steps."""
    x, y, w = data()
    return train(
        parallel, dense, nn.CrossEntropyLoss(), x, y, epochs=6, sample_weight=w, resume="auto",
        metrics=[nn.Accuracy(), nn.AUROC()], validation_split=0.2,
        callbacks=[
            nn.Checkpoint(Path(folder) / "run.npz", every_steps=4),
            nn.CSVLogger(Path(folder) / "log.csv"), nn.EMA(0.9), *more,
        ],
    )  # fmt: skip


class Broken(Exception):
    """An end without a chance to save."""


class Break(nn.Callback):
    """Ends the run at a step, as a power cut would."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.optimizer.steps == self.step:
            raise Broken


def interrupted(parallel, folder):
    """The same run, cut twice."""
    long_run(parallel, folder, StopAt(6, "interrupted"))
    long_run(parallel, folder, StopAt(13, "interrupted"))
    return long_run(parallel, folder)


RUNS = [
    *(weighted, single, accumulated, images, sequences, streams, rows, measured, outputs, summed),
    *(callbacks, stopped),
]


def main(folder):
    """All runs, with those that ranks share; rank 0 writes what they returned."""
    parallel = nn.parallel.MPI()
    results = {run.__name__: run(parallel) for run in RUNS}
    results["interrupted"] = interrupted(parallel, folder)
    for name, result in results.items():
        for key, value in result.items():
            own = np.asarray(value, float)
            same = parallel.each(own).tobytes() == own.tobytes() * parallel.size
            assert same, f"{name}: {key} differs between ranks"
        if parallel.rank == 0:
            np.savez(Path(folder) / f"{name}.npz", **result)


if __name__ == "__main__":
    main(sys.argv[1])
