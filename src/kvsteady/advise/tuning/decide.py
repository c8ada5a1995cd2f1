"""Which change runs in front, and whether its gain is worth making it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kvsteady.advise.tuning.compare import gains, interval_of
from kvsteady.advise.tuning.outcome import TuningOutcome
from kvsteady.advise.tuning.record import Measured, Objective
from kvsteady.advise.tuning.runs import Played
from kvsteady.league.measure import Result

# Gains that cannot be excluded, over the least that is worth it, above which more seeds are due.
_WIDE: Final = 3.0
# Goodput that a better tail may cost.
_GOODPUT: Final = 0.01
# Evictions per completion saved, or completions per iteration gained, that explain a gain.
_EVICTIONS, _COMPLETIONS = 0.01, 0.01


def worth(objective: Objective, found: Measured) -> bool:
    """Whether a gain is sure to be above 0, and on average enough to act on."""
    gain, effect = found.gain, found.effect(objective.name)
    if gain is None or effect is None or gain.low <= 0:
        return False
    return gain.mean >= objective.worth and abs(effect.change.mean) >= objective.worth_absolute


def explained(found: Measured) -> bool:
    """Whether fewer evictions or more completions per iteration stand behind a gain.

    Without them it is how the iteration-time model weighs prefill that comes in other portions:
    nothing that admission should be changed for.
    """
    evictions = found.effect("evictions_per_completion")
    completions = found.effect("completions_per_iteration")
    saved = evictions is not None and -evictions.change.mean >= _EVICTIONS
    more = completions is not None and (
        completions.change.mean >= _COMPLETIONS * completions.before
    )
    return saved or more


def paid(found: Measured) -> bool:
    """Whether it costs goodput."""
    goodput = found.effect("goodput")
    return goodput is not None and goodput.after < (1 - _GOODPUT) * goodput.before


def front_runner(
    objective: Objective, before: Sequence[Result], compared: Sequence[tuple[Played, Measured]]
) -> Played | None:
    """The simplest of those whose gain cannot be told from the best one, if that is worth it.

    Cannot be told: the 95% interval of the difference, seed by seed, reaches 0, or the difference
    is less than what is worth a change. Gains that are not `explained`, or `paid` for, come last.
    If nothing is worth it, the best is returned; None where nothing has a gain.
    """
    runs = [
        (each, found, own)
        for each, found in compared
        if (own := gains(objective, before, each.results)) is not None
    ]
    runs = [run for run in runs if explained(run[1]) and not paid(run[1])] or runs
    if not runs:
        return None
    best, _, most = max(runs, key=lambda run: sum(run[2]))
    near: list[tuple[int, float, int, Played]] = []
    for each, found, own in runs:
        ahead = interval_of([a - b for a, b in zip(most, own, strict=True)])
        if (ahead.low <= 0 or ahead.mean < objective.worth) and worth(objective, found):
            near.append((each.change.steps, -sum(own), len(near), each))
    return min(near)[-1] if near else best


def decide(objective: Objective, found: Measured | None) -> TuningOutcome:
    """What to do about the front runner, from seeds that chose nothing."""
    if found is None or found.gain is None or paid(found) or not explained(found):
        return TuningOutcome.DO_NOTHING
    if worth(objective, found):
        flags = found.how == "flags"
        return TuningOutcome.SET_FLAGS if flags else TuningOutcome.USE_POLICY
    gain, effect = found.gain, found.effect(objective.name)
    noisy = gain.low <= 0 < gain.mean and gain.high >= _WIDE * objective.worth
    if noisy and effect is not None and gain.high * effect.before >= objective.worth_absolute:
        return TuningOutcome.CANNOT_TELL
    return TuningOutcome.DO_NOTHING
