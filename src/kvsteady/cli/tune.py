"""``kvsteady tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Literal

from cyclopts import Parameter
from rich.console import Console

from kvsteady.cli.bar import Bar
from kvsteady.cli.ending import exit_code, show, written
from kvsteady.cli.engine_to_try import engine_to_try
from kvsteady.cli.options import (
    ENGINE,
    LOAD,
    MEMORY,
    OUTPUT,
    RUNS,
    Computers,
    Memory,
    Traffic,
)
from kvsteady.cli.run_options import engine_options
from kvsteady.cli.sweeping import kept, named

# What a field of the problem is called here.
_OPTIONS: Final = {
    "of_capacity": "--of-capacity",
    "rate": "--rate",
    "replay": "--replay",
    "max_tokens": "--told",
}

Concern = Literal["cannot-tell", "set-flags", "use-policy", "stuck"]


def tune(
    *,
    traffic: Traffic = Traffic(),
    rate: Annotated[float | None, Parameter(group=LOAD)] = None,
    of_capacity: Annotated[float | None, Parameter(group=LOAD)] = None,
    replay: Annotated[bool, Parameter(group=LOAD)] = False,
    told: Annotated[int | None, Parameter(group=LOAD)] = None,
    engine: Annotated[str, Parameter(group=ENGINE, show_default=True)] = "vllm",
    option: Annotated[tuple[str, ...], Parameter(group=ENGINE)] = (),
    time: Annotated[str | None, Parameter(group=ENGINE)] = None,
    gpu: Annotated[str | None, Parameter(group=ENGINE)] = None,
    memory: Memory = Memory(),
    block_size: Annotated[int | None, Parameter(group=MEMORY)] = None,
    quick: Annotated[bool, Parameter(group=RUNS)] = False,
    seeds: Annotated[int | None, Parameter(group=RUNS)] = None,
    seed: Annotated[int, Parameter(group=RUNS, show_default=True)] = 0,
    out: Annotated[Path | None, Parameter(group=RUNS)] = None,
    computers: Annotated[Computers, Parameter(group=RUNS)] = Computers(),
    json: Annotated[bool, Parameter(group=OUTPUT)] = False,
    html: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    fail_on: Annotated[Concern | None, Parameter(group=OUTPUT)] = None,
) -> int:
    """Find the flags or the admission policy that an engine gains from, if any, and the price.

    Exit codes: 0 done, whatever is advised; 1 the outcome is --fail-on or one of more concern;
    2 bad input.

    Parameters
    ----------
    rate
        Requests per second, at random times (Poisson) without --replay. If left out, with
        --of-capacity and --replay too, the queue never empties.
    of_capacity
        The same, as a share of what the engine serves without evictions: 0.95.
    replay
        Requests come as the trace recorded them, stretched to the rate if one is given; each run
        has a stretch of the trace of its own.
    told
        max_tokens that requests come with: the longest output where lengths are random, else their
        own output, if left out.
    engine
        As it is run now: vllm, sglang, tensorrt-llm, transformers; vidur-vllm, vidur-sarathi and
        paper with policies only.
    option
        NAME=VALUE: an option that the engine is run with now, under its own name; repeatable.
    time
        Iteration times: one that comes with kvsteady (llama-3.1-8b_h100 if left out), a file of
        kvsteady fit, linear:TERM=SECONDS,…, or roofline with --model and --gpu.
    gpu
        GPU whose figures a roofline takes, as in h100.
    block_size
        Tokens per KV block; the engine's own default if left out.
    quick
        Fewer values, shorter runs, four seeds: what kvsteady check --engine does.
    seeds
        Seeds to compare on, and as many more to confirm on; 5, with --quick 4.
    seed
        The first seed.
    out
        Folder in which runs are kept: one that was stopped goes on where it was.
    json
        Print the result as JSON instead of the summary.
    html
        Write a self-contained report to this file (or the JSON, if its name ends so).
    fail_on
        Exit with 1 on this outcome or one of more concern; the choices are in order.
    """
    # Imported here: kernels and their compiler are not needed to print help or refuse an option.
    from kvsteady.advise import TuningOutcome, TuningProblem
    from kvsteady.advise import tune as run
    from kvsteady.advise.tuning.trial import TASK
    from kvsteady.model import System
    from kvsteady.report import check_destination, render_tuning, save
    from kvsteady.sweep import Store

    errors = Console(stderr=True)
    if html is not None:
        check_destination(html)
    workers = computers.chosen(usually=1)
    with Bar("Reading", errors) as bar:
        load = traffic.workload(bar)
    on = engine_to_try(
        engine,
        time=time,
        gpu=gpu,
        block_size=block_size,
        memory=memory,
        options=engine_options(option),
    )
    assert on is not None
    held = memory.capacity(on.engine.block_size, timed=gpu is not None or time == "roofline")
    with named({**_OPTIONS, "address": computers.cluster}):
        problem = TuningProblem(
            System(load, held.kv_tokens, on.engine.block_size),
            on,
            rate=rate,
            of_capacity=of_capacity,
            replay=replay,
            max_tokens=told,
            memory_notes=held.notes,
        )
        store = None if out is None else Store(out)
        with (
            kept(store, TASK, errors),
            Bar("Running (an engine's first run on a machine compiles it)", errors) as bar,
        ):
            found = run(
                problem,
                seeds=seeds,
                seed=seed,
                effort="quick" if quick else "full",
                store=store,
                workers=workers,
                progress=bar,
            )
    if html is not None:
        save(found, html)
    show(found, render_tuning, json=json, errors=errors, note=written(html))
    return exit_code(found.outcome, fail_on, TuningOutcome.of_label)
