"""A recorded vLLM run: what each request was, and when it was scheduled, started and finished."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.errors import InputError

_REQUESTS, _TICKS, _META = "requests.jsonl", "timeseries.csv", "meta.json"


class _Line(msgspec.Struct):
    input_toks: int
    output_toks: int
    arrival_time: float
    queued_ts: float
    scheduled_ts: float
    first_token_ts: float
    last_token_ts: float


class _Engine(msgspec.Struct):
    max_num_seqs: int
    max_num_batched_tokens: int
    tensor_parallel_size: int = 1


class _Meta(msgspec.Struct):
    model: str
    vllm_version: str
    engine_kwargs: _Engine


_Row = TypeVar("_Row")


@dataclass(frozen=True, eq=False)
class RecordedRun:
    """Requests in the order of arrival; times in seconds since the first of them arrived.

    Parameters
    ----------
    model, version
        What was served, and by which vLLM.
    max_num_seqs, max_num_batched_tokens, tensor_parallel
        How.
    prompt, output
        Tokens, shape ``(n,)``.
    arrival, scheduled, first_token, finish
        Shape ``(n,)``. ``finish`` is when the last token came.
    ticks, running
        When the engine was looked at, and how many requests it ran then.
    """

    model: str
    version: str
    max_num_seqs: int
    max_num_batched_tokens: int
    tensor_parallel: int
    prompt: IntArray
    output: IntArray
    arrival: FloatArray
    scheduled: FloatArray
    first_token: FloatArray
    finish: FloatArray
    ticks: FloatArray
    running: IntArray


def read_recorded(folder: str | PathLike[str]) -> RecordedRun:
    """Read a run as LLMServingSim's benchmark records it (casys-kaist/LLMServingSim, 2026).

    The folder holds ``requests.jsonl``, one request a line with its tokens and times,
    ``timeseries.csv``, one look at the engine per second, and ``meta.json``. Arrivals are wall
    clock, all other times of the engine's own clock: the two are brought together at the request
    that the engine took notice of fastest.

    Raises
    ------
    InputError
        If a file is missing or not of that form, or a request's times are out of order.
    """
    home = Path(folder)
    meta = _decode(home / _META, msgspec.json.Decoder(_Meta), _bytes(home / _META))
    lines = _lines(home / _REQUESTS)
    lines.sort(key=lambda line: line.arrival_time)
    arrival = np.array([line.arrival_time for line in lines])
    clocks = min(line.queued_ts - line.arrival_time for line in lines)
    start = float(arrival[0]) + clocks

    def since(name: str) -> FloatArray:
        return frozen_floats([getattr(line, name) - start for line in lines])

    ticks, running = _look(home / _TICKS)
    return RecordedRun(
        model=meta.model,
        version=meta.vllm_version,
        max_num_seqs=meta.engine_kwargs.max_num_seqs,
        max_num_batched_tokens=meta.engine_kwargs.max_num_batched_tokens,
        tensor_parallel=meta.engine_kwargs.tensor_parallel_size,
        prompt=frozen_ints([line.input_toks for line in lines]),
        output=frozen_ints([line.output_toks for line in lines]),
        arrival=frozen_floats(arrival - arrival[0]),
        scheduled=since("scheduled_ts"),
        first_token=since("first_token_ts"),
        finish=since("last_token_ts"),
        ticks=ticks,
        running=running,
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", file=path) from None


def _decode(
    path: Path, decoder: msgspec.json.Decoder[_Row], text: bytes, line: int | None = None
) -> _Row:
    try:
        return decoder.decode(text)
    except msgspec.MsgspecError as error:
        raise InputError(str(error), file=path, line=line) from None


def _lines(path: Path) -> list[_Line]:
    decoder = msgspec.json.Decoder(_Line)
    lines = []
    for number, text in enumerate(_bytes(path).splitlines(), 1):
        if not text.strip():
            continue
        line = _decode(path, decoder, text, number)
        times = line.queued_ts, line.scheduled_ts, line.first_token_ts, line.last_token_ts
        if line.input_toks < 1 or line.output_toks < 1 or list(times) != sorted(times):
            raise InputError("tokens or times that cannot be", file=path, line=number)
        lines.append(line)
    if not lines:
        raise InputError("holds no request", file=path)
    return lines


def _look(path: Path) -> tuple[FloatArray, IntArray]:
    text = _bytes(path).decode("utf-8", "replace").splitlines()
    ticks: list[float] = []
    running: list[int] = []
    for number, row in enumerate(csv.DictReader(text), 2):
        try:
            ticks.append(float(row["t"]))
            running.append(int(row["running"]))
        except (KeyError, TypeError, ValueError):
            raise InputError(
                "columns 't' and 'running' with numbers are expected", file=path, line=number
            ) from None
    return frozen_floats(ticks), frozen_ints(running)


def in_order(run: RecordedRun, chosen: Sequence[int] | IntArray) -> IntArray:
    """Return the chosen requests in the order of their first tokens."""
    picked = np.asarray(chosen, dtype=np.int64)
    return picked[np.argsort(run.first_token[picked], kind="stable")]
