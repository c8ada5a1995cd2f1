"""``kvsteady check``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from kvsteady.cli.bar import Bar
from kvsteady.cli.ending import exit_code, show, written
from kvsteady.cli.engine_to_try import engine_to_try
from kvsteady.cli.options import ENGINE, MEMORY, OUTPUT, Memory, Traffic

Concern = Literal["noisy", "undecided", "unstable-slow", "unstable-mild", "metastable", "unstable"]


def check(
    *,
    traffic: Traffic = Traffic(),
    memory: Memory = Memory(),
    block_size: Annotated[int, Parameter(group=MEMORY, show_default=True)] = 16,
    engine: Annotated[str | None, Parameter(group=ENGINE)] = None,
    time: Annotated[str | None, Parameter(group=ENGINE)] = None,
    gpu: Annotated[str | None, Parameter(group=ENGINE)] = None,
    certify: Annotated[bool, Parameter(group=OUTPUT)] = False,
    json: Annotated[bool, Parameter(group=OUTPUT)] = False,
    html: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    fail_on: Annotated[Concern | None, Parameter(group=OUTPUT)] = None,
    seed: Annotated[int, Parameter(group=OUTPUT, show_default=True)] = 0,
) -> int:
    """Say whether the engine will fall into an eviction cycle, what it costs, and what to set.

    Exit codes: 0 done, 1 the verdict is as bad as --fail-on or worse, 2 bad input.

    Parameters
    ----------
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
        load = traffic.workload(bar)
    held = memory.capacity(block_size, timed=gpu is not None or time == "roofline")
    on = engine_to_try(engine, time=time, gpu=gpu, block_size=block_size, memory=memory)
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
    show(analysis, render_terminal, json=json, errors=errors, note=written(html))
    return exit_code(analysis.verdict, fail_on, Verdict.of_label)
