"""Workloads and loads of a run file."""

from __future__ import annotations

from pathlib import Path

from kvsteady.errors import InputError
from kvsteady.progress import Progress
from kvsteady.simulate.load import Load
from kvsteady.simulate.loads import (
    AtOnce,
    Closed,
    Gamma,
    Poisson,
    Recorded,
    Saturated,
    Sessions,
    burst,
    read_mooncake,
)
from kvsteady.simulate.loads.requests import MOST
from kvsteady.simulate.places import within
from kvsteady.simulate.runfile import schema
from kvsteady.workload import Lengths, Workload, independent, parse_lengths, preset
from kvsteady.workload.ranges import MAX_OUTPUT, MAX_PROMPT, whole_number
from kvsteady.workload.traces import Columns, read_trace
from kvsteady.workload.traces.read import recognise

_SOURCES = "one of classes, trace, preset, prompt with output"
# Requests of an open loop that has no end of its own, where nothing is said.
_REQUESTS = 10_000


def workload_of(part: schema.WorkloadPart, folder: Path, progress: Progress) -> Workload:
    """The workload from the one source that is given."""
    given = {
        "classes": isinstance(part.classes, list),
        "trace": part.trace is not None,
        "preset": part.preset is not None,
        "prompt and output": part.prompt is not None or part.output is not None,
    }
    named = [name for name, is_given in given.items() if is_given]
    if len(named) != 1:
        problem = f"{' and '.join(named)} are both given" if named else "no source is given"
        raise InputError(problem, field="workload", allowed=_SOURCES)
    if isinstance(part.classes, list):
        rows = [_class(each, f"classes[{i}]") for i, each in enumerate(part.classes)]
        with within("workload", {"share": "classes", "class": "classes"}):
            found = Workload.classes(rows)
    elif part.trace is not None:
        columns = None if part.columns is None else Columns.parse(part.columns)
        found = read_trace(
            folder / part.trace, format=part.format, columns=columns, progress=progress
        )
    elif part.preset is not None:
        found = preset(part.preset)
    else:
        found = independent(
            _lengths(part.prompt, "prompt"), _lengths(part.output, "output", part.max_tokens)
        )
    return found if part.max_tokens is None else found.capped(part.max_tokens)


def _class(part: schema.ClassPart, place: str) -> tuple[int, int] | tuple[int, int, float]:
    with within(f"workload.{place}"):
        whole_number(part.prompt, "prompt", 0, MAX_PROMPT)
        whole_number(part.output, "output", 1, MAX_OUTPUT)
    if part.share is None:
        return part.prompt, part.output
    return part.prompt, part.output, part.share


def _lengths(law: str | int | None, field: str, max_tokens: int | None = None) -> Lengths:
    if law is None:
        raise InputError("is missing", field=f"workload.{field}", allowed="a law of lengths")
    return parse_lengths(str(law), field, max_tokens)


def load_of(run: schema.RunFile, workload: Workload, folder: Path) -> tuple[Load, str, bool]:
    """The load, what to call it, and whether it has no end of its own."""
    part = run.load if run.load is not None else _usual(workload)
    requests, seed = run.requests, run.seed
    drawn = _REQUESTS if requests is None and _never(run.stop) else requests
    match part:
        case schema.SaturatedPart():
            return Saturated(workload, seed=seed), f"{workload.name}, saturated", True
        case schema.ClosedPart(clients=clients, think=think, random_think=random):
            closed = Closed(workload, clients, think, random, seed=seed)
            return closed, f"{workload.name}, {clients} clients", True
        case schema.AtOncePart():
            many = _REQUESTS if requests is None else requests
            return AtOnce(workload, many, seed=seed), f"{workload.name}, all at once", False
        case schema.PoissonPart(rate=rate):
            return (
                Poisson(workload, rate, drawn, seed=seed),
                f"{workload.name}, {rate:g} requests/s",
                False,
            )
        case schema.GammaPart(rate=rate, cv=cv):
            return (
                Gamma(workload, rate, drawn, seed=seed, cv=cv),
                f"{workload.name}, {rate:g} requests/s in bursts",
                False,
            )
        case schema.BurstPart(rate=rate, size=size, at=at):
            whole_number(size, "size", 1, MOST)  # to the load it is a number of requests
            return (
                burst(workload, rate, size, at, requests=drawn, seed=seed),
                f"{workload.name}, {rate:g} requests/s and a burst of {size:,}",
                False,
            )
        case schema.SessionsPart():
            return _sessions(part, run, workload), f"{workload.name}, sessions", False
        case schema.TracePart(rate=rate):
            return _trace(run, workload, folder, rate), _at(workload.name, rate), False
    raise AssertionError(part)


def _usual(workload: Workload) -> schema.Loads:
    """A trace with times is replayed; else the queue never empties."""
    return schema.SaturatedPart() if workload.arrivals is None else schema.TracePart()


def _never(stop: schema.StopPart) -> bool:
    return stop.seconds is None and stop.iterations is None and stop.completed is None


def _at(name: str, rate: float | None) -> str:
    return f"{name}, as recorded" if rate is None else f"{name}, {rate:g} requests/s"


def _trace(run: schema.RunFile, workload: Workload, folder: Path, rate: float | None) -> Load:
    part = run.workload
    if part.trace is None:
        raise InputError(
            f"{workload.name} has no arrival times", field="load", allowed="with a trace"
        )
    path = folder / part.trace
    if part.columns is None and (part.format or recognise(path).name) == "mooncake":
        return read_mooncake(path, rate=rate, requests=run.requests, max_tokens=part.max_tokens)
    return Recorded(workload, rate, run.requests, part.max_tokens)


def _sessions(part: schema.SessionsPart, run: schema.RunFile, workload: Workload) -> Load:
    return Sessions(
        workload,
        part.sessions,
        part.rate,
        turns=_lengths(part.turns, "turns"),
        think=part.think,
        random_think=part.random_think,
        shared=part.shared,
        max_context=part.max_context,
        key_tokens=part.key_tokens,
        seed=run.seed,
    )
