"""Lesson 1: one training step of a 2-2-1 network, worked by hand, with every number printed.

    python examples/01_worked_by_hand.py [PAGE]

Two inputs x, two hidden sigmoids h, one output p that should be t, one sample: small enough for
paper and pencil. Work backwards, and write each gradient down as a number: it is made of numbers
that are there already. The second layer has no activation, so step 2 comes after it. At the end
nnlite does the same step, and writes it as a page to click through.
"""

import sys
from math import exp

import numpy as np

import nnlite as nn

X, TARGET, LR = [1.0, 2.0], 1.0, 0.1
W, B = [[0.5, -0.3], [0.2, 0.4]], [0.1, -0.2]  # W[i][j] leads from input i to hidden unit j
V, C = [0.6, -0.4], 0.05  # the second layer's weights, one for each hidden unit, and its bias


def forward(w: list, b: list, v: list, c: float) -> tuple[list, list, float, float]:
    """The sums a, the hidden values h, the prediction p and the loss L."""
    a = [X[0] * w[0][j] + X[1] * w[1][j] + b[j] for j in (0, 1)]
    h = [1 / (1 + exp(-a[j])) for j in (0, 1)]
    p = h[0] * v[0] + h[1] * v[1] + c
    return a, h, p, (p - TARGET) ** 2


def times(*values: float) -> str:
    """A product of numbers in print."""
    return "·".join(f"({v:.4g})" if v < 0 else f"{v:.4g}" for v in values)


def show(name: str, letters: str, numbers: str, value: float) -> None:
    """One line of the paper: in letters, in numbers, and what comes out."""
    print(f"   {name:9s} = {letters:23s} = {numbers:35s} = {value:7.4f}".replace("-", "−"))


def main(page: str | None = None) -> float:
    """Work the step out, compare with nnlite, and return how much smaller the loss has become."""
    a, h, p, loss = forward(W, B, V, C)
    print("forward: a sum, a sigmoid, a sum, and how wrong that is")
    for j in (0, 1):
        numbers = f"{times(X[0], W[0][j])} + {times(X[1], W[1][j])} + {times(B[j])}"
        show(f"a{j}", f"x0 W0{j} + x1 W1{j} + b{j}", numbers, a[j])
        show(f"h{j}", f"σ(a{j})", f"1/(1 + e^{times(-a[j])})", h[j])
    show("p", "h0 v0 + h1 v1 + c", f"{times(h[0], V[0])} + {times(h[1], V[1])} + {C}", p)
    show("L", "(p − t)²", f"({p:.4f} − {TARGET:g})²", loss)

    print("1. compute the loss gradient")
    d_p = 2 * (p - TARGET)
    show("dL/dp", "2 (p − t)", f"2·({p:.4f} − {TARGET:g})", d_p)
    print("3. compute the weight gradient and 4. the bias gradient, of the second layer")
    d_v, d_c = [d_p * h[j] for j in (0, 1)], d_p
    for j in (0, 1):
        show(f"dL/dv{j}", f"dL/dp h{j}", times(d_p, h[j]), d_v[j])
    show("dL/dc", "dL/dp", times(d_p), d_c)
    print("5. pass the gradient upstream")
    d_h = [d_p * V[j] for j in (0, 1)]
    for j in (0, 1):
        show(f"dL/dh{j}", f"dL/dp v{j}", times(d_p, V[j]), d_h[j])
    print("2. go backward through the activation: the slope of σ is h (1 − h)")
    d_a = [d_h[j] * h[j] * (1 - h[j]) for j in (0, 1)]
    for j in (0, 1):
        show(f"dL/da{j}", f"dL/dh{j} h{j} (1 − h{j})", times(d_h[j], h[j], 1 - h[j]), d_a[j])
    print("3. and 4. again, of the first layer; nobody is upstream of it who would need a 5")
    d_w, d_b = [[X[i] * d_a[j] for j in (0, 1)] for i in (0, 1)], d_a
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        show(f"dL/dW{i}{j}", f"x{i} dL/da{j}", times(X[i], d_a[j]), d_w[i][j])
    for j in (0, 1):
        show(f"dL/db{j}", f"dL/da{j}", times(d_a[j]), d_b[j])

    print("6. now that every gradient is known, update the weights: w − lr dL/dw")
    names = ["W00", "W01", "W10", "W11", "b0", "b1", "v0", "v1", "c"]
    old, slope = [*W[0], *W[1], *B, *V, C], [*d_w[0], *d_w[1], *d_b, *d_v, d_c]
    new = [w - LR * g for w, g in zip(old, slope, strict=True)]
    for name, w, g, better in zip(names, old, slope, new, strict=True):
        show(name, f"{name} − lr dL/d{name}", f"{times(w)} − {times(LR, g)}", better)
    after = forward([new[:2], new[2:4]], new[4:6], new[6:8], new[8])[-1]
    print(f"the loss was {loss:.4f} and is {after:.4f}")

    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1)).astype(np.float64)
    for parameter, values in zip(model.parameters(), (W, B, V, C), strict=True):
        parameter.data = np.reshape(values, parameter.shape)
    x, t, rule = np.array([X]), np.array([[TARGET]]), nn.SGD(model.parameters(), lr=LR)
    trace = nn.trace(model, nn.MSELoss(), x, t, optimizer=rule)
    found = [step.result.array for step in trace if step.number in (3, 4)]  # last layer first
    same = all(map(np.allclose, found, (np.reshape(d_v, (2, 1)), d_c, d_w, d_b)))
    print(f"nnlite finds the same gradients: {same}")
    if page:
        trace.to_html(page)
        print(f"the same step, to click through: {page}")
    return (loss - after) * same


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "step.html")
