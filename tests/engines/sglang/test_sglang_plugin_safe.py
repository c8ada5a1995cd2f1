"""Whatever goes wrong, and whatever SGLang is asked to do besides, it goes on as it would alone."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import pytest

from kvsteady.plugins import Settings
from kvsteady.plugins.sglang import supported
from kvsteady.plugins.sglang.hooks import guard_of

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.drive import Scheduler
from engines.sglang.plugged import HOOKED, Arrival, Driver, Knobs, guard, plugged, saturate

KNOBS = Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True)
FIXED = [Arrival(0, 20, 40, 40)] * 3000
LOG = "kvsteady.plugins"


def stock(steps: int) -> list[Any]:
    return saturate(Driver(KNOBS), FIXED, steps).steps


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == LOG and r.levelno > logging.INFO]


# -- where nobody asks ---------------------------------------------------------------------------


def test_installed_but_not_asked_for_it_hooks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    before = {name: Scheduler.__dict__[name] for name in HOOKED}
    with plugged(), caplog.at_level(logging.INFO, LOG):
        assert before == {name: Scheduler.__dict__[name] for name in HOOKED}
    assert caplog.messages == []


def test_sglang_finds_it_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Path(__file__).parents[3] / "pyproject.toml"
    points = tomllib.loads(file.read_text("utf-8"))["project"]["entry-points"]
    [(name, value)] = points["sglang.srt.plugins"].items()
    plugins = import_module("sglang.srt.plugins")
    point = metadata.EntryPoint(name, value, "sglang.srt.plugins")
    monkeypatch.setattr(
        plugins, "entry_points", lambda group: [point] if "plugins" in group else []
    )
    found = plugins.load_plugins_by_group("sglang.srt.plugins")
    assert found == {"kvsteady": (import_module("kvsteady.plugins.sglang").plugin, None)}


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "text"),
    [({"policy": "steddy"}, "no policy 'steddy'"), ({"mode": "on"}, "'on'")],
)
def test_wrong_settings_are_one_line(
    environment: dict[str, str], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with plugged(**environment):
        found = saturate(Driver(KNOBS), FIXED, 60).steps
    assert found == stock(60)
    [line] = lines(caplog)
    assert text in line


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("VERSIONS", ("0.4.0",)), "SGLang 0.5.23 is not one of those it knows (0.4.0)"),
        (("_CALLED", {f"{supported.ADDER}.gone": ("self",)}), "has no PrefillAdder.gone"),
        (("_CALLED", {f"{supported.ADDER}.add_one_req": ("self", "r")}), "takes ['self', 'req']"),
    ],
)
def test_an_unknown_version_is_left_alone(
    change: tuple[str, Any],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(supported, *change)
    before = {name: Scheduler.__dict__[name] for name in HOOKED}
    with plugged(policy="steady"):
        assert before == {name: Scheduler.__dict__[name] for name in HOOKED}
    [line] = lines(caplog)
    assert text in line


def test_of_the_version_installed_all_is_there() -> None:
    assert supported.why_not_version() is None


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("require_mlp_sync", True, "DP attention is a mode"),
        ("prefill_delayer", object(), "prefill delayer"),
        ("is_hybrid_swa", True, "sliding-window"),
        ("enable_hierarchical_cache", True, "hierarchical cache"),
        ("max_total_num_tokens", None, "TypeError"),
    ],
)
def test_modes_are_left_alone(
    name: str, value: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Driver(KNOBS).scheduler
    setattr(scheduler, name, value)
    for _ in range(2):
        assert guard_of(scheduler, Settings(policy="rate-cap:rate=1")) is None
    [line] = lines(caplog)
    assert text in line


def test_disaggregated_engines_are_left_alone() -> None:
    scheduler = Driver(KNOBS).scheduler
    modes = type(scheduler.disaggregation_mode)
    for mode in (modes.PREFILL, modes.DECODE):
        scheduler.disaggregation_mode = mode
        assert "disaggregated" in (supported.why_not_mode(scheduler) or "")
    scheduler.disaggregation_mode = modes.NULL
    assert supported.why_not_mode(scheduler) is None


def broken(*_: Any, **__: Any) -> Any:
    raise RuntimeError("broken on purpose")


def fail(driver: Driver, where: str) -> None:
    regulator, residents = guard(driver).regulator, guard(driver)._residents
    if where == "slow":
        seconds = iter(range(10**9))
        regulator._clock = lambda: float(next(seconds))
    elif where == "policy":
        regulator.room_for = broken
    else:
        setattr(residents, where, broken)


@pytest.mark.parametrize("where", ["policy", "slow", "look", "admit"])
def test_after_a_failure_decisions_are_the_engines_own(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    driver = Driver(KNOBS)
    with plugged(policy="rate-cap:rate=0.8", budget_ms="900"):
        regulated = saturate(driver, FIXED, 101).steps
        fail(driver, where)
        rest = saturate(driver, FIXED, 200).steps
    [line] = lines(caplog)
    assert "steps aside" in line
    # It limits until it failed: a slow policy to the eighth time, one that cannot take down what
    # it did to its next admission.
    kinds = [step.kind for step in rest]
    limited = {"slow": 7, "admit": kinds.index("prefill") + 1}.get(where, 0)
    again = Driver(KNOBS)
    with plugged(policy="rate-cap:rate=0.8", budget_ms="900"):
        expected = saturate(again, FIXED, 101 + limited).steps
    expected += saturate(again, FIXED, 200 - limited).steps
    assert regulated + rest == expected


# -- what else SGLang does -----------------------------------------------------------------------


def test_two_ranks_decide_alike() -> None:
    """Fed alike they step alike, though one of them is slow and their clocks differ."""
    requests = [
        Arrival(0, random.Random(i).randint(5, 60), random.Random(-i).randint(5, 80), 80)
        for i in range(2000)
    ]
    seen = []
    for late in (0.0, 1e6):
        driver = Driver(KNOBS)
        driver.scheduler.tp_size = 2
        with plugged(policy="steady", budget_ms="0.000001"):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("time.monotonic", lambda late=late: late)
                seen.append(saturate(driver, requests, 400).steps)
            assert guard(driver).regulator.why_aside is None
    assert seen[0] == seen[1]


def test_a_policy_by_the_second_is_refused_on_several_ranks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driver = Driver(KNOBS)
    driver.scheduler.tp_size = 2
    with plugged(policy="rate-cap:per_second=5"):
        found = saturate(driver, FIXED, 60).steps
    assert found == stock(60)
    [line] = lines(caplog)
    assert "own clock" in line


def everything_ended(driver: Driver) -> bool:
    scheduler = driver.scheduler
    return not scheduler.waiting_queue and scheduler.running_batch.is_empty()


@pytest.mark.parametrize("radix", [False, True])
def test_aborted_requests_go_and_the_others_complete(radix: bool) -> None:
    requests = FIXED[:400]
    knobs = Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=not radix)
    abort = import_module("sglang.srt.managers.io_struct").AbortReq
    rng, gone = random.Random(5), set()
    with plugged(policy="steady"):
        driver = Driver(knobs)
        finished: list[int] = []
        for request in requests:
            driver.add(request)
        for step in range(3000):
            taken = driver.step()
            finished += taken.finished
            if step % 7 == 0:
                here = [*taken.running[:1], *taken.waiting[-1:]]
                here = [n for n in here if n >= 100]  # SGLang aborts by the beginning of a name
                for number in here[: rng.randint(0, 2)]:
                    driver.scheduler.abort_request(abort(rid=str(number)))
                    gone.add(number)
            if everything_ended(driver):
                break
        regulator = guard(driver).regulator
    assert everything_ended(driver)
    assert regulator.why_aside is None
    assert set(finished) | gone == set(range(400))
    assert len(gone) > 20
    assert (
        driver.scheduler.token_to_kv_pool_allocator.available_size()
        + (driver.scheduler.tree_cache.evictable_size())
        == 1620
    )


def test_priorities_go_first_and_within_one_the_order_holds() -> None:
    knobs = Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True)
    with plugged(policy="rate-cap:rate=1"):
        driver = Driver(knobs)
        prioritised(driver)
        for number in range(300):
            driver.add(Arrival(0, 20, 40, 40))
            driver.scheduler.waiting_queue[-1].priority = number % 3
        order: list[int] = []
        while not everything_ended(driver):
            taken = driver.step()
            if taken.kind == "prefill":
                order += [number for number, _ in taken.tokens]
        assert guard(driver).regulator.why_aside is None
    assert order == [n for priority in (2, 1, 0) for n in range(300) if n % 3 == priority]


def prioritised(driver: Driver) -> None:
    scheduler = driver.scheduler
    scheduler.enable_priority_scheduling = True
    scheduler.policy.enable_priority_scheduling = True
    scheduler.policy.priority_sign = -1


def test_where_as_many_run_as_may_a_higher_priority_still_takes_a_place() -> None:
    """SGLang's preemption: it is no admission more, and the policy does not stand in its way."""
    knobs = Knobs(tokens=1620, max_running_requests=8, disable_radix_cache=True)
    with plugged(policy="max-active:requests=8"):
        driver = Driver(knobs)
        prioritised(driver)
        driver.scheduler.enable_priority_preemption = True
        for _ in range(20):
            driver.add(Arrival(0, 20, 100, 100))
            driver.scheduler.waiting_queue[-1].priority = 0
        for _ in range(6):
            taken = driver.step()
        assert (len(taken.running), guard(driver).quota) == (8, 0)
        driver.add(Arrival(0, 20, 10, 10))
        driver.scheduler.waiting_queue[-1].priority = 5
        taken = driver.step()
        assert dict(taken.tokens) == {20: 20}
        assert len(taken.running) == 8
        driver.step()
        ledger = guard(driver).regulator.ledger
        assert (ledger.evicted, ledger.admitted, ledger.resumed) == (1, 9, 0)


def test_without_a_class_that_admits_sglangs_own_does(caplog: pytest.LogCaptureFixture) -> None:
    driver = Driver(KNOBS)
    with plugged(policy="rate-cap:rate=0.8"):
        made = guard_of(driver.scheduler, Settings(policy="rate-cap:rate=0.8"))
        setattr(made, "adder", broken)  # noqa: B010 - a method
        found = saturate(driver, FIXED, 100).steps
    assert found == stock(100)
    [line] = lines(caplog)
    assert "RuntimeError: broken on purpose" in line


def test_what_fails_in_the_middle_of_a_pass_lets_go_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    knobs = Knobs(tokens=1620, max_running_requests=8, disable_radix_cache=True)
    driver = Driver(knobs)
    prioritised(driver)
    driver.scheduler.enable_priority_preemption = True
    with plugged(policy="max-active:requests=3"):
        for _ in range(20):
            driver.add(Arrival(0, 20, 40, 40))
            driver.scheduler.waiting_queue[-1].priority = 0
        assert len(driver.step().running) == 3
        asked = driver.scheduler.get_num_allocatable_reqs

        def fails_us(*about: Any, **named: Any) -> int:
            if sys._getframe(1).f_code.co_name == "may_preempt":
                broken()
            return int(asked(*about, **named))

        driver.scheduler.get_num_allocatable_reqs = fails_us
        assert len(driver.step().running) == 8
    [line] = lines(caplog)
    assert "RuntimeError: broken on purpose" in line


def test_metrics_that_fail_are_given_up_and_no_rank_parts_from_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with plugged(policy="rate-cap:rate=0.8"):
        found = saturate(Driver(KNOBS), FIXED, 200).steps
        driver = Driver(KNOBS)
        driver.scheduler.metrics_reporter.enable_metrics = True
        steps = saturate(driver, FIXED, 50).steps
        guard(driver)._metrics._gauges = {}
        steps += saturate(driver, FIXED, 150).steps
        assert guard(driver).regulator.why_aside is None
    [line] = lines(caplog)
    assert "keeps no more metrics: KeyError" in line
    assert steps == found


def test_metrics_are_where_sglangs_own_are(tmp_path: Path) -> None:
    """SGLang's processes write to a folder, and its web server reads them there."""
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
    }
    code = """
from engines.sglang.plugged import *
with plugged(policy="rate-cap:rate=0.8"):
    driver = Driver(Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True))
    driver.scheduler.metrics_reporter.enable_metrics = True
    run = saturate(driver, [Arrival(0, 20, 40, 40)] * 3000, 161)
    print(run.count("finished"))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    code = """
import prometheus_client, sys
from prometheus_client import multiprocess
registry = prometheus_client.CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
sys.stdout.write(prometheus_client.generate_latest(registry).decode())
"""
    read = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    values = {
        line.split("{")[0]: float(line.rsplit(" ", 1)[1])
        for line in read.stdout.splitlines()
        if line.startswith("kvsteady_")
    }
    assert 'policy="rate-cap:rate=0.8"' in read.stdout
    assert values["kvsteady_active"] == 1
    assert values["kvsteady_evicted_total"] == 0
    assert 0 < values["kvsteady_completed_total"] <= int(done.stdout)
