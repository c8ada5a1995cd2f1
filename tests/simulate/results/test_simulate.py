"""Whole runs: numbers counted by hand, by the exact model, and on the real vLLM scheduler."""

from __future__ import annotations

import pytest
from by_hand import Listed, scenario

from kvsteady.errors import InputError
from kvsteady.model import Eviction, System, iterate
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.fleet import Replica, RoundRobin, Stop
from kvsteady.simulate.loads import AtOnce, Closed, Poisson, Saturated, Sessions
from kvsteady.simulate.results.objectives import Objectives
from kvsteady.simulate.results.simulation import load_simulation
from kvsteady.simulate.scenario import Scenario
from kvsteady.simulate.simulate import simulate
from kvsteady.simulate.times import LinearTime, fitted_time
from kvsteady.workload import Workload

TIERS = Workload.classes([(16, 8), (16, 16), (16, 32)])


def test_one_request_by_hand() -> None:
    # Comes at 2.5 s into an idle engine: iterations 2.5–3.5, 3.5–4.5, 4.5–5.5 bring its 3 tokens.
    # It holds 5, 6 and 7 of 10 KV tokens in them.
    run = simulate(scenario(Listed({"time": 2.5, "prompt": 4, "output": 3}), 10))
    assert (run.outcome, run.completed, run.unfinished, run.failed) == ("completed", 1, 0, 0)
    assert (run.mean_ttft_ms, run.mean_tpot_ms, run.mean_e2el_ms) == (1000, 1000, 3000)
    assert run.mean_itl_ms == 1000
    assert run.mean_queue_ms == 0
    assert run.duration == 5.5
    assert run.request_throughput == pytest.approx(1 / 5.5)
    assert run.output_throughput == pytest.approx(3 / 5.5)
    assert run.total_token_throughput == pytest.approx(7 / 5.5)
    assert run.kv_cache_usage_perc == pytest.approx((5 + 6 + 7) / (10 * 5.5))
    assert run.max_kv_cache_usage_perc == pytest.approx(0.7)
    assert run.num_requests_running == pytest.approx(2 / 5.5)  # it left in the third iteration
    assert (run.computed_tokens, run.recomputed_tokens) == (4 + 3, 0)
    assert run.replicas[0].busy == pytest.approx(3 / 5.5)


def test_an_eviction_by_hand() -> None:
    # Two of prompt 4, output 4 in 13 tokens: 5+5, 6+6; then 7+7 do not fit, the second (6 held,
    # 2 generated) is evicted in iteration 3 and waits while the first ends in iterations 3 and 4.
    # No admission in the step that evicts; in iteration 4 the first needs 8 of 13 and 4 + 2 + 1 = 7
    # do not fit; in iteration 5 it is prefilled (4 + 2 tokens) and gets its third token, in 6 the
    # last one.
    load = Listed(*[{"prompt": 4, "output": 4}] * 2)
    run = simulate(scenario(load, 13))
    assert run.num_preemptions_total == 1
    assert run.preemptions_per_request == 0.5
    assert run.recomputed_tokens == 6
    assert run.computed_tokens == 4 + 4 + 6 + 8  # prefills and 8 output tokens
    assert run.prefilled_tokens == 4 + 4 + 6
    assert run.recompute_tax == pytest.approx(6 / 14)
    assert run.recomputed_share == pytest.approx(6 / 22)
    assert (run.median_e2el_ms, run.duration) == (5000, 6)  # 4 s and 6 s
    assert run.median_tpot_ms == pytest.approx(1000 * (3 / 3 + 5 / 3) / 2)
    assert run.outcome == "evicting"
    assert "resume" in run.advice[0]


def test_under_restart_generated_tokens_are_lost() -> None:
    # As above, but the second begins anew: 4 + 1 tokens fit beside the first's 8 in iteration 4
    # already, and it ends in 7; 2 tokens were wasted.
    load = Listed(*[{"prompt": 4, "output": 4}] * 2)
    run = simulate(scenario(load, 13, eviction=Eviction.RESTART))
    assert (run.wasted_tokens, run.duration, run.num_preemptions_total) == (2, 7, 1)
    assert run.setup.eviction == "restart"


@pytest.mark.parametrize("eviction", [Eviction.RESTART, Eviction.RESUME])
def test_totals_are_those_of_the_exact_model(eviction: Eviction) -> None:
    exact = iterate(System(TIERS, 960), steps=1200, arithmetic="integer", eviction=eviction)
    run = simulate(
        scenario(
            Saturated(TIERS),
            960,
            eviction=eviction,
            stop=Stop(iterations=1200),
            warm_up_iterations=200,
        )
    )
    assert run.iterations == 1000
    assert run.num_preemptions_total == exact.rows[200:, 1].sum()
    assert run.completed == exact.rows[200:, 2].sum()
    assert run.kv_cache_usage_perc == pytest.approx(exact.rows[200:, 3].mean() / 960)
    assert run.request_throughput == pytest.approx(exact.rows[200:, 2].mean())


def test_the_real_vllm_scheduler_was_measured_to_do_so() -> None:
    # engines.md: vLLM's own scheduler, prompt 16, output 32, 960 tokens, block 1, second half of
    # 2,000 steps: 0.950 completions and 0.728 preemptions per step, 27.6% recomputed.
    run = simulate(
        scenario(
            Saturated(Workload.fixed(16, 32)),
            960,
            engine=Vllm(
                block_size=1,
                max_num_seqs=960,
                max_num_batched_tokens=20_000,
                enable_prefix_caching=False,
                async_scheduling=False,
            ),
            stop=Stop(iterations=2000),
            warm_up_iterations=1000,
        )
    )
    assert run.completed / run.iterations == pytest.approx(0.950, abs=6e-4)
    assert run.num_preemptions_total / run.iterations == pytest.approx(0.728, abs=6e-4)
    assert run.recomputed_share == pytest.approx(0.276, abs=6e-4)
    assert run.replicas[0].engine == "vllm-0.32.0"


def test_goodput_counts_who_meets_all_objectives() -> None:
    # All at once into memory for one: they run one after the other, 2 s each.
    load = Listed(*[{"prompt": 4, "output": 2}] * 4)
    run = simulate(scenario(load, 6, objectives=Objectives(ttft=5000, e2el=4000)))
    # TTFT 1, 3, 5, 7 s; E2E 2, 4, 6, 8 s. A limit that is just met is met, as in vLLM bench.
    assert [(o.name, o.met) for o in run.objectives] == [("ttft", 0.75), ("e2el", 0.5)]
    assert run.request_goodput == pytest.approx(2 / 8)


def test_an_output_of_one_token_has_no_tpot_and_meets_it() -> None:
    load = Listed({"prompt": 4, "output": 1})
    run = simulate(scenario(load, objectives=Objectives(tpot=0.001)))
    assert run.mean_tpot_ms is None
    assert run.objectives[0].met == 1


def test_a_request_that_can_never_fit_is_rejected_by_name() -> None:
    load = Listed({"id": 7, "prompt": 90, "output": 20}, {"id": 8, "prompt": 5, "output": 5})
    run = simulate(scenario(load, 100))
    assert (run.completed, run.failed, run.unfinished) == (1, 1, 0)
    assert run.rejected[0].id == 7
    assert "request 7 with prompt 90 and output 20 can never fit" in run.rejected[0].text
    assert any("rejected" in item for item in run.advice)


def test_warm_up_is_not_measured() -> None:
    whole = simulate(scenario(AtOnce(TIERS, 300), 960))
    late = simulate(scenario(AtOnce(TIERS, 300), 960, warm_up=100))
    assert late.duration == pytest.approx(whole.duration - 100)
    assert 0 < late.completed < whole.completed
    # Figures show the warm-up too.
    assert late.curves.num_requests_running == whole.curves.num_requests_running
    with pytest.raises(InputError, match="warm_up"):
        simulate(scenario(AtOnce(TIERS, 3), 960, warm_up=1e6))


def test_warm_up_may_end_where_nobody_is_there() -> None:
    load = Listed({"time": 0.0, "prompt": 4, "output": 2}, {"time": 50.0, "prompt": 4, "output": 2})
    run = simulate(scenario(load, warm_up=20.0))
    assert run.completed == 1
    assert run.mean_ttft_ms == 1000


def test_a_growing_queue_is_called_overloaded() -> None:
    # A slot for 10 requests of 16 s each: 0.6 requests/s at most.
    workload = Workload.fixed(14, 16)
    slow = simulate(scenario(Poisson(workload, 0.3, 600), 300))
    fast = simulate(scenario(Poisson(workload, 1.2, 600), 300))
    assert (slow.outcome, fast.outcome) == ("completed", "overloaded")
    assert fast.completed == 600  # it ends all the same, when no more come


def test_a_closed_loop_is_never_overloaded() -> None:
    run = simulate(scenario(Closed(TIERS, 50), 300, stop=Stop(completed=500)))
    assert run.outcome in ("steady", "evicting")
    assert run.completed >= 500


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    "load", [Closed(TIERS, 5, requests=40), Sessions(TIERS, 10, 1.0)], ids=["closed", "sessions"]
)
def test_who_has_served_the_whole_load_has_drained(load: object, count: int) -> None:
    run = simulate(scenario(load, 960, count=count, router=RoundRobin()))
    assert (run.unfinished, run.completed) == (0, 40)
    assert [replica.ended for replica in run.replicas] == ["drained"] * count
    early = simulate(scenario(load, 960, count=count, router=RoundRobin(), stop=Stop(seconds=9)))
    assert [replica.ended for replica in early.replicas] == ["stopped"] * count


def test_notes_of_replicas_that_are_alike_stand_once() -> None:
    times = [fitted_time("llama-3.1-8b_rtx-pro-6000") for _ in range(3)]
    replicas = tuple(Replica(Paper(), 960, time) for time in times)
    run = simulate(Scenario(AtOnce(TIERS, 3), replicas, router=RoundRobin()))
    assert [note for note in run.notes if note.startswith("Iteration times")] == [
        f"Iteration times: {note}" for note in times[0].notes
    ]


def test_several_replicas_add_up() -> None:
    workload = Workload.fixed(10, 10)
    alone = simulate(scenario(AtOnce(workload, 40), 100))
    both = simulate(scenario(AtOnce(workload, 80), 100, count=2, router=RoundRobin()))
    assert [replica.completed for replica in both.replicas] == [40, 40]
    assert [replica.name for replica in both.replicas] == [
        "paper-2606.15555 #0",
        "paper-2606.15555 #1",
    ]
    assert both.request_throughput == pytest.approx(2 * alone.request_throughput)
    assert both.kv_cache_usage_perc == pytest.approx(alone.kv_cache_usage_perc)


def test_same_seed_same_result_and_json_comes_back() -> None:
    described = scenario(Poisson(TIERS, 0.5, 400, seed=5), 300)
    first, second = simulate(described), simulate(described)
    assert first == second
    assert load_simulation(first.to_json()) == first


@pytest.mark.parametrize("data", [b"", b"{}", b'{"schema_version": 9}', b"\xff"])
def test_what_is_no_simulation_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        load_simulation(data, file="x.json")


def test_progress_is_told_and_ends_at_all() -> None:
    seen: list[tuple[int, int | None]] = []
    simulate(
        scenario(AtOnce(TIERS, 200), 960), progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (200, 200)


def test_the_mean_of_times_between_tokens_weighs_tokens() -> None:
    # Iterations of 1 s while one decodes, of 2 s while two do.
    time = LinearTime(iteration=0.0, prefill=0.0, decode=1.0, kv_read=0.0)
    load = Listed({"prompt": 1, "output": 3}, {"time": 2.5, "prompt": 1, "output": 2})
    run = simulate(scenario(load, time=time))
    # First: the paper's engine decodes from the start: 0–1, 1–2, 2–3. Second: 3–4, 4–5.
    assert run.mean_itl_ms == pytest.approx(1000)
    assert run.mean_ttft_ms == pytest.approx((1000 + 1500) / 2)


def test_different_engines_can_run_side_by_side() -> None:
    time = LinearTime(iteration=0.01, prefill=0.0, decode=0.0, kv_read=0.0)
    replicas = (Replica(Paper(), 960, time, name="theory"), Replica(Paper(16), 960, time))
    run = simulate(Scenario(AtOnce(TIERS, 100), replicas, router=RoundRobin()))
    assert [replica.block_size for replica in run.replicas] == [1, 16]
    assert run.replicas[0].name == "theory"
