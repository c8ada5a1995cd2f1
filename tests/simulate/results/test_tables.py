"""Parquet files: what is in them, and what an interrupted run leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_hand import Listed, scenario

from kvsteady.errors import InputError, MissingExtraError
from kvsteady.simulate.load import Feed
from kvsteady.simulate.loads import AtOnce, Poisson
from kvsteady.simulate.results.simulation import load_simulation
from kvsteady.simulate.results.tables import ParquetFile
from kvsteady.simulate.simulate import simulate
from kvsteady.workload import Workload

pq = pytest.importorskip("pyarrow.parquet")

TIERS = Workload.classes([(16, 8), (16, 16), (16, 32)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_tables_and_summary_agree(tmp_path: Path) -> None:
    run = simulate(scenario(AtOnce(TIERS, 500), 960), out=tmp_path / "run")
    assert names(tmp_path / "run") == ["iterations.parquet", "requests.parquet", "simulation.json"]
    assert load_simulation((tmp_path / "run" / "simulation.json").read_bytes()) == run
    requests = pq.read_table(tmp_path / "run" / "requests.parquet").to_pydict()
    assert sorted(requests["id"]) == list(range(500))
    assert set(requests["status"]) == {"completed"}
    ttft = np.array(requests["time_to_first_token_seconds"])
    assert run.median_ttft_ms == pytest.approx(1000 * np.median(ttft))
    assert run.p99_e2el_ms == pytest.approx(
        1000 * np.percentile(requests["e2e_request_latency_seconds"], 99)
    )
    assert run.mean_tpot_ms == pytest.approx(
        1000 * np.mean(requests["time_per_output_token_seconds"])
    )
    assert run.num_preemptions_total == sum(requests["num_preemptions"])
    assert run.recomputed_tokens == sum(requests["recomputed_tokens"])
    iterations = pq.read_table(tmp_path / "run" / "iterations.parquet").to_pydict()
    assert run.iterations == len(iterations["iteration"])
    assert run.num_preemptions_total == sum(iterations["num_preemptions"])
    assert run.computed_tokens == sum(iterations["prefill_tokens"] + iterations["decode_tokens"])
    assert run.max_kv_cache_usage_perc == pytest.approx(max(iterations["kv_cache_usage_perc"]))


def test_by_hand(tmp_path: Path) -> None:
    load = Listed(
        {"id": 5, "time": 2.5, "prompt": 4, "output": 3},
        {"id": 6, "time": 3.0, "prompt": 40, "output": 3},
    )
    simulate(scenario(load, 10), out=tmp_path)
    table = pq.read_table(tmp_path / "requests.parquet").to_pylist()
    served, rejected = sorted(table, key=lambda row: row["id"])
    assert (served["arrival"], served["first_token"], served["finish"]) == (2.5, 3.5, 5.5)
    assert (served["prompt_tokens"], served["generation_tokens"]) == (4, 3)
    assert served["time_per_output_token_seconds"] == 1.0
    assert rejected["status"] == "rejected"
    assert rejected["generation_tokens"] == 0
    assert np.isnan(rejected["finish"])


def test_a_run_in_which_nothing_completes_has_its_columns(tmp_path: Path) -> None:
    simulate(scenario(Listed({"prompt": 90, "output": 20}), 50), out=tmp_path)
    table = pq.read_table(tmp_path / "iterations.parquet")
    assert table.num_rows == 0
    assert "kv_cache_usage_perc" in table.column_names


class Interrupted:
    """A load that is interrupted when so many batches were drawn."""

    def __init__(self, batches: int) -> None:
        self._batches = batches

    def feed(self) -> Feed:
        feed = Poisson(TIERS, 0.5, 100_000).feed()

        def batches() -> Any:
            for number, rows in enumerate(feed.batches):
                if number == self._batches:
                    raise KeyboardInterrupt
                yield rows

        return replace(feed, batches=batches())


def test_an_interrupted_run_leaves_complete_row_groups(tmp_path: Path) -> None:
    (tmp_path / "simulation.json").write_text("of an older run")
    with pytest.raises(KeyboardInterrupt):
        simulate(scenario(Interrupted(3), 960), out=tmp_path)
    assert names(tmp_path) == ["iterations.parquet", "requests.parquet"]
    for name in names(tmp_path):
        file = pq.ParquetFile(tmp_path / name)
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        assert file.read().num_rows == sum(groups) > 1000
        assert file.metadata.metadata[b"kvsteady.complete"] == b"false"
    ids = pq.read_table(tmp_path / "requests.parquet")["id"].to_pylist()
    assert len(set(ids)) == len(ids)  # none twice


def test_an_interruption_before_the_first_row_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate(scenario(Interrupted(0), 960), out=tmp_path)
    assert names(tmp_path) == []


def test_a_killed_run_leaves_no_table(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from kvsteady.simulate.results.tables import ParquetFile\n"
        f"with ParquetFile(Path({str(tmp_path)!r}) / 'a.parquet', group=10) as file:\n"
        "    file.add({'x': np.arange(100)})\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "a.parquet").exists()
    assert all(name.endswith(".kvsteady-tmp") for name in names(tmp_path))


def test_row_groups_are_of_one_size(tmp_path: Path) -> None:
    with ParquetFile(tmp_path / "a.parquet", group=10) as file:
        for start in range(0, 35, 7):
            file.add({"x": np.arange(start, start + 7)})
    read = pq.ParquetFile(tmp_path / "a.parquet")
    sizes = [read.metadata.row_group(i).num_rows for i in range(read.num_row_groups)]
    assert sizes == [10, 10, 10, 5]
    assert read.read()["x"].to_pylist() == list(range(35))
    assert read.metadata.metadata[b"kvsteady.complete"] == b"true"


def test_a_failure_leaves_an_older_file_if_it_had_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("old")
    file = ParquetFile(tmp_path / "a.parquet")
    file.add({"x": np.arange(0)})
    file.__exit__(RuntimeError, RuntimeError(), None)
    assert names(tmp_path) == ["a.parquet"]
    assert (tmp_path / "a.parquet").read_text() == "old"


def test_places_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file"):
        simulate(scenario(AtOnce(TIERS, 5), 960), out=tmp_path / "file")


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"kvsteady\[traces\]"):
        simulate(scenario(AtOnce(TIERS, 5), 960), out=tmp_path)
