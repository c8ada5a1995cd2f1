"""What the SGLang adapter keeps of the queue and of memory, against requests made by hand."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import Any

import numpy as np

from kvsteady.admission import new_view
from kvsteady.plugins import Ledger
from kvsteady.plugins.sglang.arrivals import Arrivals, now
from kvsteady.plugins.sglang.head import Head
from kvsteady.plugins.sglang.residents import Residents
from kvsteady.plugins.sglang.sharing import Sharing, shared_of


class Request:
    """Of SGLang's request, what is read."""

    def __init__(
        self, row: int, prompt: int, generated: int = 0, limit: int = 99, came: float = 0.0
    ) -> None:
        self.kv = SimpleNamespace(req_pool_idx=row)
        self.origin_input_ids = [7] * prompt
        self.output_ids = [7] * generated
        self.sampling_params = SimpleNamespace(max_new_tokens=limit)
        if came:
            self.time_stats = SimpleNamespace(scheduler_recv_time=came)


class Tensor(list):  # type: ignore[type-arg]
    """Of a tensor, what is called."""

    def numpy(self) -> Any:
        return np.array(self, dtype=np.int64)

    def tolist(self) -> list[int]:
        return list(self)

    def __getitem__(self, at: Any) -> Any:
        return Tensor(super().__getitem__(at))


def batch(*requests: Request, cached: int = 0) -> Any:
    tokens = [len(r.origin_input_ids) + len(r.output_ids) for r in requests]
    return SimpleNamespace(
        reqs=list(requests),
        req_pool_indices_cpu=Tensor(r.kv.req_pool_idx for r in requests),
        # The KV of the last token is not stored, but for a prefill's prompt.
        seq_lens_cpu=Tensor(
            t - 1 if r.output_ids else t for t, r in zip(tokens, requests, strict=True)
        ),
        prefix_lens=[cached] * len(requests),
        extend_lens=[t - cached for t in tokens],
    )


def test_the_head_is_the_queues_whatever_moves() -> None:
    rng, head, view = random.Random(1), Head(Arrivals()), new_view(1)
    queue = [Request(0, prompt, came=1000.0 - prompt) for prompt in range(1, 400)]
    for step in range(300):
        shown = head.show(view, queue)
        assert shown == min(len(queue), 256)
        assert list(view.waiting["prompt"][:shown]) == [
            len(r.origin_input_ids) for r in queue[:shown]
        ]
        assert list(view.waiting["arrived"][:shown]) == [
            r.time_stats.scheduler_recv_time for r in queue[:shown]
        ]
        match rng.randrange(5):
            case 0 | 1:  # some are admitted
                del queue[: rng.randrange(12)]
            case 2:  # some arrive
                many = rng.randrange(9)
                queue += [Request(0, 1000 + step, step, came=step + 1) for _ in range(many)]
            case 3:  # one is aborted
                del queue[len(queue) // 2 : len(queue) // 2 + 1]
            case 4:  # by another order
                queue.reverse()


def test_who_waits_is_taken_to_share_what_is_usual_but_the_last_token() -> None:
    head, view = Head(Arrivals()), new_view(1)
    head.show(view, [Request(0, 20), Request(0, 300)], 32)
    assert list(view.waiting["shared"][:2]) == [19, 32]
    assert list(view.waiting["cached"][:2]) == [19, 32]


def test_what_newcomers_share_is_what_they_found_less_what_was_locked_for_them() -> None:
    locked = iter([500, 500, 512, 560, 560, 560])
    sharing = Sharing(SimpleNamespace(protected_size=lambda: next(locked)))
    sharing.before()
    assert sharing.of_newcomers([64, 32]) == [64, 32]  # nothing was locked that was not
    sharing.before()
    # 48 of 96 found were nobody's.
    assert sharing.of_newcomers([64, 32, 0]) == [32, 16, 0]
    sharing.before()
    assert sharing.of_newcomers([0]) == [0]


def test_a_node_on_two_paths_is_shared_and_those_before_it() -> None:
    def path(*ends: tuple[str, int]) -> list[Any]:
        return [SimpleNamespace(node_id=name, path_end=end) for name, end in ends]

    paths = [path(("a", 8), ("b", 20)), path(("a", 8), ("c", 12), ("d", 16)), path(("e", 4)), []]
    paths.append(path(("a", 8), ("c", 12)))
    assert list(shared_of(paths, [0, 1, 2, 3, 5], 6)) == [8, 12, 0, 0, 0, 12]


def test_without_times_of_sglangs_own_it_arrived_when_it_was_first_seen() -> None:
    arrivals, view = Arrivals(), new_view(8)
    head, residents = Head(arrivals), Residents(4, arrivals)
    first, later = Request(1, 20), Request(2, 30)
    before = now()
    head.show(view, [first])
    seen = float(view.waiting["arrived"][0])
    assert before <= seen <= now()
    # It goes into memory and comes back behind one that came later.
    residents.admit(batch(first), 1, Ledger())
    residents.look(batch(first), None)
    residents.show(view, batch(first))
    assert view.running["arrived"][0] == seen
    residents.look(batch(), None)
    head.show(view, [later, first])
    assert view.waiting["arrived"][1] == seen < view.waiting["arrived"][0] <= now()


def test_who_is_in_memory_with_how_many_tokens() -> None:
    residents, ledger, view = Residents(4, Arrivals()), Ledger(), new_view(8)
    first, second = Request(1, 20, limit=40, came=5.5), Request(6, 30, limit=50, came=7.5)
    assert residents.look(batch(), None) == []
    assert residents.admit(batch(first, second), 2, ledger) == (2, 0)
    for request in (first, second):
        request.output_ids.append(7)
    running = batch(first, second)
    assert residents.look(running, None) == []
    assert residents.show(view, running) == 2
    assert [tuple(row)[:3] for row in view.running[:2]] == [(20, 1, 40), (30, 1, 50)]
    assert list(view.running["arrived"][:2]) == [5.5, 7.5]
    assert ledger.prefilled == 50
    # The second leaves, and a request that is cut into chunks takes its row.
    third = Request(6, 70, limit=60, came=6.5)
    assert residents.look(batch(first), None) == [second]
    assert residents.admit(batch(third), 1, ledger) == (1, 0)
    assert residents.admit(batch(third), 1, ledger) == (0, 0)
    assert residents.look(batch(first), third) == []
    assert residents.show(view, batch(first)) == 2
    assert [tuple(row)[:3] for row in view.running[:2]] == [(20, 1, 40), (70, 0, 60)]
    assert list(view.running["arrived"][:2]) == [5.5, 6.5]


def test_who_is_preempted_for_one_that_gets_its_row_is_told_of() -> None:
    residents, ledger = Residents(4, Arrivals()), Ledger()
    first, second, urgent = Request(1, 20), Request(2, 30), Request(2, 5)
    residents.look(batch(), None)
    residents.admit(batch(first, second), 2, ledger)
    assert residents.look(batch(first, second), None) == []
    # In the pass that preempted the second.
    assert residents.admit(batch(urgent), 1, ledger) == (1, 0)
    assert residents.look(batch(first, urgent), None) == [second]
    assert residents.look(batch(first, urgent), None) == []
    assert residents.look(batch(), None) == [first, urgent]


def test_what_was_computed_before_is_counted_less_what_the_cache_has() -> None:
    residents, ledger = Residents(4, Arrivals()), Ledger()
    lost = Request(2, 20, generated=5)
    residents.look(batch(), None)
    residents.admit(batch(lost), 1, ledger)
    assert residents.look(batch(), None) == [lost]
    residents.evict(lost)
    assert residents.evicted == 1
    assert residents.admit(batch(lost, cached=16), 1, ledger) == (1, 1)
    # 24 tokens had KV: all but the last one's.
    assert (ledger.recomputed, residents.evicted) == (24 - 16, 0)


def test_those_who_were_there_before_are_taken_in() -> None:
    residents, view = Residents(2, Arrivals()), new_view(8)
    old = Request(5, 20, generated=3, limit=40)
    assert residents.look(batch(old), None) == []
    assert residents.show(view, batch(old)) == 1
    assert tuple(view.running[0])[:3] == (20, 3, 40)
    assert residents.look(batch(), None) == [old]
