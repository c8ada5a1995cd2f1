"""The radix cache: SGLang's real classes against the kernel and the plain reference, step by step.

Source of the expected values: SGLang itself (`requirements/sglang.txt`), its `UnifiedRadixCache`
with the tree core in Python, on seeded random requests that repeat and continue each other. Beside
what `test_decisions_sglang` compares, cached KV tokens that can be evicted.
"""

from __future__ import annotations

from importlib import metadata

import pytest

from reference.engines.sglang import Sglang as Reference
from reference.engines.sglang_radix import RadixPages
from sglang_cases import decided, kernel_decided, played
from sglang_sharing import sharing_case, sharing_machine

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.drive import Driver

BATCH, ITERATIONS = 10, 500


@pytest.mark.parametrize("batch", range(6))
def test_it_decides_as_sglang_with_its_cache(batch: int, compared) -> None:
    kinds: set[str] = set()
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        knobs, arrivals, unit = sharing_case(seed)
        machine = sharing_machine(knobs, arrivals, unit)
        real = played(Driver(knobs), arrivals, ITERATIONS)
        memory = RadixPages(knobs.tokens, knobs.page_size)
        plain = played(Reference(knobs, memory), arrivals, ITERATIONS)
        steps = retractions = 0
        for number, (taken, expected) in enumerate(zip(real, plain, strict=True)):
            assert expected == taken, (seed, number, knobs)
            assert kernel_decided(machine, taken.chunked) == decided(taken), (seed, number, knobs)
            kinds |= {taken.kind, "retraction" if taken.retracted else taken.kind}
            steps += 1
            retractions += len(taken.retracted)
        book = machine.memory.book
        compared(
            "sglang, radix cache",
            configurations=1,
            steps=steps,
            retractions=retractions,
            pages_found=int(book["all_found"]),
            pages_evicted=int(book["all_evicted"]),
        )
    assert {"prefill", "decode", "mixed", "retraction"} <= kinds
