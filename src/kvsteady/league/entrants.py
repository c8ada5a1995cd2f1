"""Who plays: every policy, with the constants that a tuner may choose from; ours gets none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from kvsteady.admission import Policy, Setup
from kvsteady.errors import InputError, shown
from kvsteady.league.engines import EngineName, seconds_per_iteration
from kvsteady.model.system import System
from kvsteady.policies import (
    Aimd,
    Greedy,
    GuaranteedNoEvict,
    KvWatermark,
    LookAhead,
    MaxActive,
    NestedWait,
    NewTokenRatio,
    RateCap,
    Steady,
    Wait,
)
from kvsteady.theory.caps import rate_caps
from kvsteady.theory.equilibrium import equilibrium

Constants: TypeAlias = tuple[tuple[str, float], ...]
"""Names and values, in the order of the names."""


@dataclass(frozen=True)
class Entrant:
    """A policy of the league.

    Parameters
    ----------
    name
        The key.
    build
        Makes it for a workload on an engine from constants; None plays the engine as it comes.
    grid
        The constants that are tried on one seed; the best go on.
    role
        ``ours`` and ``baseline``, ``oracle``: sees true output lengths, and is shown apart.
    engines
        Where it plays; empty: everywhere.
    """

    name: str
    build: Callable[[System, EngineName, Mapping[str, float]], Policy | None]
    grid: tuple[Constants, ...] = ((),)
    role: str = "baseline"
    engines: tuple[str, ...] = ()


def _each(name: str, *values: float) -> tuple[Constants, ...]:
    return tuple(((name, value),) for value in values)


def _max_active(system: System, _: EngineName, given: Mapping[str, float]) -> Policy:
    # What memory holds at full length, where nobody is evicted. `MaxActive()` is asked with what is
    # left beside a prefix that all share; a run would tell it the whole of memory.
    if "of_running" not in given:
        setup = Setup(system.kv_tokens, system.block_size, workload=system.workload)
        return MaxActive(MaxActive().start(setup).requests)
    return MaxActive(max(1, round(given["of_running"] * equilibrium(system).running)))


def _rate_cap(system: System, _: EngineName, given: Mapping[str, float]) -> Policy:
    rate = rate_caps(system).steady
    if "of_x" in given:
        rate = given["of_x"] * equilibrium(system).admissions_blocks
    return RateCap(rate)


def _margin(system: System, _: EngineName, given: Mapping[str, float]) -> Policy:
    return RateCap(rate_caps(system, z=given["z"]).steady)


def _per_second(system: System, engine: EngineName, given: Mapping[str, float]) -> Policy:
    at_equilibrium = seconds_per_iteration(engine, system)
    x = equilibrium(system).admissions_blocks
    return RateCap(per_second=given["of_x"] * x / at_equilibrium)


ENTRANTS: Final[dict[str, Entrant]] = {
    entrant.name: entrant
    for entrant in (
        Entrant("steady", lambda *_: Steady(), role="ours"),
        Entrant("greedy", lambda *_: Greedy()),
        Entrant("stock", lambda *_: None, engines=("sglang",)),
        Entrant(
            "watermark",
            lambda _s, _e, given: KvWatermark(given["watermark"]),
            _each("watermark", 0.005, 0.01, 0.02, 0.05, 0.1, 0.2),
        ),
        Entrant(
            "max-active",
            _max_active,
            ((), *_each("of_running", 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1)),
        ),
        Entrant("no-evict", lambda *_: GuaranteedNoEvict()),
        Entrant(
            "new-token-ratio",
            lambda _s, _e, given: NewTokenRatio(given["initial"]),
            _each("initial", 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0),
        ),
        Entrant(
            "rate-cap", _rate_cap, ((), *_each("of_x", 0.85, 0.9, 0.95, 0.98, 1.0, 1.02, 1.05, 1.1))
        ),
        Entrant("rate-cap-margin", _margin, _each("z", 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0)),
        Entrant(
            "rate-cap-seconds",
            _per_second,
            _each("of_x", 0.8, 0.85, 0.9, 0.95, 0.98, 1.0, 1.02, 1.05, 1.1),
        ),
        Entrant(
            "wait",
            lambda _s, _e, given: Wait(round(given["batch"]) if "batch" in given else None),
            ((), *_each("batch", 2, 4, 8, 16)),
        ),
        Entrant(
            "nested-wait",
            lambda _s, _e, given: NestedWait(round(given["segments"]), given["margin"]),
            tuple(
                (("margin", margin), ("segments", segments))
                for segments in (4.0, 8.0, 16.0, 32.0, 64.0)
                for margin in (0.0, 0.02, 0.05)
            ),
        ),
        Entrant(
            "aimd",
            lambda _s, _e, given: Aimd(**given),
            tuple(
                (("high", high), ("increase", increase), ("low", low))
                for low, high in ((0.75, 0.9), (0.85, 0.95), (0.92, 0.99))
                for increase in (4.0, 16.0)
            ),
        ),
        Entrant("look-ahead", lambda *_: LookAhead(), role="oracle"),
    )
}
"""By name, in the order of the table."""

QUICK: Final = ("steady", "greedy")
"""What ``--quick`` plays."""


def policy_of(
    name: str, system: System, constants: Constants, engine: EngineName = "vllm"
) -> Policy | None:
    """The policy of an entrant, for a workload on an engine; None: the engine as it comes.

    Raises
    ------
    InputError
        No entrant of that name, or constants that it refuses.
    """
    if name not in ENTRANTS:
        raise InputError(f"no entrant {shown(name)}", field="entrant", allowed=", ".join(ENTRANTS))
    return ENTRANTS[name].build(system, engine, dict(constants))
