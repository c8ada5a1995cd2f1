"""A radix tree at work: match, insert, split, lock.

After SGLang 0.5.23, ``sglang/srt/mem_cache/unified_cache/unified_tree_core.py``
(`_match_prefix_helper`, `begin_insert`, `_split_node`) and ``components/full.py``
(`acquire_component_lock`). When a node was used decides who is evicted, so each clock tick of
theirs has its like here.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.simulate.kernel import kernel
from kvsteady.simulate.radix.content import agreed, child_of, enter, page_key, strike
from kvsteady.simulate.radix.leaves import offer
from kvsteady.simulate.radix.tree import ROOT

# Between two ticks of the clock stand the nodes above one that was matched, by their distance.
_BITS = 20


@kernel
def touch(tree, node):
    """Note that a node is used now."""
    tree.book.now += 1
    tree.nodes[node].used = tree.book.now << _BITS


@kernel
def match(tree, s, slot, upto):
    """Find the nodes that a request's first ``upto`` pages begin with; all are used now.

    Returns the last one, cut where the request departs from it, and sets `book.found`, in pages.
    """
    nodes, book = tree.nodes, tree.book
    node, book.found = ROOT, 0
    while book.found < upto:
        key = page_key(s, book.span, s.requests[slot], book.found)
        child = child_of(tree, node, key)
        if child == ROOT:
            break
        same = agreed(tree, s, child, slot, upto)
        book.found += same
        if same < nodes[child].pages:
            node = _split(tree, s, child, same)
            break
        node = child
    book.now += 1
    used, above = book.now << _BITS, node
    while above != ROOT:
        nodes[above].used = used
        used -= 1
        above = nodes[above].parent
    return node


@kernel
def peek(tree, s, slot, upto):
    """Find as `match` does and leave all as it is: pages found, and of these the locked ones."""
    nodes, span = tree.nodes, tree.book.span
    node, found, locked = ROOT, 0, 0
    while found < upto:
        child = child_of(tree, node, page_key(s, span, s.requests[slot], found))
        if child == ROOT:
            break
        same = agreed(tree, s, child, slot, upto)
        found += same
        locked += same if nodes[child].locks > 0 else 0
        if same < nodes[child].pages:
            break
        node = child
    return found, locked


@kernel
def insert(tree, s, slot, upto):
    """Put a request's first ``upto`` pages in the tree; returns the node that they end with.

    Sets `book.stood`: how many were there before. Nobody has locked the new ones yet.
    """
    nodes, book = tree.nodes, tree.book
    node, done = ROOT, 0
    while done < upto:
        key = page_key(s, book.span, s.requests[slot], done)
        child = child_of(tree, node, key)
        if child == ROOT:
            node = _add(tree, s, node, slot, done, upto - done, key)
            break
        touch(tree, child)
        same = agreed(tree, s, child, slot, upto)
        done += same
        node = child
        if same < nodes[child].pages:
            node = _split(tree, s, child, same)
    book.stood = done
    return node


@kernel
def _new(tree):
    book = tree.book
    node = book.free_node
    if node != ROOT:
        book.free_node = tree.nodes[node].twin
    else:
        node = book.nodes
        book.nodes += 1
    touch(tree, node)
    return node


@kernel
def _add(tree, s, parent, slot, first, pages, key):
    """A leaf with a request's pages from number ``first`` on."""
    node = _new(tree)
    n, r = tree.nodes[node], s.requests[slot]
    n.parent, n.first, n.pages, n.key = parent, first, pages, key
    n.keys, n.key_count, n.sequence = r.keys, r.key_count, r.sequence
    n.locks = n.children = n.queued = 0
    enter(tree, node)
    tree.nodes[parent].children += 1
    tree.book.idle += pages
    return node


@kernel
def _split(tree, s, node, pages):
    """Cut a node behind so many pages; returns the first part, which is the new node."""
    first = _new(tree)
    n, f = tree.nodes[node], tree.nodes[first]
    strike(tree, node)
    f.parent, f.first, f.pages, f.key = n.parent, n.first, pages, n.key
    f.keys, f.key_count, f.sequence = n.keys, n.key_count, n.sequence
    f.locks, f.children, f.queued = n.locks, 1, 0
    n.parent = first
    n.first += pages
    n.pages -= pages
    n.key = page_key(s, tree.book.span, n, n.first)
    enter(tree, first)
    enter(tree, node)
    touch(tree, node)
    return first


@kernel
def idle_above(tree, node):
    """Pages of a node and those above it that nobody has locked."""
    pages = 0
    while node != ROOT and tree.nodes[node].locks == 0:
        pages += tree.nodes[node].pages
        node = tree.nodes[node].parent
    return pages


@kernel
def locked_above(tree, node):
    """Pages of a node and those above it that more than one request has locked."""
    pages = 0
    while node != ROOT:
        pages += tree.nodes[node].pages if tree.nodes[node].locks > 1 else 0
        node = tree.nodes[node].parent
    return pages


@kernel
def lock(tree, s, node):
    """Keep a node and those above it from eviction."""
    while node != ROOT:
        n = tree.nodes[node]
        if n.locks == 0:
            tree.book.idle -= n.pages
            s.clock.free -= n.pages
        n.locks += 1
        node = n.parent


@kernel
def unlock(tree, s, node):
    """Let go of them."""
    while node != ROOT:
        n = tree.nodes[node]
        n.locks -= 1
        if n.locks == 0:
            tree.book.idle += n.pages
            s.clock.free += n.pages
            offer(tree, node)
        node = n.parent
