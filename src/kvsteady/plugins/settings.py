"""What an operator may set of a plug-in, from a mapping or from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from kvsteady.admission import Policy, victim_of
from kvsteady.errors import InputError, shown
from kvsteady.policies.named import policy_of

_RANGES: Final = {
    "policy": "a policy's name, with options as in kv-watermark:watermark=0.1",
    "mode": "enforce, shadow",
    "budget_ms": "a number above 0, milliseconds",
    "patience": "a whole number from 1",
    "metrics": "true, false",
}
_PREFIX: Final = "KVSTEADY_"


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a plug-in acts.

    Attributes
    ----------
    policy
        As `policy_of` reads it.
    mode
        ``enforce``: the policy limits admissions. ``shadow``: it is asked and recorded, and the
        engine goes its own way.
    budget_ms
        Milliseconds that a decision may take. A policy that needs more several times in a row is
        not asked again.
    patience
        Iterations without any admission, while the queue's head would fit, after which it may
        enter whatever the policy says, until the engine admits it: no request waits for ever.
    metrics
        Whether Prometheus metrics are kept, where prometheus-client is installed.
    """

    policy: str = "steady"
    mode: Literal["enforce", "shadow"] = "enforce"
    budget_ms: float = 5.0
    patience: int = 1000
    metrics: bool = True

    def make_policy(self) -> Policy:
        """The policy.

        Raises
        ------
        InputError
            No policy of that name, or one that no engine can serve: an oracle, or one with an
            order of evictions of its own.
        """
        policy = policy_of(self.policy)
        if policy.oracle:
            raise InputError(
                f"{self.policy} must know output lengths beforehand, which no engine does",
                field="policy",
                allowed="a policy that is no oracle",
            )
        if victim_of(policy) is not None:
            raise InputError(
                f"{self.policy} says whom to evict, and a real engine keeps its own order",
                field="policy",
                allowed="a policy without victim=",
            )
        return policy


def read_settings(given: Mapping[str, Any] | None, *, file: str | None = None) -> Settings:
    """Settings from a mapping; ``file`` names it in errors.

    Raises
    ------
    InputError
        No mapping, a name that there is not, or a value out of its range.
    """
    if not isinstance(given, Mapping | None):
        raise InputError(
            f"{shown(given)} is no mapping of settings", file=file, allowed=", ".join(_RANGES)
        )
    given = dict(given or {})
    for name in given:
        if name not in _RANGES:
            raise InputError(
                "no such setting", file=file, field=str(name), allowed=", ".join(_RANGES)
            )
    found = Settings()
    for name, value in given.items():
        try:
            one = msgspec.convert({name: value}, Settings)
        except msgspec.ValidationError:
            raise _refused(name, value, file) from None
        found = msgspec.structs.replace(found, **{name: getattr(one, name)})
    for name, good in (
        ("budget_ms", 0 < found.budget_ms < float("inf")),
        ("patience", found.patience >= 1),
    ):
        if not good:
            raise _refused(name, getattr(found, name), file)
    try:
        found.make_policy()
    except InputError as error:
        raise error.but(file=file) from None
    return found


def settings_of_environment(environ: Mapping[str, str]) -> Settings:
    """Settings from variables ``KVSTEADY_POLICY``, ``KVSTEADY_MODE``, ``KVSTEADY_BUDGET_MS``,
    ``KVSTEADY_PATIENCE``, ``KVSTEADY_METRICS`` (1 or 0).

    Raises
    ------
    InputError
        A value out of its range. Other variables of the prefix are left alone.
    """
    found = Settings()
    for name in _RANGES:
        text = environ.get(_PREFIX + name.upper())
        if text is None:
            continue
        try:
            one = msgspec.convert({name: text.strip()}, Settings, strict=False)
        except msgspec.ValidationError:
            raise _refused(_PREFIX + name.upper(), text, "the environment", name) from None
        found = msgspec.structs.replace(found, **{name: getattr(one, name)})
    return read_settings(msgspec.structs.asdict(found), file="the environment")


def _refused(field: str, value: Any, file: str | None, name: str | None = None) -> InputError:
    return InputError(shown(value), file=file, field=field, allowed=_RANGES[name or field])
