"""What is to be tuned: a workload on an engine, and how requests come."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from kvsteady.advise.engine_estimate import OnEngine
from kvsteady.errors import InputError
from kvsteady.league.engines import capacity
from kvsteady.league.jitter import memory_of
from kvsteady.model.system import System
from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines import ENGINES
from kvsteady.workload.ranges import MAX_OUTPUT, real_number, whole_number


def name_of(engine: Engine) -> str | None:
    """The key of an engine in `ENGINES`; None for one of somebody's own."""
    kind = type(engine)
    return next((name for name in ENGINES if ENGINES[name] is kind), None)


@dataclass(frozen=True, eq=False)
class TuningProblem:
    """A workload, an engine as it is run now, and how requests come.

    Parameters
    ----------
    system
        Workload and KV tokens; blocks are those of the engine.
    on
        The engine with its present options, one of `kvsteady.simulate.engines.ENGINES`, what its
        iterations take, and what evicted requests keep.
    rate
        Requests per second of an open loop (Poisson, or ``replay``). None, and no ``of_capacity``
        either: the queue never empties.
    of_capacity
        The same as a share of what the engine serves without evictions.
    replay
        Requests come as they were recorded, each run having a stretch of the trace of its own;
        with a rate all times between them are stretched to it.
    max_tokens
        What the engine is told of a request's output; None is the longest output where lengths are
        random, and else the output itself.
    memory_notes
        How the KV capacity was found, to be kept with the result.

    Raises
    ------
    InputError
        An engine of one's own; two rates, or one that is not above 0; a replay of a workload that
        has no times, or all the same; ``max_tokens`` below the longest output.
    """

    system: System
    on: OnEngine
    rate: float | None = None
    of_capacity: float | None = None
    replay: bool = False
    max_tokens: int | None = None
    memory_notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _ = self.engine_name
        for name in ("rate", "of_capacity"):
            value = getattr(self, name)
            if value is not None:
                real_number(value, name)
        if self.rate is not None and self.of_capacity is not None:
            raise InputError("given beside rate", field="of_capacity", allowed="one of the two")
        if self.replay and not self._recorded_rate:
            raise InputError(
                f"{self.system.workload.name} has no arrival times",
                field="replay",
                allowed="a trace with times",
            )
        if self.max_tokens is not None:
            longest = self.system.workload.longest_output
            whole_number(self.max_tokens, "max_tokens", longest, MAX_OUTPUT)
        object.__setattr__(
            self, "system", replace(self.system, block_size=self.on.engine.block_size)
        )

    @property
    def engine_name(self) -> str:
        """The key of the engine in `ENGINES`."""
        kind = type(self.on.engine)
        if (name := name_of(self.on.engine)) is not None:
            return name
        raise InputError(
            f"{kind.__name__} has no name here",
            field="engine",
            allowed=", ".join(ENGINES),
        )

    @property
    def options(self) -> dict[str, Any]:
        """Options of the engine as it is run now."""
        engine: Any = self.on.engine
        return {field.name: getattr(engine, field.name) for field in fields(engine)}

    @property
    def told(self) -> int | None:
        """What the engine is told of outputs; None: each request's own."""
        if self.max_tokens is None and self.system.workload.random:
            return self.system.workload.longest_output
        return self.max_tokens

    @property
    def requests_per_second(self) -> float | None:
        """Of the open loop; None where the queue never empties."""
        if self.of_capacity is None:
            return self._recorded_rate if self.replay and self.rate is None else self.rate
        return self.of_capacity * capacity(self.engine_name, self.system, self.on.time)

    @property
    def _recorded_rate(self) -> float:
        """Requests per second of the trace; 0 where it has no times, or all the same."""
        record = self.system.workload.arrivals
        return 0.0 if record is None else record.rate

    def system_of(self, seed: int) -> System:
        """The system in the run of a seed.

        Lengths in turn leave a seed nothing to draw; it draws up to 2% of memory to take away
        instead. Seed 0 has all of it.
        """
        load, memory = self.system.workload, self.system.kv_tokens
        spare = memory - load.largest_request - self.system.block_size
        most = min(memory // 50, spare)
        if load.random or self.requests_per_second is not None:
            return self.system
        return replace(self.system, kv_tokens=memory_of(seed, memory, most))
