"""One of several tensor-parallel ranks of Transformers' whole engine, in a process of its own.

Each has all of the model, which decides nothing here; the engine takes itself for one of a group,
gets its requests from rank 0 and schedules by itself. Each step ends with the ranks comparing it.

    PYTHONPATH=tests python tests/engines/transformers/ranks.py RANK RANKS FOLDER
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from transformers import LlamaForCausalLM

import kvsteady.plugins.transformers as plugin
from engines.processes import Notes, broken, meet, part
from engines.transformers import drive
from engines.transformers.plugged import OURS, UNHURRIED
from kvsteady.plugins import ranks
from reference.engines.transformers_cases import measured

CAP = {"policy": "rate-cap:rate=0.9"}
MANY, BEFORE = 200, 40


def blind(made: Any) -> None:
    made.scheduler._watch.fill = broken


def confused(made: Any) -> None:
    made.scheduler._watch.end = broken


def slow(made: Any) -> None:
    hours = iter(range(10**9))
    made.scheduler.regulator._clock = lambda: 1e9 * next(hours)


def nothing(_: Any) -> None: ...


# By name: settings, and on which rank what happens after `BEFORE` steps.
CASES: dict[str, tuple[dict[str, Any], dict[int, Callable[[Any], None]]]] = {
    "well": (CAP, {}),
    "shared": ({"policy": "steady"}, {}),
    "by the second": ({"policy": "rate-cap:per_second=200"}, {}),
    "shadow": (CAP | {"mode": "shadow"}, {}),
    "blind 0": (CAP, {0: blind}),
    "blind 1": (CAP, {1: blind}),
    "confused 1": (CAP, {1: confused}),
    "slow 1": (CAP, {1: slow}),
}


def begun(name: str, rank: int, settings: dict[str, Any]) -> drive.Engine:
    """An engine of the measured case, or of one with pages that are kept."""
    options, requests = measured(allow_block_sharing=name == "shared")
    plugin.configure(**UNHURRIED | settings)
    options = dict(options)
    options["scheduler_type"] = OURS[options.get("scheduler_type", "fifo")]
    # Requests come from rank 0; what there are, all know.
    made = drive.Engine(requests[:MANY], **options)
    if rank > 0:
        made.arrived = MANY
    return made


class Rank:
    """This process, and what it did."""

    def __init__(self, rank: int, many: int, folder: Path) -> None:
        self.rank, self.many, self.notes = rank, many, Notes()
        meet(rank, many, folder)
        self.mesh = init_device_mesh("cpu", (many,))

    def run(self, name: str, settings: dict[str, Any], happens: Callable[[Any], None]) -> Any:
        with mock.patch.object(LlamaForCausalLM, "_device_mesh", self.mesh, create=True):
            made = begun(name, self.rank, settings)
        steps: list[str] = []
        while (step := self.step(made)) is not None:
            steps.append(step)
            if len(steps) == BEFORE:
                happens(made)
        made.manager.destroy()
        regulator = made.scheduler.regulator
        return {
            "steps": steps,
            "done": len(made.outputs()),
            "aside": regulator and regulator.why_aside,
            "limited": regulator and regulator.ledger.limited,
            "lines": self.notes.taken(),
        }

    def step(self, made: drive.Engine) -> str | None:
        taken = made.step()
        told = None if taken is None else repr(dataclasses.replace(taken))
        everywhere: list[Any] = [None] * self.many
        distributed.all_gather_object(everywhere, told)
        assert everywhere == [told] * self.many, everywhere
        return told


def main(rank: int, many: int, folder: Path) -> None:
    me = Rank(rank, many, folder)
    done = {
        name: me.run(name, settings, happens.get(rank, nothing))
        for name, (settings, happens) in CASES.items()
    }
    ranks.SETTING_OUT = 5.0  # type: ignore[misc]
    done["set otherwise"] = me.run("well", CAP | {"patience": 100 + rank}, nothing)
    with mock.patch.object(plugin.engine, "VERSIONS", ("5.",) if rank == 0 else ("4.",)):
        done["unknown to one"] = me.run("well", CAP, nothing)
    part(rank, folder, done)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
