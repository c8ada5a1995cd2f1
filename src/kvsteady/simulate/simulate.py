"""The main job: a scenario in, a simulation out."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from kvsteady.errors import InputError
from kvsteady.files import write_whole
from kvsteady.progress import Progress, silent
from kvsteady.simulate.fits import check_fits
from kvsteady.simulate.fleet.disaggregated import run_disaggregated
from kvsteady.simulate.fleet.fleet import FleetSink
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.fleet.run import run_fleet
from kvsteady.simulate.load import Feed, Load
from kvsteady.simulate.places import located
from kvsteady.simulate.records import ITERATION, LEFT
from kvsteady.simulate.results.chrome import ChromeTrace
from kvsteady.simulate.results.collect import Collector
from kvsteady.simulate.results.observed import ObservedReplica, Plan
from kvsteady.simulate.results.simulation import Simulation
from kvsteady.simulate.results.summary import summarise
from kvsteady.simulate.results.tables import ParquetFile, iteration_columns, request_columns
from kvsteady.simulate.scenario import Scenario

SUMMARY, REQUESTS, ITERATIONS = "simulation.json", "requests.parquet", "iterations.parquet"


def simulate(
    scenario: Scenario,
    *,
    out: str | PathLike[str] | None = None,
    chrome: ChromeTrace | None = None,
    progress: Progress = silent,
) -> Simulation:
    """Run a scenario, request by request, and sum up what happened.

    Memory does not grow with the number of requests: percentiles are exact up to a million of them
    and then to 1% (`Simulation.percentiles` says which).

    Parameters
    ----------
    scenario
        What to run.
    out
        A folder for ``simulation.json``, ``requests.parquet`` and ``iterations.parquet``; it is
        made where it does not exist. A run that is interrupted leaves tables with complete row
        groups, whose metadata say that they are not complete, and no ``simulation.json``.
    chrome
        A window to be drawn; what happens in it is collected there.
    progress
        Called with requests that left of those there are (or iterations, or seconds).

    Returns
    -------
    Simulation
        Also where a replica came to a halt: ``outcome`` and ``cycle`` say so.

    Raises
    ------
    InputError
        A scenario that cannot be run: several replicas and no router, a decode pool under a load
        that is no open loop or has sessions, a load without end and no
        stop, memory in which no request of the load ever fits, a warm-up that outlasts the run, a
        folder that cannot be written.
    MissingExtraError
        ``out`` without pyarrow (``kvsteady[traces]``).
    """
    with located(scenario.places):
        return _simulate(scenario, out, chrome, progress)


def _simulate(
    scenario: Scenario,
    out: str | PathLike[str] | None,
    chrome: ChromeTrace | None,
    progress: Progress,
) -> Simulation:
    feed = scenario.load.feed()
    # Whole requests are in a decode pool, where there is one.
    check_fits(feed, scenario.replicas if scenario.decode is None else scenario.decode.replicas)
    everyone = scenario.every_replica
    block_sizes = [replica.engine.block_size for replica in everyone]
    blocks = [r.kv_tokens // size for r, size in zip(everyone, block_sizes, strict=True)]
    collector = Collector(
        scenario.replica_names, blocks, block_sizes, scenario.objectives, pools=scenario.pools
    )
    plans = [_plan(scenario, collector, number, chrome) for number in range(len(blocks))]
    replicas = [
        ObservedReplica.of(replica, plan) for replica, plan in zip(everyone, plans, strict=True)
    ]
    with ExitStack() as files:
        tables = None if out is None else _Tables(Path(out), blocks, files)

        def finished(replica: int, rows: Any) -> None:
            collector.finished(replica, rows)
            if tables is not None:
                tables.requests.add(request_columns(rows, replica))

        def iterations(replica: int, rows: Any) -> None:
            collector.logged(replica, rows)
            if tables is not None:
                tables.iterations.add(iteration_columns(rows, replica, blocks[replica]))

        _run(
            scenario,
            replicas,
            _Again(scenario.load, feed),
            gaps=collector.second_tokens,
            finished=finished,
            iterations=iterations,
            progress=progress,
        )
        result = summarise(scenario, feed, collector, plans)
    if out is not None:
        _write(Path(out) / SUMMARY, result.to_json() + b"\n")
    return result


def _run(
    scenario: Scenario,
    replicas: Sequence[Replica],
    load: Load,
    *,
    gaps: FleetSink,
    finished: FleetSink,
    iterations: FleetSink,
    progress: Progress,
) -> None:
    """Run the load on all replicas, or through two pools of them."""
    sinks: dict[str, Any] = {
        "finished": finished,
        "iterations": iterations,
        "log_every": scenario.log_every,
        "progress": progress,
        "stop": scenario.stop,
    }
    pool = scenario.decode
    if pool is None:
        run_fleet(replicas, load, scenario.router, **sinks)
        return
    run_disaggregated(
        replicas[: len(scenario.replicas)],
        replicas[len(scenario.replicas) :],
        load,
        pool.transfer,
        prefill_router=scenario.router,
        decode_router=pool.router,
        gaps=gaps,
        **sinks,
    )


def _plan(
    scenario: Scenario, collector: Collector, number: int, chrome: ChromeTrace | None
) -> Plan:
    def begin() -> None:
        collector.measuring[number] = True

    plan = Plan(scenario.warm_up, scenario.warm_up_iterations, begin)
    if chrome is not None:
        plan.window = chrome.start, chrome.end
        plan.watch = chrome.watch(number, scenario.replica_names[number])
    return plan


class _Again:
    """A load whose first pass was begun already, to learn about it."""

    def __init__(self, load: Load, first: Feed) -> None:
        self._load, self._first = load, [first]

    def feed(self) -> Feed:
        return self._first.pop() if self._first else self._load.feed()


class _Tables:
    """The two Parquet files of a run, and no summary of an older one beside them."""

    def __init__(self, folder: Path, blocks: list[int], files: ExitStack) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / SUMMARY).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(error.strerror or "cannot be written", file=folder) from None
        self.requests = files.enter_context(ParquetFile(folder / REQUESTS))
        self.iterations = files.enter_context(ParquetFile(folder / ITERATIONS))
        # A file of a run in which nothing happens has its columns too.
        self.requests.add(request_columns(np.zeros(0, LEFT), 0))
        self.iterations.add(iteration_columns(np.zeros(0, ITERATION), 0, blocks[0]))


def _write(path: Path, data: bytes) -> None:
    try:
        write_whole(path, data)
    except OSError as error:
        raise InputError(error.strerror or "cannot be written", file=path) from None
