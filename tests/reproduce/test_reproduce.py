"""How claims are measured, kept and shown; the claims themselves run in test_claims.py."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from kvsteady.cli import main
from kvsteady.errors import InputError
from kvsteady.progress import Progress
from kvsteady.report import render_reproduction_html, save
from kvsteady.report.reproduction import chart_figure
from kvsteady.reproduce import (
    Chart,
    Check,
    Claim,
    Measured,
    Outcome,
    Series,
    load_reproduction,
    reproduce,
)
from kvsteady.reproduce.claim import at_least, at_most, exactly, near


class Bench:
    """A claim that counts how often it is measured."""

    def __init__(self, key: str, *checks: Check, outcome: Outcome = Outcome.REPRODUCED) -> None:
        self.times = 0
        self._checks = checks
        self._outcome = outcome
        self.claim = Claim(key, f"title of {key}", "ours", "says <so>", self._measure)

    def _measure(self, progress: Progress) -> Measured:
        self.times += 1
        progress(1, 2)
        curve = Series("a & b", (1.0, 1000.0), (0.5, 2.0), "points", "cap")
        chart = Chart("</script>", "x", "y", (curve,), x_log=True)
        return Measured("found it", self._checks, (chart,), self._outcome)


GOOD, BAD = near("good", 1.001, 1.0, 0.01), near("bad", 1.1, 1.0, 0.01)


@pytest.mark.parametrize(
    ("check", "holds"),
    [
        (near("", 1.01, 1.0, 0.02), True),
        (near("", -1.03, -1.0, 0.02), False),
        (near("", math.nan, 1.0, 0.02), False),
        (exactly("", 3, 3), True),
        (exactly("", 4, 3), False),
        (at_most("", 0.0, 0.0), True),
        (at_most("", 1e-300, 0.0), False),
        (at_least("", 0.99, 1.0), False),
    ],
)
def test_a_check_holds_in_its_range_only(check: Check, holds: bool) -> None:
    assert check.holds is holds


@pytest.mark.parametrize(
    ("checks", "outcome", "stands"),
    [
        ((GOOD,), Outcome.REPRODUCED, Outcome.REPRODUCED),
        ((GOOD,), Outcome.WITH_CONDITIONS, Outcome.WITH_CONDITIONS),
        ((GOOD, BAD), Outcome.REPRODUCED, Outcome.NOT_REPRODUCED),
        ((GOOD, BAD), Outcome.WITH_CONDITIONS, Outcome.NOT_REPRODUCED),
    ],
)
def test_one_failed_check_is_enough(
    checks: tuple[Check, ...], outcome: Outcome, stands: Outcome
) -> None:
    (finding,) = reproduce(claims=[Bench("a", *checks, outcome=outcome).claim]).findings
    assert finding.outcome is stands
    assert finding.checks == checks


def test_what_cannot_be_tested_says_why() -> None:
    claim = Claim("gpu", "On a GPU", "paper", "is faster", why_not="no GPU here")
    (finding,) = reproduce(claims=[claim]).findings
    assert (finding.outcome, finding.found) == (Outcome.NOT_TESTABLE, "no GPU here")


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    first, second = Bench("first", GOOD), Bench("second", GOOD)

    def interrupted(_: Progress) -> Measured:
        raise KeyboardInterrupt

    stopped = Claim("second", "title of second", "ours", "says", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduce(tmp_path, claims=[first.claim, stopped])
    found = reproduce(tmp_path, claims=[first.claim, second.claim])
    assert (first.times, second.times) == (1, 1)
    assert [finding.key for finding in found.findings] == ["first", "second"]


def test_other_code_measures_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench("first", GOOD)
    reproduce(tmp_path, claims=[bench.claim])
    monkeypatch.setattr("kvsteady.reproduce.store.fingerprint", lambda: "other")
    reproduce(tmp_path, claims=[bench.claim])
    assert bench.times == 2
    assert [path.name for path in tmp_path.iterdir()] == ["first.other.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff", b'{"key": "first"}'])
def test_a_damaged_finding_is_measured_again(tmp_path: Path, damage: bytes) -> None:
    bench = Bench("first", GOOD)
    reproduce(tmp_path, claims=[bench.claim])
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(damage)
    reproduce(tmp_path, claims=[bench.claim])
    assert bench.times == 2


def test_only_some_claims_and_no_unknown_ones(tmp_path: Path) -> None:
    first, second = Bench("first", GOOD), Bench("second", GOOD)
    claims = [first.claim, second.claim]
    assert len(reproduce(only=["second"], claims=claims).findings) == 1
    assert (first.times, second.times) == (0, 1)
    with pytest.raises(InputError, match=r"'third' is no claim.*first, second"):
        reproduce(only=["third"], claims=claims)
    target = tmp_path / "file"
    target.write_text("here")
    with pytest.raises(InputError, match=str(target)):
        reproduce(target, claims=claims)


def test_progress_rises_to_the_end() -> None:
    seen: list[tuple[int, int | None]] = []
    claims = [Bench(key, GOOD).claim for key in ("a", "b")]
    reproduce(claims=claims, progress=lambda done, total: seen.append((done, total)))
    done = [step for step, _ in seen]
    assert done == sorted(done)
    assert seen[-1] == (2000, 2000)


def test_the_report_is_saved_data_and_escapes_what_it_shows(tmp_path: Path) -> None:
    found = reproduce(claims=[Bench("first", GOOD, BAD).claim])
    save(found, tmp_path / "report.json")
    assert load_reproduction((tmp_path / "report.json").read_bytes()) == found
    page = render_reproduction_html(found)
    assert "says &lt;so&gt;" in page
    assert page.count("</script>") == 4
    data = page.partition('id="analysis">')[2].partition("</script>")[0]
    assert load_reproduction(data.encode()) == found


@pytest.mark.parametrize("data", [b"", b"[]", b'{"schema_version": 7}', b"\xff"])
def test_other_data_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match=r"saved\.json"):
        load_reproduction(data, file="saved.json")


def test_another_schema_is_refused() -> None:
    text = (
        reproduce(claims=[Bench("a", GOOD).claim]).to_json().replace(b'version": 1', b'version": 2')
    )
    with pytest.raises(InputError, match="schema_version"):
        load_reproduction(text)


def run(*arguments: str) -> int | str | None:
    with pytest.raises(SystemExit) as stopped:
        main(["reproduce", *arguments])
    return stopped.value.code


def test_the_command_writes_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "found"
    assert run("--to", str(folder), "--only", "reference-run") == 0
    out, err = capsys.readouterr()
    assert "1 reproduced" in out
    assert "report.html" in err
    assert (folder / "report.html").stat().st_size > 10_000
    assert run("--to", str(folder), "--only", "reference-run", "--json") == 0
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["outcome"] == "reproduced"


def test_a_reader_who_leaves_early_changes_no_exit_code(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "kvsteady", "reproduce", "--to", str(tmp_path / "found"))
    started = subprocess.Popen(
        [*command, "--only", "reference-run"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert started.stdout is not None
    started.stdout.close()
    assert started.wait(120) == 0
    assert started.stderr is not None
    with started.stderr as stream:
        assert b"Report written" in stream.read()


def test_what_cannot_be_written_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.html").mkdir()
    assert run("--to", str(tmp_path), "--only", "reference-run") == 2
    assert "report.html: is a directory" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "plotly", None)
    assert run("--to", str(tmp_path / "new"), "--only", "reference-run") == 2
    assert "kvsteady[report]" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_the_command_names_the_claims(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run("--list") == 0
    assert "worst-cycle" in capsys.readouterr().out
    assert run("--to", str(tmp_path), "--only", "nothing") == 2
    assert "'nothing' is no claim" in capsys.readouterr().err
    assert run("--to", str(tmp_path), "--only") == 2
    assert "names no claim" in capsys.readouterr().err


def test_a_claim_that_fails_sets_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from kvsteady.reproduce import claims
    from kvsteady.reproduce import run as runner

    failing = (Bench("first", BAD).claim,)
    monkeypatch.setattr(claims, "CLAIMS", failing)
    monkeypatch.setattr(
        runner.reproduce, "__kwdefaults__", {**runner.reproduce.__kwdefaults__, "claims": failing}
    )
    assert run("--to", str(tmp_path)) == 1
    assert "bad: 1.1" in capsys.readouterr().out


def test_short_logarithmic_axes_are_labelled_in_plain_numbers() -> None:
    curve = Series("s", (8.0, 128.0), (1e-6, 1.0))
    across = chart_figure(Chart("t", "x", "y", (curve,), x_log=True, y_log=True))["layout"]
    shown = across["xaxis"]["ticktext"]
    assert {"10", "20", "50", "100"} <= set(shown)
    assert [float(text.replace(",", "")) for text in shown] == across["xaxis"]["tickvals"]
    assert across["yaxis"]["dtick"] == 1
