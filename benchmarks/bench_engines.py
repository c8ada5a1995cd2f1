"""Iterations per second of the simulated vLLM against vLLM's own scheduler, on the same workload.

The peer is ``vllm.v1.core.sched.scheduler.Scheduler`` 0.32.0, stepped as its own tests do
(`tests/engines/vllm/drive.py`): schedule, a made-up model output, update. Only those calls are
timed. Decisions are compared step by step before anything is timed. Needs ``make bench-engines``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engines.vllm.drive import Driver  # before NumPy's threads start, as its module sets up vLLM
from reference.engines.vllm import Arrival, Knobs
from vllm_runs import Case, by_request, kernel_steps, machine_of

KNOBS = Knobs(max_num_seqs=4096, max_num_batched_tokens=65_536)
COMPARED = 100


def saturated(prompt: int, output: int, running: int, steps: int) -> Case:
    """All requests at once, more than can be served, and memory for so many of them half grown."""
    block = 16
    blocks = running * -(-(prompt + output // 2) // block)
    wanted = 2 * running + int(2.0 * running / output * steps)
    return Case(KNOBS, blocks, block, (Arrival(0, prompt, output, 0, ()),) * wanted)


def peer(case: Case, folder: Path, skipped: int, steps: int) -> float:
    """Iterations per second of the real scheduler, after so many that are not timed."""
    driver = Driver(folder, case.knobs, case.blocks, case.block)
    for arrival in case.arrivals:
        driver.add(arrival)
    scheduler, seconds = driver.scheduler, 0.0
    for number in range(skipped + steps):
        begun = time.perf_counter()
        decided = scheduler.schedule()
        scheduled = time.perf_counter()
        made_up = driver.sampled(decided)
        resumed = time.perf_counter()
        scheduler.update_from_output(decided, made_up)
        if number >= skipped:
            seconds += scheduled - begun + time.perf_counter() - resumed
    return steps / seconds


def ours(case: Case, skipped: int, steps: int) -> float:
    """The same of the kernel."""
    machine = machine_of(case)
    machine.run(skipped)
    begun = time.perf_counter()
    machine.run(steps)
    return steps / (time.perf_counter() - begun)


def main() -> None:
    print("vLLM 0.32.0: our kernel against its own scheduler, one core each, iterations/s")
    print(f"{'lengths':>10} {'running':>8} {'vLLM':>9} {'kvsteady':>12} {'ratio':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for prompt, output, running, steps in (
            (16, 32, 20, 1000),
            (128, 512, 100, 300),
            (128, 512, 1400, 60),
            (128, 2048, 1400, 60),
        ):
            case = saturated(prompt, output, running, 20_000)
            few = replace(case, arrivals=case.arrivals[: 3 * running + 2 * steps])
            compare(folder, few)
            real = peer(few, folder, 20, steps)
            kernel = ours(case, output, 20_000)
            print(
                f"{prompt:>5}:{output:<4} {running:>8,} {real:9,.0f} {kernel:12,.0f} "
                f"{kernel / real:8,.0f}"
            )


def compare(folder: Path, case: Case) -> None:
    driver = Driver(folder, case.knobs, case.blocks, case.block)
    for arrival in case.arrivals:
        driver.add(arrival)
    for number, step in enumerate(kernel_steps(case, COMPARED)):
        expected = by_request(case, driver.step())
        assert step == expected, f"iteration {number}"


if __name__ == "__main__":
    main()
