"""A replica of a run file: its engine, memory, speed and pace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kvsteady.admission import Setup
from kvsteady.errors import InputError
from kvsteady.memory import DEFAULT_OVERHEAD, DEFAULT_UTILISATION, kv_capacity, read_model_config
from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.model.system import Eviction, System
from kvsteady.policies import RateCap, policy_of
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines.options import made_engine
from kvsteady.simulate.fleet import Replica
from kvsteady.simulate.places import within
from kvsteady.simulate.runfile import schema
from kvsteady.simulate.runfile.times import own_time, scales
from kvsteady.workload import Workload

# What the file calls arguments of `kv_capacity`.
_MEMORY = {"utilisation": "gpu_memory_utilization", "weights": "weights_memory"}


def replica_of(
    run: schema.RunFile,
    part: schema.ReplicaPart,
    base: str,
    workload: Workload,
    folder: Path,
    kv_tokens: Callable[[int], int] | None,
) -> Replica:
    """Make a replica from its own part of the file, which stands at ``base``, and the common one.

    ``kv_tokens`` says from the block size what memory there is, where the part does not.
    """

    def place(name: str) -> str:
        return name if getattr(part, name) is None or not base else f"{base}.{name}"

    with within(place("engine")):
        engine = _engine(run.engine if part.engine is None else part.engine)
    memory = run.memory if part.memory is None else part.memory
    given = run.time if part.time is None else part.time
    with within(place("memory"), _MEMORY):
        _check_memory(memory, given)
        if kv_tokens is not None and part.memory is None:
            tokens = kv_tokens(engine.block_size)
        else:
            tokens = _kv_tokens(memory, engine.block_size, folder)
    with within(place("time"), {"weights": "weights_memory"}):
        time = own_time(given, memory, folder)
    eviction = run.eviction if part.eviction is None else part.eviction
    if eviction is None:
        eviction = "restart" if engine.name.startswith("paper") else "resume"
    swap_seconds = part.swap_seconds_per_token
    if swap_seconds is None:
        swap_seconds = run.swap_seconds_per_token
    cap = run.rate_cap if part.rate_cap is None else part.rate_cap
    with within(place("rate_cap"), {"rate": "", "kv_tokens": f"/{place('memory')}.kv_tokens"}):
        pace = _pace(cap, workload, tokens, engine.block_size)
    asked = run.policy if part.policy is None else part.policy
    memory_place = f"/{place('memory')}.kv_tokens"
    with within(place("policy"), {"policy": "", "kv_tokens": memory_place}):
        if asked is not None and cap is not None:
            raise InputError("given beside rate_cap", field="policy", allowed="one of the two")
        policy = None if asked is None else policy_of(asked)
        if policy is not None:  # refuse here what it would refuse in the run
            policy.start(Setup(tokens, engine.block_size, engine.unwritten, workload))
    names = {"swap_seconds_per_token": f"/{place('swap_seconds_per_token')}"}
    with within(place("memory"), names):
        return Replica(
            engine,
            tokens,
            time,
            Eviction(eviction),
            pace,
            part.name,
            swap_seconds,
            policy,
            workload,
        )


def _engine(given: str | schema.EnginePart) -> Engine:
    part = schema.EnginePart(given) if isinstance(given, str) else given
    return made_engine(part.name, part.options)


def _check_memory(memory: schema.MemoryPart, time: schema.Times | None) -> None:
    """Refuse what would change nothing beside KV tokens that are given."""
    if memory.kv_tokens is None:
        return
    idle = {
        "gpu_memory": memory.gpu_memory is not None,
        "gpu_memory_utilization": memory.gpu_memory_utilization is not None,
        "overhead": memory.overhead is not None,
        "pipeline_parallel": memory.pipeline_parallel != 1,
        "tensor_parallel": memory.tensor_parallel is not None and not scales(time),
        "weights_memory": memory.weights_memory is not None and not scales(time),
    }
    for name, given in idle.items():
        if given:
            allowed = "kv_tokens alone, or model with gpu_memory"
            if name in ("tensor_parallel", "weights_memory"):
                allowed += "; or beside a time that it changes: a roofline"
            raise InputError(f"{name} and kv_tokens are both given", field=name, allowed=allowed)


def _kv_tokens(memory: schema.MemoryPart, block_size: int, folder: Path) -> int:
    if memory.kv_tokens is not None:
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
        tensor_parallel=memory.tensor_parallel or 1,
        pipeline_parallel=memory.pipeline_parallel,
        block_size=block_size,
        weights=memory.weights_memory,
        overhead=DEFAULT_OVERHEAD if memory.overhead is None else memory.overhead,
    ).kv_tokens


def _pace(cap: float | str | None, workload: Workload, kv_tokens: int, block_size: int) -> Pace:
    """Admissions per iteration; ``auto`` is what the theory says for this workload and memory."""
    if cap is None:
        return UNLIMITED
    rate = None if isinstance(cap, str) else cap
    system = System(workload, kv_tokens, block_size)
    return RateCap(rate).pace(system, whole_requests=True)
