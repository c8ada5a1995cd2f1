"""On a cluster of two workers, one of which is killed in the middle: nothing lost or doubled."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from pathlib import Path

import pytest
from sweep_tasks import Square, Squared

from kvsteady.sweep import Store, Task, Workers, sweep

pytest.importorskip("joblib", reason="joblib is not installed: pip install 'kvsteady[sweep]'")
distributed = pytest.importorskip(
    "distributed", reason="no Dask to run a cluster of: pip install 'kvsteady[dask]'"
)

TASK = Task("sweep_tasks:square")


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as running:
        yield running


@pytest.mark.filterwarnings("default")  # Dask's own, about the worker that is gone
def test_a_worker_killed_mid_run_loses_and_doubles_nothing(cluster, tmp_path: Path) -> None:
    for pipe in ("here", "never"):
        os.mkfifo(tmp_path / pipe)
    points = [Square(str(tmp_path), n, ("wait",) if n == 4 else ()) for n in range(12)]
    killed: list[int] = []

    def kill() -> None:
        (tmp_path / "here").read_text()  # opens when the worker is at it
        killed.append(int((tmp_path / "pid").read_text()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    store = Store(tmp_path / "store")
    on = Workers(backend="dask", address=cluster.scheduler_address)
    found = sweep(TASK, points, store, workers=on)
    killer.join()

    assert killed != [os.getpid()]
    expected = [Squared(n, float(n * n)) for n in range(12)]
    assert found == expected
    rows = sorted((record for _, record in store.rows(TASK)), key=lambda record: record.number)
    assert rows == expected
    began = Counter(int(file.name.split("-")[1]) for file in tmp_path.glob("call-*"))
    assert began[4] == 2  # the one whose worker died, again
    # Going on afterwards computes nothing.
    assert sweep(TASK, points, store) == expected
    assert Counter(int(file.name.split("-")[1]) for file in tmp_path.glob("call-*")) == began
