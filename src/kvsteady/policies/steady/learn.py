"""Learn the law of output lengths from who completed, who was cut short, and who still runs.

The estimator is Kaplan and Meier's (1958): a request that ended at its max_tokens, or that still
runs, says only that its output is longer than what it has. Old completions count less: their weight
halves in about 700.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.admission import COMPLETED
from kvsteady.kernels import kernel
from kvsteady.policies.steady.state import CELLS

_FORGET = 1.001
# Before anything is known: outputs of 512 tokens on average, believed as much as two requests.
_MEAN, _BELIEF = 512.0, 2.0


@kernel
def listen(state, view):
    """Take in who left memory since the last decision."""
    memo = state.memo
    for i in range(view.facts.shown_gone):
        gone = view.gone[i]
        if gone.how != COMPLETED:
            continue
        _reach(state, gone.generated)
        memo.prompts = memo.prompts / _FORGET + 1.0
        memo.prompt += (gone.prompt - memo.prompt) / memo.prompts
        memo.weight *= _FORGET
        memo.mass = memo.mass / _FORGET + 1.0
        memo.fresh += 1
        width = memo.width
        if gone.generated < gone.limit:
            cell = -(-gone.generated // width)
            state.ended[cell] += memo.weight
            state.seen[cell] += memo.weight
        else:
            state.seen[gone.generated // width] += memo.weight
        state.limits[min(gone.limit // width, CELLS + 1)] += memo.weight
    if memo.weight > 1e100:
        for k in range(CELLS + 2):
            state.ended[k] /= memo.weight
            state.seen[k] /= memo.weight
            state.limits[k] /= memo.weight
        memo.weight = 1.0


@kernel
def _reach(state, tokens):
    """Make cells wide enough for an output of so many tokens."""
    memo = state.memo
    memo.longest = max(memo.longest, tokens)
    while tokens > CELLS * memo.width:
        memo.width *= 2
        half = CELLS // 2
        for k in range(1, half + 1):
            state.ended[k] = state.ended[2 * k - 1] + state.ended[2 * k]
        state.seen[0] += state.seen[1]
        state.limits[0] += state.limits[1]
        for k in range(1, half + 1):
            state.seen[k] = state.seen[2 * k] + (state.seen[2 * k + 1] if k < half else 0.0)
            state.limits[k] = state.limits[2 * k] + (state.limits[2 * k + 1] if k < half else 0.0)
        for k in range(half + 1, CELLS + 1):
            state.ended[k] = state.seen[k] = state.limits[k] = 0.0


@kernel
def is_stale(state, view):
    """Whether the law has to be put together anew."""
    memo, facts = state.memo, view.facts
    since = facts.iteration - memo.when
    if memo.when < 0:
        return True
    if memo.fresh > 0 and (since >= 32 or memo.mass < 50):
        return True
    return since >= 64 and memo.mass < 50


@kernel
def put_together(state, view):
    """Make the survival function, the mean request and the equilibrium rate."""
    memo, facts = state.memo, view.facts
    memo.fresh, memo.when = 0, facts.iteration
    watched, width = state.watched, memo.width
    for k in range(CELLS + 2):
        watched[k] = 0.0
    for i in range(facts.shown_running):
        _reach(state, view.running[i].generated)
    width = memo.width
    for i in range(facts.shown_running):
        watched[view.running[i].generated // width] += memo.weight
    _survive(state)
    _limit(state, view)
    prompt = memo.prompt
    if memo.prompts < 16.0:
        prompt = _mean_prompt(view, memo.prompt, memo.prompts)
    memo.prompt = prompt
    # Memory over the iterations of a mean life, in tokens; a request wastes half a block.
    waste = 0.5 * (facts.block - 1) + 1 - facts.unwritten
    area = life = 0.0
    for k in range(CELLS):
        alive = whole_cell(state, k)
        area += alive * (prompt + k * width + 0.5 * (width - 1) + waste)
        life += alive
    memo.life = life
    memo.rate = facts.blocks * facts.block / max(area, 1.0)


@kernel
def whole_cell(state, k):
    """Sum of the survival function over the tokens of a cell, between its ends on a line."""
    width = state.memo.width
    fall = state.living[k] - state.living[k + 1]
    return width * state.living[k] - 0.5 * (width - 1) * fall


@kernel
def _survive(state):
    """Kaplan and Meier's survival function by cell, with a weak belief where little is seen."""
    memo, survival = state.memo, state.survival
    unit = memo.weight
    risk = all_ended = exposure = 0.0
    for k in range(CELLS, 0, -1):
        risk += state.seen[k] + state.watched[k]
        all_ended += state.ended[k]
        exposure += risk
    mean = (all_ended + unit) / (exposure + unit * _MEAN / memo.width)
    survival[0] = 1.0
    for k in range(1, CELLS + 1):
        hazard = (state.ended[k] + _BELIEF * unit * mean) / (risk + _BELIEF * unit)
        survival[k] = survival[k - 1] * (1.0 - min(hazard, 1.0))
        risk -= state.seen[k] + state.watched[k]
        risk = max(risk, 0.0)
    survival[CELLS + 1] = 0.0
    state.area[0] = 0.0
    for k in range(CELLS):
        state.area[k + 1] = state.area[k] + 0.5 * memo.width * (survival[k] + survival[k + 1])
    state.area[CELLS + 1] = state.area[CELLS]


@kernel
def _limit(state, view):
    """Cut the survival function where requests come to their max_tokens."""
    memo, facts = state.memo, view.facts
    width, unit = memo.width, memo.weight
    total = 0.0
    few = memo.mass < 50
    for k in range(CELLS + 2):
        state.watched[k] = state.limits[k]
    if few:  # those who wait say more than the few who completed
        for i in range(facts.shown_waiting):
            state.watched[min(view.waiting[i].limit // width, CELLS + 1)] += unit
        for i in range(facts.shown_running):
            state.watched[min(view.running[i].limit // width, CELLS + 1)] += unit
    for k in range(CELLS + 2):
        total += state.watched[k]
    if total == 0.0:
        total = 1.0
        state.watched[CELLS + 1] = 1.0
    beyond = total
    for k in range(CELLS + 1):
        beyond -= state.watched[k]
        state.living[k] = state.survival[k] * min(max(beyond / total, 0.0), 1.0)
    state.living[CELLS] = 0.0
    if state.living[0] <= 0.0:  # every limit is shorter than a cell
        state.living[0] = 1.0


@kernel
def _mean_prompt(view, prompt, count):
    """Mean prompt of the few who completed and of those who are here."""
    total = prompt * count
    for i in range(view.facts.shown_waiting):
        total += view.waiting[i].prompt
    for i in range(view.facts.shown_running):
        total += view.running[i].prompt
    return total / max(count + view.facts.shown_waiting + view.facts.shown_running, 1.0)
