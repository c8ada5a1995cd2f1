"""Keep a share of memory free when a request is admitted."""
# mypy: disallow-untyped-decorators=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from kvsteady.admission import Setup, decide_of
from kvsteady.errors import InputError, shown


class _State(NamedTuple):
    spare: int  # blocks
    watermark: float


@dataclass(frozen=True)
class KvWatermark:
    """Admit while ``watermark`` of the KV blocks stays free: vLLM's option of that name.

    Source: ``vllm/v1/core/sched/scheduler.py`` (0.32.0), which asks for it only beside others.

    Raises
    ------
    InputError
        ``watermark`` is no share below 1.
    """

    watermark: float = 0.05

    sees_running = False
    oracle = False

    def __post_init__(self) -> None:
        if not 0 <= self.watermark < 1:
            raise InputError(
                f"{shown(self.watermark)} is out of range",
                field="watermark",
                allowed="a share from 0 to less than 1",
            )

    def start(self, setup: Setup) -> _State:
        """Blocks to keep free."""
        blocks = setup.kv_tokens // setup.block_size
        return _State(int(self.watermark * blocks), self.watermark)


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    facts = view.facts
    room = facts.free - (state.spare if facts.running > 0 else 0)
    quota = 0
    for i in range(facts.shown_waiting):
        row = view.waiting[i]
        room -= -(-(row.prompt + row.generated) // facts.block)
        if room < 0:
            break
        quota += 1
    return quota
