"""Whole runs of the engine with a model, each made once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Measured:
    """The measured case: 1,000 requests of 16 + 32 tokens in 960, with a model, greedy decoding."""

    batches: int
    attempts: int  # calls of schedule_batch: more than batches where nobody could be scheduled
    evictions: int
    tokens: int  # computed
    outputs: dict[int, list[int]]
    regulator: Any


@pytest.fixture(scope="session")
def measured_run():
    """``measured_run(policy)``; None is the engine's own rule."""
    made: dict[tuple[str | None, bool], Measured] = {}

    def run(policy: str | None, *, sharing: bool = False) -> Measured:
        if (policy, sharing) not in made:
            from engines.transformers.plugged import engine
            from reference.engines.transformers_cases import measured

            here = engine(measured(allow_block_sharing=sharing), policy, forward="model")
            steps = here.run()
            made[policy, sharing] = Measured(
                batches=len(steps),
                attempts=sum(step.passes for step in steps),
                evictions=sum(len(step.evicted) for step in steps),
                tokens=sum(sum(step.tokens.values()) for step in steps),
                outputs=here.outputs(),
                regulator=getattr(here.scheduler, "regulator", None),
            )
        return made[policy, sharing]

    return run
