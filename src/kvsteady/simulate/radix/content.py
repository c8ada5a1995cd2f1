"""What stands in pages: keys, and how far a request agrees with a node."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import numpy as np

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.radix.tree import ROOT

# Keys that no list gives: of a request's own pages, by its order of arrival.
_OWN = 1 << 61
_OWN_BITS = 20


@kernel
def page_key(s, span, row, page):
    """Key of page number ``page`` of a row's content, be it a request or a node."""
    if page < row.key_count * span:
        return s.keys[row.keys + page // span] * span + page % span
    return _OWN + (row.sequence << _OWN_BITS) + page


@kernel
def bucket(parent, key, buckets):
    """Number of a bucket, out of a power of two."""
    mixed = (np.uint64(key) + np.uint64(parent) * np.uint64(0xD1B54A32D192ED03)) * np.uint64(
        0x9E3779B97F4A7C15
    )
    return np.int64((mixed >> np.uint64(32)) & np.uint64(buckets - 1))


@kernel
def child_of(tree, parent, key):
    """Child of a node that begins with a key, or ROOT."""
    nodes = tree.nodes
    at = tree.buckets[bucket(parent, key, tree.buckets.size)]
    while at != ROOT and (nodes[at].parent != parent or nodes[at].key != key):
        at = nodes[at].twin
    return at


@kernel
def enter(tree, node):
    """Let a node be found by its parent and key."""
    n = tree.nodes[node]
    place = bucket(n.parent, n.key, tree.buckets.size)
    n.twin = tree.buckets[place]
    tree.buckets[place] = node


@kernel
def strike(tree, node):
    """Let it be found no more."""
    n = tree.nodes[node]
    place = bucket(n.parent, n.key, tree.buckets.size)
    if tree.buckets[place] == node:
        tree.buckets[place] = n.twin
        return
    at = tree.buckets[place]
    while tree.nodes[at].twin != node:
        at = tree.nodes[at].twin
    tree.nodes[at].twin = n.twin


@kernel
def agreed(tree, s, node, slot, upto):
    """Pages of a node, from its first on, that a request's first ``upto`` pages begin with."""
    n, r, span = tree.nodes[node], s.requests[slot], tree.book.span
    end = min(n.first + n.pages, upto)
    at = np.int64(n.first)
    listed = min(n.key_count, r.key_count) * span  # by both
    if at < listed:
        stop = min(end, listed)
        if n.keys != r.keys:
            number, last = at // span, (stop - 1) // span
            while number <= last and s.keys[n.keys + number] == s.keys[r.keys + number]:
                number += 1
            stop = min(stop, max(number * span, at))
        if stop < min(end, listed):
            return stop - n.first
        at = stop
    return (end if n.sequence == r.sequence else at) - n.first
