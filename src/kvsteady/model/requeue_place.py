"""Where an evicted request goes, and who is evicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kvsteady.errors import InputError
from kvsteady.workload.ranges import whole_number


@dataclass(frozen=True)
class Requeue:
    """How evicted requests that keep their tokens wait: `Eviction.RESUME`, `Eviction.SWAP`.

    Parameters
    ----------
    place
        ``"head"``: before all that were never admitted (vLLM, Vidur). ``"tail"``: behind all
        that wait (SGLang).
    order
        Who is evicted first: ``"admitted"``, the last admitted or re-admitted (vLLM, the last of
        its list of running requests); ``"generated"``, the one with the fewest generated tokens,
        among equals the last admitted (SGLang, but for its tie-break by prompt). From the head
        of the queue the two are the same (ours): requests keep the order of their first
        admission, so who came earlier has run whenever a later one did.
    length
        Requests that wait at least: new ones join the tail whenever fewer do. What it means to
        stand at the tail of a queue that never empties; of no effect at the head.
    """

    place: Literal["head", "tail"] = "head"
    order: Literal["admitted", "generated"] = "admitted"
    length: int = 1

    def __post_init__(self) -> None:
        if self.place not in ("head", "tail"):
            raise InputError(f"{self.place!r}", field="place", allowed="head, tail")
        if self.order not in ("admitted", "generated"):
            raise InputError(f"{self.order!r}", field="order", allowed="admitted, generated")
        whole_number(self.length, "length", 1, 2**31 - 1)


AT_HEAD = Requeue()
