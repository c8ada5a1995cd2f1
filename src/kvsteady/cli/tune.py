"""``kvsteady tune``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Group, Parameter
from rich.console import Console

from kvsteady.cli import sources
from kvsteady.cli.bar import Bar
from kvsteady.cli.engine_to_try import engine_to_try
from kvsteady.cli.output import Output
from kvsteady.errors import InputError

OK, FAILED = 0, 1

_traffic = Group("Traffic, one of", sort_key=0)
_load = Group("When requests come", sort_key=1)
_engine = Group("Engine and speed", sort_key=2)
_memory = Group("Memory, one of", sort_key=3)
_runs = Group("Runs", sort_key=4)
_output = Group("Output", sort_key=5)

Concern = Literal["cannot-tell", "set-flags", "use-policy", "stuck"]


def tune(
    *,
    classes: Annotated[tuple[str, ...], Parameter(name="--class", group=_traffic)] = (),
    trace: Annotated[Path | None, Parameter(group=_traffic)] = None,
    preset: Annotated[str | None, Parameter(group=_traffic)] = None,
    prompt: Annotated[str | None, Parameter(group=_traffic)] = None,
    output: Annotated[str | None, Parameter(group=_traffic)] = None,
    trace_format: Annotated[str | None, Parameter(name="--format", group=_traffic)] = None,
    columns: Annotated[str | None, Parameter(group=_traffic)] = None,
    max_tokens: Annotated[int | None, Parameter(group=_traffic)] = None,
    rate: Annotated[float | None, Parameter(group=_load)] = None,
    of_capacity: Annotated[float | None, Parameter(group=_load)] = None,
    told: Annotated[int | None, Parameter(group=_load)] = None,
    engine: Annotated[str, Parameter(group=_engine, show_default=True)] = "vllm",
    option: Annotated[tuple[str, ...], Parameter(group=_engine)] = (),
    time: Annotated[str | None, Parameter(group=_engine)] = None,
    gpu: Annotated[str | None, Parameter(group=_engine)] = None,
    kv_tokens: Annotated[int | None, Parameter(group=_memory)] = None,
    model: Annotated[Path | None, Parameter(group=_memory)] = None,
    gpu_memory: Annotated[str | None, Parameter(group=_memory)] = None,
    gpu_memory_utilization: Annotated[float | None, Parameter(group=_memory)] = None,
    tensor_parallel: Annotated[int | None, Parameter(group=_memory)] = None,
    pipeline_parallel: Annotated[int | None, Parameter(group=_memory)] = None,
    weights_memory: Annotated[str | None, Parameter(group=_memory)] = None,
    kv_dtype: Annotated[str | None, Parameter(group=_memory)] = None,
    overhead: Annotated[str | None, Parameter(group=_memory)] = None,
    block_size: Annotated[int | None, Parameter(group=_memory)] = None,
    quick: Annotated[bool, Parameter(group=_runs)] = False,
    seeds: Annotated[int | None, Parameter(group=_runs)] = None,
    seed: Annotated[int, Parameter(group=_runs, show_default=True)] = 0,
    out: Annotated[Path | None, Parameter(group=_runs)] = None,
    workers: Annotated[int, Parameter(group=_runs, show_default=True)] = 1,
    dask: Annotated[str | None, Parameter(group=_runs)] = None,
    json: Annotated[bool, Parameter(group=_output)] = False,
    html: Annotated[Path | None, Parameter(group=_output)] = None,
    fail_on: Annotated[Concern | None, Parameter(group=_output)] = None,
) -> int:
    """Find the flags or the admission policy that an engine gains from, if any, and the price.

    Exit codes: 0 done, whatever is advised; 1 the outcome is --fail-on or one of more concern;
    2 bad input.

    Parameters
    ----------
    classes
        PROMPT:OUTPUT[:SHARE] tokens, repeatable; shares sum to 1, equal if left out.
    trace
        A recorded trace: CSV, JSON, JSONL (also .gz) or Parquet, or a vLLM run folder. Its times
        are not used: see --rate.
    preset
        A bundled workload: azure-conv, mooncake-conv, fixed-batch, three-tiers, rl-rollouts,
        chat.
    prompt
        Law of prompt lengths, with --output: N, uniform:LOW-HIGH, geometric:MEAN,
        lognormal:MEDIAN,SIGMA or table:N=WEIGHT,N=WEIGHT,…
    output
        Law of output lengths, independent of the prompts.
    trace_format
        Format of the trace, where it is not recognised.
    columns
        prompt=NAME,output=NAME[,time=NAME] of a CSV, JSONL or Parquet trace.
    max_tokens
        Cut every output at so many tokens.
    rate
        Requests per second at random times (Poisson). If left out, with --of-capacity too, the
        queue never empties.
    of_capacity
        The same, as a share of what the engine serves without evictions: 0.95.
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
    kv_tokens
        KV capacity in tokens, as the engine logs it at start-up.
    model
        config.json of the model (or its folder), with --gpu-memory.
    gpu_memory
        Memory of one GPU, as in 80GiB or 81559MiB.
    gpu_memory_utilization
        Share of it that the engine may use; 0.92 if left out, as vLLM.
    tensor_parallel
        Tensor parallel size.
    pipeline_parallel
        Pipeline parallel size.
    weights_memory
        Size of the weights, where it cannot be counted from the config.
    kv_dtype
        Type of the KV cache, as in fp8; that of the model if left out.
    overhead
        Memory per GPU for activations, graphs and the rest; 3GiB if left out.
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
    workers
        Local processes.
    dask
        Address of a Dask cluster that runs already, instead of local processes.
    json
        Print the result as JSON instead of the summary.
    html
        Write a self-contained report to this file (or the JSON, if its name ends so).
    fail_on
        Exit with 1 on this outcome or one of more concern; the choices are in order.
    """
    given = dict(locals())
    # Imported here: kernels and their compiler are not needed to print help or refuse an option.
    from kvsteady.advise import TuningOutcome
    from kvsteady.advise import tune as run
    from kvsteady.report import check_destination, render_tuning, save
    from kvsteady.sweep import Store, Workers

    errors = Console(stderr=True)
    if html is not None:
        check_destination(html)
    on = Workers(workers) if dask is None else Workers(backend="dask", address=dask)
    with Bar("Reading", errors) as bar:
        problem = _problem(given, bar)
    store = None if out is None else Store(out)
    with Bar("Running (an engine's first run on a machine compiles it)", errors) as bar:
        found = run(
            problem,
            seeds=seeds,
            seed=seed,
            effort="quick" if quick else "full",
            store=store,
            workers=on,
            progress=bar,
        )
    if html is not None:
        save(found, html)
    if json:
        sys.stdout.write(found.to_json().decode() + "\n")
    else:
        render_tuning(found, Output())
        if html is not None:
            errors.print(f"Report written to {html}", highlight=False, markup=False)
    if fail_on is None:
        return OK
    outcome, limit = TuningOutcome.of_label(found.outcome), TuningOutcome.of_label(fail_on)
    return FAILED if outcome.concern >= limit.concern else OK


def _problem(flags: dict[str, Any], bar: Bar) -> Any:
    """What the options describe, given by the names of `tune`'s parameters."""
    from kvsteady.advise import TuningProblem
    from kvsteady.cli.run_options import engine_options
    from kvsteady.model.system import System

    load = sources.workload_of(flags, bar)
    on = engine_to_try(
        flags["engine"],
        time=flags["time"],
        gpu=flags["gpu"],
        block_size=flags["block_size"],
        model=flags["model"],
        memory={
            "kv_tokens": flags["kv_tokens"],
            "gpu_memory": flags["gpu_memory"],
            "tensor_parallel": flags["tensor_parallel"],
            "pipeline_parallel": flags["pipeline_parallel"] or 1,
            "weights_memory": flags["weights_memory"],
            "kv_dtype": flags["kv_dtype"],
        },
        options=engine_options(flags["option"]),
    )
    assert on is not None
    # With --kv-tokens what is said of the model is for a roofline, if anything.
    apart = flags["kv_tokens"] is not None and (flags["gpu"] or flags["time"] == "roofline")
    held = sources.memory_of(flags, on.engine.block_size, apart=bool(apart))
    try:
        return TuningProblem(
            System(load, held.kv_tokens, on.engine.block_size),
            on,
            rate=flags["rate"],
            of_capacity=flags["of_capacity"],
            max_tokens=flags["told"],
            memory_notes=held.notes,
        )
    except InputError as error:
        option = {"of_capacity": "--of-capacity", "rate": "--rate", "max_tokens": "--told"}
        field = option.get(error.field or "", error.field)
        raise InputError(error.problem, field=field, allowed=error.allowed) from None
