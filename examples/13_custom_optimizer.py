"""Lesson 13: an optimizer of your own: write its rule, check it, train with it."""

from typing import ClassVar

import numpy as np

import nnlite as nn


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
    """Check both rules, train with the right one, and return the training accuracy."""
    nn.seed(0)
    print(nn.check_optimizer(MyAdam), end="\n\n")
    for check in nn.check_optimizer(HastyAdam, raises=False):
        if check.diagnosis:
            print(f"✗ {check.name}: {check.diagnosis.text}")

    x, y = nn.data.moons(n_samples=400, noise=0.1)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = MyAdam(model.parameters(), lr=1e-2)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=[nn.Accuracy()])
    history = trainer.fit(x, y, epochs=30, verbose=False)
    print(f"training accuracy {history['accuracy'][-1]:.1%}")
    return history["accuracy"][-1]


if __name__ == "__main__":
    main()
