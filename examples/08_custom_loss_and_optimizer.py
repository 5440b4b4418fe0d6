"""Lesson 8: a loss and an optimizer of your own: write the rule, check it, train with it."""

from typing import ClassVar

import numpy as np

import nnlite as nn


class SquaredHinge(nn.Loss):
    """ℓ = max(1 − t p, 0)², t = ±1: a margin, and a force that grows with what is missing."""

    derivation: ClassVar = {
        "forward": "ℓ = max(1 − t p, 0)²",
        "prediction": "dℓ/dp = −2 t max(1 − t p, 0)",
    }

    def function(self, p, t):
        """(ℓ, what the derivative needs); weights, the mean and its divisor are nn.Loss's work."""
        missing = np.maximum(1 - t * p, 0)
        return missing**2, missing, t

    def derivative(self, missing, t):
        """dℓ/dp."""
        return -2 * t * missing


class WrongHinge(SquaredHinge):
    """The same with a mistake."""

    def derivative(self, missing, t):
        """Wrong on purpose: the inner derivative, −t, is left out."""
        return 2 * missing


class MyAdam(nn.Optimizer):
    """Adam: a running mean m of the gradient over the root of that of its square, v."""

    state: ClassVar = {"m": "m", "v": "v"}  # zeros before the first step, one for every weight

    def __init__(self, parameters, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
        super().__init__(parameters, lr, betas=betas, eps=eps)

    def update(self, w, g, m, v, lr, betas, eps, k):
        """Change w, m and v in place; k is the number of this step, 1 first."""
        m += (1 - betas[0]) * (g - m)  # β₁ m + (1 − β₁) g
        v += (1 - betas[1]) * (g * g - v)
        m_hat, v_hat = m / (1 - betas[0] ** k), v / (1 - betas[1] ** k)
        w -= lr * m_hat / (np.sqrt(v_hat) + eps)


class HastyAdam(MyAdam):
    """The same with a mistake: m and v began at zero, and nothing makes up for it."""

    def update(self, w, g, m, v, lr, betas, eps):
        """Wrong on purpose."""
        m += (1 - betas[0]) * (g - m)
        v += (1 - betas[1]) * (g * g - v)
        w -= lr * m / (np.sqrt(v) + eps)


def main() -> float:
    """Check both losses and both rules, train with the right ones, return the training accuracy."""
    nn.seed(0)
    x, y = nn.data.moons(n_samples=400, noise=0.1)
    t = np.where(y == 1, 1.0, -1.0)[:, None]  # (N, 1)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))

    print("in print", SquaredHinge().equations["prediction"])
    print(nn.check_gradients(model, x[:5], SquaredHinge(), t[:5]), end="\n\n")
    print(nn.check_gradients(model, x[:5], WrongHinge(), t[:5], raises=False), end="\n\n")

    print(nn.check_optimizer(MyAdam), end="\n\n")
    for check in nn.check_optimizer(HastyAdam, raises=False):
        if check.diagnosis:
            print(f"✗ {check.name}: {check.diagnosis.text}")

    trainer = nn.Trainer(model, SquaredHinge(), MyAdam(model.parameters(), lr=1e-2))
    history = trainer.fit(x, t, epochs=30, verbose=False)
    accuracy = float(np.mean(np.sign(model.predict(x)) == t))
    print(f"\nloss {history['loss'][0]:.3f} → {history['loss'][-1]:.3f}, accuracy {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
