"""The flags that an engine has of its own, and how they are spelled there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, TypeAlias

from kvsteady.advise.bursts import admissions_in_bursts
from kvsteady.advise.tuning.change import Options
from kvsteady.advise.tuning.rates import steady_rate
from kvsteady.model.system import System
from kvsteady.theory.equilibrium import equilibrium

Make: TypeAlias = Callable[[Any, System, float], Mapping[str, Any]]
"""From the engine as it is, a system and a value to options; none where it does not apply."""


@dataclass(frozen=True)
class Family:
    """A flag, or flags that go together, with the values that are tried.

    ``quick`` are those for a first look.
    """

    name: str
    make: Make
    values: tuple[float, ...]
    quick: tuple[float, ...]


def _plain(option: str) -> Make:
    return lambda _, __, value: {option: value}


def _running(option: str, **beside: Any) -> Make:
    """Bound what runs at once, as a share of what the equilibrium holds in blocks."""

    def make(engine: Any, system: System, share: float) -> Mapping[str, Any]:
        running = equilibrium(system).admissions_blocks * system.workload.mean_output
        most = max(1, round(share * running))
        return {option: most, **beside} if most < getattr(engine, option) else {}

    return make


def _vllm_running(engine: Any, system: System, share: float) -> Mapping[str, Any]:
    option = "max_num_seqs" if engine.max_num_active_seqs is None else "max_num_active_seqs"
    return _running(option)(engine, system, share)


def _paced(conservativeness: float | None) -> Make:
    """SGLang's own rate cap: P requests per prefill, one prefill every k decode iterations.

    The value is how many times the shortest such k. With a reservation for those who run on top
    the cap is hardly reached, so that is also tried nearly switched off.
    """

    def make(engine: Any, system: System, times: float) -> Mapping[str, Any]:
        rate = steady_rate(system)
        pace = admissions_in_bursts(rate)
        interval = round(times * pace.denominator)
        most = max(1, int(Fraction(rate) * interval))
        found = {"prefill_max_requests": most, "prefill_decode_interval": min(interval, 5000)}
        if conservativeness is not None:
            found["schedule_conservativeness"] = min(
                conservativeness, engine.schedule_conservativeness
            )
        return found

    return make


def _margin(engine: Any, system: System, value: float) -> Mapping[str, Any]:
    del system
    return {} if value == engine.habits().safety_margin else {"safety_margin": value}


_SHARES: Final = (0.7, 0.8, 0.9, 1.0)
_FEW_SHARES: Final = (0.8, 0.95)

FAMILIES: Final[Mapping[str, tuple[Family, ...]]] = {
    "vllm": (
        Family("--watermark", _plain("watermark"), (0.0, 0.01, 0.02, 0.05, 0.1, 0.2), (0.01, 0.05)),
        Family("--max-num-seqs", _vllm_running, _SHARES, _FEW_SHARES),
    ),
    "sglang": (
        Family(
            "--schedule-conservativeness",
            _plain("schedule_conservativeness"),
            (0.05, 0.2, 0.5, 1.0, 1.4),
            (0.2, 1.4),
        ),
        Family("--max-running-requests", _running("max_running_requests"), _SHARES, _FEW_SHARES),
        Family("--prefill-max-requests", _paced(None), (1, 4, 16), (1, 8)),
        Family("--prefill-max-requests, low reservation", _paced(0.02), (1, 4, 16), (1, 8)),
    ),
    "tensorrt-llm": (
        Family(
            "capacity_scheduler_policy",
            lambda engine, _, __: {
                "policy": "GUARANTEED_NO_EVICT"
                if engine.policy == "MAX_UTILIZATION"
                else "MAX_UTILIZATION"
            },
            (0,),
            (0,),
        ),
        Family("max_batch_size", _running("max_batch_size"), _SHARES, _FEW_SHARES),
        Family(
            "max_batch_size, MAX_UTILIZATION",
            _running("max_batch_size", policy="MAX_UTILIZATION"),
            _SHARES,
            _FEW_SHARES,
        ),
    ),
    "transformers": (
        Family("safety_margin", _margin, (0.0, 0.05, 0.15, 0.3), (0.0, 0.3)),
        Family("max_requests_per_batch", _running("max_requests_per_batch"), _SHARES, _FEW_SHARES),
        Family(
            "scheduler_type",
            lambda *_: {"scheduler_type": "prefill_first"},
            (0,),
            (0,),
        ),
    ),
}
"""By engine. Only options that decide who gets in, and when."""

# What they are called where the engine is started, if not by their own names.
_TRTLLM: Final = {"policy": "scheduler_config.capacity_scheduler_policy"}


def spelled(engine: str, options: Options) -> str:
    """Options as they are given to the engine, in one line."""
    if engine == "tensorrt-llm":
        return ", ".join(f"{_TRTLLM.get(name, name)}: {_value(value)}" for name, value in options)
    if engine == "transformers":
        inside = ", ".join(f"{name}={value!r}" for name, value in options)
        return f"ContinuousBatchingConfig({inside})"
    return " ".join(_flag(name.replace("_", "-"), value) for name, value in options)


def _flag(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {_value(value)}"


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
