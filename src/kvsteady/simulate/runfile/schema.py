"""What may stand in a run file; ``docs/reference/simulate.md`` describes each field."""

from __future__ import annotations

from typing import Literal

import msgspec


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file."""


class ClassPart(_Part, frozen=True):
    """Requests of one length; shares sum to 1, or are left out everywhere.

    Lower priorities go first, where the engine schedules by them.
    """

    prompt: int
    output: int
    share: float | None = None
    priority: int = 0


class BinsPart(_Part, frozen=True):
    """Classes by length: up to the first number of tokens, up to the second, …, and beyond."""

    output: list[int] | None = None
    prompt: list[int] | None = None
    priority: list[int] | None = None


class WorkloadPart(_Part, frozen=True):
    """Lengths, from one source: ``classes``, ``trace``, ``preset``, ``prompt`` with ``output``.

    What is no list of ``classes`` can have classes by length, or by a column of the trace.
    """

    classes: list[ClassPart] | BinsPart | None = None
    trace: str | None = None
    format: str | None = None
    columns: str | None = None
    class_column: str | None = None
    priority_column: str | None = None
    preset: str | None = None
    prompt: str | int | None = None
    output: str | int | None = None
    max_tokens: int | None = None


class LoadPart(_Part, frozen=True, tag_field="kind"):
    """When requests come."""


class SaturatedPart(LoadPart, frozen=True, tag="saturated"):
    """The queue never empties."""


class AtOncePart(LoadPart, frozen=True, tag="at-once"):
    """All come at second 0."""


class PoissonPart(LoadPart, frozen=True, tag="poisson"):
    """``rate`` per second, independently."""

    rate: float


class GammaPart(LoadPart, frozen=True, tag="gamma"):
    """``rate`` per second in bursts: ``cv`` of the times between them."""

    rate: float
    cv: float = 2.0


class TracePart(LoadPart, frozen=True, tag="trace"):
    """As the trace recorded them, or stretched to ``rate`` per second."""

    rate: float | None = None


class ClosedPart(LoadPart, frozen=True, tag="closed"):
    """``clients`` that wait for each answer, and think."""

    clients: int
    think: float = 0.0
    random_think: bool = False


class BurstPart(LoadPart, frozen=True, tag="burst"):
    """Poisson with ``size`` more requests at second ``at``."""

    rate: float
    size: int
    at: float = 0.0


class SessionsPart(LoadPart, frozen=True, tag="sessions"):
    """Conversations whose turns share their prefix."""

    rate: float
    sessions: int
    turns: str | int = 4
    think: float = 0.0
    random_think: bool = False
    shared: int = 0
    max_context: int | None = None
    key_tokens: int = 16


Loads = (
    SaturatedPart
    | AtOncePart
    | PoissonPart
    | GammaPart
    | TracePart
    | ClosedPart
    | BurstPart
    | SessionsPart
)


class MemoryPart(_Part, frozen=True):
    """KV capacity: ``kv_tokens``, or counted from ``model`` and ``gpu_memory``."""

    kv_tokens: int | None = None
    model: str | None = None
    gpu_memory: str | None = None
    gpu_memory_utilization: float | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int = 1
    weights_memory: str | None = None
    kv_dtype: str | None = None
    overhead: str | None = None


class EnginePart(_Part, frozen=True):
    """An engine and its own options."""

    name: str
    options: dict[str, bool | int | float | str | None] = {}


class LinearPart(_Part, frozen=True, tag_field="kind", tag="linear"):
    """Seconds per unit of each term, see `kvsteady.simulate.times.LinearTime`."""

    iteration: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    kv_read: float = 0.0
    has_prefill: float = 0.0
    prefill_pairs: float = 0.0


class RooflinePart(_Part, frozen=True, tag_field="kind", tag="roofline"):
    """From a config.json (that of ``memory`` if left out) and a GPU's figures."""

    gpu: str
    model: str | None = None
    tensor_parallel: int | None = None
    weights_memory: str | None = None
    active_parameters: float | None = None


class AiconfiguratorPart(_Part, frozen=True, tag_field="kind", tag="aiconfigurator"):
    """NVIDIA's operator tables, see `kvsteady.simulate.times.aiconfigurator_time`."""

    model: str
    system: str
    backend: str = "vllm"
    backend_version: str | None = None
    tensor_parallel: int | None = None
    most_prefill: int = 8192
    most_decode: int = 1024
    most_kv: int = 2_000_000


Times = str | LinearPart | RooflinePart | AiconfiguratorPart


class ReplicaPart(_Part, frozen=True):
    """One or ``count`` replicas; what is left out is as in the rest of the file."""

    count: int = 1
    name: str = ""
    engine: str | EnginePart | None = None
    memory: MemoryPart | None = None
    time: Times | None = None
    eviction: Literal["restart", "resume", "swap"] | None = None
    rate_cap: float | Literal["auto"] | None = None
    policy: str | None = None
    swap_seconds_per_token: float | None = None


class PoolPart(ReplicaPart, frozen=True):
    """Replicas that prefill, or that decode, and the router before them."""

    router: str | None = None


class TransferPart(_Part, frozen=True):
    """How KV gets from the prefill to the decode pool.

    ``seconds`` per request, and either ``seconds_per_token`` or ``bytes_per_second`` (then with
    ``bytes_per_token``, or a ``model`` in ``memory`` to count them from).
    """

    seconds: float = 0.0
    seconds_per_token: float | None = None
    bytes_per_second: float | None = None
    bytes_per_token: float | None = None


class StopPart(_Part, frozen=True):
    """What ends the run, whichever comes first."""

    seconds: float | None = None
    iterations: int | None = None
    completed: int | None = None


class GoodputPart(_Part, frozen=True):
    """Milliseconds that a good request takes at most."""

    ttft: float | None = None
    tpot: float | None = None
    e2el: float | None = None


class RunFile(_Part, frozen=True, kw_only=True):
    """A run."""

    name: str = ""
    workload: WorkloadPart = WorkloadPart()
    load: Loads | None = None
    requests: int | None = None
    engine: str | EnginePart = "vllm"
    memory: MemoryPart = MemoryPart()
    time: Times | None = None
    eviction: Literal["restart", "resume", "swap"] | None = None
    rate_cap: float | Literal["auto"] | None = None
    policy: str | None = None
    swap_seconds_per_token: float = 0.0
    replicas: int | list[ReplicaPart] = 1
    router: str | None = None
    prefill: PoolPart | None = None
    decode: PoolPart | None = None
    transfer: TransferPart | None = None
    stop: StopPart = StopPart()
    warm_up: float = 0.0
    warm_up_iterations: int = 0
    goodput: GoodputPart = GoodputPart()
    log_every: int = 1
    seed: int = 0
