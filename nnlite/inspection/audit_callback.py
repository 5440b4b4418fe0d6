"""The audit while a model trains."""

from __future__ import annotations

import numpy as np

from nnlite.inspection.audit import Audit, AuditRow, Finding, Recorder, explain, sizes_of
from nnlite.training.callbacks import Callback
from nnlite.training.state import Training

GROWN = 1e3  # times its first size, from which on a gradient is out of proportion


class GradientAudit(Callback):
    """Looks at the first step of an epoch from inside, and says what is wrong at the end.

    Besides what `audit` reports it knows how far each parameter moved in the step, and how the
    gradients have grown since the first audited epoch. The live layers are watched during
    that one step only.

    Args:
        every_epochs: how often to look (default 1: every epoch).
        verbose: whether to print the last audit when the run ends (default True).

    Attributes:
        audits: one `Audit` per step that was looked at.
    """

    def __init__(self, every_epochs: int = 1, verbose: bool = True) -> None:
        self.every_epochs = every_epochs
        self.verbose = verbose
        self._audits: list[Audit] = []
        self._recorder: Recorder | None = None
        self._before: dict[str, np.ndarray] = {}

    @property
    def audits(self) -> list[Audit]:
        """One per step that was looked at."""
        return self._audits

    def on_fit_begin(self, trainer: Training) -> None:
        """Forget the last run."""
        self._audits = []

    def on_epoch_begin(self, trainer: Training) -> None:
        """Begin to watch."""
        if trainer.epoch % self.every_epochs == 0:
            parameters = trainer.model.named_parameters()
            self._before = {path: p.data.copy() for path, p in parameters.items()}
            self._recorder = Recorder(trainer.model)

    def on_step_end(self, trainer: Training) -> None:
        """After the first step: write down what was seen."""
        if self._recorder is None:
            return
        updates = sizes_of(trainer.model.named_parameters(), self._before)
        rows = self._recorder.rows(updates)
        self._recorder.end()
        self._recorder = None
        first = self._audits[0].rows if self._audits else rows
        self._audits.append(Audit(rows, explain(rows) + _since(first, rows)))

    def on_fit_end(self, trainer: Training) -> None:
        """Say how it looked last."""
        if self.verbose and self._audits:
            print(self._audits[-1])


def _since(first: list[AuditRow], now: list[AuditRow]) -> list[Finding]:
    """Gradients that have grown out of proportion since the first audit."""
    grown = [
        (after.gradient / before.gradient, before, after)
        for before, after in zip(first, now, strict=True)
        if before.gradient > 0 and after.gradient > GROWN * before.gradient
    ]
    if not grown:
        return []
    _, before, after = max(grown, key=lambda found: found[0])
    text = (
        f"{after.name}: the gradient has grown from {before.gradient:.1e} to {after.gradient:.1e} "
        "since the first audit; try a smaller learning rate or clip_norm"
    )
    return [Finding(11, text)]
