"""An open loop with the arrivals and the shared prefixes of a trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kvsteady.arrays import FloatArray, IntArray
from kvsteady.errors import InputError
from kvsteady.simulate.load import Feed
from kvsteady.simulate.loads.requests import (
    capped,
    check_options,
    recorded_batches,
    scaled,
    smallest_of,
)
from kvsteady.workload.ranges import real_number


@dataclass(frozen=True, eq=False)
class PrefixTrace:
    """Recorded requests with block keys; `read_mooncake` reads one.

    Parameters
    ----------
    seconds
        Arrival times, ascending from 0, shape ``(n,)``.
    prompt, output
        Tokens, shape ``(n,)`` each.
    keys
        Block keys of all requests, one request after the other; numbers from 0.
    first
        Where each request's keys begin in ``keys``, and their end: shape ``(n + 1,)``.
    key_tokens
        Tokens per key.
    rate, requests, max_tokens
        As in `Recorded` (``dataclasses.replace`` sets them).
    name
        What to call it.

    Raises
    ------
    InputError
        Columns of different lengths, or an option out of its range.
    """

    seconds: FloatArray
    prompt: IntArray
    output: IntArray
    keys: IntArray
    first: IntArray
    key_tokens: int
    rate: float | None = None
    requests: int | None = None
    max_tokens: int | None = None
    name: str = "trace"

    def __post_init__(self) -> None:
        check_options(self.requests, self.max_tokens)
        if self.rate is not None:
            real_number(self.rate, "rate")
        sizes = {self.seconds.size, self.prompt.size, self.output.size, self.first.size - 1}
        if len(sizes) > 1 or not self.seconds.size:
            raise InputError("columns of different lengths, or none", field="seconds")

    def feed(self) -> Feed:
        """Start over."""
        part = slice(0, self.requests)
        prompt, output = self.prompt[part], self.output[part]
        return Feed(
            self._batches(prompt, output),
            int(capped(output, self.max_tokens).max()),
            int(prompt.max()),
            total=prompt.size,
            smallest_prompt=int(prompt.min()),
            smallest=smallest_of(prompt, capped(output, self.max_tokens)),
            keys=self.keys,
            key_tokens=self.key_tokens,
            classes=1,
        )

    def _batches(self, prompt: IntArray, output: IntArray) -> Iterator[Any]:
        seconds = scaled(self.seconds, self.rate)[: prompt.size]
        for rows in recorded_batches(seconds, prompt, output, self.max_tokens):
            rows["keys"] = self.first[rows["id"]]
            rows["key_count"] = self.first[rows["id"] + 1] - rows["keys"]
            yield rows
