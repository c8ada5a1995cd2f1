"""One copy of the model: an engine with its memory and its speed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from kvsteady.admission import Policy
from kvsteady.errors import InputError
from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.model.system import MAX_KV_TOKENS, Eviction
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.load import Feed
from kvsteady.simulate.machine import Machine, Sink
from kvsteady.simulate.times.protocol import IterationTime
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import real_number, whole_number


def ignore(rows: Any) -> None:
    """Drop rows."""
    del rows


@dataclass(frozen=True)
class Replica:
    """An engine, the KV tokens it has, and how long its iterations take.

    Tensor and pipeline parallelism enter as both: more GPUs hold more KV tokens
    (`kvsteady.memory.kv_capacity` with ``tensor_parallel`` and ``pipeline_parallel``), and the
    time is that of the whole group. One batch is under way at a time: with pipeline stages its time
    is the sum of theirs, and batches that follow each other through the stages are not modelled.

    Parameters
    ----------
    engine
        The scheduler and its options.
    kv_tokens
        KV capacity in tokens; whole blocks are used.
    time
        Seconds per iteration.
    eviction
        What an evicted request keeps.
    pace
        Requests that may be admitted per iteration.
    policy, workload
        An admission policy that is asked in each iteration, instead of a pace; the law of lengths
        from which it may take its constants.
    name
        What to call it; by default the engine's name.
    swap_seconds_per_token
        Seconds that an iteration takes longer for each KV token that it swaps out or in: bytes of a
        token's KV over the bandwidth to where it goes. By default moving costs no time.

    Raises
    ------
    InputError
        Memory smaller than a block, a negative time.
    """

    _kind: ClassVar[type[Machine]] = Machine

    engine: Engine
    kv_tokens: int
    time: IterationTime
    eviction: Eviction = Eviction.RESUME
    pace: Pace = UNLIMITED
    name: str = ""
    swap_seconds_per_token: float = 0.0
    policy: Policy | None = None
    workload: Workload | None = None

    def __post_init__(self) -> None:
        whole_number(self.kv_tokens, "kv_tokens", 1, MAX_KV_TOKENS)
        if self.kv_tokens < self.engine.block_size:
            raise InputError(
                f"{self.kv_tokens} tokens are less than a block",
                field="kv_tokens",
                allowed=f"{self.engine.block_size} or more",
            )
        if real_number(self.swap_seconds_per_token, "swap_seconds_per_token", -1.0) < 0:
            raise InputError(
                f"{self.swap_seconds_per_token:g} is out of range",
                field="swap_seconds_per_token",
                allowed="seconds, at least 0",
            )

    @property
    def title(self) -> str:
        """Its name, or the engine's."""
        return self.name or self.engine.name

    def machine(
        self,
        feed: Feed | None = None,
        *,
        finished: Sink = ignore,
        iterations: Sink = ignore,
        log_every: int = 0,
        largest_output: int = 4096,
        largest_prompt: int = 4096,
    ) -> Machine:
        """Set it up for one run; the parameters are those of `Machine`."""
        return self._kind(
            self.engine,
            self.kv_tokens,
            self.time,
            feed,
            eviction=self.eviction,
            pace=self.pace,
            policy=self.policy,
            workload=self.workload,
            finished=finished,
            iterations=iterations,
            log_every=log_every,
            largest_output=largest_output,
            largest_prompt=largest_prompt,
            swap_seconds_per_token=self.swap_seconds_per_token,
        )
