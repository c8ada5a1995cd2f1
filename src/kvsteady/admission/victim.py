"""Whom to evict when memory is short: orders that a policy may carry."""

from __future__ import annotations

from enum import Enum

from kvsteady.errors import InputError, shown


class Victim(Enum):
    """Who goes first. Of equals it is the last admitted; without an order the engine decides."""

    LAST_ADMITTED = "last-admitted"
    """vLLM's own rule, first come first served."""
    FEWEST_GENERATED = "fewest-generated"
    """The paper's, and SGLang's own: whose eviction throws out the least under restart."""
    MOST_RECOMPUTABLE = "most-recomputable"
    """Cheapest to compute again: the fewest KV tokens that would not stay in the prefix cache
    because others hold them."""
    LARGEST_MEMORY = "largest-memory"
    """Whose eviction frees the most KV tokens: fewer have to go."""


def victim_of(policy: object) -> Victim | None:
    """The order that a policy carries as ``victim``; None: the engine decides.

    Raises
    ------
    InputError
        It carries something else.
    """
    given = getattr(policy, "victim", None)
    if given is None or isinstance(given, Victim):
        return given
    allowed = "a Victim: " + ", ".join(each.value for each in Victim)
    raise InputError(f"{shown(given)} is no order", field="victim", allowed=allowed)
