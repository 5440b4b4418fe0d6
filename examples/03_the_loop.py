"""Lesson 3: the loop: the six steps of lesson 1, with layers, until a model has learned.

Two linear layers learn XOR, which one alone cannot. Nothing is used but `forward` and `backward`.
"""

import numpy as np

import nnlite as nn


def main() -> float:
    """Train, print the loss now and then, and return the training accuracy."""
    nn.seed(0)
    x, y = nn.data.xor(n_samples=200, noise=0.2)

    first = nn.Linear(2, 8)
    activation = nn.Tanh()
    second = nn.Linear(8, 2)
    loss = nn.CrossEntropyLoss()
    lr = 0.5

    for step in range(301):
        # forward: each layer keeps what its backward will need
        hidden = activation.forward(first.forward(x))
        scores = second.forward(hidden)
        value = loss(scores, y)

        # 1. compute the loss gradient                                dL/dscores = (p − y)/N
        grad = loss.backward()
        # (2. has nothing to do yet: the last layer has no activation)
        # 3. weight gradient, 4. bias gradient, 5. pass upstream      the second layer does all
        grad = second.backward(grad)
        # 2. go backward through the activation                       G ⊙ (1 − tanh²)
        grad = activation.backward(grad)
        # 3. 4. 5. again, for the first layer; nobody is upstream any more
        first.backward(grad)
        # 6. after the last gradient is known, update the weights
        for parameter in [*first.parameters(), *second.parameters()]:
            parameter.data -= lr * parameter.grad
            parameter.zero_grad()

        if step % 100 == 0:
            print(f"step {step:3d}  loss {value:.4f}")

    with nn.inference():
        guess = second(activation(first(x))).argmax(axis=1)
    accuracy = float(np.mean(guess == y))
    print(f"training accuracy {accuracy:.1%}")
    return accuracy


if __name__ == "__main__":
    main()
