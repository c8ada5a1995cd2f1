"""What the plug-in costs SGLang's own scheduler, per step.

The real scheduler is stepped with a made-up model (`tests/engines/sglang/drive.py`) under the
plug-in. Timed are its scheduling and its processing of results, and of that the plug-in's three
calls: medians over steps, so that a busy machine matters less. A whole server also
streams and counts in a step, which is left out here: there the share is smaller. Needs
``make bench-engines``.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from engines.sglang.plugged import Driver, Knobs, gate, plugged, saturate
from reference.engines.sglang import Arrival

PROMPT, OUTPUT = 16, 512
SKIPPED, TIMED = 1000, 300


class Watch:
    """Seconds in calls, in the step that runs."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def over(self, called: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        def timed(*args: Any, **named: Any) -> Any:
            begun = time.thread_time()
            try:
                return called(*args, **named)
            finally:
                self.seconds += time.thread_time() - begun

        return timed

    def take(self) -> float:
        """What came together in a step."""
        taken, self.seconds = self.seconds, 0.0
        return taken


def measure(policy: str, running: int) -> tuple[float, float, float]:
    """Median CPU microseconds per step of SGLang and of the plug-in, and how many ran."""
    tokens = running * (PROMPT + OUTPUT // 2)
    knobs = Knobs(tokens=tokens, max_running_requests=2 * running, disable_radix_cache=True)
    requests = [Arrival(0, PROMPT, OUTPUT, OUTPUT)] * (8 * running)
    whole, made_up, ours = Watch(), Watch(), Watch()
    with plugged(policy=policy, budget_ms="1000"):
        driver = Driver(knobs)
        saturate(driver, requests, SKIPPED)
        scheduler, keeper = driver.scheduler, gate(driver)
        for name in ("ask", "adder", "settle"):
            setattr(keeper, name, ours.over(getattr(keeper, name)))
        scheduler.get_next_batch_to_run = whole.over(scheduler.get_next_batch_to_run)
        driver.process = whole.over(driver.process)
        driver.result = made_up.over(driver.result)
        many, theirs, plugin = [], [], []
        for _ in range(TIMED):
            [step] = saturate(driver, requests, 1).steps
            many.append(len(step.running))
            plugin.append(ours.take())
            theirs.append(whole.take() - made_up.take() - plugin[-1])
        assert keeper.lead.regulator.why_aside is None
    return 1e6 * median(theirs), 1e6 * median(plugin), median(many)


def main() -> None:
    logging.getLogger("numba").setLevel(logging.ERROR)
    print("SGLang 0.5.23: median CPU time per step of its scheduler, and of the plug-in")
    print(f"{'policy':>20} {'running':>8} {'SGLang':>10} {'plug-in':>10} {'share':>7}")
    for policy, running in (
        ("rate-cap:rate=1.9", 1000),
        ("steady", 1000),
        ("rate-cap:rate=0.19", 100),
        ("steady", 100),
    ):
        theirs, ours, many = measure(policy, running)
        print(f"{policy:>20} {many:8,.0f} {theirs:7,.0f} µs {ours:7,.0f} µs {ours / theirs:7.1%}")


if __name__ == "__main__":
    main()
