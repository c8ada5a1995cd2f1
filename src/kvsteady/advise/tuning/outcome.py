"""What tuning comes to, in a word that says what to do."""

from __future__ import annotations

from enum import Enum


class TuningOutcome(Enum):
    """In order of concern. The text is for the user."""

    DO_NOTHING = (
        "do-nothing",
        "Do nothing: no change that was tried is worth it.",
    )
    CANNOT_TELL = (
        "cannot-tell",
        "Cannot tell: the runs differ too much among themselves. Change nothing yet; use more "
        "seeds.",
    )
    SET_FLAGS = (
        "set-flags",
        "Set flags of the engine: the gain is real, and worth it.",
    )
    USE_POLICY = (
        "use-policy",
        "Use an admission policy: it gains what no flag of the engine does.",
    )
    STUCK = (
        "stuck",
        "The engine as it is stops completing requests: there is nothing to compare with.",
    )

    def __init__(self, label: str, text: str) -> None:
        self.label = label
        self.text = text

    @property
    def concern(self) -> int:
        """0 for the best outcome, growing with concern."""
        return list(TuningOutcome).index(self)

    @classmethod
    def of_label(cls, label: str) -> TuningOutcome:
        """The outcome of that label; KeyError if there is none."""
        return {outcome.label: outcome for outcome in cls}[label]
