"""Small corrections of a hand-written backward, each the reverse of a mistake that is often made.

Each function here takes one expression of the backward and yields other expressions for it, each
with the mistake that would be mended by it. Which one mends anything, `repair` finds by running it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any

from nnlite.inspection.repair.corrections import code, factor, named, place
from nnlite.inspection.repair.scope import Scope, is_int, neighbours

Corrections = Iterator[tuple[str, str]]  # (the expression as it should be, what is wrong with it)

AXES = ("0", "1", "2", "3", "-1", "(0, 1)", "(1, 2)", "(0, 2)", "(0, 1, 2)", "None")
OPPOSITES = {"argmax": "argmin", "argmin": "argmax", "max": "min", "min": "max"}
REDUCTIONS = {"sum", "mean", "max", "min", "cumsum", "var", "std", "argmax"}


Edit = Callable[[ast.expr, Scope], Corrections]


def reduction(node: ast.expr, scope: Scope) -> Corrections:
    """A mean where a sum has to be, or the reverse: wrong by the number of values.

    A gradient is a sum over all outputs; a mean in forward leaves its 1/n in every term of it.
    """
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        other = {"mean": "sum", "sum": "mean"}.get(node.func.attr)
        if other:
            told = "it is averaged, a mean, where it must be summed"
            if other == "mean":
                told = "it is summed where it must be averaged: it lacks the mean's 1/n"
            yield re.sub(rf"\.{node.func.attr}\((?!.*\.{node.func.attr}\()", f".{other}(",
                         ast.unparse(node)), told  # fmt: skip


def axis(node: ast.expr, scope: Scope) -> Corrections:
    """A reduction over another axis than forward's."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return
    if node.func.attr not in REDUCTIONS and node.func.attr not in {"flip", "repeat", "roll"}:
        return
    what = {"sum": "the sum", "mean": "the mean"}.get(node.func.attr, f"{node.func.attr}")
    owner = ast.unparse(node.func)
    positional = [ast.unparse(a) for a in node.args]
    options = {k.arg: ast.unparse(k.value) for k in node.keywords if k.arg}
    if positional and node.func.attr in REDUCTIONS and ast.unparse(node.func.value) != "np":
        options["axis"] = positional.pop(0)
    now, kept = options.get("axis", "all of them"), options.pop("keepdims", None)
    for new in AXES:
        if new == now:
            continue
        told = f"{what} is over the wrong axis ({now})"
        for keep in dict.fromkeys((kept, "True", None)):
            others = options | {"axis": new} | ({"keepdims": keep} if keep else {})
            text = ", ".join([*positional, *(f"{k}={v}" for k, v in others.items())])
            yield f"{owner}({text})", told


def summed(node: ast.expr, scope: Scope) -> Corrections:
    """One entry along an axis where all of them count, as of a bias that every row gets."""
    if isinstance(node, ast.Subscript):
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for at, one in enumerate(index):
            if is_int(one):
                rest = [ast.unparse(i) for i in index[:at]]
                inner = ast.unparse(node.value)
                if any(i != ":" for i in rest):
                    continue
                told = f"only index {ast.unparse(one)} of axis {at} counts: a sum is missing"
                yield f"{inner}.sum(axis={at})", told


def operator(node: ast.expr, scope: Scope) -> Corrections:
    """A factor or a term too many, a plus for a minus, a product for a quotient."""
    if not isinstance(node, ast.BinOp):
        return
    left, right = ast.unparse(node.left), ast.unparse(node.right)
    if isinstance(node.op, ast.Add):
        yield f"({left}) - ({right})", f"the sign of {code(right)} is wrong, it needs a minus"
        yield left, f"the term {code(right)} must not be there"
        yield right, f"the term {code(left)} must not be there"
    elif isinstance(node.op, ast.Sub):
        yield f"({left}) + ({right})", f"the sign of {code(right)} is wrong, a minus for a plus"
        yield left, f"the term {code(right)} must not be there"
        yield f"({right}) - ({left})", "it has the opposite sign"
    elif isinstance(node.op, ast.Mult):
        for kept, dropped in ((left, right), (right, left)):
            often = {"2": "it counts twice", "0.5": "it counts by half"}.get(dropped)
            told = f"the factor {factor(dropped)} must not be there"
            yield kept, f"{told}: {often or 'one time too many'}"
        yield f"({left}) / ({right})", f"it is multiplied by {code(right)}, not divided by it"
        yield f"({right}) / ({left})", f"it is multiplied by {code(left)}, not divided by it"
    elif isinstance(node.op, ast.Div):
        yield left, f"the division by {code(right)} must not be there: one time too many"
        yield f"({left}) * ({right})", f"it is divided by {code(right)}, not multiplied by it"
        yield f"({left}) / ({right}) ** 2", f"it is divided by {code(right)}, not by its square"
        yield f"({left}) / np.sqrt({right})", f"it is divided by {code(right)}, not by its root √"
    elif isinstance(node.op, ast.Pow):
        yield left, f"{code(left)} is taken to the power {right}, as if it counted twice"
        for power in ("2", "3", "-1", "0.5", f"({right} - 1)", f"({right} + 1)"):
            yield f"({left}) ** {power}", f"the exponent {right} is wrong"
    elif isinstance(node.op, ast.MatMult):
        yield f"({right}) @ ({left})", "the factors of the product are in the wrong order"
        yield f"(({left}) @ ({right})).T", "the product must be transposed"


def derivative(node: ast.expr, scope: Scope) -> Corrections:
    """The derivative of another function: the sigmoid's for tanh's, ReLU's for the sigmoid's."""
    if not isinstance(node, ast.BinOp):
        return
    text = ast.unparse(node)
    sigmoid = re.fullmatch(r"(.*?)\(?\b([\w.]+(?:\[[^]]*\])?)\)? \* \(1 - \2\)", text)
    if sigmoid:
        before, q = sigmoid.groups()
        yield (
            f"{before}(1 - {q} ** 2)",
            f"the derivative is the sigmoid's, and must be tanh's, of {code(q)}",
        )
        yield (
            f"{before}({q} > 0)",
            f"the derivative is the sigmoid's, and must be ReLU's, of {code(q)}",
        )
    tanh = re.fullmatch(r"1 - ([\w.]+(?:\[[^]]*\])?) (?:\*\* 2|\* \1)", text)
    if tanh:
        (q,) = tanh.groups()
        yield (
            f"({q} * (1 - {q}))",
            f"the derivative is tanh's, and must be the sigmoid's, of {code(q)}",
        )
        yield (
            f"(1 - np.tanh({q}) ** 2)",
            f"the derivative is taken of {code(q)}, and must be of its tanh",
        )
        yield f"({q} > 0)", f"the derivative is tanh's, and must be ReLU's, of {code(q)}"


def power(node: ast.expr, scope: Scope) -> Corrections:
    """A square that is forgotten, as in tanh′ = 1 − tanh²."""
    if isinstance(node, ast.Name | ast.Subscript | ast.Attribute | ast.Call):
        yield f"({ast.unparse(node)}) ** 2", f"{code(node)} must be squared"


def sign(node: ast.expr, scope: Scope) -> Corrections:
    """A minus that is forgotten, or one too many."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield (
            ast.unparse(node.operand),
            f"the sign of {code(node.operand)} is wrong: its minus must go",
        )
    elif not isinstance(node, ast.Constant):
        yield f"-({ast.unparse(node)})", f"the sign of {code(node)} is wrong: a minus is missing"


def number(node: ast.expr, scope: Scope) -> Corrections:
    """Another number: the exponent that comes down, a ½, an index next to the right one."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        c: Any = node.value
        for new in dict.fromkeys((1, 2, 3, 0, c + 1, c - 1, 2 * c, c / 2, -c, 3 * c, 1 - c)):
            if new != c:
                times = {2 * c: ", twice that", c / 2: ", half of it"}.get(new, "")
                yield repr(new), f"the number {c!r} is wrong{times}"
        if abs(c) == 1:
            for q in scope.factors:
                yield f"{c!r} * np.sign({q})", f"the sign of {code(q)} is missing: {c!r} has none"


def variable(node: ast.expr, scope: Scope) -> Corrections:
    """Another variable: the input for the output, one gradient or parameter for another."""
    if not isinstance(node, ast.Name | ast.Subscript | ast.Attribute):
        return
    text = ast.unparse(node)
    if text.split(".")[0] in ("np", "nn") or text == "self" or text.endswith(".grad"):
        return
    for other in scope.alike(text):
        told = f"{named(text)} stands where {named(other)} must stand"
        yield other, told + place(text, other, scope)


def complement(node: ast.expr, scope: Scope) -> Corrections:
    """The other share of two, as z and 1 − z, or p and 1 − p."""
    if isinstance(node, ast.Name | ast.Subscript | ast.Attribute):
        text = ast.unparse(node)
        if text not in scope.gradients and text.split("[")[0] not in scope.indices:
            yield f"(1 - {text})", f"{code(f'1 - {text}')} must stand where {code(text)} stands"
    elif isinstance(node, ast.BinOp) and ast.unparse(node).startswith("1 - "):
        right = ast.unparse(node.right)
        yield right, f"{code(right)} must stand where {code(node)} stands"


def length(node: ast.expr, scope: Scope) -> Corrections:
    """Another number of values: of a group, of a window, of the features for the batch."""
    text = ast.unparse(node)
    now = scope.lengths.get(text)
    if now is None:
        return
    yield f"({text} - 1)", f"{code(text)} stands where one less must, as in an unbiased variance"
    offered: dict[int, int] = {}
    for other, value in scope.lengths.items():
        offered[value] = offered.get(value, 0) + 1
        if value not in (now, 1) and value <= 64 * now and offered[value] <= 4:  # equal by chance
            yield other, f"{code(text)} stands where {code(other)}, another number of values, must"


def step(node: ast.expr, scope: Scope) -> Corrections:
    """The neighbouring step or place: h_{t−1} for h_t, a shift by one."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        for _, new in neighbours(node):
            yield new, f"{code(node)} is from the wrong step (or place), next to the right one"


def loop(node: ast.expr, scope: Scope) -> Corrections:
    """A loop that ends too early, or begins too late: the last or the first is left out."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range":
        arguments = [ast.unparse(a) for a in node.args]
        told = "the loop leaves out the {}, which is missing in the sum"
        if isinstance(node.args[-1], ast.BinOp) and isinstance(node.args[-1].op, ast.Sub):
            arguments[-1] = ast.unparse(node.args[-1].left)
            yield f"range({', '.join(arguments)})", told.format("last")
        if len(arguments) == 2:
            yield f"range({arguments[1]})", told.format("first")
        yield (
            f"reversed({ast.unparse(node)})",
            "the steps must be gone through in reversed order: backward in time",
        )
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "reversed":
        yield ast.unparse(node.args[0]), "the steps are gone through in the wrong order"


def sums_apart(node: ast.expr, scope: Scope) -> Corrections:
    """The product of two sums, or of two single entries, where the products must be summed."""
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult)):
        return
    sides = [_reduced(node.left), _reduced(node.right)]
    if None in sides:
        return
    (a, told), (b, _) = sides  # type: ignore[misc]
    yield f"({a} * {b}).sum(axis=0)", told
    yield f"({a}).T @ ({b})", told
    yield f"({a} * {b}).sum()", told


def _reduced(node: ast.expr) -> tuple[str, str] | None:
    """What a sum, or an entry by number, is taken of."""
    if isinstance(node, ast.Subscript) and is_int(node.slice):
        return ast.unparse(node.value), "only one index counts: the sum of the products is missing"
    while isinstance(node, ast.Subscript):
        node = node.value
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return None
    if node.func.attr not in ("sum", "mean"):
        return None
    told = "the sums are taken separately: it must be the sum of the products"
    return ast.unparse(node.func.value), told


def inner(node: ast.expr, scope: Scope) -> Corrections:
    """A variable on which something is done that must not be."""
    if isinstance(node, ast.Call | ast.BinOp | ast.Subscript):
        text = ast.unparse(node)
        for name in ast.walk(node):
            if isinstance(name, ast.Name) and name.id in [*scope.gradients, *scope.factors]:
                yield name.id, f"{code(text)} stands where {code(name)} alone must stand"


def softmax(node: ast.expr, scope: Scope) -> Corrections:
    """The Jacobian of a softmax in the middle: left out, or only its diagonal."""
    if isinstance(node, ast.Name | ast.Subscript):
        told = "the softmax's derivative, its Jacobian, is missing"
        pairs = [(ast.unparse(node), p) for p in sorted(scope.softmaxes)]
    elif isinstance(node, ast.BinOp):
        told = (
            "the softmax is treated as elementwise, with the diagonal of its Jacobian alone or "
            "with another matrix; each p depends on all inputs"
        )
        inside = sorted({n.id for n in ast.walk(node) if isinstance(n, ast.Name)})
        pairs = [(d, p) for d in inside for p in sorted(scope.softmaxes) if d != p]
    else:
        return
    for d, p in pairs:
        yield f"{p} * ({d} - ({d} * {p}).sum(axis=-1, keepdims=True))", told


def bounds(node: ast.expr, scope: Scope) -> Corrections:
    """A slice that begins or ends at the wrong place, or leaves something out."""
    if not isinstance(node, ast.Subscript):
        return
    index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    owner = ast.unparse(node.value)
    for at, one in enumerate(index):
        if not isinstance(one, ast.Slice):
            continue
        lower, upper, stride = (
            ast.unparse(b) if b else "" for b in (one.lower, one.upper, one.step)
        )
        others = []
        if stride == "-1":
            others.append(("", "", "", f"it is reversed along axis {at}, and must not be"))
        elif not stride:
            others.append(
                (
                    lower,
                    upper,
                    "-1",
                    f"{code(owner)} must be reversed along axis {at}: it is flipped",
                )
            )
        if lower or upper:
            out = f"what is outside of {lower}:{upper} on axis {at} is left out, first or last"
            others.append(("", "", stride, out))
            moved = f"it is shifted along axis {at}: it begins and ends at the wrong place"
            other = f"it is the other part that must stand there: parts of axis {at} are swapped"
            others += [
                (lower and lower + by, upper and upper + by, stride, moved)
                for by in (" + 1", " - 1")
            ]
            if upper and not lower:
                others.append((upper, "", stride, other))
            if lower and not upper:
                others.append(("", lower, stride, other))
        for low, high, by, told in others:
            new = [ast.unparse(i) for i in index]
            new[at] = f"{low}:{high}" + (f":{by}" if by else "")
            yield f"{owner}[{', '.join(new)}]", told


def stride(node: ast.expr, scope: Scope) -> Corrections:
    """A window that is taken at t where it begins at t times the stride."""
    if isinstance(node, ast.Subscript):
        index = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for at, one in enumerate(index):
            if not (isinstance(one, ast.Slice) and one.lower and one.upper):
                continue
            low, high = ast.unparse(one.lower), ast.unparse(one.upper)
            count = high.removeprefix(f"{low} + ")
            if count == high:
                count = f"({high} - ({low}))"
            for q in scope.counts:
                new = [ast.unparse(i) for i in index]
                new[at] = f"({low}) * {q}:({low}) * {q} + {count}"
                told = (
                    f"the stride {code(q)} is missing: the window at axis {at} is in another place"
                )
                yield f"{ast.unparse(node.value)}[{', '.join(new)}]", told
                new[at] = f"{low}:{low} + ({count}) * {q}:{q}"
                told = f"the stride {code(q)} is missing: the window's places are so far apart"
                yield f"{ast.unparse(node.value)}[{', '.join(new)}]", told


def reversed_(node: ast.expr, scope: Scope) -> Corrections:
    """A kernel that must be turned around on the way back, or steps in the wrong order."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript):
        text = ast.unparse(node)
        for at in range(3):
            yield (
                f"({text})[{':, ' * at}::-1]",
                f"{code(text)} must be reversed along axis {at}: it runs the wrong way",
            )
        yield f"({text})[::-1, ::-1]", f"{code(text)} must be reversed: it runs the wrong way"


def transposition(node: ast.expr, scope: Scope) -> Corrections:
    """A matrix for its transpose, as in G Wᵀ and xᵀ G."""
    text = ast.unparse(node)
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield ast.unparse(node.value), f"{code(node.value)} must not be transposed"
    elif not isinstance(node, ast.Constant | ast.Compare):
        yield f"({text}).T", f"{code(text)} must be transposed"
        yield f"({text}).swapaxes(-1, -2)", f"{code(text)} must be transposed"
        if text in scope.factors:
            for other in (f"{text}.T", f"{text}.swapaxes(0, 1)"):
                told = f"{code(text)} and its transpose count by half each: it is not symmetric"
                yield f"({text} + {other}) / 2", told
        for i, j in ((1, 2), (0, 1), (1, 3), (0, 2)):
            told = f"axes {i} and {j} of {code(text)} must change places, as before a reshape"
            yield f"({text}).swapaxes({i}, {j})", told


def subscripts(node: ast.expr, scope: Scope) -> Corrections:
    """An einsum with two letters swapped: a transposed factor."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and "->" in node.value:
        inputs, output = node.value.split("->")
        terms = inputs.split(",")
        for at, term in enumerate([*terms, output]):
            for i in range(len(term)):
                for j in range(i):
                    letters = list(term)
                    letters[i], letters[j] = letters[j], letters[i]
                    new = [*terms, output]
                    new[at] = "".join(letters)
                    told = f"in the einsum an array is transposed, {term} for {new[at]}"
                    yield repr(",".join(new[:-1]) + "->" + new[-1]), told


def comparison(node: ast.expr, scope: Scope) -> Corrections:
    """A mask that picks the other side."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
        for name in ("<", ">", "<=", ">=", "==", "!="):
            told = f"the mask {code(node)} picks the wrong values, as where x < 0 for x > 0"
            yield f"({left}) {name} ({right})", told
        yield (
            f"abs({left}) < ({right})",
            f"the mask {code(node)} cuts on one side only: both bounds count",
        )
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        yield ast.unparse(node.operand), f"the mask {code(node)} is inverted: it picks the other"
    if isinstance(node, ast.Name) and node.id in scope.masks:
        yield f"~({node.id})", f"the mask {code(node)} is inverted: it must pick the other"


def function(node: ast.expr, scope: Scope) -> Corrections:
    """A function too many, or another one: sin for cos, exp that is forgotten."""
    if not isinstance(node, ast.Call) or not node.args:
        return
    name, arguments = ast.unparse(node.func), [ast.unparse(a) for a in node.args]
    if (
        len(arguments) == 1
        and not node.keywords
        and name not in ("range", "len", "reversed", "super")
    ):
        told = f"{code(name)} must not be applied: it is there already, and so counts twice"
        yield arguments[0], told
    if len(arguments) > 1 and not name.startswith("np.einsum"):
        for i in range(1, len(arguments)):
            swapped = list(arguments)
            swapped[i - 1], swapped[i] = swapped[i], swapped[i - 1]
            told = f"{code(arguments[i - 1])} and {code(arguments[i])} are swapped"
            yield f"{name}({', '.join(swapped)})", told
    if name.startswith("np."):
        for other in ("np.sin", "np.cos", "np.exp", "np.log", "np.tanh", "np.sqrt", "np.abs",
                      "np.sign", "np.maximum", "np.minimum", "np.argmax", "np.argmin"):  # fmt: skip
            if other != name:
                yield (
                    f"{other}({', '.join(arguments)})",
                    f"{code(name)} stands where {code(other)} must stand",
                )
    last = name.split(".")[-1]
    if last in OPPOSITES and "." in name:
        told = f"the wrong one is picked: {last} for {OPPOSITES[last]}"
        yield ast.unparse(node).replace(f".{last}(", f".{OPPOSITES[last]}(", 1), told


def applied(node: ast.expr, scope: Scope) -> Corrections:
    """A function that is forgotten, as exp where log-probabilities stand for probabilities."""
    if isinstance(node, ast.Name | ast.Subscript):
        text = ast.unparse(node)
        for name in ("np.exp", "np.log", "np.tanh", "np.sqrt", "np.cos", "np.abs", "np.sign"):
            yield (
                f"{name}({text})",
                f"{code(name)} is missing: {code(text)} stands where {name}({text}) must",
            )
        yield (
            f"1 / (1 + np.exp(-({text})))",
            f"the sigmoid σ of {code(text)} must stand where {code(text)} itself stands",
        )


def pair(node: ast.expr, scope: Scope) -> Corrections:
    """Two parts that have changed places."""
    if (
        isinstance(node, ast.List | ast.Tuple)
        and 2 <= len(node.elts) <= 6
        and isinstance(node.ctx, ast.Load)
    ):
        parts = [ast.unparse(e) for e in node.elts]
        for i in range(len(parts)):
            for j in range(i):
                swapped = list(parts)
                swapped[i], swapped[j] = swapped[j], swapped[i]
                inside = ", ".join(swapped)
                told = f"{code(parts[j])} and {code(parts[i])} are swapped, in the wrong order"
                yield f"[{inside}]" if isinstance(node, ast.List) else f"({inside},)", told


EVERYWHERE: tuple[Edit, ...] = (
    reduction, axis, summed, sums_apart, loop, step, operator, comparison, pair, function, sign,
    softmax, bounds, stride, transposition, subscripts, derivative, variable, length, complement,
    power, number,
)  # fmt: skip
UNUSUAL: tuple[Edit, ...] = (reversed_, inner, applied)
AT_ONCE: tuple[Edit, ...] = (
    reduction, axis, bounds, step, length, complement, comparison, transposition, derivative,
    variable,
)  # fmt: skip
