"""SGLang at saturation: what the real scheduling classes of 0.5.23 measured on the same load.

40,000 requests of 20 + 40 tokens at once, 16,200 KV tokens (at most 10 completions per decode),
3,000 iterations: (decode iterations, completions, retractions, completions per decode in the second
half) of `tests/engines/sglang/drive.py`, without the radix cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from kvsteady.simulate.engines.sglang import Sglang
from kvsteady.simulate.machine import Machine
from stepping import UnitTime, feed_of

CAPPED = {"prefill_max_requests": 10}
MEASURED = [
    ({}, 2852, 20002, 267, 7.109),
    ({**CAPPED, "prefill_decode_interval": 1}, 1530, 13974, 0, 9.856),
    ({"enable_mixed_chunk": True}, 2999, 20302, 139, 6.789),
    ({"enable_mixed_chunk": True, **CAPPED}, 2999, 23951, 0, 8.398),
    ({"enable_mixed_chunk": True, **CAPPED, "init_new_token_ratio": 0.01}, 2999, 29322, 0, 9.901),
]


@pytest.mark.parametrize(("options", "decodes", "completed", "retracted", "rate"), MEASURED)
def test_the_measured_rates(
    options: dict[str, Any], decodes: int, completed: int, retracted: int, rate: float
) -> None:
    rows: list[Any] = []
    feed = feed_of([{"prompt": 20, "output": 40}] * 40_000)
    machine = Machine(
        Sglang(**options, disable_radix_cache=True),
        16_200,
        UnitTime(),
        feed,
        iterations=rows.append,
        log_every=1,
    )
    machine.run(3000)
    machine.flush()
    log = np.concatenate(rows)
    decoding = log["decode_tokens"] > 0
    assert decoding.sum() == decodes
    assert log["completed"].sum() == completed
    assert log["preempted"].sum() == retracted
    later = log["completed"][1500:].sum() / decoding[1500:].sum()
    assert later == pytest.approx(rate, abs=5e-4)
