"""Each format: recognised by its content, read with its units and its policies."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kvsteady.errors import InputError, MissingExtraError
from kvsteady.workload import Workload
from kvsteady.workload.traces import FORMATS, Columns, TraceFormat, read_trace, recognise

Write = Callable[..., Path]

AZURE_2024 = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    "2024-05-10 00:00:00.009930+00:00,2162,5\n"
    "2024-05-10 00:00:01.517+00:00,2399,6\n"
    "2024-05-10 00:00:02+00:00,76,15\n"
)
BURST = (
    "Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,,0.7,ChatGPT,472,18,490,Conversation log\n"
    "45.5,a1,3.2,GPT-4,1087,230,1317,API log\n"
    "118,,1.0,GPT-4,417,0,417,Conversation log\n"
)
BURST_1 = (
    "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    "5,ChatGPT,472,18,490,Conversation log\n"
    "4.5,GPT-4,1087,230,1317,API log\n"
)
VIDUR = "num_prefill_tokens,num_decode_tokens,pd_ratio\n374.0,44.0,8.5\n1,2,0.5\n"
VIDUR_TIMED = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.25,374,44\n1.5,396,109\n"
MOONCAKE = (
    '{"timestamp": 500, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]}\n'
    '{"timestamp": 3000, "input_length": 7322, "output_length": 490, "hash_ids": []}\n'
)
VLLM_RUN = (
    '{"request_id": "a", "input_toks": 10, "output_toks": 3, "arrival_time": 100.5}\n'
    '{"request_id": "b", "input_toks": 20, "output_toks": 4, "arrival_time": 100.75}\n'
)


def bench(**fields: Any) -> dict[str, Any]:
    summary = {"date": "2026", "completed": 3, "request_throughput": 1.5, "total_input_tokens": 60}
    return summary | fields


BENCH = bench(
    input_lens=[10, 20, 30, 40],
    output_lens=[3, 0, 5, 5],
    ttfts=[0.1, 0.0, 0.2, 0.2],
    itls=[[0.1, 0.1], [], [0.2], []],
    start_times=[7.5, 0.0, 7.0, 9.0],
    generated_texts=["a", "", "b]", 'c"'],
    errors=["", "Traceback: boom", "", ""],
)


def rows_of(load: Workload) -> list[tuple[int, int, int]]:
    return list(zip(load.prompt.tolist(), load.output.tolist(), load.tickets.tolist(), strict=True))


def seconds_of(load: Workload) -> list[float] | None:
    return None if load.arrivals is None else load.arrivals.seconds.tolist()


CASES = {
    "azure 2024": ("azure", AZURE_2024, [(2162, 5), (2399, 6), (76, 15)], [0, 1.50707, 1.99007]),
    "burstgpt 2": ("burstgpt", BURST, [(472, 18), (1087, 230)], [0, 40.5]),
    "burstgpt 1": ("burstgpt", BURST_1, [(472, 18), (1087, 230)], [0, 0.5]),
    "vidur": ("vidur", VIDUR, [(1, 2), (374, 44)], None),
    "vidur timed": ("vidur", VIDUR_TIMED, [(374, 44), (396, 109)], [0, 1.25]),
    "mooncake": ("mooncake", MOONCAKE, [(7322, 490), (6758, 500)], [0, 2.5]),
    "vllm run": ("vllm-run", VLLM_RUN, [(10, 3), (20, 4)], [0, 0.25]),
    "bench": ("vllm-bench", json.dumps(BENCH), [(10, 3), (30, 5), (40, 5)], [0, 0.5, 2]),
    "bench indented": (
        "vllm-bench",
        json.dumps(BENCH, indent=2),
        [(10, 3), (30, 5), (40, 5)],
        [0, 0.5, 2],
    ),
    "bench bare": (
        "vllm-bench",
        json.dumps(bench(input_lens=[10], output_lens=[3])),
        [(10, 3)],
        None,
    ),
    "sharegpt nested": (
        "sharegpt",
        '{"usage": {"prompt_tokens": 7, "completion_tokens": 9}}\n\n',
        [(7, 9)],
        None,
    ),
    "sharegpt pairs": ("sharegpt", "[[374, 44], [396, 109.0]]", [(374, 44), (396, 109)], None),
    "sharegpt triples": ("sharegpt", '[["hi", 374, 44], ["", 5, 6]]', [(5, 6), (374, 44)], None),
    "sharegpt pair lines": ("sharegpt", "[374, 44]\n[396, 109]", [(374, 44), (396, 109)], None),
    "sharegpt triple lines": ("sharegpt", '["x", 374, 44]\n', [(374, 44)], None),
}
for _pair in (
    "prompt_len output_len",
    "prompt_tokens completion_tokens",
    "input_len output_len",
    "input_length output_length",
    "input_tokens output_tokens",
    "input_toks output_toks",
    "num_prompt_tokens num_output_tokens",
):
    _records = [dict(zip(_pair.split(), lengths, strict=True)) for lengths in ((7, 9), (8, 9.0))]
    _lines = "\n".join(map(json.dumps, _records))
    CASES[_pair] = ("sharegpt", json.dumps(_records), [(7, 9), (8, 9)], None)
    CASES[f"{_pair} lines"] = ("sharegpt", _lines, [(7, 9), (8, 9)], None)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("case", CASES)
def test_recognised_and_read(case: str, packed: bool, write: Write) -> None:
    name, content, pairs, seconds = CASES[case]
    path = write(content, "trace.dat", packed=packed)
    assert recognise(path).name == name
    load = read_trace(path)
    assert sorted(rows_of(load)) == sorted((*pair, 1) for pair in pairs)
    assert load.name == "trace.dat"
    assert load.random == (len(load) > 1)  # one length leaves nothing to draw
    assert seconds_of(load) == (None if seconds is None else pytest.approx(seconds, abs=1e-6))
    assert rows_of(read_trace(path, format=name)) == rows_of(load)


def test_failed_requests_are_skipped_and_counted(write: Write) -> None:
    assert read_trace(write(BURST)).notes == (
        "1 requests skipped: 0 response tokens mark a failed request in BurstGPT",
    )
    assert read_trace(write(json.dumps(BENCH))).notes == ("1 failed requests skipped",)


def test_only_failed_requests(write: Write) -> None:
    with pytest.raises(InputError, match="no request in it: all 1 are failed"):
        read_trace(write("\n".join([BURST.split("\n")[0], BURST.split("\n")[3]])))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "save-detailed"),
        ({"input_lens": [1], "output_lens": []}, "'output_lens': 0 items for 1 requests"),
        ({"input_lens": [1], "output_lens": [1], "errors": ["", ""]}, "2 items for 1 requests"),
        ({"input_lens": [1], "output_lens": [0], "errors": [""]}, r"'output_lens\[0\]': 0 is out"),
        ({"input_lens": [1], "output_lens": [0]}, "no error is recorded"),
        ({"input_lens": [1, -1], "output_lens": [1, 1]}, r"'input_lens\[1\]': -1 is out of range"),
        ({"input_lens": [True], "output_lens": [1]}, "True is not a number"),
        ({"input_lens": 5, "output_lens": [1, 2]}, "2 items for 1 requests"),
        ({"input_lens": [1], "output_lens": [1], "start_times": ["x"]}, r"start_times\[0\]"),
    ],
)
def test_bench_that_cannot_be_used(fields: dict[str, Any], message: str, write: Write) -> None:
    path = write(json.dumps(bench(**fields)))
    assert recognise(path).name == "vllm-bench"
    with pytest.raises(InputError, match=message) as caught:
        read_trace(path)
    assert caught.value.file == str(path)


def test_bench_of_several_results(write: Write) -> None:
    text = json.dumps(BENCH) + "\n" + json.dumps(BENCH)
    with pytest.raises(InputError, match="more text after the end"):
        read_trace(write(text))


def test_bench_has_few_items_in_memory(write: Write) -> None:
    # Far more text than one chunk, cut at every kind of place.
    many = 200_000
    fields = bench(
        input_lens=[*range(1, many + 1)],
        output_lens=[7] * many,
        itls=[[0.123456789] * 3] * many,
        generated_texts=["é\\n]"] * many,
        errors=[""] * many,
    )
    load = read_trace(write(json.dumps(fields)))
    assert load.prompt.tolist() == fields["input_lens"]


@pytest.mark.parametrize(
    "record",
    [
        {"id": "x", "conversations": [{"from": "human", "value": "hi"}]},
        {"messages": [{"role": "user", "content": "hi"}]},
        {"prompt": "hi", "completion": "ho"},
        ["hi", "ho"],
    ],
)
@pytest.mark.parametrize("lines", [True, False])
def test_text_must_be_tokenised(record: object, lines: bool, write: Write) -> None:
    path = write(json.dumps(record) if lines else json.dumps([record]))
    with pytest.raises(InputError, match="tokenise it first"):
        read_trace(path)


def test_three_numbers_are_not_guessed(write: Write) -> None:
    path = write("[[1, 2, 3]]")
    with pytest.raises(InputError, match="not recognised"):
        read_trace(path)
    load = read_trace(path, columns=Columns("0", "1"))
    assert rows_of(load) == [(1, 2, 1)]


def test_folder_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not recognised"):
        read_trace(tmp_path)


def test_broken_meta(write: Write, tmp_path: Path) -> None:
    write(VLLM_RUN, "requests.jsonl")
    assert read_trace(tmp_path).name == tmp_path.name
    meta = write('{"model": 5}', "meta.json")
    with pytest.raises(InputError, match="broken JSON") as caught:
        read_trace(tmp_path)
    assert caught.value.file == str(meta)


def test_unknown_columns_are_named(write: Write) -> None:
    path = write("when,in,out\n1,2,3\n")
    with pytest.raises(InputError) as caught:
        recognise(path)
    for part in (str(path), "when, in, out", *FORMATS, "--columns prompt="):
        assert part in str(caught.value)


def test_same_names_in_another_kind_of_file_are_not_guessed(write: Write) -> None:
    # Mooncake's milliseconds are no promise of anybody else's CSV.
    with pytest.raises(InputError, match="not recognised"):
        recognise(write("timestamp,input_length,output_length\n1,2,3\n"))


TABLE = "when,in,out\n1500,10,3\n500,20,4\n"
LINES = '{"when": 1500, "in": 10, "out": 3}\n{"when": 500, "in": 20, "out": 4}\n'


@pytest.mark.parametrize(("unit", "span"), [("s", 1000), ("ms", 1), ("us", 1e-3), ("ns", 1e-6)])
@pytest.mark.parametrize(
    ("container", "content"),
    [
        ("csv", TABLE),
        ("jsonl", LINES),
        ("jsonl", f"[{','.join(LINES.splitlines())}]"),
    ],
)
def test_named_columns(container: str, content: str, unit: str, span: float, write: Write) -> None:
    path = write(content)
    columns = Columns.parse(f"prompt=in, output=out ,time=when,time_unit={unit}")
    for load in (
        read_trace(path, columns=columns),
        read_trace(path, format=container, columns=columns),
    ):
        assert rows_of(load) == [(10, 3, 1), (20, 4, 1)]
        assert load.arrivals is not None
        assert load.arrivals.prompt.tolist() == [20, 10]
        assert load.arrivals.span == pytest.approx(span)
    assert read_trace(path, columns=Columns("in", "out")).arrivals is None


@pytest.mark.parametrize("content", [TABLE, LINES])
def test_iso_times_in_named_columns(content: str, write: Write) -> None:
    quote = '"' if content == LINES else ""
    path = write(
        content.replace("1500", f"{quote}2024-01-01T00:00:01+01:00{quote}").replace(
            "500", f"{quote}2023-12-31 23:00:00.25Z{quote}"
        )
    )
    load = read_trace(path, columns=Columns("in", "out", "when", "iso"))
    assert seconds_of(load) == pytest.approx([0, 0.75])


@pytest.mark.parametrize(
    ("kind", "times", "unit"),
    [
        (pa.int64(), [1_500_000, 500_000], "us"),
        (pa.float32(), [1.5, 0.5], "s"),
        (pa.timestamp("us", tz="Europe/Paris"), [1_500_000, 500_000], "iso"),
        (pa.timestamp("ms"), [1500, 500], "s"),
        (pa.string(), ["2024-01-01T00:00:01.5", "2024-01-01T00:00:00.5"], "iso"),
    ],
)
def test_parquet(kind: pa.DataType, times: list[Any], unit: str, tmp_path: Path) -> None:
    path = tmp_path / "trace"
    table = pa.table(
        {
            "in": pa.array([10, 20], pa.uint16()),
            "when": pa.array(times, kind),
            "out": pa.array([3.0, 4.0]),
            "text": ["é", "\0"],
        }
    )
    pq.write_table(table, path)
    for columns in (Columns("in", "out", "when", unit),):
        load = read_trace(path, columns=columns)
        assert rows_of(load) == [(10, 3, 1), (20, 4, 1)]
        assert seconds_of(load) == pytest.approx([0, 1])
    with pytest.raises(InputError, match="not recognised; it has the columns in, when, out"):
        read_trace(path)


def test_parquet_of_a_known_format(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    pq.write_table(
        pa.table(
            {
                "Timestamp": [5, 6, 7],
                "Request tokens": [472, 0, 10],
                "Response tokens": [18, 0, 1],
            }
        ),
        path,
    )
    load = read_trace(path)
    assert recognise(path).name == "burstgpt"
    assert rows_of(load) == [(10, 1, 1), (472, 18, 1)]
    assert seconds_of(load) == [0, 2]
    assert len(load.notes) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A,B",
        "prompt=A",
        "prompt=A,output=",
        "prompt=A,output=A",
        "prompt=A,output=B,prompt=C",
        "prompt=A,output=B,size=C",
        "prompt=A,output=B,time=C,time_unit=h",
    ],
)
def test_columns_that_cannot_be_parsed(text: str) -> None:
    with pytest.raises(InputError):
        Columns.parse(text)


def test_format_and_columns_must_fit(write: Write) -> None:
    path, columns = write(TABLE), Columns("in", "out")
    with pytest.raises(InputError, match="allowed: azure"):
        read_trace(path, format="excel")
    with pytest.raises(InputError, match="columns cannot be named in a azure file"):
        read_trace(path, format="azure", columns=columns)
    with pytest.raises(InputError, match="needs the names of its columns"):
        read_trace(path, format="csv")
    with pytest.raises(InputError, match="a csv file is no mooncake trace"):
        read_trace(path, format="mooncake")
    with pytest.raises(InputError, match=r":1: field 'ContextTokens': no such column"):
        read_trace(path, format="azure")
    with pytest.raises(InputError, match="field 'size': no such column"):
        read_trace(path, columns=Columns("size", "out"))
    with pytest.raises(InputError, match="a csv file is no parquet trace"):
        read_trace(path, format="parquet", columns=columns)


def test_without_pyarrow(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"in": [1], "out": [2]}), tmp_path / "p")
    azure = write(AZURE_2024)
    with_arrow = read_trace(azure)
    for module in [each for each in sys.modules if each.partition(".")[0] == "pyarrow"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr(sys, "meta_path", [_NoArrow(), *sys.meta_path])
    assert rows_of(read_trace(azure)) == rows_of(with_arrow)
    assert seconds_of(read_trace(azure)) == seconds_of(with_arrow)
    with pytest.raises(MissingExtraError, match=r"kvsteady\[traces\]"):
        read_trace(tmp_path / "p", columns=Columns("in", "out"))


class _NoArrow:
    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError(name=name)


@pytest.mark.parametrize("packed", [False, True])
def test_progress_counts_bytes_on_disk(packed: bool, write: Write) -> None:
    path = write("in,out\n" + "12,3\n" * 2_000_000, packed=packed)
    seen: list[tuple[int, int | None]] = []
    read_trace(path, columns=Columns("in", "out"), progress=lambda *pair: seen.append(pair))
    done = [each for each, _ in seen]
    assert len(done) > 2
    assert done == sorted(done)
    assert done[-1] == path.stat().st_size
    assert {total for _, total in seen} == {path.stat().st_size}


def test_formats_keep_the_protocol() -> None:
    formats: list[TraceFormat] = list(FORMATS.values())
    assert [each.name for each in formats] == list(FORMATS)
    with pytest.raises(TypeError):
        FORMATS["mine"] = formats[0]  # type: ignore[index] # the registry is read-only


def test_stops_on_ctrl_c_and_leaves_nothing(write: Write, tmp_path: Path) -> None:
    path = write("in,out\n" + "12,3\n" * 2_000_000)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        read_trace(path, columns=Columns("in", "out"), progress=interrupt)
    assert list(tmp_path.iterdir()) == [path]
