"""The file format: a `.npz` of uncompressed arrays, the first of which is a header in JSON.

    header.npy              JSON: {"format": "nnlite", "version": 1, "kind": "model", "arrays":
                            {"name": ["<f4", [64, 10]], ...}, "content": ...}, as an array of bytes
    name.npy, ...           the arrays that the content refers to (see `tree.py`)

There is no pickle in it and nothing that could run. `numpy.load` opens it as any other `.npz`;
`json.loads(numpy.load(path)["header"].item())` is the header.

Reading believes nothing: members must be stored, not compressed, and lie within the file; their
checksums, types, shapes and sizes must agree with the header. All of that is done before anything
is returned.
"""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from itertools import repeat
from typing import IO, Any

import numpy as np

from nnlite.core.checks import check_file
from nnlite.core.forms import ANYTHING, COUNT, STRING, Table, check_form
from nnlite.core.kinds import printable
from nnlite.files.atomic import PathLike, atomic_write
from nnlite.files.tree import decode, encode, number_type

FORMAT = "nnlite"
VERSION = 1
LARGEST_HEADER = 1 << 26  # 64 MB; the longest history is a few
HEADER = {
    "format": STRING,
    "version": COUNT,
    "kind": STRING,
    "arrays": Table(ANYTHING),
    "content": ANYTHING,
}
# bytes of memory for each of these in a header: of a list or dictionary, of an entry with a name,
# of an item, twice where decoding makes another one
MEMORY = {b"[": 144, b"{": 144, b":": 120, b",": 48}
SPARE = 1 << 25
# what NumPy writes before an array; never a structure, nor anything that could be an object
DESCRIPTION = re.compile(
    r"\{'descr': '([|<>=]([a-zA-Z])[^']{0,9})', 'fortran_order': (True|False), "
    r"'shape': \(([\d, ]{0,1500})\), \} *\n?",
    re.ASCII,
)
TEXT = re.compile(r"[|<>=]S\d{1,8}")
MOST_AXES = 64  # of an array of NumPy
LARGEST = 1 << 58  # values of one
BLOCK = 1 << 20
LONGEST = 2000  # characters of an error
READERS = {"model": "nn.load_model(path)", "checkpoint": "trainer.load(path)"}  # by kind of file
DAMAGED = "it is no file of nnlite, or it is damaged or cut off; take an older copy"


class CheckpointError(RuntimeError):
    """A file that cannot be read, does not fit, or could not be written; names the file."""


def write(path: PathLike, kind: str, content: Any, keep: int = 1) -> None:
    """Write a tree of values and arrays, atomically, and `keep` so many files under its name.

    Raises:
        TypeError: when something in it has no form in a file.
        CheckpointError: when the file cannot be written; the one that was there is unchanged.
    """
    arrays: dict[str, np.ndarray] = {}
    tree = encode(content, "", arrays)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "kind": kind,
        "arrays": {name: [array.dtype.str, list(array.shape)] for name, array in arrays.items()},
        "content": tree,
    }
    text = np.array(json.dumps(header).encode())
    try:
        with atomic_write(path, keep) as file:
            _write_members(file, {"header": text, **arrays})
    except OSError as error:
        was_there = os.path.isfile(path)
        raise CheckpointError(
            f"{os.fspath(path)} could not be saved: {error.strerror or error}"
            + ("; the file that was there before is unchanged" if was_there else "")
        ) from error


def _write_members(file: IO[bytes], arrays: dict[str, np.ndarray]) -> None:
    archive = zipfile.ZipFile(file, "w")
    try:
        for name, array in arrays.items():
            _write_member(archive, name, array)
        archive.close()
    except BaseException:
        archive.fp = None  # closed without an end: after Ctrl-C in a member it would complain
        raise


def _write_member(archive: zipfile.ZipFile, name: str, array: np.ndarray) -> None:
    """One array in NumPy's format, stored, with a fixed date: equal content, equal bytes."""
    array = np.asarray(array, order="C")
    member = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
    with archive.open(member, "w", force_zip64=array.nbytes > 1 << 30) as file:
        description = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(file, description)
        if array.size:
            file.write(array.reshape(-1).view(np.uint8).data)


def read(path: PathLike, kind: str) -> Any:
    """The content of a file of this kind.

    Raises:
        FileNotFoundError: when there is no such file.
        CheckpointError: for anything that is wrong with it.
    """
    place = check_file("load", path)
    try:
        with place.open("rb") as file:
            header, arrays = _read(file)
        if header["kind"] != kind:
            hint = f"; {READERS[header['kind']]} reads it" if header["kind"] in READERS else ""
            raise ValueError(f"it holds a {header['kind']}, expected a {kind}{hint}")
        content = decode(header["content"], arrays)
        if arrays:  # decoding has taken the others out
            raise ValueError(f"nothing in its header refers to {sorted(arrays)}")
    except Exception as error:  # whatever damage can raise deep inside zipfile or NumPy
        raise CheckpointError(f"{os.fspath(path)} cannot be read: {reason(error)}") from error
    return content


def reason(error: Exception) -> str:
    """What was wrong with a file, in words."""
    if isinstance(error, RecursionError):
        return "it is nested too deep (recursion); take an older copy"
    if isinstance(error, MemoryError):
        return f"there is not enough memory for it; {error}"
    if isinstance(error, OSError):
        return f"the disk gave: {error.strerror or error}"
    ours = type(error) in (ValueError, TypeError, RuntimeError) and str(error)
    return printable(str(error) if ours else f"{DAMAGED} ({type(error).__name__})", LONGEST)


def _read(file: IO[bytes]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    size = os.fstat(file.fileno()).st_size
    with _opened(file) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        _check_members(archive.infolist(), size)
        if len(members) < len(archive.infolist()) or "header" not in members:
            raise ValueError(f"it has no header, or two members with one name: {DAMAGED}")
        header = _read_header(archive, members.pop("header"), size)
        if header["arrays"].keys() != members.keys():
            different = header["arrays"].keys() ^ members.keys()
            raise ValueError(f"arrays and header do not agree on {sorted(different)}")
        arrays = {name: _read_member(archive, members[name], "fiub") for name in members}
    for name, described in header["arrays"].items():
        found = [arrays[name].dtype.str, list(arrays[name].shape)]
        if found != described:
            raise ValueError(f"{name} is {found}, but the header says {described}")
    return header, arrays


def _opened(file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # of many kinds, for what is no zip at all
        raise ValueError(DAMAGED) from error


def _read_header(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> dict[str, Any]:
    """What the file of `size` bytes says of itself."""
    if member.file_size > LARGEST_HEADER:
        raise ValueError(f"its header of {member.file_size:,} bytes is too large")
    array = _read_member(archive, member, "S")
    if array.ndim:
        raise ValueError("its header is not a single string")
    text = array.item()
    del array
    # lists and dictionaries need far more memory than their text
    if sum(text.count(mark) * cost for mark, cost in MEMORY.items()) > 2 * size + SPARE:
        raise ValueError("its header would unfold to far more than the size of the file")
    try:
        header = json.loads(text.decode("ascii"))
    except ValueError as error:  # also of numbers with too many digits
        raise ValueError(f"its header is no JSON: {DAMAGED}") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError("it was not written by nnlite")
    if header.get("version") != VERSION:
        raise ValueError(
            f"it has format version {header.get('version')}, expected {VERSION}; read it with the "
            "version of nnlite that has written it"
        )
    check_form("header", header, HEADER)
    return header


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    """Stored, not encrypted, and together no larger than the file: nothing can unfold."""
    for member in members:
        stored = member.compress_type == zipfile.ZIP_STORED
        if not stored or member.flag_bits & 1 or member.file_size != member.compress_size:
            raise ValueError(f"{member.filename} is compressed or encrypted")
    if sum(member.file_size for member in members) > size:
        raise ValueError("its members are larger than the file")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, kinds: str) -> np.ndarray:
    """One array, piece by piece; zipfile checks the sum when it has read all of it."""
    with archive.open(member) as file:
        if file.read(8) != b"\x93NUMPY\x01\x00":
            raise ValueError(f"{member.filename} is not an array in version 1.0 of NumPy's format")
        text = file.read(int.from_bytes(file.read(2), "little")).decode("latin1")
        described = DESCRIPTION.fullmatch(text)
        if described is None:
            raise ValueError(f"{member.filename} has no header of NumPy's format")
        name, letter, fortran, sizes = described.groups()
        if letter not in kinds or fortran == "True":
            raise ValueError(f"{member.filename} holds {name}, which is not expected here")
        dtype = np.dtype(name) if TEXT.fullmatch(name) else number_type(name)
        shape = tuple(map(int, re.findall(r"\d+", sizes)))
        left = member.file_size - file.tell()
        # NumPy counts the bytes as if no axis were empty
        wrong = len(shape) > MOST_AXES or math.prod(map(max, shape, repeat(1))) > LARGEST
        if wrong or math.prod(shape) * dtype.itemsize != left:
            raise ValueError(f"{member.filename} has {left:,} bytes for shape {shape}")
        array = np.empty(shape, dtype)
        target = array.reshape(-1).view(np.uint8) if array.size else np.empty(0, np.uint8)
        for start in range(0, left, BLOCK):
            block = file.read(min(BLOCK, left - start))
            target[start : start + len(block)] = np.frombuffer(block, np.uint8)
    if dtype.kind == "b" and target.size and target.max() > 1:  # NumPy would count and index wrong
        raise ValueError(f"{member.filename} holds bytes that are neither True nor False")
    return array
