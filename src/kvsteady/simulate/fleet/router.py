"""What a router is: it says which replica a request goes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from kvsteady.arrays import IntArray


class Request(NamedTuple):
    """What a router may know of a request: all but how long its output will be.

    Attributes
    ----------
    number
        How many were routed before it.
    time
        Of its arrival, in seconds.
    prompt
        Its tokens.
    kind, priority, session
        Class of the workload; lower goes first; -1 for no session.
    all_keys, first_key, keys_known
        See `keys`.
    """

    number: int
    time: float
    prompt: int
    kind: int
    priority: int
    session: int
    all_keys: IntArray
    first_key: int
    keys_known: int

    @property
    def keys(self) -> Any:
        """Block keys of the prompt's whole keys: equal keys are equal content so far."""
        return self.all_keys[self.first_key : self.first_key + self.keys_known]


class View(Protocol):
    """What a router may know of a replica when a request arrives.

    It is the state at the end of the iteration that is under way then, and what was sent since
    counts as waiting.
    """

    @property
    def kv_tokens(self) -> int:
        """KV tokens it has."""

    @property
    def free_tokens(self) -> int:
        """KV tokens in free blocks."""

    @property
    def running(self) -> int:
        """Requests in memory."""

    @property
    def waiting(self) -> int:
        """Requests in its queue."""

    @property
    def waiting_tokens(self) -> int:
        """Prompt tokens of those that wait."""


Choose = Callable[[Request, Sequence[View]], int]
"""Takes a request and the replicas, returns the number of one of them."""


class Router(Protocol):
    """Which replica a request goes to.

    To write one, make a frozen dataclass of its options with the one method `start`. It returns the
    function that decides, which is called once per request in the order of arrival. Whatever the
    router remembers belongs to that function (make it a method of a new object), so that every run
    starts afresh; draw at random with ``draws.uniform(seed, request.number)``.

    Looking at a `View` has that replica simulated up to the arrival; a router that looks at none
    leaves the replicas to run on their own, faster, and can be used with saturated loads.
    """

    def start(self) -> Choose:
        """Begin a run."""
        ...
