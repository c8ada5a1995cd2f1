"""What vLLM does beside admitting and evicting goes on as before under the plug-in.

Pauses, aborts, preemption of everybody, structured output, streaming sessions and KV that comes
from elsewhere, on the real scheduler; speculative decoding is in `test_vllm_plugin_engine`.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from reference.engines.vllm import Arrival, Knobs
from vllm_runs import Case

pytest.importorskip("vllm.v1", reason="vLLM is not installed: tests/engines/requirements")

from vllm.distributed.kv_transfer.kv_connector.v1 import KVConnectorBase_V1
from vllm.sampling_params import SamplingParams, StructuredOutputsParams
from vllm.v1.core.sched.interface import PauseState
from vllm.v1.outputs import KVConnectorOutput, ModelRunnerOutput
from vllm.v1.request import Request, RequestStatus

from engines.vllm.drive import Driver, drive
from engines.vllm.plugged import Audit, audited, plugged, steps_of

# One may run: as long as somebody does, the policy's answer is 0.
ONE = "max-active:requests=1"


def case_of(requests: int, *, blocks: int = 240, asynchronous: bool = False) -> Case:
    asked = tuple(Arrival(i // 4, 10 + i % 7, 12 + i % 11) for i in range(requests))
    return Case(Knobs(async_scheduling=asynchronous), blocks, 4, asked)


@pytest.fixture(params=[False, True], ids=["synchronous", "asynchronous"])
def asynchronous(request) -> bool:
    return request.param


def ordinary(name: str, prompt: int, output: int, **options: Any) -> Request:
    """A request that the driver did not think of itself."""
    params = SamplingParams(max_tokens=output, ignore_eos=True, **options.pop("params", {}))
    return Request(name, [1] * prompt, params, None, arrival_time=0.0, **options)


def hand(tmp_path, policy: str = ONE, *, blocks: int = 240) -> tuple[Driver, Audit]:
    """An engine to whose scheduler requests are given one by one."""
    driver = plugged(tmp_path, Case(Knobs(async_scheduling=False), blocks, 4, ()), policy)
    return driver, audited(driver)


def turn(driver: Driver, received: tuple[str, ...] = ()) -> list[str]:
    """One iteration, in which every token is 1; returns who runs after schedule()."""
    scheduler = driver.scheduler
    decided = scheduler.schedule()
    running = [request.request_id for request in scheduler.running]
    names = list(decided.num_scheduled_tokens)
    sampled = ModelRunnerOutput(
        req_ids=names,
        req_id_to_index={name: i for i, name in enumerate(names)},
        sampled_token_ids=[
            [] if scheduler.requests[name].is_prefill_chunk else [1] for name in names
        ],
        kv_connector_output=KVConnectorOutput(finished_recving=set(received)),
    )
    scheduler.update_from_output(decided, sampled)
    return running


@pytest.mark.parametrize("policy", ["steady", "max-active:requests=6"])
def test_aborted_requests_leave_and_the_others_are_served(policy, asynchronous, tmp_path):
    case = case_of(60, asynchronous=asynchronous)
    driver = plugged(tmp_path, case, policy)
    audit, scheduler = audited(driver), driver.scheduler
    aborted: set[str] = set()

    def each(number: int) -> None:
        if number and number % 5 == 0:
            lists = (scheduler.running, scheduler.waiting)
            names = {queue[len(queue) // 2].request_id for queue in lists if queue}
            scheduler.finish_requests(names, RequestStatus.FINISHED_ABORTED)
            aborted.update(names)

    finished: set[int] = set()
    for step in steps_of(driver, case, 600, each):
        finished |= set(step.finished)
    ledger = scheduler.kvsteady.regulator.ledger
    assert len(aborted) > 5
    assert finished | {int(name) for name in aborted} == set(range(60))
    assert ledger.completed == 60 - len(aborted)  # an abort says nothing of an output's length
    assert scheduler.kvsteady.regulator.why_aside is None
    assert audit.looks > 30
    assert not scheduler.kvsteady._prefilling
    assert not scheduler.kvsteady._lost


@pytest.mark.parametrize("state", ["PAUSED_NEW", "PAUSED_ALL"])
def test_a_pause_is_a_pause_and_work_goes_on_after(state, asynchronous, tmp_path):
    case = case_of(40, asynchronous=asynchronous)
    driver = plugged(tmp_path, case, "steady", patience=20)
    audit, scheduler = audited(driver), driver.scheduler
    paused = range(20, 120)

    def each(number: int) -> None:
        if number in (paused.start, paused.stop):
            on = number == paused.start
            scheduler.set_pause_state(PauseState[state] if on else PauseState.UNPAUSED)

    steps = list(steps_of(driver, case, 600, each))
    for step in steps[paused.start : paused.stop]:
        assert not step.admitted + step.resumed
        assert state == "PAUSED_NEW" or not step.tokens
    assert sum(len(step.finished) for step in steps) == 40
    regulator = scheduler.kvsteady.regulator
    assert regulator.why_aside is None
    # It is not asked while nothing is computed, so its time stands still.
    slept = len(paused) if state == "PAUSED_ALL" else 0
    assert audit.looks <= sum(bool(s.tokens or s.waiting or s.running) for s in steps) - slept + 2
    assert regulator.ledger.overruled == 0


def test_everybody_preempted_at_once_comes_back(asynchronous, tmp_path):
    case = case_of(40, asynchronous=asynchronous)
    driver = plugged(tmp_path, case, "steady")
    audit = audited(driver)

    def each(number: int) -> None:
        if number in (15, 16, 40):
            driver.scheduler.reset_prefix_cache(reset_running_requests=True)

    steps = list(steps_of(driver, case, 600, each))
    ledger = driver.scheduler.kvsteady.regulator.ledger
    assert sum(len(step.finished) for step in steps) == 40
    assert ledger.evicted > 3
    assert ledger.recomputed > 0
    assert audit.gate_is_as_it_was()


def test_a_grammar_that_is_not_ready_holds_up_nobody_else(tmp_path):
    driver, audit = hand(tmp_path)
    json = {"structured_outputs": StructuredOutputsParams(json="{}")}
    driver.scheduler.add_request(ordinary("json", 5, 3, params=json))
    driver.scheduler.add_request(ordinary("first", 5, 3))
    driver.scheduler.add_request(ordinary("second", 5, 3))
    driver.scheduler.structured_output_manager.accept_tokens = lambda *_: True
    seen = [turn(driver) for _ in range(4)]
    assert seen == [["first"], ["first"], ["first"], ["second"]]
    request = driver.scheduler.requests["json"]
    assert request.status is RequestStatus.WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR
    request.structured_output_request.grammar = SimpleNamespace()
    assert [turn(driver) for _ in range(6)] == [["second"]] * 2 + [["json"]] * 3 + [[]]
    assert audit.looks == 9


def test_a_session_that_has_its_next_input_is_not_kept_waiting(tmp_path):
    driver, _ = hand(tmp_path)
    scheduler = driver.scheduler

    def talk(tokens: int) -> None:
        scheduler.add_request(ordinary("session", tokens, 2, resumable=True))

    talk(6)
    scheduler.add_request(ordinary("long", 5, 30))
    scheduler.add_request(ordinary("next", 5, 30))
    assert [turn(driver) for _ in range(2)] == [["session"]] * 2
    # It waits for input and holds its blocks: it takes no place from the others.
    assert scheduler.num_waiting_for_streaming_input == 1
    assert [turn(driver) for _ in range(3)] == [["long"]] * 3
    talk(4)
    # The policy admits nobody while one runs; whoever holds memory must go on to free it.
    assert [turn(driver) for _ in range(2)] == [["long", "session"]] * 2
    assert turn(driver) == ["long"]
    ledger = scheduler.kvsteady.regulator.ledger
    assert (ledger.admitted, ledger.quota) == (3, 0)
    assert scheduler.kvsteady.regulator.why_aside is None


def connected(scheduler: Any, remote: dict[str, int]) -> None:
    """A connector that loads so many tokens of some requests while others compute."""
    connector = MagicMock(spec=KVConnectorBase_V1)
    connector.has_pending_block_frees.return_value = False
    connector.supports_divergent_local_hybrid_hits = False
    connector.get_num_new_matched_tokens.side_effect = lambda request, _: (
        remote.get(request.request_id, 0),
        request.request_id in remote,
    )
    connector.get_loaded_kv_cache_group_ids.return_value = ()
    connector.request_finished.return_value = (False, None)
    connector.get_kv_connector_stats.return_value = None
    connector.take_events.return_value = None
    scheduler.connector = connector


def test_kv_that_came_from_elsewhere_is_used_at_once(tmp_path):
    driver, _ = hand(tmp_path)
    scheduler = driver.scheduler
    connected(scheduler, {"remote": 8})
    for name, output in (("remote", 3), ("long", 30), ("next", 30)):
        scheduler.add_request(ordinary(name, 9, output))
    # The load begins, and the place of who loads goes to the next.
    assert turn(driver) == ["long"]
    assert scheduler.requests["remote"].status is RequestStatus.WAITING_FOR_REMOTE_KVS
    assert turn(driver) == ["long"]
    assert turn(driver, received=("remote",)) == ["long"]
    assert [turn(driver) for _ in range(3)] == [["long", "remote"]] * 3
    assert turn(driver) == ["long"]
    view = scheduler.kvsteady.regulator.view
    assert view.facts["shown_running"] == 1
    assert scheduler.kvsteady.regulator.why_aside is None


def test_kv_that_is_being_loaded_counts_as_memory(tmp_path):
    driver, audit = hand(tmp_path, "no-evict", blocks=20)
    connected(driver.scheduler, {"remote": 8})
    driver.scheduler.add_request(ordinary("remote", 9, 31))
    turn(driver)
    driver.scheduler.add_request(ordinary("large", 9, 55))
    # 40 and 64 tokens would fit one after the other into 80, not together.
    assert [turn(driver) for _ in range(3)] == [[], [], []]
    assert audit.watch.regulator.view.facts["shown_running"] == 1
    assert turn(driver, received=("remote",)) == []
    assert [turn(driver) for _ in range(3)] == [["remote"]] * 3


def shared_prompts() -> Iterator[Arrival]:
    for i in range(60):
        yield Arrival(i // 2, 40, 20, 0, tuple([7] * 32 + [i] * 28))


def test_with_a_prefix_cache_what_is_found_is_not_recomputed(tmp_path):
    case = Case(Knobs(async_scheduling=False), 90, 4, tuple(shared_prompts()), prefix_caching=True)
    stock = list(drive(tmp_path, case, 400))
    evicted = sum(len(step.preempted) for step in stock)
    assert evicted > 0
    driver = plugged(tmp_path, case, "greedy")
    steps = list(steps_of(driver, case, 400))
    ledger = driver.scheduler.kvsteady.regulator.ledger
    assert steps == stock
    assert (ledger.evicted, ledger.resumed) == (evicted, evicted)
    # At least the shared blocks of a victim were found again, as others held them.
    lost = driver.scheduler.kvsteady
    assert 0 < ledger.recomputed < 60 * evicted - 32 * evicted
    assert not lost._lost
