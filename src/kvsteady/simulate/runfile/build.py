"""From a `RunFile` to a `Scenario`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from kvsteady.errors import InputError, shown
from kvsteady.progress import Progress, silent
from kvsteady.simulate.fleet import ROUTERS, DecodePool, Replica, Router, Stop
from kvsteady.simulate.loads.requests import MOST
from kvsteady.simulate.places import within
from kvsteady.simulate.results.objectives import Objectives
from kvsteady.simulate.runfile import schema
from kvsteady.simulate.runfile.classes import check_priorities, classed
from kvsteady.simulate.runfile.loads import load_of, workload_of
from kvsteady.simulate.runfile.pools import pools_of, transfer_of
from kvsteady.simulate.runfile.replica import replica_of
from kvsteady.simulate.scenario import Scenario
from kvsteady.workload import Workload
from kvsteady.workload.ranges import whole_number

#: Where a load has no end and nothing is said: so many requests.
REQUESTS = 10_000
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
    if run.requests is not None:
        whole_number(run.requests, "requests", 1, MOST)
    with within("workload"):
        workload = found.workload or workload_of(run.workload, folder, progress)
    with within("load", {name: f"/{name}" for name in ("requests", "seed", "workload")}):
        load, load_name, endless = load_of(run, workload, folder)
    with within("goodput"):
        objectives = Objectives(run.goodput.ttft, run.goodput.tpot, run.goodput.e2el)
    load = classed(run, load, workload, folder)
    fleet = _fleet(run, workload, folder, found)
    pool = fleet.get("decode")
    check_priorities(load, fleet["replicas"] + (() if pool is None else pool.replicas))
    return Scenario(
        load=load,
        **fleet,
        stop=_stop(run, endless),
        warm_up=run.warm_up,
        warm_up_iterations=run.warm_up_iterations,
        objectives=objectives,
        log_every=run.log_every,
        name=run.name or load_name,
        load_name=load_name,
    )


def _stop(run: schema.RunFile, endless: bool) -> Stop:
    """The end of the run; the number of requests ends a load that has no end of its own."""
    with within("stop"):
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
        with within("transfer", {"latency": "seconds", "bandwidth": "bytes_per_second"}):
            transfer = transfer_of(run, folder)
        return {
            "replicas": _made(run, [prefill], "prefill", first, folder, found),
            "router": _router(run, prefill.router, "prefill.router"),
            "decode": DecodePool(
                _made(run, [decode], "decode", workload, folder, found),
                _router(run, decode.router, "decode.router"),
                transfer,
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
    for number, part in enumerate(parts):
        listed = isinstance(run.replicas, list) and where == "replicas"
        base = f"{where}[{number}]" if listed else where
        if not 1 <= part.count <= 4096:
            field = f"{base}.count" if listed else where
            raise InputError(f"{part.count} is out of range", field=field, allowed="1 to 4096")
        each = replica_of(run, part, base, workload, folder, found.kv_tokens)
        made += [each] * part.count
    return tuple(made)
