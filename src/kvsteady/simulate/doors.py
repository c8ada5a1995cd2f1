"""What engines and memories have code of their own for: see `kvsteady.kernels.Door`."""

from __future__ import annotations

from typing import Any

from kvsteady.kernels import Door


def schedule(engine: Any, memory: Any, s: Any) -> None:
    """Decide one iteration: preempt, admit, cut prefill into chunks. See `engine.Engine`."""
    raise NotImplementedError


def left(engine: Any, s: Any, slot: int) -> None:
    """Hear that a request completed, before its memory is released."""
    raise NotImplementedError


def spare(engine: Any) -> int:
    """Blocks that nobody holds and that are not free, but are given up for whoever needs them."""
    raise NotImplementedError


def hits(memory: Any, s: Any, slot: int) -> int:
    """KV tokens of a waiting request that are in memory already."""
    raise NotImplementedError


def shared(memory: Any, s: Any, slot: int) -> int:
    """KV tokens of a request in memory that lie in blocks which others hold too."""
    raise NotImplementedError


def found(memory: Any, s: Any, slot: int) -> tuple[int, int]:
    """KV tokens of a waiting request in the cache, as `hits`; of these, in blocks that are held.

    Looking must not change what is decided.
    """
    raise NotImplementedError


def fits(memory: Any, s: Any, slot: int, tokens: int, spare: int) -> bool:
    """Whether a request can hold ``tokens`` KV tokens and leave ``spare`` blocks free."""
    raise NotImplementedError


def hold(memory: Any, s: Any, slot: int, tokens: int) -> None:
    """Take what blocks a request lacks to hold ``tokens`` KV tokens; `fits` said they are free."""
    raise NotImplementedError


def hold_tick(memory: Any, s: Any) -> None:
    """Take the blocks that those who decode need for the coming tick."""
    raise NotImplementedError


def release(memory: Any, s: Any, slot: int) -> None:
    """Give back all blocks of a request that completed or is evicted."""
    raise NotImplementedError


def settle(memory: Any, s: Any) -> None:
    """Hear that all who completed in this iteration were released; most memories need not."""
    raise NotImplementedError


def eager(memory: Any) -> bool:
    """Whether it matters in which order blocks are taken.

    Where it does and memory is short, `hold` is called for each who decodes, in the engine's order;
    `hold_tick` takes nothing twice.
    """
    raise NotImplementedError


def ordered(memory: Any) -> bool:
    """Whether it matters in which order those who run say what they will hold."""
    raise NotImplementedError


def _none(memory: Any, s: Any, slot: int) -> int:
    return 0


def _found_none(memory: Any, s: Any, slot: int) -> tuple[int, int]:
    return 0, 0


def _no_matter(memory: Any, s: Any) -> None:
    return


def _no(memory: Any) -> bool:
    return False


def _nothing(engine: Any) -> int:
    return 0


schedule_of = Door(schedule).of
left_of = Door(left).of
spare_of = Door(spare, _nothing).of
hits_of = Door(hits).of
shared_of = Door(shared, _none).of
found_of = Door(found, _found_none).of
fits_of = Door(fits).of
hold_of = Door(hold).of
hold_tick_of = Door(hold_tick).of
release_of = Door(release).of
settle_of = Door(settle, _no_matter).of
eager_of = Door(eager, _no).of
ordered_of = Door(ordered, _no).of
