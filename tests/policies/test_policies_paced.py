"""The policies that the exact model runs: what pace they ask for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.model import System, iterate
from kvsteady.policies import Greedy, RateCap
from kvsteady.theory import rate_caps
from kvsteady.workload import Workload

SYSTEM = System(Workload.fixed(16, 32), 960)


@pytest.mark.parametrize("whole", [False, True])
def test_greedy_has_no_limit(whole: bool) -> None:
    pace = Greedy().pace(SYSTEM, whole_requests=whole)
    assert (pace.rate, pace.depth) == (math.inf, math.inf)


def test_the_cap_is_the_equilibrium_in_the_fluid_and_the_steady_cap_for_whole_requests() -> None:
    # x* = 2 · 960 / (32 · 65) = 0.923
    fluid = RateCap().pace(SYSTEM, whole_requests=False)
    assert fluid.rate == fluid.depth == pytest.approx(0.9230769, abs=1e-7)
    whole = RateCap().pace(SYSTEM, whole_requests=True)
    assert whole.rate == rate_caps(SYSTEM).steady < fluid.rate
    assert whole.depth >= whole.rate + 1


def test_a_rate_given_is_the_rate_taken() -> None:
    for whole in (False, True):
        assert RateCap(0.7).pace(SYSTEM, whole_requests=whole).rate == 0.7


def test_a_cap_below_the_equilibrium_does_not_evict_and_completes_what_it_admits() -> None:
    run = iterate(SYSTEM, steps=4000, burn_in=100, policy=RateCap(0.8), arithmetic="integer")
    assert run.evicted.sum() == 0
    assert run.throughput == pytest.approx(0.8, abs=1e-3)


def test_a_cap_far_above_the_equilibrium_is_greedy() -> None:
    for arithmetic in ("fluid", "integer"):
        capped = iterate(SYSTEM, steps=300, policy=RateCap(1e6), arithmetic=arithmetic)
        assert np.array_equal(capped.rows, iterate(SYSTEM, steps=300, arithmetic=arithmetic).rows)


@pytest.mark.parametrize("rate", [0, -1, math.nan, math.inf, 0.0])
def test_rates_out_of_range_are_refused(rate: float) -> None:
    with pytest.raises(InputError):
        RateCap(rate)
