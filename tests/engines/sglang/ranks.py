"""One of several ranks of SGLang's real scheduler, in a process of its own.

Each iteration ends with the ranks comparing what they did, over their group, as those of an engine
do in the model's layers; where one is missing the group's timeout ends the run.

    PYTHONPATH=tests python tests/engines/sglang/ranks.py RANK RANKS FOLDER
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import distributed

from engines.processes import TIMEOUT, Notes, broken, meet, part
from engines.sglang.plugged import Arrival, Driver, Knobs, OverlapDriver, gate, plugged, saturate
from kvsteady.plugins import ranks
from kvsteady.plugins.sglang import supported

KNOBS = Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True)
FIXED = [Arrival(0, 20, 40, 40)] * 3000
MIXED = [
    Arrival(0, random.Random(i).randint(5, 60), random.Random(-i).randint(5, 80), 80)
    for i in range(2000)
]
BEFORE, AFTER = 101, 150
CAP = {"policy": "rate-cap:rate=0.8", "budget_ms": "100000"}


def slow(driver: Driver) -> None:
    hours = iter(range(10**9))
    gate(driver).lead.regulator._clock = lambda: 3600.0 * next(hours)


def blind(driver: Driver) -> None:
    gate(driver).lead.regulator.room_for = broken


def confused(driver: Driver) -> None:
    gate(driver).lead._residents.admit = broken


def nothing(_: Driver) -> None: ...


# By name: settings, on which rank what happens after `BEFORE` steps.
CASES: dict[str, tuple[dict[str, str], dict[int, Callable[[Driver], None]]]] = {
    "well": (CAP, {}),
    "steady": ({"policy": "steady", "budget_ms": "100000"}, {}),
    "by the second": ({"policy": "rate-cap:per_second=20", "budget_ms": "100000"}, {}),
    "shadow": (CAP | {"mode": "shadow"}, {}),
    "blind": (CAP, {0: blind}),
    "confused": (CAP, {0: confused}),
    "slow": (CAP, {0: slow}),
}


def load(name: str) -> list[Arrival]:
    return MIXED if name == "steady" else FIXED


class Rank:
    """This process: its group, and what it did."""

    def __init__(self, rank: int, many: int, folder: Path) -> None:
        self.rank, self.many, self.notes = rank, many, Notes()
        meet(rank, many, folder)

    def driver(self, kind: type[Driver] = Driver) -> Driver:
        """As in an engine of its own: with a new group."""
        self.group = distributed.new_group(list(range(self.many)), TIMEOUT, "gloo")
        driver = kind(KNOBS)
        driver.scheduler.tp_size, driver.scheduler.tp_cpu_group = self.many, self.group
        step = driver.step

        def compared() -> Any:
            taken = step()
            everywhere: list[Any] = [None] * self.many
            distributed.all_gather_object(everywhere, taken, self.group)
            assert everywhere == [taken] * self.many, everywhere
            return taken

        driver.step = compared
        return driver

    def case(self, name: str, kind: type[Driver] = Driver) -> dict[str, Any]:
        settings, happens = CASES[name]
        with plugged(**settings):
            driver = self.driver(kind)
            steps = saturate(driver, load(name), BEFORE).steps
            happens.get(self.rank, nothing)(driver)
            steps += saturate(driver, load(name), AFTER).steps
        return self.told(driver, steps)

    def beginning(self, settings: dict[str, str], version: str | None = None) -> dict[str, Any]:
        known = supported.VERSIONS
        supported.VERSIONS = known if version is None else (version,)  # type: ignore[misc]
        ranks.SETTING_OUT = ranks.COMPILING = 1.0  # type: ignore[misc]
        with plugged(**settings):
            supported.VERSIONS = known  # type: ignore[misc]
            driver = self.driver()
            steps = saturate(driver, FIXED, BEFORE).steps
        return self.told(driver, steps)

    def told(self, driver: Driver, steps: list[Any]) -> dict[str, Any]:
        made = driver.scheduler.__dict__.get("_kvsteady_gate")
        lead = made and made.lead
        return {
            "steps": [repr(step) for step in steps],
            "gate": made is not None,
            "lead": lead is not None,
            "aside": lead and lead.regulator.why_aside,
            "limited": lead.regulator.ledger.limited if lead else None,
            "lines": self.notes.taken(),
        }


def main(rank: int, many: int, folder: Path) -> None:
    me = Rank(rank, many, folder)
    done = {name: me.case(name) for name in CASES}
    done["overlap"] = me.case("blind", OverlapDriver)
    for name, here in {
        "on the others alone": {} if rank == 0 else CAP,
        "on rank 0 alone": CAP if rank == 0 else {},
        "set otherwise": CAP | {"patience": str(100 + rank)},
    }.items():
        done[name] = me.beginning(here)
    done["unknown to one"] = me.beginning(CAP, None if rank == 0 else "0.4.0")
    part(rank, folder, done)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
