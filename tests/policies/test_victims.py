"""Orders of victims: who goes first, the laws that every order keeps, and who takes none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kvsteady.admission import Victim, victim_of
from kvsteady.errors import InputError
from kvsteady.model import Eviction, System, iterate
from kvsteady.policies import Greedy, WithVictims, policy_of
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.engines.sglang_regulated import RegulatedSglang
from kvsteady.simulate.engines.trtllm import TensorRtLlm
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.loads import Saturated, Sessions
from kvsteady.simulate.machine import Machine
from kvsteady.workload import Workload
from kvsteady.workload.distributions import Lengths, independent
from stepping import UnitTime, feed_of, step

PLAIN = Vllm(block_size=4, enable_prefix_caching=False, async_scheduling=False)
# Reserves nothing for those who run, and so retracts.
BOLD = RegulatedSglang(disable_radix_cache=True)
RADIX = RegulatedSglang()
ENGINES = [
    PLAIN,
    Vllm(block_size=4, async_scheduling=False),
    Vllm(block_size=4),
    BOLD,
    RegulatedSglang(page_size=4),
    Paper(),
]
ORDERS = list(Victim)


def greedy(order: Victim | None):
    return Greedy() if order is None else WithVictims(Greedy(), order)


def ends(engine, load, kv_tokens, order, **options):
    machine = Machine(
        engine, kv_tokens, UnitTime(), Saturated(load).feed(), policy=greedy(order), **options
    )
    machine.run(3000)
    return [int(machine.clock[f]) for f in ("all_completed", "all_preempted", "all_prefill", "now")]


@pytest.mark.parametrize(
    ("engine", "order", "load"),
    [
        (PLAIN, Victim.LAST_ADMITTED, Workload.classes([(30, 20), (10, 60)])),
        (Vllm(block_size=4), Victim.LAST_ADMITTED, Workload.classes([(30, 20), (10, 60)])),
        (Paper(), Victim.LAST_ADMITTED, Workload.classes([(30, 20), (10, 60)])),
        (BOLD, Victim.FEWEST_GENERATED, Workload.fixed(20, 40)),
    ],
    ids=["vllm", "vllm, cache, asynchronous", "paper", "sglang"],
)
def test_the_order_that_is_the_engines_own_changes_nothing(engine, order, load):
    # vLLM preempts the last of those who run, SGLang the one with the fewest output tokens; that
    # is written there with code of its own.
    own = ends(engine, load, 800, None)
    assert own[1] > 100
    assert ends(engine, load, 800, order) == own


@pytest.mark.parametrize(
    ("order", "gone"),
    [
        # In the iteration in which memory is short (see the test) they hold 14, 9, 5 and 12 tokens
        # and have generated 4, 4, 3 and 2; they were admitted in this order.
        (None, 3),
        (Victim.LAST_ADMITTED, 3),
        (Victim.FEWEST_GENERATED, 3),
        (Victim.MOST_RECOMPUTABLE, 2),
        (Victim.LARGEST_MEMORY, 0),
    ],
)
def test_who_goes_first(order, gone):
    # Paper, block 1. After the fourth iteration: prompt 10 + 4, 5 + 4, 2 + 3, 10 + 2 tokens: 40 of
    # 43; in the fifth they would hold 44.
    rows = [
        {"time": 0.0, "prompt": 10, "output": 30},
        {"time": 0.0, "prompt": 5, "output": 30},
        {"time": 1.0, "prompt": 2, "output": 30},
        {"time": 2.0, "prompt": 10, "output": 30},
    ]
    machine = Machine(Paper(), 43, UnitTime(), feed_of(rows), policy=greedy(order))
    for _ in range(4):
        assert step(machine).preempted == set()
    assert machine.clock["free"] == 3
    assert step(machine).preempted == {gone}


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.value)
@pytest.mark.parametrize("engine", ENGINES, ids=repr)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(
    rows=st.lists(
        st.fixed_dictionaries(
            {
                "time": st.integers(0, 40).map(float),
                "prompt": st.integers(1, 70),
                "output": st.integers(1, 40),
            }
        ),
        min_size=2,
        max_size=20,
    ).map(lambda rows: sorted(rows, key=lambda row: row["time"])),
    room=st.integers(4, 16),
)
def test_every_order_keeps_the_laws(engine, order, rows, room):
    largest = max(row["prompt"] + row["output"] for row in rows)
    left = []
    machine = Machine(
        engine,
        4 * (-(-largest // 4) + room),
        UnitTime(),
        feed_of(rows),
        policy=greedy(order),
        finished=left.append,
    )
    for _ in range(20_000):
        if step(machine) is None:  # checks the books: blocks are held once, lists agree
            break
    machine.flush()
    assert sorted(np.concatenate(left)["id"].tolist()) == list(range(len(rows)))
    assert machine.clock["all_completed"] == len(rows)


@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.value)
@pytest.mark.parametrize("eviction", list(Eviction))
def test_every_order_goes_on_under_every_semantics(order, eviction):
    load = independent(Lengths.fixed(20), Lengths.geometric(40.0, 200))
    completed, evicted, *_ = ends(PLAIN, load, 1500, order, eviction=eviction)
    # Whoever holds most is also the oldest: under restart the most work is thrown out.
    assert completed > (100 if order is Victim.LARGEST_MEMORY else 500)
    assert evicted > 100


def test_what_is_shared_costs_nothing_to_compute_again_and_frees_nothing():
    # Two in a conversation's first turn hold 64 tokens in common; the third has 60 of its own. The
    # third is the largest that eviction would free, the others the cheapest to compute again.
    keys = {"keys": 0, "key_count": 4}
    rows = [
        {"time": 0.0, "prompt": 64 + 8, "output": 60, **keys},
        {"time": 2.0, "prompt": 64 + 8, "output": 60, **keys},
        {"time": 3.0, "prompt": 60, "output": 60},
    ]
    gone = {}
    for order in (Victim.MOST_RECOMPUTABLE, Victim.LARGEST_MEMORY):
        feed = feed_of(rows, keys=np.arange(4), key_tokens=16)
        engine = Vllm(block_size=4, async_scheduling=False)
        machine = Machine(engine, 200, UnitTime(), feed, policy=greedy(order))
        while not (done := step(machine)).preempted:
            pass
        gone[order] = done.preempted
    assert gone == {Victim.MOST_RECOMPUTABLE: {1}, Victim.LARGEST_MEMORY: {2}}


def test_where_an_order_means_nothing_it_is_refused():
    load = Workload.fixed(8, 8)
    policy = WithVictims(Greedy(), Victim.LARGEST_MEMORY)
    with pytest.raises(InputError, match="victim"):
        Machine(TensorRtLlm(), 800, UnitTime(), Saturated(load).feed(), policy=policy)
    with pytest.raises(InputError, match="victim"):
        iterate(System(load, 100), policy=policy, steps=5, arithmetic="integer")
    with pytest.raises(InputError, match="victim"):
        WithVictims(Greedy(), "youngest")


def test_the_exact_model_evicts_whoever_has_generated_fewest():
    system = System(Workload.fixed(16, 32), 960)
    policy = WithVictims(Greedy(), Victim.FEWEST_GENERATED)
    run = iterate(system, policy=policy, steps=300, arithmetic="integer")
    assert run.evicted.sum() > 0
    assert np.array_equal(run.rows, iterate(system, steps=300, arithmetic="integer").rows)


def test_an_order_by_name():
    policy = policy_of("kv-watermark:watermark=0.1, victim=largest-memory")
    assert victim_of(policy) is Victim.LARGEST_MEMORY
    assert policy.policy.watermark == 0.1
    with pytest.raises(InputError, match="last-admitted"):
        policy_of("greedy:victim=youngest")


class Seeing:
    """Greedy, shown everything."""

    sees_running, oracle = True, False
    start = staticmethod(Greedy().start)


@pytest.mark.parametrize(
    "engine", [Vllm(block_size=16), Vllm(block_size=16, async_scheduling=False), RADIX], ids=repr
)
def test_looking_at_shared_content_changes_no_decision(engine):
    load = independent(Lengths.fixed(40), Lengths.geometric(40.0, 300))
    sessions = Sessions(load, 400, 0.3, turns=Lengths.fixed(5), think=3.0, shared=64)
    found = []
    for policy in (Greedy(), Seeing()):
        machine = Machine(engine, 6000, UnitTime(), sessions.feed(), policy=policy)
        machine.run(2**40)
        found.append({name: machine.clock[name] for name in machine.clock.dtype.names})
        found[-1].pop("shows")
    assert found[0]["all_preempted"] > 20
    assert found[0]["all_hits"] > 10_000
    assert found[0] == found[1]


@pytest.mark.parametrize("engine", [Vllm(async_scheduling=False), RADIX], ids=repr)
def test_the_view_tells_what_is_shared(engine):
    # Two keys of 16 tokens; a prompt of 40 has 8 of its own. The first computes them, the second
    # finds both; the third begins like them with one key only, the fourth shares nothing.
    rows = [
        {"time": 0.0, "prompt": 40, "output": 6, "keys": 0, "key_count": 2},
        {"time": 2.0, "prompt": 40, "output": 6, "keys": 0, "key_count": 2},
        {"time": 3.0, "prompt": 40, "output": 9, "keys": 2, "key_count": 2},
        {"time": 3.0, "prompt": 40, "output": 9},
        {"time": 30.0, "prompt": 40, "output": 6, "keys": 0, "key_count": 2},
    ]
    feed = feed_of(rows, keys=np.array([0, 1, 0, 2]), key_tokens=16)
    machine = Machine(engine, 3200, UnitTime(), feed, policy=Seeing())
    seen = {}
    while step(machine) is not None:
        view, second = machine.view, int(machine.view.facts["now"])
        waiting = view.waiting[: int(view.facts["shown_waiting"])]
        running = view.running[: int(view.facts["shown_running"])]
        seen[second] = (
            [tuple(map(int, row)) for row in waiting[["shared", "cached"]]],
            [int(row) for row in running["shared"]],
        )
    assert seen[0] == ([(0, 0)], [])
    assert seen[2] == ([(32, 32)], [0])
    assert seen[3][0] == [(16, 16), (0, 0)]
    assert seen[3][1] == [32, 32]
    assert sorted(seen[5][1]) == [0, 16, 32, 32]
    assert seen[30] == ([(0, 32)], [])  # found, but nobody holds it any more
