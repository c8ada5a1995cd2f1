"""From a `RunFile` to a `Scenario`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from kvsteady.errors import InputError, shown
from kvsteady.memory import DEFAULT_OVERHEAD, DEFAULT_UTILISATION, kv_capacity, read_model_config
from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.model.system import Eviction, System
from kvsteady.policies import RateCap
from kvsteady.progress import Progress, silent
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines import engine_class
from kvsteady.simulate.fleet import ROUTERS, DecodePool, Replica, Router, Stop
from kvsteady.simulate.results.objectives import Objectives
from kvsteady.simulate.runfile import schema
from kvsteady.simulate.runfile.loads import load_of, workload_of
from kvsteady.simulate.runfile.pools import pools_of, transfer_of
from kvsteady.simulate.scenario import Scenario
from kvsteady.simulate.times import LinearTime, fitted_time, roofline
from kvsteady.simulate.times.protocol import IterationTime
from kvsteady.workload import Workload

#: Where a load has no end and nothing is said: so many requests.
REQUESTS = 10_000
#: The iteration time where none is given.
TIME = "llama-3.1-8b_h100"
_SHORTEST = ("saturated", "closed")


@dataclass(frozen=True)
class Found:
    """What the command line has found already, in place of what stands in the file."""

    workload: Workload | None = None
    kv_tokens: Callable[[int], int] | None = None  # from the block size


def build(
    run: schema.RunFile,
    *,
    folder: Path = Path(),
    found: Found | None = None,
    progress: Progress = silent,
) -> Scenario:
    """Make the scenario that a run file describes.

    Parameters
    ----------
    run
        The file's content.
    folder
        What paths in it are relative to.
    found
        A workload and memory from elsewhere.
    progress
        Told how far the trace is read.

    Raises
    ------
    InputError
        A value out of its range, something missing, or a file that cannot be used.
    """
    found = Found() if found is None else found
    workload = found.workload or workload_of(run.workload, folder, progress)
    load, load_name, endless = load_of(run, workload, folder)
    return Scenario(
        load=load,
        **_fleet(run, workload, folder, found),
        stop=_stop(run, endless),
        warm_up=run.warm_up,
        warm_up_iterations=run.warm_up_iterations,
        objectives=Objectives(run.goodput.ttft, run.goodput.tpot, run.goodput.e2el),
        log_every=run.log_every,
        name=run.name or load_name,
        load_name=load_name,
    )


def _stop(run: schema.RunFile, endless: bool) -> Stop:
    """The end of the run; the number of requests ends a load that has no end of its own."""
    stop = Stop(
        math.inf if run.stop.seconds is None else run.stop.seconds,
        run.stop.iterations,
        run.stop.completed,
    )
    if endless and run.requests is not None and stop.completed is None:
        return replace(stop, completed=run.requests)
    return replace(stop, completed=REQUESTS) if endless and stop.never else stop


def _fleet(run: schema.RunFile, workload: Workload, folder: Path, found: Found) -> dict[str, Any]:
    """Replicas, router and decode pool, by the names of `Scenario`."""
    pools = pools_of(run)
    if pools is not None:
        prefill, decode = pools
        # Each request makes one token in the prefill pool, which is what a rate cap there sees.
        first = workload.capped(1)
        return {
            "replicas": _made(run, [prefill], "prefill", first, folder, found),
            "router": _router(run, prefill.router, "prefill.router"),
            "decode": DecodePool(
                _made(run, [decode], "decode", workload, folder, found),
                _router(run, decode.router, "decode.router"),
                transfer_of(run, folder),
            ),
        }
    parts = run.replicas
    if isinstance(parts, int):
        parts = [schema.ReplicaPart(count=parts)]
    count = run.replicas if isinstance(run.replicas, int) else len(run.replicas)
    alone = count == 1 and not isinstance(run.replicas, list)
    return {
        "replicas": _made(run, parts, "replicas", workload, folder, found),
        "router": None if run.router is None and alone else _router(run, run.router, "router"),
    }


def _router(run: schema.RunFile, name: str | None, where: str) -> Router:
    """The router of that name, in turn if there is none; ``where`` it stands in the file."""
    name = "round-robin" if name is None else name
    if name not in ROUTERS:
        raise InputError(f"no router {shown(name)}", field=where, allowed=", ".join(ROUTERS))
    router = ROUTERS[name]
    seeded = "seed" in {field.name for field in fields(router)}  # type: ignore[arg-type]  # all are dataclasses
    return router(seed=run.seed) if seeded else router()  # type: ignore[call-arg]  # just looked


def _made(
    run: schema.RunFile,
    parts: Sequence[schema.ReplicaPart],
    where: str,
    workload: Workload,
    folder: Path,
    found: Found,
) -> tuple[Replica, ...]:
    """All replicas of some parts, which stand at ``where`` in the file."""
    made: list[Replica] = []
    for part in parts:
        if not 1 <= part.count <= 4096:
            raise InputError(f"{part.count} is out of range", field=where, allowed="1 to 4096")
        made += [replica_of(run, part, workload, folder, found)] * part.count
    return tuple(made)


def replica_of(
    run: schema.RunFile, part: schema.ReplicaPart, workload: Workload, folder: Path, found: Found
) -> Replica:
    """Make a replica from its own part of the file and the common one."""
    engine = _engine(run.engine if part.engine is None else part.engine)
    memory = run.memory if part.memory is None else part.memory
    if found.kv_tokens is not None and part.memory is None:
        kv_tokens = found.kv_tokens(engine.block_size)
    else:
        kv_tokens = _kv_tokens(memory, engine.block_size, folder)
    eviction = run.eviction if part.eviction is None else part.eviction
    if eviction is None:
        eviction = "restart" if engine.name.startswith("paper") else "resume"
    cap = run.rate_cap if part.rate_cap is None else part.rate_cap
    swap_seconds = part.swap_seconds_per_token
    return Replica(
        engine,
        kv_tokens,
        own_time(run.time if part.time is None else part.time, memory, folder),
        Eviction(eviction),
        _pace(cap, workload, kv_tokens, engine.block_size),
        part.name,
        run.swap_seconds_per_token if swap_seconds is None else swap_seconds,
    )


def _engine(given: str | schema.EnginePart) -> Engine:
    part = schema.EnginePart(given) if isinstance(given, str) else given
    kind = engine_class(part.name)
    known = [field.name for field in fields(kind)]
    for name in part.options:
        if name not in known:
            raise InputError(
                f"{part.name} has no option {shown(name)}",
                field="engine.options",
                allowed=", ".join(known),
            )
    try:
        engine: Engine = kind(**part.options)
    except TypeError as error:
        raise InputError(f"{part.name}: {error}", field="engine.options") from None
    return engine


def _kv_tokens(memory: schema.MemoryPart, block_size: int, folder: Path) -> int:
    if memory.kv_tokens is not None:
        if memory.model is not None and memory.gpu_memory is not None:
            raise InputError(
                "kv_tokens and gpu_memory are both given", field="memory", allowed="one of them"
            )
        return memory.kv_tokens
    if memory.model is None or memory.gpu_memory is None:
        missing = "gpu_memory" if memory.model is not None else "kv_tokens"
        raise InputError(
            f"{missing} is missing", field="memory", allowed="kv_tokens, or model with gpu_memory"
        )
    given = memory.gpu_memory_utilization
    return kv_capacity(
        read_model_config(folder / memory.model, kv_dtype=memory.kv_dtype or "auto"),
        gpu_memory=memory.gpu_memory,
        utilisation=DEFAULT_UTILISATION if given is None else given,
        tensor_parallel=memory.tensor_parallel,
        pipeline_parallel=memory.pipeline_parallel,
        block_size=block_size,
        weights=memory.weights_memory,
        overhead=DEFAULT_OVERHEAD if memory.overhead is None else memory.overhead,
    ).kv_tokens


def own_time(given: schema.Times | None, memory: schema.MemoryPart, folder: Path) -> IterationTime:
    """The iteration time: by its name, or from figures."""
    if given is None:
        return fitted_time(TIME)
    if isinstance(given, str):
        return fitted_time(given)
    if isinstance(given, schema.LinearPart):
        return LinearTime(**{name: getattr(given, name) for name in given.__struct_fields__})
    model = memory.model if given.model is None else given.model
    if model is None:
        raise InputError("a roofline needs a model", field="time.model", allowed="a config.json")
    options: dict[str, Any] = {"active_parameters": given.active_parameters}
    tensor_parallel = given.tensor_parallel
    return roofline(
        read_model_config(folder / model),
        given.gpu,
        tensor_parallel=memory.tensor_parallel if tensor_parallel is None else tensor_parallel,
        weights=given.weights_memory or memory.weights_memory,
        **options,
    )


def _pace(cap: float | str | None, workload: Workload, kv_tokens: int, block_size: int) -> Pace:
    """Admissions per iteration; ``auto`` is what the theory says for this workload and memory."""
    if cap is None:
        return UNLIMITED
    rate = None if isinstance(cap, str) else cap
    system = System(workload, kv_tokens, block_size)
    return RateCap(rate).pace(system, whole_requests=True)
