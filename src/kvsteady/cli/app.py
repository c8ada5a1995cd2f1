"""The commands of ``kvsteady``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter
from rich.console import Console

from kvsteady import __version__
from kvsteady.cli import sources
from kvsteady.cli.bar import Bar
from kvsteady.cli.engine_to_try import engine_to_try
from kvsteady.cli.output import Output
from kvsteady.errors import InputError

OK, FAILED = 0, 1

app = App(
    name="kvsteady",
    version=__version__,
    help="Keep LLM serving out of KV-cache eviction cycles.",
    default_parameter=Parameter(negative=(), show_default=False),
    suppress_keyboard_interrupt=False,  # main says so and picks the exit code
)
_traffic = Group("Traffic, one of", sort_key=0)
_memory = Group("Memory, one of", sort_key=1)
_engine = Group("Engine to try", sort_key=2)
_output = Group("Output", sort_key=3)

Concern = Literal["noisy", "undecided", "unstable-slow", "unstable-mild", "metastable", "unstable"]


@app.command
def check(
    *,
    classes: Annotated[tuple[str, ...], Parameter(name="--class", group=_traffic)] = (),
    trace: Annotated[Path | None, Parameter(group=_traffic)] = None,
    preset: Annotated[str | None, Parameter(group=_traffic)] = None,
    prompt: Annotated[str | None, Parameter(group=_traffic)] = None,
    output: Annotated[str | None, Parameter(group=_traffic)] = None,
    trace_format: Annotated[str | None, Parameter(name="--format", group=_traffic)] = None,
    columns: Annotated[str | None, Parameter(group=_traffic)] = None,
    max_tokens: Annotated[int | None, Parameter(group=_traffic)] = None,
    kv_tokens: Annotated[int | None, Parameter(group=_memory)] = None,
    model: Annotated[Path | None, Parameter(group=_memory)] = None,
    gpu_memory: Annotated[str | None, Parameter(group=_memory)] = None,
    gpu_memory_utilization: Annotated[float | None, Parameter(group=_memory)] = None,
    tensor_parallel: Annotated[int | None, Parameter(group=_memory)] = None,
    pipeline_parallel: Annotated[int | None, Parameter(group=_memory)] = None,
    weights_memory: Annotated[str | None, Parameter(group=_memory)] = None,
    kv_dtype: Annotated[str | None, Parameter(group=_memory)] = None,
    overhead: Annotated[str | None, Parameter(group=_memory)] = None,
    block_size: Annotated[int, Parameter(group=_memory, show_default=True)] = 16,
    engine: Annotated[str | None, Parameter(group=_engine)] = None,
    time: Annotated[str | None, Parameter(group=_engine)] = None,
    gpu: Annotated[str | None, Parameter(group=_engine)] = None,
    certify: Annotated[bool, Parameter(group=_output)] = False,
    json: Annotated[bool, Parameter(group=_output)] = False,
    html: Annotated[Path | None, Parameter(group=_output)] = None,
    fail_on: Annotated[Concern | None, Parameter(group=_output)] = None,
    seed: Annotated[int, Parameter(group=_output, show_default=True)] = 0,
) -> int:
    """Say whether the engine will fall into an eviction cycle, what it costs, and what to set.

    Exit codes: 0 done, 1 the verdict is as bad as --fail-on or worse, 2 bad input.

    Parameters
    ----------
    classes
        PROMPT:OUTPUT[:SHARE] tokens, repeatable; shares sum to 1, equal if left out.
    trace
        A recorded trace: CSV, JSON, JSONL (also .gz) or Parquet, or a vLLM run folder.
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
        Tokens per KV block.
    engine
        Also run the workload on vllm, sglang, tensorrt-llm, transformers, vidur-vllm,
        vidur-sarathi or paper with an endless queue: what greedy admission costs there, and which
        flags or policy it gains from, if any. kvsteady tune looks closer.
    time
        What its iterations take, as in simulate: one that comes with kvsteady
        (llama-3.1-8b_h100 if left out), linear:TERM=SECONDS,…, or roofline with --model and --gpu.
    gpu
        GPU whose figures a roofline takes, as in h100.
    certify
        Prove the verdict on the spectrum by exact arithmetic.
    json
        Print the analysis as JSON instead of the summary.
    html
        Write a self-contained report to this file (or the JSON, if its name ends so).
    fail_on
        Exit with 1 on this verdict or a worse one; the choices are in order of concern.
    seed
        Of random lengths and of the disturbance.
    """
    # Imported here: kernels and their compiler are not needed to print help or refuse an option.
    from kvsteady.advise import Verdict
    from kvsteady.advise import check as analyse
    from kvsteady.model import System
    from kvsteady.report import check_destination, render_terminal, save

    errors = Console(stderr=True)
    if html is not None:
        check_destination(html)
    with Bar("Reading", errors) as bar:
        load = sources.workload(
            classes=classes,
            trace=trace,
            trace_format=trace_format,
            columns=columns,
            preset_name=preset,
            prompt=prompt,
            output=output,
            max_tokens=max_tokens,
            progress=bar,
        )
    # With --kv-tokens what is said of the model is for a roofline, if anything.
    apart = kv_tokens is not None and (gpu is not None or time == "roofline")
    held = sources.memory(
        kv_tokens=kv_tokens,
        model=None if apart else model,
        gpu_memory=gpu_memory,
        utilisation=gpu_memory_utilization,
        tensor_parallel=None if apart else tensor_parallel,
        pipeline_parallel=pipeline_parallel,
        weights_memory=None if apart else weights_memory,
        kv_dtype=kv_dtype,
        overhead=overhead,
        block_size=block_size,
    )
    on = engine_to_try(
        engine,
        time=time,
        gpu=gpu,
        block_size=block_size,
        model=model,
        memory={
            "kv_tokens": kv_tokens,
            "gpu_memory": gpu_memory,
            "tensor_parallel": tensor_parallel,
            "pipeline_parallel": pipeline_parallel or 1,
            "weights_memory": weights_memory,
            "kv_dtype": kv_dtype,
        },
    )
    with Bar("Running the model", errors) as bar:
        analysis = analyse(
            System(load, held.kv_tokens, block_size),
            memory_notes=held.notes,
            seed=seed,
            certified=certify,
            on=on,
            progress=bar,
        )
    if html is not None:
        save(analysis, html)
    if json:
        sys.stdout.write(analysis.to_json().decode() + "\n")
    else:
        render_terminal(analysis, Output())
        if html is not None:
            errors.print(f"Report written to {html}", highlight=False, markup=False)
    if fail_on is None:
        return OK
    found, limit = Verdict.of_label(analysis.verdict), Verdict.of_label(fail_on)
    return FAILED if found.concern >= limit.concern else OK


@app.command
def report(analysis: Path, /, *, html: Path | None = None) -> int:
    """Show a saved analysis or tuning again, or turn it into a report.

    Parameters
    ----------
    analysis
        What ``kvsteady check --json`` or ``kvsteady tune --json`` printed, in a file.
    html
        Write a self-contained report to this file instead of printing the summary.
    """
    from kvsteady.advise import Tuning, load_saved
    from kvsteady.report import render_terminal, render_tuning, save

    try:
        saved = load_saved(analysis.read_bytes(), file=str(analysis))
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", file=analysis) from None
    if html is not None:
        save(saved, html)
    elif isinstance(saved, Tuning):
        render_tuning(saved, Output())
    else:
        render_terminal(saved, Output())
    return OK


# Commands in files of their own, imported when they are called.
app.command(
    "kvsteady.cli.tiers:tiers",
    name="tiers",
    help="Find output lengths near the given tiers that evict less, and say if that is worth it.",
)
app.command(
    "kvsteady.cli.simulate:simulate",
    name="simulate",
    help="Run an engine request by request, in simulated time: throughput, latencies, evictions.",
)
app.command(
    "kvsteady.cli.fit:fit",
    name="fit",
    help="Fit iteration times to a recorded vLLM run, and say how far a simulation is from it.",
)
app.command(
    "kvsteady.cli.reproduce:reproduce",
    name="reproduce",
    help="Measure every claim of arXiv:2606.15555, and report how each stands.",
)
app.command(
    "kvsteady.cli.tune:tune",
    name="tune",
    help="Find the flags or the admission policy that an engine gains from, if any, and the price.",
)
app.command(
    "kvsteady.cli.league:league",
    name="league",
    help="Play admission policies on workloads and engines, in parallel, and show the table.",
)


def run(arguments: list[str] | None) -> int:
    """Run one command; returns its exit code, or raises what went wrong."""
    code = app(
        arguments,
        exit_on_error=False,
        print_error=False,
        result_action="return_value",
    )
    return code or OK
