"""What `check_gradients` says of the corpora: what it calls wrong, and whether it tells why."""

import re

import numpy as np

import nnlite as nn

from . import by_hand, right, wrong


def by_hand_entries():
    """The layers and losses that the mistakes are made in."""
    for kind, (args, x) in (by_hand.EXAMPLES | by_hand.PARTS).items():
        yield right.Right(kind.__name__, lambda k=kind, a=args: k(*(a() if callable(a) else a)), x)
    for kind, (prediction, target) in by_hand.PAIRS.items():
        yield right.RightLoss(kind.__name__, kind, prediction, target)


RIGHT = [*right.LAYERS, *right.LOSSES, *by_hand_entries()]
WRONG = [*wrong.LAYERS, *wrong.LOSSES]
NOTHING_FITS = "no usual mistake fits", "the number that it returns: at"


def report_of(entry):
    """The report on a layer or a loss."""
    with np.errstate(all="ignore"):
        if hasattr(entry, "target"):
            args = nn.Identity(), entry.prediction, entry.make(), entry.target
        else:
            args = entry.make(), entry.x
        return nn.check_gradients(*args, raises=False)


def false_alarms(entries):
    """The reports that call what is right wrong."""
    return [report for report in map(report_of, entries) if not report.ok]


def judged(entries):
    """(names that are not caught, names that are not told their cause with what they are told)."""
    missed, unnamed = [], {}
    for entry in entries:
        report = report_of(entry)
        text = first_two_sentences(report)
        if report.ok:
            missed.append(entry.name)
        elif any(words in text for words in NOTHING_FITS) or not any(
            re.search(cause, text, re.IGNORECASE) for cause in entry.causes
        ):
            unnamed[entry.name] = text
    return missed, unnamed


def first_two_sentences(report):
    """Of the explanations, which stand on lines that begin with ✗."""
    lines = [line[1:].strip() for line in str(report).splitlines() if line.startswith("✗")]
    sentences = [s for line in lines for s in re.split(r"(?<=[.!?])\s+", line) if s]
    return " ".join(sentences[:2])
