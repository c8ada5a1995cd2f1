"""With the same policy the real scheduler and the simulated one take every decision alike."""

from __future__ import annotations

import pytest

from vllm_runs import by_request, drawn, drawn_sharing, kernel_steps

pytest.importorskip("vllm.v1", reason="vLLM is not installed: tests/engines/requirements")

import vllm

from engines.vllm.plugged import audited, plugged, steps_of
from kvsteady.plugins.vllm.versions import TESTED
from kvsteady.policies.named import policy_of

VERSION = vllm.__version__.split("+")[0]
STEPS = 500
SEEDS = range(10)
# With a prefix cache each policy needs a kernel of its own, which takes half a minute to compile.
SIMULATED = [
    *((drawn, policy) for policy in ("steady", "max-active:requests=7", "no-evict", "aimd")),
    (drawn, "new-token-ratio:initial=0.5"),
    (drawn, "kv-watermark:watermark=0.2"),
    (drawn, "rate-cap:rate=1.3"),
    # `steady` looks at what requests share, of which the plug-in looks up a few in each iteration.
    (drawn_sharing, "max-active:requests=7"),
    (drawn_sharing, "no-evict"),
]


@pytest.mark.parametrize("asynchronous", [False, True], ids=["synchronous", "asynchronous"])
@pytest.mark.parametrize(("make", "policy"), SIMULATED)
def test_simulator_and_engine_decide_alike(make, policy, asynchronous, tmp_path, compared):
    limited = 0
    for seed in SEEDS:
        case = make(seed, async_scheduling=asynchronous, version=VERSION)
        driver = plugged(tmp_path, case, policy)
        audit = audited(driver)
        real = [by_request(case, step) for step in steps_of(driver, case, STEPS)]
        regulator = driver.scheduler.kvsteady.regulator
        assert regulator.why_aside is None
        assert audit.looks > 0
        # Where the plug-in overrules its policy, so that nobody waits for ever, they would differ.
        assert regulator.ledger.overruled == 0
        simulated = kernel_steps(case, STEPS, policy=policy_of(policy))
        for number, (step, wanted) in enumerate(zip(simulated, real, strict=True)):
            assert step == wanted, f"seed {seed}, iteration {number}: {case.knobs}"
        limited += regulator.ledger.limited
        compared(
            f"vllm-{VERSION}, with the plug-in, {policy}",
            configurations=1,
            steps=STEPS,
            limited=regulator.ledger.limited,
        )
    assert limited > STEPS  # the policy had something to say


def test_the_version_is_one_of_those_supported():
    assert VERSION in TESTED
