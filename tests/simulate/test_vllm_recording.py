"""The kernel against recorded decisions of vLLM 0.32.0 (see `engines/vllm/record.py`)."""

from __future__ import annotations

import json

import pytest

from reference.engines.vllm import Arrival, Knobs, Step
from vllm_runs import RECORDING, Case, by_request, kernel_steps, plain_steps

RUNS = json.loads(RECORDING.read_text())


def case_of(run) -> Case:
    knobs = Knobs(**run["knobs"])
    arrivals = tuple(
        Arrival(**{**arrival, "token_ids": tuple(arrival["token_ids"])})
        for arrival in run["arrivals"]
    )
    return Case(knobs, run["blocks"], run["block"], arrivals, run["prefix_caching"])


def steps_of(run) -> list[Step]:
    return [Step(*map(_tuples, step)) for step in run["steps"]]


def _tuples(field):
    return tuple(map(_tuples, field)) if isinstance(field, list) else field


@pytest.mark.parametrize("number", range(len(RUNS)))
def test_the_kernel_decides_as_recorded(number):
    case, steps = case_of(RUNS[number]), steps_of(RUNS[number])
    assert sum(len(step.preempted) for step in steps) > 3
    assert sum(len(step.finished) for step in steps) > 10
    for at, (step, real) in enumerate(
        zip(kernel_steps(case, len(steps), check=True), steps, strict=True)
    ):
        assert step == by_request(case, real), f"iteration {at}"


@pytest.mark.parametrize("number", range(len(RUNS)))
def test_the_reference_decides_as_recorded(number):
    case, steps = case_of(RUNS[number]), steps_of(RUNS[number])
    if case.prefix_caching and case.knobs.async_scheduling:
        pytest.skip("the plain prefix pool does not know of tokens that are on their way")
    assert plain_steps(case, len(steps)) == steps
