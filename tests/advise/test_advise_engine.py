"""`check` with an engine: what it measures there, against theory and against real engines."""

from __future__ import annotations

import pytest

from kvsteady.advise import OnEngine, check, estimate_engine, load_analysis
from kvsteady.advise.engine_counsel import settings_with
from kvsteady.advise.settings import engine_settings
from kvsteady.model import Eviction, System
from kvsteady.model.admission import Pace
from kvsteady.simulate.engines.paper import Paper
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.times import LinearTime, fitted_time
from kvsteady.theory.caps import rate_caps
from kvsteady.theory.equilibrium import equilibrium
from kvsteady.workload import Workload

SECOND = LinearTime(iteration=1.0, prefill=0.0, decode=0.0, kv_read=0.0)
TINY = System(Workload.fixed(16, 32), 960)
STOCK = Vllm(block_size=1, enable_prefix_caching=False, async_scheduling=False)


def test_the_papers_engine_ends_in_the_worst_cycle():
    """Theory section 4: the worst cycle completes M / (l1 (l0 + l1)) = 960 / (32 · 48) requests
    per iteration, and under a cap below x* nothing is evicted."""
    on = OnEngine(Paper(), SECOND, "a second", Eviction.RESTART)
    found = estimate_engine(TINY, on, Pace(0.9, 1.9))
    assert found.greedy.completions_per_iteration == pytest.approx(960 / (32 * 48), rel=2e-3)
    assert found.greedy.outcome == "ran"
    assert found.capped.preemptions_per_completion == 0
    assert found.capped.completions_per_iteration == pytest.approx(0.9, rel=1e-3)
    assert found.capped.output_tokens_per_second == pytest.approx(0.9 * 32, rel=1e-3)
    assert found.capped.itl_p99_ms == pytest.approx(1000, rel=0.01)


def test_vllm_recomputes_what_the_real_scheduler_recomputed():
    """engines.md: vLLM's own scheduler, second half of 2,000 steps: .950 completions and .728
    preemptions per step, 27.6% of computed tokens again; capped at .923 none. This run is longer,
    and its average is that of the cycle (.940; see docs/theory.md, section 6)."""
    found = estimate_engine(TINY, OnEngine(STOCK, SECOND, "a second"), Pace(0.923, 1.923))
    greedy, capped = found.greedy, found.capped
    assert greedy.completions_per_iteration == pytest.approx(0.945, abs=0.01)
    assert greedy.preemptions_per_completion == pytest.approx(0.728 / 0.950, rel=0.05)
    assert greedy.recomputed_share == pytest.approx(0.276, abs=0.015)
    assert capped.recomputed_share == 0
    assert capped.preemptions_per_completion == 0
    assert capped.completions_per_iteration == pytest.approx(0.923, rel=1e-3)


def test_settings_that_change_something_do_not_say_there_is_nothing_to_change():
    """Theory may leave vLLM as it is where runs of it gain from a policy."""
    tokens = LinearTime(iteration=0.0, prefill=0.001, decode=0.001, kv_read=0.0)
    tuning = check(TINY, on=OnEngine(STOCK, tokens, "tokens")).tuning
    assert tuning is not None
    assert tuning.outcome == "use-policy"
    for act in (False, True):
        theory = engine_settings(TINY, equilibrium(TINY), rate_caps(TINY), act=act)
        own, *others = settings_with(theory, tuning)
        assert "kvsteady.plugins.vllm" in own.settings[0].paste
        assert all("nothing to change" not in each.effect for each in own.settings)
        assert len(own.settings) == 1 + act * len(theory[0].settings)
        assert others == list(theory[1:])


def test_an_analysis_keeps_the_estimate_and_speaks_of_it():
    on = OnEngine(STOCK, fitted_time("llama-3.1-8b_h100"), "Llama on H100")
    analysis = check(TINY, on=on)
    again = load_analysis(analysis.to_json())
    assert again.engine == analysis.engine
    assert again.engine is not None
    assert again.engine.engine == "vllm-0.32.0"
    assert again.engine.eviction == "resume"
    first = analysis.advice[0]
    assert "vllm-0.32.0" in first.title + first.text
    assert again.tuning == analysis.tuning
    assert again.tuning is not None
    assert again.tuning.time == "Llama on H100"
    assert check(TINY).engine is None
    assert check(TINY).tuning is None
