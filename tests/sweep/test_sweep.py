"""What had landed is never computed again; killed, interrupted and failed runs go on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sweep_tasks import Square, Squared

from kvsteady.errors import InputError
from kvsteady.sweep import Store, SweepError, Task, Workers, sweep

TASK = Task("sweep_tasks:square")


def calls(folder: Path) -> Counter[int]:
    return Counter(int(file.name.split("-")[1]) for file in folder.glob("call-*"))


def points_in(folder: Path, how: dict[int, tuple[str, ...]] | None = None) -> list[Square]:
    return [Square(str(folder), n, (how or {}).get(n, ())) for n in range(6)]


@pytest.mark.parametrize("count", [1, 2])
def test_records_come_in_the_order_of_the_points(tmp_path: Path, count: int) -> None:
    points = points_in(tmp_path)
    heard: list[tuple[int, int | None]] = []
    found = sweep(
        TASK, points, workers=Workers(count), progress=lambda *report: heard.append(report)
    )
    assert found == [Squared(n, float(n * n)) for n in range(6)]
    assert heard == [(n, 6) for n in range(7)]
    assert calls(tmp_path) == Counter(range(6))


def test_equal_points_are_computed_once(tmp_path: Path) -> None:
    points = points_in(tmp_path)
    assert len(sweep(TASK, [*points, *points])) == 12
    assert calls(tmp_path) == Counter(range(6))


@pytest.mark.parametrize("count", [1, 2])
def test_a_failed_run_goes_on_where_it_stopped(tmp_path: Path, count: int) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(ValueError, match="point 5"):
        sweep(TASK, points_in(tmp_path, {5: ("fail",)}), store, workers=Workers(count))
    landed = {point.number for point, _ in store.rows(TASK)}
    assert landed <= set(range(5))
    sweep(TASK, points_in(tmp_path), store, workers=Workers(count))
    assert all(calls(tmp_path)[n] == 1 for n in landed)
    assert len(list(store.rows(TASK))) == 6


@pytest.mark.filterwarnings("default")  # joblib's own, about the worker that is gone
def test_a_killed_local_worker_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(SweepError, match="killed"):
        sweep(TASK, points_in(tmp_path, {5: ("die",)}), store, workers=Workers(2))
    landed = {point.number for point, _ in store.rows(TASK)}
    assert landed <= set(range(5))
    assert len(sweep(TASK, points_in(tmp_path), store, workers=Workers(2))) == 6
    assert all(calls(tmp_path)[n] == 1 for n in landed)


def test_a_point_is_its_whole_configuration_and_the_code(tmp_path: Path, monkeypatch) -> None:
    store = Store(tmp_path / "store")
    point = Square(str(tmp_path), 2)
    sweep(TASK, [point], store)
    assert store.get(TASK, Square(str(tmp_path), 2, ("other",))) is None
    monkeypatch.setattr("kvsteady.sweep.task.fingerprint", lambda: "other")
    assert store.get(TASK, point) is None


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b'{"task": "x"}'])
def test_a_damaged_file_is_computed_again(tmp_path: Path, damage: bytes) -> None:
    store = Store(tmp_path / "store")
    point = Square(str(tmp_path), 2)
    sweep(TASK, [point], store)
    (kept,) = store.folder.iterdir()
    kept.write_bytes(damage)
    assert list(store.rows(TASK)) == []
    assert sweep(TASK, [point], store) == [Squared(2, 4.0)]
    assert calls(tmp_path)[2] == 2


def test_a_table_has_a_row_per_point(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    store = Store(tmp_path / "store")
    sweep(TASK, points_in(tmp_path, {1: ("a", "b")}), store)
    store.write_parquet(TASK, tmp_path / "all.parquet")
    table = parquet.read_table(tmp_path / "all.parquet").sort_by("number")
    assert table.column_names == ["folder", "number", "how", "record_number", "square"]
    assert table["square"].to_pylist() == [0.0, 1.0, 4.0, 9.0, 16.0, 25.0]
    assert table["how"][1].as_py() == '["a","b"]'


@pytest.mark.parametrize("count", [1, 2])
def test_an_interrupt_leaves_a_store_to_go_on_with(tmp_path: Path, count: int) -> None:
    for pipe in ("here", "never", "landed"):
        os.mkfifo(tmp_path / pipe)
    here = Path(__file__).parent
    command = [sys.executable, str(here / "interrupted.py"), str(tmp_path), str(count)]
    with subprocess.Popen(command) as run:
        try:
            assert (tmp_path / "landed").read_text() == "3"
            assert (tmp_path / "here").read_text() == "here"  # the fourth is being computed
            run.send_signal(signal.SIGINT)
            assert run.wait(timeout=60) == 130
        finally:
            run.kill()
    store = Store(tmp_path / "store")
    points = [Square(str(tmp_path), n, ("wait",) if n == 3 else ()) for n in range(4)]
    assert [store.get(TASK, point) is not None for point in points] == [True, True, True, False]
    sweep(TASK, points, store)
    assert calls(tmp_path) == Counter({0: 1, 1: 1, 2: 1, 3: 2})
    assert not list(store.folder.glob(".*"))  # nothing half-written


def test_local_workers_end_with_who_started_them(tmp_path: Path) -> None:
    for pipe in ("here", "never", "landed"):
        os.mkfifo(tmp_path / pipe)
    here = Path(__file__).parent
    command = [sys.executable, str(here / "interrupted.py"), str(tmp_path), "2"]
    # The end of their standard output is that of the last of them.
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout is not None
        assert (tmp_path / "landed").read_text() == "3"
        assert (tmp_path / "here").read_text() == "here"  # the fourth is being computed
        run.kill()
        ended, _, _ = select.select([run.stdout], [], [], 60)
        assert ended == [run.stdout]
        assert run.stdout.read() == b""


@pytest.mark.parametrize("name", ["nothing", "no.such:thing", "sweep_tasks:none", "os.path:join"])
def test_what_is_no_task_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        Task(name)


def test_a_function_without_annotations_is_refused() -> None:
    with pytest.raises(InputError, match="annotated"):
        Task("sweep_tasks:untyped")


def test_a_cluster_needs_an_address() -> None:
    with pytest.raises(InputError, match="address"):
        Workers(backend="dask")
