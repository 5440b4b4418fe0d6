"""Layers, losses and trainings by which the inspections are judged, written without a look at them.

`right.py` are odd but right layers and losses, `wrong.py` ones with one mistake each (edits of the
right layers in `by_hand.py`), `trainings.py` sick and healthy trainings. `tests/test_corpora.py`
finds out by itself, without nnlite's checker, that right is right and wrong is wrong; `judge.py`
tells what the checker makes of them.
"""
