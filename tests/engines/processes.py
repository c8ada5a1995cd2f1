"""Ranks of an engine, each a process of its own: start them, meet, note what they log, say it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "src"
# A rank that waits for one that does not come fails after it.
TIMEOUT = timedelta(seconds=60)


def results_of(script: Path, ranks: int, folder: Path) -> list[dict[str, Any]]:
    """Run ``script RANK RANKS FOLDER`` for each rank; what each left in ``FOLDER/RANK.json``."""
    errors = [(folder / f"{rank}.err").open("w+") for rank in range(ranks)]
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(ranks), str(folder)],
            env=os.environ | {"PYTHONPATH": f"{SOURCE}{os.pathsep}{TESTS}"},
            stderr=errors[rank],
        )
        for rank in range(ranks)
    ]
    try:
        codes = [process.wait(600) for process in processes]
    finally:
        for process, file in zip(processes, errors, strict=True):
            process.kill()
            process.wait()
            file.close()
    assert codes == [0] * ranks, [Path(file.name).read_text() for file in errors]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]


def meet(rank: int, many: int, folder: Path) -> None:
    """In a rank: wait for the others."""
    from torch import distributed

    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'met'}",
        rank=rank,
        world_size=many,
        timeout=TIMEOUT,
    )


def part(rank: int, folder: Path, done: dict[str, Any]) -> None:
    """In a rank: leave what was done, once all have come so far."""
    from torch import distributed

    distributed.barrier()
    (folder / f"{rank}.json").write_text(json.dumps(done))
    distributed.destroy_process_group()


class Notes(logging.Handler):
    """Keeps the plug-in's warnings in ``lines``."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        logging.getLogger("kvsteady.plugins").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())

    def taken(self) -> list[str]:
        """The lines since the last time."""
        lines, self.lines = self.lines, []
        return lines


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("broken on purpose")
