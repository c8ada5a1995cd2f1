"""Which tokens of a request stand in radix-tree nodes that others hold too.

SGLang locks the nodes from a request's last one up to the root, and counts the tokens of locked
nodes once. So what an admission locked beside what others had locked already is one difference of
two numbers, however many requests there are; it is exact in total. Whose a node is, is known only
from all paths at once: they are compared now and then, and correct what one admission cannot know
(whoever came first shares with those who came after it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

# Paths are compared when so many iterations have passed since, or an eighth of those in memory.
_AT_LEAST, _PER_ITERATION = 16, 8


class Sharing:
    """Tokens that several requests hold, as SGLang's tree has them.

    Parameters
    ----------
    tree
        SGLang's prefix cache.
    """

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self._locked = 0
        self._age = 0

    def before(self) -> None:
        """Take down what is locked, now that nobody of this iteration has entered."""
        self._locked = int(self._tree.protected_size())
        self._age += 1

    def of_newcomers(self, found: Sequence[int]) -> list[int]:
        """Tokens of those who have just entered that somebody else holds.

        ``found`` are tokens that the cache had of each. What was locked for them beside is split by
        them, which is exact for one, and where all found the same.
        """
        here = sum(found)
        fresh = int(self._tree.protected_size()) - self._locked
        held = min(max(here - fresh, 0), here)
        return [tokens * held // here for tokens in found] if held else [0] * len(found)

    def is_due(self, many: int) -> bool:
        """Whether the paths of so many are to be compared again."""
        return self._age >= max(_AT_LEAST, many // _PER_ITERATION)

    def compared(self, requests: Sequence[Any]) -> Any:
        """Tokens of each that others hold, by all their paths; None: they cannot be had now."""
        self._age = 0
        core = getattr(self._tree, "tree_core", None)
        if core is None:
            return None
        # One that has found nothing, and is not computed yet, stands nowhere.
        placed = [at for at, req in enumerate(requests) if req.last_node is not None]
        try:
            paths = core.collect_path_info([requests[at].last_node for at in placed])
        except KeyError:  # one has just ended, and its node was given up
            return None
        return shared_of(paths, placed, len(requests))


def shared_of(paths: Sequence[Any], placed: Sequence[int], many: int) -> Any:
    """Tokens in nodes that stand in two or more of the paths, of each of ``many``; int64.

    A path is its nodes from the root on, with ``node_id`` and token offsets ``path_start``,
    ``path_end``. ``placed`` says whose paths they are.
    """
    holders = Counter(node.node_id for path in paths for node in path)
    shared = np.zeros(many, dtype=np.int64)
    for at, path in zip(placed, paths, strict=True):
        for node in path:  # from the root on: whose a node is, its ancestors are too
            if holders[node.node_id] < 2:
                break
            shared[at] = node.path_end
    return shared
