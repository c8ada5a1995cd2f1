"""The README does what it says."""

import re
import shlex
from pathlib import Path

import pytest

from kvsteady.cli import main

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def test_the_python_example_runs_and_its_numbers_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    known: dict[str, object] = {}
    claims = []
    for line in block.splitlines():
        code, _, comment = line.partition("#")
        claim = re.search(r"\d+\.\d+", comment)
        if claim:
            claims.append((eval(code, known), claim[0]))
        else:
            exec(line, known)
    assert len(claims) == 4
    for value, claim in claims:
        assert round(value, len(claim.partition(".")[2])) == float(claim)
    assert (tmp_path / "report.html").stat().st_size > 10_000


def commands() -> list[str]:
    lines = re.findall(r"^    kvsteady (.*?)(?:\s+#.*)?$", README, flags=re.MULTILINE)
    # Two need a file of the reader's own; the last two take minutes, and have tests of their own.
    left_out = ("requests.csv", "config.json", "reproduce", "league")
    return [line for line in lines if not any(word in line for word in left_out)]


@pytest.mark.parametrize("command", commands())
def test_commands_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(shlex.split(command))
    assert stopped.value.code == (1 if "--fail-on" in command else 0)
    out, err = capsys.readouterr()
    assert out
    assert not err


def test_there_are_commands_to_run() -> None:
    assert len(commands()) >= 3


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith("http"):
            assert (Path(__file__).parents[1] / target).exists(), target
