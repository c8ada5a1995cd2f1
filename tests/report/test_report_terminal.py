from __future__ import annotations

import io
import re

import msgspec
import pytest
from rich.console import Console

from kvsteady.advise import Analysis, Verdict
from kvsteady.report import render_terminal


def shown(analysis: Analysis, *, width: int = 100, colour: bool = False) -> str:
    stream = io.StringIO()
    system = "truecolor" if colour else None
    render_terminal(
        analysis, Console(file=stream, width=width, force_terminal=colour, color_system=system)
    )
    return stream.getvalue()


def flat(text: str) -> str:
    return " ".join(text.split())


def test_key_numbers_of_the_two_token_system(analyses: dict[str, Analysis]) -> None:
    text = flat(shown(analyses["two tokens"]))
    assert "x* 20 per iteration" in text  # 140 / (3 + 4)
    assert "Spectral radius 1.333 (1 of 1 root outside; doubles every 2.409 iterations)" in text
    assert "gcd of output lengths 2 (reported as what it is" in text
    assert "Worst cycle (restart) 17.50 per iteration (87.5% of x*" in text  # 140 / (2 · 4)
    assert "Loss under restart 12.5% of output tokens" in text
    assert "Rate cap 20 per iteration (gives up 0% of decode capacity)" in text


def test_key_numbers_of_one_class(analyses: dict[str, Analysis]) -> None:
    text = flat(shown(analyses["one class"]))
    assert "x* 0.9231 per iteration" in text  # 2 · 960 / (32 · (32 + 32 + 1))
    assert "31 of 31 roots outside" in text
    assert "Worst cycle (restart) 0.6250 per iteration (67.7% of x*" in text  # 960 / (32 · 48)
    assert "KV tokens, blocks of 16" in text
    assert "960 KV tokens" in text


def test_one_token_has_no_modes(analyses: dict[str, Analysis]) -> None:
    text = flat(shown(analyses["one token"]))
    assert "Spectral radius no modes" in text
    assert "Dominant period none" in text


def test_everything_to_act_on_is_there(analysis: Analysis) -> None:
    text = flat(shown(analysis))
    assert flat(analysis.verdict_text) in text.replace("│ ", "").replace(" │", "")
    for item in analysis.advice:
        assert flat(f"{item.title}. {item.text}") in text
    for engine in analysis.settings:
        assert f"{engine.engine} {engine.version} (evictions: {engine.eviction})" in text
        for setting in engine.settings:
            assert flat(setting.paste) in text
            assert flat(f"{setting.effect} [{setting.source}]") in text


@pytest.mark.parametrize("width", [20, 40, 80, 100, 200])
def test_commands_are_never_cut(analyses: dict[str, Analysis], width: int) -> None:
    analysis = analyses["one class"]
    lines = [line.strip() for line in shown(analysis, width=width).splitlines()]
    for engine in analysis.settings:
        for setting in engine.settings:
            assert all(part.strip() in lines for part in setting.paste.split("\n"))


def test_lines_fit_and_carry_no_trailing_spaces(analysis: Analysis) -> None:
    commands = {
        line.strip()
        for engine in analysis.settings
        for setting in engine.settings
        for line in setting.paste.split("\n")
    }
    for line in shown(analysis, width=80).splitlines():
        assert line == line.rstrip()
        assert len(line) <= 80 or line.strip() in commands


def test_an_estimate_that_is_missing_is_called_so(analyses: dict[str, Analysis]) -> None:
    resume = msgspec.structs.replace(analyses["tiers"].resume, recompute_tax=None)
    text = shown(msgspec.structs.replace(analyses["tiers"], resume=resume))
    assert "Cost under resume      not yet estimated" in text


def test_a_root_too_close_to_tell_shows_its_bounds(analyses: dict[str, Analysis]) -> None:
    undecided = msgspec.structs.replace(
        analyses["tiers"],
        roots_outside=None,
        spectral_radius_low=1 - 1.5e-9,
        spectral_radius_high=1 + 1.5e-9,
    )
    assert "between 0.99999999850 and 1.00000000150" in flat(shown(undecided))


def test_runs_that_did_not_settle_are_noted(analyses: dict[str, Analysis]) -> None:
    runs = tuple(msgspec.structs.replace(run, settled=False) for run in analyses["tiers"].runs)
    assert "too short" in shown(msgspec.structs.replace(analyses["tiers"], runs=runs))
    assert "too short" not in shown(analyses["tiers"])


@pytest.mark.parametrize(
    ("label", "code"), [(each.label, None) for each in Verdict] + [("made up", "33")]
)
def test_every_verdict_has_a_colour_and_none_without(
    analyses: dict[str, Analysis], label: str, code: str | None
) -> None:
    analysis = msgspec.structs.replace(analyses["tiers"], verdict=label)
    assert "\x1b[" not in shown(analysis)
    found = re.match(r"\x1b\[(\d+)m╭", shown(analysis, colour=True))
    assert found
    assert code in (None, found[1])
    if label == "stable":
        assert found[1] == "32"
    if label == "unstable":
        assert found[1] == "31"


def test_hostile_texts_are_shown_and_not_obeyed(hostile: Analysis) -> None:
    text = shown(hostile, colour=True)
    assert "[red]x[/red][/]" in text
    assert "</script><img" in text
    assert "\\x1b[31m" in text
    assert "\x1b[31m\\" not in text
    assert "\u202e" not in text


def test_a_stream_that_knows_only_ascii_gets_ascii(analysis: Analysis) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    render_terminal(analysis, Console(file=stream, width=80))
    stream.flush()
    assert b"Spectral radius" in raw.getvalue()
    stream.close()
