"""``kvsteady league``: stopped, without pyarrow, and with what cannot be."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec
import pytest

from commands import run
from kvsteady.league import Match, Result, season
from kvsteady.sweep import Store, Task
from league_rows import made

SMALL = ("league", "--quick", "--only", "bar-16-32", "--out")


@pytest.fixture
def landed(tmp_path: Path) -> Path:
    """A folder in which greedy has played and steady has not."""
    both = season.Season(("bar-16-32",), quick=True).first()
    (match,) = (match for match in both if match.entrant == "greedy")
    store = Store(tmp_path / "matches")
    store.put(Task(season.TASK), match, made("greedy", "baseline", 7.0).results[0])
    return tmp_path


def test_an_interrupt_leaves_a_table_of_what_landed_and_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], landed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")

    def stopped(match: Match) -> Result:
        raise KeyboardInterrupt(match)

    monkeypatch.setattr("kvsteady.league.match.play", stopped)
    code, out, err = run(capsys, *SMALL, str(landed))
    assert (code, out) == (130, "")
    assert err == (
        f"Landed so far: 1 run, kept in {landed / 'matches'}; the same command goes on from there\n"
        "kvsteady: interrupted\n"
    )
    table = parquet.read_table(landed / "matches.parquet")
    assert table["entrant"].to_pylist() == ["greedy"]
    assert table["tokens_per_second"].to_pylist() == [7.0]
    assert not (landed / "league.json").exists()


def test_without_pyarrow_the_league_is_played_and_the_table_printed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, name, None)
    code, out, err = run(capsys, *SMALL, str(tmp_path))
    assert code == 0
    assert "bar-16-32 on vllm" in out
    assert "No matches.parquet is written" in err
    assert "kvsteady[traces]" in err
    assert {path.name for path in tmp_path.iterdir()} == {"matches", "league.json"}


def test_duckdb_reads_what_has_landed_as_the_docs_say(
    landed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb")
    page = Path(__file__).parents[2] / "docs" / "reference" / "league.md"
    (query,) = re.findall(r"^```sql\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    both = season.Season(("bar-16-32", "azure"), quick=True).first()
    (match,) = (m for m in both if (m.entrant, m.workload) == ("steady", "azure"))
    store = Store(landed / "matches")
    store.put(Task(season.TASK), match, made("steady", "ours", 3.0).results[0])
    again = msgspec.structs.replace(match, seed=2)
    store.put(Task(season.TASK), again, made("steady", "ours", 5.0).results[0])
    (landed / "kvsteady-league").symlink_to(landed)
    monkeypatch.chdir(landed)
    # bar-16-32 has seed 0 alone.
    assert duckdb.sql(query).fetchall() == [("azure", "vllm", "steady", 4.0)]


@pytest.mark.parametrize("command", ["league", "tune"])
def test_what_is_no_cluster_is_one_line(
    capsys: pytest.CaptureFixture[str], command: str, tmp_path: Path
) -> None:
    pytest.importorskip("distributed")
    small = ("--quick",) if command == "league" else ("--class", "16:32", "--kv-tokens", "960")
    code, out, err = run(capsys, command, *small, "--out", str(tmp_path), "--dask", "foo")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--dask" in err
    assert "'foo' is no address of a Dask cluster" in err
    assert "tcp://host:port" in err
