"""How our policy stands against the bar that was set for it, row by row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

from kvsteady.league.interval import interval
from kvsteady.league.table import Row, Verdict
from kvsteady.league.workloads import Contest

_TOKENS, _TAX, _OF_X = 0.99, 0.01, 0.97
# Where fewer run at once, or tails are heavy, x* is out of reach for anyone.
_MANY = 100
# A baseline with so little more recompute tax counts as having none more.
_ALIKE = 0.001


def judge(contest: Contest, rows: Sequence[Row]) -> list[Verdict]:
    """The verdicts on ours among the rows of one workload on one engine; none where it is missing.

    Saturated: at least 0.99 of the tokens per second of the best tuned baseline, by seed; a
    recompute tax of at most 1% and 0.97 x* where 100 run at once and tails are not heavy, else no
    baseline, with whatever constants, completes more at no more tax (on seed 0; bar 0.995).
    Open loops: p99 TTFT and p99 ITL over greedy's, by seed. After the burst: 0.97 x*, and the tax.
    """
    ours = next((row for row in rows if row.role == "ours"), None)
    if ours is None:
        return []
    baselines = [row for row in rows if row.role == "baseline"]
    found: Iterator[Verdict | None]
    if contest.name == "bar-16-32" and ours.engine == "vllm":
        found = _small(ours)
    elif contest.kind == "open":
        found = _open(ours, baselines)
    elif contest.kind == "burst":
        found = iter([_at_least(ours, "recovered", _OF_X, "of x* after the burst"), _taxed(ours)])
    else:
        found = _saturated(contest, ours, baselines)
    return [verdict for verdict in found if verdict is not None]


def _saturated(contest: Contest, ours: Row, baselines: Sequence[Row]) -> Iterator[Verdict | None]:
    if baselines:
        best = max(baselines, key=lambda row: row.mean("tokens_per_second"))
        what = f"tokens/s over the best tuned baseline's ({best.entrant})"
        yield _verdict(ours, what, _over(ours, best, "tokens_per_second"), ">=", _TOKENS)
    if ours.mean("decoding") >= _MANY and not contest.heavy:
        yield _taxed(ours)
        yield _at_least(ours, "of_x", _OF_X, "completions per iteration over x*")
    else:
        yield _front(ours, baselines)


def _small(ours: Row) -> Iterator[Verdict | None]:
    yield _at_least(ours, "completions_per_iteration", 0.945, "completions per iteration")
    shares = ours.values("recomputed_share")
    yield _verdict(ours, "recomputed share of computed tokens", shares, "<=", 0.01)


def _open(ours: Row, baselines: Sequence[Row]) -> Iterator[Verdict | None]:
    greedy = next((row for row in baselines if row.entrant == "greedy"), None)
    if greedy is not None:
        for field, what in (("ttft_p99_s", "p99 TTFT"), ("itl_p99_ms", "p99 ITL")):
            yield _verdict(ours, f"{what} over greedy's", _over(ours, greedy, field), "<=", 1.0)


def _front(ours: Row, baselines: Sequence[Row]) -> Verdict | None:
    """Completions over those of the best baseline that recomputes no more, on seed 0."""
    mine = ours.results[0]
    rivals = [
        result.of_x
        for row in baselines
        for _, result in row.tried
        if result.recompute_tax <= mine.recompute_tax + _ALIKE and result.of_x > 0
    ]
    if not rivals:
        return None
    what = "completions over the best baseline's with no more recompute tax"
    return _verdict(ours, what, [mine.of_x / max(rivals)], ">=", 0.995)


def _taxed(ours: Row) -> Verdict | None:
    return _verdict(ours, "recompute tax", ours.values("recompute_tax"), "<=", _TAX)


def _at_least(ours: Row, field: str, bar: float, what: str) -> Verdict | None:
    return _verdict(ours, what, ours.values(field), ">=", bar)


def _over(ours: Row, other: Row, field: str) -> list[float]:
    """Ratios of a field by seed."""
    pairs = zip(ours.results, other.results, strict=False)
    both = ((getattr(a, field), getattr(b, field)) for a, b in pairs)
    return [a / b for a, b in both if a is not None and b]


def _verdict(
    ours: Row, what: str, values: Sequence[float], sense: Literal[">=", "<="], bar: float
) -> Verdict | None:
    mean, half = interval(values)
    if math.isnan(mean):
        return None
    short = bar - mean if sense == ">=" else mean - bar
    standing: Literal["holds", "noise", "missed"] = "holds"
    if short > 0:
        standing = "noise" if short <= half else "missed"
    return Verdict(
        workload=ours.workload,
        engine=ours.engine,
        what=what,
        measured=mean,
        half=half,
        sense=sense,
        bar=bar,
        standing=standing,
    )
