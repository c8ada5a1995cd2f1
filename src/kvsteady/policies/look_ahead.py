"""Admission that knows every length: a bound for those that have to learn."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from kvsteady.admission import Setup, decide_of
from kvsteady.kernels import kernel
from kvsteady.policies.sharing import shared_by

_LONGEST = 1 << 16

_APART, _DECODING, _ADMITTED, _TICKS = range(4)
# Whether those who run gain a token while others are admitted: not seen yet, it is so, it is not.
_UNSEEN, _TOGETHER, _ALONE = range(3)


class _State(NamedTuple):
    # By iterations ahead, shape (_LONGEST + block + 3,):
    steps: Any  # change of the blocks held
    crossings: Any  # the same that comes again each time as many iterations later as a block has
    held: Any  # blocks, so far as the policy has forecast them
    memo: Any  # _APART … _TICKS
    oracle: bool


@dataclass(frozen=True)
class LookAhead:
    """An oracle: admit the queue's head while all, left alone, would complete without an eviction.

    Source: the feasibility test of memory-constrained shortest first (MC-SF: Jaillet, Jiang,
    Mellou, Molinaro, Podimata, Zhou, arXiv:2502.07115), in the queue's order, which is the
    engine's. Blocks are counted for each request in each iteration ahead. It synchronises identical
    requests: nothing spreads them out.

    It plans no eviction. One can come all the same of what no policy is shown: a prompt that takes
    several iterations beside others' decoding ends later than planned. Of a shared prefix as much
    is counted once as two who run have in common. Outputs beyond 65,536 tokens count as that.
    """

    sees_running = True
    oracle = True

    def start(self, setup: Setup) -> _State:
        """Room for a calendar of blocks."""
        size = _LONGEST + setup.block_size + 3
        steps, crossings, held = (np.zeros(size, dtype=np.int64) for _ in range(3))
        return _State(steps, crossings, held, np.zeros(4, dtype=np.int64), True)


@kernel
def _watch(memo, view):
    """See whether a prefill had an iteration to itself: a newcomer's first token comes there."""
    facts = view.facts
    if memo[_DECODING] > 0 and facts.admitted > memo[_ADMITTED]:
        memo[_APART] = _ALONE if facts.ticks == memo[_TICKS] else _TOGETHER
    memo[_ADMITTED], memo[_TICKS] = facts.admitted, facts.ticks
    memo[_DECODING] = 0
    for i in range(facts.shown_running):
        memo[_DECODING] += view.running[i].generated > 0


@kernel
def _life(memo, facts, row, prefill):
    """KV tokens before its next tick, ticks in which it gains one, and those it stays for."""
    tokens = row.prompt + row.generated - facts.unwritten
    left = min(max(row.output - row.generated, 0), _LONGEST - 1)
    late = facts.late
    # In a prefill nobody else gains a token.
    if prefill and left > 1 and memo[_APART] != _TOGETHER:
        tokens, left = tokens + 1, left - 1
        late += memo[_APART] == _UNSEEN
    return tokens, left, max(left + late, 1)


@kernel
def _lay_out(state, view, common):
    """Fill ``held`` with the blocks of those who run; returns how far ahead they run."""
    facts, steps, crossings, held = view.facts, state.steps, state.crossings, state.held
    block, horizon = facts.block, 0
    for i in range(facts.shown_running):
        row = view.running[i]
        tokens, left, last = _life(state.memo, facts, row, row.generated == 0)
        horizon = max(horizon, last)
        own = shared_by(view, row) // block
        steps[1] += -(-(tokens + min(left, 1)) // block) - own
        steps[last + 1] -= -(-(tokens + left) // block) - own
        # A block begins in each iteration that would begin with full ones.
        begin = 1 + (-tokens) % block
        if begin == 1:
            begin += block
        if begin <= left:
            crossings[begin] += 1
            crossings[begin + ((left - begin) // block + 1) * block] -= 1
    total = common
    for ahead in range(1, horizon + 1):
        if ahead > block:
            crossings[ahead] += crossings[ahead - block]
        total += steps[ahead] + crossings[ahead]
        held[ahead] = total
    steps[: horizon + 2] = 0
    crossings[: horizon + block + 1] = 0
    return horizon


@kernel
def _in_common(view):
    """Blocks that several hold, taken to stay; and the most KV tokens that one has of them."""
    facts = view.facts
    own = most = 0
    for i in range(facts.shown_running):
        row = view.running[i]
        shared = shared_by(view, row)
        own += -(-(row.prompt + row.generated - facts.unwritten) // facts.block)
        own -= shared // facts.block
        most = max(most, shared)
    return max(facts.blocks - facts.free - own, 0) if most > 0 else 0, most


@kernel
def _count_in(held, facts, shared, life, force):
    """Add the blocks of one more, less ``shared`` ones, if they fit or with ``force``.

    ``life`` is what `_life` returns.
    """
    block, (tokens, left, last) = facts.block, life
    for turn in range(force, 2):
        blocks, most = -(-(tokens + min(left, 1)) // block), -(-(tokens + left) // block)
        ahead = 1
        while ahead <= last:
            until = last if blocks >= most else blocks * block - tokens
            if turn == 0:
                for h in range(ahead, until + 1):
                    if held[h] + blocks - shared > facts.blocks:
                        return False
            else:
                for h in range(ahead, until + 1):
                    held[h] += blocks - shared
            ahead, blocks = until + 1, blocks + 1
    return True


@decide_of(_State)
def _decide(state: _State, view: Any) -> Any:
    facts, held = view.facts, state.held
    _watch(state.memo, view)
    quota = 0
    if facts.shown_waiting > 0:
        common, most = _in_common(view)
        horizon = _lay_out(state, view, common)
        while quota < facts.shown_waiting:
            row = view.waiting[quota]
            life = _life(state.memo, facts, row, True)
            while horizon < life[2]:
                horizon += 1
                held[horizon] = common
            shared = min(row.shared, most) // facts.block
            if not _count_in(held, facts, shared, life, int(facts.running + quota == 0)):
                break
            quota += 1
    return quota
