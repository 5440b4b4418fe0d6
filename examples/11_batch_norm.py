"""Lesson 11: batch normalization's gradient, step by step, with numbers.

    python examples/11_batch_norm.py

One value of the batch moves the mean and the variance, and through them every other output. So
its gradient has three ways to x: straight, through the variance and through the mean.
"""

import numpy as np

import nnlite as nn

EPS = 1e-5


@np.printoptions(precision=4, suppress=True)
def main() -> bool:
    """Work the gradient out, compare, and return whether it is the layer's."""
    x = np.array([[1.0, 10.0], [2.0, 30.0], [4.0, 20.0], [5.0, 40.0]])  # (N, C)
    g = np.array([[1.0, 0.0], [0.0, 0.5], [-1.0, 0.0], [0.5, -0.5]])  # G = dL/dy
    gamma, beta, n = np.array([2.0, 0.5]), np.array([0.0, 1.0]), len(x)

    print("forward, each column by itself")
    mean = x.mean(axis=0)
    variance = ((x - mean) ** 2).mean(axis=0)
    r = 1 / np.sqrt(variance + EPS)
    x_hat = (x - mean) * r
    y = gamma * x_hat + beta
    print(f"mean {mean}  variance {variance}\nx̂ = (x − mean) / √(variance + ε)\n{x_hat}")
    print(f"y = γ x̂ + β, γ = {gamma}, β = {beta}\n{y}\n")

    print("backward, from G = dL/dy: first the parameters, and what reaches x̂")
    d_gamma, d_beta = (g * x_hat).sum(axis=0), g.sum(axis=0)
    d_x_hat = g * gamma
    print(f"dL/dγ = Σₙ G x̂ = {d_gamma}\ndL/dβ = Σₙ G = {d_beta}\ndL/dx̂ = G γ\n{d_x_hat}\n")

    print("the variance is in every x̂: dx̂/dvariance = −½ (x − mean) (variance + ε)^(−3/2)")
    d_variance = (d_x_hat * (x - mean) * -0.5 * r**3).sum(axis=0)
    print(f"dL/dvariance = {d_variance}")
    print("so is the mean: dx̂/dmean = −1 / √(variance + ε)")
    d_mean = (d_x_hat * -r).sum(axis=0)  # not through the variance: Σ (x − mean) = 0
    print(f"dL/dmean = {d_mean}\n")

    straight = d_x_hat * r
    through_variance = d_variance * 2 * (x - mean) / n
    through_mean = np.broadcast_to(d_mean / n, x.shape)
    d_x = straight + through_variance + through_mean
    print("dL/dx = straight + through the variance + through the mean, of the first column")
    for row in range(n):
        parts = straight[row, 0], through_variance[row, 0], through_mean[row, 0]
        print("   {:8.4f} {:+8.4f} {:+8.4f}  = {:8.4f}".format(*parts, d_x[row, 0]))

    print("\nNothing is left that shifts or scales the column: y, but for ε, would stay the same:")
    left = np.round([d_x.sum(axis=0), (d_x * x_hat).sum(axis=0)], 4) + 0.0  # −0 + 0 = 0
    print(f"Σₙ dL/dx = {left[0]}   Σₙ dL/dx x̂ = {left[1]}")

    layer = nn.BatchNorm1d(2, eps=EPS).astype(np.float64)
    layer.weight.data, layer.bias.data = gamma, beta
    same = np.allclose(layer.forward(x), y) and np.allclose(layer.backward(g), d_x)
    same = same and np.allclose(layer.weight.grad, d_gamma) and np.allclose(layer.bias.grad, d_beta)
    print(f"\nnn.BatchNorm1d computes the same: {same}")

    print("\nWho takes mean and variance for constants keeps the straight way alone:")
    print(nn.check_gradients(ConstantStatistics(2), x, raises=False))
    return same


class ConstantStatistics(nn.BatchNorm1d):
    """Batch normalization with a mistake."""

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Wrong on purpose."""
        x, _, mean, rstd, *_ = self.saved()
        self.weight.grad += (grad_output * (x - mean) * rstd).sum(axis=0)
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output * self.weight.data * rstd


if __name__ == "__main__":
    main()
