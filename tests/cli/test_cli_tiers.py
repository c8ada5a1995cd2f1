"""`kvsteady tiers` from the shell: the table, the JSON, the exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import commands
from kvsteady.cli.tiers import parse_tolerance

SMALL = ("--class", "60:8", "--class", "60:16", "--kv-tokens", "20000", "--floats")


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    return commands.run(capsys, "tiers", *arguments)


def largest_root(outputs: list[int]) -> float:
    """Of Σ w_m z^(L−1−m) at a prompt of 60 and equal shares."""
    w = np.zeros(max(outputs))
    for output in outputs:
        w[:output] += 61 + np.arange(output)
    return float(np.abs(np.roots(w)).max())


def test_the_best_tiers_are_those_of_smallest_radius(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *SMALL, "--tolerance", "3", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    every = {(a, b): largest_root([a, b]) for a in range(5, 9) for b in range(13, 17)}
    best = next(row for row in found["rows"] if row["name"] == "best 1")
    assert found["candidates"] == len(every) == 16
    assert best["radius"] == pytest.approx(min(every.values()))
    assert every[tuple(best["outputs"])] == pytest.approx(min(every.values()))
    assert found["rows"][0]["outputs"] == [8, 16]
    assert found["certified"] is False


@pytest.mark.parametrize("columns", ["160", "70"])
def test_the_table_names_semantics_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    code, out, err = run(capsys, *SMALL, "--tolerance", "10%", "--compare", "7,15")
    assert (code, err) == (0, "")
    for word in ("restart", "resume", "exhaustive", "to compare", "[certify]", "7 15"):
        assert word in out
    assert all(len(line.rstrip()) <= int(columns) for line in out.splitlines())


def test_the_json_can_also_be_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    place = tmp_path / "tiers.json"
    code, out, _ = run(capsys, *SMALL, "--tolerance", "1", "--json", "--out", str(place))
    assert code == 0
    assert place.read_text("utf-8") == out


def test_a_preset_of_classes_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(
        capsys, "--preset", "three-tiers", "--kv-tokens", "100000", "--tolerance", "0", "--floats",
        "--json",
    )  # fmt: skip
    assert code == 0
    names = [row["name"] for row in json.loads(out)["rows"]]
    assert names[:2] == ["given", "the paper's example"]


@pytest.mark.parametrize(
    ("text", "value"), [("2%", 0.02), ("0.02", 0.02), ("8", 8), (" 1.5% ", 0.015), ("-3", -3)]
)
def test_a_tolerance_is_a_share_or_tokens(text: str, value: float) -> None:
    parsed = parse_tolerance(text)
    assert parsed == pytest.approx(value)
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--tolerance", "much"), "--tolerance"),
        (("--tolerance", "nan"), "tolerance"),
        (("--tolerance", "90%"), "tolerance"),
        (("--tolerance=-3",), "tolerance"),
        (("--compare", "7"), "compare"),
        (("--compare", "7,x"), "--compare"),
        (("--share-tolerance", "2"), "share_tolerance"),
        (("--direction", "sideways"), "direction"),
        (("--keep", "0"), "keep"),
        (("--kv-tokens", "10"), "can never fit"),
        (("--preset", "chat"), "both given"),
        (("--out", "/nowhere/at/all.json"), "/nowhere/at/all.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    base = [a for a in SMALL if a != "--floats"]
    if arguments[0] == "--kv-tokens":
        base = base[:-2]
    code, out, err = run(capsys, *base, "--floats", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_no_tiers_at_all_are_asked_for_by_options_of_this_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "--kv-tokens", "20000")
    assert (code, out) == (2, "")
    assert "--class, or a --preset of classes" in err
    assert "--trace" not in err


def test_random_lengths_have_no_tiers(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "--preset", "chat", "--kv-tokens", "20000")
    assert code == 2
    assert "random lengths" in err
