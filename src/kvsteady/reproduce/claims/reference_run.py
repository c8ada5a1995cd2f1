"""The published sequence of states of l0 = 2, l1 = 2, M = 140."""

from __future__ import annotations

from kvsteady.model import State, System, iterate
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, exactly
from kvsteady.reproduce.finding import Chart, Series
from kvsteady.workload.law import Workload

# Requests of age 0 and 1 after admission, from the specification's section 8.
_STATES = (
    (21, 19), (18, 21), (22, 18), (17, 22), (24, 17), (14, 24), (28, 14),
    (9, 28), (34, 9), (1, 34), (45, 1), (0, 35), (46, 0), (0, 35),
)  # fmt: skip


def _measure(progress: Progress) -> Measured:
    system = System(Workload.fixed(2, 2), 140)
    start = State.dense([[float(count) for count in _STATES[0]]])
    run = iterate(system, steps=len(_STATES), arithmetic="integer", start=start)
    # Age 1 is what completes; the rest of those running is of age 0.
    old = run.completed.tolist()
    young = (run.running - run.completed).tolist()
    agree = sum(a == b for a, b in zip(_STATES, zip(young, old, strict=True), strict=True))
    progress(1, 1)
    time = tuple(float(step) for step in range(len(old)))
    return Measured(
        "The integer model passes through the same states and ends in the same worst cycle, "
        "[0, 35] and [46, 0] in turn.",
        (exactly("states in agreement", agree, len(_STATES)),),
        (
            Chart(
                "Requests in memory after admission",
                "iteration",
                "requests",
                (
                    Series("age 0", time, tuple(young), "steps"),
                    Series("age 1", time, tuple(old), "steps", "cap"),
                ),
            ),
        ),
    )


CLAIM = Claim(
    key="reference-run",
    title="The published run of whole requests",
    source="paper: example as the specification records it (section 8)",
    says="l0 = 2, l1 = 2, M = 140: [21,19] → [18,21] → [22,18] → … → [0,35] → [46,0] → [0,35].",
    measure=_measure,
)
