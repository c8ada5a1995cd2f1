"""What `Steady` remembers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kvsteady.arrays import FloatArray, IntArray

# Cells of the learned law; each stands for `MEMO.width` output tokens.
CELLS = 512
# Age bins and look-ahead times of a forecast.
AGES = 32
HORIZONS = 48
# Of these times so many are those at which requests may end; there are more in between.
ENDS = 32
# Nobody is taken to live for more iterations.
FARTHEST = 1 << 16

MEMO = np.dtype(
    [
        ("credit", "f8"),  # requests that may be admitted
        ("rate", "f8"),  # x*, as far as it is known: requests per iteration
        ("gain", "f8"),  # of the feedback from free memory to the rate
        ("life", "f8"),  # mean output tokens, by the learned law
        ("prompt", "f8"),  # mean prompt tokens
        ("prompts", "f8"),  # of so many requests, old ones counted less
        ("weight", "f8"),  # of the next completion; grows, so that old ones count less
        ("mass", "f8"),  # completions learned from, in units of `weight`
        ("fresh", "i8"),  # completions since the law was last put together
        ("when", "i8"),  # iteration in which it was
        ("width", "i8"),  # output tokens per cell
        ("longest", "i8"),  # most output tokens seen of anybody
        ("admitted", "i8"),  # `FACTS.admitted` at the last decision
        ("ticks", "i8"),  # `FACTS.ticks` then
        ("unwritten", "i8"),
    ]
)


class SteadyState(NamedTuple):
    """Arrays of one run; a cell k ≥ 1 holds outputs of ((k − 1) width, k width] tokens."""

    memo: Any  # a MEMO record
    ended: FloatArray  # completions before max_tokens, by cell; shape (CELLS + 1,)
    seen: FloatArray  # requests watched through so many whole cells
    limits: FloatArray  # requests by whole cells of their max_tokens; the last: no limit met
    watched: FloatArray  # scratch: the same of those who run
    survival: FloatArray  # P(output > k width) if max_tokens never cut it
    living: FloatArray  # the same with max_tokens
    area: FloatArray  # integral of `survival` over tokens, up to each cell
    horizon: IntArray  # look-ahead times, shape (HORIZONS,)
    place: IntArray  # how many look-ahead times come sooner, by iterations
    tokens: FloatArray  # scratch: KV tokens by age bin and last time alive
    many: FloatArray  # requests likewise
    ages: FloatArray  # sum of generated tokens by age bin
    mean: FloatArray  # forecast memory, by look-ahead time
    variance: FloatArray
    risk: float  # standard deviations kept free
    margin: float  # gain margin of the feedback


def new_state(risk: float, margin: float, unwritten: int) -> SteadyState:
    """Nothing learned yet."""
    memo = np.zeros(1, dtype=MEMO)[0]
    memo["weight"], memo["width"], memo["gain"], memo["when"] = 1.0, 1, 0.5, -1
    memo["unwritten"] = unwritten
    return SteadyState(
        memo=memo,
        ended=np.zeros(CELLS + 2),
        seen=np.zeros(CELLS + 2),
        limits=np.zeros(CELLS + 2),
        watched=np.zeros(CELLS + 2),
        survival=np.ones(CELLS + 2),
        living=np.ones(CELLS + 2),
        area=np.arange(CELLS + 2.0),
        horizon=np.zeros(HORIZONS, dtype=np.int64),
        place=np.zeros(FARTHEST + 2, dtype=np.int64),
        tokens=np.zeros((AGES, HORIZONS + 1)),
        many=np.zeros((AGES, HORIZONS + 1)),
        ages=np.zeros(AGES),
        mean=np.zeros(HORIZONS),
        variance=np.zeros(HORIZONS),
        risk=risk,
        margin=margin,
    )
