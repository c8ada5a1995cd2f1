"""Stock against the plug-in, in alternation, until there are enough repetitions or no time."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from loads import Load
from serve import hardware, make_model, serve

from kvsteady.league.interval import interval

ARMS = {"stock": None, "steady": "steady"}
MEASURED = (
    "tokens_per_second",
    "steps",
    "evictions",
    "recomputed",
    "itl_p50",
    "itl_p90",
    "itl_p99",
    "itl_max",
)


def play(make: Callable[[bool], Load], arguments: list[str] | None = None) -> Path:
    """Run an experiment as its command line says; returns the file of its results."""
    parser = argparse.ArgumentParser(description=make.__doc__)
    parser.add_argument("--out", type=Path, default=Path("kvsteady-gpu"), help="folder of results")
    parser.add_argument("--toy", action="store_true", help="a tiny model and load, for a CPU")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--budget", type=float, default=240.0, help="seconds; none is begun after")
    given = parser.parse_args(arguments)
    load, model, begun = make(given.toy), make_model(given.toy), time.monotonic()
    where = hardware() | {"host": platform.platform()}
    for policy in ARMS.values():  # compiled and warm before anything counts
        serve(model, make(True), policy, 0)
    runs: dict[str, list[dict[str, Any]]] = {arm: [] for arm in ARMS}
    for repetition in range(given.repetitions):
        took = time.monotonic() - begun
        if repetition and took * (1 + 1 / repetition) > given.budget:
            print(f"no time for repetition {repetition + 1} after {took:.0f} s")
            break
        # Who goes first alternates too.
        for arm in sorted(ARMS, reverse=repetition % 2 == 1):
            found = serve(model, load, ARMS[arm], repetition)
            runs[arm].append(found)
            print(
                f"{load.name} {arm} {repetition + 1}: {found['tokens_per_second']:,.0f} tokens/s, "
                f"{found['evictions']} evictions, {found['recomputed']:,} tokens recomputed",
                flush=True,
            )
    results = {
        "experiment": load.name,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": where,
        "toy": given.toy,
        "load": {
            "about": make.__doc__,
            "requests": load.requests,
            "kv_tokens": load.kv_tokens,
            "page": load.page,
            "max_tokens": load.max_tokens,
        },
        "runs": runs,
        "intervals": {
            arm: {name: interval([run[name] for run in each]) for name in MEASURED}
            for arm, each in runs.items()
        },
    }
    given.out.mkdir(parents=True, exist_ok=True)
    path: Path = given.out / f"{load.name}.json"
    path.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    print(f"wrote {path}")
    return path
