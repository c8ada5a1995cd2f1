"""``kvsteady simulate``: run an engine request by request, in simulated time."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from cyclopts import Group, Parameter
from rich.console import Console

from kvsteady.cli.bar import Bar
from kvsteady.cli.ending import exit_code, show, write_file, written
from kvsteady.cli.options import ENGINE, LOAD, OUTPUT, Memory, Traffic
from kvsteady.cli.run_options import scenario_of
from kvsteady.cli.waiting import Waiting
from kvsteady.errors import InputError

if TYPE_CHECKING:
    from kvsteady.simulate.scenario import Scenario

_COMPILING = "Preparing: the first run of an engine on a machine compiles it"
_NOT_OF_THE_RUN = frozenset(
    {
        "run_file",
        "traffic",
        "memory",
        "seed",
        "goodput",
        "json",
        "out",
        "html",
        "chrome_trace",
        "window",
        "fail_on",
    }
)

_UNTIL: Final = Group("How long", sort_key=4)

LoadKind = Literal["saturated", "poisson", "gamma", "trace", "closed", "burst", "at-once"]
Concern = Literal["evicting", "overloaded", "rejected", "stalled", "livelocked"]


def simulate(
    run_file: Path | None = None,
    /,
    *,
    traffic: Traffic = Traffic(),
    load: Annotated[LoadKind | None, Parameter(group=LOAD)] = None,
    rate: Annotated[float | None, Parameter(group=LOAD)] = None,
    cv: Annotated[float | None, Parameter(group=LOAD)] = None,
    clients: Annotated[int | None, Parameter(group=LOAD)] = None,
    think: Annotated[float | None, Parameter(group=LOAD)] = None,
    burst: Annotated[str | None, Parameter(group=LOAD)] = None,
    engine: Annotated[str | None, Parameter(group=ENGINE)] = None,
    option: Annotated[tuple[str, ...], Parameter(group=ENGINE)] = (),
    eviction: Annotated[
        Literal["restart", "resume", "swap"] | None, Parameter(group=ENGINE)
    ] = None,
    rate_cap: Annotated[str | None, Parameter(group=ENGINE)] = None,
    policy: Annotated[str | None, Parameter(group=ENGINE)] = None,
    time: Annotated[str | None, Parameter(group=ENGINE)] = None,
    gpu: Annotated[str | None, Parameter(group=ENGINE)] = None,
    replicas: Annotated[int | None, Parameter(group=ENGINE)] = None,
    router: Annotated[str | None, Parameter(group=ENGINE)] = None,
    memory: Memory = Memory(),
    requests: Annotated[int | None, Parameter(group=_UNTIL)] = None,
    seconds: Annotated[float | None, Parameter(group=_UNTIL)] = None,
    iterations: Annotated[int | None, Parameter(group=_UNTIL)] = None,
    warm_up: Annotated[float | None, Parameter(group=_UNTIL)] = None,
    seed: Annotated[int | None, Parameter(group=_UNTIL)] = None,
    goodput: Annotated[tuple[str, ...], Parameter(group=OUTPUT, consume_multiple=True)] = (),
    json: Annotated[bool, Parameter(group=OUTPUT)] = False,
    out: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    html: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    chrome_trace: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    window: Annotated[str | None, Parameter(group=OUTPUT)] = None,
    fail_on: Annotated[Concern | None, Parameter(group=OUTPUT)] = None,
) -> int:
    """Run an engine request by request, in simulated time: throughput, latencies, evictions.

    Describe the run by a YAML file or by options. Exit codes: 0 done, 1 the outcome is as bad as
    --fail-on or worse, 2 bad input.

    Parameters
    ----------
    run_file
        A run in YAML; then only --seed and the options of Output may be given beside it.
    load
        If left out: what the options below imply, the times of a trace, or saturated.
    rate
        Requests per second; stretches the times of a trace.
    cv
        Coefficient of variation of the times between requests, with --load gamma.
    clients
        Clients of a closed loop, each with one request at a time.
    think
        Seconds that a client waits after an answer.
    burst
        SIZE@SECOND: so many requests at once on top of --rate.
    engine
        vllm (if left out), sglang, tensorrt-llm, transformers, vidur-vllm, vidur-sarathi, paper.
    option
        NAME=VALUE: an option of the engine, under its own name; repeatable.
    eviction
        What an evicted request keeps: resume (its generated tokens; if left out), restart
        (nothing; if left out with the paper's engine), swap (its KV too).
    rate_cap
        Most admissions per iteration and replica: a number, or auto for the theory's.
    policy
        Admission policy that is asked in each iteration: greedy, kv-watermark, max-active,
        no-evict, new-token-ratio, rate-cap, look-ahead, wait, nested-wait, aimd or steady, with
        options as in kv-watermark:watermark=0.1; victim=ORDER says whom to evict.
    time
        Iteration times: one that comes with kvsteady (llama-3.1-8b_h100 if left out), a file of
        kvsteady fit, linear:TERM=SECONDS,…, or roofline with --model and --gpu.
    gpu
        GPU whose figures a roofline takes, as in h100.
    replicas
        Copies of the engine, each with the memory below.
    router
        Which replica a request goes to: round-robin (if left out), random, least-requests,
        least-kv, power-of-two, session-affinity, prefix-affinity, by-class, mixed.
    requests
        So many requests; 10,000 if nothing else ends the run.
    seconds
        Simulated seconds after which the run ends.
    iterations
        Iterations of each replica after which the run ends.
    warm_up
        Simulated seconds that are not measured.
    seed
        Of all draws; 0 if left out.
    goodput
        Objectives as in ttft:500 tpot:50 e2el:10000, milliseconds; goodput counts who meets all.
    json
        Print the result as JSON instead of the summary.
    out
        Write simulation.json, requests.parquet and iterations.parquet to this folder.
    html
        Write a self-contained report to this file.
    chrome_trace
        Write what happens in --window to this file, for chrome://tracing or ui.perfetto.dev.
    window
        START:END in simulated seconds, as in 10s:12s.
    fail_on
        Exit with 1 on this outcome or a worse one; the choices are in order of concern.
    """
    given = dict(locals())
    # Imported here: kernels and their compiler are not needed to print help or refuse an option.
    from kvsteady.report.save import check_destination
    from kvsteady.report.simulation import render_simulation
    from kvsteady.simulate.results.chrome import ChromeTrace
    from kvsteady.simulate.results.objectives import Objectives
    from kvsteady.simulate.results.outcome import Outcome
    from kvsteady.simulate.simulate import simulate as run

    # What describes the run, by the names of the parameters: a run file stands for all of it.
    flags = {name: value for name, value in given.items() if name not in _NOT_OF_THE_RUN}
    flags |= asdict(traffic) | asdict(memory)
    errors = Console(stderr=True)
    for place in (html, chrome_trace):
        if place is not None:
            _check_place(place, check_destination if place is html else None)
    if (chrome_trace is None) != (window is None):
        missing = "--window" if window is None else "--chrome-trace"
        raise InputError(f"{missing} is missing", allowed="--chrome-trace FILE --window 10s:12s")
    drawn = None if window is None else ChromeTrace.parse(window)
    with Bar("Reading", errors) as bar:
        if run_file is None:
            scenario = scenario_of(traffic, memory, flags, 0 if seed is None else seed, bar)
        else:
            scenario = _from_file(run_file, flags, seed, bar)
    if goodput:
        scenario = replace(scenario, objectives=Objectives.parse(goodput))
    with Bar("Simulating", errors) as bar, Waiting(_COMPILING, errors, bar) as progress:
        result = run(scenario, out=out, chrome=drawn, progress=progress)
    if html is not None:
        from kvsteady.report.simulation_html import render_simulation_html

        write_file(html, render_simulation_html(result).encode())
    if chrome_trace is not None and drawn is not None:
        write_file(chrome_trace, drawn.to_json())
    show(result, render_simulation, json=json, errors=errors, note=written(html))
    return exit_code(result.outcome, fail_on, Outcome.of_label)


def _from_file(run_file: Path, flags: dict[str, Any], seed: int | None, bar: Bar) -> Scenario:
    from kvsteady.simulate.runfile import read_scenario

    given = [name for name, value in flags.items() if value not in (None, ())]
    if given:
        name = {"classes": "class", "trace_format": "format"}.get(given[0], given[0])
        raise InputError(
            f"--{name.replace('_', '-')} and a run file are both given",
            file=run_file,
            allowed="--seed, --goodput and where the output goes",
        )
    return read_scenario(run_file, seed=seed, progress=bar)


def _check_place(path: Path, check: Any) -> None:
    """Refuse a file that could not be written, before the run."""
    if check is not None:
        # First: `check` would offer the other suffixes that an analysis is saved under.
        if path.suffix.lower() != ".html":
            raise InputError(f"suffix {path.suffix!r}", file=path, allowed=".html")
        check(path)
    elif not path.parent.is_dir() or path.is_dir():
        raise InputError("its folder does not exist, or it is one", file=path)
