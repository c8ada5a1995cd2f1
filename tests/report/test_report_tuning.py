"""A tuning, shown: fits a terminal, says on the page what it says there, trusts no text."""

from __future__ import annotations

import io
import json
import re

import msgspec
import pytest
from report_samples import HOSTILE
from rich.console import Console

from kvsteady.advise.record import Advice, WorkloadSummary
from kvsteady.advise.tuning.record import (
    Effect,
    Interval,
    Measured,
    Objective,
    Seeds,
    Tried,
    Tuning,
    TuningLoad,
)
from kvsteady.report import render_tuning, render_tuning_html
from kvsteady.report.tuning import compared_cells


def measured(setting: str, how: str, gain: Interval | None, tax: float) -> Measured:
    return Measured(
        setting=setting,
        family=setting.partition(" ")[0],
        how=how,
        outcome="ran" if gain else "stalled",
        gain=gain,
        effects=(
            Effect("tokens_per_second", "tokens/s", 1000.0, 1125.0, Interval(125.0, 110.0, 140.0)),
            Effect("recompute_tax", "of prefilled tokens", 0.5, tax, Interval(tax - 0.5, -0.5, 0)),
            Effect("itl_p99_ms", "ms", 80.0, 20.0, Interval(-60.0, -70.0, -50.0)),
        ),
    )


@pytest.fixture
def tuning() -> Tuning:
    flag = measured("--watermark 0.05", "flags", Interval(0.125, 0.11, 0.14), 0.125)
    return Tuning(
        kvsteady_version="0",
        outcome="set-flags",
        outcome_text="Set flags of the engine.",
        engine="vllm-0.32.0",
        eviction="resume",
        options="--max-num-seqs 256",
        time="a model",
        workload=WorkloadSummary("chat", 3, True, 100.0, 200.0, 900, 1000, None, None, ("a note",)),
        kv_tokens=100_000,
        block_size=16,
        max_tokens=900,
        load=TuningLoad("open", 12.5, 0.95),
        objective=Objective("tokens_per_second", "output tokens per second", "tokens/s", 0.02, 0.0),
        seeds=Seeds((0,), (1, 2), (3, 4)),
        front_runner=flag,
        compared=(
            measured("rate-cap:rate=0.5", "policy", Interval(0.128, 0.1, 0.156), 0.0),
            flag,
            measured("steady", "policy", None, 0.0),
        ),
        tried=(
            Tried("--watermark 0.1", "--watermark", "flags", "ran", 0.05, 0.02),
            Tried("--watermark 0.2", "--watermark", "flags", "stalled", None, 0.0),
        ),
        advice=(Advice("Run vllm-0.32.0 with --watermark 0.05", "12.5% more."),),
        notes=("Simulated.",),
    )


def printed(found: Tuning, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO())
    render_tuning(found, console)
    return console.file.getvalue()


def test_the_terminal_says_what_to_do_first_and_fits(tuning: Tuning) -> None:
    text = printed(tuning)
    assert max(map(len, text.splitlines())) <= 80
    assert text.index("1. Run vllm-0.32.0 with --watermark 0.05") < text.index("Best of each")
    assert "\n   --watermark 0.05\n" in text  # to paste, on a line of its own
    rows = re.findall(r"^ (rate-cap\S*|--watermark 0.05|steady)", text, re.MULTILINE)
    assert rows == ["rate-cap:rate=0.5", "--watermark 0.05", "steady"]
    assert "+12.5%  +11.0% to +14.0%  12.5%" in text
    assert "stalled" in text
    assert "95% of what it serves without evictions" in " ".join(text.replace("│", "").split())
    # Before, after, change and its interval; shares in points.
    assert re.search(r"recompute tax +50\.0% +12\.5% +-37\.5 pp", text)
    assert re.search(r"p99 ITL, ms +80 +20 +-60 +-70 to -50", text)
    assert "TTFT" not in text


def test_what_did_not_run_comes_after_the_worst_loss(tuning: Tuning) -> None:
    # A p99 TTFT four times as long is a gain of -300%.
    stalled = measured("steady", "policy", None, 0.0)
    lost = measured("wait:batch=16", "policy", Interval(-3.0, -3.1, -2.9), 0.0)
    found = msgspec.structs.replace(tuning, compared=(stalled, lost))
    assert [row[0] for row in compared_cells(found)] == ["wait:batch=16", "steady"]


def test_the_page_has_every_candidate_in_one_plot_and_the_data(tuning: Tuning) -> None:
    page = render_tuning_html(tuning)
    (data,) = re.findall(r'<script type="application/json" id="analysis">(.*?)</script>', page)
    assert msgspec.json.decode(data, type=Tuning) == tuning
    (figures,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page)
    traces = json.loads(figures)["gain"]["data"]
    points = {
        text: (x, y) for t in traces for text, x, y in zip(t["text"], t["x"], t["y"], strict=True)
    }
    assert points["as it is"] == (50.0, 0.0)
    assert points["--watermark 0.05"] == pytest.approx((12.5, 12.5))
    assert points["--watermark 0.1"] == pytest.approx((2.0, 5.0))
    assert set(points) == {"as it is", "rate-cap:rate=0.5", "--watermark 0.05", "--watermark 0.1"}
    whiskers = {t["text"][0]: t["error_y"]["array"][0] for t in traces if "error_y" in t}
    assert whiskers == pytest.approx({"rate-cap:rate=0.5": 2.8, "--watermark 0.05": 1.5})
    assert "<pre>--watermark 0.05</pre>" in page


def test_a_tuning_that_compared_nothing_is_shown_too(tuning: Tuning) -> None:
    bare = msgspec.structs.replace(
        tuning, outcome="stuck", front_runner=None, compared=(), tried=()
    )
    assert "Best of each" not in printed(bare)
    page = render_tuning_html(bare)
    assert 'class="plot"' not in page


def test_no_text_in_it_is_trusted(tuning: Tuning) -> None:
    def spoil(part: object, key: str = "") -> object:
        if isinstance(part, dict):
            return {name: spoil(item, name) for name, item in part.items()}
        if isinstance(part, list | tuple):
            return [spoil(item, key) for item in part]
        kept = {"how", "outcome", "eviction", "kind", "name"}
        return HOSTILE if isinstance(part, str) and key not in kept else part

    spoilt = msgspec.convert(spoil(msgspec.to_builtins(tuning)), Tuning)
    text = printed(spoilt)
    assert "\x1b" not in text
    assert "[red]" in text
    page = render_tuning_html(spoilt)
    assert "<img" not in page
    assert page.count("</script>") == 4
