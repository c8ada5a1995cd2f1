"""How strongly free memory may drive admissions without starting a cycle.

With admissions ``a = x (1 + g (M − m) / M)``, where m is the memory in use, deviations obey
``d_t = −(g / W) Σ_m w_m d_{t−1−m}`` with the survival weights w and their sum W (theory: section
3, in which greedy admission is g → W / w_0). By Nyquist's criterion the loop is stable while
``−1 / g`` lies left of every crossing of the negative real axis by
``G(ω) = Σ w_m e^{−iω(m+1)} / W``. g < 1 always is, since |G| ≤ 1.
"""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# mypy: disallow-untyped-calls=false, check-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

import math

from kvsteady.kernels import kernel
from kvsteady.policies.steady.learn import whole_cell
from kvsteady.policies.steady.state import CELLS

_LUMPS = 64  # of the weights
_FINE = 8  # frequencies for each of them: 16 to a turn of the longest wave
_MOST = 50.0


@kernel
def set_gain(state):
    """Set the gain to the critical one over the margin."""
    memo, lumps = state.memo, state.watched
    last = 1
    for k in range(CELLS):
        if state.living[k] > 1e-3:
            last = k + 1
    each = -(-last // _LUMPS)
    many = -(-last // each)
    total = 0.0
    for i in range(many):
        lumps[i] = 0.0
        for k in range(i * each, min((i + 1) * each, CELLS)):
            middle = memo.prompt + k * memo.width + 0.5 * (memo.width - 1)
            lumps[i] += whole_cell(state, k) * middle
        total += lumps[i]
    if total <= 0.0 or many < 2:
        memo.gain = 0.5
        return
    worst = 0.0
    before_re, before_im = 1.0, 0.0
    for j in range(1, _FINE * many + 1):
        angle = math.pi * j / (_FINE * many)
        turn_re, turn_im = math.cos(angle), -math.sin(angle)
        re = im = 0.0
        for i in range(many - 1, -1, -1):  # Horner
            re, im = re * turn_re - im * turn_im + lumps[i], re * turn_im + im * turn_re
        # To the middle of a lump, and the iteration that a decision takes to show.
        late = angle * (0.5 + 0.5 / (each * memo.width))
        c, s = math.cos(late), -math.sin(late)
        re, im = (re * c - im * s) / total, (re * s + im * c) / total
        if before_im * im <= 0.0 and (re < 0.0 or before_re < 0.0) and before_im != im:
            share = before_im / (before_im - im)
            worst = max(worst, -(before_re + share * (re - before_re)))
        before_re, before_im = re, im
    memo.gain = _MOST if worst * state.margin * _MOST < 1.0 else 1.0 / (worst * state.margin)
