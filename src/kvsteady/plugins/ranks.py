"""Several processes that schedule alike.

Tensor-parallel ranks run a scheduler each, and an engine hangs where two of them choose different
batches. What can differ between processes (an exception, a clock, memory) must not part them. So
they agree on each limit over a group of the engine's on the CPU: rank 0 decides and tells the
others (`Ranks.told`), or each decides and the least holds (`Ranks.least`). Which iterations have a
limit follows from the engine's state, which ranks have in common.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final, NamedTuple

# Seconds until a rank that is not heard of counts as one without a policy; rank 0 compiles its
# policy meanwhile.
SETTING_OUT: Final = 120.0
COMPILING: Final = 600.0
_READY: Final = "ready"
_UNLIMITED: Final = 2**62


class Answer(NamedTuple):
    """So many requests may enter, or all (None); ``last``: and then the engine decides alone.

    ``flag`` is the adapter's own.
    """

    limit: int | None
    flag: bool = False
    last: bool = False


class Ranks:
    """The processes of a group.

    Parameters
    ----------
    group
        A ``torch.distributed`` process group on the CPU, with a store.
    """

    def __init__(self, group: Any) -> None:
        import torch
        from torch import distributed

        self._distributed, self._group = distributed, group
        self._rank, self._many = distributed.get_rank(group), distributed.get_world_size(group)
        self._first = distributed.get_global_rank(group, 0)
        self._numbers = torch.zeros(3, dtype=torch.int64)

    @property
    def leads(self) -> bool:
        """Whether this one decides."""
        return bool(self._rank == 0)

    def why_not(self, why: str | None, about: str) -> str | None:
        """Agree on whether to begin; returns the reason not to, on all ranks or on none.

        It goes over the group's store, not over the group: a process without kvsteady does not
        take part, and must not be left with a message of ours.

        Parameters
        ----------
        why
            Why this rank cannot, or None.
        about
            What has to be the same on all ranks.

        Raises
        ------
        RuntimeError
            The store is gone.
        """
        store = self._group.get_group_store()
        # One engine after the other may have the same store.
        here = f"kvsteady/{store.add(f'kvsteady/{self._rank}', 1)}"
        store.set(f"{here}/{self._rank}", why or about)
        awaited = [f"{here}/{rank}" for rank in range(1, self._many)]
        try:
            if self.leads:
                store.wait(awaited, timedelta(seconds=SETTING_OUT))
                texts = [store.get(name).decode() for name in awaited]
                odd = [text for text in texts if text != about]
                verdict = why or (f"on another rank it is: {odd[0]}" if odd else _READY)
            else:
                store.wait([f"{here}/verdict"], timedelta(seconds=COMPILING))
                verdict = ""
        except RuntimeError:  # some stores have a class of their own for it
            verdict = "it is not there, or not turned on, on every rank"
        # Who is first to claim it says how it is: nobody goes by a verdict that came too late.
        if verdict and store.add(f"{here}/claims", 1) == 1:
            store.set(f"{here}/verdict", verdict)
        agreed: str = store.get(f"{here}/verdict").decode()
        if agreed == _READY:
            return None
        return why or agreed

    def told(self, answer: Answer | None) -> Answer:
        """Rank 0's answer, on every rank; all have to call it in the same iterations.

        Raises
        ------
        RuntimeError
            A rank is gone.
        """
        numbers = self._numbers
        if answer is not None and self.leads:
            limit = _UNLIMITED if answer.limit is None else answer.limit
            numbers[0], numbers[1], numbers[2] = limit, answer.flag, answer.last
        self._distributed.broadcast(numbers, self._first, group=self._group)
        limit, flag, last = numbers.tolist()
        return Answer(None if limit == _UNLIMITED else limit, bool(flag), bool(last))

    def least(self, answer: Answer) -> Answer:
        """The least of all ranks' limits, and the last where one says so; called like `told`.

        Raises
        ------
        RuntimeError
            A rank is gone.
        """
        numbers = self._numbers
        numbers[0] = _UNLIMITED if answer.limit is None else answer.limit
        numbers[1], numbers[2] = not answer.flag, not answer.last
        self._distributed.all_reduce(numbers, self._distributed.ReduceOp.MIN, group=self._group)
        limit, flag, last = numbers.tolist()
        return Answer(None if limit == _UNLIMITED else limit, not flag, not last)
