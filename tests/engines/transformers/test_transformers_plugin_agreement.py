"""The plug-in in the real engine and the same policy in the simulated one, every decision."""

from __future__ import annotations

import pytest

from engines.transformers import plugged
from engines.transformers.plugged import engine, evictions, rows_of, simulated
from reference.engines.transformers_cases import workload

# Every policy that needs no law of lengths. A rate below one per iteration is left out: the
# regulator lets somebody in where nobody runs, and the simulator waits for the rate's first one.
POLICIES = [
    "greedy",
    "kv-watermark:watermark=0.1",
    "max-active:requests=5",
    "no-evict",
    "new-token-ratio",
    "rate-cap:rate=1.2",
    "aimd",
    "steady",
]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("seed", range(5000, 5006))
def test_random_cases(policy, seed, compared):
    # Memory from starved to ample, every option of the engine; half of them swap to the CPU.
    case, swap = workload(seed), seed % 2 == 1
    made = engine(case, policy, **({"cpu_offload_space": 0.02} if swap else {}))
    rows = rows_of(made)
    regulator = made.scheduler.regulator
    assert regulator.why_aside is None
    assert regulator.ledger.overruled == 0
    assert rows == simulated(case, policy, swap=swap)
    assert regulator.ledger.completed == len(case[1])
    assert regulator.ledger.evicted == regulator.ledger.resumed == evictions(rows)
    assert regulator.ledger.admitted == len(case[1]) + evictions(rows)
    compared("transformers, plug-in", configurations=1, steps=len(rows), evictions=evictions(rows))


# Evictions of the engine's own rule in the same runs: hundreds, as its test below says.
@pytest.mark.parametrize("scheduler", ["prefill_first", "fifo"])
@pytest.mark.parametrize("sharing", [False, True])
@pytest.mark.parametrize(
    ("load", "most"),
    [(plugged.tiers, 5), (plugged.ending, 10), (plugged.drifting, 40), (plugged.bursts, 0)],
)
def test_lengths_that_differ_end_early_drift_and_come_in_bursts(
    load, most, scheduler, sharing, compared
):
    made = load()
    options = {"allow_block_sharing": sharing, "scheduler_type": scheduler}
    case = made.options | options, made.requests
    real = engine(case, "steady", limits=made.limits)
    rows = rows_of(real)
    assert rows == simulated(case, "steady", limits=made.limits)
    stock = rows_of(engine(case, None, limits=made.limits))
    assert evictions(stock) > 130
    assert evictions(rows) <= most
    # Everybody has exactly the output that was in the load, however often it was evicted.
    outputs = real.outputs()
    assert [len(outputs[i]) for i in range(len(made.requests))] == [o for _, _, o in made.requests]
    compared("transformers, plug-in", configurations=1, steps=len(rows), evictions=evictions(rows))
