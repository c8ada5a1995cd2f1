"""What an engine is to the simulator, and how to write one."""

from __future__ import annotations

from typing import Any, Protocol


class Engine(Protocol):
    """A serving engine's scheduler: who is preempted, who is admitted, how prefill is cut.

    To write one, make a file in ``simulate/engines`` with

    1. a frozen dataclass with the engine's own option names and defaults, which has what is named
       here;
    2. a `NamedTuple` class of its *habits*: the numbers (and arrays, for what it remembers from
       one iteration to the next) that its kernel needs;
    3. a function ``(engine, memory, s)`` decorated with ``@schedule_of(TheHabits)``, which decides
       one iteration. It moves requests with the verbs of `moves` (``admit``, ``prefill``,
       ``evict``, …), asks memory with those of `doors` (``fits``, ``hold``, ``release``), and sets
       ``s.clock.ticking = 1`` after ``hold_tick(memory, s)`` if those who decode gain a token in
       this iteration. Its cost should follow what happens, not how many run;
    4. a function ``(engine, s, slot)`` decorated with ``@left_of(TheHabits)``: a request is about
       to leave because it completed. Often it does nothing.

    Where it asks `victims.victim` whom to evict, a class attribute ``takes_victims = True`` says
    that policies may carry an order of victims.

    The law suite in ``tests/simulate/test_laws.py`` runs over every engine in `ENGINES`.
    """

    @property
    def name(self) -> str:
        """The engine and the version whose decisions are reproduced: ``vllm-0.32.0``."""
        ...

    @property
    def block_size(self) -> int:
        """Tokens per KV block (page)."""
        ...

    @property
    def unwritten(self) -> int:
        """1 where the KV of a request's last token is never stored, as in real engines; else 0."""
        ...

    def habits(self) -> Any:
        """The kernel's numbers and what it remembers between iterations; made once per run."""
        ...

    def memory(self, blocks: int, slots: int) -> Any:
        """How blocks are kept: `Counted`, or a pool with a prefix cache.

        With arrays per request, the class has a method ``grown(slots)`` that returns it with more
        room; habits may have one too. A memory that keeps track of content has ``fitted(key_tokens,
        largest_request, block_size)``, which returns it for the load of a run.
        """
        ...
