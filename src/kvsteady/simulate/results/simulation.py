"""What a run is reduced to: plain numbers, saved as JSON."""

from __future__ import annotations

from typing import Any

from kvsteady.saved import Record, Saved, read_saved, schema_of

SCHEMA_VERSION = 1


class Curve(Record, frozen=True):
    """Points of a line."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Setup(Record, frozen=True):
    """What was run: load, router, and what ended it; ``warm_up`` seconds are not measured.

    ``transfer`` says how KV moves from the prefill to the decode pool, where there are pools.
    """

    load: str
    router: str
    eviction: str
    stop: str
    warm_up: float
    log_every: int
    transfer: str = ""


class ReplicaResult(Record, frozen=True):
    """One replica: what it is, and what it did in the time that was measured.

    ``pool`` is prefill or decode, or empty where a replica does both; what a prefill replica
    completes is prefills. ``policy`` is the admission policy that was asked, with its options.
    """

    name: str
    engine: str
    kv_tokens: int
    block_size: int
    eviction: str
    time: str
    rate_cap: float | None
    ended: str
    iterations: int
    completed: int
    num_preemptions_total: int
    kv_cache_usage_perc: float
    busy: float
    pool: str = ""
    policy: str | None = None


class ObjectiveResult(Record, frozen=True):
    """A limit in milliseconds and the share of completed requests that met it."""

    name: str
    limit_ms: float
    met: float


class RejectedRequest(Record, frozen=True):
    """A request that could never fit in a replica's memory."""

    id: int
    replica: str
    prompt: int
    output: int
    text: str


class Cycle(Record, frozen=True):
    """Why a replica came to a halt: who goes round, and how long a round takes.

    ``period`` is null where no state came back within the iterations that were watched; then
    ``evictions`` are those of all of them.
    """

    replica: str
    label: str
    period: int | None
    evictions: int
    requests: tuple[int, ...]
    text: str


class Curves(Record, frozen=True):
    """What the figures show, over the whole run, warm-up included, all replicas together.

    Times are the middles of stretches of equal length, which values are means over: KV usage,
    requests running and waiting, evictions and completions per second. Then, per measure, the
    share of requests (ITL: tokens) that took at most so many milliseconds.
    """

    kv_cache_usage_perc: Curve
    kv_cache_usage_perc_max: Curve
    num_requests_running: Curve
    num_requests_waiting: Curve
    preemptions_per_second: Curve
    completions_per_second: Curve
    ttft_ms: Curve
    tpot_ms: Curve
    itl_ms: Curve
    e2el_ms: Curve


class Simulation(Saved, frozen=True, kw_only=True):
    """The result of `simulate`.

    Fields that vLLM's benchmark or Prometheus metrics also have are called as there (vLLM 0.32.0,
    ``vllm/benchmarks/serve.py`` and ``vllm/v1/metrics/loggers.py``). All are about the time that
    was measured, from the end of the warm-up on, and requests count when they complete. Times are
    simulated.
    """

    schema_version: int = SCHEMA_VERSION
    kvsteady_version: str
    name: str
    setup: Setup
    replicas: tuple[ReplicaResult, ...]

    outcome: str
    outcome_text: str
    advice: tuple[str, ...]
    cycle: Cycle | None

    duration: float
    iterations: int
    completed: int
    failed: int
    unfinished: int
    rejected: tuple[RejectedRequest, ...]
    notes: tuple[str, ...]

    total_input_tokens: int
    total_output_tokens: int
    request_throughput: float
    output_throughput: float
    total_token_throughput: float
    request_goodput: float | None
    objectives: tuple[ObjectiveResult, ...]

    percentiles: str
    mean_ttft_ms: float | None
    median_ttft_ms: float | None
    p90_ttft_ms: float | None
    p99_ttft_ms: float | None
    mean_tpot_ms: float | None
    median_tpot_ms: float | None
    p90_tpot_ms: float | None
    p99_tpot_ms: float | None
    mean_itl_ms: float | None
    median_itl_ms: float | None
    p90_itl_ms: float | None
    p99_itl_ms: float | None
    mean_e2el_ms: float | None
    median_e2el_ms: float | None
    p90_e2el_ms: float | None
    p99_e2el_ms: float | None
    mean_queue_ms: float | None

    num_preemptions_total: int
    preemptions_per_request: float | None
    computed_tokens: int
    prefilled_tokens: int
    recomputed_tokens: int
    recompute_tax: float
    recomputed_share: float
    wasted_tokens: int
    swapped_tokens: int
    prefix_cache_queries: int
    prefix_cache_hits: int
    prefix_cache_hit_rate: float

    kv_cache_usage_perc: float
    max_kv_cache_usage_perc: float
    num_requests_running: float
    max_num_requests_running: int
    num_requests_waiting: float
    max_num_requests_waiting: int

    curves: Curves


def load_simulation(data: bytes, *, file: str | None = None) -> Simulation:
    """Read back the JSON of a `Simulation`.

    Raises
    ------
    InputError
        Not JSON, of another schema version, or a field missing or of the wrong type.
    """
    return read_saved(data, Simulation, version=SCHEMA_VERSION, what="simulation", file=file)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of a `Simulation`, alike on every Python."""
    return schema_of(Simulation)
