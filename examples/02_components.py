"""Lesson 2: the component form beside the matrix form: dL/dW = xᵀ G is many small sums.

    python examples/02_components.py

Lesson 1 went number by number. With several samples each number is a sum, and a product of
matrices is the same sum for all entries at once. Here both are computed and laid side by side.
"""

import numpy as np

import nnlite as nn

N, IN, OUT = 3, 2, 2  # samples n, inputs i, outputs o


def main() -> float:
    """Compute every gradient of a linear layer twice; returns the share that is equal."""
    rng = np.random.default_rng(0)
    x, w, g = (rng.integers(-3, 4, shape).astype(float) for shape in ((N, IN), (IN, OUT), (N, OUT)))
    print(f"x (N, in), one sample a row:\n{x}\nW (in, out):\n{w}\nG = dL/dy (N, out):\n{g}\n")

    print("y[n,o] = Σᵢ x[n,i] W[i,o] + b[o]. W[i,o] is in y[n,o] for every n, with the factor")
    print("x[n,i]: that is ∂y[n,o]/∂W[i,o]. The chain rule adds up what each of them does to L.\n")

    sums = {"dL/dW": np.zeros((IN, OUT)), "dL/db": np.zeros(OUT), "dL/dx": np.zeros((N, IN))}
    for n in range(N):
        for o in range(OUT):
            sums["dL/db"][o] += g[n, o]  # b[o] is in y[n,o] for every n, with the factor 1
            for i in range(IN):
                sums["dL/dW"][i, o] += x[n, i] * g[n, o]
                sums["dL/dx"][n, i] += g[n, o] * w[i, o]  # x[n,i] is in y[n,o] for every o

    products = {"dL/dW": x.T @ g, "dL/db": g.sum(axis=0), "dL/dx": g @ w.T}
    forms = {
        "dL/dW": ("dL/dW[i,o] = Σₙ x[n,i] G[n,o]", "xᵀ G", "(in, N) (N, out) → (in, out)"),
        "dL/db": ("dL/db[o] = Σₙ G[n,o]", "Σₙ Gₙ", "(N, out) → (out,)"),
        "dL/dx": ("dL/dx[n,i] = Σₒ G[n,o] W[i,o]", "G Wᵀ", "(N, out) (out, in) → (N, in)"),
    }
    for name, (component, matrix, shapes) in forms.items():
        print(f"component form  {component:32s} matrix form  {name} = {matrix}   {shapes}")
        for left, right in zip(
            np.atleast_2d(sums[name]), np.atleast_2d(products[name]), strict=True
        ):
            print(f"                {left!s:32s}              {right}")

    print("\none entry, in numbers: look at column 1 of x and column 0 of G")
    terms = " + ".join(f"({x[n, 1]:g})·({g[n, 0]:g})" for n in range(N))
    print(f"dL/dW[1,0] = Σₙ x[n,1] G[n,0] = {terms} = {x[:, 1] @ g[:, 0]:g}".replace("-", "−"))
    print("Shapes show where the ᵀ belongs: only (in, N) (N, out) fit together to (in, out).")

    print("\nAn activation has no sum: y[n,o] depends on x[n,o] alone, and meets its own slope:")
    print("dL/dx[n,o] = G[n,o] f′(x[n,o])                  matrix form  dL/dx = G ⊙ f′(x)")
    print(f"for f = tanh, f′ = 1 − tanh²:\n{np.round(g * (1 - np.tanh(x) ** 2), 3)}")

    layer = nn.Linear(IN, OUT).astype(np.float64)
    layer.weight.data = w
    layer.forward(x)
    computed = {"dL/dx": layer.backward(g), "dL/dW": layer.weight.grad, "dL/db": layer.bias.grad}
    equal = [np.array_equal(sums[name], computed[name]) for name in sums]
    print(f"\nnn.Linear computes the same: {all(equal)}")
    return float(np.mean(equal))


if __name__ == "__main__":
    main()
