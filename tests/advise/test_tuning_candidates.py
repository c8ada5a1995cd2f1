"""What a tuning tries, how it is written down, and that a worker plays the same."""

from __future__ import annotations

import json
import shlex

import msgspec
import pytest
from tuning_cases import SECOND, STOCK, TINY, on_vllm

from kvsteady.admission import Setup
from kvsteady.advise import OnEngine, TuningProblem
from kvsteady.advise.tuning.candidates import candidates
from kvsteady.advise.tuning.paste import pasted
from kvsteady.advise.tuning.record import Measured
from kvsteady.advise.tuning.runs import setting_of
from kvsteady.advise.tuning.trial import Trial, trial_of
from kvsteady.model import System
from kvsteady.plugins import read_settings, settings_of_environment
from kvsteady.policies import Wait, policy_of
from kvsteady.simulate.engines.sglang import Sglang
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.workload import preset


def test_what_is_pasted_is_what_the_plugins_read() -> None:
    change = Measured("wait:batch=4,rate=0.65", "wait", "policy", "ran", None, ())
    flags = pasted("vllm-0.32.0", change).partition("--additional-config ")[2]
    settings = read_settings(json.loads(shlex.split(flags)[0])["kvsteady"])
    for engine in ("sglang-0.5.23", "transformers-5.23.0"):
        name, _, value = shlex.split(pasted(engine, change))[0].partition("=")
        assert settings_of_environment({name: value}) == settings
    assert settings.make_policy() == Wait(batch=4, rate=0.65)
    assert pasted("vidur-vllm-7d47513", change) == "# policy: wait:batch=4,rate=0.65"
    flag = Measured("--watermark 0.05", "--watermark", "flags", "ran", None, ())
    assert pasted("vllm-0.32.0", flag) == "--watermark 0.05"


def test_every_policy_that_is_tried_runs_where_nobody_knows_the_workload() -> None:
    # As in a real engine.
    problem = on_vllm(TINY, SECOND, STOCK)
    made = [each.made(problem.system) for each in candidates(problem, "full")]
    names = [setting_of("vllm", change) for change in made if change.policy]
    assert {name.partition(":")[0] for name in names} == {"rate-cap", "wait", "steady"}
    for name in names:
        policy = policy_of(name)
        assert not policy.oracle
        policy.start(Setup(960, 1, workload=None))


@pytest.mark.parametrize("place", range(5))
def test_a_worker_plays_the_very_trial(place: int) -> None:
    # A flag, a policy with whole and real constants, one without: nothing changes its type.
    problem = on_vllm(System(preset("chat"), 20_000), of_capacity=0.9)
    change = [each.made(problem.system) for each in candidates(problem, "quick")][2 * place - 1]
    trial = trial_of(problem, problem.system, change, effort="quick", seed=3)
    sent = msgspec.json.decode(msgspec.json.encode(trial), type=Trial)
    assert sent == trial
    assert repr(sent) == repr(trial)


def test_no_candidate_is_what_there_is_now_or_there_twice() -> None:
    for engine in (STOCK, Vllm(watermark=0.05, max_num_seqs=25), Sglang()):
        problem = TuningProblem(TINY, OnEngine(engine, SECOND, "a second"))
        for effort in ("quick", "full"):
            made = [each.made(problem.system) for each in candidates(problem, effort)]
            changes = [
                (
                    tuple((n, v) for n, v in each.options if problem.options[n] != v),
                    each.policy,
                    each.constants,
                )
                for each in made
            ]
            assert len(set(changes)) == len(changes)
            assert ((), "", ()) not in changes
