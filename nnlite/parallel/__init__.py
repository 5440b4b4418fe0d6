"""Training in several processes, on one machine or many.

    trainer = nn.Trainer(model, loss, optimizer, parallel=nn.parallel.MPI())
    trainer.fit(x, y, batch_size=256)

and then `mpiexec -n 4 python train.py`. Each process runs the whole script on all of the data, and
computes its rows of every batch; see `MPI`.
"""

from nnlite.parallel.mpi import MPI

__all__ = ["MPI"]
