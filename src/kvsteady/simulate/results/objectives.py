"""Service-level objectives, and how many requests meet them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray
from kvsteady.errors import InputError, shown

_FORM = "ttft:MS, tpot:MS or e2el:MS, milliseconds above 0"


@dataclass(frozen=True)
class Objectives:
    """Most milliseconds that a good request takes; None: no objective.

    They are called, and a request is counted good, as ``vllm bench serve --goodput`` does (vLLM
    0.32.0, ``vllm/benchmarks/serve.py``): it meets every objective, and the TPOT of an output of
    one token is 0.

    Parameters
    ----------
    ttft
        Time to the first token.
    tpot
        Time per output token after the first.
    e2el
        From arrival to the last token.

    Raises
    ------
    InputError
        A limit that is no number above 0.
    """

    ttft: float | None = None
    tpot: float | None = None
    e2el: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.limits.items():
            if not is_number(value) or not 0 < value < math.inf:
                raise InputError(f"{shown(value)} is out of range", field=name, allowed=_FORM)

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> Objectives:
        """Read ``ttft:500``-like pairs, also with a comma or space between them."""
        limits: dict[str, float] = {}
        for pair in " ".join(pairs).replace(",", " ").split():
            name, _, value = pair.partition(":")
            try:
                limits[{"e2e": "e2el"}.get(name, name)] = float(value)
            except ValueError:
                name = ""
            if name not in ("ttft", "tpot", "e2el", "e2e"):
                raise InputError(
                    f"{shown(pair)} is no objective", field="goodput", allowed=_FORM
                ) from None
        return cls(**limits)

    @property
    def limits(self) -> Mapping[str, float]:
        """Those that there are, by name, in milliseconds."""
        every = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in every.items() if value is not None}

    def met(self, seconds: Mapping[str, FloatArray]) -> dict[str, npt.NDArray[np.bool_]]:
        """Which requests meet each objective, given ``ttft``, ``tpot``, ``e2el`` in seconds."""
        return {name: seconds[name] <= limit / 1000 for name, limit in self.limits.items()}


def is_number(value: object) -> bool:
    """Whether a value is an int or a float; a bool is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)
