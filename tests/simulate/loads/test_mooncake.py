"""Mooncake traces: a small file by hand, broken ones, and the public conversation trace."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.loads import read_mooncake

SMALL = [
    {"timestamp": 3000, "input_length": 1025, "output_length": 5, "hash_ids": [46, 47, 90]},
    {"timestamp": 1000, "input_length": 600, "output_length": 9, "hash_ids": [46, 51]},
    {"timestamp": 1000, "input_length": 10, "output_length": 1, "hash_ids": []},
]


def written(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_small_trace(tmp_path):
    load = read_mooncake(written(tmp_path / "t.jsonl", SMALL))
    feed = load.feed()
    rows = np.concatenate(list(feed.batches))
    assert rows["time"].tolist() == [0.0, 0.0, 2.0]
    assert rows["prompt"].tolist() == [600, 10, 1025]
    assert rows["output"].tolist() == [9, 1, 5]
    keys = [feed.keys[r["keys"] : r["keys"] + r["key_count"]].tolist() for r in rows]
    # Dense numbers, the same where the trace has the same.
    assert keys == [[0, 2], [], [0, 1, 3]]
    assert feed.key_tokens == 512


def test_gzip_and_options(tmp_path):
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(written(tmp_path / "t", SMALL).read_bytes()))
    feed = read_mooncake(path, requests=2, max_tokens=4, rate=2.0).feed()
    rows = np.concatenate(list(feed.batches))
    assert (feed.total, rows["output"].tolist(), rows["limit"].tolist()) == (2, [4, 1], [4, 4])
    assert feed.largest_prompt == 600


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"timestamp": -1}, "timestamp"),
        ({"input_length": 0}, "input_length"),
        ({"output_length": 0}, "output_length"),
        ({"hash_ids": [1, 2, 3]}, "hash_ids"),
        ({"hash_ids": [-1]}, "hash_ids"),
        ({"hash_ids": "x"}, None),
        ({"input_length": 1.5}, None),
    ],
)
def test_what_is_no_request_is_named(tmp_path, change, field):
    path = written(tmp_path / "t.jsonl", [SMALL[1], {**SMALL[1], **change}])
    with pytest.raises(InputError) as error:
        read_mooncake(path)
    assert (error.value.line, error.value.field) == (2, field)


@pytest.mark.parametrize("text", ["", "\n", "{", "[1]\n"])
def test_broken_files(tmp_path, text):
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with pytest.raises(InputError):
        read_mooncake(path)


def test_the_public_trace():
    shared = Path(os.environ.get("KVSTEADY_SHARED", Path(__file__).parents[4] / "shared"))
    path = shared / "data" / "mooncake" / "conversation_trace.jsonl"
    if not path.is_file():
        pytest.skip(f"no Mooncake trace at {path}: set KVSTEADY_SHARED")
    feed = read_mooncake(path).feed()
    rows = np.concatenate(list(feed.batches))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert rows["prompt"].tolist() == [line["input_length"] for line in lines]
    assert rows["key_count"].tolist() == [len(line["hash_ids"]) for line in lines]
    # The same number here where there is the same number there.
    there = np.concatenate([line["hash_ids"] for line in lines])
    pairs = np.unique(np.stack([there, feed.keys]), axis=1)
    assert (
        pairs.shape[1] == np.unique(there).size == np.unique(feed.keys).size == feed.keys.max() + 1
    )
