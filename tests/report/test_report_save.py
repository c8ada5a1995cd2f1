from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from kvsteady.advise import Analysis, load_analysis
from kvsteady.errors import InputError
from kvsteady.report import check_destination, save


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def one(analyses: dict[str, Analysis]) -> Analysis:
    return analyses["two tokens"]


def test_json_comes_back(one: Analysis, tmp_path: Path) -> None:
    path = tmp_path / "analysis.json"
    save(one, str(path))
    assert load_analysis(path.read_bytes()) == one
    assert names(tmp_path) == ["analysis.json"]


@pytest.mark.parametrize("name", ["report.html", "REPORT.HTML"])
def test_html_by_suffix(one: Analysis, tmp_path: Path, name: str) -> None:
    pytest.importorskip("plotly")
    steps: list[tuple[int, int | None]] = []
    save(one, tmp_path / name, progress=lambda done, total: steps.append((done, total)))
    assert (tmp_path / name).read_text("utf-8").startswith("<!doctype html>")
    assert steps == [(0, 2), (1, 2), (2, 2)]


def test_an_older_file_is_replaced_and_the_usual_permissions_hold(
    one: Analysis, tmp_path: Path
) -> None:
    path = tmp_path / "analysis.json"
    path.write_text("old")
    beside = tmp_path / "beside"
    beside.touch()
    save(one, path)
    assert load_analysis(path.read_bytes()) == one
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(beside.stat().st_mode)


def test_a_link_stays_a_link(one: Analysis, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "there" / "real")
    save(one, link)
    assert link.is_symlink()
    assert load_analysis((tmp_path / "there" / "real").read_bytes()) == one


@pytest.mark.parametrize("name", ["report.pdf", "report", ".json", "report.html.gz"])
def test_another_suffix_is_refused(one: Analysis, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"allowed: \.html or \.json"):
        save(one, tmp_path / name)
    assert names(tmp_path) == []


def test_places_that_do_not_exist_are_refused(one: Analysis, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        save(one, tmp_path / "missing" / "a.json")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="no such directory"):
        save(one, tmp_path / "file" / "a.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(InputError, match="is a directory"):
        save(one, tmp_path / "folder.json")
    assert names(tmp_path / "folder.json") == []


def test_no_permission_is_refused(
    one: Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Pretended: for root every directory is writable.
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(InputError, match="no permission"):
        save(one, tmp_path / "a.json")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_is_read_only_is_refused(one: Analysis, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(InputError, match="no permission"):
            save(one, tmp_path / "a.json")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), InputError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_leaves_the_old_file_and_nothing_else(
    one: Analysis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
    raised: type[BaseException],
) -> None:
    path = tmp_path / "analysis.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        assert len(names(tmp_path)) == 2  # the temporary file stands beside the target
        raise error

    monkeypatch.setattr(*((os, "fsync", fail) if step == "fsync" else (Path, "replace", fail)))
    with pytest.raises(raised):
        save(one, path)
    assert names(tmp_path) == ["analysis.json"]
    assert path.read_text() == "old"


def test_what_save_would_refuse_can_be_known_before(tmp_path: Path) -> None:
    check_destination(tmp_path / "a.json")
    with pytest.raises(InputError):
        check_destination(tmp_path / "a.txt")
    with pytest.raises(InputError):
        check_destination(tmp_path / "missing" / "a.html")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_an_impossible_name_is_refused_in_one_line(
    one: Analysis, tmp_path: Path, name: str
) -> None:
    with pytest.raises(InputError, match="cannot be written") as caught:
        save(one, tmp_path / f"{name}.json")
    assert "\n" not in str(caught.value)
    assert names(tmp_path) == []
