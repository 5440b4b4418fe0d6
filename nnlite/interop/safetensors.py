"""Weights in `.safetensors` files, which hold arrays and text, and nothing that could run.

    nn.interop.save_safetensors(model, "net.safetensors")
    nn.interop.load_safetensors(model, "net.safetensors")

Both need safetensors (`pip install "nnlite[safetensors]"`). The arrays are in nnlite's layout,
under the model's own paths; what PyTorch's programs write is for `load_torch`.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.checks import warn
from nnlite.files.atomic import PathLike, atomic_write
from nnlite.interop.layouts import Own, Theirs, turned
from nnlite.interop.loading import LoadReport, Source, check_file, extra, load
from nnlite.layers import Layer
from nnlite.layers.base import completed
from nnlite.layers.structure import arrays, ties

DTYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32,
    "I16": np.int16, "I8": np.int8, "U64": np.uint64, "U32": np.uint32, "U16": np.uint16,
    "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip


@checked
def save_safetensors(model: Layer, path: PathLike) -> None:
    """Write a model's parameters and buffers to a `.safetensors` file.

    What stands in several places of the model (tied weights) is written once; the file's metadata
    has the other paths, each with the one that was written. The file takes the place of an older
    one only when it is complete and on the disk. It does not hold how the model is built: for that
    there is `nn.save_model`.

    Args:
        model: the model.
        path: where to.

    Raises:
        OSError: when the file cannot be written; an old one is unchanged then.
        ImportError: when safetensors is missing.
    """
    package = extra("safetensors.numpy", "safetensors", "save_safetensors")
    # contiguous: of others safetensors would write the memory and not the values
    values = {path: np.ascontiguousarray(part.data) for path, part in arrays(model).items()}
    tied = {other: first for first, *others in ties(model) for other in others if first in values}
    content = package.save(values, metadata={**tied, "format": "nnlite"})
    with atomic_write(path) as file:
        file.write(content)


@checked
def load_safetensors(model: Layer, path: PathLike, strict: bool = True) -> LoadReport:
    """Write the arrays of a file, in nnlite's layout, into a model.

    Args:
        model: the model that gets them; optimizers go on with it.
        path: the file.
        strict: whether every path of both has to be there (default True). With False those that
            have the same path and shape are loaded; the report says what was missing and left
            over.

    Returns:
        What was loaded, what was missing, and what was left over.

    Raises:
        ValueError: when arrays do not fit, with the shapes of both sides; when the file is damaged,
            or says that it is in another library's layout. The model has not changed.
        FileNotFoundError: when there is no such file.
        ImportError: when safetensors is missing.

    Warns:
        ModelWarning: when nothing at all was loaded; when the file does not say in which layout it
            is, and no shape tells: all matrices are square.
    """
    where = "load_safetensors"
    values, metadata = read(where, path)
    if metadata.get("format", "nnlite") != "nnlite":
        raise ValueError(
            f"{where}: expected a file in nnlite's layout (format 'nnlite'), and the format of "
            f"{os.fspath(path)} is {metadata['format']!r}; for a file of PyTorch's use "
            "load_torch(model, path)"
        )
    matrices = [array.shape for array in values.values() if array.ndim == 2]
    if "format" not in metadata and matrices and all(rows == columns for rows, columns in matrices):
        warn(
            f"{where}: {os.fspath(path)} does not say in which layout it is, and all its matrices "
            "are square; they are taken as (in, out). For a file of PyTorch's, (out, in), use "
            "load_torch(model, path)"
        )
    values = dict(completed(model, values))
    for first, *others in ties(model):
        given = [values.pop(name) for name in (first, *others) if name in values]
        if any(not np.array_equal(a, b) for a, b in pairwise(given)):
            raise ValueError(
                f"{where}: {' and '.join([first, *others])} are tied in the model, and "
                f"{os.fspath(path)} has several values for them"
            )
        values |= {first: given[0]} if given else {}
    own = [Own(name, model, [turned(name, name)], {name: name}) for name in arrays(model)]
    layers = [Theirs(name, {name: name}) for name in values]
    shapes = {name: array.shape for name, array in values.items()}
    source = Source(where, "nnlite", os.fspath(path), layers, shapes, values.__getitem__)
    return load(model, own, source, strict, ordered=False)


def read(where: str, path: PathLike) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays of a `.safetensors` file, sorted by name ("10" behind "9"), and its metadata.

    bfloat16, the upper half of a float32, becomes one.

    Args:
        where: the function, for errors.
        path: the file.

    Raises:
        ValueError: when the file is damaged, or holds numbers that NumPy has not.
        FileNotFoundError: when there is no such file.
        ImportError: when safetensors is missing.
    """
    package: Any = extra("safetensors", "safetensors", where)
    check_file(where, path)
    try:
        content = package.deserialize(Path(path).read_bytes())
        with package.safe_open(path, "numpy") as opened:
            metadata = opened.metadata() or {}
    except package.SafetensorError as error:
        raise ValueError(
            f"{where}: {os.fspath(path)} is no .safetensors file, or damaged: {error}"
        ) from None
    content.sort(key=lambda each: re.sub(r"\d+", lambda number: number[0].zfill(9), each[0]))
    values = {name: _array(where, path, name, **told) for name, told in content}
    for other, first in metadata.items():  # ties, as PyTorch's save_model keeps them too
        if first in values:
            values.setdefault(other, values[first])
    return values, metadata


def _array(
    where: str, path: PathLike, name: str, dtype: str, shape: list[int], data: bytes
) -> np.ndarray:
    if dtype == "BF16":
        upper = np.frombuffer(data, "<u2").astype("<u4")
        return (upper << 16).view("<f4").reshape(shape)
    if dtype not in DTYPES:
        raise ValueError(
            f"{where}: {name} of {os.fspath(path)} holds {dtype}, which NumPy has not; save it "
            "as F32"
        )
    return np.frombuffer(data, np.dtype(DTYPES[dtype]).newbyteorder("<")).reshape(shape)
