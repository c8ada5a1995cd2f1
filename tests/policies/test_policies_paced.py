"""The policies that the exact model runs: what pace they ask for."""

from __future__ import annotations

import math

import numpy as np
import pytest

from kvsteady.admission import Setup
from kvsteady.errors import InputError
from kvsteady.model import System, iterate
from kvsteady.policies import Greedy, NestedWait, RateCap
from kvsteady.policies.nested_wait import thresholds
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


def test_the_margin_is_that_of_the_square_root() -> None:
    # One length at random (0 variance beyond itself): E[(l0 + m)²] − w² = 0, so z changes nothing;
    # with two lengths x W + z √(x V) = M, both sums written out.
    load = Workload.from_counts([10, 10], [2, 4], [1, 1], random=True)
    system = System(load, 5000)
    held, alive = [11, 12, 13, 14], [1.0, 1.0, 0.5, 0.5]
    w = sum(h * a for h, a in zip(held, alive, strict=True))
    v = sum(h * h * a * (1 - a) for h, a in zip(held, alive, strict=True))
    for z in (0.0, 3.0):
        rate = RateCap(z=z).pace(system, whole_requests=True).rate
        assert rate * w + z * math.sqrt(rate * v) == pytest.approx(5000, rel=1e-9)
    with pytest.raises(InputError, match="z"):
        RateCap(z=-1.0)


def test_segments_end_where_outputs_do_and_thresholds_fall_as_requests_leave() -> None:
    load = Workload.from_counts([10, 10, 10], [2, 4, 8], [2, 1, 1], random=True)
    ends, each = thresholds(Setup(10_000, 1, 0, load), load, 4, 0.0)
    # A quarter, half and three quarters are reached at 2, 2 and 4 tokens.
    assert ends.tolist() == [2, 4, 8]
    # Half outlive the first segment, half of these the second.
    assert (each / each[0]).tolist() == [1, 0.5, 0.25]
    # With a segment per length the limits are those of the equilibrium: memory is full.
    weights = [11, 12, 13 / 2, 14 / 2, *(t / 4 for t in (15, 16, 17, 18))]
    assert each[0] * sum(weights) == pytest.approx(10_000)
    loose = thresholds(Setup(10_000, 1, 0, load), load, 4, 0.1)[1]
    assert (loose / loose[0]).tolist() == pytest.approx([1, 0.6, 0.36])
    assert NestedWait(1).start(Setup(10_000, 1, 0, load)).end == 8
