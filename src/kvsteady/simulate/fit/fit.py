"""Fit an iteration-time model to a recorded run.

Only what happened to requests is recorded, not iterations. So the arrivals are replayed with the
coefficients at hand; the replay says what the iterations between two recorded moments computed,
least squares says what they must cost, and that is repeated. Two kinds of intervals are used: each
request's from its first to its last token, whose number of iterations is known exactly, and those
from one request's first token to that of a later one, which tell prefill from decoding.

One run leaves coefficients open that hardly mattered in it (a saturated engine never shows what a
small batch costs). A weak pull to a prior, best a roofline, closes what the data leave open.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.errors import InputError
from kvsteady.simulate.fit.compare import Errors, Mask, compare
from kvsteady.simulate.fit.least_squares import huber_cost, robust_non_negative
from kvsteady.simulate.fit.recorded import RecordedRun, in_order
from kvsteady.simulate.fit.replay import TERMS, Replay, Replayed
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.workload.ranges import real_number, whole_number

# Later first tokens that an interval between first tokens spans, and the shortest of use, seconds.
_APART = 8
_SHORTEST = 0.05
# From this round on, coefficients move half the way: the replay's schedule jumps with them.
_CAUTIOUS = 4
_FEWEST = 2 * len(TERMS)


@dataclass(frozen=True)
class TimeFit:
    """Fitted coefficients and how good they are.

    Parameters
    ----------
    time
        The coefficients.
    trained
        Errors over the requests that were fitted to.
    held_out
        Errors over the requests that shared no iteration with those; None where there are none.
    rounds
        Replays that were run.
    """

    time: LinearTime
    trained: Errors
    held_out: Errors | None
    rounds: int


def fit_time(
    run: RecordedRun,
    replay: Replay,
    prior: LinearTime,
    *,
    until: float | None = None,
    trust: float = 0.01,
    rounds: int = 20,
) -> TimeFit:
    """Fit a `LinearTime` to what was recorded.

    Parameters
    ----------
    run
        The recording.
    replay
        Runs its arrivals again: `replay_on` the engine that was recorded.
    prior
        Where to start and what to lean to; `RooflineTime.summed` is one. Its ``prefill_pairs`` is
        not used: fitted times have no such term.
    until
        Fit to requests that finished by then (seconds), and report the errors of those that were
        scheduled later: not one iteration is shared. Splitting by requests would not be honest,
        since all requests that run together share every iteration. None: fit to all.
    trust
        In the prior: a coefficient that is off by its whole size weighs as much as all intervals
        together would, were each wrong by this share.
    rounds
        Replays at most.

    Raises
    ------
    InputError
        If an argument is out of range, or fewer than 10 requests finished in time, or the times
        between their tokens are too short or too idle to tell anything.
    """
    real_number(trust, "trust")
    whole_number(rounds, "rounds", 1, 10_000)
    trained, held_out = _split(run, until)
    chosen = np.flatnonzero(trained)
    start = _terms(prior)
    scale = np.where(start > 0.0, start, start[0])
    pull, pulled = np.diag(trust / scale), trust * start / scale
    now, best, least = start, start, np.inf
    for number in range(rounds):
        matrix, target = _equations(run, replay(_linear(now)), chosen)
        cost = huber_cost(matrix @ now - target) + float(((pull @ now - pulled) ** 2).sum()) / 2
        rows = np.sqrt(target.size)  # the pull weighs against the mean over the intervals
        if cost < least:
            least, best = cost, now
        found = robust_non_negative(matrix, target, rows * pull, rows * pulled)
        now = found if number < _CAUTIOUS else (now + found) / 2.0
    result = replay(_linear(best))
    return TimeFit(
        time=_linear(best),
        trained=compare(run, result, trained),
        held_out=compare(run, result, held_out) if held_out.any() else None,
        rounds=rounds,
    )


def _split(run: RecordedRun, until: float | None) -> tuple[Mask, Mask]:
    everyone = np.ones(run.arrival.size, dtype=bool)
    trained = everyone if until is None else run.finish <= until
    if trained.sum() < _FEWEST:
        raise InputError(
            f"{trained.sum()} requests finished by then",
            field="until",
            allowed=f"a time by which at least {_FEWEST} did",
        )
    return trained, ~everyone if until is None else run.scheduled > until


def _terms(time: LinearTime) -> FloatArray:
    return np.array([getattr(time, name) for name in TERMS])


def _linear(terms: FloatArray) -> LinearTime:
    return LinearTime(**dict(zip(TERMS, terms.tolist(), strict=True)))


def _equations(
    run: RecordedRun, replayed: Replayed, chosen: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Rows ``features · coefficients = 1``, each divided by the interval's recorded length."""
    first = in_order(run, chosen)
    some, later = first[:-_APART], first[_APART:]
    far = run.first_token[later] - run.first_token[some] > _SHORTEST
    long = chosen[run.finish[chosen] - run.first_token[chosen] > _SHORTEST]

    def ends(of: RecordedRun | Replayed) -> tuple[FloatArray, FloatArray]:
        begin = np.concatenate([of.first_token[long], of.first_token[some[far]]])
        return begin, np.concatenate([of.finish[long], of.first_token[later[far]]])

    (begin, end), (recorded_begin, recorded_end) = ends(replayed), ends(run)
    length = recorded_end - recorded_begin
    done = np.vstack([np.zeros(len(TERMS)), np.cumsum(replayed.features, axis=0)])
    spent = np.concatenate([[0.0], np.cumsum(replayed.seconds)])
    # Tokens come at the end of an iteration: so many have started before then.
    low, high = (np.searchsorted(replayed.start, moment, side="left") for moment in (begin, end))
    idle = (end - begin) - (spent[high] - spent[low])
    busy = length - idle
    use = (busy > 0.1 * length) & (high > low)
    if use.sum() < _FEWEST:
        raise InputError(
            f"{use.sum()} intervals to fit to: its requests are too short or too far apart",
            field="run",
            allowed=f"at least {_FEWEST}",
        )
    return (
        (done[high[use]] - done[low[use]]) / length[use, None],
        busy[use] / length[use],
    )
