"""Laws of one length: fixed, uniform, geometric, log-normal, a table; and their product."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.errors import InputError, shown
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_OUTPUT, MAX_PROMPT, real_number, whole_number

# Probability cut off at the far end of an unbounded law; what is cut goes to the last length.
_TAIL = 1e-9
_UNIT = 2**52
# Rows that a prompt law may bring to a product; longer ones are merged around their means.
_PROMPT_ROWS = 32


@dataclass(frozen=True, eq=False)
class Lengths:
    """The law of one length in tokens: ``values`` ascending and their ``probability``, ``(n,)``."""

    values: IntArray
    probability: FloatArray
    name: str

    @classmethod
    def fixed(cls, tokens: int) -> Lengths:
        """Always ``tokens``."""
        return cls._of([_tokens(tokens, "tokens")], [1.0], f"{tokens}")

    @classmethod
    def uniform(cls, low: int, high: int) -> Lengths:
        """Each whole number from ``low`` to ``high`` alike."""
        first, last = _tokens(low, "low"), _tokens(high, "high")
        if first > last:
            raise InputError(f"{first} is above {last}", field="uniform", allowed="low ≤ high")
        values = np.arange(first, last + 1)
        return cls._of(values, np.full(values.size, 1 / values.size), f"uniform {first}–{last}")

    @classmethod
    def geometric(cls, mean: float, max_tokens: int | None = None) -> Lengths:
        """``P(n) = (1 − q) q^(n−1)`` for ``n ≥ 1`` with the given mean, above 1.

        Without ``max_tokens`` the law ends where its tail falls under 1e-9.
        """
        average = real_number(mean, "mean", above=1.0)
        log_q = math.log1p(-1 / average)
        last = _end(max_tokens, math.log(_TAIL) / log_q, "geometric")
        values = np.arange(1, last + 1)
        mass = np.exp(log_q * (values - 1)) * -math.expm1(log_q)
        mass[-1] = math.exp(log_q * (last - 1))  # everything beyond stands at the end
        return cls._of(values, mass, f"geometric, mean {average:g}" + _capped(max_tokens))

    @classmethod
    def lognormal(cls, median: float, sigma: float, max_tokens: int | None = None) -> Lengths:
        """A log-normal length rounded up to a whole number of tokens, 1 or more.

        ``median`` in tokens, ``sigma`` the standard deviation of the logarithm.
        """
        middle, spread = real_number(median, "median"), real_number(sigma, "sigma")
        end = math.exp(min(math.log(middle) + 6.0 * spread, 700))  # P(beyond) ≈ 1e-9
        last = _end(max_tokens, end, "log-normal")
        values = np.arange(1, last + 1)
        z = (np.log(values) - math.log(middle)) / (spread * math.sqrt(2))
        below = np.array([0.5 * math.erfc(-x) for x in z])
        below[-1] = 1.0
        name = f"log-normal, median {middle:g}, sigma {spread:g}"
        return cls._of(values, np.diff(below, prepend=0.0), name + _capped(max_tokens))

    @classmethod
    def table(cls, weights: Mapping[int, float]) -> Lengths:
        """Lengths with weights in any unit (counts, percentages)."""
        if not weights:
            raise InputError("no length in it", field="table", allowed="one length or more")
        pairs = sorted(
            (_tokens(length, "length"), _weight(weight)) for length, weight in weights.items()
        )
        mass = np.array([weight for _, weight in pairs])
        mass /= max(mass.max(), 1e-300)  # so that no sum overflows
        if mass.sum() <= 0:
            raise InputError("every weight is 0", field="table", allowed="one above 0 or more")
        return cls._of([length for length, _ in pairs], mass / mass.sum(), "table")

    @classmethod
    def _of(cls, values: npt.ArrayLike, mass: npt.ArrayLike, name: str) -> Lengths:
        lengths, probability = np.asarray(values), np.asarray(mass, dtype=np.float64)
        kept = probability > 0
        return cls(frozen_ints(lengths[kept]), frozen_floats(probability[kept]), name)

    @property
    def mean(self) -> float:
        """Mean length in tokens."""
        return float(self.values @ self.probability)

    def merged(self, rows: int) -> Lengths:
        """At most ``rows`` lengths: neighbours of about equal total probability become their
        mean, rounded to a whole token.
        """
        if self.values.size <= rows:
            return self
        middle = np.cumsum(self.probability) - self.probability / 2
        group = np.minimum((middle * rows).astype(np.int64), rows - 1)
        mass = np.bincount(group, weights=self.probability, minlength=rows)
        mean = np.bincount(group, weights=self.probability * self.values, minlength=rows)
        full = mass > 0
        values = np.rint(mean[full] / mass[full]).astype(np.int64)
        distinct, place = np.unique(values, return_inverse=True)
        return Lengths._of(distinct, np.bincount(place, weights=mass[full]), self.name)


def independent(prompt: Lengths, output: Lengths, max_tokens: int | None = None) -> Workload:
    """The workload whose prompt and output lengths are independent.

    A prompt law of more than 32 lengths is merged to 32 around their means.

    Raises
    ------
    InputError
        An output of 0 tokens, or a length out of range.
    """
    prompts = prompt.merged(_PROMPT_ROWS)
    mass = np.outer(prompts.probability, output.probability)
    # Whole-number weights, so that shares are exact; what rounds to 0 is under 1e-15.
    tickets = np.rint(mass * _UNIT).astype(np.int64)
    workload = Workload.from_counts(
        np.repeat(prompts.values, output.values.size),
        np.tile(output.values, prompts.values.size),
        tickets.ravel(),
        random=output.values.size > 1 or prompts.values.size > 1,
        name=f"prompt {prompt.name}; output {output.name}",
    )
    return workload if max_tokens is None else workload.capped(max_tokens)


def parse_lengths(text: str, field: str, max_tokens: int | None = None) -> Lengths:
    """Read a law from the command line; ``max_tokens`` ends the laws that have no end.

    ``128`` or ``fixed:128``, ``uniform:LOW-HIGH``, ``geometric:MEAN``,
    ``lognormal:MEDIAN,SIGMA``, ``table:LENGTH=WEIGHT,LENGTH=WEIGHT,…``.

    Raises
    ------
    InputError
        Not of one of those forms, or a number out of range.
    """
    kind, _, rest = text.partition(":") if ":" in text else ("fixed", "", text)
    allowed = "fixed:N, uniform:LOW-HIGH, geometric:MEAN, lognormal:MEDIAN,SIGMA, table:N=WEIGHT,…"
    try:
        match kind:
            case "fixed":
                return Lengths.fixed(int(rest))
            case "uniform":
                low, high = rest.split("-")
                return Lengths.uniform(int(low), int(high))
            case "geometric":
                return Lengths.geometric(float(rest), max_tokens)
            case "lognormal":
                median, sigma = rest.split(",")
                return Lengths.lognormal(float(median), float(sigma), max_tokens)
            case "table":
                pairs = [pair.split("=") for pair in rest.split(",")]
                table = {int(length): float(weight) for length, weight in pairs}
                if len(table) < len(pairs):
                    raise InputError("a length is given twice", allowed="each length once")
                return Lengths.table(table)
    except InputError as error:
        raise error.but(field=field) from None
    except ValueError:
        pass
    raise InputError(f"{shown(text)} is not a law of lengths", field=field, allowed=allowed)


def _tokens(value: object, name: str) -> int:
    return whole_number(value, name, 0, MAX_PROMPT)


def _weight(value: object) -> float:
    return 0.0 if type(value) in (int, float) and value == 0 else real_number(value, "weight")


def _end(max_tokens: int | None, end: float, name: str) -> int:
    """The last length of a law: its cap, or where its tail is cut."""
    if max_tokens is not None:
        return whole_number(max_tokens, "max_tokens", 1, MAX_OUTPUT)
    if end > MAX_OUTPUT:
        raise InputError(
            f"the tail of this {name} law reaches past {MAX_OUTPUT:,} tokens",
            allowed="a max_tokens cap, or a lighter tail",
        )
    return max(math.ceil(end), 1)


def _capped(max_tokens: int | None) -> str:
    return "" if max_tokens is None else f", max_tokens {max_tokens}"
