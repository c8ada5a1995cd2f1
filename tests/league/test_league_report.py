"""The league's table fits a terminal, and says on the page what it says there."""

from __future__ import annotations

import io
import json
import re

import msgspec
import pytest
from rich.console import Console

from kvsteady.league import League, Result, Row, Verdict
from kvsteady.report import render_league, render_league_html


def result(tokens: float, tax: float = 0.0, ttft: float | None = None) -> Result:
    return Result(
        outcome="ran",
        iterations=1,
        completions=1,
        completions_per_iteration=1.0,
        of_x=0.9876,
        recompute_tax=tax,
        recomputed_share=tax,
        evictions_per_completion=0.0,
        tokens_per_second=tokens,
        itl_p50_ms=1.0,
        itl_p99_ms=20.0,
        ttft_p99_s=ttft,
        goodput=None if ttft is None else 12.5,
        recovered=None,
        decoding=200.0,
        kv_usage=1.0,
    )


def row(workload: str, entrant: str, role: str, *results: Result) -> Row:
    constants = (("of_x", 0.95),) if entrant == "rate-cap" else ()
    return Row(
        workload=workload,
        engine="vllm",
        entrant=entrant,
        role=role,
        constants=constants,
        seeds=tuple(range(1, len(results) + 1)),
        results=results,
        tried=((constants, results[0]), ((("of_x", 0.9),), result(900.0, 0.02))),
    )


@pytest.fixture
def league() -> League:
    return League(
        kvsteady_version="0",
        time="a model",
        seeds=2,
        quick=False,
        missing=3,
        rows=(
            row("azure", "greedy", "baseline", result(900.0, 0.5), result(900.0, 0.5)),
            row("azure", "look-ahead", "oracle", result(1200.0)),
            row("azure", "rate-cap", "baseline", result(1000.0), result(1100.0)),
            row("azure", "steady", "ours", result(990.0)),
            row("open-95", "steady", "ours", result(100.0, 0.0, 1.25)),
        ),
        fronts=(),
        verdicts=(
            Verdict(
                workload="azure",
                engine="vllm",
                what="tokens/s over the best tuned baseline's (rate-cap)",
                measured=0.943,
                half=0.06,
                sense=">=",
                bar=0.99,
                standing="noise",
            ),
            Verdict(
                workload="open-95",
                engine="vllm",
                what="of x* after the burst",
                measured=None,
                half=0.0,
                sense=">=",
                bar=0.97,
                standing="unjudged",
                reason="the queue was empty",
            ),
        ),
    )


def printed(league: League, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO())
    render_league(league, console)
    return console.file.getvalue()


def test_the_terminal_has_ours_first_the_oracle_last_and_only_numbers_that_exist(league) -> None:
    text = printed(league)
    assert max(map(len, text.splitlines())) <= 80
    azure, opened = text.split("open-95 on vllm")
    names = re.findall(r"^ (steady|greedy|rate-cap|look-ahead)", azure, re.MULTILINE)
    assert names == ["steady", "rate-cap", "greedy", "look-ahead"]
    assert "TTFT" not in azure
    assert "1.25" in opened
    assert "rate-cap of_x=0.95" in azure
    # Two values, 1,000 and 1,100: half their distance times t(1) = 12.706, over the mean.
    assert "1,050±635" in azure
    assert "within the noise: tokens/s over the best tuned baseline's (rate-cap) 0.943" in azure
    assert "not judged: of x* after the burst (at least 0.970; the queue was empty)" in opened
    words = " ".join(text.split())
    assert "2 bars for steady: 0 hold, 1 within the noise, 0 missed, 1 not judged." in words
    assert "Not played: 3 of the matches" in words


def test_the_page_carries_the_same_and_the_data(league) -> None:
    page = render_league_html(league)
    assert "within the noise" in page
    assert '<span class="badge calm">not judged</span> of x* after the burst (' in page
    assert "1,050±635" in page
    (data,) = re.findall(r'<script type="application/json" id="analysis">(.*?)</script>', page)
    assert msgspec.json.decode(data, type=League) == league
    (figures,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', page)
    names = set(json.loads(figures))
    assert {"azure.vllm.of_x", "azure.vllm.tokens_per_second", "azure.vllm.itl_p99_ms"} <= names
    assert "open-95.vllm.ttft_p99_s" in names
    assert "azure.vllm.ttft_p99_s" not in names
