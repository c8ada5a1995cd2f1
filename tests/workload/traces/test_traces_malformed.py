"""Files that cannot be used: each ends in one InputError that says where and what."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kvsteady.errors import InputError
from kvsteady.workload.ranges import OUTPUT_RANGE, PROMPT_RANGE
from kvsteady.workload.traces import Columns, read_trace, recognise

Write = Callable[..., Path]
COLUMNS = Columns("in", "out", "at")
GOOD = (10, 3, 0.5)


def csv(rows: list[tuple[Any, ...]]) -> bytes:
    return "\n".join(["in,out,at", *(",".join(map(str, row)) for row in rows), ""]).encode()


def records(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    return [dict(zip(("in", "out", "at"), row, strict=True)) for row in rows]


def jsonl(rows: list[tuple[Any, ...]]) -> bytes:
    return "\n".join(map(json.dumps, records(rows))).encode()


def json_list(rows: list[tuple[Any, ...]]) -> bytes:
    return ("[" + ",\n".join(map(json.dumps, records(rows))) + "]").encode()


# A header line shifts the lines of a CSV file by one.
TEXT = {"csv": (csv, 1), "jsonl": (jsonl, 0), "json": (json_list, 0)}
HUGE = int("9" * 300)
# Cell of the third row, its column, what is said of it, and the range that is named.
CELLS: list[tuple[Any, str, str, str | None]] = [
    (-1, "in", "-1' is out of range|-1 is out of range", PROMPT_RANGE),
    (2**24 + 1, "in", "out of range", PROMPT_RANGE),
    (374.5, "in", "not a whole number", PROMPT_RANGE),
    (HUGE, "in", r"\d… \(30[02] characters\) is out of range", PROMPT_RANGE),
    ("abc", "in", "'abc' is not a number", PROMPT_RANGE),
    ("1_000", "in", "'1_000' is not a number", PROMPT_RANGE),
    ("٣", "in", "is not a number", PROMPT_RANGE),
    ("0x10", "in", "is not a number", PROMPT_RANGE),
    ("nan", "in", "'nan' is not finite", PROMPT_RANGE),
    ("inf", "in", "'inf' is not finite", PROMPT_RANGE),
    ("", "in", "the cell is empty", PROMPT_RANGE),
    ("  ", "in", "the cell is empty", PROMPT_RANGE),
    (True, "in", "True'? is not a number", PROMPT_RANGE),
    (0, "out", "0'? is out of range", OUTPUT_RANGE),
    (-5, "out", "-5'? is out of range", OUTPUT_RANGE),
    (2**20 + 1, "out", "out of range", OUTPUT_RANGE),
    (0.5, "out", "0.5'? is out of range", OUTPUT_RANGE),
    ("", "out", "the cell is empty", OUTPUT_RANGE),
    (False, "out", "False'? is not a number", OUTPUT_RANGE),
    ("", "at", "the cell is empty", "a finite number in s"),
    ("noon", "at", "'noon' is not a number", "a finite number in s"),
    ("nan", "at", "'nan' is out of range", "a finite number in s"),
    ("-inf", "at", "'-inf' is out of range", "a finite number in s"),
    (1e300, "at", "1e.?300'? is out of range", "a finite number in s"),
    ("2023-11-16 18:15:46", "at", "is not a number", "a finite number in s"),
]


@pytest.mark.parametrize("packed", [False, True], ids=["", "gz"])
@pytest.mark.parametrize("container", TEXT)
@pytest.mark.parametrize(("cell", "field", "message", "allowed"), CELLS)
def test_one_bad_cell(
    cell: Any,
    field: str,
    message: str,
    allowed: str,
    container: str,
    packed: bool,
    write: Write,
) -> None:
    bad = tuple(
        cell if name == field else value
        for name, value in zip(("in", "out", "at"), GOOD, strict=True)
    )
    content, shift = TEXT[container]
    path = write(content([GOOD, GOOD, bad, GOOD, bad]), packed=packed)
    with pytest.raises(InputError, match=message) as caught:
        read_trace(path, columns=COLUMNS)
    assert (caught.value.file, caught.value.line, caught.value.field) == (
        str(path),
        3 + shift,
        field,
    )
    assert caught.value.allowed is not None
    assert caught.value.allowed.startswith(allowed)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


@pytest.mark.parametrize("cell", ["[]", "{}", "null", "[1]", '"é"'])
@pytest.mark.parametrize("listed", [False, True])
def test_a_cell_of_another_json_type(cell: str, listed: bool, write: Write) -> None:
    line = f'{{"in": {cell}, "out": 1, "at": 2}}'
    path = write(f"[\n{line}]" if listed else f"\n{line}\n")
    with pytest.raises(InputError, match=r":2: field 'in': .*(not a number|empty)"):
        read_trace(path, columns=COLUMNS)


@pytest.mark.parametrize(
    "time",
    [
        "2023-02-30 00:00:00",
        "2023-11-16",
        "2023-11-16 18:15",
        "2023-11-16 24:00:00",
        "2023-11-16 18:15:60",
        "2023-11-16 18:15:46.1234567891",
        "2023-11-16 18:15:46+25:00",
        "2023-11-16 18:15:46 UTC",
        "0000-01-01 00:00:00",
        "1700000000",
        "",
        "٢٠٢٣-11-16 18:15:46",
    ],
)
def test_a_bad_date(time: str, write: Write) -> None:
    good = "2023-11-16 18:15:46.6805900,1,1"
    path = write(f"TIMESTAMP,ContextTokens,GeneratedTokens\n{good}\n{time},1,1\n")
    with pytest.raises(InputError, match=r":3: field 'TIMESTAMP': .*\(allowed: a date and time"):
        read_trace(path)


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b"in,out,at\n10,3\n", 2, "2 cells in this row .*3 cells, as in the header"),
        (b"in,out,at\n10,3,1\n\n10,3,4,5\n", 4, "4 cells"),
        (b'in,out,at\n"10\n\n",3,4\n10,x,5\n', 5, "'x' is not a number"),
        (b'in,out,at\n10,3,"4\n10,3,4\n', 2, "not a number"),
        (b"in,out,at\n10,3,4\n\xff,3,4\n", 3, "not UTF-8 text"),
        (b"in,out,at\n10,3,4\n1\x000,3,4\n", 3, "not UTF-8 text"),
        (b"in,out,at\n10,3,4\n10,3,\xc3", 3, "not UTF-8 text"),
        (b"in,out,at\n   \n", 2, "1 cells in this row"),
        (b"in,out,at\n10,3,4\n" + b'"' + b"x" * 200_000 + b'",3,4\n', 3, "broken CSV"),
        (b"in,out,at,in\n10,3,4,5\n", 1, "two columns of that name"),
        (b"in,out\n10,3\n", 1, "field 'at': no such column"),
        (b"10,3,4\n10,3,4\n", 1, "field 'in': no such column"),
        (b"in;out;at\n10;3;4\n", 1, "which are in;out;at"),
        (b"  \nin,out,at\n10,3,4\n", 1, "no such column"),
        (b"\n\nin,out,at\n10,3,x\n", 4, "'x' is not a number"),
        (b'in,out,at,"' + b"x\n" * 3 * 2**20, 1, "broken CSV|no such column"),
    ],
)
def test_broken_csv(content: bytes, line: int, message: str, write: Write) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_trace(write(content), columns=COLUMNS)
    assert caught.value.line == line


@pytest.mark.parametrize(
    ("content", "line", "message"),
    [
        (b'{"in": 1, "out": 2, "at": 3}\n{"in": 1, "out": 2, "at": 3', 2, "broken JSON"),
        (b'{"in": 1, "out": 2, "at": 3}\n\n{"in": 1, "out": 2}\n', 3, "field 'at': the record la"),
        (b'{"in": 1, "out": 2, "at": 3}\nnull\n', 2, "the record is a NoneType"),
        (b'{"in": 1, "out": 2, "at": 3}\n[1]\n', 2, "field 'in': the record lacks"),
        (b'{"in": 1, "out": 2, "at": 3}\n{"in": NaN, "out": 2, "at": 3}\n', 2, "broken JSON"),
        (b'{"in": 1, "out": 2, "at": 3} {}\n', 1, "more text after the end"),
        (b'{"in": 1, "out": 2, "at": 3}\n{"in": 1,\n"out": 2, "at": 3}', 2, "broken JSON"),
        (b'{"in": 1, "out": 2, "at": 3}\n{"in": "\xff"}', 2, "not UTF-8 text"),
        (b'{"in": 1, "out": 2, "at": 3}\n' + b"[" * 100_000, 2, "broken JSON"),
        (b'{"in": 1, "out": 2, "at": 3}\n{"in": 1, "out": 2, "at": 1e999}', 2, "broken JSON"),
        (b'{"in": 1, "out": 2, "at": 3}\n{"in": 1' + b"0" * 5000 + b"}", 2, "broken JSON"),
        (b'{"in": 1, "out": 2, "at": 3,}', 1, "broken JSON"),
        (b'{"in": 1,\n"out" 2}', 2, "':' is expected"),
        (b'{"in": 1,\n2: 3}', 2, "a key in quotes"),
        (b"{", 1, "the text ends|a key in quotes"),
        (b"[", 1, "the text ends|broken JSON"),
        (b'[{"in": 1, "out": 2, "at": 3},', 1, "broken JSON"),
        (b'[{"in": 1,\n "out": 2, "at": 3},\n]', 3, "a comma before the end of the list"),
        (b'[{"in": 1, "out": 2, "at": 3}\n\n{}]', 3, "']' is expected"),
        (b'[{"in": 1, "out": 2, "at": 3}\n, {"in": 1, "out": 2}]', 2, "lacks this field"),
        (b'[{"in": 1, "out": 2, "at": 3},\n 5]', 2, "the record is a int"),
        (b'[{"in": 1, "out": 2, "at": NaN}]', 1, "NaN is no number in JSON"),
        (b'[{"in": 1, "out": 2, "at": 3}]\n\nx', 3, "more text after the end"),
        (b'[{"in": 1, "out": 2, "at": 3},' + b"[" * 100_000 + b"]", 1, "nested too deeply|broken"),
        (b'[{"in": 1' + b"0" * 5000 + b', "out": 2, "at": 3}]', 1, "broken JSON"),
        (b'[{"in": "\\x"}]', 1, "broken JSON"),
    ],
)
def test_broken_json(content: bytes, line: int, message: str, write: Write) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_trace(write(content), columns=COLUMNS)
    assert caught.value.line == line


@pytest.mark.parametrize("packed", [False, True], ids=["", "gz"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"\n\n  \n", "the file is empty"),
        (b"in,out,at\n", "no request in it"),
        (b"in,out,at\r\n\r\n", "no request in it"),
        (b"[]", "no request in it"),
        (b"{}", "columns cannot be named|no such column"),
        (b"\0" * 100, "not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not UTF-8 text"),
        ("in,out,at\n1,2,3\n".encode("utf-16"), "not UTF-8 text"),
        (b"PK\x03\x04\x14\0\x06\0", "not UTF-8 text"),
        (b"PAR1", "damaged Parquet|Parquet inside gzip"),
    ],
)
def test_nothing_to_read(content: bytes, message: str, packed: bool, write: Write) -> None:
    path = write(content, packed=packed)
    with pytest.raises(InputError, match=message) as caught:
        read_trace(path, columns=COLUMNS)
    assert caught.value.file == str(path)


@pytest.mark.parametrize("container", TEXT)
def test_what_is_fine(container: str, write: Write) -> None:
    content, _ = TEXT[container]
    text = content([(374.0, 44, 1), ("374.0", "44", "2"), (374, 44, 1e3)])
    for data in (text, text + b"\n\n\r\n", text.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + text):
        for packed in (False, True):
            load = read_trace(write(data, packed=packed), columns=COLUMNS)
            assert (load.prompt, load.output, load.tickets) == ([374], [44], [3])


@pytest.mark.parametrize("keep", [1, 5, 12, 20, -9, -8, -1])
@pytest.mark.parametrize("container", TEXT)
def test_truncated_gzip(container: str, keep: int, write: Write) -> None:
    content, _ = TEXT[container]
    data = gzip.compress(content([GOOD] * 1000))[:keep]
    with pytest.raises(InputError, match=r"gzip stream is damaged|no such column"):
        read_trace(write(data), columns=COLUMNS)


def test_damaged_gzip(write: Write) -> None:
    data = bytearray(gzip.compress(csv([(n, n + 1, n) for n in range(5000)])))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(InputError, match=r"gzip stream is damaged"):
        read_trace(write(bytes(data)), columns=COLUMNS)
    with pytest.raises(InputError, match=r"gzip stream is damaged"):
        read_trace(write(gzip.compress(csv([GOOD])) + b"tail"), columns=COLUMNS)


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize(
    ("columns", "row", "field", "message"),
    [
        ({"in": [1, -1], "out": [1, 1]}, 2, "in", "-1 is out of range"),
        ({"in": [1, None], "out": [1, 1]}, 2, "in", "the cell is empty"),
        ({"in": [1, 1], "out": [1, 0]}, 2, "out", "0 is out of range"),
        ({"in": [1, 1], "out": [1.5, 1]}, 1, "out", "1.5 is not a whole number"),
        ({"in": [1.0, float("nan")], "out": [1, 1]}, 2, "in", "nan is not finite"),
        ({"in": [1, 2**63 - 1], "out": [1, 1]}, 2, "in", "out of range"),
        ({"in": [True], "out": [1]}, 1, "in", "True is not a number"),
        ({"in": ["1", "x"], "out": [1, 1]}, 2, "in", "'x' is not a number"),
        ({"in": [[1]], "out": [1]}, 1, "in", "not a number"),
        ({"in": [b"1"], "out": [1]}, 1, "in", "not a number"),
        ({"in": [1] * 70_000 + [-1], "out": [1] * 70_001}, 70_001, "in", "out of range"),
        ({"in": [1], "out": [1], "at": [None]}, 1, "at", "the cell is empty"),
        ({"in": [1], "out": [1], "at": [float("inf")]}, 1, "at", "inf is out of range"),
        ({"in": [1], "out": [1], "at": ["x"]}, 1, "at", "'x' is not a number"),
        ({"in": [1]}, None, "out", "no such column"),
        ({"in": [], "out": []}, None, None, "no request in it"),
    ],
)
def test_bad_parquet(
    columns: dict[str, Any], row: int | None, field: str | None, message: str, tmp_path: Path
) -> None:
    path = parquet(tmp_path / "trace", **columns)
    with pytest.raises(InputError, match=message) as caught:
        read_trace(path, columns=Columns("in", "out", "at" if "at" in columns else None))
    assert (caught.value.file, caught.value.line, caught.value.field) == (str(path), row, field)


def test_decimals_and_quoted_numbers_in_parquet(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "trace",
        **{"in": pa.array([1, 2]).cast(pa.decimal128(20, 0)), "out": pa.array(["3", " 4.0"])},
    )
    load = read_trace(path, columns=Columns("in", "out"))
    assert (load.prompt.tolist(), load.output.tolist()) == ([1, 2], [3, 4])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_truncated_parquet(share: float, tmp_path: Path) -> None:
    path = parquet(tmp_path / "trace", **{"in": range(1, 999), "out": range(1, 999)})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match="damaged Parquet"):
        read_trace(path, columns=Columns("in", "out"))


@pytest.mark.parametrize("read", [read_trace, recognise])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "no such file"),
        ("missing/deeper", "no such file"),
        ("nul\0", "no such file"),
        ("x" * 300, "name too long"),
        ("pipe", "not a regular file"),
        ("loop", "no such file|symbolic links"),
    ],
)
def test_a_path_that_is_no_file(
    name: str, message: str, read: Callable[[Path], object], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match=f"(?i){message}"):
        read(tmp_path / name)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError("gone")])
def test_a_file_that_cannot_be_opened(
    error: OSError, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Raised by hand: the tests may run as root, who may read everything.
    path = write(csv([GOOD]))

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"Permission denied|gone") as caught:
        read_trace(path)
    assert caught.value.file == str(path)


def test_a_line_without_end(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvsteady.workload.traces.source.MAX_LINE", 5 * 2**20)
    path = write(b"in,out\n1,2\n" + b"1" * 9 * 2**20)
    with pytest.raises(InputError, match=":3: the line does not end"):
        read_trace(path, columns=Columns("in", "out"))


def test_an_item_without_end(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvsteady.workload.traces.containers.json_stream.MAX_ITEM", 5 * 2**20)
    path = write(b'[{"in": 1, "out": 1, "at": 1}, "' + b"1" * 18 * 2**20)
    with pytest.raises(InputError, match=r"an item of more than 5 Mi characters"):
        read_trace(path, columns=COLUMNS)
