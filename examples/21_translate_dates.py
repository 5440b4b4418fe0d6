"""Lesson 21: an encoder and a decoder, which translate dates: "May 3, 1987" is 1987-05-03.

    python examples/21_translate_dates.py

The encoder reads the whole text, and makes a vector of each character. The decoder writes the
answer character by character: each step looks at what has been written so far, and through
cross-attention at the encoder's vectors. In training all steps of the answer are there already, one
place to the right, and `causal=True` hides what comes later; so they are learned all at once.
"""

import datetime

import numpy as np

import nnlite as nn

FORMS = ("%d %B %Y", "%B %d, %Y", "%a, %d %b %Y", "%m/%d/%Y", "%d.%m.%y", "%A %d %B %Y")
CHARACTERS = " ,-./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CODES = {character: code for code, character in enumerate(CHARACTERS, 1)}
START, LENGTH = 0, 10  # the token before the answer, and how long an answer is
FIRST, LAST = datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)


def dates(samples: int, rng: np.random.Generator) -> tuple[nn.Padded, np.ndarray]:
    """Texts, of different lengths, and their answers (N, 10)."""
    days = rng.integers(0, (LAST - FIRST).days + 1, samples)
    chosen = [FIRST + datetime.timedelta(int(day)) for day in days]
    forms = rng.integers(0, len(FORMS), samples)
    texts = [date.strftime(FORMS[form]) for date, form in zip(chosen, forms, strict=True)]
    texts, answers = (
        [[CODES[character] for character in text] for text in each]
        for each in (texts, [date.isoformat() for date in chosen])
    )
    return nn.pad_sequences(texts), np.array(answers)


def translator(d_model: int = 48, heads: int = 4, layers: int = 1) -> nn.Sequential:
    """From (answer so far (N, T), text (N, S)) to the scores of what comes next, (N, T, codes)."""
    sizes, codes = (d_model, heads, 2 * d_model), len(CODES) + 1
    embed, read = (
        [nn.Embedding(codes, d_model), nn.LearnedPositionalEmbedding(40, d_model)] for _ in "xm"
    )
    read += [nn.TransformerLayer(*sizes) for _ in range(layers)]
    decoder = [nn.TransformerDecoderLayer(*sizes, causal=True) for _ in range(layers)]
    return nn.Sequential(
        nn.Parallel(nn.Sequential(*embed), nn.Sequential(*read, nn.LayerNorm(d_model))),
        nn.TransformerDecoder(*decoder),
        nn.LayerNorm(d_model),
        nn.Linear(d_model, codes),
    )


def translate(model: nn.Sequential, texts: nn.Padded) -> np.ndarray:
    """The likeliest character each time, (N, 10); the text is encoded once."""
    embed, encode = model[0].layers
    head, answer = nn.Sequential(*model[2:]), np.full((len(texts), 1), START)
    with nn.decoding(model):
        with encode.evaluation():
            memory = encode(texts)
        for _ in range(LENGTH):
            scores = head(model[1]((embed(answer[:, -1:]), memory)))
            answer = np.concatenate([answer, scores.argmax(axis=-1)], axis=1)
    return answer[:, 1:]


def main(epochs: int = 6) -> float:
    """Train, translate some dates, and return the share of those that are right."""
    nn.seed(0)
    texts, answers = dates(8_000, np.random.default_rng(0))
    before = np.column_stack([np.full(len(answers), START), answers[:, :-1]])
    model = translator()
    steps = epochs * len(answers) // 64
    rate = nn.OneCycleSchedule(4e-3, steps)
    optimizer = nn.Adam(model.parameters(), lr=rate, clip_norm=1.0)
    trainer = nn.Trainer(model, nn.CrossEntropyLoss(), optimizer)
    trainer.fit((before, texts), answers, epochs=epochs, batch_size=64)

    texts, answers = dates(1_000, np.random.default_rng(1))
    found = translate(model, texts)
    for row in range(5):
        pair = texts.data[row, : texts.lengths[row]], found[row]
        text, answer = ("".join(CHARACTERS[code - 1] for code in each) for each in pair)
        print(f"{text} → {answer}")
    right = float((found == answers).all(axis=1).mean())
    print(f"{right:.1%} of 1,000 right")
    return right


if __name__ == "__main__":
    main()
