"""Lesson 4: a Sequential model and a Trainer do the loop of lesson 3.

Three interleaved spirals: no straight line separates them, two hidden layers do. At the end the
map of what the model says everywhere, in characters.
"""

import numpy as np

import nnlite as nn


def main() -> float:
    """Train on spirals and return the accuracy on points that were not seen."""
    nn.seed(0)
    x, y = nn.data.spirals(n_samples=900, n_classes=3, noise=0.1)
    x_train, x_test, y_train, y_test = nn.data.train_test_split(x, y, stratify=y)

    model = nn.Sequential(
        nn.Linear(2, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, 3),
    )
    print(model)
    trainer = nn.Trainer(
        model,
        nn.CrossEntropyLoss(),
        nn.Adam(model.parameters(), lr=1e-2),
        metrics=[nn.Accuracy()],
    )
    trainer.fit(x_train, y_train, epochs=15, validation_data=(x_test, y_test))
    accuracy = trainer.evaluate(x_test, y_test)["accuracy"]
    print(f"test accuracy {accuracy:.1%}\n")
    draw(model)
    return accuracy


def draw(model: nn.Layer) -> None:
    """One character for each place, by its likeliest class."""
    across, up = np.meshgrid(np.linspace(-1, 1, 72), np.linspace(1, -1, 32))
    places = np.column_stack([across.ravel(), up.ravel()])
    for row in model.predict(places).argmax(axis=1).reshape(across.shape):
        print("".join(".o#"[c] for c in row))


if __name__ == "__main__":
    main()
