"""What `Steady` remembers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

# Cells of the learned law; each stands for `MEMO.width` output tokens.
CELLS = 512
# Age bins, and spans of the time ahead, of a forecast.
AGES = 64
SPANS = 48
# Lengths that all outputs may have, if the law is to be exact.
LENGTHS = 8
# Iterations ahead that are looked at one by one; of longer times, every second one and so on.
FINE = 2048
# `MEMO.apart` before somebody was admitted while others ran.
UNKNOWN = 0.5
# `MEMO.keeps`: not tried, just tried, and what came of it.
UNTRIED, TRIED, KEEPS, KEEPS_NONE = range(4)
# `MEMO.stay` at first: of the plan, and of reserving.
FIRST_STAY = 3, 8
# Nobody is taken to live for more iterations.
FARTHEST = 1 << 16

MEMO = np.dtype(
    [
        # the pace
        ("credit", "f8"),  # requests that may be admitted
        ("reserved", "f8"),  # the same at the pace of those who reserve max_tokens
        ("waited", "f8"),  # ticks since the last admission
        ("apart", "f8"),  # share of admissions that took an iteration of their own
        ("passes", "f8"),  # prefills that a batch takes
        ("open", "i8"),  # requests of a batch whose prefills have begun
        ("keeps", "i8"),  # whether room for max_tokens is kept in a pass (`KEEPS` and so on)
        ("tried", "i8"),  # requests that have such room, of more that were let in to see
        # plan or reserve (`trial`)
        ("reserves", "i8"),  # 1 while reserving has its turn
        ("draining", "i8"),  # 1 until memory is empty for it
        ("served", "f8"),  # output tokens in the measurement that is under way
        ("spent", "f8"),  # its time, in decode iterations; below 0 until it begins
        ("turned", "f8"),  # x* as it was at the last change
        ("measured", "i8"),  # measurements of who has its turn, in this turn
        ("rates", "f8", 2),  # measured last of the plan, and of reserving
        ("stay", "i8", 2),  # measurements before the other has a chance
        # counts at the last decision
        ("others_ran", "i8"),  # requests that ran at the last decision
        ("admitted", "i8"),  # `FACTS.admitted` at the last decision
        ("ticks", "i8"),  # `FACTS.ticks` then
        ("iteration", "i8"),  # `FACTS.iteration` then
        # the learned law
        ("rate", "f8"),  # x*, as far as it is known: requests per iteration
        ("life", "f8"),  # mean output tokens
        ("prompt", "f8"),  # mean prompt tokens
        ("held", "f8"),  # the same of those in memory: by output tokens, not by requests
        ("shared", "f8"),  # of these, held by others as well
        ("cached", "f8"),  # of these, found in the cache by those who wait: they are not computed
        ("peak", "f8"),  # tokens that the mean request holds at its end
        ("usual", "f8"),  # hazard of ending per token, of all ages; as `survival`
        ("noise", "f8"),  # standard deviation of memory at equilibrium, in tokens
        ("waste", "f8"),  # tokens that a request holds on average beside prompt and output so far
        ("unlike", "f8"),  # of these, beyond half a block
        # learning it
        ("carried", "f8"),  # mean prompt of the output tokens of those who completed
        ("outputs", "f8"),  # these tokens, old ones counted less
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


LAW = np.dtype(
    [
        # By cell; a cell k ≥ 1 holds outputs of ((k − 1) width, k width] tokens.
        ("ended", "f8", CELLS + 2),  # completions before max_tokens
        ("seen", "f8", CELLS + 2),  # tokens watched as they came
        ("lately", "f8", CELLS + 2),  # `ended` since the law was last put together
        ("recent", "f8", CELLS + 2),  # `seen` likewise
        ("steps", "f8", CELLS + 2),  # what `recent` has to grow by from a cell on
        ("limits", "f8", CELLS + 2),  # requests by whole cells of max_tokens; the last: none met
        # The law; where lengths are few it is of the last time they were not.
        ("survival", "f8", CELLS + 2),  # P(output > k width) if max_tokens never cut it
        ("living", "f8", CELLS + 2),  # the same with max_tokens
        ("area", "f8", CELLS + 2),  # Σ survival over tokens, up to each cell
        ("load", "f8", CELLS + 2),  # W: memory of admissions at rate 1
        # The law where lengths are few.
        ("remain", "f8", LENGTHS + 1),  # P(output > the i shortest of them)
        ("share", "f8", (LENGTHS, LENGTHS)),  # P(it ends at length k | it outlived c of them)
        ("settled", "f8", (LENGTHS, LENGTHS)),  # by how much less its variance is then
    ]
)
"""What was seen of output lengths, and the law made of it."""

AHEAD = np.dtype(
    [
        # By span.
        ("horizon", "i8", SPANS),  # the iteration that is looked at
        ("mean", "f8", SPANS),  # forecast memory
        ("variance", "f8", SPANS),
        ("full", "f8", SPANS),  # memory if all lived as long as they may
        ("lumps", "f8", SPANS),  # what blocks are expected to hold beyond ``mean``
        ("stay", "f8", SPANS),  # share of memory not of those who end before the iteration
        ("one", "f8", SPANS),  # w(h) of the mean request
        ("upto", "f8", SPANS),  # W(h)
        ("chance", "f8", (AGES, SPANS)),  # P(alive in the middle of a span), by age bin
        ("fresh", "f8", SPANS),  # the same of a new request
        # Those who run, by their last iteration.
        ("ending", "f8", FINE + 2),  # requests
        ("ending_tokens", "f8", FINE + 2),  # KV tokens of theirs
        ("leaving", "f8", FINE + 2),  # where lengths are few: by the parts expected to end then
        ("leaving_tokens", "f8", FINE + 2),
        ("ending_blocks", "i8", FINE + 2),  # blocks of theirs then
        ("taking", "i8", FINE + 2),  # those who take a block then; as it is filled, their last one
        # By last span.
        ("spread", "f8", (3, SPANS + 1)),  # where lengths are few: Σ `settled` times 1, KV, KV²
        ("tokens", "f8", (AGES, SPANS + 1)),  # KV tokens by age bin
        ("squares", "f8", (AGES, SPANS + 1)),  # Σ of their squares
        ("many", "f8", (AGES, SPANS + 1)),  # requests likewise
    ]
)
"""The forecast, and what admissions would add."""


class SteadyState(NamedTuple):
    """What is kept of one run.

    A call from Python pays for each array that it hands over, and several times that for a record:
    so there are few, and records come in arrays of one.
    """

    memo: Any  # MEMO, shape (1,), as the next two
    law: Any  # LAW
    ahead: Any  # AHEAD
    lengths: Any  # LENGTH records, shortest first, shape (LENGTHS,)
    risk: float  # standard deviations kept free


class Opened(NamedTuple):
    """The same as kernels use it: the records themselves."""

    memo: Any
    law: Any
    ahead: Any
    lengths: Any
    risk: float


def opened(state: SteadyState) -> Opened:
    """Look into a state from Python; what is seen changes with it."""
    return Opened(state.memo[0], state.law[0], state.ahead[0], state.lengths, state.risk)


def new_state(risk: float) -> SteadyState:
    """Nothing learned yet."""
    state = SteadyState(
        memo=np.zeros(1, dtype=MEMO),
        law=np.zeros(1, dtype=LAW),
        ahead=np.zeros(1, dtype=AHEAD),
        lengths=np.zeros(LENGTHS, dtype=LENGTH),
        risk=risk,
    )
    state.memo["weight"], state.memo["width"], state.memo["when"] = 1.0, 1, -1
    state.memo["apart"] = UNKNOWN
    state.memo["passes"] = 1.0
    state.memo["stay"] = FIRST_STAY
    state.law["survival"] = state.law["living"] = 1.0
    state.ahead["chance"] = state.ahead["fresh"] = 1.0
    return state
