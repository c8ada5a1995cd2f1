"""Small systems of every kind, and a text that breaks careless output."""

from __future__ import annotations

from collections.abc import Callable

from kvsteady.model.system import System
from kvsteady.workload import Lengths, Workload, independent

SYSTEMS: dict[str, Callable[[], System]] = {
    "two tokens": lambda: System(Workload.fixed(2, 2), 140),
    "one class": lambda: System(Workload.fixed(16, 32), 960, 16),
    "one token": lambda: System(Workload.fixed(5, 1), 140),
    "tiers": lambda: System(Workload.classes([(16, 8), (16, 16), (16, 32)]), 4000),
    "stable": lambda: System(Workload.classes([(400, 3), (400, 4), (400, 7)]), 60_000),
    "noisy": lambda: System(
        independent(Lengths.fixed(20), Lengths.lognormal(30, 1.0, 100)), 4000, 16
    ),
}
HOSTILE = "</script><img src=x onerror=\"alert('1')\">[red]x[/red][/] {0} %{x}\n\x1b[31m\u202e&amp;"
