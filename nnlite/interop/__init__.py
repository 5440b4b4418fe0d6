"""What connects nnlite with its neighbours; each is an optional extra, imported by its own file.

The functions below are imported when they are first asked for: none of them is needed to train.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nnlite.interop.keras import load_keras
    from nnlite.interop.onnx import load_onnx, save_onnx
    from nnlite.interop.safetensors import load_safetensors, save_safetensors
    from nnlite.interop.torch import load_torch, to_torch

_PLACES = {
    "load_keras": "nnlite.interop.keras",
    "load_onnx": "nnlite.interop.onnx",
    "load_safetensors": "nnlite.interop.safetensors",
    "load_torch": "nnlite.interop.torch",
    "save_onnx": "nnlite.interop.onnx",
    "save_safetensors": "nnlite.interop.safetensors",
    "to_torch": "nnlite.interop.torch",
}


def __getattr__(name: str) -> Any:
    """The functions of each file, and the files themselves: `nn.interop.torch`."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in {place.rpartition(".")[2] for place in _PLACES.values()}:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return list(__all__)


__all__ = [
    "load_keras",
    "load_onnx",
    "load_safetensors",
    "load_torch",
    "save_onnx",
    "save_safetensors",
    "to_torch",
]
