"""Files: one format for models and checkpoints, written whole or not at all, never pickle."""

from nnlite.files.archive import CheckpointError
from nnlite.files.model import load_model, save_model

__all__ = ["CheckpointError", "load_model", "save_model"]
