"""Model steps per second: the kernels against plain NumPy stage arrays, same system, same run."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from benchmarks.stages import Stages
from kvsteady import System, Workload, iterate
from kvsteady.model.admission import UNLIMITED
from kvsteady.model.fluid import COLUMNS
from kvsteady.model.machines import FluidMachine

KV_TOKENS = 1_000_000
CASES = [[(128, 16)], [(128, 128)], [(128, 512)], [(128, 4096)], [(128, 128), (128, 384)]]


def best(work: Callable[[], object], repeats: int = 5) -> float:
    """Seconds of the fastest of a few runs: the least disturbed one."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    print("model steps per second on one core (fluid kernel: aim 20 M at any length)")
    print(f"{'classes':>22} {'fluid':>10} {'integer':>10} {'NumPy stages':>13} {'ratio':>9}")
    for classes in CASES:
        load = Workload.classes(classes)
        system = System(load, KV_TOKENS)
        iterate(system, steps=1)
        iterate(system, steps=1, arithmetic="integer")
        steps = 2_000_000
        rows = np.ones((steps, COLUMNS))
        machine = FluidMachine(system, UNLIMITED, None)
        fluid = steps / best(lambda: machine.advance(rows))  # noqa: B023 -- run at once
        whole = 200_000 / best(lambda: iterate(system, steps=200_000, arithmetic="integer"))  # noqa: B023 -- run at once

        outputs = [output for _, output in classes]
        peer = Stages(
            [prompt for prompt, _ in classes], outputs, [1 / len(classes)] * len(classes), KV_TOKENS
        )
        check(system, peer)
        few = max(200, 400_000 // max(outputs))
        plain = few / best(lambda: [peer.step() for _ in range(few)])  # noqa: B023 -- run at once
        name = " + ".join(f"{p}:{o}" for p, o in classes)
        print(
            f"{name:>22} {fluid / 1e6:8.1f} M {whole / 1e6:8.2f} M {plain / 1e3:11.1f} k "
            f"{fluid / plain:8.0f}x"
        )


def check(system: System, peer: Stages) -> None:
    """Both must do the same work: compare completions over the first steps from empty."""
    steps = 4 * system.workload.longest_output
    ours = iterate(system, steps=steps).completed.sum()
    theirs = sum(peer.step() for _ in range(steps))
    assert abs(ours - theirs) < 1e-6 * ours, (ours, theirs)


if __name__ == "__main__":
    main()
