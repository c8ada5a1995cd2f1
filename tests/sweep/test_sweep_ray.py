"""On a local Ray cluster, a worker of which is killed in the middle: nothing lost or doubled."""

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
ray = pytest.importorskip("ray", reason="no Ray to run a cluster of: pip install 'kvsteady[ray]'")

TASK = Task("sweep_tasks:square")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    folders = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": folders}},
    )
    yield
    ray.shutdown()


@pytest.mark.filterwarnings("default")  # Ray's own
def test_a_worker_killed_mid_run_loses_and_doubles_nothing(tmp_path: Path) -> None:
    for pipe in ("here", "never"):
        os.mkfifo(tmp_path / pipe)
    points = [Square(str(tmp_path), n, ("wait",) if n == 4 else ()) for n in range(12)]
    killed: list[int] = []

    def kill() -> None:
        (tmp_path / "here").read_text()  # opens when the worker is at it
        killed.append(int((tmp_path / "pid").read_text()))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    store = Store(tmp_path / "store")
    found = sweep(TASK, points, store, workers=Workers(backend="ray"))
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


def test_what_is_raised_is_raised_and_what_landed_is_kept(tmp_path: Path) -> None:
    points = [Square(str(tmp_path), n, ("fail",) if n == 7 else ()) for n in range(8)]
    store = Store(tmp_path / "store")
    with pytest.raises(ValueError, match="point 7"):
        sweep(TASK, points, store, workers=Workers(backend="ray"))
    landed = len(list(store.rows(TASK)))
    good = sweep(TASK, points[:7], store, workers=Workers(backend="ray"))
    assert good == [Squared(n, float(n * n)) for n in range(7)]
    assert landed <= 7
