"""Lesson 20: a small transformer, as in GPT: it learns to sort, then to write like a manual.

    python examples/20_tiny_transformer.py [--windows N]

Both are the same task: given the tokens so far, say how likely each token is to come next. After
training the model goes on by itself, token by token; `nn.decoding` keeps the keys and values of
the earlier ones, so that each new token costs one time step and not the whole sequence again.
"""

import argparse
from pydoc_data.topics import topics  # the language reference, which ships with Python

import numpy as np

import nnlite as nn

LENGTH, DIGITS, START = 6, 10, 10  # START: the token between the digits and them in order
WINDOW = 64  # how many characters the writer sees


def gpt(tokens: int, length: int, d_model: int, layers: int = 2) -> nn.Sequential:
    """From the tokens (N, T) to the scores of what comes next, (N, T, tokens)."""
    return nn.Sequential(
        nn.Embedding(tokens, d_model),
        nn.LearnedPositionalEmbedding(length, d_model),
        *[nn.TransformerLayer(d_model, 4, 4 * d_model, causal=True) for _ in range(layers)],
        nn.LayerNorm(d_model),
        nn.Linear(d_model, tokens),
    )


def go_on(model: nn.Layer, tokens: np.ndarray, steps: int, temperature: float = 0.0) -> np.ndarray:
    """`tokens` (N, T) and what the model puts after them, (N, T + steps).

    At temperature 0 that is the likeliest token each time. Otherwise a token is drawn from
    softmax(scores / temperature), which is what the largest of scores / temperature + Gumbel
    noise does: the lower the temperature, the more seldom an unlikely token.
    """
    rng, new = np.random.default_rng(0), tokens
    with nn.decoding(model):
        for _ in range(steps):
            scores = model(new)[:, -1]
            if temperature:
                scores = scores / temperature + rng.gumbel(size=scores.shape)
            new = scores.argmax(axis=-1)[:, None]
            tokens = np.concatenate([tokens, new], axis=1)
    return tokens


def sorting(samples: int, rng: np.random.Generator) -> np.ndarray:
    """Rows such as 3 1 2 START 1 2 3."""
    digits = rng.integers(0, DIGITS, (samples, LENGTH))
    return np.column_stack([digits, np.full(samples, START), np.sort(digits)])


def train(model: nn.Layer, x: np.ndarray, y: np.ndarray, epochs: int, batch_size: int) -> None:
    """Some passes over (x, y), with a learning rate that falls to zero."""
    steps = epochs * -(-len(x) // batch_size)
    optimizer = nn.Adam(model.parameters(), lr=lambda k: 3e-3 * (1 - k / steps))
    nn.Trainer(model, nn.CrossEntropyLoss(), optimizer).fit(x, y, epochs, batch_size)


def main(windows: int = 250, samples: int = 20_000) -> float:
    """Sort, write, and return the share of the sequences that were sorted without a mistake."""
    nn.seed(0)
    rows = sorting(samples, np.random.default_rng(0))
    x, y = rows[:, :-1], rows[:, 1:].copy()
    y[:, :LENGTH] = -100  # what comes next among unsorted digits cannot be known: not counted
    sorter = gpt(DIGITS + 1, x.shape[1], d_model=32)
    train(sorter, x, y, epochs=3, batch_size=64)

    test = sorting(1000, np.random.default_rng(1))
    answer = go_on(sorter, test[:, : LENGTH + 1], LENGTH)
    right = (answer == test).all(axis=1)
    print(f"{test[0, :LENGTH]} sorted: {answer[0, -LENGTH:]}")
    print(f"{right.mean():.1%} of 1,000 right\n")

    text = "\n".join(topics.values())[: windows * WINDOW + 1]
    characters, codes = np.unique(list(text), return_inverse=True)
    x, y = codes[:-1].reshape(-1, WINDOW), codes[1:].reshape(-1, WINDOW)
    writer = gpt(len(characters), WINDOW, d_model=64)
    train(writer, x, y, epochs=5, batch_size=16)
    for temperature in (0.0, 0.5, 1.0):
        sample = go_on(writer, x[:1, :10], WINDOW - 10, temperature)[0]
        print(f"temperature {temperature}: {''.join(characters[sample])!r}")
    return float(right.mean())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--windows", type=int, default=1000, help="of text (default 1000)")
    main(parser.parse_args().windows)
