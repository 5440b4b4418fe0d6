"""Files in the IDX format, in which MNIST and its relatives come.

An IDX file is a header and numbers: two zero bytes, a byte for the type, a byte for the number of
axes, each axis as a big-endian 32-bit count, and then the values, last axis fastest.
Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database", 1998.
"""

from __future__ import annotations

import gzip
import math
import zlib
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.checks import check_file

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
BLOCK = 1 << 20  # how much is read at a time
DEFLATE = 1032  # bytes that gzip makes of one, at most


@checked
def load_idx(path: str | PathLike[str]) -> np.ndarray:
    """The array in an IDX file, plain or compressed with gzip (told by content, not by name).

    Args:
        path: the file.

    Returns:
        The values in their own type and the machine's byte order.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when it is not an IDX file, or has too few or too many bytes.
    """
    path = check_file("load_idx", path)
    with path.open("rb") as raw:
        compressed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        file = gzip.GzipFile(fileobj=raw) if compressed else raw
        try:
            return _read(file, path, path.stat().st_size, compressed)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: the gzip data is damaged or cut off ({error})") from error


def _read(file: Any, path: Path, size: int, compressed: bool) -> np.ndarray:
    """The array in a file of so many bytes."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        raise ValueError(
            f"{path} is not an IDX file: it begins with {magic!r}, expected two zero bytes and a "
            "type of 0x08 to 0x0E"
        )
    dtype, axes = np.dtype(TYPES[magic[2]]), magic[3]
    header = file.read(4 * axes)
    if len(header) < 4 * axes:
        raise ValueError(f"{path} is cut off: its header of {axes} axes is incomplete")
    if axes > 64:  # NumPy's limit
        raise ValueError(f"{path} has {axes} axes, more than the 64 that an array can have")
    shape = tuple(int(n) for n in np.frombuffer(header, ">u4"))
    expected = math.prod(shape) * dtype.itemsize
    needs = f"shape {shape} of {dtype.newbyteorder('=')} needs {expected:,} bytes"
    most = DEFLATE * size if compressed else size - file.tell()
    if expected > most:
        raise ValueError(f"{path} is cut off: {needs}, found {'at most ' * compressed}{most:,}")
    try:
        values = np.empty(shape, dtype)  # memory that is not touched before bytes come
    except MemoryError:
        raise MemoryError(f"{path}: there is not enough memory: {needs}") from None
    target: Any = values.reshape(-1).view(np.uint8) if values.size else values
    found = 0
    while found < expected and (count := file.readinto(target[found : found + BLOCK])):
        found += count
    if found < expected:
        raise ValueError(f"{path} is cut off: {needs}, found {found}")
    if file.read(1):
        raise ValueError(f"{path} has bytes after its end: {needs}, found more than {expected:,}")
    if not dtype.isnative:
        values = values.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return values
