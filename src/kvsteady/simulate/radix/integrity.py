"""Whether a radix tree's books balance."""

from __future__ import annotations

from typing import Any

import numpy as np

from kvsteady.simulate.integrity import IntegrityError, checks, held_tokens
from kvsteady.simulate.radix.tree import ROOT, Radix
from kvsteady.simulate.records import DECODING, HELD, PREFILLING
from kvsteady.simulate.state import State


@checks(Radix)
def check_radix(tree: Radix, state: State) -> None:
    """Check pages, locks, links and the heap of a tree against the requests that hold them.

    For a run between two iterations.

    Raises
    ------
    IntegrityError
        With the law that is broken and both numbers.
    """
    book, nodes, requests = tree.book, tree.nodes, state.requests
    used = [at for first in tree.buckets.tolist() for at in _chain(tree, first)]
    _equal("nodes found once", len(used), len(set(used)))
    _equal("nodes", int(book["nodes"]) - 1, len(used) + _free_nodes(tree))
    running = np.isin(requests["state"], (PREFILLING, DECODING, HELD))
    locks, children = np.zeros(nodes.size, dtype=int), np.zeros(nodes.size, dtype=int)
    for at in used:
        parent = int(nodes["parent"][at])
        children[parent] += 1
        above = 0 if parent == ROOT else int(nodes["first"][parent] + nodes["pages"][parent])
        _equal(f"first page of node {at}", int(nodes["first"][at]), above)
    tokens = held_tokens(state)
    own = 0
    for slot in np.flatnonzero(running).tolist():
        seat, depth = tree.seats[slot], 0
        at = int(seat["node"])
        while at != ROOT:
            locks[at] += 1
            depth += int(nodes["pages"][at])
            at = int(nodes["parent"][at])
        _equal(f"shared pages of slot {slot}", int(seat["shared"]), depth)
        held = -(-int(tokens[slot]) // int(state.clock["block"]))
        if requests["state"][slot] == PREFILLING:
            held = int(requests["blocks"][slot])
        own += held - depth
    _equal("locks", nodes["locks"][used].tolist(), locks[used].tolist())
    _equal("children", nodes["children"][used].tolist(), children[used].tolist())
    pages = nodes["pages"][used]
    if used and pages.min() < 1:
        raise IntegrityError("a node without pages")
    _equal("idle pages", int(book["idle"]), int(pages[locks[used] == 0].sum()))
    _equal("free pages", int(state.clock["free"]), int(book["bare"] + book["idle"]))
    _equal("pages", int(state.clock["total"]), int(book["bare"] + pages.sum()) + own)
    leaves = {at for at in used if locks[at] == 0 and children[at] == 0}
    heap = tree.heap[: book["leaves"]]
    _equal("leaves that cannot be evicted", set(), leaves - set(heap["node"].tolist()))
    _equal("nodes in the heap", sorted(heap["node"].tolist()), _queued(tree, used))
    over = heap["used"][(np.arange(1, heap.size) - 1) // 2]
    if (heap["used"][1:] < over).any():
        raise IntegrityError("the heap of leaves is out of order")


def _queued(tree: Radix, used: list[int]) -> list[int]:
    return sorted(at for at in used if tree.nodes["queued"][at])


def _free_nodes(tree: Radix) -> int:
    count, at = 0, int(tree.book["free_node"])
    while at != ROOT:
        count += 1
        if count > tree.nodes.size:
            raise IntegrityError("the list of free nodes is a ring")
        at = int(tree.nodes["twin"][at])
    return count


def _chain(tree: Radix, at: int) -> list[int]:
    chain: list[int] = []
    while at != ROOT:
        chain.append(at)
        if len(chain) > tree.nodes.size:
            raise IntegrityError("a bucket of the tree is a ring")
        at = int(tree.nodes["twin"][at])
    return chain


def _equal(what: str, counted: Any, found: Any) -> None:
    if counted != found:
        raise IntegrityError(f"{what}: {counted} by the books, {found} found")
