"""What a run writes for TensorBoard, read back from its files."""

import errno
import os
import re
import struct
import sys

import numpy as np
import pytest
from thread_ranks import in_threads

import nnlite as nn

pytest.importorskip("tensorboardX")
pytest.importorskip("PIL")
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.layout_pb2 import Layout
from tensorboardX.record_writer import masked_crc32c

pytestmark = pytest.mark.slow
RNG = np.random.default_rng(0)
X = RNG.standard_normal((64, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


def trainer(**options):
    with nn.random.scope(0):
        net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    metrics = [nn.Accuracy(), nn.ConfusionMatrix()]
    return nn.Trainer(
        net, nn.CrossEntropyLoss(), nn.SGD(net.parameters(), lr=nn.StepSchedule(0.1, 5)), metrics,
        rng=0, **options,
    )  # fmt: skip


def fit(callbacks, epochs=3, run=None, **options):
    run = run or trainer()
    return run.fit(
        X, Y, epochs, validation_split=0.25, callbacks=callbacks, verbose=False, **options
    )


def events(folder):
    """All events, file by file, each checked by its checksums."""
    found = []
    for path in sorted(folder.iterdir()):
        data = path.read_bytes()
        while data:
            size = struct.unpack("<Q", data[:8])[0]
            assert struct.unpack("<I", data[8:12])[0] == masked_crc32c(data[:8])
            record = data[12 : 12 + size]
            assert struct.unpack("<I", data[12 + size : 16 + size])[0] == masked_crc32c(record)
            data = data[16 + size :]
            found.append(Event.FromString(record))
    return found


def seen(folder):
    """What TensorBoard shows: by tag, the value of each step; a start hides what was there."""
    values = {}
    for event in events(folder):
        if event.session_log.status == SessionLog.START:
            values = {
                tag: {step: v for step, v in steps.items() if step < event.step}
                for tag, steps in values.items()
            }
        for value in event.summary.value:
            values.setdefault(value.tag, {})[event.step] = value
    return values


def scalars(folder):
    return {
        tag: {step: value.simple_value for step, value in steps.items()}
        for tag, steps in seen(folder).items()
        if all(value.WhichOneof("value") == "simple_value" for value in steps.values())
    }


def assert_is(folder, history):
    numbers = {n: v for n, v in history.items() if isinstance(v[0], float)}
    found = scalars(folder)
    assert found.keys() == numbers.keys()
    for name, values in numbers.items():
        assert list(found[name]) == [epoch + 1 for epoch in range(len(values))]
        np.testing.assert_allclose(list(found[name].values()), values, rtol=1e-6)


def test_every_number_of_the_history_is_there(tmp_path):
    history = fit([nn.TensorBoardLogger(tmp_path / "runs" / "a")])
    assert {"loss", "val_loss", "accuracy", "val_accuracy", "lr"} <= history.keys()
    assert_is(tmp_path / "runs" / "a", history)
    first = events(tmp_path / "runs" / "a")[0]
    assert first.file_version == "brain.Event:2"
    layout = seen(tmp_path / "runs" / "a")["custom_scalars__config__"][0]
    charts = Layout.FromString(layout.tensor.string_val[0]).category[0].chart
    assert [chart.title for chart in charts] == ["loss", "accuracy"]  # matrices are no curves
    tags = [name for name in history if re.search(charts[0].multiline.tag[0], name)]
    assert tags == ["loss", "val_loss"]


def test_of_several_ranks_one_writes_what_one_process_would(tmp_path):
    fit([nn.TensorBoardLogger(tmp_path / "alone")])

    def work(ranks):
        fit([nn.TensorBoardLogger(tmp_path / "together")], run=trainer(parallel=ranks))

    in_threads(2, work)
    assert len(list((tmp_path / "together").iterdir())) == 1
    alone, together = seen(tmp_path / "alone"), seen(tmp_path / "together")
    assert alone.keys() == together.keys()
    for tag, steps in alone.items():
        for step, value in steps.items():
            for field in ("min", "max", "sum", "sum_squares"):
                found = [getattr(v.histo, field) for v in (together[tag][step], value)]
                np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-6)
            found = [v.simple_value for v in (together[tag][step], value)]
            np.testing.assert_allclose(*found, rtol=1e-5)


def test_histograms_are_of_weights_and_of_the_first_gradients(tmp_path):
    run = trainer()
    gradients = []

    class Spy(nn.SGD):
        def step(self, grad_scale=1.0):
            gradients.append({path: p.grad.copy() for path, p in named.items()})
            super().step(grad_scale)

    named = run.model.named_parameters()
    run = nn.Trainer(run.model, run.loss, Spy(run.model.parameters(), lr=0.1), rng=0)
    callbacks = [nn.TensorBoardLogger(tmp_path, every_epochs=2), nn.GradientAudit(verbose=False)]
    fit(callbacks, run=run)
    for layer in run.model.named_layers().values():  # nobody listens any more
        assert not {"forward", "backward"} & vars(layer).keys()
    values = seen(tmp_path)
    steps = len(gradients) // 3
    for path, p in named.items():
        assert list(values[f"weights/{path}"]) == list(values[f"gradients/{path}"]) == [1, 3]
        weights = values[f"weights/{path}"][3].histo
        assert weights.num == p.size
        assert weights.min == pytest.approx(float(p.data.min()))
        for epoch in (1, 3):
            found = values[f"gradients/{path}"][epoch].histo
            own = gradients[(epoch - 1) * steps][path]
            assert (found.min, found.max) == pytest.approx((float(own.min()), float(own.max())))
            assert sum(found.bucket) == found.num == own.size


def test_images_are_of_filters_and_of_matrices(tmp_path):
    import io

    from PIL import Image

    fit([nn.TensorBoardLogger(tmp_path)], epochs=1)
    values = seen(tmp_path)
    for tag, shape in (("filters", (5, 5)), ("confusion_matrix", (2, 2))):
        image = Image.open(io.BytesIO(values[tag][1].image.encoded_image_string))
        assert image.width % shape[1] == image.height % shape[0] == 0
        assert image.width // shape[1] == image.height // shape[0]  # square pixels, enlarged


def test_a_model_without_images_has_none(tmp_path):
    net = nn.Sequential(nn.Linear(3, 2))
    run = nn.Trainer(net, nn.CrossEntropyLoss(), nn.SGD(net.parameters(), lr=0.1), rng=0)
    run.fit(X[:, :3], Y, callbacks=[nn.TensorBoardLogger(tmp_path)], verbose=False)
    assert "filters" not in seen(tmp_path)
    assert "weights/0.weight" in seen(tmp_path)


def test_weights_that_are_not_finite_are_left_out(tmp_path):
    spoil = nn.LambdaCallback(on_epoch_end=lambda t: t.model[0].bias.data.__setitem__(0, np.nan))
    fit([spoil, nn.TensorBoardLogger(tmp_path)], epochs=1)
    assert seen(tmp_path)["weights/0.bias"][1].histo.num == 2


@pytest.mark.parametrize("every", [{"every_epochs": 2}, {"every_steps": 5}])
def test_a_resumed_run_goes_on_without_a_gap(tmp_path, every):
    def stop(run):
        if run.epoch == 3:
            raise ZeroDivisionError

    folder = tmp_path / "log"
    callbacks = [nn.Checkpoint(tmp_path / "run.npz", **every), nn.TensorBoardLogger(folder)]
    with pytest.raises(ZeroDivisionError):
        fit([*callbacks, nn.LambdaCallback(on_epoch_end=stop)], epochs=5, batch_size=8)
    history = fit(callbacks, epochs=5, batch_size=8, resume="auto")
    assert_is(folder, history)
    assert len(list(folder.iterdir())) == 2


def test_a_second_run_hides_the_first(tmp_path):
    fit([nn.TensorBoardLogger(tmp_path)], epochs=4)
    logger = nn.TensorBoardLogger(tmp_path)
    assert_is(tmp_path, fit([logger], epochs=2))
    assert_is(tmp_path, fit([logger], epochs=2))  # and the same callback again


def test_a_full_disk_is_told_once_and_the_run_goes_on(tmp_path, monkeypatch):
    full, opened = [True], open

    def small(path, *given, **named):
        file = opened(path, *given, **named)
        if not (full[0] and "tfevents" in str(path)):
            return file

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def write(self, data):
                return file.write(data[: len(data) // 2])

            def __getattr__(self, name):
                return getattr(file, name)

        return Full()

    monkeypatch.setattr("builtins.open", small)
    clear = nn.LambdaCallback(on_epoch_begin=lambda t: full.__setitem__(0, t.epoch < 2))
    with pytest.warns(nn.ModelWarning, match="could not write: No space left on device") as caught:
        history = fit([clear, nn.TensorBoardLogger(tmp_path)], epochs=4)
    assert len(caught) == 1
    assert_is(tmp_path, history)
    assert os.strerror(errno.ENOSPC) == "No space left on device"


@pytest.mark.parametrize(
    ("folder", "text"),
    [
        ("file", r"file is no folder; name another one"),
        ("file/below", r"file is no folder; name another one"),
        ("/proc/none", r"the folder cannot be made \(.+\); name another one"),
    ],
)
def test_a_folder_that_cannot_be_is_found_before_the_training(tmp_path, folder, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    run = trainer()
    before = run.model.state_dict()["0.weight"]
    with pytest.raises(ValueError, match=text):
        fit([nn.TensorBoardLogger(folder)], run=run)
    np.testing.assert_array_equal(run.model.state_dict()["0.weight"], before)


def test_a_missing_extra_is_named_before_the_training(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r'python -m pip install "nnlite\[tensorboard\]"'):
        fit([nn.TensorBoardLogger(tmp_path / "new")])
    assert not (tmp_path / "new").exists()


def test_it_prints_as_what_makes_it(tmp_path):
    assert repr(nn.TensorBoardLogger("runs", every_epochs=5)) == (
        "TensorBoardLogger('runs', every_epochs=5)"
    )
    with pytest.raises(ValueError, match="TensorBoardLogger: every_epochs must be a whole number"):
        nn.TensorBoardLogger("runs", every_epochs=0)
