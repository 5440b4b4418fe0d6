"""Models as modules of PyTorch."""

from __future__ import annotations

from typing import Any

from nnlite.core.arguments import checked
from nnlite.interop.loading import extra
from nnlite.layers import Layer


@checked
def to_torch(model: Layer) -> Any:
    """A `torch.nn.Module` that computes what the model computes.

        module = nn.interop.to_torch(model)
        y = module(torch.from_numpy(x))     # x as for the model: batch first, channels last
        torch.save(module.state_dict(), "net.pt")

    The module is made of PyTorch's own layers, which get their images as views with the channels
    first; its state dict is that of a net written in PyTorch, and `load_torch` takes it back.
    Modes, frozen parameters and dtypes are as in the model, and so are ties of what has one layout
    there; what has two (an `Embedding` and a `Linear`) becomes two parameters. The weights are
    copies.

    Args:
        model: the model.

    Raises:
        TypeError: for a layer that PyTorch has no counterpart of; it names its place and says what
            to do.
        ImportError: when PyTorch is missing.
    """
    extra("torch", "torch", "to_torch")
    from nnlite.interop.torch.conversion import converted

    return converted(model)
