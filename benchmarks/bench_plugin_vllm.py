"""What the plug-in for vLLM costs per iteration, against the ``schedule()`` that it surrounds.

vLLM's own scheduler with a thousand requests running, at all ages, and a queue: as it is and with
the plug-in, turn by turn in one run. CPU time of ``schedule()``, medians; the plug-in's share is
its own time over stock's. The model is not there: its time comes on top of both. Needs
``make bench-engines``.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engines.vllm.drive import Driver  # before NumPy's threads start, as its module sets up vLLM
from reference.engines.vllm import Arrival, Knobs

RUNNING, PROMPT, OUTPUT, BLOCK = 1000, 128, 512, 16
SKIPPED, STEPS = 540, 160
ASKED = Arrival(0, PROMPT, OUTPUT)
CASES = (
    ("greedy", False, "enforce"),
    ("steady", False, "enforce"),
    ("steady", True, "enforce"),
    ("steady", False, "shadow"),
)


class Timed:
    """An engine whose parts are timed."""

    def __init__(self, folder: str, asynchronous: bool, settings: dict[str, Any] | None) -> None:
        knobs = Knobs(
            max_num_seqs=RUNNING, max_num_batched_tokens=65_536, async_scheduling=asynchronous
        )
        blocks = RUNNING * -(-(PROMPT + OUTPUT) // BLOCK)
        self.driver = Driver(Path(folder), knobs, blocks, BLOCK, kvsteady=settings)
        self.added = 0.0
        if settings is not None:
            watch = self.driver.scheduler.kvsteady
            watch.before, watch.after = self._timed(watch.before), self._timed(watch.after)

    def _timed(self, method: Any) -> Any:
        def timed(*args: Any) -> Any:
            begun = time.thread_time()
            answer = method(*args)
            self.added += time.thread_time() - begun
            return answer

        return timed

    def step(self, coming: int) -> tuple[float, float]:
        """One iteration; seconds of schedule(), and of the plug-in in it."""
        driver, scheduler = self.driver, self.driver.scheduler
        for _ in range(coming):
            driver.add(ASKED)
        self.added, begun = 0.0, time.thread_time()
        decided = scheduler.schedule()
        took = time.thread_time() - begun
        driver.in_flight.append((decided, driver.sampled(decided)))
        if len(driver.in_flight) > int(driver.knobs.async_scheduling):
            scheduler.update_from_output(*driver.in_flight.pop(0))
        return took, self.added


def compared(policy: str, asynchronous: bool, mode: str) -> tuple[float, float, float, int]:
    """Microseconds of stock's schedule(), of ours, of the plug-in in it; how many ran."""
    settings = {"policy": policy, "mode": mode, "budget_ms": 1e4, "metrics": False}
    with tempfile.TemporaryDirectory() as folder:
        both = Timed(folder, asynchronous, None), Timed(folder, asynchronous, settings)
        rows = []
        for number in range(SKIPPED + STEPS):
            # Two at a time, which spreads their ages; at last some more, who have to wait.
            coming = 300 if number == SKIPPED else 2
            rows.append([each.step(coming) for each in both])
        assert both[1].driver.scheduler.kvsteady.regulator.why_aside is None
        rows = rows[SKIPPED:]
        stock, ours, alone = (
            1e6 * median(pick(row) for row in rows)
            for pick in (lambda r: r[0][0], lambda r: r[1][0], lambda r: r[1][1])
        )
        return stock, ours, alone, len(both[1].driver.scheduler.running)


def main() -> None:
    print("schedule() of vLLM, microseconds of CPU time, medians")
    print(
        f"{'policy':>8} {'scheduling':>13} {'mode':>8} {'running':>8} {'stock':>8} {'ours':>8} "
        f"{'plug-in':>8} {'share':>7}"
    )
    for policy, asynchronous, mode in CASES:
        stock, ours, alone, running = compared(policy, asynchronous, mode)
        how = "asynchronous" if asynchronous else "synchronous"
        print(
            f"{policy:>8} {how:>13} {mode:>8} {running:>8,} {stock:8,.0f} {ours:8,.0f} "
            f"{alone:8,.0f} {alone / stock:7.1%}"
        )


if __name__ == "__main__":
    main()
