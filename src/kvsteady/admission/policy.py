"""What an admission policy is, and how to write one."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-calls=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from kvsteady.admission.view import View
from kvsteady.kernels import Door, kernel

if TYPE_CHECKING:
    from kvsteady.workload import Workload


@dataclass(frozen=True)
class Setup:
    """What a policy is told before a run.

    Attributes
    ----------
    kv_tokens, block_size
        KV capacity, and tokens per block.
    unwritten
        1 where the KV of a request's last token is never stored, as in real engines; else 0.
    workload
        The law of lengths, for policies whose constants follow from it; None where nobody knows
        it, as in a real engine.
    """

    kv_tokens: int
    block_size: int = 1
    unwritten: int = 1
    workload: Workload | None = None


class Policy(Protocol):
    """Who gets in: asked once per iteration, before the engine schedules it.

    To write one, make a file in ``kvsteady/policies`` with

    1. a frozen dataclass of its options, which has what is named here;
    2. a `NamedTuple` class of what it remembers in one run: numbers, and arrays for what changes;
    3. a function ``(state, view) -> int`` decorated with ``@decide_of(ThatClass)``, compiled by
       numba: how many of the waiting may be admitted in this iteration, from the queue's head. The
       engine admits fewer where they do not fit. It sees what a live engine can see (`View`), and
       must never answer 0 for good while memory is free and work waits.

    It may also say whom to evict when memory is short: by carrying ``victim``, one of the orders of
    `Victim` (`kvsteady.policies.WithVictims` gives any policy one). Without it the engine decides
    as it does on its own. An order is followed by the simulated vLLM, SGLang and paper engines;
    others, and the exact model for all but its own, refuse it.

    The same object then runs in the exact model, in every simulated engine and in real ones.
    Export it from ``kvsteady/policies/__init__.py`` and add it to ``POLICIES`` in
    ``tests/policies/test_policy_engines.py``: one law suite runs over all, on engines. ``ASKED`` in
    ``test_policy_laws.py`` there has those that keep the laws of the exact model.
    """

    @property
    def sees_running(self) -> bool:
        """Whether `View.running` is to be filled, which costs a little per running request."""
        ...

    @property
    def oracle(self) -> bool:
        """Whether it is shown true output lengths, which no engine knows: a bound, not a policy."""
        ...

    def start(self, setup: Setup) -> Any:
        """What it remembers, at the beginning of a run.

        Raises
        ------
        InputError
            Where its constants follow from a law of lengths and there is none.
        """
        ...


def decide(state: Any, view: View) -> int:
    """How many of the waiting to admit now; see `Policy`."""
    raise NotImplementedError


decide_of = Door(decide).of


@kernel
def ask(state, view):  # type: ignore[no-untyped-def]  # compiled for each class of state
    """Return `decide` for callers in Python: the exact model and real engines."""
    return decide(state, view)
