"""Files that are whole or not there: written beside their place, synced, then renamed into it."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from nnlite.core.checks import no_place

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be removed by others anyway
    fcntl = None  # type: ignore[assignment]

PathLike = str | os.PathLike[str]

RETRIES = (0.01, 0.1, 0.5)  # seconds between attempts to rename on Windows
LONGEST = 200  # bytes of a name that may stand in a temporary one, which has 22 more, of 255


@contextmanager
def atomic_write(path: PathLike, keep: int = 1) -> Iterator[IO[bytes]]:
    """A binary file that takes its place at the end of the `with` block, all at once.

    The bytes go to a temporary file in the same folder, are synced to the disk and renamed to
    `path`: whoever reads finds the old file or the new one, complete, whatever happens in between,
    a power cut included. When the block raises, the temporary file is removed and the old file
    stays. What a killed process left behind for the same path is removed too. The new file has the
    old one's mode, and its owner where that is allowed.

    Args:
        path: where to.
        keep: how many files to keep, see `_keep_previous`; nothing moves before the new one is
            complete.

    Raises:
        OSError: when there is something at the path that is no file, such as a device, or a file
            that nobody may write; when the folder or the disk refuses.
    """
    problem = no_place(path) or no_place_before(path, keep)
    if problem:
        raise OSError(problem)
    target = Path(os.path.realpath(path))  # of a symbolic link, what it points to
    old = target.stat() if target.exists() else None
    _remove_leftovers(target)
    temporary = str(_temporary(target))  # a string, so that unlink below is one call into C
    file: IO[bytes] | None = None
    try:
        file = _open_locked(temporary)
        if old is not None:
            _take_after(file, old)
        yield file
        file.flush()
        _sync(file.fileno())
        if fcntl is None:
            file.close()  # Windows does not rename what is open
        _keep_previous(path, keep)
        _replace(temporary, target)
        _sync_folder(target.parent)
    except BaseException:
        try:  # noqa: SIM105  first of all, in one call: Ctrl-C may come again
            os.unlink(temporary)
        except OSError:  # it was never made, or Windows keeps it while it is open
            pass
        with contextlib.suppress(OSError):  # a full disk may refuse to flush once more
            if file is not None:
                file.close()
                os.unlink(temporary)
        raise
    file.close()


def _take_after(file: IO[bytes], old: os.stat_result) -> None:
    """Give a file the mode and the owner of the one that it will replace."""
    if hasattr(os, "fchmod"):  # not on Windows
        os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
        with contextlib.suppress(OSError):  # only root may give files away
            os.fchown(file.fileno(), old.st_uid, old.st_gid)


def _sync(number: int) -> None:
    """Wait until an open file is on the disk; macOS's fsync leaves it in the drive's memory."""
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with contextlib.suppress(OSError):  # some network folders
            fcntl.fcntl(number, full)
            return
    os.fsync(number)


def _replace(source: PathLike, target: Path) -> None:
    """Rename a file; Windows refuses while another program, perhaps for a moment, reads target."""
    for pause in RETRIES if sys.platform == "win32" else ():
        try:
            os.replace(source, target)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    os.replace(source, target)


def _sync_folder(folder: Path) -> None:
    """Let the new name survive a power cut; a folder cannot be opened on Windows."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            _sync(number)
        finally:
            os.close(number)


def _open_locked(path: str) -> IO[bytes]:
    """A new file, locked as long as it is open: a sign that it is in use."""
    while True:
        try:
            file = open(path, "xb")  # noqa: SIM115  it is closed when all is done
        except OSError as error:  # as below /proc, where nobody may make a file
            raise OSError(
                f"the folder {os.path.dirname(path)} takes no new files ({error.strerror}); name a "
                "file in another one"
            ) from error
        try:
            if fcntl is not None:
                with contextlib.suppress(OSError):  # some network folders have no locks
                    fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
        except BaseException:  # Ctrl-C
            file.close()
            raise
        file.close()  # another process took it for a leftover before the lock was there


def _temporary(target: Path) -> Path:
    """A new name beside the target."""
    return target.with_name(f"{_beginning(target)}{secrets.token_hex(8)}.tmp")


def _beginning(target: Path) -> str:
    """That of the names of its temporary files, which must not be too long if its own is not."""
    name = os.fsencode(target.name)
    return f".{target.name if len(name) <= LONGEST else hashlib.sha256(name).hexdigest()}."


def _remove_leftovers(target: Path) -> None:
    """Remove temporary files for this target that no living process holds."""
    beginning = _beginning(target)
    for path in target.parent.glob("." + "*.tmp"):
        if not path.name.startswith(beginning):
            continue
        with contextlib.suppress(OSError):  # in use, or already gone
            if fcntl is None:
                path.unlink()
            else:
                with path.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()


def _names(path: PathLike, keep: int) -> list[Path]:
    """The names of the files that are kept, the newest first: run.npz, run.1.npz, …"""
    newest = Path(path)
    older = (newest.with_name(f"{newest.stem}.{n}{newest.suffix}") for n in range(1, keep))
    return [newest, *older]


def no_place_before(path: PathLike, keep: int) -> str:
    """Why the files of before cannot be kept, and what to do; empty where they can."""
    older = _names(path, keep)[1:]
    there = [older[:1], [name for name in older[1:] if os.path.lexists(name)]]
    return next(filter(None, map(no_place, itertools.chain(*there))), "")


def _keep_previous(path: PathLike, keep: int) -> None:
    """Give the file at `path` a second name, before it is replaced: run.npz is then run.1.npz too.

    Older ones move on, run.1.npz to run.2.npz, until there are `keep` with the coming one. The
    file at `path` is there at every moment.
    """
    names = _names(path, keep)
    newest = names[0]
    if keep < 2 or not newest.exists():
        return
    for older, younger in zip(names[:1:-1], names[-2:0:-1], strict=True):
        if younger.exists():
            _replace(younger, older)
    temporary = _temporary(newest)
    try:
        os.link(newest, temporary)
        _replace(temporary, names[1])
    except OSError:  # a file system without hard links
        with atomic_write(names[1]) as file:
            file.write(newest.read_bytes())
