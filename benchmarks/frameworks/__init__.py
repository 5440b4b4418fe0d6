"""One file per framework, each imported only in a child process of its own.

Each has `training(workload)`, which returns a function that does one full training step and
returns its loss as a number, and `inference(workload)`, which returns a function that predicts
one batch. `steps` on a training function says how many steps one call does (default 1).
"""

LEARNING_RATE = 1e-3
THREADS = 2
