"""What SGLang's room for max_tokens leaves of memory: geometric, azure-untold.

    python scripts/reserve_bound.py [WORKLOAD ...]

In the pass that admits k requests SGLang wants room for all that they may become, for each its
prompt, its max_tokens up to 4,096, and a page. So much of memory is free whenever k are admitted.
Where ends are random, memory falls by the k prompts until the next time, and the mean held is near
``1 - k (l0 / 2 + min(max_tokens, 4096) + page) / M``; noise of memory between two batches adds up
to half a per cent to it. Here k are admitted in the very iteration in which so much is free,
whatever may be evicted later; behind what docs/league.md says of these workloads.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any, NamedTuple
from unittest import mock

from kvsteady.admission import Setup, decide_of
from kvsteady.league import match as league
from kvsteady.league.workloads import CONTESTS, Contest
from kvsteady.simulate.engines.sglang_memo import CLIP

WORKLOADS = ("geometric", "azure-untold")
MOST = 8


class _State(NamedTuple):
    batch: int


@dataclass(frozen=True)
class AsSoonAsItFits:
    """Admit ``batch`` requests as soon as SGLang would take them all."""

    batch: int

    sees_running = False
    oracle = False

    def start(self, setup: Setup) -> _State:
        """The batch."""
        del setup
        return _State(self.batch)


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    facts = view.facts
    room = facts.free * facts.block
    for i in range(state.batch):
        row = view.waiting[i]
        rest = max(row.limit - row.generated, 0)
        room -= row.prompt + row.generated + min(rest, CLIP) + facts.block
    return state.batch if room > 0 or facts.running == 0 else 0


def share_held(contest: Contest, batch: int) -> float:
    """Share of memory that is held in the mean, about, where ``batch`` are admitted at a time."""
    law = contest.law()
    told = contest.told if contest.told is not None else contest.max_tokens
    limit = float(law.mean_output if told is None else told)
    each = law.mean_prompt / 2 + min(limit, CLIP) + 1
    return 1 - batch * each / contest.kv_tokens


def main() -> None:
    for name in sys.argv[1:] or WORKLOADS:
        for batch in range(1, MOST + 1):
            share = share_held(CONTESTS[name], batch)
            with mock.patch.object(league, "policy_of", lambda *_, k=batch: AsSoonAsItFits(k)):
                run = league.play(league.Match(workload=name, entrant="greedy", engine="sglang"))
            print(
                f"{name}, {batch} at a time: about {share:.3f} of memory; held {run.kv_usage:.3f},"
                f" {run.of_x:.3f} x*, {run.tokens_per_second:,.0f} tokens/s,"
                f" tax {run.recompute_tax:.1%}",
                flush=True,
            )


if __name__ == "__main__":
    main()
