"""Options of ``kvsteady simulate`` to the scenario that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kvsteady.cli.options import Memory, Traffic
from kvsteady.cli.times import time_part
from kvsteady.errors import InputError, shown
from kvsteady.progress import Progress

if TYPE_CHECKING:
    from kvsteady.simulate.scenario import Scenario

_OPTION = "NAME=VALUE, as in max_num_seqs=256"


def scenario_of(
    traffic: Traffic, memory: Memory, flags: dict[str, Any], seed: int, progress: Progress
) -> Scenario:
    """Make the scenario from the options; ``flags`` has all, by the names of the parameters.

    Raises
    ------
    InputError
        An option that is missing, does not go with another, or is out of range.
    """
    from kvsteady.simulate.runfile import Found, build, schema

    workload = traffic.workload(progress)

    def kv_tokens(block_size: int) -> int:
        # With --kv-tokens what is said of the model is for the iteration time, if anything.
        return memory.capacity(block_size, timed=True).kv_tokens

    trace = None if traffic.trace is None else str(traffic.trace)
    described = schema.RunFile(
        workload=schema.WorkloadPart(
            trace=trace,
            format=traffic.trace_format,
            columns=traffic.columns,
            max_tokens=traffic.max_tokens,
        ),
        load=_load_of(flags),
        requests=flags["requests"],
        engine=schema.EnginePart(flags["engine"] or "vllm", engine_options(flags["option"])),
        memory=memory.part(),
        time=time_part(flags["time"], flags["gpu"]),
        eviction=flags["eviction"],
        rate_cap=_rate_cap(flags["rate_cap"]),
        policy=flags["policy"],
        replicas=1 if flags["replicas"] is None else flags["replicas"],
        router=flags["router"],
        stop=schema.StopPart(flags["seconds"], flags["iterations"]),
        warm_up=flags["warm_up"] or 0.0,
        seed=seed,
    )
    try:
        return build(described, found=Found(workload, kv_tokens), progress=progress)
    except InputError as error:
        if error.file is not None:
            raise
        raise error.but(line=None, field=_flag(error.field, flags)) from None


def _flag(field: str | None, flags: dict[str, Any]) -> str | None:
    """The option that stands for a field of a run file."""
    if field is None or field.startswith("--"):
        return field
    part, _, name = field.rpartition(".")
    if part.endswith("options"):
        return f"--option {name}"
    if part == "policy":
        return f"--policy {name}"
    if field in ("load.size", "load.at"):
        return "--burst"
    return f"--{name.replace('_', '-')}" if name in flags else field


def _load_of(flags: dict[str, Any]) -> Any:
    """The load as a run file would have it; None for the usual one of the workload."""
    from kvsteady.simulate.runfile import schema

    rate, clients, burst = flags["rate"], flags["clients"], flags["burst"]
    kind = flags["load"] or _implied(flags)
    needed: dict[str, dict[str, Any]] = {
        "poisson": {"rate": rate},
        "gamma": {"rate": rate},
        "closed": {"clients": clients},
        "burst": {"rate": rate, "burst": burst},
    }
    for name, value in needed.get(kind or "", {}).items():
        if value is None:
            raise InputError(f"--{name} is missing", allowed=f"--{name} with --load {kind}")
    takes = {
        "rate": ("poisson", "gamma", "trace", "burst"),
        "cv": ("gamma",),
        "clients": ("closed",),
        "think": ("closed",),
        "burst": ("burst",),
    }
    for name, kinds in takes.items():
        if flags[name] is not None and kind not in kinds:
            raise InputError(
                f"--{name} does not go with --load {kind or 'saturated'}",
                allowed=f"with --load {' or '.join(kinds)}",
            )
    match kind:
        case "saturated":
            return schema.SaturatedPart()
        case "poisson":
            return schema.PoissonPart(rate)
        case "gamma":
            return schema.GammaPart(rate, 2.0 if flags["cv"] is None else flags["cv"])
        case "trace":
            return schema.TracePart(rate)
        case "closed":
            return schema.ClosedPart(clients, flags["think"] or 0.0)
        case "at-once":
            return schema.AtOncePart()
        case "burst":
            return schema.BurstPart(rate, *_burst(burst))
    return None


def _implied(flags: dict[str, Any]) -> str | None:
    if flags["burst"] is not None:
        return "burst"
    if flags["clients"] is not None:
        return "closed"
    if flags["cv"] is not None:
        return "gamma"
    if flags["rate"] is not None:
        return "poisson" if flags["trace"] is None else "trace"
    return None


def _burst(text: str) -> tuple[int, float]:
    size, _, at = text.partition("@")
    try:
        return int(size), float(at.removesuffix("s")) if at else 0.0
    except ValueError:
        raise InputError(
            f"{shown(text)} is no burst", field="--burst", allowed="SIZE@SECOND, as in 300@60"
        ) from None


def engine_options(pairs: tuple[str, ...]) -> dict[str, Any]:
    """Options of the engine; values are read as YAML reads them."""
    from kvsteady.simulate.runfile import plain_value

    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InputError(f"{shown(pair)} is no option", field="--option", allowed=_OPTION)
        found[name.strip().replace("-", "_")] = plain_value(value.strip())
    return found


def _rate_cap(text: str | None) -> Any:
    if text is None or text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"{shown(text)} is no rate", field="--rate-cap", allowed="a number above 0, or auto"
        ) from None
