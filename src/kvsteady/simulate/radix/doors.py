"""What SGLang's schedule asks of memory beside `simulate.doors`; a mere count ignores it."""
# mypy: disallow-untyped-defs=false

from __future__ import annotations

from typing import Any

from kvsteady.kernels import Door


def idle_hits(memory: Any, s: Any, slot: int) -> int:
    """Of the tokens that `hits` has just found, those nobody holds: held, they are free no more."""
    raise NotImplementedError


def hold_chunks(memory: Any, s: Any) -> None:
    """Take what was held for this iteration's chunks, all at once."""
    raise NotImplementedError


def make_room(memory: Any, s: Any, blocks: int) -> None:
    """Evict from the cache until so many blocks are free, or nothing can be evicted."""
    raise NotImplementedError


def keep(memory: Any, s: Any, slot: int) -> None:
    """Put in the cache what a request has computed."""
    raise NotImplementedError


def refresh(memory: Any, s: Any) -> None:
    """Hear that a pass over the waiting requests begins."""
    raise NotImplementedError


def reorder(memory: Any, s: Any, first: int) -> None:
    """Hear that the first so many running requests were put in this order; 0: all were."""
    raise NotImplementedError


def _none(memory: Any, s: Any, slot: int) -> int:
    return 0


def _no_matter(memory: Any, s: Any) -> None:
    return


def _no_matter_which(memory: Any, s: Any, number: int) -> None:
    return


idle_hits_of = Door(idle_hits, _none).of
hold_chunks_of = Door(hold_chunks, _no_matter).of
make_room_of = Door(make_room, _no_matter_which).of
keep_of = Door(keep, _no_matter_which).of
refresh_of = Door(refresh, _no_matter).of
reorder_of = Door(reorder, _no_matter_which).of
