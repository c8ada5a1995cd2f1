"""SGLang with its radix cache: our kernels against one request and one node at a time.

The plain scheduler and tree were compared with the real classes of SGLang 0.5.23, and the recording
was made from them: `tests/engines/sglang`, which runs where SGLang is installed. All books of the
tree are checked after each iteration (`kernel_decided`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.simulate.engines.sglang import Sglang
from kvsteady.simulate.machine import Machine
from reference.engines.sglang import Arrival, Knobs
from reference.engines.sglang import Sglang as Reference
from reference.engines.sglang_radix import RadixPages
from sglang_cases import decided, kernel_decided, played
from sglang_sharing import sharing_case, sharing_feed, sharing_machine
from stepping import UnitTime, step

RECORDING = Path(__file__).parent / "data" / "sglang_0_5_23_radix_decisions.json"
CACHED = Knobs(disable_radix_cache=False)


def assert_same(
    knobs: Knobs, arrivals: list[Arrival], unit: int, iterations: int
) -> tuple[Machine, int]:
    machine, retracted = sharing_machine(knobs, arrivals, unit), 0
    memory = RadixPages(knobs.tokens, knobs.page_size)
    for number, taken in enumerate(played(Reference(knobs, memory), arrivals, iterations)):
        assert kernel_decided(machine, taken.chunked) == decided(taken), (number, knobs)
        retracted += len(taken.retracted)
    return machine, retracted


def test_random_configurations_decide_alike() -> None:
    found = evicted = retracted = 0
    for seed in range(12):
        machine, thrown_out = assert_same(*sharing_case(seed, requests=150), 300)
        found += int(machine.memory.book["all_found"])
        evicted += int(machine.memory.book["all_evicted"])
        retracted += thrown_out
    assert min(found, evicted, retracted) > 10


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_any_configuration_decides_alike(seed: int, requests: int) -> None:
    assert_same(*sharing_case(seed, requests), 120)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32))
def test_where_nothing_is_shared_only_the_retracted_find_pages(seed: int) -> None:
    knobs, arrivals, unit = sharing_case(seed, 60)
    apart = [
        replace(a, token_ids=tuple(10**6 * i + j for j in range(10, a.prompt + a.output + 10)))
        for i, a in enumerate(arrivals)
    ]
    machine, retracted = assert_same(knobs, apart, unit, 200)
    assert retracted or machine.memory.book["all_found"] == 0


def decisions(knobs: Knobs, arrivals: list[Arrival], unit: int = 1) -> list[dict[int, int]]:
    """Tokens computed per request, of each iteration of the kernel."""
    machine = sharing_machine(knobs, arrivals, unit)
    taken = []
    while (done := step(machine)) is not None:
        taken.append(done.tokens)
    return taken


def test_what_a_conversation_generated_is_found_by_its_next_turn() -> None:
    # Turn 1 has 6 + 5 tokens, of which the last is never computed: 10 are, 5 pages of 2. Turn 2
    # begins with 11 tokens of turn 1, so 10 of its 12 need no computing.
    first, second = tuple(range(11)), (*range(11), 99, 100)
    arrivals = [Arrival(0, 6, 5, 5, first), Arrival(20, 12, 1, 1, second)]
    steps = decisions(replace(CACHED, tokens=32, page_size=2), arrivals, unit=2)
    assert steps == [{0: 6}, {0: 1}, {0: 1}, {0: 1}, {0: 1}, {1: 2}]


def test_the_last_token_of_a_prompt_is_always_computed() -> None:
    same = tuple(range(8))
    arrivals = [Arrival(0, 7, 1, 1, same), Arrival(5, 7, 1, 1, same)]
    assert decisions(replace(CACHED, tokens=32), arrivals) == [{0: 7}, {1: 1}]


def test_what_was_generated_is_evicted_before_its_prompt() -> None:
    # 12 tokens. Request 0 leaves 4 + 3 behind; request 1 takes the 5 others and needs one more,
    # so the least recently used leaf goes: the 3. The prompt is there for request 2.
    arrivals = [
        Arrival(0, 4, 4, 4, tuple(range(8))),
        Arrival(4, 5, 2, 2, tuple(range(20, 27))),
        Arrival(6, 5, 1, 1, (0, 1, 2, 3, 50, 51)),
    ]
    steps = decisions(replace(CACHED, tokens=12), arrivals)
    assert steps == [{0: 4}, {0: 1}, {0: 1}, {0: 1}, {1: 5}, {1: 1}, {2: 1}]


def test_keys_are_whole_pages() -> None:
    arrivals = [Arrival(0, 6, 1, 1, tuple(range(7)))]
    with pytest.raises(InputError, match="keys of 6 tokens are not a whole number of pages of 4"):
        Machine(Sglang(page_size=4), 32, UnitTime(), sharing_feed(arrivals, 6))


def recorded() -> list[dict[str, object]]:
    return list(json.loads(RECORDING.read_text())["runs"])


@pytest.mark.parametrize("run", recorded(), ids=lambda run: f"seed {run['seed']}")
def test_the_kernel_decides_as_the_real_engine_did(run: dict[str, object]) -> None:
    machine = sharing_machine(*sharing_case(int(str(run["seed"]))))
    rows = run["steps"]
    assert isinstance(rows, list)
    for row in rows:
        counts, preempted, finished, free, ratio, chunked, evictable = row
        taken = kernel_decided(machine, chunked)
        assert taken is not None
        shown = [sorted(taken[name]) for name in ("preempted", "finished")]
        shown += [taken[name] for name in ("free", "ratio", "evictable")]
        total = sum(taken["tokens"].values())
        assert [len(taken["tokens"]), total] == counts
        assert shown == [preempted, finished, free, ratio, evictable]
