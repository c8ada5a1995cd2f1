"""`check` with a proof in the place of floating point."""

import json
from typing import Any

import pytest

from kvsteady import MissingExtraError, System, Workload, check
from kvsteady.cli import main
from kvsteady.report import render_html
from kvsteady.theory import Stability

# Shares 4, 29, 7 in 40: weights 2, 3 · 0.9, 4 · 0.175, and 2 − 2.7 + 0.7 = 0, so z = −1 is a root
# and the other one is −0.35.
ON_THE_CIRCLE = Workload.from_counts([1, 1, 1], [1, 2, 3], [4, 29, 7], name="marginal")


@pytest.mark.parametrize(
    ("load", "outcome", "outside", "on_circle"),
    [
        # l0,min of outputs 15 and 16 is 742 (theory, section 5).
        (Workload.classes([(742, 15), (742, 16)]), "stable", 0, 0),
        (Workload.classes([(741, 15), (741, 16)]), "unstable", 2, 0),
        (Workload.fixed(128, 512), "unstable", 511, 0),
        (ON_THE_CIRCLE, "marginal", 0, 1),
    ],
)
def test_the_proof_is_kept(load: Workload, outcome: str, outside: int, on_circle: int) -> None:
    analysis = check(System(load, 100_000), certified=True)
    assert analysis.proof is not None
    found = (analysis.proof.outcome, analysis.proof.roots_outside, analysis.proof.roots_on_circle)
    assert found == (outcome, outside, on_circle)
    assert analysis.roots_outside == outside
    assert f">{outcome} " in render_html(analysis)


def test_nothing_is_proved_unasked() -> None:
    assert check(System(Workload.fixed(2, 2), 140)).proof is None


def test_where_floating_point_cannot_tell_the_proof_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from kvsteady.advise import analyse

    def unsure(load: Workload) -> object:
        return replace(real(load), outcome=Stability.UNDECIDED, roots_outside=None)

    real = analyse.spectrum
    monkeypatch.setattr(analyse, "spectrum", unsure)
    system = System(Workload.classes([(20, 3), (20, 5)]), 100_000)
    assert check(system).verdict == "undecided"
    assert check(system, certified=True).roots_outside is not None


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", "--class", "741:15", "--class", "741:16", "--kv-tokens", "100000"]
    with pytest.raises(SystemExit):
        main([*arguments, "--certify", "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["proof"]["outcome"] == "unstable"
    with pytest.raises(SystemExit):
        main([*arguments, "--certify"])
    assert "2 roots outside" in capsys.readouterr().out


def test_without_exact_arithmetic_it_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "flint", None)
    with pytest.raises(MissingExtraError, match="certify"):
        check(System(Workload.classes([(20, 4), (20, 6)]), 1000), certified=True)
