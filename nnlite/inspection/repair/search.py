"""Where the mistake in a backward is: the place at which one small correction makes it right.

The source of a hand-written backward is read, one expression after another is put as it might have
been meant (`edits.py`), and the backward that results is run. One whose gradients agree with the
differences shows the mistake. That is no guess: the corrected line has been computed.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import re
import time
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from nnlite.inspection.causes.evidence import close
from nnlite.inspection.repair import additions, edits
from nnlite.inspection.repair.constants import FORWARDS
from nnlite.inspection.repair.corrections import Correction, named_by_forward
from nnlite.inspection.repair.harmless import by_hand, is_harmless, source_of
from nnlite.inspection.repair.lines import of_carried, of_lines, of_targets
from nnlite.inspection.repair.scope import Scope, scope_of
from nnlite.inspection.report import Diagnosis

COMPREHENSIONS = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
NAME = re.compile(r"[^\W\d][\w.]*")
METHODS_OF_VALUES = {"T", "copy", "mean", "ravel", "reshape", "sum", "swapaxes", "transpose"}
BACKWARDS = ("backward", "derivative")  # the first of them that is not nnlite's is looked at

Gradients = dict[str, np.ndarray]
Backward = types.FunctionType
Tried = tuple[Callable[[], Correction], Backward]


class Runs(NamedTuple):
    """How to run a layer or a loss, and what should come of it.

    Attributes:
        part: a copy of it, in which another backward is put.
        forward: runs it forward, on an input of its own.
        backward: runs it backward with G times a number, and gives the gradients by name.
        right: what these should be.
        wrong: the names of those that are not.
        holds: whether these gradients are right for another number of samples as well.
    """

    part: Any
    forward: Callable[[], Any]
    backward: Callable[[float], Gradients]
    right: Gradients
    wrong: set[str]
    holds: Callable[[set[str]], bool] = bool


def mend(runs: Runs, seconds: float) -> dict[str, Diagnosis]:
    """For each wrong gradient a correction that makes it right, where one is found in time.

    Of two, the one that makes more gradients right is given.
    Nothing is looked for where backward does more than compute (`harmless.py`).
    """
    found: dict[str, Diagnosis] = {}
    best: set[str] = set()
    end = time.thread_time() + seconds
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        source = _Source.of(runs, end)
        if source is None:
            return {}
        with contextlib.suppress(TimeoutError):
            for correction, backward in source.corrections():
                mended = source.mended(backward)
                new = mended if len(mended) > len(best) else mended - found.keys()
                if new:
                    found |= dict.fromkeys(new, source.told(correction()))
                    best = max(best, mended, key=len)
                if best == runs.wrong:
                    break
    return found


class _Source:
    """The backward that somebody wrote by hand, as a tree in which places can be changed."""

    def __init__(
        self, runs: Runs, function: ast.FunctionDef, original: types.FunctionType, end: float
    ) -> None:
        self.runs = runs
        self.function = function
        self.original = original
        self.end = end
        self.sites = list(_sites(function))
        self.now: dict[int, Any] = {}  # what is at each place when backward returns
        self.open: dict[int, tuple[Backward, list[Any]]] = {}  # by place
        layers = runs.part.named_layers().values() if hasattr(runs.part, "named_layers") else ()
        self.owners = [runs.part, *(layer for layer in layers if layer is not runs.part)]
        self.forward()

    @classmethod
    def of(cls, runs: Runs, end: float) -> _Source | None:
        """None where the source is not known, is nnlite's own, or does more than compute."""
        found = by_hand(runs.part, BACKWARDS)
        if found is None:
            return None
        name, original = found
        function = source_of(original)
        if function is None:
            return None
        function.name = name
        for loop in ast.walk(function):
            if isinstance(loop, ast.For | ast.While):
                loop.body.insert(0, ast.parse("_tick()").body[0])
        source = cls(runs, function, original, end)
        return source if is_harmless(source.compiled(), runs.part) else None

    # -- running ---------------------------------------------------------------------------------

    def forward(self) -> None:
        """Once for many backwards; anew now and then, since they may write into what it saved."""
        self.runs.forward()
        self.states = [dict(vars(owner)) for owner in self.owners]

    def replies(self, backward: Backward, times: float = 1.0) -> Gradients:
        """The gradients with this backward."""
        self._tick()
        for owner, state in zip(self.owners, self.states, strict=True):
            vars(owner).update(state)
        with self._put(backward):
            return self.runs.backward(times)

    @contextlib.contextmanager
    def _put(self, backward: Backward) -> Iterator[None]:
        """Let it be the part's backward."""
        space = vars(self.runs.part)
        space[backward.__name__] = types.MethodType(backward, self.runs.part)
        try:
            yield
        finally:
            del space[backward.__name__]

    def mended(self, backward: Backward) -> set[str]:
        """The wrong gradients that are right with this backward; none if others suffer."""
        right, wrong = self.runs.right, self.runs.wrong
        try:
            now = self.replies(backward)
            same = {name for name in right if close(np.asarray(now[name]), right[name])}
        except Exception:  # a correction that makes no sense
            return set()
        if not same & wrong or not same >= right.keys() - wrong:
            return set()
        try:
            with self._put(backward):
                holds = self.runs.holds(same)
        except Exception:  # one that makes no sense there, or takes too long
            holds = False
        self.forward()
        return same & wrong if holds else set()

    def compiled(self, **names: Any) -> Backward:
        """The function as the tree now is, in the surroundings of the original and these names."""
        free = self.original.__code__.co_freevars
        names["_tick"] = self._tick
        outer = ast.parse(
            f"def make({', '.join([*free, *names])}):\n    return {self.function.name}"
        )
        make: Any = outer.body[0]
        make.body.insert(0, self.function)
        space: dict[str, Any] = {}
        exec(compile(outer, "<correction>", "exec"), self.original.__globals__, space)
        cells = [cell.cell_contents for cell in self.original.__closure__ or ()]
        made: Backward = space["make"](*cells, *names.values())
        return made

    def _tick(self) -> None:
        """Ends the search in time, also in a loop that a changed backward might never leave."""
        if time.thread_time() > self.end:
            raise TimeoutError

    # -- corrections -----------------------------------------------------------------------------

    def corrections(self) -> Iterator[Tried]:
        """Each correction, and the backward that has it, the simple and the usual ones first."""
        self.values = self._values(1.0)
        doubled = self._values(2.0)
        self.scope = scope = scope_of(self.function, self.runs.part, self.values, doubled)
        yield from self._of_lines(of_lines)
        yield from self._of_lines(functools.partial(of_carried, factors=scope.factors))
        ranked = self._ranked()
        for sites in ranked:
            values = [site for site in sites if site.is_value]
            lines = [site for site in values if isinstance(site.parent, ast.stmt)]
            for edit in edits.EVERYWHERE:
                yield from self._of_sites(sites, edit, scope)
            yield from self._of_places(scope)
            own = [site for site in lines if site.for_parameter]
            others = [site for site in lines if not site.for_parameter]
            yield from self._of_sites(own, additions.missing_use, scope)
            yield from self._of_sites(others, additions.missing_path, scope)
            for edit in additions.OF_VALUES:
                yield from self._of_sites(values, edit, scope)
            yield from self._of_sites(lines, additions.missing_product, scope)
            yield from self._of_sites(lines, additions.missing_half, scope)
            for edit in edits.AT_ONCE:
                yield from self._at_once(sites, edit, scope)
            yield from self._of_lines(of_targets)
            for edit in edits.UNUSUAL:
                yield from self._of_sites(sites, edit, scope)
        for sites in ranked:
            for edit in (*additions.OF_VALUES, *edits.EVERYWHERE):
                yield from self._in_lines_alike(sites, edit, scope)

    def _ranked(self) -> tuple[list[_Site], list[_Site]]:
        """The places on which all depends that is wrong, and nothing else; those for a part of it.

        What a right gradient depends on is left out: a correction there would make it wrong.
        """
        wrong = self.runs.wrong
        try:
            base = self.replies(self.compiled())
        except Exception:  # as where it returns another shape
            return self.sites, []
        reached = [self._reached(site, base) for site in self.sites]
        of_line: dict[int, set[str]] = {}
        for site, names in zip(self.sites, reached, strict=True):
            of_line.setdefault(id(site.line), set()).update(names)
        for_all, for_some = [], []
        for site, names in zip(self.sites, reached, strict=True):
            if names == wrong or (not names and of_line[id(site.line)] >= wrong):
                for_all.append(site)
            elif names <= wrong:
                for_some.append(site)
        return for_all, for_some

    def _reached(self, site: _Site, base: Gradients) -> set[str]:
        """The gradients that change with the numbers at this place; none if there are none."""
        try:
            site.put(ast.parse(f"_moved({ast.unparse(site.node)})", mode="eval").body)
            now = self.replies(self.compiled(_moved=_moved))
        except Exception:
            return set()
        finally:
            site.put(site.node)
        return {name for name, value in now.items() if not np.array_equal(value, base[name])}

    def told(self, correction: Correction) -> Diagnosis:
        """The correction in words."""
        found = by_hand(self.runs.part, FORWARDS)
        forward = source_of(found[1]) if found else None
        return named_by_forward(correction, self.scope.numbers, forward).diagnosis()

    def _of_lines(self, edit: Callable[[ast.FunctionDef], Iterator[Correction]]) -> Iterator[Tried]:
        for correction in edit(self.function):
            yield functools.partial(Correction, *correction), self.compiled()

    def _of_sites(self, sites: list[_Site], edit: edits.Edit, scope: Scope) -> Iterator[Tried]:
        """One place after another.

        The function is compiled once for each place, and evaluates there what is in `now`.
        """
        for site in sites:
            for new, told in edit(site.node, scope):
                self._tick()
                try:
                    code = compile(new, "<correction>", "eval")
                except SyntaxError:  # a part of an index
                    continue
                if self._senseless(site, code, edit):
                    continue
                if id(site) not in self.open:
                    self.forward()
                    try:
                        self.open[id(site)] = self._opened(site)
                    except (SyntaxError, TypeError, ValueError):  # no place for an expression
                        break
                backward, now = self.open[id(site)]
                now[0] = code
                yield functools.partial(site.correction, told, new, edit), backward

    def _of_places(self, scope: Scope) -> Iterator[Tried]:
        """Another place of an array that is written to."""
        for line in ast.walk(self.function):
            if not isinstance(line, ast.Assign | ast.AugAssign):
                continue
            target = line.targets[0] if isinstance(line, ast.Assign) else line.target
            if not isinstance(target, ast.Subscript):
                continue
            text, old, index = ast.unparse(line).split("\n")[0], ast.unparse(target), target.slice
            read = ast.Subscript(target.value, index, ast.Load())
            for edit in (edits.step, edits.bounds, edits.stride):
                for new, told in _valid(edit(read, scope)):
                    other = ast.parse(new, mode="eval").body
                    target.slice = other.slice if isinstance(other, ast.Subscript) else index
                    backward = self.compiled()
                    target.slice = index
                    simple = ast.unparse(other)
                    yield functools.partial(Correction, told, text, old, simple), backward

    def _senseless(self, site: _Site, code: types.CodeType, edit: edits.Edit) -> bool:
        """Whether it cannot be computed, or has another shape than a sum it stands for.

        Asked with the values that the variables have when backward returns.
        """
        if id(site) not in self.now:
            self.now[id(site)] = self._value(compile(ast.unparse(site.node), "", "eval"))
        old = self.now[id(site)]
        if old is None:  # of a comprehension, or of a loop's last turn
            return False
        if edit in additions.OF_FLOATS and not _is_float(old):
            return True  # such as a shape, whose multiple might be huge
        new = self._value(code)
        return new is None or (edit in additions.TERMS and np.shape(new) != np.shape(old))

    def _value(self, code: types.CodeType) -> Any:
        try:
            return eval(code, self.original.__globals__, self.values)
        except Exception:
            return None

    def _opened(self, site: _Site) -> tuple[Backward, list[Any]]:
        """The backward with an open place, and what will be evaluated there."""
        now = [None]
        around = ", ".join(f"{name!r}: {name}" for name in site.around)
        call = f"eval(_now[0], globals(), {{{around}, **locals()}})"
        site.put(
            ast.parse(call if around else "eval(_now[0], globals(), locals())", mode="eval").body
        )
        try:
            return self.compiled(_now=now), now
        finally:
            site.put(site.node)

    def _at_once(self, sites: list[_Site], edit: edits.Edit, scope: Scope) -> Iterator[Tried]:
        """The same correction at several places: at all, or at all that are in the same role."""
        groups: dict[tuple[Any, ...], list[tuple[_Site, str]]] = {}
        for site in sites:
            role = type(getattr(site.parent, "op", site.parent)), site.field
            offered: dict[str, int] = {}
            for new, told in _valid(edit(site.node, scope)):
                count = offered[told] = offered.get(told, 0) + 1
                for key in ((count, told), (count, told, role)):
                    groups.setdefault(key, []).append((site, new))
        for key, members in groups.items():
            if 1 < len(members) < 8 and (len(key) == 2 or len(members) < len(groups[key[:2]])):
                with contextlib.suppress(SyntaxError, TypeError, ValueError):
                    backward = self._with(members)
                    yield self._shown(members, key[1], edit), backward

    def _in_lines_alike(
        self, sites: list[_Site], edit: edits.Edit, scope: Scope
    ) -> Iterator[Tried]:
        """The same correction in all lines that are alike but for their names."""
        groups: dict[tuple[str, int], list[_Site]] = {}
        places: dict[int, int] = {}
        for site in sites:
            place = places[id(site.line)] = places.get(id(site.line), -1) + 1
            if site.is_value or edit in edits.EVERYWHERE:
                groups.setdefault((NAME.sub("_", ast.unparse(site.line)), place), []).append(site)
        for group in groups.values():
            offers = [list(_valid(edit(site.node, scope))) for site in group]
            if len(group) < 2 or len({len(each) for each in offers}) > 1:
                continue
            for same in zip(*offers, strict=True):
                self._tick()
                members = [(site, new) for site, (new, _) in zip(group, same, strict=True)]
                new, told = same[0]
                if not self._senseless(group[0], compile(new, "<correction>", "eval"), edit):
                    with contextlib.suppress(SyntaxError, TypeError, ValueError):
                        backward = self._with(members)
                        yield self._shown(members, told, edit), backward

    def _with(self, members: list[tuple[_Site, str]]) -> Backward:
        """The backward with all of these corrections."""
        try:
            for site, new in members:
                site.put(ast.parse(new, mode="eval").body)
            return self.compiled()
        finally:
            for site, _ in members:
                site.put(site.node)

    def _shown(
        self, members: list[tuple[_Site, str]], told: str, edit: edits.Edit
    ) -> Callable[[], Correction]:
        """The places that have to be corrected, the first of them in full."""

        def correction() -> Correction:
            needed = list(members)
            mended = self.mended(self._with(needed))
            for one in members:
                fewer = [other for other in needed if other is not one]
                if fewer and mended and self.mended(self._with(fewer)) >= mended:
                    needed = fewer
            (site, new), *others = needed
            lines = dict.fromkeys(other.code for other, _ in others if other.line is not site.line)
            return site.correction(told, new, edit)._replace(also=tuple(lines))

        return correction

    def _values(self, times: float) -> dict[str, Any]:
        """What the variables of backward hold when it returns, for G times a number."""
        found: dict[str, Any] = {}
        for site in self.sites:
            if isinstance(site.parent, ast.Return):
                call = f"(_found.update(locals()), {ast.unparse(site.node)})[1]"
                site.put(ast.parse(call, mode="eval").body)
                try:
                    self.replies(self.compiled(_found=found), times)
                except Exception:  # backward itself is not what it should be
                    found.clear()
                finally:
                    site.put(site.node)
        return {name: value for name, value in found.items() if not name.startswith("_")}


def _valid(corrections: edits.Corrections) -> Iterator[tuple[str, str]]:
    """Without those that make no expression, as of a part of an index."""
    for new, told in corrections:
        try:
            ast.parse(new, mode="eval")
        except SyntaxError:
            continue
        yield new, told


def _is_float(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, np.ndarray) and value.dtype.kind in "fb")


def _moved(value: Any) -> Any:
    """Other numbers in the same shape."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value * np.linspace(1.1, 1.9, value.size).reshape(value.shape)
    if isinstance(value, tuple | list):
        return type(value)(map(_moved, value))
    return 1.5 * value if isinstance(value, float) else value


class _Site(NamedTuple):
    """An expression in its place."""

    node: ast.expr
    parent: ast.AST
    field: str
    at: int | None
    line: ast.stmt
    in_index: bool
    around: tuple[str, ...]  # variables of the function, where this is inside a comprehension

    @property
    def is_value(self) -> bool:
        """Whether it is a value by itself: assigned, returned, added, an argument or a factor."""
        parent = self.parent
        if isinstance(self.node, ast.Constant) or self.in_index:
            return False
        if isinstance(parent, ast.BinOp):
            return isinstance(parent.op, ast.Add | ast.Sub | ast.MatMult)
        if isinstance(parent, ast.Call):
            return self.field == "args"
        if isinstance(parent, ast.Attribute):
            return parent.attr in METHODS_OF_VALUES
        return isinstance(
            parent, ast.Assign | ast.AugAssign | ast.Return | ast.List | ast.Tuple
        ) and self.field in ("value", "elts")

    @property
    def for_parameter(self) -> bool:
        """Whether it is added to the gradient of a parameter."""
        return isinstance(self.line, ast.AugAssign) and ast.unparse(self.line.target).endswith(
            ".grad"
        )

    @property
    def code(self) -> str:
        """The line, the first of several."""
        return ast.unparse(self.line).split("\n")[0]

    def put(self, node: ast.expr) -> None:
        if self.at is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.at] = node

    def correction(self, told: str, new: str, edit: edits.Edit) -> Correction:
        """What is put here instead, in words."""
        kind = "missing term" if edit in additions.TERMS else "correction"
        simple = ast.unparse(ast.parse(new, mode="eval"))
        return Correction(told, self.code, ast.unparse(self.node), simple, kind)


def _sites(function: ast.FunctionDef) -> Iterator[_Site]:
    """All expressions that are read."""
    for line in ast.walk(function):
        if not isinstance(line, ast.stmt) or line is function:
            continue
        if ast.unparse(line) == "_tick()":
            continue
        queue: list[tuple[ast.AST, bool, bool]] = [(line, False, False)]
        while queue:
            parent, in_index, within = queue.pop(0)
            within |= isinstance(parent, ast.comprehension | ast.Lambda | COMPREHENSIONS)
            for field, value in ast.iter_fields(parent):
                for at, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                    if isinstance(node, ast.stmt) or not isinstance(node, ast.AST):
                        continue
                    if field == "test" or (isinstance(parent, ast.Slice) and field == "step"):
                        continue
                    if isinstance(parent, ast.JoinedStr):
                        continue
                    inside = in_index or (isinstance(parent, ast.Subscript) and field == "slice")
                    queue.append((node, inside, within))
                    stored = isinstance(getattr(node, "ctx", None), ast.Store)
                    if (
                        isinstance(node, ast.expr)
                        and not stored
                        and not isinstance(node, ast.Slice)
                    ):
                        around = tuple(_names_before(function, line)) if within else ()
                        yield _Site(node, parent, field, at, line, inside, around)


def _names_before(function: ast.FunctionDef, line: ast.stmt) -> dict[str, None]:
    """The variables that have been assigned when this line is reached."""
    names = {argument.arg: None for argument in function.args.args}
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.lineno < line.lineno:
            names |= {node.id: None} if isinstance(node.ctx, ast.Store) else {}
    return names
