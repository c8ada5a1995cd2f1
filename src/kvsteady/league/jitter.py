"""What a seed draws where lengths come in turn and leave it nothing else: a little less memory."""

from __future__ import annotations

import numpy as np


def memory_of(seed: int, tokens: int, most: int) -> int:
    """KV tokens of a seed: ``tokens`` less up to ``most`` of them; seed 0 has them all.

    So no result hangs on what happens to divide what. Drawn, not counted off: memory comes in whole
    blocks, and equal steps may keep hitting the same ones.
    """
    if seed == 0 or most < 1:
        return tokens
    return tokens - int(np.random.Generator(np.random.PCG64(seed)).integers(0, most, endpoint=True))
