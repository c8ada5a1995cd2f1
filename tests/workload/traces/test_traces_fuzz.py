"""Whatever the bytes: a workload or an InputError, and the same from both reading paths."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.workload.traces import FORMATS, Columns, read_trace
from kvsteady.workload.traces.read import read_source
from kvsteady.workload.traces.source import Source

COLUMNS = Columns("in", "out", "at")
Outcome = tuple[Any, ...]
EXAMPLES = int(os.environ.get("KVSTEADY_FUZZ", "200"))
fuzz = settings(max_examples=EXAMPLES, deadline=None)


def outcome(source: Source, format: str | None, columns: Columns | None) -> Outcome:
    try:
        load = read_source(source, format, columns)
    except InputError as error:
        return (str(error).replace(str(source.path), "trace"),)
    arrivals = load.arrivals
    return (
        *(each.tolist() for each in (load.prompt, load.output, load.tickets)),
        arrivals and [e.tolist() for e in (arrivals.seconds, arrivals.prompt, arrivals.output)],
        load.notes,
    )


def both(content: bytes, columns: Columns | None = COLUMNS, format: str | None = None) -> Outcome:
    """Read with the fast path and without: the outcomes, errors included, have to be one."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_bytes(content)
        fast = outcome(Source(path), format, columns)
        assert fast == outcome(Source(path, plain=True), format, columns)
        return fast


def damaged(content: bytes, changes: list[tuple[float, int]], cut: float) -> bytes:
    data = bytearray(content)
    for place, byte in changes:
        if data:
            data[int(place * (len(data) - 1))] = byte
    return bytes(data[: round(cut * len(data))])


places = st.floats(0, 1)
damages = st.lists(st.tuples(places, st.integers(0, 255)), max_size=3)
cuts = st.one_of(st.just(1.0), places)

lengths = st.integers(1, 5000).map(str)
numbers = st.one_of(
    lengths,
    st.integers(-5, 2**25).map(str),
    st.integers(1, 50).map(lambda n: f"{n}.0"),
    st.floats().map(str),
    st.sampled_from(
        [
            *(
                "",
                " 7",
                "7 ",
                "\t7",
                "+7",
                "7.",
                ".7e1",
                "1e2",
                "1E2",
                "1e400",
                "0x7",
                "7_0",
                "007",
            ),
            *(
                "nan",
                "NaN",
                "inf",
                "-0",
                "-0.0",
                "true",
                "null",
                "NULL",
                "NA",
                "٣",
                "7\r",
                "9" * 300,
            ),
            *('"7"', '"7', '7"', '""', '"7\n"', "'7'", "7,7", "7\n7", "1d2", "7\x0b", "\xa07"),
        ]
    ),
    st.text(max_size=4),
)
line_ends = st.sampled_from(["\n", "\r\n", "\n\n", "\r", "\n \n"])


@st.composite
def near_csv(draw: st.DrawFn) -> str:
    header = draw(st.sampled_from(["in,out,at,x", "x,at,out,in", ' in ,"out",at,x', "in,out,at"]))
    width = header.count(",") + 1
    good = draw(st.booleans())
    cell = lengths if good else st.one_of(lengths, lengths, numbers)
    note = st.text(alphabet='a", \n\ré', max_size=4)
    rows = draw(st.lists(st.lists(cell, min_size=width, max_size=width), max_size=6))
    if width == 4 and draw(st.booleans()):
        place = header.split(",").index("x")
        for row in rows:
            row[place] = draw(note)
    end = draw(line_ends)
    return (
        draw(st.sampled_from(["", "", end, " "]))
        + end.join([header, *(",".join(row) for row in rows)])
        + draw(st.sampled_from(["", "\n", "\n\n", end]))
    )


@fuzz
@given(near_csv(), damages, cuts)
def test_csv_paths_agree(text: str, changes: list[tuple[float, int]], cut: float) -> None:
    both(text.encode("utf-8", "surrogatepass"))
    both(damaged(text.encode("utf-8", "surrogatepass"), changes, cut))


digits = st.text(alphabet="0123456789", min_size=1, max_size=10)


@st.composite
def near_time(draw: st.DrawFn) -> str:
    moment = draw(st.datetimes())
    text = moment.strftime("%m-%d{}%H:%M:%S").format(draw(st.sampled_from([" ", " ", "T", "t"])))
    text = f"{draw(st.sampled_from([moment.year, 2024, 1969]))}-{text}"
    if draw(st.booleans()):
        text += "." + draw(digits)
    zones = ["", "", "Z", "+00:00", "-0730", "+23:59", "+24:00", "-00:60", "+05", " UTC"]
    return text + draw(st.sampled_from(zones))


@fuzz
@given(st.lists(near_time(), min_size=1, max_size=5))
def test_times_agree(times: list[str]) -> None:
    rows = "".join(f"{time},7,3\n" for time in times)
    both(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{rows}".encode(), None)
    lines = "\n".join(json.dumps({"in": 7, "out": 3, "at": time}) for time in times)
    both(lines.encode(), Columns("in", "out", "at", "iso"))


json_cells = st.one_of(
    st.integers(1, 5000),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    numbers,
    st.sampled_from([None, True, False, [], {}, [1], 9**400, 2**63]),
)
json_records = st.one_of(
    st.fixed_dictionaries({"in": st.integers(0, 99), "out": st.integers(1, 9), "at": places}),
    st.fixed_dictionaries({"in": json_cells, "out": json_cells, "at": json_cells}),
    st.dictionaries(st.sampled_from(["in", "out", "at", "x", "é"]), json_cells),
    json_cells,
)


@fuzz
@given(
    st.lists(json_records, max_size=4),
    line_ends,
    damages,
    cuts,
    st.sampled_from([COLUMNS, Columns("in", "out"), Columns("x.y", "out"), Columns("0", "1")]),
)
def test_jsonl_paths_agree(
    rows: list[object], end: str, changes: list[tuple[float, int]], cut: float, columns: Columns
) -> None:
    for text in (end.join(map(json.dumps, rows)), json.dumps(rows), json.dumps(rows, indent=1)):
        both(text.encode(), columns)
        both(damaged(text.encode(), changes, cut), columns)


columns_of = st.sampled_from(
    [
        *(pa.int64(), pa.int8(), pa.uint64(), pa.float64(), pa.float32(), pa.bool_(), pa.string()),
        *(pa.timestamp("ns"), pa.timestamp("s", tz="UTC"), pa.date32(), pa.duration("ns")),
        *(pa.decimal128(20, 2), pa.list_(pa.int64()), pa.dictionary(pa.int8(), pa.string())),
    ]
)


@fuzz
@given(st.data(), damages, cuts, st.sampled_from(["s", "ns", "iso"]))
def test_parquet_paths_agree(
    data: st.DataObject, changes: list[tuple[float, int]], cut: float, unit: str
) -> None:
    size = data.draw(st.integers(0, 4))
    whole = st.one_of(st.integers(1, 127), st.none() if data.draw(st.booleans()) else st.just(5))
    table = {}
    for name in ("in", "out", "at"):
        values = pa.array(data.draw(st.lists(whole, min_size=size, max_size=size)), pa.int64())
        kind = data.draw(st.one_of(st.just(pa.int64()), columns_of))
        try:
            table[name] = values.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            table[name] = values.cast(pa.string())
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(table), sink)
    content = sink.getvalue().to_pybytes()
    columns = Columns("in", "out", "at", unit)
    both(content, columns)
    # Not compared: pyarrow words the same damage differently from one reading to the next.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_bytes(damaged(content, changes, cut))
        outcome(Source(path), None, columns)


@fuzz
@given(near_csv(), damages, cuts)
def test_damaged_gzip(text: str, changes: list[tuple[float, int]], cut: float) -> None:
    content = text.encode("utf-8", "surrogatepass")
    assert both(gzip.compress(content)) == both(content)
    both(damaged(gzip.compress(content), changes, cut))


starts = st.sampled_from(
    [
        *(b"", b"in,out,at\n", b'{"in": ', b"[", b"[[1,2],", b"PAR1", b"\x1f\x8b\x08"),
        *(b'{"input_lens": [', b"TIMESTAMP,ContextTokens,GeneratedTokens\n", b"{}\n"),
        b"\xef\xbb\xbf",
    ]
)


@fuzz
@given(starts, st.binary(max_size=60), st.sampled_from([None, *FORMATS]))
def test_arbitrary_bytes(start: bytes, rest: bytes, name: str | None) -> None:
    both(start + rest, None, name)
    both(start + rest, COLUMNS)


@fuzz
@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ["input_lens", "output_lens", "errors", "start_times", "completed"],
            st.one_of(st.lists(json_cells, max_size=3), json_cells),
        ),
    ),
    damages,
)
def test_bench_results(fields: dict[str, object], changes: list[tuple[float, int]]) -> None:
    both(damaged(json.dumps(fields).encode(), changes, 1.0), None, "vllm-bench")


good_rows = st.lists(
    st.tuples(st.integers(0, 2**24), st.integers(1, 2**20), st.floats(-1e9, 1e9)),
    min_size=1,
    max_size=30,
)


@fuzz
@given(good_rows)
def test_valid_rows_are_read_alike_from_every_container(
    rows: list[tuple[int, int, float]],
) -> None:
    names = ("in", "out", "at")
    records = [dict(zip(names, row, strict=True)) for row in rows]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(records), sink)
    contents = {
        "csv": "\n".join(["in,out,at", *(",".join(map(str, row)) for row in rows)]).encode(),
        "jsonl": "\n".join(map(json.dumps, records)).encode(),
        "json": json.dumps(records).encode(),
        "parquet": sink.getvalue().to_pybytes(),
    }
    outcomes = [both(content) for content in contents.values()]
    assert all(each == outcomes[0] for each in outcomes)

    prompt, output, tickets, arrivals, notes = outcomes[0]
    pairs = sorted({(out, inp) for inp, out, _ in rows})
    assert list(zip(output, prompt, strict=True)) == pairs
    assert tickets == [sum((o, p) == pair for p, o, _ in rows) for pair in pairs]
    in_time = sorted(rows, key=lambda row: row[2])
    assert arrivals[0] == [at - in_time[0][2] for _, _, at in in_time]
    assert arrivals[1:] == [[p for p, _, _ in in_time], [o for _, o, _ in in_time]]
    assert notes == ()


def test_blocks_are_cut_anywhere(monkeypatch: Any) -> None:
    monkeypatch.setattr("kvsteady.workload.traces.source.CHUNK", 61)
    rows = [(n, n % 7 + 1, n / 8) for n in range(50)]
    lines = [f'{p},{o},"{t}",é"' for p, o, t in rows]
    text = "in,out,at,x\r\n" + "\r\n".join(lines)
    records = [{"in": p, "out": o, "at": t, "é": '\\"]'} for p, o, t in rows]
    expected = both(text.encode())
    assert expected[0] != []
    for other in (
        json.dumps(records),
        json.dumps(records, indent=2, ensure_ascii=False),
        "\n".join(map(json.dumps, records)),
    ):
        assert both(other.encode()) == expected


def test_a_trace_is_read_from_text_and_path_objects(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    path.write_text("in,out\n1,2\n")
    assert read_trace(str(path), columns=Columns("in", "out")).output.tolist() == [2]


def test_a_header_of_numbers_is_no_row() -> None:
    for start in (b"", b"\n", b"\r\n\r\n"):
        found = both(start + b"1,2\n7,3\n8,4\n", Columns("1", "2"))
        assert found[:2] == ([7, 8], [3, 4])
