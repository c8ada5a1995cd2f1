"""The real engine with the plug-in, and the simulated engine with the same policy."""

from __future__ import annotations

import importlib
import importlib.metadata
import random
from dataclasses import dataclass
from typing import Any

import pytest

VERSION = "5.23.0"
try:
    INSTALLED = importlib.metadata.version("transformers")
except importlib.metadata.PackageNotFoundError:
    INSTALLED = "none"
if INSTALLED != VERSION:
    pytest.skip(f"needs transformers {VERSION}, found {INSTALLED}", allow_module_level=True)
plugin = importlib.import_module("kvsteady.plugins.transformers")
Engine = importlib.import_module("engines.transformers.drive").Engine

from kvsteady.model.system import Eviction  # noqa: E402 - after the engine is known to be there
from kvsteady.policies.named import policy_of  # noqa: E402 - same
from kvsteady.simulate.engines.transformers import Transformers  # noqa: E402 - same
from kvsteady.simulate.machine import Machine  # noqa: E402 - same
from reference.engines.transformers_cases import Arrival, Diary, Options  # noqa: E402 - same
from stepping import UnitTime, feed_of, step  # noqa: E402 - same

OURS = {"fifo": "steady", "prefill_first": "steady_prefill_first"}
# No machine that is busy makes a policy step aside.
UNHURRIED = {"budget_ms": 1e9, "metrics": False}


@dataclass(frozen=True)
class Load:
    """Requests (step of arrival, prompt, output) and how far each may run; memory of 960 tokens."""

    requests: list[Arrival]
    limits: list[int] | None = None  # None: as far as they do

    @property
    def options(self) -> Options:
        return {"page_size": 4, "num_blocks": 240, "max_batch_tokens": 8192}


def engine(case: tuple[Options, list[Arrival]], policy: str | None, **more: Any) -> Any:
    """The real engine, with the plug-in where there is a policy."""
    options, requests = dict(case[0]), case[1]
    settings = {k: more.pop(k) for k in ("mode", "patience") if k in more}
    if policy is not None:
        plugin.configure(policy=policy, **UNHURRIED, **settings)
        options["scheduler_type"] = OURS[options.get("scheduler_type", "fifo")]
    return Engine(requests, **options, **more)


def rows_of(made: Any, steps: int = 1 << 30) -> list[Any]:
    """The diary of a real run."""
    diary = Diary()
    return [
        diary.row(done.tokens, done.admitted, done.evicted, done.finished, done.free)
        for done in made.run(steps)
    ]


def simulated(
    case: tuple[Options, list[Arrival]],
    policy: str | None,
    *,
    limits: list[int] | None = None,
    swap: bool = False,
    steps: int = 1 << 30,
) -> list[Any]:
    """The diary of a simulated run."""
    options, requests = dict(case[0]), case[1]
    kv_tokens = options.pop("num_blocks") * options["page_size"]
    told = [{"time": float(t), "prompt": p, "output": o} for t, p, o in requests]
    for row, limit in zip(told, limits or (), strict=False):
        row["limit"] = limit
    machine = Machine(
        Transformers(**options),
        kv_tokens,
        UnitTime(),
        feed_of(told),
        eviction=Eviction.SWAP if swap else Eviction.RESUME,
        policy=None if policy is None else policy_of(policy),
    )
    diary, rows = Diary(), []
    while len(rows) < steps and (done := step(machine, check=False)) is not None:
        rows.append(diary.row(done.tokens, done.admitted, done.preempted, done.finished, done.free))
    return rows


def evictions(rows: list[Any]) -> int:
    return sum(len(evicted) for _, _, _, evicted, _, _ in rows)


def _random(seed: int, many: int, mean: float, most: int) -> list[Arrival]:
    rng = random.Random(seed)
    lengths = [min(1 + int(rng.expovariate(1 / mean)), most) for _ in range(many)]
    return [(0, rng.randint(4, 28), output) for output in lengths]


def tiers() -> Load:
    """Three classes whose lengths are known: each runs to its limit."""
    rng = random.Random(1)
    return Load([(0, *rng.choice([(8, 16), (16, 48), (40, 24)])) for _ in range(500)])


def ending() -> Load:
    """Outputs that an end-of-sequence token ends long before their limit."""
    requests = _random(2, 500, 24.0, 120)
    return Load(requests, [120] * len(requests))


def drifting() -> Load:
    """Outputs that become three times as long halfway."""
    requests = _random(3, 250, 12.0, 120) + _random(4, 250, 36.0, 120)
    return Load(requests, [120] * len(requests))


def bursts() -> Load:
    """Nobody for a while, then sixty at once."""
    requests = [(120 * (i // 60), 16, 32) for i in range(300)]
    return Load(requests)
