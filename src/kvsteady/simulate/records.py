"""The rows of a run: what the kernels read and write, as structured NumPy types.

All times are seconds, all lengths tokens; a link or a row number of -1 is none.
"""

from __future__ import annotations

import numpy as np

NONE = -1

# Where a request stands (`REQUEST.state`).
FREE, WAITING, PREFILLING, DECODING, HELD, LEAVING = range(6)

# How a request left (`LEFT.status`).
COMPLETED, REJECTED = range(2)

ARRIVAL = np.dtype(
    [
        ("id", "i8"),
        ("time", "f8"),  # of arrival; ignored where requests come on demand
        ("prompt", "i8"),
        ("output", "i8"),  # tokens it will generate, which the engine does not know
        ("limit", "i8"),  # its max_tokens, which the engine knows; at least output
        ("kind", "i8"),  # class of the workload
        ("priority", "i8"),  # lower goes first, as in vLLM
        ("session", "i8"),
        ("follow", "i8"),  # row of `State.turns` that comes after it completes
        ("think", "f8"),  # seconds between its completion and what follows
        ("keys", "i8"),  # first of its block keys in `State.keys`
        ("key_count", "i8"),
        ("loaded", "i8"),  # KV tokens computed elsewhere, of its first admission
    ]
)
"""A request on its way in."""

REQUEST = np.dtype(
    [
        ("state", "i8"),
        ("before", "i8"),  # neighbours in the waiting or the running list
        ("after", "i8"),
        ("computed", "i8"),  # KV tokens held; of one that decodes see `decoding.held`
        ("target", "i8"),  # KV tokens that its prefill ends with
        ("kept", "i8"),  # generated tokens; of one that decodes see `decoding.generated`
        ("offset", "i8"),  # KV tokens less the decode tick
        ("due", "i8"),  # decode tick that brings its last token
        ("due_before", "i8"),  # neighbours in the calendar
        ("due_after", "i8"),
        ("young", "i8"),  # 1 between its last prefill and its first decode
        ("prompt", "i8"),
        ("output", "i8"),
        ("limit", "i8"),
        ("priority", "i8"),
        ("sequence", "i8"),  # order of arrival at this engine
        ("blocks", "i8"),  # held; kept by memories and engines that count them per request
        ("mate_before", "i8"),  # two more links, for an engine's or a memory's own list
        ("mate_after", "i8"),
        ("keys", "i8"),
        ("key_count", "i8"),
        ("loaded", "i8"),
        ("id", "i8"),
        ("kind", "i8"),
        ("session", "i8"),
        ("follow", "i8"),
        ("think", "f8"),
        ("arrival", "f8"),
        ("scheduled", "f8"),  # first admission; -1 before it
        ("first_token", "f8"),  # -1 before it
        ("last_token", "f8"),
        ("preemptions", "i8"),
        ("entered", "i8"),  # admissions before its last one
        ("lost", "i8"),  # KV tokens thrown out at its last eviction, not computed again yet
        ("recomputed", "i8"),
        ("hit", "i8"),  # prompt tokens found in the prefix cache at its first admission
    ]
)
"""A request in the engine, one row per slot."""

LEFT = np.dtype(
    [
        ("id", "i8"),
        ("kind", "i8"),
        ("session", "i8"),
        ("status", "i8"),
        ("prompt", "i8"),
        ("output", "i8"),
        ("arrival", "f8"),
        ("scheduled", "f8"),
        ("first_token", "f8"),
        ("finish", "f8"),
        ("preemptions", "i8"),
        ("recomputed", "i8"),
        ("hit", "i8"),
    ]
)
"""A request that left: it completed, or could never fit."""

ITERATION = np.dtype(
    [
        ("iteration", "i8"),  # the last one of the row
        ("start", "f8"),  # of the first one of the row
        ("seconds", "f8"),
        ("running", "i8"),  # after the last one
        ("waiting", "i8"),
        ("admitted", "i8"),
        ("preempted", "i8"),
        ("completed", "i8"),
        ("prefill_tokens", "i8"),
        ("decode_tokens", "i8"),
        ("recomputed_tokens", "i8"),
        ("kv_read", "i8"),
        ("free_blocks", "i8"),  # least of the row, after admission
    ]
)
"""What happened in one iteration, or in as many as one row stands for."""

CLOCK = np.dtype(
    [
        ("now", "f8"),
        ("horizon", "f8"),  # arrivals are known before it; no iteration starts later
        ("stop_time", "f8"),
        ("stop_iteration", "i8"),
        ("stop_completed", "i8"),
        ("iteration", "i8"),
        # memory
        ("block", "i8"),  # tokens per block
        ("total", "i8"),  # blocks
        ("free", "i8"),
        ("unwritten", "i8"),  # 1 where the last token's KV is never stored
        ("eviction", "i8"),  # RESTART, RESUME or SWAP of `state`
        ("swap_seconds", "f8"),  # per KV token that is swapped out or in
        # decoding
        ("tick", "i8"),  # decode iterations so far
        ("decoding", "i8"),  # requests that decode
        ("offsets", "i8"),  # sum of their offsets
        ("last_tick", "f8"),  # when the last tick ended
        ("youngsters", "i8"),  # filled part of `State.young`
        # 1: the engine schedules an iteration before it hears who completed in the one before, who
        # are LEAVING meanwhile, `leaving` in number; set by the engine
        ("late", "i8"),
        ("leaving", "i8"),
        ("first_leaving", "i8"),  # linked by `due_after`
        # this iteration, set by the engine's schedule
        ("ticking", "i8"),  # 1: everyone that decodes gains a token
        ("chunks", "i8"),  # filled part of `State.chunks`
        ("prefill_tokens", "i8"),
        ("prefill_pairs", "f8"),
        ("admitted", "i8"),
        ("preempted", "i8"),
        ("completed", "i8"),
        ("recomputed_tokens", "i8"),
        ("swapped_tokens", "i8"),
        ("last_decode", "i8"),  # tokens decoded
        ("last_read", "i8"),  # KV tokens they read
        ("least_free", "i8"),  # free blocks after admission
        # admission pace: a token bucket in units of 2^-30 requests, as in the exact model
        ("rate", "i8"),
        ("depth", "i8"),
        ("credit", "i8"),
        ("shows", "i8"),  # what the admission policy is shown (`regulating`); 0: none is asked
        ("gone", "i8"),  # filled part of `State.gone`
        ("victim", "i8"),  # whom to evict (`victims`); 0: as the engine decides
        ("entries", "i8"),  # admissions, this iteration's included
        # input and output
        ("cursor", "i8"),  # next row of the inbox
        ("rows", "i8"),
        ("more", "i8"),  # 1: rows can still be put in the inbox
        ("backlog", "i8"),  # > 0: requests are taken on demand, so many wait
        ("clients", "i8"),  # 1: each completion brings the next row of the inbox
        ("endless", "i8"),  # 1: nobody knows of an end of the load
        ("turned_away", "i8"),  # rejected since somebody was taken in or an iteration passed
        ("sequence", "i8"),
        ("out", "i8"),  # filled part of the outbox
        ("logged", "i8"),  # filled part of the log
        ("log_every", "i8"),  # iterations per row of the log; 0 for none
        ("in_row", "i8"),  # iterations in the log's current row
        ("heap", "i8"),  # filled part of the heap of coming turns
        ("free_slot", "i8"),
        ("free_slots", "i8"),
        # totals
        ("all_arrived", "i8"),
        ("all_completed", "i8"),
        ("all_rejected", "i8"),
        ("all_returned", "i8"),  # evicted, to come again behind an endless queue
        ("all_admitted", "i8"),
        ("all_preempted", "i8"),
        ("all_prefill", "i8"),
        ("all_decode", "i8"),
        ("all_recomputed", "i8"),
        ("all_swapped", "i8"),
        ("all_hits", "i8"),
        ("all_output", "i8"),  # output tokens of the completed
        ("all_wasted", "i8"),  # generated tokens lost by restarts
        ("busy", "f8"),  # seconds spent in iterations
        ("block_seconds", "f8"),  # integral of held blocks over the busy time
        # what the totals were when the policy was adopted
        ("from_iteration", "i8"),
        ("from_tick", "i8"),
        ("from_now", "f8"),
        ("from_arrived", "i8"),
        ("from_admitted", "i8"),
        ("from_preempted", "i8"),
        ("from_completed", "i8"),
        # livelock
        ("quiet", "i8"),  # iterations since the last completion
        ("quiet_preempted", "i8"),
        ("empty", "i8"),  # iterations in a row that computed nothing
        ("patience", "i8"),
    ]
)
"""The clock of a run and every number that there is once."""
