"""The checker against layers that are known to be wrong: what it catches and what it calls it."""

from collections import Counter
from itertools import islice

import numpy as np
import pytest
from mutants import mutants

import nnlite as nn

EVERY = 5  # all of them take seven minutes


@pytest.mark.slow
def test_broken_layers_are_caught_and_named(capsys):
    missed, misnamed, ways = [], [], Counter()
    for row, way, mutant, x in islice(mutants(), None, None, EVERY):
        with np.errstate(all="ignore"):
            report = nn.check_gradients(mutant, x, raises=False)
        ways[way.name] += 1
        if report.ok:
            missed.append(f"{row}, {way.name}")
        elif way.kind not in report.kinds:
            misnamed.append(f"{row}, {way.name}: {sorted(report.kinds)}")
    total = sum(ways.values())
    caught = 1 - len(missed) / total
    named = 1 - len(misnamed) / (total - len(missed))
    with capsys.disabled():
        print(f"\n{total} broken layers: {caught:.1%} caught, {named:.1%} of them named rightly")
        for title, names in (("missed", missed), ("called something else", misnamed)):
            print("\n".join([f"{title}: {len(names)}", *(f"  {name}" for name in names)]))
    assert caught >= 0.995
    assert named >= 0.8
    assert len(ways) > 20
