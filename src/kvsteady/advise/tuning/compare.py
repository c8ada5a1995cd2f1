"""Runs of two settings, seed by seed: differences, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from kvsteady.advise.tuning.record import Effect, Interval, Objective
from kvsteady.league.interval import interval
from kvsteady.league.measure import Result

# What is reported of a change, with its unit.
EFFECTS: Final = (
    ("tokens_per_second", "output tokens/s"),
    ("completions_per_iteration", "requests per iteration"),
    ("recompute_tax", "of prefilled tokens"),
    ("recomputed_share", "of computed tokens"),
    ("evictions_per_completion", "evictions per request"),
    ("decoding", "requests that decode"),
    ("itl_p50_ms", "ms"),
    ("itl_p99_ms", "ms"),
    ("ttft_p99_s", "s"),
    ("goodput", "requests/s"),
    ("good", "of requests"),
)

# Iteration times are not known better than to a few percent, and a change is work.
TOKENS: Final = Objective("tokens_per_second", "output tokens per second", "tokens/s", 0.02, 0.0)
GOODPUT: Final = Objective("goodput", "goodput", "requests/s", 0.02, 0.0)
# A tail is noisier, and a few milliseconds of it are nobody's concern.
TTFT: Final = Objective("ttft_p99_s", "p99 time to first token", "s", 0.1, 0.05)
# With so many good requests there is no goodput to gain, and with as few none to compare with:
# then the tail is the objective.
_ALL_GOOD: Final = 0.99


def objective_of(now: Result) -> Objective:
    """What is to be gained, from a run of the engine as it is."""
    if now.good is None:
        return TOKENS
    return GOODPUT if 1 - _ALL_GOOD < now.good < _ALL_GOOD else TTFT


def outcome_of(results: Sequence[Result]) -> Literal["ran", "livelocked", "stalled"]:
    """How the worst of the runs ended; one that completed nothing counts as stalled, before the
    simulator is sure of it.
    """
    ended = {result.outcome if result.completions else "stalled" for result in results}
    return "livelocked" if "livelocked" in ended else "stalled" if "stalled" in ended else "ran"


def interval_of(values: Sequence[float]) -> Interval:
    """Mean with its 95% confidence interval, by Student's t."""
    mean, half = interval(values)
    return Interval(mean, mean - half, mean + half)


def gains(
    objective: Objective, before: Sequence[Result], after: Sequence[Result]
) -> list[float] | None:
    """What each seed gains, as a share of the mean before; None where that cannot be said.

    Of two runs with the same seed the requests are the same, so that most of what differs from
    seed to seed cancels. The mean before, as the divisor, weighs the seeds alike.
    """
    if outcome_of([*before, *after]) != "ran":
        return None
    pairs = [
        (getattr(a, objective.name), getattr(b, objective.name))
        for a, b in zip(before, after, strict=True)
    ]
    if any(value is None for pair in pairs for value in pair):
        return None
    base = sum(a for a, _ in pairs) / len(pairs)
    sign = -1.0 if objective.name == TTFT.name else 1.0
    return [sign * (b - a) / base for a, b in pairs] if base > 0 else None


def effects(before: Sequence[Result], after: Sequence[Result]) -> tuple[Effect, ...]:
    """Every number that both have, with the interval of its change."""
    found = []
    for name, unit in EFFECTS:
        old = [getattr(result, name) for result in before]
        new = [getattr(result, name) for result in after]
        if None in old or None in new:
            continue
        differences = [b - a for a, b in zip(old, new, strict=True)]
        found.append(
            Effect(name, unit, interval(old)[0], interval(new)[0], interval_of(differences))
        )
    return tuple(found)
