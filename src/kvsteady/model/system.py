"""The system under study: a workload on so many KV tokens."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from kvsteady.errors import InputError, shown
from kvsteady.workload.law import Workload

MAX_KV_TOKENS = 2**31 - 1


class Eviction(Enum):
    """What becomes of an evicted request; every loss is quoted with one of these names."""

    RESTART = "restart"
    """Progress is lost and it re-enters as new: the paper's model. Costs decode iterations."""
    RESUME = "resume"
    """KV is dropped, generated tokens are kept: vLLM, SGLang, Transformers. Costs a prefill of
    prompt + generated tokens on re-admission."""
    SWAP = "swap"
    """KV is kept in host memory. Costs a transfer on re-admission."""


@dataclass(frozen=True, eq=False)
class System:
    """A workload offered without pause to an engine with a fixed KV capacity.

    Parameters
    ----------
    workload
        What arrives; the queue never empties (saturated input).
    kv_tokens
        KV capacity M in tokens, 1 to 2,147,483,647.
    block_size
        Tokens per KV block, for the block-aware figures; 1 means unpaged memory.

    Raises
    ------
    InputError
        A number out of range, or a request that could never fit in memory.
    """

    workload: Workload
    kv_tokens: int
    block_size: int = 1

    def __post_init__(self) -> None:
        for name, value, high in (
            ("kv_tokens", self.kv_tokens, MAX_KV_TOKENS),
            ("block_size", self.block_size, 65_536),
        ):
            if type(value) is not int or not 1 <= value <= high:
                raise InputError(
                    f"{shown(value)} is out of range",
                    field=name,
                    allowed=f"whole number from 1 to {high:,}",
                )
        largest = self.workload.largest_request
        usable = self.kv_tokens // self.block_size * self.block_size
        held = -(-largest // self.block_size) * self.block_size
        if held > usable:
            paged = f" in blocks of {self.block_size}" if self.block_size > 1 else ""
            raise InputError(
                f"the largest request of {self.workload.name} holds {largest:,} tokens (prompt + "
                f"output) and can never fit in {self.kv_tokens:,}{paged}",
                field="kv_tokens",
                allowed=f"{held:,} or more, or a max_tokens cap",
            )
