"""Numbers to one of seven outcomes."""

from __future__ import annotations

from enum import Enum

from kvsteady.theory.spectrum import Spectrum, Stability

# Evictions per completion above which chance is worth a mention.
NOISE = 0.01
# Loss under `restart` above which a cycle deserves the name.
LOSS = 0.01
# Doubling time in iterations above which growth is slow: over an hour at 40 ms an iteration.
SLOW = 100_000.0


class Verdict(Enum):
    """What to expect of greedy admission; in order of concern. The text is for the user."""

    STABLE = (
        "stable",
        "Stable: disturbances die out and evictions are rare. Leave it alone.",
    )
    NOISY = (
        "noisy",
        "Stable, no eviction cycle: but lengths vary and chance evicts now and then.",
    )
    UNDECIDED = (
        "undecided",
        "Undecided: a root is on the unit circle or too close to tell. Nothing grows or dies fast.",
    )
    SLOW = (
        "unstable-slow",
        "Unstable, but slowly: an eviction cycle grows over more iterations than most runs have.",
    )
    MILD = (
        "unstable-mild",
        "Unstable on paper, but the cycle is shallow: it loses next to nothing.",
    )
    METASTABLE = (
        "metastable",
        "Stable near its equilibrium, but started empty it ends in an eviction cycle.",
    )
    UNSTABLE = (
        "unstable",
        "Unstable: under saturated input greedy admission falls into an eviction cycle.",
    )

    def __init__(self, label: str, text: str) -> None:
        self.label = label
        self.text = text

    @property
    def concern(self) -> int:
        """0 for the best outcome, growing with concern."""
        return list(Verdict).index(self)

    @classmethod
    def of_label(cls, label: str) -> Verdict:
        """The verdict of that label; KeyError if there is none."""
        return {verdict.label: verdict for verdict in cls}[label]


def decide(spectrum: Spectrum, restart_loss: float, evictions_per_completion: float) -> Verdict:
    """Pick the verdict.

    Parameters
    ----------
    spectrum
        Linear stability.
    restart_loss
        Share of x* that greedy admission loses in the fluid model, from its worst start.
    evictions_per_completion
        Of greedy admission in the integer model, started empty.
    """
    if spectrum.outcome is Stability.UNSTABLE:
        if spectrum.doubling > SLOW:
            return Verdict.SLOW
        return Verdict.UNSTABLE if restart_loss > LOSS else Verdict.MILD
    if restart_loss > LOSS:
        return Verdict.METASTABLE
    if spectrum.outcome is Stability.UNDECIDED:
        return Verdict.UNDECIDED
    return Verdict.NOISY if evictions_per_completion > NOISE else Verdict.STABLE
