"""SGLang's radix cache, version 0.5.23, in plain Python: nodes of whole pages, one at a time.

Written after `UnifiedRadixCache` and `UnifiedTreeCore` of `sglang/srt/mem_cache` for one pool of
full-attention KV: no host tier, least recently used first. Pages have no identity here: a page is
free, a request's own, or one of a node.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from reference.engines.sglang import CountedPages, Request

REFRESH_EVERY, REFRESHED = 32, 128  # WAITING_PREFIX_REFRESH_INTERVAL, ..._PREFIX_MATCH_MAX

Page = tuple[int, ...]


@dataclass(eq=False)
class Node:
    pages: list[Page]
    parent: Node | None
    time: float
    locks: int = 0
    children: dict[Page, Node] = field(default_factory=dict)


class RadixPages(CountedPages):
    """Memory whose pages are shared by content; `pages` counts the free ones."""

    def __init__(self, tokens: int, page: int) -> None:
        super().__init__(tokens, page)
        self.clock = count()
        self.root = Node([], None, 0)
        self.idle = 0  # pages of nodes that nobody has locked
        self.passes = 0
        self.at: dict[Request, Node] = {}  # the node a request has locked, or found
        self.protected: dict[Request, int] = {}  # of its pages, those that are the tree's

    @property
    def evictable(self) -> int:  # type: ignore[override]
        return self.idle * self.page

    def key(self, request: Request, tokens: int) -> list[Page]:
        ids, page = request.token_ids, self.page
        return [ids[i * page : (i + 1) * page] for i in range(tokens // page)]

    # A request comes.

    def match(self, request: Request) -> int:
        """Tokens of the longest cached prefix; the last token is always computed."""
        self.at[request], pages = self.find(self.key(request, request.fill - 1))
        self.protected[request] = pages
        return pages * self.page

    def find(self, key: list[Page]) -> tuple[Node, int]:
        node, found = self.root, 0
        if not key:
            return node, 0
        while found < len(key) and key[found] in node.children:
            child = node.children[key[found]]
            same = agreed(child.pages, key[found:])
            found += same
            if same < len(child.pages):
                node = self.split(child, same)
                break
            node = child
        time = float(next(self.clock))
        above: Node | None = node
        while above is not None:
            above.time = time
            time -= 1e-5
            above = above.parent
        return node, found

    def lock(self, request: Request) -> None:
        self.pin(self.at[request])

    def unlock(self, request: Request) -> None:
        self.unpin(self.at[request])

    def refresh(self, waiting: list[Request]) -> None:
        """Every so often what the queue's head waits for counts as used."""
        if waiting:
            if self.passes % REFRESH_EVERY == 0:
                for request in reversed(waiting[:REFRESHED]):
                    self.find(self.key(request, request.fill))
            self.passes += 1

    def grow(self, requests: list[Request], *, decode: bool = False) -> None:
        if decode:
            room = len(requests)
        else:
            tokens = sum(r.end - r.prefix for r in requests)
            room = tokens if self.page == 1 else -(-tokens // self.page) + len(requests)
        self.evict(room)
        super().grow(requests)

    # It has computed something.

    def checkpoint(self, request: Request) -> None:
        key = self.key(request, request.end)
        node, matched = self.insert(key)
        self.pages += max(matched - self.protected[request], 0)  # computed twice
        prompt = request.prompt // self.page
        if 0 < prompt < len(key):
            self.insert(key[:prompt])
        self.unpin(self.at[request])
        self.pin(node)
        self.at[request], self.protected[request] = node, len(key)

    def release(self, request: Request, keep: bool) -> None:
        if keep:
            self.checkpoint(request)
        self.pages += -(-request.end // self.page) - self.protected.pop(request)
        self.unpin(self.at.pop(request))

    def insert(self, key: list[Page]) -> tuple[Node, int]:
        """The node where a key ends, and how much of it was there before."""
        node, done = self.root, 0
        while done < len(key) and key[done] in node.children:
            node = node.children[key[done]]
            node.time = next(self.clock)
            same = agreed(node.pages, key[done:])
            done += same
            if same < len(node.pages):
                node = self.split(node, same)
        if done < len(key):
            leaf = Node(key[done:], node, next(self.clock))
            node.children[key[done]] = leaf
            self.idle += len(leaf.pages)
            node = leaf
        return node, done

    def split(self, node: Node, pages: int) -> Node:
        """Cut a node in two; the new one is the beginning."""
        assert node.parent is not None
        first = Node(node.pages[:pages], node.parent, next(self.clock), node.locks)
        node.parent.children[node.pages[0]] = first
        first.children[node.pages[pages]] = node
        node.pages, node.parent, node.time = node.pages[pages:], first, next(self.clock)
        return first

    def pin(self, node: Node | None) -> None:
        while node is not None and node is not self.root:
            self.idle -= 0 if node.locks else len(node.pages)
            node.locks += 1
            node = node.parent

    def unpin(self, node: Node | None) -> None:
        while node is not None and node is not self.root:
            node.locks -= 1
            self.idle += 0 if node.locks else len(node.pages)
            node = node.parent

    # Memory is short.

    def suffices(self, tokens: int) -> bool:
        self.make_room(tokens)
        return super().suffices(tokens)

    def make_room(self, tokens: int) -> None:
        self.evict(-(-tokens // self.page))

    def evict(self, pages: int) -> None:
        """Throw out whole leaves, least recently used first, until so many pages are free."""
        while self.pages < pages:
            leaves = [n for n in self.nodes() if not n.locks and not n.children]
            if not leaves:
                return
            leaf = min(leaves, key=lambda node: node.time)
            assert leaf.parent is not None
            del leaf.parent.children[leaf.pages[0]]
            self.idle -= len(leaf.pages)
            self.pages += len(leaf.pages)

    def nodes(self) -> list[Node]:
        found, rest = [], [self.root]
        while rest:
            node = rest.pop()
            found.append(node)
            rest += node.children.values()
        return found[1:]


def agreed(pages: list[Page], key: list[Page]) -> int:
    same = 0
    for mine, other in zip(pages, key, strict=False):
        if mine != other:
            break
        same += 1
    return same
