"""Corrections by what is missing in a backward: a factor, a term, a sum.

As in `edits.py`, each function yields other expressions for one, with the mistake mended by it.
"""

from __future__ import annotations

import ast
import itertools

from nnlite.inspection.repair import edits
from nnlite.inspection.repair.corrections import code, factor, path
from nnlite.inspection.repair.edits import AXES, Corrections, Edit
from nnlite.inspection.repair.scope import Scope

DERIVATIVES = (  # of a variable in the middle of a backward
    "({0} > 0)", "({0} < 0)", "(1 - np.tanh({0}) ** 2)", "(1 - {0})", "np.cos({0})",
    "-np.sin({0})", "np.exp({0})", "(2 * {0})", "(3 * {0} ** 2)", "(1 / (1 + np.exp(-{0})))",
    "(1 / (1 + {0}))", "(1 / (1 + {0} ** 2))", "(0.5 / np.sqrt({0}))", "(-1 / {0} ** 2)",
    "np.sign({0})", "{0}[:, None]", "{0}[..., None]",
)  # fmt: skip


def missing_sum(node: ast.expr, scope: Scope) -> Corrections:
    """A sum that is left out, which only broadcasting hides."""
    for new in AXES[:8]:
        for keep in ("", ", keepdims=True"):
            yield (
                f"({ast.unparse(node)}).sum(axis={new}{keep})",
                f"the sum over axis {new} is missing",
            )


def missing_factor(node: ast.expr, scope: Scope) -> Corrections:
    """A factor of the product that is forgotten: a weight, a gate, a scale, a mask."""
    text = ast.unparse(node)
    for q in [*scope.factors, *scope.numbers]:
        mask = ", a mask," if q in scope.masks else ""
        yield f"({text}) * ({q})", f"the factor {factor(q)}{mask} is missing"
        yield f"({text}) / ({q})", f"the division by {code(q)} is missing"
    for q in scope.numbers:
        yield f"({text}) * (1 - {q})", f"the factor {code(f'1 - {q}')} is missing"
        yield f"({text}) / (1 - {q})", f"the division by {code(f'1 - {q}')} is missing"


def missing_derivative(node: ast.expr, scope: Scope) -> Corrections:
    """A derivative f′ that is forgotten, of a function in the middle, by its usual forms."""
    text = ast.unparse(node)
    for q in scope.factors:
        if q.endswith(".data") or q in scope.counts:
            continue
        forms = [f"(1 - {q} ** 2)", f"({q} * (1 - {q}))"]
        if "[" not in q:
            forms += [form.format(q) for form in DERIVATIVES]
        if q in scope.masks:
            forms.append(f"~{q}")
        for made in forms:
            yield f"({text}) * {made}", f"the factor {factor(made)} is missing"


def missing_number(node: ast.expr, scope: Scope) -> Corrections:
    """The ½, the 2 or the 3 of a derivative of a power."""
    text = ast.unparse(node)
    for value, name in (("0.5", "½"), ("2", "2"), ("3", "3")):
        yield f"({text}) * {value}", f"the factor {name} is missing"


def missing_count(node: ast.expr, scope: Scope) -> Corrections:
    """A mean's 1/n, or attention's 1/√d, that is forgotten or there too often."""
    text = ast.unparse(node)
    for q in scope.factors:
        if "[" in q:
            continue
        for count in (f"len({q})", f"{q}.shape[1]", f"{q}.shape[-1]", f"{q}.size"):
            told = f"the division by {code(count)}, the number of values, is"
            yield f"({text}) / {count}", f"{told} missing"
            yield f"({text}) * {count}", f"{told} there too often"
        root = f"np.sqrt({q}.shape[-1])"
        yield f"({text}) / {root}", f"the scale factor 1/√d, d = {q}.shape[-1], is missing"


def missing_term(node: ast.expr, scope: Scope) -> Corrections:
    """A term of the sum that is forgotten: another path by which the output depends on it.

    The gradient is the sum over all paths, as around a skip and in statistics.
    """
    text = ast.unparse(node)
    for q in scope.gradients:
        yield f"({text}) + ({q})", f"the term {code(q)} is missing{path(q)}"
        yield f"({text}) - ({q})", f"the term −{code(q)} is missing{path(q)}"
    for q in scope.gradients:
        for at in ("0", "1", "-1"):
            for kind, made in (
                ("mean", f"{q}.mean(axis={at}, keepdims=True)"),
                ("sum", f"{q}.sum(axis={at}, keepdims=True)"),
            ):
                yield (
                    f"({text}) - {made}",
                    f"the term −{code(made)} is missing: the share of a {kind}, as if it were "
                    "constant",
                )


def missing_share(node: ast.expr, scope: Scope) -> Corrections:
    """What comes through a variance or a norm: y times the mean, or the sum, of G ⊙ y."""
    names = [q for q in scope.factors if q.isidentifier() and q not in scope.indices | scope.masks]
    for q in scope.gradients:
        for p in names:
            for kind, axis in itertools.product(("mean", "sum"), ("-1", "0", "1", "(1, 2)")):
                made = f"{p} * ({q} * {p}).{kind}(axis={axis}, keepdims=True)"
                told = (
                    f"the term −{code(made)} is missing: the share of a variance or a norm, as if "
                )
                yield f"({ast.unparse(node)}) - {made}", f"{told}it were constant"


def missing_path(node: ast.expr, scope: Scope) -> Corrections:
    """A path through a weight that is left out of the sum over all paths."""
    for q in scope.gradients:
        for p in scope.factors:
            if p.endswith(".data"):
                told = f"the term {code(f'{q} @ {p}.T')} is missing: the path through that weight"
                yield f"({ast.unparse(node)}) + ({q}) @ ({p}).T", told


def missing_use(node: ast.expr, scope: Scope) -> Corrections:
    """A second use of the same weight, whose share is added to that of the first."""
    for q in scope.gradients:
        for p in scope.factors:
            for term in (f"{q}.T @ {p}", f"{p}.T @ {q}"):
                told = f"the term {code(term)} is missing: another use of the same parameter"
                yield f"({ast.unparse(node)}) + {term}", told


def missing_matrix(node: ast.expr, scope: Scope) -> Corrections:
    """A matrix on the way that is left out."""
    text = ast.unparse(node)
    for p in scope.factors:
        if p.endswith(".data"):
            told = f"the product with {code(p)} is missing: the way back leads through that weight"
            for new in (f"({text}) @ {p}.T", f"({text}) @ {p}", f"{p}.T @ ({text})"):
                yield new, told


def missing_addend(node: ast.expr, scope: Scope) -> Corrections:
    """A constant in a factor, as the α of (y + α), or the 1 of (1 − z)."""
    text = ast.unparse(node)
    for q in ["1", *scope.numbers, *scope.factors]:
        yield f"({text}) + {q}", f"{code(q)} must be added to {code(text)}"
        yield f"({text}) - {q}", f"{code(q)} must be taken from {code(text)}"


def missing_product(node: ast.expr, scope: Scope) -> Corrections:
    """The other half of the product rule, or what a gate lets through."""
    text = ast.unparse(node)
    told = "the term {} is missing: another path, as in the product rule"
    for q in scope.gradients:
        for p in scope.factors:
            yield f"({text}) + ({q}) * ({p})", told.format(code(f"{q} * {p}"))
            yield f"({text}) - ({q}) * ({p})", told.format(code(f"-{q} * {p}"))
            yield f"({text}) + ({q}) * (1 - {p})", told.format(code(f"{q} * (1 - {p})"))
            yield f"({text}) + ({q}) * ({p})[:, None]", told.format(code(f"{q} * {p}[:, None]"))


def missing_half(node: ast.expr, scope: Scope) -> Corrections:
    """The half of the product rule in which a gate x σ(x) itself is differentiated."""
    names = [q for q in scope.factors if q.isidentifier() and q not in scope.indices | scope.masks]
    for q in names:
        for p in names:
            if p != q:
                told = f"a term of the product rule is missing, that of {code(p)}, as in SiLU's "
                told += "derivative σ (1 + x (1 − σ))"
                yield f"({ast.unparse(node)}) * (1 + {q} * (1 - {p}))", told


TERMS = {missing_term, missing_share, missing_path, missing_use, missing_product}
OF_VALUES: tuple[Edit, ...] = (
    missing_factor, missing_derivative, missing_number, missing_sum, missing_term, missing_share,
    missing_matrix, missing_count, missing_addend,
)  # fmt: skip
OF_FLOATS = {*OF_VALUES, *TERMS, missing_half, edits.power, edits.applied}
