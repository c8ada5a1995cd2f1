"""What it would take to make tiers stable: longer prompts, a wider tolerance, spread lengths.

Ours, and numerical: roots are counted in floating point; `kvsteady.theory.certify` proves.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from kvsteady.errors import InputError
from kvsteady.progress import Progress, silent
from kvsteady.theory.tiers.choices import Direction, choices, radius_floor
from kvsteady.theory.tiers.search import smallest_radii
from kvsteady.theory.winding import count_roots_outside
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_PROMPT, MAX_TICKETS

# Tolerances are tried in these steps.
_LADDER = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)
# Spread is found to a percent of the lengths.
_SPREADS = 100
_STABLE = 1.0


@dataclass(frozen=True)
class WiderTolerance:
    """The first tolerance on a ladder within which some tiers are stable.

    ``tolerance`` is a share of each length, ``outputs`` the tiers of smallest radius that were
    found there; both None where none up to ``searched`` has stable tiers. ``searched`` is the
    largest tolerance that was searched whole; wider ones have too many combinations, unless
    `radius_floor` rules them out.
    """

    tolerance: float | None
    outputs: tuple[int, ...] | None
    searched: float


def stable_tolerance(
    workload: Workload,
    direction: Direction,
    *,
    most_candidates: int = 100_000,
    progress: Progress = silent,
) -> WiderTolerance:
    """Widen the tolerance, 1% to 50% in twelve steps, until some tiers are stable."""
    searched = 0.0
    for tolerance in _LADDER:
        tiers = choices(workload, tolerance, direction, 0.0)
        # The floor alone settles many cases that are too many to search.
        if tiers.number > 50 * most_candidates:
            break
        every = tiers.every_length()
        if radius_floor(every) < 1:
            if tiers.number > most_candidates:
                break
            found = smallest_radii(every, below=_STABLE, progress=progress)
            if found.best:
                outputs = tuple(every.output[found.best[0][0]].tolist())
                return WiderTolerance(tolerance, outputs, tolerance)
        searched = tolerance
    return WiderTolerance(None, None, searched)


def stable_extra_prompt(workload: Workload) -> int | None:
    """Tokens by which every prompt must be longer for stability; None beyond 2^24.

    Found by bisection between an unstable and a stable prompt: stable from the one returned, not
    at one token less. Stability was seen to be monotone in the prompt in almost all systems, not
    proved to be (`kvsteady.theory.thresholds` returns the whole stable set).
    """

    def stable(extra: int) -> bool:
        longer = Workload.from_counts(workload.prompt + extra, workload.output, workload.tickets)
        return _stable(longer)

    return _first(stable, MAX_PROMPT - int(workload.prompt.max()))


def stable_prompt_within(
    workload: Workload, tolerance: float, direction: Direction, *, most_candidates: int = 2000
) -> tuple[int, tuple[int, ...]] | None:
    """Extra prompt tokens from which some tiers within a tolerance are stable, and those tiers.

    None where there are more than ``most_candidates`` combinations, or none is stable at any
    prompt. By bisection, as `stable_extra_prompt`.
    """
    tiers = choices(workload, tolerance, direction, 0.0)
    if tiers.number > most_candidates:
        return None
    stable: dict[int, tuple[int, ...]] = {}

    def some_stable(extra: int) -> bool:
        every = replace(tiers.every_length(), prompt=workload.prompt + extra)
        found = smallest_radii(every, below=_STABLE)
        if found.best:
            stable[extra] = tuple(every.output[found.best[0][0]].tolist())
        return bool(found.best)

    extra = _first(some_stable, MAX_PROMPT - int(workload.prompt.max()))
    return None if extra is None else (extra, stable[extra])


def spread_tiers(workload: Workload, width: float) -> Workload:
    """Each tier's requests spread evenly over the lengths from ``(1 − width) l1`` to ``l1``.

    As when each request's max_tokens is drawn from that range; the shares of the tiers stay.

    Raises
    ------
    InputError
        A width that is not at least 0 and under 1.
    """
    if not 0 <= width < 1:
        raise InputError(f"{width}", field="width", allowed="0 or more, under 1")
    lengths = [
        np.arange(output - math.floor(width * output * (1 + 1e-12)), output + 1)
        for output in workload.output.tolist()
    ]
    lengths = [tier[tier >= 1] for tier in lengths]
    common = math.lcm(*(tier.size for tier in lengths))
    largest = int(workload.tickets.max()) * common
    scale = common if largest <= MAX_TICKETS // (1 << 14) else None
    counts = [
        np.full(tier.size, ticket * scale // tier.size)
        if scale
        else np.full(tier.size, round(float(share) * 2**40 / tier.size))
        for tier, ticket, share in zip(
            lengths, workload.tickets.tolist(), workload.share, strict=True
        )
    ]
    prompts = np.concatenate(
        [np.full(tier.size, p) for tier, p in zip(lengths, workload.prompt, strict=True)]
    )
    return Workload.from_counts(
        prompts,
        np.concatenate(lengths),
        np.concatenate(counts),
        random=True,
        name=f"spread by {width:.0%}",
    )


def stable_spread(workload: Workload) -> float | None:
    """Narrowest spread below each tier's length, to a percent, at which the law is stable.

    Spreading damps all modes at once, where moving tiers damps some: the damping of a mode at
    angle θ grows with the variance of the lengths modulo 2π / θ. None up to 99%. A wider spread
    need not be stable too: 200:41 with 200:58 is so at 7%, not at 8%, and again from 9% on.
    """
    widths = (percent / _SPREADS for percent in range(_SPREADS))
    return next((width for width in widths if _stable(spread_tiers(workload, width))), None)


def _stable(workload: Workload) -> bool:
    return count_roots_outside(workload.memory_weights()).outside == 0


def _first(holds: Callable[[int], bool], most: int) -> int | None:
    """A whole number from 0 at which it holds, and not at one less; None if not at ``most``."""
    if holds(0):
        return 0
    low, high = 0, 1
    while not holds(high):
        if high >= most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
