"""Weights from PyTorch: from a module, a state dict, or a file."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.foreign import kind_of
from nnlite.core.kinds import shown
from nnlite.files.atomic import PathLike
from nnlite.interop.layouts import OPTIONAL, Theirs
from nnlite.interop.loading import (
    LoadReport,
    Source,
    check_file,
    check_names,
    extra,
    is_instance,
    is_packed,
    load,
)
from nnlite.interop.torch.layouts import own_layers, their_layers
from nnlite.layers import Layer

WHERE = "load_torch"
SAFE = (2, 6)  # the first PyTorch whose weights_only runs nothing, whatever the file


@checked
def load_torch(model: Layer, source: Any, strict: bool = True) -> LoadReport:
    """Write the weights of a PyTorch module into a model with the same layers.

        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
        report = nn.interop.load_torch(model, "net.pt")

    Layers are found by name where the model's paths are the names there, and otherwise in order:
    the k-th layer with weights there is the k-th here. Each array is turned from PyTorch's layout
    into ours; a `Linear` behind the `Flatten` of images gets its rows in our order of
    (height, width, channels). In front of all other layers it is not known how many channels a
    `Flatten` gets; where PyTorch's got images with several, put `Permute(3, 1, 2)` before it. Where
    PyTorch's makes images of rows (`Unflatten`, `view`), it is `Reshape(C, H, W)` here and behind
    it `Permute(2, 3, 1)`.

    PyTorch's stacked or bidirectional RNNs are a stack or a `Sequential` of `Bidirectional`; its
    two biases become one, and a GRU's second one `bias_hn`. Of a module also the arguments that
    change what is computed are compared (eps, stride, heads, …); a file does not have them. A
    `.safetensors` file does not keep the order of layers either, but what their numbers say.
    Parameters of a layer of your own are taken as they are.

    Args:
        model: the model that gets the weights; optimizers go on with it.
        source: a `torch.nn.Module`, its state dict (of tensors or arrays), or the path of a `.pt`
            file with one, or of a `.safetensors` file in PyTorch's layout.
        strict: whether all layers of both have to fit (default True). With False those with the
            same names and shapes are loaded, or where no names agree those from the first on, up
            to one that does not fit; the report says what was missing and left over.

    Returns:
        What was loaded from where, what was missing, and what was left over.

    Raises:
        ValueError: when layers do not fit, with the shapes of both sides; when a file is damaged
            or holds more than arrays: code in a file is never run. The model has not changed.
        TypeError: for another source.
        FileNotFoundError: when there is no such file.
        ImportError: when the package that reads the file is missing; it says which.

    Warns:
        ModelWarning: when nothing at all was loaded.
    """
    module = source if is_instance(source, "state_dict", "get_submodule") else None
    name = type(source).__name__ if module is not None else "the state dict"
    if module is not None:
        state: Any = module.state_dict()
    elif isinstance(source, Mapping):
        state = source
    elif isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        state = _from_file(source)
    else:
        raise TypeError(
            f"{WHERE}: expected a torch.nn.Module, its state dict, or the path of a .pt or "
            f".safetensors file, got {kind_of(source)}"
        )
    state = _tensors(state, name)
    own = own_layers(model)
    layers = [_with_settings(each, module) for each in their_layers(list(state))]
    counted = {n for unit in own for local, n in unit.full.items() if local in OPTIONAL}
    for each in [] if counted else layers:  # nothing here counts batches
        each.names.pop("num_batches_tracked", None)
    described = Source(
        WHERE, "PyTorch", name, [each for each in layers if each.names],
        {n: tuple(t.shape) for n, t in state.items()}, lambda n: as_numpy(state[n], n),
    )  # fmt: skip
    if name.endswith(".safetensors"):  # which sorts them by name
        remedy = "load it into the PyTorch module, and give that: load_torch(model, module)"
        described = described._replace(remedy=remedy)
    return load(model, own, described, strict)


# the arguments that change what a layer computes, and have the same name in both
SETTINGS = ("eps", "stride", "padding", "output_padding", "dilation", "groups", "num_groups",
            "num_heads", "add_zero_attn", "nonlinearity", "norm_first", "padding_idx")  # fmt: skip


def _with_settings(theirs: Theirs, module: Any) -> Theirs:
    """The layer with its arguments, where there is a module to ask."""
    try:
        inner = None if module is None else module.get_submodule(theirs.place)
    except (AttributeError, RuntimeError):  # it names its arrays in another way, or is compiled
        inner = None
    if inner is None:
        return theirs
    if getattr(inner, "padding_mode", "zeros") != "zeros":
        raise ValueError(
            f"{WHERE}: {theirs.place} has padding_mode={inner.padding_mode!r}; here, put a layer "
            "such as ReflectionPad2d before a convolution without padding, and give its state dict"
        )
    settings = {**theirs.settings, **{name: getattr(inner, name, None) for name in SETTINGS}}
    if isinstance(padding := settings["padding"], str):
        reach = zip(inner.kernel_size, inner.dilation, strict=True)
        settings["padding"] = tuple(d * (k - 1) // 2 * (padding == "same") for k, d in reach)
    settings["num_heads"] = getattr(getattr(inner, "self_attn", inner), "num_heads", None)
    if (activation := getattr(inner, "activation", None)) is not None:  # a function, or a module
        kind = type(activation).__name__.lower()
        settings["activation"] = getattr(activation, "__name__", kind)
    return theirs._replace(settings=settings)


def _from_file(path: PathLike) -> Any:
    check_file(WHERE, path)
    if os.fspath(path).endswith(".safetensors"):
        from nnlite.interop.safetensors import read

        tensors, metadata = read(WHERE, path)
        if metadata.get("format") == "nnlite":
            raise ValueError(
                f"{WHERE}: {os.fspath(path)} was written by save_safetensors, in nnlite's layout; "
                "use load_safetensors"
            )
        if metadata.get("format") in ("tf", "flax", "mlx"):
            raise ValueError(
                f"{WHERE}: expected a file in PyTorch's layout (format 'pt'), and "
                f"{os.fspath(path)} says that it is in that of another library (format "
                f"{metadata['format']!r}); load it into the PyTorch module, and give that: "
                "load_torch(model, module)"
            )
        return tensors
    torch = extra("torch", "torch", WHERE)
    if tuple(map(int, torch.__version__.split(".")[:2])) < SAFE:
        raise ImportError(f"{WHERE}: before PyTorch 2.6 a file can run code: pip install -U torch")
    try:
        problem = _problem(path)
        if not problem:
            return torch.load(path, map_location="cpu", weights_only=True)
    # of pickle, of zip, of PyTorch's own: raw, or advice to run the file
    except Exception as error:
        again = "save the weights alone: torch.save(module.state_dict(), path)"
        if "Unsupported global" in str(error) or "Unsupported class" in str(error):
            problem = (
                "holds more than arrays, and loading it would run code from the file. Where it "
                f"comes from somebody you trust, {again}"
            )
        else:
            problem = f"is not a file of torch.save, or damaged; {again}"
    raise ValueError(f"{WHERE}: {os.fspath(path)} {problem}")


def _problem(path: PathLike) -> str:
    """What keeps an archive from being one of torch.save; empty when nothing does."""
    if not zipfile.is_zipfile(path):
        return ""  # perhaps the older format, which has no compression
    with zipfile.ZipFile(path) as archive:
        if any(name.endswith("/constants.pkl") for name in archive.namelist()):
            return (
                "is a program of torch.jit; where you trust it, give the module: "
                "load_torch(model, torch.jit.load(path))"
            )
        packed = is_packed(archive, path)
    return "has compressed parts, which torch.save never writes" if packed else ""


def _tensors(state: Any, name: str) -> dict[str, Any]:
    """The arrays of a state dict; refuses whatever is none."""
    if not isinstance(state, Mapping):
        raise TypeError(f"{WHERE}: expected a state dict in {name}, got {kind_of(state)}")
    check_names(WHERE, state)
    inner = [key for key, value in state.items() if isinstance(value, Mapping)]
    if inner:
        raise ValueError(
            f"{WHERE}: {name} is a checkpoint with the parts {', '.join(map(repr, state))}; give "
            f"its weights alone: load_torch(model, torch.load(path, weights_only=True)"
            f"[{inner[0]!r}])"
        )
    for key, value in state.items():
        if type(value).__name__.startswith("Uninitialized"):
            raise ValueError(f"{WHERE}: {key} of {name} has no shape yet; call the module once")
        if not hasattr(value, "shape") or not hasattr(value, "dtype"):
            raise TypeError(f"{WHERE}: {key} of {name} is no array but {shown(value)}")
        if hasattr(value, "untyped_storage") or hasattr(value, "layout"):
            _check_tensor(key, value, name)
    return dict(state)


def _check_tensor(key: str, tensor: Any, name: str) -> None:
    """Refuse tensors without memory of their own: sparse ones, and those that claim too much."""
    if str(tensor.layout) != "torch.strided" or tensor.device.type == "meta" or tensor.is_quantized:
        raise ValueError(
            f"{WHERE}: {key} of {name} is no ordinary tensor (layout {tensor.layout}, device "
            f"{tensor.device}, {tensor.dtype}); save it as tensor.to_dense() or tensor.dequantize()"
        )
    size, there = tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes()
    if size > there:
        raise ValueError(
            f"{WHERE}: {key} {tuple(tensor.shape)} of {name} claims {size:,} bytes and has "
            f"{there:,}; save tensor.contiguous()"
        )


def as_numpy(tensor: Any, name: str) -> np.ndarray:
    """A tensor's values; half precisions become float32.

    Raises:
        ValueError: for values that are no numbers of NumPy's.
    """
    if not hasattr(tensor, "detach"):
        return np.asarray(tensor)
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    try:
        values: np.ndarray = tensor.numpy()
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{name} ({tensor.dtype}) has no form in NumPy: {error}") from None
    return values
