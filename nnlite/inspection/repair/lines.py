"""Corrections of whole lines of a backward: too many, too late, overwriting, swapped."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

from nnlite.inspection.repair.corrections import Correction


def of_lines(function: ast.FunctionDef) -> Iterator[Correction]:
    """Put one line after another as it might have been meant; each is put back before the next."""
    for parent in ast.walk(function):
        body = getattr(parent, "body", None)
        if not isinstance(body, list):
            continue
        was = list(body)
        for at, line in enumerate(was):
            for new, told in _instead(was, at):
                body[:] = new
                yield Correction(told, _first(line))
            body[:] = was


def _instead(body: list[ast.stmt], at: int) -> Iterator[tuple[list[ast.stmt], str]]:
    """Other bodies, in which this line is another one, and what is wrong if they are right."""
    line, before, after = body[at], body[:at], body[at + 1 :]

    def with_line(new: ast.stmt) -> list[ast.stmt]:
        return [*before, ast.copy_location(new, line), *after]

    if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Subscript | ast.Attribute):
        added = ast.AugAssign(line.targets[0], ast.Add(), line.value)
        yield with_line(added), "what was there is overwritten, and must be added to: write +="
    if isinstance(line, ast.AugAssign):
        op = ast.Add() if isinstance(line.op, ast.Sub) else ast.Sub()
        other = ast.AugAssign(line.target, op, line.value)
        yield with_line(other), "the sign is wrong, += and -= are confused"
        if isinstance(line.op, ast.Add) and isinstance(line.target, ast.Subscript):
            told = (
                "an index that comes several times (duplicates) counts only once: it is "
                "overwritten, where np.add.at accumulates"
            )
            yield with_line(_accumulated(line.target, line.value)), told
    if isinstance(line, ast.If):
        always = ast.If(ast.copy_location(ast.Constant(True), line.test), line.body, [])
        told = "a sum is missing: it counts only where this holds, and must count always"
        yield with_line(always), told
    if isinstance(line, ast.Return) or ast.unparse(line) == "_tick()":
        return
    if len(body) > 1:
        yield with_line(ast.Pass()), "the line must not be there"
    if at:
        told = "the line comes too late, in the wrong order: it must stand one line before"
        yield [*before[:-1], line, before[-1], *after], told
    last = body[-1]
    if isinstance(line, ast.Expr) and isinstance(last, ast.Return) and last.value is not None:
        whole = ast.copy_location(ast.BinOp(last.value, ast.Add(), line.value), last)
        told = "what it returns is dropped: this path's gradient, a term, is missing"
        yield [*before, *after[:-1], ast.copy_location(ast.Return(whole), last)], told


def _accumulated(target: ast.Subscript, value: ast.expr) -> ast.stmt:
    """np.add.at(array, index, value) for array[index] += value."""
    index = ast.Subscript(ast.parse("np.s_", mode="eval").body, target.slice, ast.Load())
    parts = ", ".join(map(ast.unparse, (target.value, index, value)))
    return ast.parse(f"np.add.at({parts})").body[0]


def of_carried(function: ast.FunctionDef, factors: list[str]) -> Iterator[Correction]:
    """Let what a loop carries from step to step go through a gate on its way to the next one."""
    for loop in ast.walk(function):
        if not isinstance(loop, ast.For):
            continue
        names = [n for n in ast.walk(loop) if isinstance(n, ast.Name)]
        stored = {n.id for n in names if isinstance(n.ctx, ast.Store)}
        for carried in sorted(stored & {n.id for n in names if isinstance(n.ctx, ast.Load)}):
            for factor in factors:
                if factor.split("[")[0] in stored and factor != carried:
                    yield from _through(loop, carried, factor)
                    yield from _through(loop, carried, f"(1 - {factor})")


def _through(loop: ast.For, carried: str, gate: str) -> Iterator[Correction]:
    """The loop in which what is carried is multiplied by the gate, or comes through it besides."""
    last = ast.parse(f"{carried} = {carried} * {gate}").body[0]
    told = f"what is carried to the step before, `{carried}`, is not multiplied by `{gate}`"
    loop.body.append(last)
    yield Correction(f"{told}, as by a forget gate", _first(loop), "", ast.unparse(last))
    loop.body.pop()
    for line in loop.body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == carried:
            value, text = line.value, ast.unparse(line)
            term = f"{carried} * {gate}"
            whole = ast.BinOp(value, ast.Add(), ast.parse(term, mode="eval").body)
            line.value = ast.copy_location(whole, value)
            told = f"the term `{term}` is missing: the direct path of a state that is carried on"
            yield Correction(told, text, ast.unparse(value), ast.unparse(line.value))
            line.value = value


def _first(node: ast.AST) -> str:
    return ast.unparse(node).split("\n")[0]


def of_targets(function: ast.FunctionDef) -> Iterator[Correction]:
    """Let what is assigned, or added to, change places: two gradients, or two variables."""
    adding = [line for line in ast.walk(function) if isinstance(line, ast.AugAssign)]
    for one, other in itertools.combinations(adding, 2):
        first, second = ast.unparse(one.target), ast.unparse(other.target)
        one.target, other.target = other.target, one.target
        told = f"`{first}` and `{second}` are swapped: each gets what belongs to the other"
        yield Correction(told, f"{first} += …")
        one.target, other.target = other.target, one.target
    for line in ast.walk(function):
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Tuple):
            names, text = line.targets[0].elts, ast.unparse(line)
            for i, j in itertools.combinations(range(len(names)), 2):
                told = f"`{ast.unparse(names[i])}` and `{ast.unparse(names[j])}` are swapped"
                names[i], names[j] = names[j], names[i]
                yield Correction(told, text)
                names[i], names[j] = names[j], names[i]
