"""Results of ``vllm bench serve --save-result --save-detailed``.

Source: https://github.com/vllm-project/vllm, vllm/benchmarks/serve.py: ``input_lens``,
``output_lens``, ``errors`` and, since 2025, ``start_times`` (seconds of a monotonic clock) are
lists over the requests; a failed request has an output of 0 and its error in ``errors``.
``bench_serving`` of SGLang writes the same lists with ``--output-details``.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Iterator
from typing import Any, NoReturn

import numpy as np

from kvsteady.errors import InputError
from kvsteady.workload.ranges import MAX_OUTPUT, MAX_PROMPT, OUTPUT_RANGE, PROMPT_RANGE
from kvsteady.workload.traces.checks import BATCH_ROWS, Batch, length, seconds_reader, time_range
from kvsteady.workload.traces.containers.json_stream import items
from kvsteady.workload.traces.peek import Peek
from kvsteady.workload.traces.source import Source

_INPUTS, _OUTPUTS, _TIMES, _ERRORS = "input_lens", "output_lens", "start_times", "errors"
# Fields of every result, with details or without.
_SUMMARY = {"completed", "request_throughput", "total_input_tokens"}


class VllmBench:
    """One JSON object whose lists run over the requests."""

    name = "vllm-bench"

    def recognises(self, peek: Peek) -> bool:
        """Tell whether the lists are there, or the summary that they were left out of."""
        fields = set(peek.fields)
        return peek.container in ("json-object", "jsonl") and (
            _INPUTS in fields or fields >= _SUMMARY
        )

    def batches(self, source: Source, peek: Peek) -> Generator[Batch, None, None]:  # noqa: ARG002 - protocol
        """Read the lists, then pair them up."""
        seconds = seconds_reader("s")
        lists: dict[str, array[Any]] = {
            _INPUTS: array("i"),
            _OUTPUTS: array("i"),
            _TIMES: array("d"),
            _ERRORS: array("b"),
        }
        read: dict[str, tuple[Callable[[object], float], str]] = {
            _INPUTS: (lambda item: length(item, 0, MAX_PROMPT), PROMPT_RANGE),
            # Whether a 0 is a failure is known once the errors are read.
            _OUTPUTS: (lambda item: length(item, 0, MAX_OUTPUT), OUTPUT_RANGE),
            _TIMES: (seconds, time_range("s")),
            _ERRORS: (lambda item: int(bool(item)), "a list of texts"),
        }
        for key, item, line in items(source):
            if key in read:
                convert, allowed = read[key]
                try:
                    lists[key].append(convert(item))
                except ValueError as error:
                    raise InputError(
                        str(error),
                        file=source.path,
                        line=line,
                        field=f"{key}[{len(lists[key])}]",
                        allowed=allowed,
                    ) from None
        yield from _paired(lists, source)

    def about(self, source: Source, skipped: int) -> tuple[str, tuple[str, ...]]:
        """Give the file's name, and how many failed requests were skipped."""
        notes = (f"{skipped:,} failed requests skipped",) if skipped else ()
        return source.path.name, notes


def _paired(lists: dict[str, array[Any]], source: Source) -> Iterator[Batch]:
    def refuse(problem: str, field: str, allowed: str | None = None) -> NoReturn:
        raise InputError(problem, file=source.path, field=field, allowed=allowed)

    requests = len(lists[_INPUTS])
    if not requests:
        refuse("no lengths: save the result with --save-detailed", _INPUTS)
    for field in (_OUTPUTS, _TIMES, _ERRORS):
        optional = field != _OUTPUTS and not lists[field]
        if len(lists[field]) != requests and not optional:
            refuse(f"{len(lists[field])} items for {requests} requests", field)
    prompt = np.frombuffer(lists[_INPUTS], dtype=np.int32)
    output = np.frombuffer(lists[_OUTPUTS], dtype=np.int32)
    times = np.frombuffer(lists[_TIMES], dtype=np.float64) if lists[_TIMES] else None
    ended = output > 0
    failed = np.frombuffer(lists[_ERRORS] or bytes(requests), dtype=np.int8) > 0
    bad = np.flatnonzero(~ended & ~failed)
    if bad.size:
        refuse(
            "0 is out of range, and no error is recorded",
            f"{_OUTPUTS}[{bad[0]}]",
            OUTPUT_RANGE,
        )
    for start in range(0, requests, BATCH_ROWS):
        part = slice(start, start + BATCH_ROWS)
        kept = ended[part]
        seconds = None if times is None else times[part][kept]
        yield Batch(prompt[part][kept], output[part][kept], seconds, int((~kept).sum()))


VLLM_BENCH = VllmBench()
