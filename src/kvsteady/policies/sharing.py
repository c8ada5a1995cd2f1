"""Of what one who runs holds, how much counts once."""
# mypy: disallow-untyped-decorators=false, disallow-untyped-defs=false
# (kernels: numba compiles each function for the types it is called with)

from __future__ import annotations

from kvsteady.kernels import kernel


@kernel
def shared_by(view, row):
    """KV tokens of ``row``, who runs, that others hold as well.

    Of one who runs alone, those that the queue's head will share with it: both will hold them, and
    they stay when it leaves.
    """
    if view.facts.shown_running == 1 and view.facts.shown_waiting > 0:
        return view.waiting[0].shared
    return row.shared
