"""What arrives: the joint law of prompt and output lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.errors import InputError, shown
from kvsteady.workload.arrivals import Arrivals
from kvsteady.workload.ranges import (
    MAX_OUTPUT,
    MAX_PROMPT,
    MAX_TICKETS,
    MAX_TOTAL,
    tickets_of,
    whole_number,
    whole_numbers,
)


@dataclass(frozen=True, eq=False)
class Workload:
    """The joint law of (prompt, output) lengths, one row per distinct pair.

    Build one with `Workload.fixed`, `Workload.classes`, `Workload.from_counts`, `independent`,
    `read_trace` or `preset`; the rows are sorted by output, then prompt.

    Attributes
    ----------
    prompt
        Prompt tokens ``l0`` of each class, shape ``(K,)``, each 0 or more.
    output
        Output tokens ``l1`` of each class, shape ``(K,)``, each 1 or more.
    tickets
        Whole-number weights of the classes, shape ``(K,)``; a class's share is its tickets over
        their sum, so that every share is an exact fraction (a trace's counts are its tickets).
    arrivals
        Recorded arrival times, where the source has them.
    random
        True where the lengths of successive requests are independent draws from the law (traces,
        distributions); False where they follow the shares in turn (classes).
    name, notes
        What to call it, and what a reader of the numbers should know about the source.
    """

    prompt: IntArray
    output: IntArray
    tickets: IntArray
    arrivals: Arrivals | None = None
    random: bool = False
    name: str = "workload"
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def fixed(cls, prompt: int, output: int) -> Workload:
        """Every request has the same prompt and output length."""
        return cls.classes([(prompt, output)])

    @classmethod
    def classes(
        cls,
        classes: Iterable[tuple[int, int] | tuple[int, int, float | Fraction]],
        name: str | None = None,
    ) -> Workload:
        """Classes ``(prompt, output)`` in equal shares, or ``(prompt, output, share)`` each.

        Shares sum to 1 (within 1e-6; they are then scaled to sum exactly).

        Raises
        ------
        InputError
            No class; a length outside its range; shares given for some classes only, negative,
            zero, or not summing to 1.
        """
        rows = [_row(row) for row in classes]
        if not rows:
            raise InputError("no class given", field="class", allowed="one class or more")
        with_share = [row for row in rows if len(row) == 3]
        if with_share and len(with_share) != len(rows):
            raise InputError(
                f"{len(with_share)} of {len(rows)} classes have a share",
                field="share",
                allowed="a share for every class, or for none",
            )
        prompts = [whole_number(row[0], "prompt", 0, MAX_PROMPT) for row in rows]
        outputs = [whole_number(row[1], "output", 1, MAX_OUTPUT) for row in rows]
        tickets = tickets_of([row[2] for row in rows]) if with_share else [1] * len(rows)
        label = name or " + ".join(f"{p}:{o}" for p, o in zip(prompts, outputs, strict=True))
        return cls.from_counts(prompts, outputs, tickets, name=label)

    @classmethod
    def from_counts(
        cls,
        prompt: npt.ArrayLike,
        output: npt.ArrayLike,
        count: npt.ArrayLike,
        *,
        arrivals: Arrivals | None = None,
        random: bool = False,
        name: str = "workload",
        notes: Sequence[str] = (),
    ) -> Workload:
        """A law from how often each (prompt, output) pair was seen; equal pairs are merged.

        Raises
        ------
        InputError
            Nothing counted, or a length or count outside its range.
        """
        prompts = whole_numbers(prompt, "prompt", 0, MAX_PROMPT)
        outputs = whole_numbers(output, "output", 1, MAX_OUTPUT)
        counts = whole_numbers(count, "count", 0, MAX_TICKETS)
        if not prompts.size == outputs.size == counts.size:
            raise InputError(
                f"{prompts.size} prompts, {outputs.size} outputs and {counts.size} counts",
                field="count",
                allowed="as many of each",
            )
        # Summed as a float first: whole numbers of this size can wrap round together.
        if counts.sum(dtype=np.float64) > MAX_TOTAL:
            raise InputError(
                "too many requests", field="count", allowed=f"at most {MAX_TOTAL:,} in all"
            )
        if not counts.size or counts.sum() == 0:
            raise InputError("no request in it", allowed="one request or more")
        key = outputs * (MAX_PROMPT + 1) + prompts
        distinct, place = np.unique(key, return_inverse=True)
        tickets = np.zeros(distinct.size, dtype=np.int64)
        np.add.at(tickets, place, counts)
        seen = tickets > 0
        return cls(
            frozen_ints(distinct[seen] % (MAX_PROMPT + 1)),
            frozen_ints(distinct[seen] // (MAX_PROMPT + 1)),
            frozen_ints(tickets[seen]),
            arrivals=arrivals,
            random=random and int(seen.sum()) > 1,  # one length leaves nothing to draw
            name=name,
            notes=tuple(notes),
        )

    def __len__(self) -> int:
        return int(self.output.size)

    @cached_property
    def share(self) -> FloatArray:
        """Probability of each class, shape ``(K,)``, summing to 1."""
        return frozen_floats(self.tickets / self.tickets.sum())

    @property
    def longest_output(self) -> int:
        """``L``, the largest output length in tokens."""
        return int(self.output[-1])

    @property
    def largest_request(self) -> int:
        """Most KV tokens that any one request ever holds, ``max(l0 + l1)``."""
        return int((self.prompt + self.output).max())

    @cached_property
    def mean_prompt(self) -> float:
        """``E[L0]`` in tokens."""
        return float(self.share @ self.prompt)

    @cached_property
    def mean_output(self) -> float:
        """``E[L1]`` in tokens."""
        return float(self.share @ self.output)

    @cached_property
    def gcd(self) -> int:
        """Greatest common divisor of the output lengths (Theorem 3's g)."""
        return int(np.gcd.reduce(self.output))

    @cached_property
    def by_output(self) -> tuple[IntArray, FloatArray, FloatArray]:
        """Distinct outputs, their shares, and the mean prompt of each; three arrays ``(J,)``.

        Prompts enter the fluid model through their mean given the output, so this is the whole
        law as far as that model can tell, as long as no state separates prompts of one output.
        """
        first = np.flatnonzero(np.r_[True, np.diff(self.output) > 0])
        share = np.add.reduceat(self.share, first)
        prompt = np.add.reduceat(self.share * self.prompt, first) / share
        return frozen_ints(self.output[first]), frozen_floats(share), frozen_floats(prompt)

    @cached_property
    def survival(self) -> FloatArray:
        """``S(m) = P(L1 > m)`` for ``m = 0 … L−1``, shape ``(L,)``."""
        output, share, _ = self.by_output
        return frozen_floats(_tail_sums(output, share))

    def memory_weights(self, block_size: int = 1) -> FloatArray:
        """``w_m = E[(L0 + m + 1) 1{L1 > m}]``, ``m = 0 … L−1``: KV tokens that one admission
        per iteration keeps at age ``m`` (theory: section 3, general survival weights).

        With ``block_size`` B > 1 each request's tokens are rounded up to whole blocks,
        ``⌈(L0 + m + 1) / B⌉ B``.

        Returns
        -------
        FloatArray
            Shape ``(L,)``, in KV tokens, every entry positive.
        """
        block_size = whole_number(block_size, "block_size", 1, MAX_PROMPT)
        age = np.arange(self.longest_output, dtype=np.float64)
        if block_size == 1:
            output, share, prompt = self.by_output
            return frozen_floats(_tail_sums(output, share * (prompt + 1)) + age * self.survival)
        weights = np.zeros(self.longest_output)
        residue = self.prompt % block_size
        for r in np.unique(residue):
            rows = residue == r
            outputs, shares = self.output[rows], self.share[rows]
            length = int(outputs[-1])
            whole = _tail_sums(outputs, shares * (self.prompt[rows] - r))
            blocks = np.ceil((r + age[:length] + 1) / block_size) * block_size
            weights[:length] += whole + blocks * _tail_sums(outputs, shares)
        return frozen_floats(weights)

    def squared_weights(self) -> FloatArray:
        """``E[(L0 + m + 1)² 1{L1 > m}]``, shape ``(L,)``: the variance of memory at age ``m``
        per admission (theory: section 6, square-root margin).
        """
        base = (self.prompt + 1).astype(np.float64)
        square = _tail_sums(self.output, self.share * base**2)
        linear = _tail_sums(self.output, self.share * base)
        age = np.arange(self.longest_output, dtype=np.float64)
        return frozen_floats(square + 2 * age * linear + age**2 * self.survival)

    def weight_drops(self) -> npt.NDArray[np.object_]:
        """``(w_m − w_{m+1}) · Σ tickets`` for ``m = 0 … L−1`` (``w_L = 0``), exact integers.

        Requests finishing at age m release their tokens and every survivor grows by one, so a
        drop is a difference of whole numbers: monotone weights are decided without rounding.
        """
        first = np.flatnonzero(np.r_[True, np.diff(self.output) > 0])
        exact = self.tickets.astype(object)  # Python integers: the products outgrow 64 bits
        finishing = np.zeros(self.longest_output, dtype=object)
        released = np.zeros(self.longest_output, dtype=object)
        last_age = self.output[first] - 1
        finishing[last_age] = np.add.reduceat(exact, first)
        released[last_age] = np.add.reduceat(exact * (self.prompt + self.output), first)
        drops: npt.NDArray[np.object_] = released - (exact.sum() - np.cumsum(finishing))
        return drops

    def capped(self, max_tokens: int) -> Workload:
        """Cut every output at ``max_tokens``, which leaves an atom at the cap.

        Arrivals are cut likewise. Raises `InputError` unless ``max_tokens`` is 1 or more.
        """
        cap = whole_number(max_tokens, "max_tokens", 1, MAX_OUTPUT)
        cut = int(self.tickets[self.output > cap].sum())
        if not cut:
            return self
        capped = Workload.from_counts(self.prompt, np.minimum(self.output, cap), self.tickets)
        share = cut / int(self.tickets.sum())
        arrivals = self.arrivals
        if arrivals is not None:
            cut_at_cap = np.minimum(arrivals.output, np.int32(cap))
            cut_at_cap.flags.writeable = False
            arrivals = replace(arrivals, output=cut_at_cap)
        return replace(
            capped,
            arrivals=arrivals,
            random=self.random,
            name=f"{self.name}, max_tokens {cap}",
            notes=(*self.notes, f"max_tokens {cap} cuts {share:.1%} of the requests"),
        )


def _row(row: object) -> tuple[object, ...]:
    """One class as it was given, of two or three parts."""
    parts = tuple(row) if isinstance(row, Sequence) else ()
    if len(parts) not in (2, 3):
        raise InputError(
            f"{shown(row)} is not a class",
            field="class",
            allowed="(prompt, output) or (prompt, output, share)",
        )
    return parts


def _tail_sums(output: IntArray, mass: FloatArray) -> FloatArray:
    """``Σ mass 1{output > m}`` for ``m = 0 … max(output) − 1``."""
    at = np.bincount(output, weights=mass).astype(np.float64)
    tails: FloatArray = np.cumsum(at[::-1])[::-1][1:]
    return tails
