"""Whole leaves that nobody has locked are evicted, those not used for longest first.

They stand in a heap by when they were used *when they entered it*. A node is used only ever later,
so it is enough to look at that again when it comes to the top.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.radix.content import strike
from kvsteady.simulate.radix.tree import ROOT


@kernel
def offer(tree, node):
    """Put a node in the heap, if it can be evicted and is not there."""
    n = tree.nodes[node]
    if n.locks > 0 or n.children > 0 or n.queued == 1 or node == ROOT:
        return
    n.queued = 1
    heap, at = tree.heap, tree.book.leaves
    tree.book.leaves += 1
    while at > 0 and heap[(at - 1) // 2].used > n.used:
        above = (at - 1) // 2
        heap[at].used, heap[at].node = heap[above].used, heap[above].node
        at = above
    heap[at].used, heap[at].node = n.used, node


@kernel
def _settle_top(tree, used, node):
    """Put a leaf where it belongs in the heap, whose top is vacant."""
    heap, count, at = tree.heap, tree.book.leaves, 0
    while True:
        below = 2 * at + 1
        if below + 1 < count and heap[below + 1].used < heap[below].used:
            below += 1
        if below >= count or heap[below].used >= used:
            break
        heap[at].used, heap[at].node = heap[below].used, heap[below].node
        at = below
    heap[at].used, heap[at].node = used, node


@kernel
def _drop_top(tree):
    tree.nodes[tree.heap[0].node].queued = 0
    tree.book.leaves -= 1
    last = tree.heap[tree.book.leaves]
    if tree.book.leaves > 0:
        _settle_top(tree, last.used, last.node)


@kernel
def evict_until(tree, pages):
    """Evict leaves until so many pages are bare, or none is left."""
    nodes, heap, book = tree.nodes, tree.heap, tree.book
    while book.bare < pages and book.leaves > 0:
        node = heap[0].node
        n = nodes[node]
        if n.locks > 0 or n.children > 0:
            _drop_top(tree)
        elif n.used > heap[0].used:
            _settle_top(tree, n.used, node)
        else:
            _drop_top(tree)
            _remove(tree, node)


@kernel
def _remove(tree, node):
    book, n = tree.book, tree.nodes[node]
    strike(tree, node)
    book.bare += n.pages
    book.idle -= n.pages
    book.all_evicted += n.pages
    tree.nodes[n.parent].children -= 1
    offer(tree, n.parent)
    n.pages = 0
    n.twin = book.free_node
    book.free_node = node
