"""A sweep on a cluster, one worker of which is killed in the middle."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

from sweep_tasks import Square, Squared

from kvsteady.sweep import Store, Task, Workers, sweep

TASK = Task("sweep_tasks:square")


def loses_and_doubles_nothing(folder: Path, workers: Workers) -> None:
    """Assert that every point is found once, and only that of the killed worker called again."""
    for pipe in ("here", "never"):
        os.mkfifo(folder / pipe)
    points = [Square(str(folder), n, ("wait",) if n == 4 else ()) for n in range(12)]
    killed: list[int] = []

    def kill() -> None:
        (folder / "here").read_text()  # opens when the worker is at it
        killed.append(int((folder / "pid").read_text()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    store = Store(folder / "store")
    found = sweep(TASK, points, store, workers=workers)
    killer.join()

    assert killed != [os.getpid()]
    expected = [Squared(n, float(n * n)) for n in range(12)]
    assert found == expected
    rows = sorted((record for _, record in store.rows(TASK)), key=lambda record: record.number)
    assert rows == expected
    began = Counter(int(file.name.split("-")[1]) for file in folder.glob("call-*"))
    assert began[4] == 2  # the one whose worker died, again
    # Going on afterwards computes nothing.
    assert sweep(TASK, points, store) == expected
    assert Counter(int(file.name.split("-")[1]) for file in folder.glob("call-*")) == began
