"""Lesson 19: a character model that writes what it has read.

The text is the docstrings of this package. The model reads it in rows that go on from batch to
batch: a stateful LSTM starts where the last batch ended, and its gradients stop there.
"""

import inspect

import numpy as np

import nnlite as nn

ROWS, STEPS = 16, 32


def docstrings() -> str:
    """The docstrings of all public names, in printable ASCII."""
    text = "\n".join(inspect.getdoc(getattr(nn, name)) or "" for name in sorted(nn.__all__))
    return "".join(c for c in text if c == "\n" or " " <= c <= "~")


def write(
    model: nn.Layer, letters: str, count: int, temperature: float, rng: np.random.Generator
) -> str:
    """Let the model go on from a line's end, letter by letter, its state carried along."""
    token, written = letters.index("\n"), []
    with model.evaluation():
        for _ in range(count):
            scores = model(np.array([[token]]))[0, -1] / temperature
            p = np.exp(scores - scores.max(), dtype=np.float64)
            token = int(rng.choice(len(letters), p=p / p.sum()))
            written.append(letters[token])
    return "".join(written)


def main(epochs: int = 4, hidden: int = 128) -> float:
    """Train, print samples on the way, and return bits saved for each character."""
    nn.seed(0)
    rng = np.random.default_rng(0)
    text = docstrings()
    letters = "".join(sorted(set(text)))
    tokens = np.array([letters.index(c) for c in text])
    length = (len(tokens) - 1) // (ROWS * STEPS) * STEPS
    x = tokens[: ROWS * length].reshape(ROWS, length)  # row by row one long piece of text
    y = tokens[1 : ROWS * length + 1].reshape(ROWS, length)  # the letters that follow
    print(f"{len(text):,} characters, {len(letters)} different ones")

    model = nn.Sequential(
        nn.Embedding(len(letters), 32),
        nn.LSTM(32, hidden, stateful=True),
        nn.Linear(hidden, len(letters)),
    )
    loss = nn.CrossEntropyLoss()
    optimizer = nn.Adam(model.parameters(), lr=5e-3, clip_norm=1.0)
    for epoch in range(1, epochs + 1):
        model.reset_state()  # back to the beginning of the rows
        values = []
        for start in range(0, length, STEPS):
            piece = slice(start, start + STEPS)
            values.append(loss(model.forward(x[:, piece]), y[:, piece]))
            model.backward(loss.backward())
            optimizer.step()
            optimizer.zero_grad()
        bits = float(np.mean(values)) / np.log(2)
        print(
            f"\nepoch {epoch}: {bits:.2f} bits a character\n{write(model, letters, 160, 0.7, rng)}"
        )
    return float(np.log2(len(letters)) - bits)


if __name__ == "__main__":
    main()
