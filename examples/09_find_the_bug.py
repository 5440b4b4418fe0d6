"""Lesson 9: five backward passes with a mistake each, and a checker that names it.

Read a class, look for the bug, then see what the checker says of it.

    python examples/09_find_the_bug.py
"""

import numpy as np

import nnlite as nn


class MissingSum(nn.Linear):
    """y = x W + b."""

    def backward(self, grad_output):
        (x,) = self.saved()
        self.weight.grad += x.T @ grad_output
        self.bias.grad += grad_output[0]
        return grad_output @ self.weight.data.T


class Transposed(nn.Linear):
    """y = x W + b, with as many outputs as inputs."""

    def backward(self, grad_output):
        (x,) = self.saved()
        self.weight.grad += grad_output.T @ x
        self.bias.grad += grad_output.sum(axis=0)
        return grad_output @ self.weight.data.T


class ElementwiseSoftmax(nn.Softmax):
    """p = softmax(x), with the derivative of the sigmoid."""

    def backward(self, grad_output):
        p, _ = self.saved()
        return grad_output * p * (1 - p)


class ForgottenDerivative(nn.Tanh):
    """y = tanh(x)."""

    def backward(self, grad_output):
        self.saved()
        return grad_output


class NewMask(nn.Dropout):
    """y = x ⊙ m, m = 1/(1 − p) with probability 1 − p, else 0."""

    def backward(self, grad_output):
        self.saved()
        mask = self.rng.random(grad_output.shape) >= self.p
        return grad_output * mask / (1 - self.p)


def main() -> int:
    """Check the five on their own, then one of them inside a model; returns how many are found."""
    nn.seed(0)
    x = np.random.default_rng(0).standard_normal((4, 3))
    suspects = [MissingSum(3, 2), Transposed(3, 3), ElementwiseSoftmax(), ForgottenDerivative(),
                NewMask(0.5)]  # fmt: skip
    model = nn.Sequential(nn.Linear(3, 3), ForgottenDerivative(), nn.Linear(3, 2))
    reports = [nn.check_gradients(layer, x, raises=False) for layer in [*suspects, model]]
    for report in reports:
        print(report, end="\n\n" + 80 * "─" + "\n")
    found = sum(not report.ok for report in reports)
    print(f"{found} of {len(reports)} are wrong")
    return found


if __name__ == "__main__":
    main()
