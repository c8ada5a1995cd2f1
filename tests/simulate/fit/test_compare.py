"""A recorded and a simulated run of two requests, compared by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kvsteady.simulate.fit import RecordedRun, Replayed, compare
from kvsteady.simulate.fit.compare import running_at

RUN = RecordedRun(
    model="m",
    version="0",
    max_num_seqs=8,
    max_num_batched_tokens=64,
    tensor_parallel=1,
    prompt=np.array([4, 4]),
    output=np.array([3, 5]),
    arrival=np.array([0.0, 1.0]),
    scheduled=np.array([0.0, 1.5]),
    first_token=np.array([1.0, 2.0]),
    finish=np.array([2.0, 4.0]),
    ticks=np.array([1.0, 2.0, 3.0]),
    running=np.array([1, 1, 1]),
)
REPLAYED = Replayed(
    start=np.zeros(0),
    seconds=np.zeros(0),
    features=np.zeros((0, 5)),
    scheduled=np.array([0.0, 1.0]),
    first_token=np.array([2.0, 2.0]),
    finish=np.array([3.0, 8.0]),
)


def test_by_hand() -> None:
    errors = compare(RUN, REPLAYED)
    # recorded: TTFT 1, 1; two gaps in 1 s, four in 2 s; E2E 2, 3
    assert errors.ttft.recorded == pytest.approx((1.0, 1.0, 1.0))
    assert errors.tpot.recorded == pytest.approx((0.5, 0.5, 0.5))
    assert errors.e2e.recorded == pytest.approx((2.5, 2.9, 2.99))
    # simulated: TTFT 2, 1; TPOT 1/2, 6/4; E2E 3, 7
    assert errors.ttft.simulated[0] == pytest.approx(1.5)
    assert errors.tpot.simulated[0] == pytest.approx(1.0)
    assert errors.e2e.errors[0] == pytest.approx(5 / 2.5 - 1)
    assert errors.ttft.median_error == pytest.approx((1.0 + 0.0) / 2)
    assert errors.e2e.median_error == pytest.approx((1 / 2 + 4 / 3) / 2)
    assert errors.output_throughput == (8 / 4, 8 / 8)


def test_the_curve_of_running_requests() -> None:
    # simulated: request 0 runs from 0 to 3, request 1 from 1 to 8
    assert running_at(RUN, REPLAYED).tolist() == [2, 2, 1]
    assert compare(RUN, REPLAYED).running == pytest.approx((1 + 1 + 0) / 3)


def test_only_the_chosen_count() -> None:
    errors = compare(RUN, REPLAYED, np.array([False, True]))
    assert errors.requests == 1
    assert errors.e2e.simulated == (7.0, 7.0, 7.0)
