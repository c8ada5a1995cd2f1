"""How long prompts must be for greedy admission to be stable: the exact set of whole prompts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kvsteady.progress import Progress, silent
from kvsteady.theory.certify import Certificate, certify_weights
from kvsteady.theory.thresholds.crossings import find_crossings
from kvsteady.theory.thresholds.curve import Curve
from kvsteady.workload.law import Workload


class PromptSet(Enum):
    """The shape of the set of stable prompts; the value is the advice."""

    ALWAYS = "stable at every prompt length"
    HALF_LINE = "stable from the least prompt on, and never below it"
    WITH_GAPS = "stable from the least prompt on, and at some shorter ones too: see the ranges"
    BOUNDED = "stable at some short prompts only"
    NEVER = "unstable at every prompt length: choose other output lengths"
    UNDECIDED = "not proved at every prompt: a crossing could not be told from its neighbours"


@dataclass(frozen=True)
class PromptRange:
    """Whole prompts from ``first`` to ``last`` tokens, both included; None for no end."""

    first: int
    last: int | None

    def __contains__(self, prompt: int) -> bool:
        return self.first <= prompt and (self.last is None or prompt <= self.last)


@dataclass(frozen=True)
class PromptThreshold:
    """Stability of greedy admission against the prompt length.

    The prompt is that of the class with the shortest one; the others keep their distance to it.

    Attributes
    ----------
    least
        ``l0,min``: the smallest prompt from which on every longer one is stable; None if none is.
    stable
        All stable whole prompts, ascending.
    at_least, below
        Certificates at ``least`` and at ``least − 1``; None where there is no such prompt.
    marginal
        Whole prompts with roots on the unit circle and none outside.
    undecided
        Whole prompts of which nothing was proved.
    crossings
        Intervals between whole prompts, and whole prompts, where roots meet the circle.
    arcs
        Arcs of the circle that were looked at.
    """

    least: int | None
    stable: tuple[PromptRange, ...]
    at_least: Certificate | None
    below: Certificate | None
    marginal: tuple[int, ...]
    undecided: tuple[PromptRange, ...]
    crossings: int
    arcs: int

    @property
    def shape(self) -> PromptSet:
        """What the set of stable prompts looks like."""
        if self.undecided:
            return PromptSet.UNDECIDED
        if not self.stable:
            return PromptSet.NEVER
        if self.least is None:
            return PromptSet.BOUNDED
        if len(self.stable) > 1:
            return PromptSet.WITH_GAPS
        return PromptSet.HALF_LINE if self.least else PromptSet.ALWAYS

    @property
    def monotone(self) -> bool:
        """Whether it was proved that no prompt is stable while a longer one is not."""
        return self.shape in (PromptSet.ALWAYS, PromptSet.HALF_LINE, PromptSet.NEVER)

    def is_stable(self, prompt: int) -> bool:
        """Whether a whole prompt was proved stable."""
        return any(prompt in part for part in self.stable)


def prompt_threshold(workload: Workload, *, progress: Progress = silent) -> PromptThreshold:
    """The stable prompts of given outputs and shares (Proposition 4's ``l0,min``; the way of
    finding all of them is ours, theory: section 5).

    The survival polynomial is affine in the prompt, so a root meets the unit circle at isolated
    prompts only; between two of them the number of roots outside does not change. All are found,
    and the number is followed down from the longest prompts, where it is g − 1 (g = gcd of the
    outputs). The result is independent of the prompt of a workload with a common one.

    Parameters
    ----------
    workload
        Outputs, shares and the differences between prompts, all of which move together.
    progress
        Told the arcs looked at; outputs of many thousand tokens take seconds.

    Returns
    -------
    PromptThreshold
        The least prompt is proved by certificates on either side and by the absence of crossings
        above, the rest of the set by the crossings.

    Raises
    ------
    MissingExtraError
        python-flint is not installed.
    """
    curve = Curve.of(workload)
    found = find_crossings(curve, progress)
    stable: list[PromptRange] = []
    undecided: list[PromptRange] = []
    marginal: list[int] = []
    for first, last, outside in found.runs(workload.gcd - 1 if curve.longest > 1 else 0):
        part = PromptRange(first, last)
        if outside is None:  # a single prompt on or beside a crossing
            one = certify_weights(curve.weights(first), progress=progress)
            kind = stable if one.stable else undecided if not one.decided else None
            if kind is not None:
                kind.append(part)
            elif one.roots_outside == 0:
                marginal.append(first)
        elif first < found.open:
            undecided.append(part)
        elif outside == 0:
            stable.append(part)
    ranges = _joined(stable)
    least = ranges[-1].first if ranges and ranges[-1].last is None else None
    at_least = None if least is None else certify_weights(curve.weights(least), progress=progress)
    below = certify_weights(curve.weights(least - 1), progress=progress) if least else None
    return PromptThreshold(
        least,
        ranges,
        at_least,
        below,
        tuple(sorted(marginal)),
        _joined(undecided),
        len(found.between) + len(found.at),
        found.arcs,
    )


def _joined(parts: list[PromptRange]) -> tuple[PromptRange, ...]:
    """Ascending, neighbours in one."""
    joined: list[PromptRange] = []
    for part in sorted(parts, key=lambda part: part.first):
        if joined and joined[-1].last == part.first - 1:
            joined[-1] = PromptRange(joined[-1].first, part.last)
        else:
            joined.append(part)
    return tuple(joined)
