"""Lesson 6: why softmax with cross entropy collapses to p − y.

    python examples/06_softmax_cross_entropy.py [PAGE]

The long way goes through the logarithm and through softmax's whole Jacobian; the short way is one
subtraction. Both are computed here and agree, until a score is far off. The page shows both steps
beside each other.
"""

import sys
from pathlib import Path
from typing import ClassVar

import numpy as np

import nnlite as nn

X = np.array([[0.2, -1.0, 0.5], [1.5, 0.3, -0.4]])  # (N, features)
CLASSES = np.array([2, 0])


class Log(nn.Lambda):
    """y = log x, whose slope is 1/x."""

    equations: ClassVar = {"forward": "y = log x", "input": "dL/dx = G / x"}

    def __init__(self) -> None:
        super().__init__(np.log, lambda grad_output, x: grad_output / x)


@np.printoptions(precision=4, suppress=True)
def main(page: str | None = None) -> bool:
    """Go both ways; returns whether both gradients of the scores are (p − y)/N."""
    nn.seed(0)
    first = nn.Linear(3, 3).astype(np.float64)
    n, y = len(X), np.eye(3)[CLASSES]
    softmax, log, nll, cross_entropy = nn.Softmax(), Log(), nn.NLLLoss(), nn.CrossEntropyLoss()

    z = first(X)
    p = softmax(z)
    loss = nll(log(p), CLASSES)
    print(f"scores z\n{z}\np = softmax(z)\n{p}\ny, the classes as rows of 0 and 1\n{y}")
    print(f"\nthe long way, L = −Σ log p_t / N = {loss:.4f}")
    g = nll.backward()
    print(f"dL/d log p = −y/N: only the true class matters\n{g}")
    g = log.backward(g)
    print(f"dL/dp = G / p, G = dL/d log p: the less likely, the steeper\n{g}")
    g = softmax.backward(g)
    print(f"dL/dz = p ⊙ (G − Σⱼ Gⱼ pⱼ), G = dL/dp: all scores matter\n{g}")
    print("""
the collapse: in a row with the class t, G is 0 but for G_t = −1/(N p_t), so Σⱼ Gⱼ pⱼ = −1/N, and
    dL/dz_t = p_t (−1/(N p_t) + 1/N) = (p_t − 1)/N        for the true class
    dL/dz_j = p_j (0 + 1/N)          = (p_j − 0)/N        for all others
both are (p − y)/N: the p_t below log's slope cancels with the p_t in front of softmax's.
""")
    loss = cross_entropy(z, CLASSES)
    collapsed = cross_entropy.backward()
    print(f"the short way, from the scores, L = {loss:.4f}\ndL/dz = (p − y)/N\n{collapsed}")

    far = np.array([[0.0, 120.0, 0.0]], np.float32)  # sure of class 1, while class 2 is true
    with np.errstate(divide="ignore", invalid="ignore"):
        loss = nll(log(softmax(far)), CLASSES[:1])
        lost = softmax.backward(log.backward(nll.backward()))
    print(f"\nfar off, at z = {far[0]}, p_t rounds to 0 in float32")
    print(f"the long way   L = {loss}, dL/dz = {lost[0]}")
    loss = cross_entropy(far, CLASSES[:1])
    print(f"the short way  L = {loss}, dL/dz = {cross_entropy.backward()[0]}")
    if page:
        long_way = nn.trace(nn.Sequential(first, softmax, log), nll, X, CLASSES)
        short_way = nn.trace(nn.Sequential(first), cross_entropy, X, CLASSES)
        write(page, long_way, short_way)
        print(f"both side by side, to click through: {page}")
    return np.allclose(g, (p - y) / n) and np.allclose(collapsed, (p - y) / n)


def write(page: str, long_way: nn.Trace, short_way: nn.Trace) -> None:
    """Both traces on one page."""
    ways = {
        "Softmax, Log, NLLLoss: Softmax's dL/dx = p ⊙ (G − Σⱼ Gⱼ pⱼ), G = −y/(N p)": long_way,
        "CrossEntropyLoss: step 1, dL/dz = (softmax(z) − [j = t]) / D, D = N": short_way,
    }
    columns = "".join(
        f"<section><h3>{title}, which is (p − y)/N</h3>{trace._repr_html_()}</section>"
        for title, trace in ways.items()
    )
    style = "body{display:flex;flex-wrap:wrap;gap:1em;font-family:sans-serif}section{flex:1 1 24em}"
    head = f"<!DOCTYPE html><meta charset=utf-8><title>Two ways</title><style>{style}</style>"
    Path(page).write_text(head + columns, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "two_ways.html")
