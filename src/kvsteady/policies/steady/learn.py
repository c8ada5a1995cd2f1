"""Put the law of output lengths together from what was watched, and what follows from it."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.admission import SHOWN_CONTENT
from kvsteady.kernels import kernel
from kvsteady.policies.steady.lengths import settle, sums
from kvsteady.policies.steady.state import CELLS, FARTHEST
from kvsteady.policies.steady.watch import reach, watch_running

# Where nothing was seen of an age, it is believed to be like the others, as two requests would say.
_BELIEF = 2.0
# So much of a survival function, above and below, is not taken for randomness.
_DOUBT, _DOUBT_LATE = 0.05, 0.02
# Completions from which on they say more than the max_tokens of those who are here.
ENOUGH = 50.0
# max_tokens beyond it say nothing of how long outputs are.
TELLING = 4096


@kernel
def is_stale(state, view):
    """Whether the law has to be put together anew."""
    memo, facts = state.memo, view.facts
    since = facts.iteration - memo.when
    if memo.when < 0 or (memo.certain > 0 and memo.news > 0):
        return True
    if memo.built != memo.width:
        return True  # sums over cells were of narrower ones
    if memo.shared == 0.0 and facts.shown_waiting > 0 and view.waiting[0].shared > 0:
        return True  # that requests share is news
    if memo.fresh > 0 and (since >= 32 or memo.mass < ENOUGH):
        return True
    return since >= 64


@kernel
def put_together(state, view):
    """Make the law, the mean request and the equilibrium rate.

    The law is the few lengths where outputs end at few, and else the survival function by cell.
    """
    memo, facts = state.memo, view.facts
    watch_running(state, view)
    memo.fresh, memo.when, memo.filled = 0, facts.iteration, 0
    if memo.mass < ENOUGH:
        for i in range(facts.shown_waiting):
            if view.waiting[i].limit <= TELLING:
                reach(state, view.waiting[i].limit)
    memo.built = memo.width
    settle(state)
    _requests(state, view)
    # Memory over the iterations of a mean life, in tokens; a request wastes about half a block.
    memo.waste = 0.5 * (facts.block - 1) + 1 - facts.unwritten + memo.unlike
    own = alone(memo)
    if memo.certain > 0:
        # No dip is noise that would come back: the plan is for the lengths as they are.
        (life, area), noise = sums(state, own, 1.0 * FARTHEST), 0.0
    else:
        _survive(state)
        _limit(state, view)
        life, area, noise = _sums_by_cell(state, own)
    memo.life = life
    memo.peak = memo.prompt - memo.shared + memo.waste + life
    # What several hold is there once, whatever the rate.
    memo.rate = max(facts.blocks * facts.block - memo.common, 0.0) / max(area, 1.0)
    memo.noise = math.sqrt(memo.rate * max(noise, 0.0))


@kernel
def alone(memo):
    """KV tokens that the mean request in memory holds by itself beside its output."""
    return max(memo.held - memo.shared, 0.0) + memo.waste


@kernel
def _sums_by_cell(state, own):
    """The same as `sums`, from the cells, with max_tokens; fills ``load``."""
    law, width = state.law, state.memo.width
    area = life = noise = 0.0
    for k in range(CELLS):
        fall = law.living[k] - law.living[k + 1]
        alive = width * law.living[k] - 0.5 * (width - 1) * fall
        each = own + k * width + 0.5 * (width - 1)
        law.load[k] = area
        area += alive * each
        life += alive
        # What max_tokens will cut is known of each request, and no noise; nor is what a belief or
        # the width of a cell makes of lengths that are certain.
        lost = max(1.0 - law.survival[k] - _DOUBT, 0.0)
        noise += max(alive - _DOUBT_LATE * width, 0.0) * each * each * lost
    law.load[CELLS] = law.load[CELLS + 1] = area
    return life, area, noise


@kernel
def _survive(state):
    """P(output > n) by cell: the product of 1 − hazard, completions over tokens watched.

    It is Kaplan and Meier's estimator (1958) where everybody was watched from the first token.
    """
    memo, law = state.memo, state.law
    survival = law.survival
    unit, width = memo.weight, memo.width
    all_ended = all_seen = 0.0
    for k in range(1, CELLS + 1):
        all_ended += law.ended[k]
        all_seen += law.seen[k]
    # Who ends with the token that its prefill gives was watched for none.
    memo.usual = min(all_ended / max(all_seen, unit), 1.0)
    usual = width * memo.usual
    survival[0] = 1.0
    for k in range(1, CELLS + 1):
        ended = law.ended[k] + _BELIEF * unit * usual
        survival[k] = survival[k - 1] * (
            1.0 - min(ended / (law.seen[k] / width + _BELIEF * unit), 1.0)
        )
    survival[CELLS + 1] = 0.0
    law.area[0] = 0.0
    for k in range(CELLS):
        fall = survival[k] - survival[k + 1]
        law.area[k + 1] = law.area[k] + width * survival[k] - 0.5 * (width - 1) * fall
    law.area[CELLS + 1] = law.area[CELLS]


@kernel
def _limit(state, view):
    """Cut the survival function where requests come to their max_tokens."""
    memo, facts, law = state.memo, view.facts, state.law
    width, unit = memo.width, memo.weight
    # `steps` is free: `watch_running` has emptied it.
    limits = law.steps
    for k in range(CELLS + 2):
        limits[k] = law.limits[k]
    if memo.mass < ENOUGH:  # those who wait say more than the few who completed
        for i in range(facts.shown_waiting):
            limits[min(view.waiting[i].limit // width, CELLS + 1)] += unit
        for i in range(facts.shown_running):
            limits[min(view.running[i].limit // width, CELLS + 1)] += unit
    total = 0.0
    for k in range(CELLS + 2):
        total += limits[k]
    beyond = total
    for k in range(CELLS + 1):
        beyond -= limits[k]
        share = min(max(beyond / total, 0.0), 1.0) if total > 0.0 else 1.0
        law.living[k] = law.survival[k] * share
    law.living[CELLS] = 0.0
    if law.living[0] <= 0.0:  # every limit is shorter than a cell
        law.living[0] = 1.0
    for k in range(CELLS + 2):
        limits[k] = 0.0


@kernel
def _requests(state, view):
    """Mean prompt, how much of it others hold as well, and how much need not be computed.

    Of the head of the queue it is what somebody holds: where one runs alone, nobody shares, and
    only those who wait tell that they would.
    """
    memo, facts = state.memo, view.facts
    told = min(facts.shown_waiting, SHOWN_CONTENT)
    shared = cached = 0.0
    for i in range(facts.shown_running):
        shared += view.running[i].shared
    for i in range(told):
        shared += view.waiting[i].shared
        cached += view.waiting[i].cached
    if memo.prompts < 16.0:  # of the few who completed and of those who are here
        total = memo.prompt * memo.prompts
        for i in range(facts.shown_waiting):
            total += view.waiting[i].prompt
        for i in range(facts.shown_running):
            total += view.running[i].prompt
        here = memo.prompts + facts.shown_waiting + facts.shown_running
        memo.prompt = total / max(here, 1.0)
    _held(state, view)
    memo.shared = min(shared / max(facts.shown_running + told, 1), memo.prompt)
    memo.cached = min(cached / max(told, 1), memo.prompt)


@kernel
def _held(state, view):
    """Mean prompt in memory: of each output token, for who runs longer is there more often.

    Until enough completed, outputs are as long as max_tokens. Where long prompts have long outputs
    the mean prompt is less, and is taken: x* is too large then, and the forecast of those who run
    holds admissions back; too small an x* nothing would mend.
    """
    memo, facts = state.memo, view.facts
    tokens, total = memo.outputs, memo.outputs * memo.carried
    early = memo.mass < ENOUGH
    if early:
        tokens = total = 0.0
    for i in range(facts.shown_running):
        row = view.running[i]
        weight = min(row.limit, TELLING) if early else row.generated
        tokens += weight
        total += row.prompt * weight
    if early:
        for i in range(facts.shown_waiting):
            weight = min(view.waiting[i].limit, TELLING)
            tokens += weight
            total += view.waiting[i].prompt * weight
    memo.held = min(total / tokens, memo.prompt) if tokens > 0.0 else memo.prompt
