"""What `fit` shows, in pseudo-terminals of given widths, in a log, and in a notebook."""

import os
import re
import signal
import struct
import sys
import threading
import types

import numpy as np
import pytest

import nnlite as nn
from nnlite.training import progress

fcntl, pty, termios = map(pytest.importorskip, ("fcntl", "pty", "termios"))  # not on Windows

X = np.random.default_rng(0).standard_normal((64, 5)).astype(np.float32)
Y = (X[:, 0] > 0).astype(np.int64)


def fit(epochs=2, lr=0.1, metrics=(nn.Accuracy,), validation=True, callbacks=(), **options):
    model = nn.Sequential(nn.Linear(5, 2))
    optimizer = nn.SGD(model.parameters(), lr=lr)
    t = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, [metric() for metric in metrics], rng=0)
    data = (X, Y) if validation else None
    return t.fit(X, Y, epochs, validation_data=data, callbacks=callbacks, **options)


class Terminal:
    """A pseudo-terminal, and what is seen on a screen of its width."""

    def __init__(self, width):
        self._master, slave = pty.openpty()
        self.stream = os.fdopen(slave, "w", encoding="utf-8")
        self.resize(width)
        self._read = b""
        self._reader = threading.Thread(target=self._follow)
        self._reader.start()

    def resize(self, width):
        self.width = width
        fcntl.ioctl(self.stream, termios.TIOCSWINSZ, struct.pack("4H", 24, width, 0, 0))

    def _follow(self):
        while True:
            try:
                got = os.read(self._master, 1024)
            except OSError:  # the other side was closed
                return
            self._read += got

    def text(self):
        """All that was written."""
        if not self.stream.closed:
            self.stream.close()
            self._reader.join()
            os.close(self._master)
        return self._read.decode()

    def screen(self):
        """The lines that stay, the trailing spaces left out; ^C is as the terminal writes it."""
        lines, column = [""], 0
        for part in re.findall(r"\x1b\[J|[^\x1b]", self.text()):
            if part == "\r":
                column = 0
            elif part == "\n":
                lines, column = [*lines, ""], 0
            elif part == progress.ERASE:
                lines[-1] = lines[-1][:column]
            else:
                lines[-1] = lines[-1][:column].ljust(column) + part + lines[-1][column + 1 :]
                column += 1
                assert column < self.width  # in the last column some terminals begin a new line
        return [line.rstrip() for line in lines]


@pytest.fixture
def terminal(monkeypatch):
    opened = []

    def open_terminal(width):
        opened.append(Terminal(width))
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, opened[-1].stream)
        return opened[-1]

    yield open_terminal
    monkeypatch.undo()
    for each in opened:
        each.text()


@pytest.mark.parametrize(
    ("width", "names"),
    [
        (12, []),
        (24, ["loss"]),
        (40, ["loss", "val_loss"]),
        (62, ["loss", "val_loss", "val_accuracy"]),
        (80, ["loss", "accuracy", "val_loss", "val_accuracy"]),
        (200, ["loss", "accuracy", "val_loss", "val_accuracy", "samples/s"]),
    ],
)
def test_a_line_has_what_matters_most_and_fits(terminal, width, names):
    seen = terminal(width)
    fit()
    lines = seen.screen()
    assert [line.split()[1] for line in lines[:-1]] == ["1/2", "2/2"]
    assert lines[-1] == ""
    for line in lines[:-1]:
        assert [word for word in line.split()[2:] if word[0].isalpha()] == names


def test_the_bar_tells_how_far_training_and_validation_are(terminal, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH", -1.0)
    seen = terminal(80)
    fit(epochs=1)
    looks = re.findall(r"\r(epoch 1/1  .*?)\x1b", seen.text())
    time = r"\d\d:\d\d<(\d\d:\d\d|\?)  [\d,]+ samples/s"
    for share, name, look in zip(
        (0, 50, 100, 0, 50, 100), 3 * ["loss"] + 3 * ["val_loss"], looks, strict=True
    ):
        value = r"\d\.\d{4}" if share else "-"
        assert re.fullmatch(rf"epoch 1/1  +{share}%\|.{{10,}}\|  {name} {value}  {time}", look)
        assert len(look) == 79
    assert looks[1].count("█") == pytest.approx(looks[2].count("█") / 2, abs=1)


def test_a_narrow_bar_leaves_out_the_rate_and_the_time(terminal, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH", -1.0)
    for width, there in [(80, ["loss", "<", "/s"]), (60, ["loss", "<"]), (40, ["loss"]), (20, [])]:
        seen = terminal(width)
        fit(epochs=1, validation=False)
        seen.screen()
        look = re.findall(r"\r(epoch 1/1 .*?)\x1b", seen.text())[1]
        assert [part for part in ("loss", "<", "/s") if part in look] == there


def test_the_next_look_knows_the_new_width(terminal, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH", -1.0)
    seen = terminal(120)
    narrow = nn.LambdaCallback(on_step_end=lambda t: seen.resize(50 if t.step == 1 else 70))
    fit(epochs=1, validation=False, callbacks=[narrow])
    looks = re.findall(r"\r(epoch 1/1  .*?)\x1b", seen.text())
    assert [len(look) for look in looks] == [119, 49, 69]


def test_nothing_stale_after_ctrl_c(terminal, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH", -1.0)
    seen = terminal(80)

    def interrupt(trainer):
        seen.stream.write("^C")  # as the terminal does, where the cursor is
        signal.raise_signal(signal.SIGINT)

    fit(epochs=3, callbacks=[nn.LambdaCallback(on_step_end=interrupt)])
    assert seen.screen() == ["stopped by Ctrl-C in epoch 1, after step 1 of 2", ""]


def test_nothing_stale_after_an_error(terminal):
    seen = terminal(80)

    def fail(trainer):
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        fit(callbacks=[nn.LambdaCallback(on_step_end=fail)])
    assert seen.screen() == [""]


def test_ctrl_c_is_heard_in_validation(terminal):
    class Rows:
        """Interrupts when the rows of the second batch are asked for."""

        def __len__(self):
            return 64

        def __getitem__(self, row):
            if row == 32:
                signal.raise_signal(signal.SIGINT)
            assert row < 64
            asked.append(row)
            return X[row]

    asked = []
    seen = terminal(80)
    model = nn.Sequential(nn.Linear(5, 2))
    t = nn.Trainer(model, nn.CrossEntropyLoss(), nn.SGD(model.parameters(), lr=0.1), rng=0)
    t.fit(X, Y, 2, validation_data=(Rows(), Y), validation_batch_size=16)
    assert max(asked) == 47
    assert seen.screen() == ["stopped by Ctrl-C in epoch 1, after step 2 of 2", ""]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_blocks_gets_another_bar(terminal, encoding):
    seen = terminal(60)
    seen.stream.reconfigure(encoding=encoding)
    fit()
    assert "|  loss -" in seen.text()
    assert len(seen.screen()) == 3


def test_a_console_that_cannot_erase_is_overwritten(terminal, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    seen = terminal(60)
    fit()
    assert "\x1b" not in seen.text()
    assert [line[:9] for line in seen.screen()] == ["epoch 1/2", "epoch 2/2", ""]


def test_a_terminal_that_does_not_tell_its_width(terminal):
    seen = terminal(0)
    seen.width = 80
    fit()
    assert max(map(len, seen.screen())) == 77


@pytest.mark.parametrize("stream", [types.SimpleNamespace(), open(os.devnull)])  # noqa: SIM115
def test_a_stream_without_a_width(stream):
    assert progress.columns(stream) == 79


@pytest.mark.parametrize(("lr", "shown"), [(0.1, [0, 0, 0]), (nn.StepSchedule(0.1, 4), [0, 0, 1])])
def test_a_constant_rate_is_left_out(capsys, lr, shown):
    fit(3, lr=lr)
    assert [line.count("  lr ") for line in capsys.readouterr().out.splitlines()] == shown


def test_a_log_tells_how_far_a_long_epoch_is(capsys, monkeypatch):
    monkeypatch.setattr(progress, "SILENCE", -1.0)
    fit(epochs=1)
    *looks, line = capsys.readouterr().out.splitlines()
    starts = [f"epoch 1/1  {share}  {name} " for name in ("loss", "val_loss")
              for share in (" 50%", "100%")]  # fmt: skip
    assert all(look.startswith(start) for look, start in zip(looks, starts, strict=True))
    assert re.search(r"\d\d:\d\d<\d\d:\d\d", looks[0])
    assert line.startswith("epoch 1/1  loss")


def test_the_rate_is_that_of_training(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    with progress.Lines(1, 100, 40) as lines:
        lines.begin_epoch(0)
        now[0] = 2.0
        lines.advance(60, lambda: 0.5)
        lines.begin_validation(10)
        now[0] = 30.0
        lines.advance(5, lambda: 0.25)
        assert lines._status(0.25) == [" 50%", "val_loss 0.2500", "00:28<00:28", "0 samples/s"]
        lines.end_epoch({"loss": 0.5, "lr": 0.0})
    assert capsys.readouterr().out == "epoch 1/1  loss 0.5000  30 samples/s\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.9, "00:07"), (750, "12:30"), (3723, "1:02:03"), (360_000, "100:00:00")]
)
def test_times(seconds, text):
    assert progress.format_time(seconds) == text


def test_a_notebook_has_one_output_for_the_bar_of_all_epochs(capsys, monkeypatch):
    shown = []

    class Handle:
        def update(self, data, raw):
            shown.append(data["text/plain"])

    def display(data, raw, display_id):
        assert raw
        assert display_id
        return Handle()

    monkeypatch.setattr(progress.time, "perf_counter", lambda: 1.0)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    kernel = types.SimpleNamespace(kernel="a kernel")
    shell = types.SimpleNamespace(get_ipython=lambda: kernel)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", types.SimpleNamespace(display=display))
    fit()
    assert [text[:9] for text in shown] == 2 * ["epoch 1/2"] + 2 * ["epoch 2/2"] + ["2 of 2 ep"]
    assert shown[-1] == "2 of 2 epochs in 00:00"
    assert {len(text) for text in shown[:-1]} == {80}
    captured = capsys.readouterr()
    assert len(captured.out.splitlines()) == 2
    assert captured.err == ""
    monkeypatch.setattr(kernel, "kernel", None)  # ipykernel is imported, and no kernel runs
    fit()
    assert shown[-1] == "2 of 2 epochs in 00:00"
    assert len(shown) == 5
