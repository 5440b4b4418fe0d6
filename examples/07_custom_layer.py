"""Lesson 7: a layer of your own: write it, check it, train with it."""

from typing import ClassVar

import numpy as np

import nnlite as nn


class Scale(nn.Layer):
    """y = s ⊙ x, one learned scale per feature."""

    equations: ClassVar = {
        "forward": "y = s ⊙ x",
        "scale": "dL/ds = Σₙ Gₙ ⊙ xₙ",
        "input": "dL/dx = G ⊙ s",
    }

    def __init__(self, features: int) -> None:
        self.features = features
        self.scale = nn.Parameter(np.ones(features))

    def forward(self, x: np.ndarray) -> np.ndarray:
        """The features of x (N, features), each times its scale."""
        y = x * self.scale.data
        self.save_for_backward(x)
        return y

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """The gradient dL/dx from G = dL/dy, both (N, features)."""
        (x,) = self.saved()
        self.scale.grad += (grad_output * x).sum(axis=0)
        return grad_output * self.scale.data


class ForgetfulScale(Scale):
    """The same with a mistake: only the first sample of the batch counts."""

    def backward(self, grad_output: np.ndarray) -> np.ndarray:
        """Wrong on purpose."""
        (x,) = self.saved()
        self.scale.grad += grad_output[0] * x[0]
        return grad_output * self.scale.data


def main() -> float:
    """Check both layers, train with the right one, and return the training accuracy."""
    nn.seed(0)
    x, y = nn.data.moons(n_samples=400, noise=0.1)

    for row in nn.check_gradients(Scale(2), x[:5]):
        print(f"{row.name:5s}  relative error {row.error:.1e}")
    try:
        nn.check_gradients(ForgetfulScale(2), x[:5])
    except nn.GradientError as error:
        print(error)

    model = nn.Sequential(Scale(2), nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = nn.Adam(model.parameters(), lr=1e-2)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer, metrics=[nn.Accuracy()])
    history = trainer.fit(x, y, epochs=30, verbose=False)
    print(f"learned scale {model[0].scale.data}, training accuracy {history['accuracy'][-1]:.1%}")
    return history["accuracy"][-1]


if __name__ == "__main__":
    main()
