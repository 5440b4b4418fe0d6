"""Files changed at random: bytes, what the header says, arrays, and the archive around them.

Sums and lengths are put right after a change, so that it reaches what reads the values; only in
MUTATIONS["bytes"] they are not.
"""

from __future__ import annotations

import copy
import io
import json
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

Rng = np.random.Generator
Tree = dict[str, Any] | list[Any]


class Content(NamedTuple):
    """What a file consists of: the header's JSON, and each member's bytes in NumPy's format."""

    header: dict[str, Any]
    members: dict[str, bytes]


def unpack(file: bytes) -> Content:
    """A file's content."""
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    return Content(json.loads(np.load(io.BytesIO(members.pop("header.npy"))).item()), members)


def members_of(content: Content, text: bytes | None = None) -> list[tuple[str, bytes]]:
    """The members of a file with this content, or with another text as its header."""
    text = json.dumps(content.header).encode() if text is None else text
    return [("header.npy", member(np.array(text))), *content.members.items()]


def pack(content: Content, text: bytes | None = None) -> bytes:
    """The file."""
    return archived(members_of(content, text))


def archived(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """A `.zip` of members, with right sums."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # two members may have one name
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, method)
    return file.getvalue()


def member(array: np.ndarray, text: str | None = None) -> bytes:
    """An array in NumPy's format, perhaps with another text in the place of its description."""
    file = io.BytesIO()
    if text is None:
        np.lib.format.write_array(file, array, (1, 0))
    else:
        header = text.encode("latin1", "replace")[:65535]
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
        file.write(array.tobytes())
    return file.getvalue()


def chosen(rng: Rng, values: Any) -> Any:
    """One of the values."""
    return values[int(rng.integers(len(values)))]


# -- bytes -----------------------------------------------------------------------------------------


def _altered(rng: Rng, data: bytes) -> bytes:
    """A few bytes flipped, cut off, left out, put in or doubled."""
    changed = bytearray(data)
    at = int(rng.integers(len(data)))
    some = int(rng.integers(1, 100))
    match int(rng.integers(6)):
        case 0 | 1:
            changed[at] ^= int(rng.integers(1, 256))
        case 2:
            del changed[at:]
        case 3:
            del changed[at : at + some]
        case 4:
            changed[at:at] = rng.bytes(some)
        case 5:
            changed[at:at] = changed[at : at + some]
    return bytes(changed)


def _bytes(rng: Rng, file: bytes) -> bytes:
    return _altered(rng, file)


def _bytes_of_a_member(rng: Rng, file: bytes) -> bytes:
    content = unpack(file)
    if rng.random() < 0.5 or not content.members:
        return pack(content, _altered(rng, json.dumps(content.header).encode()))
    name = chosen(rng, [*content.members])
    content.members[name] = _altered(rng, content.members[name])
    return pack(content)


# -- the header ------------------------------------------------------------------------------------

DEEP = {f"@{n}@": b"[" * n + b"]" * n for n in (900, 100_000)}  # what json.dumps does not write
LONG = {"@digits@": b"9" * 5000, "@1e999@": b"1e999"}
TEXTS = {**DEEP, **LONG}

VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 2, 3, 0.5, -0.0, float("nan"), float("inf"), -float("inf"),
    1e308, 1e-308, 10**30, -(10**30), 2**31, 2**63, -(2**63), 10**9, -(10**9), "", "x", "0",
    "../../x", "\0", "\ud800", "a" * 70_000, [], [1], ["x"], [[]], {}, {"a": 1}, {"": None},
    {"$array": "nowhere"}, {"$array": [1]}, {"$array": None}, {"$array": {}}, {"$nothing": 0},
    {"$scalar": ["<f4", 0.5]}, {"$scalar": ["<f4", "x"]}, {"$scalar": ["<f4"]}, {"$scalar": 1},
    {"$scalar": ["O", 1]}, {"$scalar": ["<i8", 10**30]}, {"$scalar": ["|V1000000000", 0]},
    {"$scalar": ["<U500000000", "x"]}, {"$scalar": [["a", "b"], 0]}, {"$scalar": ["<M8[s]", 1]},
    {"$tuple": 3}, {"$tuple": [1, 2]}, {"$tuple": "ab"}, {"$tuple": {}}, {"$tuple": []},
    {"$items": [[1, 2]]}, {"$items": [[{}, 1]]}, {"$items": [[1]]}, {"$items": 1},
    {"$items": [["a", 1], ["a", 2]]}, {"$generator": {}}, {"$generator": 1},
    {"$generator": {"bit_generator": "PCG64"}}, {"$generator": {"bit_generator": []}},
    {"$generator": {"bit_generator": "MT19937", "state": {"key": [1], "pos": -1}}},
    {"object": "Linear", "arguments": {}, "starred": []}, {"object": "Layer"}, {"class": "ReLU"},
    {"object": "Linear", "arguments": {"in_features": 10**6, "out_features": 10**6}, "starred": []},
    {"part": ["Parameter", "<f4", [10**9, 10**3]]}, {"part": ["Buffer", "O", [1]]}, {"part": []},
    {"dtype": "O"}, {"dtype": "<U1000000000"}, {"dict": {"$": 1}}, {"dict": 1}, *TEXTS,
]  # fmt: skip


def _nodes(tree: Tree) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) inside."""
    for key, value in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(value, dict | list):
            yield from _nodes(value)


def _near(rng: Rng, value: Any) -> Any:
    """A value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        steps = [value + 1, value - 1, -value, 2 * value, 10**6 * value, float(value) / 2]
        return chosen(rng, [*steps, str(value)])
    if isinstance(value, float):
        return chosen(rng, [-value, 1e30 * value, value + 1, int(value) if value == value else 0])
    if isinstance(value, str):
        return chosen(rng, [value.upper(), value[:-1], value + "x", value + ".0", value[::-1]])
    if isinstance(value, list):
        return chosen(rng, [value * 2, value[:-1], value[::-1], value * 1000, [value]])
    if isinstance(value, dict) and value:
        key = chosen(rng, [*value])
        others = {name: item for name, item in value.items() if name != key}
        return chosen(rng, [others, {**others, key + "x": value[key]}, {**value, "more": 1}])
    return [value]


def _header(rng: Rng, file: bytes, change: Callable[[Rng, list[tuple[Any, Any]]], None]) -> bytes:
    content = unpack(file)
    for _ in range(int(rng.integers(1, 3))):
        change(rng, list(_nodes(content.header)))
    text = json.dumps(content.header).encode()
    for name, instead in TEXTS.items():
        text = text.replace(json.dumps(name).encode(), instead)
    return pack(content, text)


def _header_value(rng: Rng, file: bytes) -> bytes:
    def change(rng: Rng, nodes: list[tuple[Any, Any]]) -> None:
        place, key = chosen(rng, nodes)
        if rng.random() < 0.3 and isinstance(place[key], dict | list):  # rather a leaf
            place, key = chosen(rng, list(_nodes(place[key])) or [(place, key)])
        old = place[key]
        place[key] = copy.deepcopy(chosen(rng, VALUES)) if rng.random() < 0.5 else _near(rng, old)

    return _header(rng, file, change)


def _header_structure(rng: Rng, file: bytes) -> bytes:
    def change(rng: Rng, nodes: list[tuple[Any, Any]]) -> None:
        (place, key), (other, name) = chosen(rng, nodes), chosen(rng, nodes)
        match int(rng.integers(5)):
            case 0:
                del place[key]
            case 1:
                place[key] = copy.deepcopy(other[name])
            case 2:
                mine, theirs = copy.deepcopy(place[key]), copy.deepcopy(other[name])
                place[key], other[name] = theirs, mine
            case 3 if isinstance(place, dict):
                place[str(name)] = place.pop(key)
            case _:
                wrap = chosen(rng, ["$tuple", "$items", "$generator", "dict", "x"])
                place[key] = {wrap: place[key]}

    return _header(rng, file, change)


# -- arrays ----------------------------------------------------------------------------------------

DTYPES = ["<f2", "<f4", "<f8", ">f4", "<i8", "|i1", "|u1", "|b1", "<c8", "<U1", "|S3", "<M8[s]"]
FILLED = [float("nan"), float("inf"), 1e38, -1e38, 1e-45, 0.0, -1.0, 3e9]
DESCRIPTIONS = [
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4000000000000000000, 4), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (True,), }",
    "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }",
    "{'descr': '|V100000000', 'fortran_order': False, 'shape': (), }",
    "{'descr': [('a', '<f4'), ('b', '<f4', (2,))], 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'more': 1}",
    "{'descr': '<f4'}", "{}", "[]", "", "\0", "x" * 65000, "(" * 5000, "-" * 60000 + "1",
    "[" * 9000 + "]" * 9000, "__import__('os')", "{'descr': 9**9**9, }",
]  # fmt: skip


def _other_array(rng: Rng, array: np.ndarray) -> np.ndarray:
    match int(rng.integers(8)):
        case 0:
            return np.zeros(array.shape, chosen(rng, DTYPES))
        case 1:
            return array.reshape(-1)
        case 2:
            return array.T.copy()
        case 3:
            return array[None]
        case 4:
            return np.concatenate([array.reshape(-1)] * 2)
        case 5:
            return array.reshape(-1)[:-1]
        case 6:
            return np.zeros(chosen(rng, [(), (0,), (0, 10**12), (1,) * 32]), array.dtype)
    changed = array.astype(array.dtype, copy=True)
    with np.errstate(all="ignore"):
        value = np.array(chosen(rng, FILLED)).astype(array.dtype)
    if rng.random() < 0.5 or not changed.size:
        changed[...] = value
    else:
        changed.reshape(-1)[int(rng.integers(changed.size))] = value
    return changed


def _arrays(rng: Rng, file: bytes) -> bytes:
    content = unpack(file)
    if not content.members:
        return _header_value(rng, file)
    name = chosen(rng, [*content.members])
    array = np.load(io.BytesIO(content.members[name]))
    if rng.random() < 0.2:
        content.members[name] = member(array, chosen(rng, DESCRIPTIONS))
        return pack(content)
    array = np.asarray(_other_array(rng, array), order="C")
    content.members[name] = member(array)
    if rng.random() < 0.9:
        described = content.header["arrays"]
        described[name.removesuffix(".npy")] = [array.dtype.str, list(array.shape)]
    return pack(content)


# -- the archive -----------------------------------------------------------------------------------


def _archive(rng: Rng, file: bytes) -> bytes:
    members = members_of(unpack(file))
    at, other = (int(rng.integers(len(members))) for _ in range(2))
    name, data = members[at]
    match int(rng.integers(9)):
        case 0:
            del members[at]
        case 1:
            members[at] = members[other]
        case 2:
            members[at], members[other] = (name, members[other][1]), (members[other][0], data)
        case 3:
            names = ["", "x", "../x.npy", "/x.npy", "header", "ü.npy", "a" * 60_000, name + "/"]
            members[at] = (chosen(rng, names), data)
        case 4:
            return archived(members, chosen(rng, [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]))
        case 5:
            members[at] = (name, chosen(rng, [b"", data + b"\0" * 9, data[:60], data[:8], file]))
        case 6:
            members[at:at] = [(f"x{n}.npy", b"") for n in range(5000)]
        case 7:
            return rng.bytes(100) + archived(members) + rng.bytes(100)
        case 8:  # the directory at the end says something else than the members say
            changed = bytearray(archived(members))
            start = changed.index(b"PK\x01\x02")
            field = start + chosen(rng, [6, 8, 10, 16, 20, 24, 28, 30, 32, 42])
            wide = chosen(rng, [0, 1, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
            changed[field : field + 4] = wide.to_bytes(4, "little")
            return bytes(changed)
    return archived(members)


MUTATIONS: dict[str, Callable[[Rng, bytes], bytes]] = {
    "bytes": _bytes,
    "bytes, sums right": _bytes_of_a_member,
    "values in the header": _header_value,
    "structure of the header": _header_structure,
    "arrays": _arrays,
    "the archive": _archive,
}
