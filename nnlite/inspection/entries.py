"""From a formula of arrays to the rule for one entry: xᵀ G has the entries Σₙ x[n,i] G[n,j]."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nnlite.inspection.component import Known, Node, Operand, Rule
from nnlite.inspection.formula import Sentence, Tree, tree_of

Shape = tuple[int, ...]

SAMPLES = ("x", "y", "G", "z", "p", "ℓ", "f′(x)")  # arrays whose first axis counts samples
LETTERS = "ijklm"
MORE = "qrsuvabdefgpwz"


class Unreadable(Exception):
    """A formula that says something in words, or of which a name is not known."""


class Sheet:
    """What the names of one equation stand for, and how far letters run.

    Args:
        arrays: by name, (as the equation sees it, the whole one).
        numbers: by name.
        axes: of the letters of sums and of "mean".
        sizes: how far letters run.
    """

    def __init__(
        self,
        arrays: Mapping[str, tuple[np.ndarray, np.ndarray]],
        numbers: Mapping[str, float],
        axes: Mapping[str, int | tuple[int, ...]],
        sizes: Mapping[str, int],
    ) -> None:
        self.arrays = arrays
        self.numbers = numbers
        self.axes = axes
        self.given_sizes = sizes

    def rule(self, line: str, result: str, shape: Shape, more: Mapping[str, str]) -> Rule:
        """The rule of a line.

        Args:
            line: the equation.
            result: how what it gives is called.
            shape: that of the result, as the equation sees it.
            more: definitions of names, from other lines.

        Raises:
            Unreadable: when the line does not say it in symbols that are known.
        """
        try:
            return _Entries(self, Sentence(line), dict(more)).rule(result, shape)
        except (SyntaxError, KeyError, ValueError, IndexError, RecursionError) as error:
            raise Unreadable(f"{line}: {error}") from error


class _Entries:
    """One equation on the way from arrays to entries."""

    def __init__(self, sheet: Sheet, sentence: Sentence, more: dict[str, str]) -> None:
        self.sheet, self.sentence = sheet, sentence
        self.meanings = {**more, **sentence.definitions}
        self.meanings.pop(sentence.left, None)
        self.cuts: dict[str, tuple[str, int, list[str]]] = {}
        along = sheet.axes.get("cut", -1)
        assert isinstance(along, int)
        self.along = along
        for names in [name for name in self.meanings if name.startswith("[")]:
            each = names.strip("[]").split(", ")
            source = self.meanings.pop(names)
            self.cuts.update({name: (source, i, each) for i, name in enumerate(each)})
        self.operands: list[Operand] = []
        self.letters: dict[str, int] = dict(sheet.given_sizes)
        self.names = {*sheet.arrays, *sheet.numbers, *self.meanings, *self.cuts}
        self.trees: dict[str, Tree] = {}
        self.opened: list[str] = []
        self.single: list[Node] = []  # letters that have no value but 0
        self.bound: list[str] = []  # letters of the sums that we are inside of
        self.renamed: dict[str, str] = {}
        self.left_over = list(LETTERS + MORE)
        self.free_n = True  # whether no axis of the result is that of the samples

    def rule(self, result: str, shape: Shape) -> Rule:
        tree = tree_of(self.sentence.right, self.names)
        if self.sentence.indices is not None:
            letters = self.sentence.indices
            if len(letters) != len(shape):
                raise ValueError(f"{letters} for {shape}")
            self.letters.update(zip(letters, shape, strict=True))
            self.bound = list(letters)
            self._sizes_in(tree)
            for meaning in self.meanings.values():
                self._sizes_in(tree_of(meaning, self.names))
            body = self.entry(tree, [])
        else:
            letters = self._letters_for(result, len(shape))
            indices: list[Node] = list(letters)
            self.single = [i for i, size in zip(letters, shape, strict=True) if size == 1]
            found = self.shape_of(tree, shape)
            body = self.entry(tree, _aligned(indices, shape, found), shape)
        return Rule(letters, body, self.operands, result)

    def _letters_for(self, result: str, axes: int) -> list[str]:
        name = result.removeprefix("dL/d")
        first = ["n"] if axes and name in SAMPLES else []
        found = [*first, *LETTERS[: axes - len(first)]]
        self.left_over = [letter for letter in LETTERS + MORE if letter not in found]
        self.free_n = "n" not in found
        return found

    def _fresh(self, first: bool = False) -> str:
        """A letter for a sum; "n" where it runs over samples."""
        if first and self.free_n:
            return "n"
        return self.left_over.pop(0)

    # -- shapes ------------------------------------------------------------------------------------

    def tree(self, name: str) -> Tree:
        if name not in self.trees:
            self.trees[name] = tree_of(self.meanings[name], self.names)
        return self.trees[name]

    def shape_of(self, tree: Any, result: Shape) -> Shape:
        kind = tree[0]
        if kind == "number":
            return ()
        if kind == "name":
            return self._shape_of_name(tree[1], result)
        if kind == "transposed":
            shape = self.shape_of(tree[1], result)
            return (*shape[:-2], *shape[:-3:-1]) if len(shape) > 1 else shape
        if kind == "matmul":
            a, b = self.shape_of(tree[1], result), self.shape_of(tree[2], result)
            if len(a) > 1 and len(b) > 1:
                return (*np.broadcast_shapes(a[:-2], b[:-2]), a[-2], b[-1])
            return np.broadcast_shapes(a, b)
        if kind in ("sum", "mean", "largest"):
            inner = tree[-1]
            shape = self.shape_of(inner, result)
            axes = self._summed(tree, shape, result)
            return tuple(1 if i in axes else size for i, size in enumerate(shape))
        if kind == "class":
            return (*self.shape_of(tree[1], result)[:-1], 1)
        if kind == "entry":  # those of an array at indices that are arrays themselves
            at = np.broadcast_shapes(*(self.shape_of(each, result) for each in tree[2]))
            return (*at, *self._shape_of_name(tree[1][1], result)[len(tree[2]) :])
        if kind == "join":
            shapes = [self.shape_of(each, result) for each in tree[1]]
            joined = list(sorted(shapes, key=len)[-1])
            joined[self.along] = sum(shape[self.along] for shape in shapes)
            return tuple(joined)
        if kind in ("holds", "call"):
            return np.broadcast_shapes(*(self.shape_of(each, result) for each in tree[2]))
        if kind in ("negative", "group"):
            return self.shape_of(tree[1], result)
        return np.broadcast_shapes(self.shape_of(tree[1], result), self.shape_of(tree[2], result))

    def _shape_of_name(self, name: str, result: Shape) -> Shape:
        if name in self.sheet.arrays:
            return self.sheet.arrays[name][0].shape
        if name in self.sheet.numbers or name in ("e", "π"):
            return ()
        if name in self.cuts:
            source, part, names = self.cuts[name]
            shape = list(self.shape_of(tree_of(source, self.names), result))
            shape[self.along] = self._widths(names, shape)[part]
            return tuple(shape)
        if f"{name}²" in self.meanings and name not in self.meanings:
            return self.shape_of(self.tree(f"{name}²"), result)
        if name in self.letters and name not in {**self.meanings, **self.cuts}:
            # a letter as a value runs along its axis
            return (self.letters[name], *[1] * (-1 - self._axis(name)))
        if name not in self.meanings:
            raise KeyError(name)
        return self.shape_of(self.tree(name), result)

    def _summed(self, tree: Tree, shape: Shape, result: Shape) -> tuple[int, ...]:
        """The axes that a sum, mean or maximum runs over."""
        if tree[0] == "mean":
            axes: Any = self.sheet.axes.get("mean", -1)
        elif tree[1] is None:
            lost = len(shape) - len(result)
            narrow = (
                [i for i, n in enumerate(result) if n == 1 < shape[i + lost]] if lost >= 0 else []
            )
            if not result:
                return tuple(range(len(shape)))
            return (*range(lost), *(i + lost for i in narrow))
        else:
            axes = np.hstack(
                [self.sheet.axes.get(name, 0 if name == "n" else -1) for name in tree[1]]
            )
        return tuple(int(axis) % len(shape) for axis in np.atleast_1d(axes))

    # -- entries -----------------------------------------------------------------------------------

    def entry(self, tree: Any, at: list[Node], result: Shape = ()) -> Node:
        """The node of the tree's entry at these indices, one for each of its axes."""
        kind = tree[0]
        if kind == "number":
            return tree[1]
        if kind == "name":
            return self._named(tree[1], at, result)
        if kind == "transposed":
            return self.entry(tree[1], [*at[:-2], *at[:-3:-1]] if len(at) > 1 else at, result)
        if kind == "matmul":
            return self._product(tree, at, result)
        if kind in ("sum", "mean", "largest"):
            return self._over(tree, at, result)
        if kind == "entry" and self.sentence.indices is None:
            rest = len(self._shape_of_name(tree[1][1], result)) - len(tree[2])
            first = at[: len(at) - rest]
            index = [self.entry(each, self._part(each, first, result), result) for each in tree[2]]
            return self.entry(tree[1], [*index, *at[len(at) - rest :]], result)
        if kind == "entry":
            return self._at(tree, result)
        if kind == "class":
            chosen = self.entry(tree[2], self._part(tree[2], at, result), result)
            return self.entry(tree[1], [*at[:-1], chosen], result)
        if kind == "holds":
            nodes = [self.entry(each, self._part(each, at, result), result) for each in tree[2]]
            pairs = itertools.pairwise(nodes)
            found = [["is", sign, *pair] for sign, pair in zip(tree[1], pairs, strict=True)]
            return _all(found)
        if kind == "join":
            return self._joined(tree, at, result)
        if kind == "call":
            return self._call(tree, at, result)
        if kind == "negative":
            return ["neg", self.entry(tree[1], at, result)]
        if kind == "group":
            return self.entry(tree[1], at, result)
        a, b = (self.entry(each, self._part(each, at, result), result) for each in tree[1:])
        sign = {"−": "-", "⊙": "*", "·": "*", " ": "*"}.get(kind, kind)
        return [sign, a, b]

    def _part(self, tree: Tree, at: list[Node], result: Shape) -> list[Node]:
        """The indices of an operand that is broadcast to those of the whole."""
        if self.sentence.indices is not None:
            return []
        shape = self.shape_of(tree, result)
        last = at[len(at) - len(shape) :] if shape else []
        return self._where_wide(last, shape)

    def _named(self, name: str, at: list[Node], result: Shape) -> Node:
        sheet = self.sheet
        indexed = self.sentence.indices is not None
        if indexed and name in self.letters and name not in sheet.arrays:
            return self.renamed.get(name, name)
        if name in sheet.arrays:
            array, whole = sheet.arrays[name]
            if indexed and array.ndim:
                raise ValueError(f"{name} without indices")
            return ["at", self._operand(Operand(name, array, whole)), at]
        if name in sheet.numbers:
            return Known(name, sheet.numbers[name])
        if name in ("e", "π"):
            return Known(name, math.e if name == "e" else math.pi)
        if name in self.letters and name not in {**self.meanings, **self.cuts}:
            return at[self._axis(name)]
        if name in self.cuts:
            source, part, names = self.cuts[name]
            tree = tree_of(source, self.names)
            before = sum(self._widths(names, self.shape_of(tree, result))[:part])
            there = list(at)
            there[self.along] = _plus(there[self.along], before)
            return self.entry(tree, there, result)
        if f"{name}²" in self.meanings and name not in self.meanings:
            return ["f", "sqrt", self._named(f"{name}²", at, result)]
        if name in self.opened:
            raise KeyError(f"{name} of itself")
        self.opened.append(name)
        found = self.entry(self.tree(name), at, result)
        self.opened.pop()
        return found

    def _axis(self, letter: str) -> int:
        axis = self.sheet.axes[letter]
        if not isinstance(axis, int):
            raise ValueError(f"{letter} runs along several axes")
        return axis

    def _widths(self, names: Sequence[str], shape: Sequence[int]) -> list[int]:
        """How wide the parts of a cut are; alike, unless they are told."""
        alike = shape[self.along] // len(names)
        return [self.sheet.given_sizes.get(name, alike) for name in names]

    def _operand(self, operand: Operand) -> int:
        for k, known in enumerate(self.operands):
            if known.name == operand.name:
                return k
        self.operands.append(operand)
        return len(self.operands) - 1

    def _product(self, tree: Tree, at: list[Node], result: Shape) -> Node:
        a, b = tree[1:]
        if self.sentence.indices is not None:
            return ["*", self.entry(a, []), self.entry(b, [])]
        of_a, of_b = self.shape_of(a, result), self.shape_of(b, result)
        if len(of_a) < 2 or len(of_b) < 2:
            return self.entry((" ", a, b), at, result)
        letter = self._fresh(a[0] == "transposed" and _base(a) in SAMPLES)
        self.single += [letter] * (of_a[-1] == 1)
        left = [*at[:-1], letter][len(at) - len(of_a) :]
        right = [*at[:-2], letter, at[-1]][len(at) - len(of_b) :]
        product = ["*", self.entry(a, left, result), self.entry(b, right, result)]
        return ["sum", [[letter, of_a[-1]]], product]

    def _over(self, tree: Tree, at: list[Node], result: Shape) -> Node:
        kind, inner = tree[0], tree[-1]
        if self.sentence.indices is not None:
            return self._indexed_sum(tree)
        shape = self.shape_of(inner, result)
        axes = self._summed(tree, shape, result)
        lost = len(shape) - len(at)
        index = [*[0] * lost, *at]
        over = []
        for axis in axes:
            letter = self._fresh(axis == 0 and "n" not in at and len(axes) == 1)
            over.append([letter, shape[axis]])
            index[axis] = letter
            self.single += [letter] * (shape[axis] == 1)
        body = self.entry(inner, self._where_wide(index, shape), result)
        if not over:
            return body
        total: Node = ["largest" if kind == "largest" else "sum", over, body]
        if kind == "mean":
            total = ["/", total, float(math.prod(shape[axis] for axis in axes))]
        return total

    def _where_wide(self, index: list[Node], shape: Shape) -> list[Node]:
        """0 along axes of size 1, unless the letter has no other value either."""
        return [
            0 if size == 1 and i not in self.single else i
            for i, size in zip(index, shape, strict=True)
        ]

    def _joined(self, tree: Tree, at: list[Node], result: Shape) -> Node:
        found: Node = None
        start = 0
        parts = []
        for each in tree[1]:
            shape = self.shape_of(each, result)
            parts.append((start, start + shape[self.along], each, shape))
            start += shape[self.along]
        letter = at[self.along]
        for begin, end, each, shape in parts:
            index = list(at)
            index[self.along] = _plus(letter, -begin)
            index = self._where_wide(index[len(index) - len(shape) :], shape)
            inside = _all([["is", "≤", float(begin), letter], ["is", "<", letter, float(end)]])
            term = ["*", inside, self.entry(each, index, result)]
            found = term if found is None else ["+", found, term]
        return found

    def _call(self, tree: Tree, at: list[Node], result: Shape) -> Node:
        name, given = tree[1:]
        if name == "softmax":
            (inner,) = given
            shape = self.shape_of(inner, result)
            letter = self._fresh()
            here = self.entry(inner, at, result)
            there = self.entry(inner, [*at[:-1], letter], result)
            # e^(z − z_k) and not e^z / Σ e^z_k, which overflows
            ratio = ["f", "exp", ["-", there, here]]
            return ["/", 1.0, ["sum", [[letter, shape[-1]]], ratio]]
        if name == "norm":
            shape = self.shape_of(given[0], result)
            letters = [self._fresh() for _ in shape]
            square = ["^", self.entry(given[0], list(letters), result), 2.0]
            over = [list(pair) for pair in zip(letters, shape, strict=True)]
            return ["f", "sqrt", ["sum", over, square]]
        nodes = [self.entry(each, self._part(each, at, result), result) for each in given]
        return ["f", {"σ": "sigma", "Φ": "Phi", "φ": "phi"}.get(name, name), *nodes]

    # -- lines that speak of entries already -------------------------------------------------------

    def _sizes_in(self, tree: Any) -> None:
        """Take the size of each letter from an axis along which it runs alone."""
        if not isinstance(tree, (tuple, list)):
            return
        if tree and tree[0] == "entry" and tree[1][1] in self.sheet.arrays:
            array, _ = self.sheet.arrays[tree[1][1]]
            for size, index in zip(array.shape, tree[2], strict=True):
                if index[0] == "name" and len(index[1]) == 1:
                    self.letters.setdefault(index[1], size)
        for each in tree:
            self._sizes_in(each)

    def _at(self, tree: Tree, result: Shape) -> Node:
        (_, name), given = tree[1:]
        index = [self.entry(each, [], result) for each in given]
        if name not in self.sheet.arrays:
            defined = next((n for n in self.meanings if n.startswith(f"{name}[")), None)
            if defined is None:
                raise KeyError(name)
            letters = defined[len(name) + 1 : -1].replace(" ", "").split(",")
            body = self.entry(tree_of(self.meanings[defined], self.names), [], result)
            return replaced(body, dict(zip(letters, index, strict=True)))
        array, whole = self.sheet.arrays[name]
        if len(index) != array.ndim:
            raise ValueError(f"{name} has {array.ndim} axes")
        node: Node = ["at", self._operand(Operand(name, array, whole)), index]
        outside = self.sentence.outside.get(name, 0.0)
        if outside:  # a constant border: what is there, and else the constant
            inside = [
                _all([["is", "≤", 0.0, i], ["is", "<", i, float(size)]])
                for i, size in zip(index, array.shape, strict=True)
                if not isinstance(i, str)
            ]
            here = _all(inside)
            node = ["+", ["*", here, node], ["*", ["-", 1.0, here], outside]]
        return node

    def _indexed_sum(self, tree: Tree) -> Node:
        kind, letters, inner = tree
        if letters is None:
            raise ValueError("Σ without letters among entries")
        over = [[letter, self.letters[letter]] for letter in letters]
        outer = dict(self.renamed)
        for pair in over:  # a letter of a definition may be in use where it is put in
            if pair[0] in self.bound:
                self.renamed[pair[0]] = pair[0] = next(c for c in MORE if c not in self.bound)
            self.bound.append(pair[0])
        body = self.entry(inner, [])
        del self.bound[len(self.bound) - len(over) :]
        self.renamed = outer
        if kind == "largest":
            return ["largest", over, body]
        while (found := _solvable(body, [letter for letter, _ in over])) is not None:
            condition, letter, index = found
            over = [pair for pair in over if pair[0] != letter]
            body = replaced(_without(body, condition), {letter: index})
        return ["sum", over, body] if over else body


def _base(tree: Any) -> str:
    while tree[0] in ("transposed", "group"):
        tree = tree[1]
    return tree[1] if tree[0] == "name" else ""


def _aligned(letters: list[Node], shape: Shape, found: Shape) -> list[Node]:
    """The indices of an expression of the result's values, whose axes of length 1 may differ."""
    if len(found) == len(shape) or not found:
        return [
            0 if size == 1 != whole else i
            for size, whole, i in zip(found, shape, letters, strict=False)
        ]
    wide = [letter for letter, size in zip(letters, shape, strict=True) if size > 1]
    if sum(size > 1 for size in found) == len(wide):
        rest = iter(wide)
        return [0 if size == 1 else next(rest) for size in found]
    if len(found) < len(shape):
        last = letters[len(letters) - len(found) :]
        return [0 if size == 1 else i for size, i in zip(found, last, strict=True)]
    raise ValueError(f"{found} is not {shape}")


def _plus(index: Node, number: int) -> Node:
    if number == 0:
        return index
    return ["+", index, float(number)] if number > 0 else ["-", index, float(-number)]


def _all(conditions: list[Node]) -> Node:
    found = conditions[0] if conditions else 1.0
    for each in conditions[1:]:
        found = ["*", found, each]
    return found


def _conditions(node: Node) -> list[Node]:
    """The factors of a product that say that a letter equals something."""
    if isinstance(node, list) and node[0] == "*":
        return [*_conditions(node[1]), *_conditions(node[2])]
    if isinstance(node, list) and node[0] == "/":
        return _conditions(node[1])
    return [node] if isinstance(node, list) and node[:2] == ["is", "="] else []


def _without(node: Node, condition: Node) -> Node:
    if isinstance(node, list) and node[0] == "*":
        if node[1] is condition:
            return node[2]
        if node[2] is condition:
            return node[1]
        return ["*", _without(node[1], condition), _without(node[2], condition)]
    if isinstance(node, list) and node[0] == "/":
        if node[1] is condition:
            return ["/", 1.0, node[2]]
        return ["/", _without(node[1], condition), node[2]]
    return node


def _solvable(body: Node, letters: Sequence[str]) -> tuple[Node, str, Node] | None:
    """The first condition that says what one of the summed letters is, with that."""
    for condition in _conditions(body):
        solved = _solved(condition, letters)
        if solved is not None:
            return condition, *solved
    return None


def _solved(condition: Node, letters: Sequence[str]) -> tuple[str, Node] | None:
    """[h = 2i + k − 1] as i = (h − k + 1) / 2: the first summed letter, and what it is."""
    left, right = condition[2:]
    line = _linear(right)
    if line is None or not isinstance(left, str) or left in letters:
        return None
    letter = next((each for each in letters if each in line), None)
    if letter is None:
        return None
    factor = line.pop(letter)
    rest: Node = left
    for name, times in line.items():
        if name and times:
            term = name if abs(times) == 1 else ["*", abs(times), name]
            rest = ["-" if times > 0 else "+", rest, term]
    rest = _plus(rest, -int(line.get("", 0)))
    return letter, rest if factor == 1 else ["/", rest, factor]


def _linear(node: Node) -> dict[str, float] | None:
    """Coefficients by letter, and the constant by ""; None for what is not linear."""
    if isinstance(node, float | int):
        return {"": float(node)}
    if isinstance(node, str):
        return {node: 1.0}
    if node[0] in ("+", "-"):
        a, b = _linear(node[1]), _linear(node[2])
        if a is None or b is None:
            return None
        sign = 1 if node[0] == "+" else -1
        return {name: a.get(name, 0) + sign * b.get(name, 0) for name in {**a, **b}}
    if node[0] == "*" and isinstance(node[1], float | int):
        inner = _linear(node[2])
        return None if inner is None else {k: node[1] * v for k, v in inner.items()}
    return None


def replaced(node: Node, letters: Mapping[str, Node]) -> Node:
    """The tree with other indices in the place of letters."""
    if isinstance(node, str):
        return letters.get(node, node)
    if not isinstance(node, list):
        return node
    kind = node[0]
    if kind == "at":
        return ["at", node[1], [replaced(index, letters) for index in node[2]]]
    if kind in ("sum", "largest"):
        bound = {letter for letter, _ in node[1]}
        inner = {k: v for k, v in letters.items() if k not in bound}
        return [kind, node[1], replaced(node[2], inner)]
    named = 2 if kind in ("f", "is") else 1
    return [*node[:named], *(replaced(each, letters) for each in node[named:])]
