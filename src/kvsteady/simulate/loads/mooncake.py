"""Mooncake traces of Kimi with their shared prefixes.

Source: https://github.com/kvcache-ai/Mooncake (FAST25-release/traces). A line is a request: its
``timestamp`` in milliseconds, its lengths, and ``hash_ids``, one for each 512 tokens of the prompt
and the tokens before them; the last one may stand for fewer.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from kvsteady.arrays import frozen_floats, frozen_ints
from kvsteady.errors import InputError
from kvsteady.simulate.loads.prefix_trace import PrefixTrace
from kvsteady.workload.ranges import MAX_OUTPUT, MAX_PROMPT
from kvsteady.workload.traces.source import Source

KEY_TOKENS = 512


class _Line(msgspec.Struct, gc=False):
    timestamp: float
    input_length: int
    output_length: int
    hash_ids: list[int]


def read_mooncake(
    path: str | PathLike[str],
    *,
    rate: float | None = None,
    requests: int | None = None,
    max_tokens: int | None = None,
) -> PrefixTrace:
    """Read a Mooncake trace, gzipped or not, as a load with block keys.

    Parameters
    ----------
    path
        A JSONL file.
    rate, requests, max_tokens
        As in `PrefixTrace`.

    Raises
    ------
    InputError
        The file cannot be read or a line is no request of this format; it names file, line, field.
    """
    source = Source(Path(path))
    lines = list(_lines(source))
    if not lines:
        raise InputError("no request in it", file=source.path, allowed="one request or more")
    seconds = np.array([line.timestamp for line in lines]) / 1000
    order = np.argsort(seconds, kind="stable")
    counts = np.array([len(line.hash_ids) for line in lines])[order]
    ids = np.array([key for i in order for key in lines[i].hash_ids], dtype=np.int64)
    # Any numbers name blocks; ours count from 0.
    keys = np.unique(ids, return_inverse=True)[1]
    return PrefixTrace(
        frozen_floats(seconds[order] - seconds[order[0]]),
        frozen_ints([lines[i].input_length for i in order]),
        frozen_ints([lines[i].output_length for i in order]),
        frozen_ints(keys),
        frozen_ints(np.append(0, np.cumsum(counts))),
        KEY_TOKENS,
        rate=rate,
        requests=requests,
        max_tokens=max_tokens,
        name=source.path.name,
    )


def _lines(source: Source) -> Iterator[_Line]:
    decode = msgspec.json.Decoder(_Line).decode
    number = 0
    for block in source.blocks():
        for text in block.splitlines():
            number += 1
            if not text.strip():
                continue
            try:
                line = decode(text)
            except (msgspec.DecodeError, RecursionError) as error:
                raise InputError(
                    f"no Mooncake request: {error}", file=source.path, line=number
                ) from None
            _check(line, source, number)
            yield line


def _check(line: _Line, source: Source, number: int) -> None:
    """Raise `InputError` for numbers that no request has."""
    blocks = -(-line.input_length // KEY_TOKENS)
    checks: tuple[tuple[str, Any, bool, str], ...] = (
        ("timestamp", line.timestamp, 0 <= line.timestamp < 1e15, "milliseconds, 0 or more"),
        ("input_length", line.input_length, 0 < line.input_length <= MAX_PROMPT, "1 or more"),
        ("output_length", line.output_length, 0 < line.output_length <= MAX_OUTPUT, "1 or more"),
        ("hash_ids", len(line.hash_ids), len(line.hash_ids) <= blocks, f"at most {blocks} of them"),
    )
    for field, value, good, allowed in checks:
        if not good:
            raise InputError(
                f"{value} is out of range",
                file=source.path,
                line=number,
                field=field,
                allowed=allowed,
            )
    if any(not 0 <= key < 2**62 for key in line.hash_ids):
        raise InputError(
            "a number is out of range",
            file=source.path,
            line=number,
            field="hash_ids",
            allowed="0 or more",
        )
