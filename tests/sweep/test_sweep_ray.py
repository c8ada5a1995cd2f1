"""On a local Ray cluster, a worker of which is killed in the middle: nothing lost or doubled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from killed import TASK, loses_and_doubles_nothing
from sweep_tasks import Square, Squared

from kvsteady.sweep import Store, Workers, sweep

pytest.importorskip("joblib", reason="joblib is not installed: pip install 'kvsteady[sweep]'")
ray = pytest.importorskip("ray", reason="no Ray to run a cluster of: pip install 'kvsteady[ray]'")


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
    loses_and_doubles_nothing(tmp_path, Workers(backend="ray"))


def test_what_is_raised_is_raised_and_what_landed_is_kept(tmp_path: Path) -> None:
    points = [Square(str(tmp_path), n, ("fail",) if n == 7 else ()) for n in range(8)]
    store = Store(tmp_path / "store")
    with pytest.raises(ValueError, match="point 7"):
        sweep(TASK, points, store, workers=Workers(backend="ray"))
    landed = len(list(store.rows(TASK)))
    good = sweep(TASK, points[:7], store, workers=Workers(backend="ray"))
    assert good == [Squared(n, float(n * n)) for n in range(7)]
    assert landed <= 7
