"""The integer model under resume makes the decisions of vLLM's own scheduler, step by step."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kvsteady.model import Eviction, System, find_cycle, iterate
from kvsteady.workload import Workload

# What the real scheduler decided; the file names its version and how it was driven.
RECORDED = json.loads((Path(__file__).parent / "data" / "vllm_scheduler.json").read_text())


@pytest.mark.parametrize("recorded", RECORDED["runs"], ids=lambda run: str(run["classes"]))
def test_every_decision_is_the_recorded_one(recorded: dict[str, object]) -> None:
    # The token that vLLM samples enters the KV cache in the next step, so a request with i
    # tokens needs l0 + i, not l0 + i + 1: the model's prompt is vLLM's less 1.
    load = Workload.classes([(prompt - 1, output) for prompt, output in recorded["classes"]])
    run = iterate(
        System(load, recorded["kv_tokens"]),
        steps=len(recorded["rows"]),
        arithmetic="integer",
        eviction=Eviction.RESUME,
    )
    ours = [
        run.admitted - run.resumed,
        run.resumed,
        run.evicted,
        run.completed,
        run.memory,
        run.running,
        run.resumed_tokens,
    ]
    assert np.column_stack(ours).tolist() == recorded["rows"]


def test_the_measured_case_recurs_exactly_but_late() -> None:
    # engines.md: prompt 16, output 32, 960 KV tokens. From an empty engine the real scheduler was
    # followed for 218,000 steps: equal to the model in all of them.
    system = System(Workload.fixed(15, 32), 960)
    cycle = find_cycle(system, arithmetic="integer", eviction=Eviction.RESUME, limit=2_000_000)
    assert cycle.period == 2382
    # Conservation: a completion has used Σ_{i<32} (16 + i) = 1008 token-iterations of memory.
    assert cycle.throughput == pytest.approx(cycle.turn.memory / 1008, rel=1e-12)
    assert cycle.throughput == pytest.approx(0.9404, abs=5e-5)
    assert cycle.turn.evicted == pytest.approx(0.728, abs=0.002)  # measured: 0.728
    computed = cycle.turn.recomputed_tokens + cycle.throughput * 47
    assert cycle.turn.recomputed_tokens / computed == pytest.approx(0.276, abs=0.004)  # 27.6%
