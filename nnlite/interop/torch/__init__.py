"""Weights from PyTorch, and models to it.

    nn.interop.load_torch(model, "net.pt")     # or a module, its state dict, a .safetensors file
    module = nn.interop.to_torch(model)

Both need PyTorch (`pip install "nnlite[torch]"`), but for a `.safetensors` file or a state dict of
arrays, which need none.
"""

from nnlite.interop.torch.loading import load_torch
from nnlite.interop.torch.writing import to_torch

__all__ = ["load_torch", "to_torch"]
