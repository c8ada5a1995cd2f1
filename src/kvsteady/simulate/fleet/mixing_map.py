"""Where mixing classes over replicas prevents evictions, and where it cannot.

Two replicas alike and two classes. The *load* is the KV memory that the requests hold on average,
as a share of all there is, were nothing ever evicted; the *share* is the part of it that comes from
the first class. Segregated, a replica carries ``2 · load · share`` of its own memory, the other
``2 · load · (1 − share)``; mixed, each carries ``load``. So mixing can help only where the larger
of the two exceeds 1 and the load does not (arrivals fluctuate, so the borders are not sharp).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from kvsteady.arrays import FloatArray, frozen_floats
from kvsteady.errors import InputError
from kvsteady.progress import Progress, silent
from kvsteady.simulate.fleet.mixing import Mixing, compare_mixing
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.loads.open_loop import Poisson
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import real_number, whole_number

_LOADS = (0.4, 0.55, 0.7, 0.85, 1.15)
_SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class MixingMap:
    """Evictions over a grid of loads and shares.

    Attributes
    ----------
    loads, shares
        The grid: shape ``(L,)`` and ``(S,)``.
    segregated, mixed
        Evictions per completed request, shape ``(L, S)`` each.
    segregated_tokens_per_second, mixed_tokens_per_second
        Output tokens per second, shape ``(L, S)`` each.
    worst_replica
        Load of the fuller replica when segregated, ``2 · load · max(share, 1 − share)``.
    cells
        The runs themselves, by load and share.
    """

    loads: FloatArray
    shares: FloatArray
    segregated: FloatArray
    mixed: FloatArray
    segregated_tokens_per_second: FloatArray
    mixed_tokens_per_second: FloatArray
    worst_replica: FloatArray
    cells: tuple[tuple[Mixing, ...], ...] = field(repr=False)

    @property
    def can_help(self) -> FloatArray:
        """1 where theory lets mixing help (see the module), else 0; shape ``(L, S)``."""
        below = self.loads[:, None] < 1
        return frozen_floats((self.worst_replica > 1) & below)


def mixing_map(
    replica: Replica,
    classes: Sequence[tuple[int, int]],
    *,
    loads: Sequence[float] = _LOADS,
    shares: Sequence[float] = _SHARES,
    requests: int = 3000,
    seconds: float = 0.02,
    seed: int = 0,
    progress: Progress = silent,
) -> MixingMap:
    """Measure evictions of two classes on two replicas, segregated and mixed, over a grid.

    Requests come at Poisson times. Every iteration takes the same time, whatever is in it: then a
    load in terms of memory is a rate of requests.

    Parameters
    ----------
    replica
        Engine, memory and eviction semantics of both; its time is not used.
    classes
        Two pairs (prompt, output).
    loads, shares
        The grid; loads above 0, shares above 0 and below 1.
    requests
        Per run.
    seconds
        Per iteration.
    seed
        Of the arrivals.
    progress
        Called once per cell.

    Raises
    ------
    InputError
        Not two different classes, or a number out of range.
    """
    if len(classes) != 2 or tuple(classes[0]) == tuple(classes[1]):
        raise InputError(f"{len(classes)} given", field="classes", allowed="two different classes")
    whole_number(requests, "requests", 1, 2**40)
    for load in loads:
        real_number(load, "loads")
    for share in shares:
        if not 0 < real_number(share, "shares") < 1:
            raise InputError(f"{share:g}", field="shares", allowed="above 0 and below 1")
    pair = [replace(replica, time=LinearTime(seconds, 0.0, 0.0, 0.0))] * 2
    capacity = 2 * replica.kv_tokens / seconds
    cells: list[tuple[Mixing, ...]] = []
    for load in loads:
        row = []
        for share in shares:
            rates = _rates(classes, load * capacity, share)
            offered = Poisson(_workload(classes, rates), sum(rates), requests=requests, seed=seed)
            row.append(compare_mixing(pair, offered))
            progress(len(cells) * len(shares) + len(row), len(loads) * len(shares))
        cells.append(tuple(row))
    return _map(loads, shares, tuple(cells))


def _rates(classes: Sequence[tuple[int, int]], demand: float, share: float) -> list[float]:
    """Requests per second of each class, for a demand of KV token iterations per second."""
    weights = [output * prompt + output * (output + 1) / 2 for prompt, output in classes]
    return [demand * part / w for part, w in zip((share, 1 - share), weights, strict=True)]


def _workload(classes: Sequence[tuple[int, int]], rates: Sequence[float]) -> Workload:
    """Both classes in the shares of their rates, drawn independently."""
    part = Fraction(rates[0] / sum(rates)).limit_denominator(1_000_000)
    part = min(max(part, Fraction(1, 1_000_000)), Fraction(999_999, 1_000_000))
    (p, o), (q, r) = classes
    workload = Workload.classes([(p, o, part), (q, r, 1 - part)])
    return replace(workload, random=True)


def _map(
    loads: Sequence[float], shares: Sequence[float], cells: tuple[tuple[Mixing, ...], ...]
) -> MixingMap:
    def grid(which: str, what: str) -> FloatArray:
        return frozen_floats([[getattr(getattr(c, which), what) for c in row] for row in cells])

    at, part = np.array(loads), np.array(shares)
    return MixingMap(
        loads=frozen_floats(at),
        shares=frozen_floats(part),
        segregated=grid("segregated", "evictions_per_completion"),
        mixed=grid("mixed", "evictions_per_completion"),
        segregated_tokens_per_second=grid("segregated", "tokens_per_second"),
        mixed_tokens_per_second=grid("mixed", "tokens_per_second"),
        worst_replica=frozen_floats(2 * at[:, None] * np.maximum(part, 1 - part)),
        cells=cells,
    )
