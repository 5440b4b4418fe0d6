"""What other systems lack or do otherwise, simulated here."""

import ctypes
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

import nnlite as nn
from nnlite.core import runtime
from nnlite.files import atomic
from nnlite.ops import threads
from nnlite.training import fingerprint


def write(path, text, **options):
    with atomic.atomic_write(path, **options) as file:
        file.write(text.encode())


@pytest.fixture
def windows(monkeypatch):
    """No locks, no modes, no owners, no folders that can be opened, no renaming of open files."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(atomic, "fcntl", None)
    monkeypatch.setattr(atomic, "RETRIES", (0.0, 0.0))
    for name in ("fchmod", "fchown", "sched_getaffinity", "register_at_fork"):
        monkeypatch.delattr(os, name, raising=False)  # some are not on macOS either
    opened, replaced = os.open, os.replace

    def open_file(path, *options):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied")
        return opened(path, *options)

    def replace(source, target):
        for link in Path("/proc/self/fd").glob("*"):  # where there is such a folder
            assert link.resolve() != Path(source).resolve(), "it is open"
        replaced(source, target)

    monkeypatch.setattr(os, "open", open_file)
    monkeypatch.setattr(os, "replace", replace)


def test_files_on_windows(tmp_path, windows):
    path = tmp_path / "run.npz"
    left = tmp_path / ".run.npz.0123456789abcdef.tmp"
    left.write_text("by a process that was killed")
    for text in ("first", "second", "third"):
        write(path, text, keep=2)
    assert path.read_text() == "third"
    assert (tmp_path / "run.1.npz").read_text() == "second"
    assert sorted(os.listdir(tmp_path)) == ["run.1.npz", "run.npz"]


def test_a_model_and_its_run_on_windows(tmp_path, windows, capsys):
    model = nn.Sequential(nn.Linear(3, 2))
    trainer = nn.Trainer(model, nn.MSELoss(), nn.Adam(model.parameters()))
    x, y = np.ones((8, 3), np.float32), np.zeros((8, 2), np.float32)
    checkpoint = nn.Checkpoint(tmp_path / "run.npz")
    trainer.fit(x, y, 2, callbacks=[checkpoint, nn.CSVLogger(tmp_path / "log.csv")])
    trainer.fit(x, y, 2, callbacks=[checkpoint], resume="auto")
    nn.save_model(model, tmp_path / "model.npz")
    assert repr(nn.load_model(tmp_path / "model.npz")) == repr(model)
    assert trainer.fingerprint()["cores"] == os.cpu_count()


@pytest.mark.parametrize(("refused", "written"), [(2, True), (3, False)])
def test_a_file_that_another_program_reads_on_windows(
    tmp_path, windows, monkeypatch, refused, written
):
    path = tmp_path / "model.npz"
    write(path, "old")
    calls, replace = [], os.replace

    def busy(source, target):
        calls.append(source)
        if len(calls) <= refused:
            raise PermissionError(13, "Access is denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", busy)
    if written:
        write(path, "new")
    else:
        with pytest.raises(PermissionError):
            write(path, "new")
    assert path.read_text() == ("new" if written else "old")
    assert os.listdir(tmp_path) == ["model.npz"]


@pytest.mark.skipif(atomic.fcntl is None, reason="no such calls here")
@pytest.mark.parametrize("works", [True, False])
def test_files_reach_the_disk_on_macos(tmp_path, monkeypatch, works):
    asked, synced, fsync = [], [], os.fsync

    def control(number, command):
        asked.append(command)
        if not works:  # as in a network folder
            raise OSError(45, "Operation not supported")

    monkeypatch.setattr(atomic.fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(atomic.fcntl, "fcntl", control)
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(fsync(number)))
    write(tmp_path / "model.npz", "weights")
    assert asked == [51, 51]  # the file and its folder
    assert len(synced) == (0 if works else 2)


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_memory_is_left_to_the_system_elsewhere(monkeypatch, platform):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: pytest.fail("a library was asked for"))
    runtime.keep_freed_memory()


def test_threads_of_windows_are_not_started_anew(monkeypatch):
    monkeypatch.delenv(runtime.SPIN[0], raising=False)
    monkeypatch.setattr(sys, "_current_frames", lambda: {0: None})
    restarted = []

    class Library:
        openblas_read_env = blas_thread_shutdown_ = restarted.append

    monkeypatch.setattr(runtime, "library", Library)
    monkeypatch.setattr(runtime, "thread_functions", lambda: (lambda: 2, restarted.append))
    monkeypatch.setattr(sys, "platform", "win32")
    runtime.let_idle_threads_sleep()
    assert not restarted


def test_without_an_openblas_beside_numpy(monkeypatch):
    """As where NumPy computes by Accelerate, MKL or a library of the system."""
    monkeypatch.setattr(threads, "thread_functions", lambda: None)
    monkeypatch.setattr(np, "show_config", lambda mode: {"Build Dependencies": {"blas": {
        "name": "accelerate", "found": True}}})  # fmt: skip
    assert threads.over_parts(lambda part: part, 8, 1 << 20) == [slice(0, 8)]
    assert fingerprint.environment()["blas"] == "accelerate"
    assert fingerprint.environment()["blas_threads"] is None
    layer = nn.Conv2d(1, 2, 3)
    assert layer(np.ones((4, 8, 8, 1), np.float32)).shape == (4, 6, 6, 2)
    threads._forget()  # after a fork


def test_where_ctrl_c_has_no_handler_of_pythons(monkeypatch):
    """As in an embedded interpreter."""
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    model = nn.Sequential(nn.Linear(3, 2))
    trainer = nn.Trainer(model, nn.MSELoss(), nn.SGD(model.parameters(), lr=0.1))
    x, y = np.ones((8, 3), np.float32), np.zeros((8, 2), np.float32)
    assert trainer.fit(x, y, 2, verbose=False).epochs == 2
