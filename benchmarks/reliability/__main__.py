"""`python -m benchmarks.reliability SUBJECT NUMBER ...`: some cases once more, in this process.

What depends on the moment may need several goes.
"""

import argparse
import importlib

from benchmarks.reliability.outcomes import SUBJECTS

parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
parser.add_argument("subject", choices=[subject.name for subject in SUBJECTS])
parser.add_argument("numbers", nargs="+", type=int)
options = parser.parse_args()
module = {subject.name: subject.module for subject in SUBJECTS}[options.subject]
for number in options.numbers:
    print(f"{number}: {': '.join(importlib.import_module(module).case(number))}")
