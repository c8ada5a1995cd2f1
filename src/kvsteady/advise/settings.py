"""Numbers to settings that can be pasted, each with the released source that defines it."""

from __future__ import annotations

from typing import Final

from kvsteady.advise.analysis import EngineSettings, Setting
from kvsteady.advise.bursts import admissions_in_bursts
from kvsteady.model.system import System
from kvsteady.theory.caps import RateCaps, reservation_rate
from kvsteady.theory.equilibrium import Equilibrium

DEFAULTS: Final = "(defaults)"
"""What is pasted where nothing is to be changed."""


def changes(setting: Setting) -> bool:
    """Whether it changes anything."""
    return setting.paste != DEFAULTS


def engine_settings(
    system: System, balance: Equilibrium, caps: RateCaps, *, act: bool
) -> tuple[EngineSettings, ...]:
    """Settings for vLLM, SGLang and TensorRT-LLM; ``act`` False where defaults are right."""
    return (
        _vllm(system, balance, caps, act=act),
        _sglang(caps, act=act),
        _tensorrt_llm(system, balance, act=act),
    )


def _vllm(system: System, balance: Equilibrium, caps: RateCaps, *, act: bool) -> EngineSettings:
    config = "vllm 0.33.0, vllm/config/scheduler.py, SchedulerConfig"
    defaults = Setting(
        paste=DEFAULTS,
        effect="nothing to change; watch vllm:num_preemptions_total",
        source="vllm 0.33.0, vllm/v1/metrics/loggers.py",
    )
    block, largest = system.block_size, system.workload.largest_request
    fitting = system.kv_tokens // block // -(-largest // block)
    paged = balance.admissions_blocks * system.workload.mean_output  # running at equilibrium
    given_up = max(0.0, 1 - fitting / paged)
    pace = Setting(
        paste=f"# client: submit at most {caps.steady:.4g} × (iterations per second) requests/s",
        effect="the rate cap, kept outside the engine: no vLLM flag limits admissions per step. "
        f"Gives up {caps.given_up:.1%} of decode capacity",
        source="vllm 0.33.0, vllm/v1/core/sched/scheduler.py: admits while memory allows",
    )
    watermark = Setting(
        paste="--watermark 0.05",
        effect="keeps 5% of blocks free at admission: fewer preemptions, not none",
        source=f"{config}.watermark, since 0.24; vllm pull 44594: 1065 → 187 preemptions",
    )
    concurrency = Setting(
        paste=f"--max-num-seqs {fitting}",
        effect=f"never preempts: {fitting} of the largest request fit. Gives up "
        f"{given_up:.0%} of decode capacity, so only where latency matters more",
        source=f"{config}.max_num_seqs",
    )
    return EngineSettings(
        engine="vLLM",
        version="0.33.0",
        eviction="resume",
        note="preempted requests keep their tokens and prefill again",
        settings=(pace, watermark, concurrency) if act else (defaults,),
    )


def _sglang(caps: RateCaps, *, act: bool) -> EngineSettings:
    source = "sglang 0.5.23, sglang/srt/arg_groups/fields/schedule.py, Schedule"
    pace = admissions_in_bursts(caps.steady)
    capped = Setting(
        paste=f"--prefill-max-requests {pace.numerator} "
        f"--prefill-decode-interval {pace.denominator}",
        effect=f"at most {float(pace):.4g} admissions per decode step (cap {caps.steady:.4g}); "
        "prompts longer than a chunk pay the interval once per chunk; not with "
        "--enable-mixed-chunk",
        source=f"{source}; scheduler.py counts the interval from each prefill batch",
    )
    defaults = Setting(
        paste=DEFAULTS,
        effect="nothing to change; watch sglang:num_retracted_requests_total",
        source="sglang 0.5.23, sglang/srt/observability/metrics_collector.py",
    )
    return EngineSettings(
        engine="SGLang",
        version="0.5.23",
        eviction="resume",
        note="retracted requests keep their tokens and prefill again",
        settings=(capped,) if act else (defaults,),
    )


def _tensorrt_llm(system: System, balance: Equilibrium, *, act: bool) -> EngineSettings:
    reserved = reservation_rate(system) / balance.admissions_blocks
    file = "TensorRT-LLM, tensorrt_llm/llmapi/llm_args.py, SchedulerConfig"
    if act:
        setting = Setting(
            paste="scheduler_config:\n  capacity_scheduler_policy: GUARANTEED_NO_EVICT",
            effect="the default of KV cache manager V1: never evicts, by reserving prompt + "
            f"max_tokens. At best {reserved:.0%} of x* in blocks, and only if max_tokens is the "
            "true output length. V2 knows only MAX_UTILIZATION: also set "
            "kv_cache_config.use_kv_cache_manager_v2: false",
            source=f"{file}; YAML given by trtllm-serve --config FILE",
        )
    else:
        setting = Setting(
            paste=DEFAULTS,
            effect="KV cache manager V1 reserves and never evicts: at best "
            f"{reserved:.0%} of x* in blocks. V2 pauses requests when memory is full (resume)",
            source=f"{file}; _torch/pyexecutor/scheduler",
        )
    return EngineSettings(
        engine="TensorRT-LLM",
        version="main@0004396",
        eviction="none",
        note="requests reserve prompt + max_tokens (GUARANTEED_NO_EVICT)",
        settings=(setting,),
    )
