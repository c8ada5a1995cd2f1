"""Each router on its own, with replicas that stand still."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.fleet import (
    ROUTERS,
    ByClass,
    LeastKv,
    LeastRequests,
    Mixed,
    PowerOfTwo,
    PrefixAffinity,
    Random,
    Request,
    RoundRobin,
    SessionAffinity,
)


@dataclass
class Still:
    """A replica that does not change."""

    running: int = 0
    waiting: int = 0
    free_tokens: int = 1000
    kv_tokens: int = 1000
    waiting_tokens: int = 0


def request(number=0, *, kind=0, session=-1, keys=()):
    return Request(number, 0.0, 100, kind, 0, session, np.array(keys, dtype=np.int64), 0, len(keys))


def answers(router, requests, replicas):
    choose = router.start()
    return [choose(each, replicas) for each in requests]


FOUR = [Still(running=3), Still(running=1, waiting=1), Still(waiting=2), Still(running=5)]


def test_round_robin():
    assert answers(RoundRobin(), map(request, range(6)), FOUR) == [0, 1, 2, 3, 0, 1]


def test_random_is_even_and_seeded():
    found = answers(Random(seed=1), map(request, range(4000)), FOUR)
    assert found == answers(Random(seed=1), map(request, range(4000)), FOUR)
    assert found != answers(Random(seed=2), map(request, range(4000)), FOUR)
    # 1,000 each, standard deviation 27.
    assert all(abs(n - 1000) < 140 for n in Counter(found).values())


def test_least_requests_counts_those_that_wait():
    assert answers(LeastRequests(), [request()], FOUR) == [1]
    assert answers(LeastRequests(), [request()], [Still(waiting=1), Still()]) == [1]


def test_least_kv_is_a_share_of_each_memory():
    half, third = Still(free_tokens=500), Still(kv_tokens=3000, free_tokens=2000)
    assert answers(LeastKv(), [request()], [half, third]) == [1]
    third.waiting_tokens = 600  # 1,600 of 3,000 wanted
    assert answers(LeastKv(), [request()], [half, third]) == [0]


def test_power_of_two_never_takes_the_worst_and_takes_the_best_in_half_of_the_draws():
    replicas = [Still(running=n) for n in (4, 3, 2, 1)]
    found = Counter(answers(PowerOfTwo(), map(request, range(6000)), replicas))
    # Of 6 pairs the best is in 3, the second decides 2, the third 1.
    assert found[0] == 0
    assert [round(found[i] / 1000) for i in (1, 2, 3)] == [1, 2, 3]
    assert set(answers(PowerOfTwo(), map(request, range(9)), replicas[:1])) == {0}


def test_by_class():
    requests = [request(n, kind=kind) for n, kind in enumerate((0, 1, 5, 1))]
    assert answers(ByClass(), requests, FOUR) == [0, 1, 1, 1]
    assert answers(ByClass((2, 0, 0, 0, 0, 3)), requests, FOUR) == [2, 0, 3, 0]
    with pytest.raises(InputError, match="class 5 has no replica"):
        answers(ByClass((1, 1)), requests, FOUR)


def test_mixed_spreads_each_class_where_a_round_robin_would_segregate():
    requests = [request(n, kind=n % 2) for n in range(400)]
    pair = [Still(), Still()]
    robin = Counter(zip(answers(RoundRobin(), requests, pair), [0, 1] * 200, strict=True))
    mixed = Counter(zip(answers(Mixed(), requests, pair), [0, 1] * 200, strict=True))
    assert robin == {(0, 0): 200, (1, 1): 200}
    assert mixed == {(i, kind): 100 for i in (0, 1) for kind in (0, 1)}


def test_a_session_stays():
    sessions = [3, 7, 3, -1, 9, 7, -1, 3]
    requests = [request(n, session=s) for n, s in enumerate(sessions)]
    assert answers(SessionAffinity(), requests, FOUR) == [0, 1, 0, 2, 3, 1, 0, 0]


def test_prefixes_go_where_they_are_known():
    requests = [
        request(0, keys=(1, 2, 3, 4)),  # nobody knows it
        request(1, keys=(9, 8)),
        request(2, keys=(1, 2, 3, 7)),  # three of four
        request(3, keys=(9, 8, 7, 6)),  # half
        request(4, keys=(1, 50, 51, 52)),  # a quarter is not enough
        request(5, keys=(1, 50, 51, 53)),  # 2 knows three now
        request(6),  # no keys
    ]
    router = PrefixAffinity(otherwise=RoundRobin())
    assert answers(router, requests, FOUR) == [0, 1, 0, 1, 2, 2, 3]


def test_of_two_that_know_a_prefix_the_longer_match_wins():
    requests = [request(0, keys=(1, 2)), request(1, keys=(1, 3, 4)), request(2, keys=(1, 3, 4, 5))]
    router = PrefixAffinity(least_match=0.6, otherwise=RoundRobin())
    assert answers(router, requests, FOUR) == [0, 1, 1]


@pytest.mark.parametrize("name", ROUTERS)
def test_each_can_be_made_by_name_and_starts_afresh(name):
    requests = [request(n, kind=n % 3, session=n % 5, keys=(n % 5, n)) for n in range(60)]
    router = ROUTERS[name]()
    first = answers(router, requests, FOUR)
    assert answers(router, requests, FOUR) == first
    assert all(0 <= place < 4 for place in first)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Random(seed=-1), "seed"),
        (lambda: PowerOfTwo(seed=0.5), "seed"),
        (lambda: PrefixAffinity(least_match=2.0), "least_match"),
    ],
)
def test_bad_options_are_named(make, field):
    with pytest.raises(InputError) as error:
        make()
    assert error.value.field == field
