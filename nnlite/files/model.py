"""Models in files: their weights, and what they are built from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from nnlite.core.alone import in_this_thread, training_thread
from nnlite.core.arguments import checked
from nnlite.core.forms import ANYTHING, STRING, Array, Table, check_form
from nnlite.core.kinds import shown
from nnlite.core.parameter import Buffer, Parameter
from nnlite.core.room import Room, building
from nnlite.files import archive
from nnlite.files.architecture import build, describe, known_classes
from nnlite.files.archive import CheckpointError
from nnlite.files.atomic import PathLike
from nnlite.files.tree import generator
from nnlite.layers.base import Layer, completed
from nnlite.layers.structure import arrays, tie, ties

# what training changes, in a file
MODEL = {
    "arrays": Table(Array()),
    "frozen": [STRING],
    "eval": [STRING],
    "generators": Table(ANYTHING),
    "carried": Table(ANYTHING),
}
SPARE = 1 << 20  # values that a file of no size at all may ask for


@checked
def save_model(model: Layer, path: PathLike) -> None:
    """Write a model to a file: its architecture, weights, buffers and generators.

        nn.save_model(model, "digits.npz")
        model = nn.load_model("digits.npz")

    The file takes the place of an older one only when it is complete and on the disk. It is a
    plain `.npz`, which `numpy.load` opens too, without pickle.

    Args:
        model: any layer whose constructor arguments are kept under their own names.
        path: where to; used as it is, so give it the ending `.npz`.

    Raises:
        TypeError: for constructor arguments that no file can hold, such as functions.
        CheckpointError: when the file cannot be written; the old one is unchanged then.
        RuntimeError: when a `fit` is training the model in another thread: the file would hold
            the weights of several steps.
    """
    thread = training_thread(model)
    if thread is not None and not in_this_thread(thread):
        raise RuntimeError(
            "save_model: fit is training this model in another thread, and a file would hold a "
            "mixture of several steps; save in a callback, which waits for the step to end: "
            "callbacks=[nn.LambdaCallback(on_epoch_end=lambda trainer: nn.save_model("
            f"trainer.model, {os.fspath(path)!r}))]"
        )
    content = {
        "architecture": describe(model),
        "ties": ties(model),
        **model_state(model),
    }
    archive.write(path, "model", content)


@checked
def load_model(path: PathLike, custom_layers: Iterable[type] = ()) -> Layer:
    """Build the model in a file of `save_model`.

    Args:
        path: the file.
        custom_layers: the classes of your own that the model is made of, initializers too
            (default: none). Nothing else is ever built or run.

    The model takes the memory of what the file holds, whatever the file asks for; only what a
    class of your own makes of its arguments by itself is not bounded.

    Raises:
        FileNotFoundError: when there is no such file.
        CheckpointError: when it is damaged, or its layers cannot be built, or are larger than
            what it holds.
    """
    classes = known_classes(custom_layers)
    content = archive.read(path, "model")
    try:
        check_form("the model", content, {"architecture": ANYTHING, "ties": [[STRING]], **MODEL})
        values = content["arrays"]
        with building(_room(os.path.getsize(path), values, content["ties"])):
            model = build(content["architecture"], classes)
        if not isinstance(model, Layer):
            raise ValueError(f"it holds no layer, but {shown(model)}")
        tie(model, content["ties"])
        values = content["arrays"] = completed(model, values)
        for name, part in arrays(model).items():
            if name in values and _takes(part, values[name]):
                part.adopt(values[name])
        check_model_state(model, content)
    except Exception as error:
        raise CheckpointError(
            f"{os.fspath(path)}: the model cannot be built: {archive.reason(error)}"
        ) from error
    restore_model_state(model, content)
    return model


def _room(size: int, values: dict[str, np.ndarray], groups: list[list[str]]) -> Room:
    """What may be built for a file of so many bytes: what it holds, and some more.

    A part that stands in several places was built for each of them; and a layer of the user's may
    have parts that are not in the file.
    """
    tied = [values[paths[0]].size for paths in groups for _ in paths[1:] if paths[0] in values]
    count = sum(array.size for array in values.values()) + sum(tied)
    return Room(
        objects=8192 + size // 2048, arrays=1000 + len(values) + len(tied), values=SPARE + 2 * count
    )


def _takes(part: Parameter | Buffer, values: np.ndarray) -> bool:
    """Whether a part may have these values: floats of either precision, in its shape."""
    floats = part.dtype.kind == "f" and values.dtype in (np.float32, np.float64)
    return part.shape == values.shape and (floats or part.dtype == values.dtype)


def model_state(model: Layer) -> dict[str, Any]:
    """Everything about a model that training changes.

    The arrays are the model's own, not copies: write them before the next step.
    """
    held, layers = arrays(model), model.named_layers()
    return {
        "arrays": {path: part.data for path, part in held.items()},
        "frozen": [
            path for path, p in held.items() if isinstance(p, Parameter) and not p.trainable
        ],
        "eval": [path for path, layer in layers.items() if not layer.training],
        "generators": {
            path: rng.bit_generator.state for path, rng in model.named_parts(np.random.Generator)
        },
        "carried": {
            path: layer.carried for path, layer in layers.items() if layer.carried is not None
        },
    }


def check_model_state(model: Layer, state: dict[str, Any]) -> None:
    """Refuse a state that does not fit the model.

    Raises:
        ValueError, TypeError: says what differs; the model is not touched.
    """
    check_form("the model", {name: state.get(name) for name in MODEL}, MODEL)
    problems = misfits(arrays(model), state["arrays"])
    layers, parameters = model.named_layers(), model.named_parameters()
    mentioned = [*state["eval"], *state["carried"]]
    problems += [f"there is no layer {path}" for path in mentioned if path not in layers]
    problems += [f"there is no {path}" for path in state["frozen"] if path not in parameters]
    generators = dict(model.named_parts(np.random.Generator))
    if generators.keys() != state["generators"].keys():
        problems.append(f"generators at {list(state['generators'])} instead of {list(generators)}")
    if problems:
        raise ValueError("; ".join(problems))
    for path, rng in generators.items():
        check_generator(rng, state["generators"][path])
    for path, carried in state["carried"].items():
        layers[path].check_carried(carried)


def misfits(own: Mapping[str, Parameter | Buffer], values: Mapping[str, np.ndarray]) -> list[str]:
    """In what values differ from these parts: names, shapes and dtypes."""
    problems = [f"{path} is missing" for path in own if path not in values]
    problems += [f"{path} is not a part of this model" for path in values if path not in own]
    for path in own.keys() & values.keys():
        expected, found = (f"{each.dtype} {each.shape}" for each in (own[path], values[path]))
        if expected != found:
            problems.append(f"{path} is {found} instead of {expected}")
    return problems


def restore_model_state(model: Layer, state: dict[str, Any]) -> None:
    """Write a checked state into the model."""
    for path, part in arrays(model).items():
        part.data = state["arrays"][path]
    for path, parameter in model.named_parameters().items():
        if parameter.trainable != (path not in state["frozen"]):
            parameter.trainable = path not in state["frozen"]
    for path, layer in model.named_layers().items():
        layer.training = path not in state["eval"]
        layer.carried = state["carried"].get(path)
    for path, rng in model.named_parts(np.random.Generator):
        rng.bit_generator.state = state["generators"][path]


def check_generator(rng: np.random.Generator, state: Any) -> None:
    """Refuse a state that is not one of a generator of this kind.

    Raises:
        ValueError, TypeError: when it is not.
    """
    kind = type(rng.bit_generator).__name__
    if type(generator(state).bit_generator).__name__ != kind:
        raise ValueError(f"the state of a {state['bit_generator']} for a {kind}")
