"""When requests arrived, as a policy in the real engine of Transformers is told."""

from __future__ import annotations

from time import perf_counter

import pytest

from engines.transformers.plugged import UNHURRIED, engine, plugin
from recording import evicted, overheard

OPTIONS = {"page_size": 4, "num_blocks": 100, "max_batch_tokens": 8192}
REQUESTS = [(6 * (prompt // 3), prompt, 40) for prompt in range(1, 61)]


def noted(made):
    """When each was created, by its prompt; what comes back with its tokens is no new one."""
    created: dict[int, float] = {}
    came = made.scheduler.add_waiting_request

    def add(state):
        created.setdefault(int(state.request_id) + 1, state.created_time)
        came(state)

    made.scheduler.add_waiting_request = add
    return created


@pytest.mark.parametrize("keeps", [False, True], ids=["recomputed", "kept in host memory"])
def test_it_is_when_the_engine_took_it_in_until_the_end(keeps):
    more = {"cpu_offload_space": 0.02} if keeps else {}
    made = engine((OPTIONS | more, REQUESTS), "greedy")
    begun, watch = perf_counter(), made.scheduler._watch
    seen, created = overheard(made.scheduler.regulator), noted(made)
    made.run()
    assert made.scheduler.regulator.why_aside is None
    assert sorted(seen) == sorted(created) == list(range(1, 61))
    assert begun < created[1] < created[60] < perf_counter()
    assert list(created.values()) == sorted(created.values())
    for prompt, rows in seen.items():
        assert len({row.arrived for row in rows}) == 1
        assert rows[0].arrived + watch._start == pytest.approx(created[prompt], abs=1e-6)
        assert all(row.arrived <= row.now for row in rows)
    assert sum(map(evicted, seen.values())) > 3
    assert not watch._came


def test_of_who_came_before_the_policy_it_is_negative():
    made = engine((OPTIONS, REQUESTS), None)
    made.run(20)
    plugin.attach(made.processor, policy="greedy", **UNHURRIED)
    made.scheduler = made.processor.scheduler
    seen = overheard(made.scheduler.regulator)
    made.run()
    arrived = [rows[0].arrived for _, rows in sorted(seen.items())]
    assert min(arrived) < 0 < max(arrived)
    assert arrived == sorted(arrived)
