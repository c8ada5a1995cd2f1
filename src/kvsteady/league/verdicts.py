"""How our policy stands against the bar that was set for it, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Literal

from kvsteady.league.interval import interval
from kvsteady.league.measure import Result
from kvsteady.league.table import Row, Standing, Verdict
from kvsteady.league.workloads import Contest
from kvsteady.model.system import System
from kvsteady.theory.caps import rate_caps
from kvsteady.workload.law import Workload

_TOKENS, _TAX, _OF_X = 0.99, 0.01, 0.97
# Where fewer run at once, or tails are heavy, x* is out of reach for anyone.
_MANY = 100
# A baseline with so little more recompute tax counts as having none more.
_ALIKE = 0.001


def judge(contest: Contest, rows: Sequence[Row], fronts: Sequence[Row] = ()) -> list[Verdict]:
    """The verdicts on ours among the rows of one workload on one engine; none where it is missing.

    Saturated: at least 0.99 of the tokens per second of the best tuned baseline; a recompute tax
    of at most 1% and 0.97 x* where 100 run at once and tails are not heavy, else no baseline
    completes more at no more tax (bar 0.995), with its best constants or those of ``fronts``.
    Open loops: p99 TTFT and p99 ITL over greedy's. With a burst those too, and after it 0.97 x* and
    the tax. All over seeds, and what compares, seed by seed. A number that does not exist leaves
    its bar unjudged, and said so.
    """
    ours = next((row for row in rows if row.role == "ours"), None)
    if ours is None:
        return []
    baselines = [row for row in rows if row.role == "baseline"]
    found: Iterator[Verdict | None]
    if _is_small(contest, ours.engine):
        found = _small(contest, ours)
    elif contest.kind == "open":
        found = _open(ours, baselines)
    elif contest.kind == "burst":
        found = chain(_burst(ours), _open(ours, baselines))
    else:
        found = _saturated(contest, ours, baselines, fronts)
    return [verdict for verdict in found if verdict is not None]


def by_front(contest: Contest, engine: str, ours: Sequence[Result]) -> bool:
    """Whether the Pareto front of the baselines is a bar, from our results."""
    if contest.kind in ("open", "burst") or _is_small(contest, engine):
        return False
    return contest.heavy or sum(result.decoding for result in ours) < _MANY * len(ours)


def like_tax(ours: Sequence[Result]) -> float:
    """The recompute tax up to which a baseline counts as recomputing no more than we do."""
    return sum(result.recompute_tax for result in ours) / len(ours) + _ALIKE


def _is_small(contest: Contest, engine: str) -> bool:
    return contest.name == "bar-16-32" and engine == "vllm"


def _saturated(
    contest: Contest, ours: Row, baselines: Sequence[Row], fronts: Sequence[Row]
) -> Iterator[Verdict | None]:
    if baselines:
        best = max(baselines, key=lambda row: row.mean("tokens_per_second"))
        what = f"tokens/s over the best tuned baseline's ({best.entrant})"
        yield _verdict(ours, what, _over(ours, best, "tokens_per_second"), ">=", _TOKENS)
    if by_front(contest, ours.engine, ours.results):
        yield _front(ours, [*baselines, *fronts])
    else:
        yield _taxed(ours)
        what = "completions per iteration over x*"
        yield _verdict(ours, what, _own(ours, "of_x"), ">=", _OF_X)


def _small(contest: Contest, ours: Row) -> Iterator[Verdict | None]:
    # The last token is never written: vLLM holds one token less than x* counts at every age.
    (prompt,), (output,) = contest.law().prompt, contest.law().output
    held = System(Workload.fixed(int(prompt) - 1, int(output)), contest.kv_tokens)
    rates = _own(ours, "completions_per_iteration")
    bound = rate_caps(held).steady
    yield _verdict(ours, "completions per iteration", rates, ">=", 0.945, bound=bound)
    shares = _own(ours, "recomputed_share")
    yield _verdict(ours, "recomputed share of computed tokens", shares, "<=", 0.01)


def _open(ours: Row, baselines: Sequence[Row]) -> Iterator[Verdict | None]:
    greedy = next((row for row in baselines if row.entrant == "greedy"), None)
    if greedy is not None:
        for field, what in (("ttft_p99_s", "p99 TTFT"), ("itl_p99_ms", "p99 ITL")):
            yield _verdict(ours, f"{what} over greedy's", _over(ours, greedy, field), "<=", 1.0)


def _burst(ours: Row) -> Iterator[Verdict | None]:
    lacking = {result.outcome for result in ours.results if result.recovered is None} - {"ran"}
    absent = (
        f"the engine {' or '.join(sorted(lacking))}"
        if lacking
        else "the queue was empty before three maximal service times had passed"
    )
    rates = _own(ours, "recovered")
    yield _verdict(ours, "of x* after the burst", rates, ">=", _OF_X, absent=absent)
    yield _taxed(ours)


def _front(ours: Row, baselines: Sequence[Row]) -> Verdict | None:
    """Completions over those of the best baseline that recomputes no more."""
    rivals = [row for row in baselines if _no_more_tax(ours, row) and row.mean("of_x") > 0]
    if not rivals:
        return None
    best = max(rivals, key=lambda row: row.mean("of_x"))
    named = " ".join((best.entrant, *(f"{key}={value:g}" for key, value in best.constants)))
    what = f"completions over the best baseline's with no more recompute tax ({named})"
    return _verdict(ours, what, _over(ours, best, "of_x"), ">=", 0.995)


def _no_more_tax(ours: Row, other: Row) -> bool:
    """In doubt a baseline counts: only one with more tax for sure is left out."""
    pairs = _by_seed(ours, other, "recompute_tax")
    mean, half = interval([b - a for a, b in pairs if a is not None and b is not None])
    return mean - half <= _ALIKE


def _taxed(ours: Row) -> Verdict | None:
    return _verdict(ours, "recompute tax", _own(ours, "recompute_tax"), "<=", _TAX)


def _own(ours: Row, field: str) -> list[float | None]:
    """A field by seed."""
    return [getattr(result, field) for result in ours.results]


def _over(ours: Row, other: Row, field: str) -> list[float | None]:
    """Ratios of a field, for each seed that both have played; None where there is none."""
    return [
        mine / theirs if mine is not None and theirs else None
        for mine, theirs in _by_seed(ours, other, field)
    ]


def _by_seed(ours: Row, other: Row, field: str) -> list[tuple[float | None, float | None]]:
    """A field of both, for each seed that both have played."""
    theirs = {seed: getattr(result, field) for seed, result in other.by_seed()}
    return [
        (getattr(result, field), theirs[seed]) for seed, result in ours.by_seed() if seed in theirs
    ]


def _verdict(
    ours: Row,
    what: str,
    found: Sequence[float | None],
    sense: Literal[">=", "<="],
    bar: float,
    *,
    bound: float | None = None,
    absent: str = "one of the two has no such number",
) -> Verdict | None:
    """From the values by seed; ``absent`` says why there may be none. None: nothing was played."""
    values = [value for value in found if value is not None]
    if not found:
        return None
    mean, half = interval(values)
    short = bar - mean if sense == ">=" else mean - bar
    standing: Standing = "holds"
    if not values:
        standing = "unjudged"
    elif short > 0:
        standing = "noise" if short <= half else "missed"
    reason = ""
    if len(values) < len(found):
        some = f"{len(found) - len(values)} of {len(found)} seeds: " if values else ""
        reason = some + absent
    return Verdict(
        workload=ours.workload,
        engine=ours.engine,
        what=what,
        measured=mean if values else None,
        half=half,
        sense=sense,
        bar=bar,
        standing=standing,
        bound=bound,
        reason=reason,
    )
