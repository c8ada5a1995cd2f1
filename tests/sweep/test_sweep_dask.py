"""On a cluster of two workers, one of which is killed in the middle: nothing lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest
from killed import loses_and_doubles_nothing

from kvsteady.sweep import Workers

pytest.importorskip("joblib", reason="joblib is not installed: pip install 'kvsteady[sweep]'")
distributed = pytest.importorskip(
    "distributed", reason="no Dask to run a cluster of: pip install 'kvsteady[dask]'"
)


@pytest.fixture
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
    ) as running:
        yield running


@pytest.mark.filterwarnings("default")  # Dask's own, about the worker that is gone
def test_a_worker_killed_mid_run_loses_and_doubles_nothing(cluster, tmp_path: Path) -> None:
    loses_and_doubles_nothing(tmp_path, Workers(backend="dask", address=cluster.scheduler_address))
