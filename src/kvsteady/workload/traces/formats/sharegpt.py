"""Token counts of a conversation set such as ShareGPT, in the names that tools give them.

Sources of the pairs: https://github.com/vllm-project/vllm (vllm/benchmarks, prompt_len and
output_len), the usage object of the OpenAI API (prompt_tokens, completion_tokens),
https://github.com/casys-kaist/LLMServingSim (input_toks, output_toks).
"""

from __future__ import annotations

from collections.abc import Generator

from kvsteady.errors import InputError
from kvsteady.workload.traces.checks import Batch
from kvsteady.workload.traces.columns import Columns
from kvsteady.workload.traces.format import TableFormat, listed
from kvsteady.workload.traces.peek import Peek
from kvsteady.workload.traces.source import Source

_PAIRS = (
    Columns("prompt_len", "output_len"),
    Columns("prompt_tokens", "completion_tokens"),
    Columns("usage.prompt_tokens", "usage.completion_tokens"),
    Columns("input_len", "output_len"),
    Columns("input_length", "output_length"),
    Columns("input_tokens", "output_tokens"),
    Columns("input_toks", "output_toks"),
    Columns("num_prompt_tokens", "num_output_tokens"),
)
# [prompt, output] and [text, prompt, output], by the length of the record.
_LISTS = {2: Columns("0", "1"), 3: Columns("1", "2")}
_TEXT = ("conversations", "conversation", "messages", "prompt", "text", "content")


class ShareGPT(TableFormat):
    """A list or lines of records that hold two lengths under usual names."""

    def recognises(self, peek: Peek) -> bool:
        """Tell whether a usual pair is there, or text, which gets an error of its own."""
        return super().recognises(peek) or (peek.container in self.containers and _is_text(peek))

    def columns(self, peek: Peek) -> Columns | None:
        """Find the pair of this file."""
        if not isinstance(peek.record, list):
            return super().columns(peek)
        pair = _LISTS.get(len(peek.record))
        numbers = pair is not None and all(
            not isinstance(peek.record[int(place)], str | list | dict) for place in pair.names
        )
        # Three numbers could be anything: only a text before them says which two are meant.
        anything = len(peek.record) == 3 and not isinstance(peek.record[0], str)
        return pair if numbers and not anything else None

    def batches(self, source: Source, peek: Peek) -> Generator[Batch, None, None]:
        """Read the records; text without counts is an error."""
        if self.columns(peek) is None and _is_text(peek):
            raise InputError(
                "this is text; kvsteady needs token counts: tokenise it first",
                file=source.path,
                field=listed(peek),
                allowed=f"pairs such as {', '.join(' and '.join(each.names) for each in _PAIRS)}",
            )
        yield from super().batches(source, peek)


def _is_text(peek: Peek) -> bool:
    record = peek.record
    if isinstance(record, list):
        return bool(record) and all(isinstance(each, str) for each in record)
    return isinstance(record, dict) and any(
        isinstance(record.get(name), str | list) for name in _TEXT
    )


SHAREGPT = ShareGPT(name="sharegpt", containers=("json", "jsonl"), layouts=_PAIRS)
