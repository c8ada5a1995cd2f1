"""Reading a recorded run: clocks brought together, order, and one error per defect."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.fit import read_recorded

META = {
    "model": "org/model",
    "vllm_version": "0.19.0",
    "engine_kwargs": {"max_num_seqs": 8, "max_num_batched_tokens": 64},
}
FIRST = {
    "request_id": "a",
    "input_toks": 5,
    "output_toks": 3,
    "arrival_time": 1000.0,
    "queued_ts": 7.5,
    "scheduled_ts": 8.0,
    "first_token_ts": 9.0,
    "last_token_ts": 11.0,
}
SECOND = FIRST | {
    "input_toks": 6,
    "arrival_time": 1002.0,
    "queued_ts": 9.25,
    "scheduled_ts": 9.5,
    "first_token_ts": 10.0,
}
TICKS = "t,prompt_throughput,gen_throughput,running,waiting,kv_cache_pct\n1.0,0.0,0.0,2,0,0.0\n"


def write(folder: Path, *, requests: str | None = None, meta: str = "", ticks: str = TICKS) -> Path:
    text = "\n".join(json.dumps(line) for line in (SECOND, FIRST)) if requests is None else requests
    (folder / "requests.jsonl").write_text(text)
    (folder / "timeseries.csv").write_text(ticks)
    (folder / "meta.json").write_text(meta or json.dumps(META))
    return folder


def test_times_count_from_the_first_arrival(tmp_path: Path) -> None:
    run = read_recorded(write(tmp_path))
    assert run.prompt.tolist() == [5, 6]
    assert run.arrival.tolist() == [0.0, 2.0]
    # The second was queued at once: its arrival, 1002 on the wall, was 9.25 on the engine's clock.
    assert run.scheduled.tolist() == [0.75, 2.25]
    assert run.first_token.tolist() == [1.75, 2.75]
    assert run.finish.tolist() == [3.75, 3.75]
    assert (run.model, run.max_num_seqs, run.tensor_parallel) == ("org/model", 8, 1)
    assert (run.ticks.tolist(), run.running.tolist()) == ([1.0], [2])


@pytest.mark.parametrize(
    ("change", "file", "line"),
    [
        ({"requests": json.dumps(FIRST) + "\n{"}, "requests.jsonl", 2),
        ({"requests": json.dumps(FIRST | {"input_toks": "x"})}, "requests.jsonl", 1),
        ({"requests": json.dumps(FIRST | {"output_toks": 0})}, "requests.jsonl", 1),
        ({"requests": json.dumps(FIRST | {"first_token_ts": 7.0})}, "requests.jsonl", 1),
        ({"requests": "\n"}, "requests.jsonl", None),
        ({"meta": "{}"}, "meta.json", None),
        ({"ticks": "t,running\n1.0,\n"}, "timeseries.csv", 2),
        ({"ticks": "a,b\n1,2\n"}, "timeseries.csv", 2),
    ],
)
def test_defects_are_named(tmp_path: Path, change, file: str, line: int | None) -> None:
    with pytest.raises(InputError) as caught:
        read_recorded(write(tmp_path, **change))
    assert Path(caught.value.file or "").name == file
    assert caught.value.line == line


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_recorded(tmp_path / "nowhere")
