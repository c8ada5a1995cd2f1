"""SGLang's kernel against its plain reference, and against what the real engine did.

The reference was compared with the real scheduling classes of SGLang 0.5.23, and the recording
was made from them: `tests/engines/sglang`, which runs where SGLang is installed.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.engines.sglang import Arrival, Knobs
from reference.engines.sglang import Sglang as Reference
from sglang_cases import case, decided, kernel_decided, machine_of, played

RECORDING = Path(__file__).parent / "data" / "sglang_0_5_23_decisions.json"


def assert_same(knobs: Knobs, arrivals: list[Arrival], iterations: int) -> int:
    machine = machine_of(knobs, arrivals)
    retracted = 0
    for number, taken in enumerate(played(Reference(knobs), arrivals, iterations)):
        assert kernel_decided(machine, taken.chunked) == decided(taken), (number, knobs)
        retracted += len(taken.retracted)
    return retracted


def test_random_configurations_decide_alike() -> None:
    assert sum(assert_same(*case(seed), 300) for seed in range(20)) > 40


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_any_configuration_decides_alike(seed: int, requests: int) -> None:
    assert_same(*case(seed, requests), 120)


def test_the_ratio_counts_no_more_than_4096_tokens_of_a_request() -> None:
    # max_new of 6,000: remaining tokens cross the clip while others are admitted.
    arrivals = [
        Arrival(100 * i, 10, 2500 if i % 3 else 30, 6000 if i % 3 else 40) for i in range(40)
    ]
    assert_same(Knobs(tokens=20_000, schedule_conservativeness=0.2), arrivals, 4000)


def test_equality_is_decided_with_the_engine_s_rounding() -> None:
    # Reservations of 0.7 * 10 per running request: their float sum is not always a whole number.
    for tokens in range(150, 260):
        arrivals = [Arrival(i // 4, 5, 10, 11) for i in range(200)]
        knobs = Knobs(tokens=tokens, prefill_max_requests=4, init_new_token_ratio=0.7)
        assert_same(knobs, arrivals, 40)


def recorded() -> list[dict[str, object]]:
    return list(json.loads(RECORDING.read_text())["runs"])


@pytest.mark.parametrize("run", recorded(), ids=lambda run: f"seed {run['seed']}")
def test_the_kernel_decides_as_the_real_engine_did(run: dict[str, object]) -> None:
    knobs, arrivals = case(int(str(run["seed"])))
    machine = machine_of(knobs, arrivals)
    rows = run["steps"]
    assert isinstance(rows, list)
    for row in rows:
        tokens, preempted, finished, free, ratio, chunked = row
        taken = kernel_decided(machine, chunked)
        assert taken is not None
        shown = [sorted(taken[name]) for name in ("preempted", "finished")]
        total = sum(taken["tokens"].values())
        assert [len(taken["tokens"]), total, *shown, taken["free"], taken["ratio"]] == [
            *tokens,
            preempted,
            finished,
            free,
            ratio,
        ]
