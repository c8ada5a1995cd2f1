"""The report of a fit: on a run whose iteration times are known, and on the recorded runs."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from recordings import TRUTH, made_up, recorded
from rich.console import Console
from test_recorded_runs import RUNS

from kvsteady.cli import main
from kvsteady.memory import read_model_config
from kvsteady.report.fit import render_fit, render_fit_html, rows
from kvsteady.simulate.fit import FitReport, RecordedRun, fit_report
from kvsteady.simulate.fit.report import quarter
from kvsteady.simulate.times import fitted_time, read_fitted, save_fitted

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "fit.md").read_text("utf-8")


@pytest.fixture(scope="module")
def known() -> RecordedRun:
    return made_up(3, count=200)


@pytest.fixture(scope="module")
def fit(known: RecordedRun) -> FitReport:
    return fit_report(known, until=quarter(known))


def written(run: RecordedRun, folder: Path) -> Path:
    """The run as LLMServingSim records one."""
    lines = [
        {
            "input_toks": int(run.prompt[i]),
            "output_toks": int(run.output[i]),
            "arrival_time": 1000 + float(run.arrival[i]),
            "queued_ts": 5 + float(run.arrival[i]),
            "scheduled_ts": 5 + float(run.scheduled[i]),
            "first_token_ts": 5 + float(run.first_token[i]),
            "last_token_ts": 5 + float(run.finish[i]),
        }
        for i in range(run.arrival.size)
    ]
    (folder / "requests.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ticks = zip(run.ticks.tolist(), run.running.tolist(), strict=True)
    table = "".join(f"{tick},{running}\n" for tick, running in ticks)
    (folder / "timeseries.csv").write_text(f"t,running\n{table}")
    kwargs = {"max_num_seqs": 16, "max_num_batched_tokens": 256}
    (folder / "meta.json").write_text(
        json.dumps({"model": "m", "vllm_version": "0", "engine_kwargs": kwargs})
    )
    return folder


def test_what_is_reported_is_what_was_recorded(known: RecordedRun, fit: FitReport) -> None:
    assert fit.until is not None
    judged = known.scheduled > fit.until
    assert (fit.requests, fit.judged) == (200, judged.sum())
    assert fit.trained == (known.finish <= fit.until).sum()
    ttft, tpot, e2e = fit.latencies
    waited = 1000 * (known.first_token - known.arrival)[judged]
    assert ttft.recorded == pytest.approx(np.percentile(waited, (50, 90, 99)))
    each = 1000 * ((known.finish - known.first_token) / (known.output - 1))[judged]
    assert tpot.recorded == pytest.approx(np.percentile(each, (50, 90, 99)))
    late = known.finish > fit.until
    span = known.finish.max() - fit.until
    requests, tokens = fit.rates
    assert requests.recorded == pytest.approx(late.sum() / span)
    assert tokens.recorded == pytest.approx(known.output[late].sum() / span)
    # The scheduler is the same and times are linear: little is left but async scheduling.
    assert max(abs(error) for error in (*tpot.errors, *e2e.errors)) < 0.05
    assert fit.mean_running_distance < 1
    assert fit.time["iteration"] == pytest.approx(TRUTH.iteration, rel=0.6)


def test_kv_held_is_that_of_the_running_requests(known: RecordedRun, fit: FitReport) -> None:
    # A request holds its prompt and what it has generated, in blocks of 16.
    largest = int((known.prompt + known.output).max()) + 16
    for running, held in zip(fit.running_simulated.y, fit.kv_tokens_held.y, strict=True):
        assert held <= (running + 2) * largest
    assert max(fit.kv_tokens_held.y) <= fit.max_kv_tokens_held <= 16 * largest
    assert fit.max_kv_tokens_held > 16 * 20


def test_it_is_shown_with_every_number(fit: FitReport) -> None:
    pytest.importorskip("plotly")
    stream = StringIO()
    render_fit(fit, Console(file=stream, width=140, color_system=None))
    html = render_fit_html(fit)
    for row in rows(fit):
        for cell in row[1:]:
            assert cell in stream.getvalue()
            assert cell in html
    assert html.count('class="plot"') == 5
    hostile = replace_model(fit, "<script>x</script>")
    assert "<script>x" not in render_fit_html(hostile)


def replace_model(fit: FitReport, name: str) -> FitReport:
    import msgspec

    return msgspec.structs.replace(fit, model=name)


def test_a_saved_fit_is_read_back(fit: FitReport, tmp_path: Path) -> None:
    path = tmp_path / "fitted.json"
    path.write_bytes(save_fitted(fit.fitted))
    assert read_fitted(path) == fit.fitted
    shipped = fitted_time("llama-3.1-8b_rtx-pro-6000")
    path.write_bytes(save_fitted(shipped))
    assert read_fitted(path) == replace(shipped, remarks=())


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stopped:
        main([str(argument) for argument in arguments])
    return (stopped.value.code, *capsys.readouterr())


def test_from_a_recording_to_a_simulation(
    known: RecordedRun, fit: FitReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("plotly")
    folder = written(known, tmp_path)
    saved, html = tmp_path / "fitted.json", tmp_path / "fit.html"
    code, out, err = call(capsys, "fit", folder, "--save", saved, "--html", html, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["trained"] == fit.trained
    assert html.stat().st_size > 10_000
    simulate = ("simulate", "--class", "64:32", "--kv-tokens", 10_000, "--requests", 50)
    code, out, err = call(capsys, *simulate, "--time", saved, "--json")
    assert (code, err) == (0, "")
    assert "fitted by kvsteady" in json.loads(out)["replicas"][0]["time"]
    code, out, err = call(capsys, *simulate, "--time", tmp_path / "none.json")
    assert code == 2
    assert "none.json" in err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--until", "1", "--all"), "both given"),
        (("--gpu", "h100"), "--model is missing"),
        (("--save", "x.txt"), ".json"),
        (("--until", "0.001"), "requests finished by then"),
    ],
)
def test_what_cannot_be_fitted(
    known: RecordedRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    code, out, err = call(capsys, "fit", written(known, tmp_path), *options)
    assert (code, out) == (2, "")
    assert words in err


@pytest.mark.parametrize("name", RUNS)
def test_the_table_in_the_docs(name: str, tmp_path: Path) -> None:
    config, until, _ = RUNS[name]
    (tmp_path / "config.json").write_text(json.dumps(config))
    model = read_model_config(tmp_path / "config.json")
    fit = fit_report(recorded(name), until=until, model=model, gpu="rtx-pro-6000")
    made = {each.name: (each.recorded, each.simulated) for each in fit.rates}
    for each in fit.latencies:
        for place, which in enumerate(("p50", "p90", "p99")):
            pair = each.recorded[place], each.simulated[place]
            made[f"{each.name} {which}, ms"] = pair
    place = 2 * list(RUNS).index(name)
    table = re.findall(r"^\| (.+?) \|" + r" ([\d.]+) \|" * 4, PAGE, flags=re.MULTILINE)
    said = {row[0]: tuple(map(float, row[1 + place : 3 + place])) for row in table}
    assert said.keys() == made.keys()
    for what, (was, simulated) in said.items():
        assert made[what][0] == pytest.approx(was, rel=1e-3)
        assert made[what][1] == pytest.approx(simulated, rel=0.02)
