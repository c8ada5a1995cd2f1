"""A sweep in a process of its own, to be interrupted: ``interrupted.py FOLDER WORKERS``."""

import sys
from pathlib import Path

from sweep_tasks import Square

from kvsteady.sweep import Store, Task, Workers, sweep

if __name__ == "__main__":
    folder, count = sys.argv[1], int(sys.argv[2])
    points = [Square(folder, n, ("wait",) if n == 3 else ()) for n in range(4)]

    def progress(done: int, total: int) -> None:
        if done == total - 1:  # all but the one that waits have landed
            (Path(folder) / "landed").write_text(str(done))

    try:
        sweep(
            Task("sweep_tasks:square"),
            points,
            Store(Path(folder) / "store"),
            workers=Workers(count),
            progress=progress,
        )
    except KeyboardInterrupt:
        sys.exit(130)
