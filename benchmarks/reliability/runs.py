"""The set-ups that are killed, damaged and interrupted: between them, whatever a run can remember.

Each is small, ends within half a second and is saved at every step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import nnlite as nn
from nnlite.files.tree import encode
from nnlite.training import checkpoint

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 8)).astype(np.float32)
CLASSES = (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0)
WEIGHTS = np.linspace(0.1, 2, 60)
STEPS = RNG.standard_normal((24, 5, 4)).astype(np.float32)  # (N, T, D)
LENGTHS = RNG.integers(1, 6, 24)
TOKENS = RNG.integers(0, 9, (24, 6))
IMAGES = RNG.standard_normal((48, 12, 12, 8)).astype(np.float32)


class Run(NamedTuple):
    """A trainer, and the call of `fit` that is repeated until it comes to its end."""

    trainer: nn.Trainer
    data: tuple[Any, ...]
    options: dict[str, Any]
    callbacks: tuple[nn.Callback, ...] = ()

    def fit(self, *callbacks: nn.Callback, resume: Any = None) -> None:
        """Train, with further callbacks before and after those of the run."""
        first, *last = callbacks or [nn.Callback()]
        self.trainer.fit(
            *self.data,
            **self.options,
            callbacks=[first, *self.callbacks, *last],
            resume=resume,
            verbose=False,
        )


def _trainer(
    model: nn.Layer,
    optimizer: nn.optimizers.Optimizer | None = None,
    loss: nn.losses.Loss | None = None,
    metrics: tuple[nn.metrics.Metric, ...] = (),
) -> nn.Trainer:
    return nn.Trainer(
        model,
        loss or nn.CrossEntropyLoss(),
        optimizer or nn.AdamW(model.parameters(), lr=0.01),
        metrics,
    )


def _dense(*between: nn.Layer) -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 16), *between, nn.ReLU(), nn.Linear(16, 3))


def _stream(folder: Path) -> Run:
    def batches(rng: np.random.Generator) -> Iterator[Any]:
        for _ in range(6):
            rows = rng.permutation(60)[:16]
            yield X[rows], CLASSES[rows]

    def stream(rng: np.random.Generator) -> Iterator[Any]:
        return nn.data.prefetch(batches(rng))

    model = _dense(nn.BatchNorm1d(16), nn.Dropout(0.3))
    return Run(_trainer(model), (stream,), {"epochs": 4, "validation_data": (X, CLASSES)})


def _accumulation(folder: Path) -> Run:
    model = _dense(nn.Dropout(0.1))
    optimizer = nn.SGD(model.parameters(), lr=0.1, momentum=0.9)
    options = {"epochs": 8, "batch_size": 9, "accumulate": 2, "validation_split": 0.2}
    return Run(_trainer(model, optimizer), (X, CLASSES), {**options, "sample_weight": WEIGHTS})


def _stateful(folder: Path) -> Run:
    model = nn.Sequential(nn.LSTM(4, 6, stateful=True), nn.Linear(6, 4))
    optimizer = nn.RMSprop(model.parameters(), lr=0.01)
    options = {"epochs": 6, "batch_size": 6, "shuffle": False}
    return Run(_trainer(model, optimizer, nn.MSELoss()), (STEPS, STEPS), options)


def _padded(folder: Path) -> Run:
    model = nn.Sequential(nn.Bidirectional(nn.GRU(4, 3)), nn.Dropout(0.2), nn.Linear(6, 4))
    trainer = _trainer(model, nn.Adam(model.parameters()), nn.MSELoss())
    options = {"epochs": 5, "batch_size": 5, "validation_split": 0.2}
    return Run(trainer, (nn.Padded(STEPS, LENGTHS), STEPS), options)


def _averages(folder: Path) -> Run:
    trainer = _trainer(_dense(nn.BatchNorm1d(16)), metrics=(nn.Accuracy(),))
    callbacks = (
        nn.EMA(0.9),
        nn.SWA(1),
        nn.ReduceLROnPlateau(patience=1, min_delta=0.1),
        nn.EarlyStopping(patience=4),
    )
    options = {"epochs": 8, "batch_size": 16, "validation_split": 0.2}
    return Run(trainer, (X, CLASSES), options, callbacks)


def _groups(folder: Path) -> Run:
    model = _dense(nn.LayerNorm(16))
    first, *others = model.parameters()
    rate = nn.WarmupSchedule(nn.CosineSchedule(0.05, steps=30), steps=4)
    groups = [
        {"params": [first], "lr": rate, "weight_decay": 0.1},
        {"params": others, "lr": nn.StepSchedule(0.02, step_size=5)},
    ]
    optimizer = nn.Adam(groups, clip_norm=0.5)
    return Run(_trainer(model, optimizer), (X, CLASSES), {"epochs": 7, "batch_size": 13})


def _mapped(folder: Path) -> Run:
    path = folder / "x.npy"
    if not path.exists():
        np.save(folder / "begun.npy", X)  # the run may be killed meanwhile
        (folder / "begun.npy").replace(path)
    x = np.load(path, mmap_mode="r")
    model = _dense(nn.Dropout(0.5))
    optimizer = nn.Lion(model.parameters(), lr=0.01)
    return Run(_trainer(model, optimizer), (x, CLASSES), {"epochs": 6, "batch_size": 12})


def _often(folder: Path) -> Run:
    model = _dense(nn.Dropout(0.3))
    trainer = _trainer(model, nn.NAdam(model.parameters()), metrics=(nn.ConfusionMatrix(),))
    options = {"epochs": 10, "batch_size": 20, "validation_split": 0.1}
    return Run(trainer, (X, CLASSES), options, (nn.EMA(0.8),))


def _classes(folder: Path) -> Run:
    metrics = (
        nn.Accuracy(), nn.F1(), nn.ConfusionMatrix(), nn.TopKAccuracy(2), nn.LogLoss(), nn.AUROC(),
    )  # fmt: skip
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    options = {"epochs": 7, "batch_size": 16, "class_weight": "balanced", "drop_last": True}
    return Run(_trainer(_dense(), loss=loss, metrics=metrics), (X, CLASSES), options)


def _transformer(folder: Path) -> Run:
    model = nn.Sequential(
        nn.Embedding(9, 8), nn.PositionalEncoding(8), nn.Dropout(0.1),
        nn.TransformerLayer(8, 2, 16, dropout=0.1, causal=True), nn.Linear(8, 9),
    )  # fmt: skip
    return Run(_trainer(model), (TOKENS, TOKENS), {"epochs": 5, "batch_size": 6})


def _threads(folder: Path) -> Run:
    model = nn.Sequential(
        nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(6 * 6 * 16, 3),
    )  # fmt: skip
    return Run(_trainer(model), (IMAGES, CLASSES[:48]), {"epochs": 4, "batch_size": 16})


class _Loader:
    """Rows that come from somewhere, one at a time."""

    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, number: int) -> np.ndarray:
        return np.tanh(X[number])


def _rows(folder: Path) -> Run:
    model = _dense(nn.Dropout(0.2))
    optimizer = nn.Adagrad(model.parameters(), lr=0.05)
    options = {"epochs": 5, "batch_size": 14, "validation_split": 0.2}
    return Run(_trainer(model, optimizer), (_Loader(), CLASSES), options)


def _tied(folder: Path) -> Run:
    model = nn.Sequential(nn.Linear(8, 8), nn.PReLU(), nn.Linear(8, 8), nn.Linear(8, 3))
    model[2].weight = model[0].weight
    model[3].bias.trainable = False
    model = model.astype(np.float64)
    optimizer = nn.Adam(model.parameters(), weight_decay=0.01)
    return Run(_trainer(model, optimizer), (X, CLASSES), {"epochs": 6, "batch_size": 15})


SETUPS: dict[str, Callable[[Path], Run]] = {
    "batch norm, dropout, a stream, prefetch": _stream,
    "accumulation of uneven batches, weights": _accumulation,
    "a stateful LSTM": _stateful,
    "padded sequences": _padded,
    "EMA, SWA, plateau, early stopping": _averages,
    "groups, schedules, clipping": _groups,
    "memory-mapped data": _mapped,
    "resumed again and again": _often,
    "class weights, metrics": _classes,
    "a transformer with dropout": _transformer,
    "a conv net in two threads": _threads,
    "rows that load": _rows,
    "tied, frozen, in float64": _tied,
}


def make(name: str, folder: Path) -> Run:
    """The same run each time; what it needs on the disk is in the folder."""
    nn.seed(0)
    return SETUPS[name](folder)


def content(trainer: nn.Trainer) -> bytes:
    """A hash of everything that a checkpoint of the trainer would hold, to the last bit."""
    arrays: dict[str, np.ndarray] = {}
    digest = hashlib.sha256(json.dumps(encode(checkpoint.capture(trainer), "", arrays)).encode())
    for array in arrays.values():
        digest.update(array.tobytes())
    return digest.digest()
