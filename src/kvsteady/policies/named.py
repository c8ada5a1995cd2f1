"""Policies by name, as a file or a command line gives them: ``kv-watermark:watermark=0.1``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from kvsteady.admission import Policy, Victim
from kvsteady.errors import InputError, shown
from kvsteady.policies.aimd import Aimd
from kvsteady.policies.greedy import Greedy
from kvsteady.policies.kv_watermark import KvWatermark
from kvsteady.policies.look_ahead import LookAhead
from kvsteady.policies.max_active import MaxActive
from kvsteady.policies.nested_wait import NestedWait
from kvsteady.policies.new_token_ratio import NewTokenRatio
from kvsteady.policies.no_evict import GuaranteedNoEvict
from kvsteady.policies.rate_cap import RateCap
from kvsteady.policies.steady import Steady
from kvsteady.policies.wait import Wait
from kvsteady.policies.with_victims import WithVictims

NAMED: dict[str, type[Any]] = {
    "greedy": Greedy,
    "kv-watermark": KvWatermark,
    "max-active": MaxActive,
    "no-evict": GuaranteedNoEvict,
    "new-token-ratio": NewTokenRatio,
    "rate-cap": RateCap,
    "look-ahead": LookAhead,
    "wait": Wait,
    "nested-wait": NestedWait,
    "aimd": Aimd,
    "steady": Steady,
}


def policy_of(text: str) -> Policy:
    """Make a policy from its name and options, ``name`` or ``name:option=number,…``.

    Each also takes ``victim=ORDER``: whom to evict when memory is short, by `Victim`'s values.

    Raises
    ------
    InputError
        No policy or option of that name, an option given twice, a value that is no number or out of
        range.
    """
    name, _, rest = text.partition(":")
    kind = NAMED.get(name.strip())
    if kind is None:
        raise InputError(f"no policy {shown(name)}", field="policy", allowed=", ".join(NAMED))
    types = {field.name: str(field.type) for field in fields(kind)}
    known = list(types)
    values: dict[str, float] = {}
    given_already: set[str] = set()
    victim: Victim | None = None
    for pair in filter(None, (part.strip() for part in rest.split(","))):
        option, equals, given = (part.strip() for part in pair.partition("="))
        option = option.replace("-", "_")
        if option in given_already:
            raise InputError(
                f"{name}: given twice", field=f"policy.{option}", allowed="one value each"
            )
        given_already.add(option)
        if equals and option == "victim":
            victim = _victim(given)
            continue
        if not equals or option not in known:
            raise InputError(
                f"{name} has no option {shown(pair)}",
                field="policy",
                allowed=", ".join(f"{each}=NUMBER" for each in known) or "no options",
            )
        try:
            number = float(given)
        except ValueError:
            raise InputError(
                f"{name}: {shown(given)} is no number", field=f"policy.{option}", allowed="a number"
            ) from None
        # A float stays one: kernels have no whole numbers of hundreds of digits.
        whole = "int" in types[option].split(" | ") and abs(number) < 2**53 and number.is_integer()
        values[option] = int(number) if whole else number
    try:
        policy: Policy = kind(**values)
    except InputError as error:
        raise error.but(problem=f"{name}: {error.problem}", field=f"policy.{error.field}") from None
    return policy if victim is None else WithVictims(policy, victim)


def _victim(given: str) -> Victim:
    try:
        return Victim(given)
    except ValueError:
        allowed = ", ".join(each.value for each in Victim)
        raise InputError(
            f"no order {shown(given)}", field="policy.victim", allowed=allowed
        ) from None
