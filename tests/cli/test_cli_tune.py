"""``kvsteady tune``: what it prints and writes, what the exit code says, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import commands
from kvsteady.cli import main
from kvsteady.cli.options import Computers
from kvsteady.sweep import Workers

SCHEMA = Path(__file__).parents[2] / "docs/reference/tune.schema.json"
# Without a prefix cache the engine compiles in seconds; each iteration takes a second.
PLAIN = (
    "--class", "16:32", "--kv-tokens", "960", "--block-size", "1", "--quick", "--seeds", "2",
    "--option", "enable_prefix_caching=off", "--option", "async_scheduling=off",
)  # fmt: skip
SECOND = (*PLAIN, "--time", "linear:iteration=1")
# Only tokens take time, so that recomputing them does.
TOKEN = (*PLAIN, "--time", "linear:iteration=0,prefill=0.001,decode=0.001")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return commands.run(capsys, "tune", *arguments)


def test_the_json_has_the_documented_types_and_is_shown_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, err = run(capsys, *SECOND, "--json")
    assert (code, err) == (0, "")
    saved = tmp_path / "tune.json"
    saved.write_text(out, "utf-8")
    with pytest.raises(SystemExit) as stopped:
        main(["report", str(saved)])
    assert stopped.value.code == 0
    assert "kvsteady tune: do-nothing" in capsys.readouterr().out
    printed = json.loads(out)
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    assert list(validator.iter_errors(printed)) == []
    assert list(validator.iter_errors({**printed, "kv_tokens": "many"})) != []
    assert printed["outcome"] == "do-nothing"
    assert printed["options"] == "--block-size 1 --no-enable-prefix-caching --no-async-scheduling"
    assert printed["seeds"]["confirming"] == [3, 4]


@pytest.mark.parametrize(
    ("load", "limit", "code"),
    [(SECOND, "cannot-tell", 0), (TOKEN, "set-flags", 1), (TOKEN, "stuck", 0), (TOKEN, None, 0)],
)
def test_fail_on_is_an_exit_code(
    capsys: pytest.CaptureFixture[str], load: tuple[str, ...], limit: str | None, code: int
) -> None:
    extra = () if limit is None else ("--fail-on", limit)
    assert run(capsys, *load, *extra)[0] == code


def test_a_report_is_written_and_runs_are_kept(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page, kept = tmp_path / "tune.html", tmp_path / "runs"
    code, out, err = run(capsys, *TOKEN, "--html", str(page), "--out", str(kept))
    assert code == 0
    assert "Report written" in err
    assert "use-policy" in out
    assert "kvsteady tune: use-policy" in page.read_text("utf-8")
    many = len(list(kept.iterdir()))
    again = run(capsys, *TOKEN, "--out", str(kept))
    assert again[1] == out
    assert len(list(kept.iterdir())) == many > 10


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--engine", "no"), "engine"),
        (("--option", "no=1"), "--option no"),
        (("--option", "watermark=2"), "--option watermark"),
        (("--rate", "3", "--of-capacity", "0.5"), "--of-capacity"),
        (("--rate", "-1"), "--rate"),
        (("--told", "3"), "--told"),
        (("--html", "no-such-folder/x.html"), "no such directory"),
        (("--block-size", "0"), "--block-size"),
        (("--gpu", "h100"), "roofline"),
        (("--workers", "2", "--ray", "auto"), "--workers and --ray"),
        (("--out", __file__), f"{__file__}: is no folder"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = run(capsys, "--class", "16:32", "--kv-tokens", "960", *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1
    assert run(capsys, *PLAIN[:4], "--seeds", "1")[0] == 2


def test_a_cluster_is_one_option() -> None:
    assert Computers(ray="auto").chosen(usually=1) == Workers(backend="ray", address="auto")
    there = "tcp://here:8786"
    assert Computers(dask=there).chosen(usually=1) == Workers(backend="dask", address=there)
    assert Computers(workers=3).chosen(usually=1) == Workers(3)
    assert Computers().chosen(usually=None) == Workers(None)
