"""How a run went, in one word, and what follows from it."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """In order of concern. The text is for the user."""

    COMPLETED = ("completed", "Every request of the load was served.")
    STEADY = ("steady", "The engine keeps up and hardly evicts.")
    EVICTING = ("evicting", "The engine evicts requests that it has begun.")
    OVERLOADED = ("overloaded", "The queue grows: requests come faster than they are served.")
    REJECTED = ("rejected", "More requests can never fit, and are rejected, than are served.")
    STALLED = ("stalled", "The engine computes nothing any more, though requests wait.")
    LIVELOCKED = ("livelocked", "The engine works and evicts, and no request completes.")

    def __init__(self, label: str, text: str) -> None:
        self.label = label
        self.text = text

    @property
    def concern(self) -> int:
        """0 for the best outcome, growing with concern."""
        return list(Outcome).index(self)

    @classmethod
    def of_label(cls, label: str) -> Outcome:
        """The outcome of that label; KeyError if there is none."""
        return {outcome.label: outcome for outcome in cls}[label]


# Evictions per completion above which a run counts as evicting, as in `advise.verdict`.
NOISE = 0.01


def decide(
    *,
    livelocked: bool,
    stalled: bool,
    rejected: bool,
    drained: bool,
    growing: bool,
    preemptions_per_request: float,
) -> Outcome:
    """Pick the outcome.

    Parameters
    ----------
    livelocked, stalled
        A replica stopped for that reason.
    rejected
        More requests were rejected than completed.
    drained
        Every request left.
    growing
        See `series.queue_grows`.
    preemptions_per_request
        Evictions per completed request.
    """
    if livelocked:
        return Outcome.LIVELOCKED
    if stalled:
        return Outcome.STALLED
    if rejected:
        return Outcome.REJECTED
    if growing:
        return Outcome.OVERLOADED
    if preemptions_per_request > NOISE:
        return Outcome.EVICTING
    return Outcome.COMPLETED if drained else Outcome.STEADY
