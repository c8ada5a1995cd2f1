"""Iterations of the simulated engines, a trace with shared prefixes, and ten million requests.

The peer of the first table is vLLM's own scheduler on the same workload, where it is installed
(``make bench-engines``); decisions are compared before anything is timed. Rates are medians of
CPU time, as other processes may run.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from statistics import median
from typing import Any

from kvsteady import Workload
from kvsteady.model.admission import UNLIMITED, Pace
from kvsteady.simulate.engines import engine_class
from kvsteady.simulate.loads import Saturated, read_mooncake
from kvsteady.simulate.machine import Machine
from kvsteady.simulate.times import LinearTime, fitted_time

UNIT = LinearTime(iteration=1.0, prefill=0.0, decode=0.0, kv_read=0.0)
SHARED = Path(os.environ.get("KVSTEADY_SHARED", Path(__file__).parents[2] / "shared"))
VLLM = {"enable_prefix_caching": False, "max_num_seqs": 4096, "max_num_batched_tokens": 65_536}

# Each without a cache, where it has the choice; vLLM and SGLang also with their own.
ENGINES: tuple[tuple[str, dict[str, Any], str], ...] = (
    ("vllm", VLLM, ""),
    ("vllm", VLLM | {"enable_prefix_caching": True}, ", prefix cache"),
    ("sglang", {"disable_radix_cache": True}, ""),
    ("sglang", {}, ", radix cache"),
    ("tensorrt-llm", {}, ""),
    ("transformers", {}, ""),
    ("vidur-vllm", {}, ""),
    ("paper", {}, ""),
)


# Admitting whoever fits, and at most so many an iteration that nobody is evicted.
LOADS: tuple[tuple[int, int, Pace], ...] = (
    (128, 512, UNLIMITED),
    (128, 4096, UNLIMITED),
    (128, 4096, Pace(0.3, 1.0)),
)


def saturated(
    engine: Any, prompt: int, output: int, running: int, pace: Pace = UNLIMITED
) -> Machine:
    """An engine with room for so many requests of half their output, on an endless queue."""
    memory = running * (prompt + output // 2)
    feed = Saturated(Workload.fixed(prompt, output)).feed()
    return Machine(engine, memory, UNIT, feed, pace=pace)


def cpu_seconds(machine: Machine, iterations: int) -> float:
    start = time.process_time()
    machine.run(iterations)
    return time.process_time() - start


def rates() -> None:
    print("simulated iterations per second and core, one length, about 1,400 running (or capped)")
    print(f"{'engine':>28} {'lengths':>10} {'decoding':>9} {'events/it.':>11} {'iterations/s':>13}")
    for name, options, word in ENGINES:
        for prompt, output, pace in LOADS:
            machine = saturated(engine_class(name)(**options), prompt, output, 1400, pace)
            machine.run(4 * output)
            before = machine.clock.copy()
            seconds = 5 * median(cpu_seconds(machine, 40_000) for _ in range(5))
            ran = machine.clock["iteration"] - before["iteration"]
            events = sum(
                machine.clock[field] - before[field]
                for field in ("all_admitted", "all_preempted", "all_completed")
            )
            decoding = (machine.clock["all_decode"] - before["all_decode"]) / ran
            print(
                f"{machine.engine.name + word:>28} {prompt:>5}:{output:<4} {decoding:9,.0f} "
                f"{events / ran:11.2f} {ran / seconds:13,.0f}"
            )


def mooncake() -> None:
    path = SHARED / "data" / "mooncake" / "conversation_trace.jsonl"
    if not path.is_file():
        print(f"no Mooncake trace at {path}: set KVSTEADY_SHARED")
        return
    trace = read_mooncake(path)
    print("\nMooncake conversations (12,031 requests) through vLLM with prefix caching")
    print(f"{'block':>6} {'KV tokens':>10} {'iterations':>11} {'hit tokens':>11} {'seconds':>8}")
    for block in (16, 512):
        for kv_tokens in (1_000_000, 4_000_000):
            spent = []
            for _ in range(5):
                engine = engine_class("vllm")(block_size=block)
                machine = Machine(engine, kv_tokens, fitted_time("llama-3.1-8b_h100"), trace.feed())
                spent.append(cpu_seconds(machine, 2**60))
            seconds, clock = median(spent), machine.clock
            print(
                f"{block:>6} {kv_tokens:>10,} {clock['iteration']:>11,} "
                f"{clock['all_hits']:>11,} {seconds:8.3f}"
            )


def ten_million() -> None:
    load = Workload.classes([(64, 32), (16, 64), (256, 16)])
    engine = engine_class("vllm")(**VLLM)
    machine = Machine(engine, 200_000, UNIT, Saturated(load, requests=10_000_000).feed())
    machine.run(10)
    start = time.perf_counter()
    machine.run(2**60)
    seconds = time.perf_counter() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"\n10 M requests: {machine.clock['all_completed']:,} completed in {seconds:.1f} s, "
        f"{machine.clock['iteration']:,} iterations, peak memory of this process {most} MB"
    )


def main() -> None:
    # Compile first, then measure.
    saturated(engine_class("vllm")(**VLLM), 16, 32, 20).run(10)
    rates()
    mooncake()
    ten_million()


if __name__ == "__main__":
    main()
