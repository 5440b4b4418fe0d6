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
from typing import IO

import numpy as np

from nnlite.core.arguments import checked
from nnlite.core.checks import check_file

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
BLOCK = 1 << 20  # how much is read at a time, so that a false size allocates nothing


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
        file: IO[bytes] = gzip.GzipFile(fileobj=raw) if compressed else raw  # type: ignore[assignment]
        try:
            return _read(file, path)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: the gzip data is damaged or cut off ({error})") from error


def _read(file: IO[bytes], path: Path) -> np.ndarray:
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
    shape = tuple(int(n) for n in np.frombuffer(header, ">u4"))
    expected = math.prod(shape) * dtype.itemsize
    data = _read_at_most(file, expected + 1)
    if len(data) != expected:
        problem = "is cut off" if len(data) < expected else "has bytes after its end"
        found = len(data) if len(data) < expected else f"more than {expected:,}"
        raise ValueError(
            f"{path} {problem}: shape {shape} of {dtype.newbyteorder('=')} needs {expected:,} "
            f"bytes, found {found}"
        )
    if axes > 64:  # NumPy's limit
        raise ValueError(f"{path} has {axes} axes, more than the 64 that an array can have")
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read_at_most(file: IO[bytes], size: int) -> bytes:
    """Up to `size` bytes, in blocks: what the header promises is not believed until it is there."""
    blocks = []
    while size > 0 and (block := file.read(min(size, BLOCK))):
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)
