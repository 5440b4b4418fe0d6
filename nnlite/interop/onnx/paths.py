"""From a graph to a model: chains become `Sequential`, ways that meet `Add` or `Concat`.

Where several ways meet, they have a last point in common: the nearest one through which all of
them lead, the immediate dominator (Lengauer & Tarjan 1979). What lies between the two is branches,
each a chain again. Graphs whose branches are connected otherwise have no such form.
"""

from __future__ import annotations

from typing import Any

from nnlite.layers import Add, Concat, Identity, Residual, Sequential
from nnlite.layers.base import Layer


class Point:
    """A value in the graph, and how it came about.

    Attributes:
        layer: what computed it; for several inputs the container, `Add` or `Concat`; None at the
            model's input.
        inputs: the values that it was computed from.
        node: the words that name its node in the file.
        dominator: the nearest point through which every way from the input leads.
        ends: of a layer of both directions, the value that is their last states; None until that
            is asked for.
    """

    ends: Point | None = None

    def __init__(self, layer: Any = None, inputs: tuple[Point, ...] = (), node: str = "") -> None:
        self.layer = layer
        self.inputs = inputs
        self.node = node
        self.dominator = self._common(inputs)
        self.depth: int = self.dominator.depth + 1 if self.dominator else 0

    @staticmethod
    def _common(points: tuple[Point, ...]) -> Point | None:
        nearest: Point | None = None
        for point in points:
            a, b = nearest or point, point
            while a is not b:
                if a.depth < b.depth:
                    a, b = b, a
                if a.dominator is None:
                    raise ValueError("ways from different inputs meet")
                a = a.dominator
            nearest = a
        return nearest


def model_of(source: Point, target: Point) -> Sequential:
    """The layers on the way from one point to the other.

    Raises:
        ValueError: when branches are connected other than by their beginning and end.
    """
    return Sequential(*_chain(source, target, set()))


def _chain(source: Point, target: Point, placed: set[int]) -> list[Layer]:
    layers: list[Layer] = []
    point = target
    while point is not source:
        if id(point) in placed:
            raise ValueError(
                f"what {point.node} computes is used in several branches that are not "
                "nested in each other; nnlite's Sequential, Add and Concat cannot hold that"
            )
        placed.add(id(point))
        if len(point.inputs) == 1:
            layers.append(point.layer)
            (point,) = point.inputs
            continue
        assert point.dominator is not None
        beginning = point.dominator
        branches = [_chain(beginning, each, placed) for each in point.inputs]
        layers.append(_joined(point.layer, branches))
        point = beginning
    return layers[::-1]


def _joined(container: type[Add | Concat], branches: list[list[Layer]]) -> Layer:
    """The branches' container; a sum with the input itself is a `Residual`."""
    if container is Add and len(branches) == 2 and [] in branches:
        other = branches[1 - branches.index([])]
        return Residual(_one(other))
    return container(*map(_one, branches))


def _one(layers: list[Layer]) -> Layer:
    """The layers as one."""
    if not layers:
        return Identity()
    return layers[0] if len(layers) == 1 else Sequential(*layers)
