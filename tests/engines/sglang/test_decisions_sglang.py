"""SGLang's real scheduling classes against the kernel and the plain reference.

Source of the expected values: SGLang itself (`requirements/sglang.txt`), on seeded random workloads
and options. A step is equal if all that `Step` holds is: its kind, the tokens of each request, who
was retracted, aborted and completed, free KV tokens, new_token_ratio, and both orders.
"""

from __future__ import annotations

from importlib import metadata

import pytest

from reference.engines.sglang import Sglang as Reference
from sglang_cases import case, decided, kernel_decided, machine_of, played

try:
    VERSION = metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.drive import Driver

BATCH, ITERATIONS = 10, 500


def test_the_engine_is_the_one_in_the_name() -> None:
    assert VERSION == "0.5.23"


@pytest.mark.parametrize("batch", range(6))
def test_it_decides_as_sglang(batch: int, compared) -> None:
    kinds: set[str] = set()
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        knobs, arrivals = case(seed)
        machine = machine_of(knobs, arrivals)
        real = played(Driver(knobs), arrivals, ITERATIONS)
        plain = played(Reference(knobs), arrivals, ITERATIONS)
        steps = retractions = 0
        for number, (taken, expected) in enumerate(zip(real, plain, strict=True)):
            assert expected == taken, (seed, number, knobs)
            assert kernel_decided(machine, taken.chunked) == decided(taken), (seed, number, knobs)
            kinds |= {taken.kind, "retraction" if taken.retracted else taken.kind}
            steps += 1
            retractions += len(taken.retracted)
        compared("sglang", configurations=1, steps=steps, retractions=retractions)
    assert {"prefill", "decode", "mixed", "retraction"} <= kinds
