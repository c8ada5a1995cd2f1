"""A policy that takes over on the way."""

from __future__ import annotations

import numpy as np
import pytest

from kvsteady.policies import Greedy, RateCap
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.loads import Saturated
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload
from stepping import UnitTime


def test_adopted_on_the_way_it_counts_from_there():
    log = []
    machine = Machine(
        Vllm(block_size=1, enable_prefix_caching=False, async_scheduling=False),
        960,
        UnitTime(),
        Saturated(Workload.fixed(16, 32)).feed(),
        policy=Greedy(),
        iterations=log.append,
        log_every=1,
    )
    machine.run(1000)
    machine.adopt(RateCap(0.5))
    machine.run(200)
    machine.flush()
    admitted = np.concatenate(log)["admitted"][1000:]
    # A bucket that starts empty: no more than the rate allows, and no less once there is room.
    assert np.all(admitted.cumsum() <= 0.5 * np.arange(1, 201) + 1)
    assert admitted[100:].sum() == pytest.approx(50, abs=1)
