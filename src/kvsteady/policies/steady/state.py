"""What `Steady` remembers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kvsteady.arrays import FloatArray, IntArray

# Cells of the learned law; each stands for `MEMO.width` output tokens.
CELLS = 512
# Age bins, and spans of the time ahead, of a forecast.
AGES = 64
SPANS = 48
# Lengths that all outputs may have, if the law is to be exact.
LENGTHS = 8
# Iterations ahead that are looked at one by one; of longer times, every second one and so on.
FINE = 2048
# Nobody is taken to live for more iterations.
FARTHEST = 1 << 16

MEMO = np.dtype(
    [
        # the pace
        ("credit", "f8"),  # requests that may be admitted
        ("waited", "f8"),  # ticks since the last admission
        ("apart", "f8"),  # share of admissions that took an iteration of their own
        ("admitted", "i8"),  # `FACTS.admitted` at the last decision
        ("ticks", "i8"),  # `FACTS.ticks` then
        ("iteration", "i8"),  # `FACTS.iteration` then
        # the learned law
        ("rate", "f8"),  # x*, as far as it is known: requests per iteration
        ("life", "f8"),  # mean output tokens
        ("prompt", "f8"),  # mean prompt tokens
        ("shared", "f8"),  # of these, held by others as well
        ("cached", "f8"),  # of these, found in the cache by those who wait: they are not computed
        ("peak", "f8"),  # tokens that the mean request holds at its end
        ("usual", "f8"),  # hazard of ending per token, of all ages; as `survival`
        ("noise", "f8"),  # standard deviation of memory at equilibrium, in tokens
        ("waste", "f8"),  # tokens that a request holds on average beside prompt and output so far
        # learning it
        ("prompts", "f8"),  # requests in the mean of the prompts, old ones counted less
        ("weight", "f8"),  # of the next completion; grows, so that old ones count less
        ("mass", "f8"),  # completions learned from, in units of `weight`
        ("came", "f8"),  # completions since the law was last put together, none at max_tokens
        ("surprise", "f8"),  # completions beyond what the law expected, lately
        ("doubt", "f8"),  # its variance, if the law holds
        ("fresh", "i8"),  # completions since the law was last put together
        ("when", "i8"),  # iteration in which it was
        ("seen_until", "i8"),  # `FACTS.ticks` up to which tokens were counted
        ("width", "i8"),  # output tokens per cell
        ("built", "i8"),  # the same as the law was last put together
        ("longest", "i8"),  # most output tokens seen of anybody
        ("oldest", "i8"),  # of those who run
        ("lengths", "i8"),  # distinct lengths that are kept
        ("certain", "i8"),  # the same, if they are the law; 0: they are not
        ("news", "i8"),  # whether another has come since that was decided
        ("others", "f8"),  # completions at lengths that are not kept, in units of `weight`
        # the forecast
        ("late", "i8"),
        ("shift", "i8"),  # spans from 2^shift iterations on are that long
        ("coarse", "i8"),  # every 2^coarse-th iteration ahead is looked at
        ("young", "i8"),  # an age bin is 2^young output tokens
        ("common", "f8"),  # tokens in memory that several hold
        ("spans", "i8"),
        ("filled", "i8"),  # spans whose chances are worked out
        ("farthest", "i8"),  # iterations ahead
    ]
)


LENGTH = np.dtype(
    [
        ("tokens", "i8"),
        ("ended", "f8"),  # completions there before max_tokens, all in units of `MEMO.weight`
        ("reached", "f8"),  # who were watched as this token came, completions included
        ("ended_lately", "f8"),  # the same since the law was last put together
        ("reached_lately", "f8"),
        ("hazard", "f8"),  # of ending there by the law in force; 0: it is not of the law
    ]
)


class SteadyState(NamedTuple):
    """Arrays of one run; a cell k ≥ 1 holds outputs of ((k − 1) width, k width] tokens."""

    memo: Any  # a MEMO record
    ended: FloatArray  # completions before max_tokens, by cell; shape (CELLS + 2,), as all of these
    seen: FloatArray  # tokens watched as they came, by cell
    lately: FloatArray  # the same as `ended` and `seen`, since the law was last put together
    recent: FloatArray
    steps: FloatArray  # what `recent` has to grow by from a cell on
    limits: FloatArray  # requests by whole cells of their max_tokens; the last: no limit met
    lengths: Any  # LENGTH records, shortest first, shape (LENGTHS,)
    remain: FloatArray  # P(output > the i shortest of them), shape (LENGTHS + 1,)
    share: FloatArray  # P(it ends at length k | it outlived c of them), [c, k]
    settled: FloatArray  # by how much less its variance is then
    # The law by cell; where lengths are few it is of the last time they were not.
    survival: FloatArray  # P(output > k width) if max_tokens never cut it
    living: FloatArray  # the same with max_tokens
    area: FloatArray  # Σ survival over tokens, up to each cell
    load: FloatArray  # W: memory of admissions at rate 1, by cell
    horizon: IntArray  # iteration of each span that is looked at, shape (SPANS,)
    chance: FloatArray  # P(alive in the middle of a span), shape (AGES, SPANS)
    fresh: FloatArray  # the same of a new request
    ending: FloatArray  # requests by their last iteration, shape (FINE + 2,)
    ending_tokens: FloatArray  # KV tokens of theirs
    leaving: FloatArray  # where lengths are few: the same two, by the parts expected to end then
    leaving_tokens: FloatArray
    spread: FloatArray  # Σ of `settled` times 1, KV, KV², by last span; shape (3, SPANS + 1)
    stay: FloatArray  # share of memory not of those who end in a span before its iteration
    tokens: FloatArray  # KV tokens by age bin and last span alive
    squares: FloatArray  # Σ of their squares
    many: FloatArray  # requests likewise
    mean: FloatArray  # forecast memory, by span
    variance: FloatArray
    full: FloatArray  # memory if all lived as long as they may
    one: FloatArray  # w(h) of the mean request, by span
    upto: FloatArray  # W(h)
    risk: float  # standard deviations kept free


def new_state(risk: float) -> SteadyState:
    """Nothing learned yet."""
    memo = np.zeros(1, dtype=MEMO)[0]
    memo["weight"], memo["width"], memo["when"] = 1.0, 1, -1

    def by_cell() -> FloatArray:
        return np.zeros(CELLS + 2)

    def by_span() -> FloatArray:
        return np.zeros(SPANS)

    return SteadyState(
        memo=memo,
        ended=by_cell(),
        seen=by_cell(),
        lately=by_cell(),
        recent=by_cell(),
        steps=by_cell(),
        limits=by_cell(),
        lengths=np.zeros(LENGTHS, dtype=LENGTH),
        remain=np.zeros(LENGTHS + 1),
        share=np.zeros((LENGTHS, LENGTHS)),
        settled=np.zeros((LENGTHS, LENGTHS)),
        survival=np.ones(CELLS + 2),
        living=np.ones(CELLS + 2),
        area=by_cell(),
        load=by_cell(),
        horizon=np.zeros(SPANS, dtype=np.int64),
        chance=np.ones((AGES, SPANS)),
        fresh=np.ones(SPANS),
        ending=np.zeros(FINE + 2),
        ending_tokens=np.zeros(FINE + 2),
        leaving=np.zeros(FINE + 2),
        leaving_tokens=np.zeros(FINE + 2),
        spread=np.zeros((3, SPANS + 1)),
        stay=by_span(),
        tokens=np.zeros((AGES, SPANS + 1)),
        squares=np.zeros((AGES, SPANS + 1)),
        many=np.zeros((AGES, SPANS + 1)),
        mean=by_span(),
        variance=by_span(),
        full=by_span(),
        one=by_span(),
        upto=by_span(),
        risk=risk,
    )
