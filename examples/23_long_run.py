"""Lesson 23: a training you can leave alone: interrupted, killed and resumed, bit for bit.

    python examples/23_long_run.py [FOLDER]

Press Ctrl-C and start it again with the same folder, or kill it: it goes on from the last step
that was saved, and ends with the same weights as a run that was left alone.
"""

import argparse
import tempfile
from pathlib import Path

import nnlite as nn

EPOCHS = 12


def train(folder: Path, seconds: float | None = None, verbose: bool = True) -> nn.Trainer:
    """One program, started as often as needed: `resume="auto"` finds its own checkpoint."""
    nn.seed(0)
    x, y = nn.data.load_digits()
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))
    optimizer = nn.AdamW(model.parameters(), lr=3e-3)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=[nn.Accuracy()])
    callbacks = [
        nn.EMA(decay=0.98),  # validated and kept: an average of the weights
        nn.ReduceLROnPlateau(patience=2),
        nn.EarlyStopping(patience=5),  # ends with the best weights
        nn.CSVLogger(folder / "log.csv"),
        nn.Checkpoint(folder / "run.npz", every_steps=20),
    ]
    if seconds is not None:
        callbacks.append(nn.TimeLimit(seconds))  # as in a job of limited length
    trainer.fit(
        x,
        y,
        epochs=EPOCHS,
        validation_split=0.2,
        callbacks=callbacks,
        resume="auto",
        verbose=verbose,
    )
    return trainer


def interrupted_and_resumed(folder: Path) -> nn.Trainer:
    """The same training in pieces, each as long as its time allows."""
    pieces = 0
    while True:
        trainer = train(folder, seconds=0.2, verbose=False)
        pieces += 1
        if not trainer.interrupted:
            print(f"trained in {pieces} pieces, {trainer.optimizer.steps} steps in all")
            return trainer
        print(f"interrupted in epoch {trainer.epoch + 1} after step {trainer.step}; resuming")


def main(folder: str | None = None) -> float:
    """Train in one go and in pieces, compare, and return the accuracy."""
    if folder is not None:
        trainer = train(Path(folder))
        return max(trainer.history["val_accuracy"])
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        whole = train(Path(first))
        pieces = interrupted_and_resumed(Path(second))
        same = whole.fingerprint() == pieces.fingerprint()
        print(f"the same weights, the same order of the data: {same}")
        nn.save_model(pieces.model, Path(second, "model.npz"))
        model = nn.load_model(Path(second, "model.npz"))
        print(model)
    return max(whole.history["val_accuracy"]) * same


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="where to keep checkpoint and log")
    main(parser.parse_args().folder)
