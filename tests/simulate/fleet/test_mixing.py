"""Mixing against segregation, as ../shared/spec/engines.md reports it for Vidur."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kvsteady.errors import InputError
from kvsteady.simulate.engines.vidur_vllm import VidurVllm
from kvsteady.simulate.fleet import Replica, compare_mixing, mixing_map
from kvsteady.simulate.loads import Poisson
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.workload import Workload

# Llama-3-8B on an A100: 16 GB of weights and 131 kB per KV token over 2 TB/s, 16 GFLOP per prefill
# token at a good 250 TFLOP/s. 2,500 blocks of 16.
A100 = LinearTime(8e-3, 6e-5, 2e-5, 6.5e-8)
REPLICA = Replica(VidurVllm(batch_size_cap=4096), 40_000, A100)
# A long and a short class, 256 output tokens on average: the mean that 9.2k tokens/s at 36
# requests/s come to.
LONG_AND_SHORT = replace(Workload.classes([(64, 480), (64, 32)]), random=True)


def test_below_saturation_segregation_evicts_and_mixing_does_not():
    found = compare_mixing([REPLICA] * 2, Poisson(LONG_AND_SHORT, 36.0, requests=4000))
    assert found.segregated.completed == found.mixed.completed == 4000
    assert found.mixed.evictions == 0
    # Vidur: 3,645 evictions, 7.6k and 9.2k tokens/s (its own iteration times).
    assert 2000 < found.segregated.evictions < 5000
    assert found.segregated.recomputed_tokens > 64 * found.segregated.evictions
    gain = found.mixed.tokens_per_second / found.segregated.tokens_per_second
    assert 1.1 < gain < 1.4


@pytest.fixture(scope="module")
def grid():
    return mixing_map(REPLICA, [(64, 512), (512, 64)], requests=1500)


def test_mixing_helps_between_the_two_borders(grid):
    # Away from the borders, where arrivals that fluctuate do not decide.
    helps = (grid.worst_replica > 1.2) & (grid.loads[:, None] < 0.8)
    assert (helps <= (grid.can_help == 1)).all()
    long_is_full = helps & (grid.shares[None, :] > 0.5)
    assert long_is_full.any()
    assert (grid.segregated[long_is_full] > 0.5).all()
    assert (grid.mixed[long_is_full] < 0.25 * grid.segregated[long_is_full]).all()
    gain = grid.mixed_tokens_per_second / grid.segregated_tokens_per_second
    assert (gain[long_is_full] > 1.05).all()


def test_with_room_on_both_neither_evicts(grid):
    room = np.broadcast_to(grid.worst_replica < 0.6, grid.mixed.shape)
    assert room.any()
    assert (grid.segregated[room] < 0.01).all()
    assert (grid.mixed[room] < 0.01).all()


def test_above_saturation_mixing_cannot_prevent_evictions(grid):
    full = grid.loads > 1
    assert full.any()
    assert (grid.mixed[full] > 0.05).all()
    assert not grid.can_help[full].any()


@pytest.mark.parametrize(
    ("classes", "options", "field"),
    [
        ([(64, 512)], {}, "classes"),
        ([(64, 512), (64, 512)], {}, "classes"),
        ([(64, 512), (512, 64)], {"shares": [1.0]}, "shares"),
        ([(64, 512), (512, 64)], {"loads": [0.0]}, "loads"),
        ([(64, 512), (512, 64)], {"requests": 0}, "requests"),
    ],
)
def test_bad_options_are_named(classes, options, field):
    with pytest.raises(InputError) as error:
        mixing_map(REPLICA, classes, **options)
    assert error.value.field == field
