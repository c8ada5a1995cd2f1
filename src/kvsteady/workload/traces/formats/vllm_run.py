"""A recorded vLLM run: a folder with requests.jsonl and, beside it, meta.json.

Source: https://github.com/casys-kaist/LLMServingSim, times in seconds.
"""

from __future__ import annotations

from collections.abc import Generator

import msgspec

from kvsteady.errors import InputError
from kvsteady.workload.traces.checks import Batch
from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.format import TableFormat
from kvsteady.workload.traces.peek import Peek
from kvsteady.workload.traces.peek import peek as look
from kvsteady.workload.traces.source import Source

_REQUESTS, _META = "requests.jsonl", "meta.json"


class _Meta(msgspec.Struct):
    model: str | None = None
    vllm_version: str | None = None


class VllmRun(TableFormat):
    """The folder, or its requests.jsonl."""

    def recognises(self, peek: Peek) -> bool:
        """Tell whether these are the requests, or a folder that has them."""
        if peek.container == "folder":
            return _REQUESTS in peek.fields
        return super().recognises(peek)

    def batches(self, source: Source, peek: Peek) -> Generator[Batch, None, None]:
        """Read the requests."""
        if peek.container == "folder":
            source = source.at(source.path / _REQUESTS)
            peek = look(source)
        yield from super().batches(source, peek)

    def about(self, source: Source, skipped: int) -> tuple[str, tuple[str, ...]]:
        """Give the name with the model's, and the engine that served it."""
        name, notes = super().about(source, skipped)
        folder = source.path if source.path.is_dir() else source.path.parent
        meta = _meta(source.at(folder / _META))
        if meta.model is not None:
            name = f"{name} ({meta.model})"
        if meta.vllm_version is not None:
            notes = (*notes, f"recorded with vLLM {meta.vllm_version}")
        return name, notes


def _meta(source: Source) -> _Meta:
    if not source.path.exists():
        return _Meta()
    try:
        return msgspec.json.decode(b"".join(source.chunks()), type=_Meta)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"broken JSON: {error}", file=source.path) from None


VLLM_RUN = VllmRun(
    name="vllm-run",
    containers=("jsonl",),
    layouts=(Columns("input_toks", "output_toks", "arrival_time", "s"),),
)
