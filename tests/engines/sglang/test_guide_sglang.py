"""The guide's commands, without a server (one is started in `test_whole_server_sglang.py`).

Variables and flags are read as SGLang and the plug-in read them, and what is looked for in the
metrics is there.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from importlib import import_module, metadata
from pathlib import Path

import pytest

from kvsteady.plugins import settings_of_environment

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.plugged import Scheduler, plugged

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guides" / "sglang.md").read_text("utf-8")
COMMANDS = re.findall(r"^\$ (.*)$", GUIDE, re.MULTILINE)
STARTS = [command for command in COMMANDS if "launch_server" in command]
LOOKS = [command for command in COMMANDS if command.startswith("curl")]


def test_every_command_is_one_that_is_tested() -> None:
    assert len(STARTS) == 3
    assert len(LOOKS) == 2
    assert sorted(COMMANDS) == sorted(STARTS + LOOKS)


@pytest.mark.parametrize("command", STARTS)
def test_sglang_and_the_plug_in_read_a_start(command: str) -> None:
    words = shlex.split(command)
    variables = dict(word.split("=", 1) for word in words if word.startswith("KVSTEADY_"))
    flags = words[words.index("sglang.launch_server") + 1 :]
    parser = argparse.ArgumentParser()
    import_module("sglang.srt.server_args").ServerArgs.add_cli_args(parser)
    given = parser.parse_args(flags)
    assert given.model_path == "MODEL"
    assert given.enable_metrics
    settings = settings_of_environment(variables)
    assert settings.policy == "steady"
    assert settings.mode == ("shadow" if "shadow" in command else "enforce")
    before = Scheduler.__dict__["get_next_batch_to_run"]
    names = {name.removeprefix("KVSTEADY_").lower(): value for name, value in variables.items()}
    with plugged(**names):
        hooked = Scheduler.__dict__["get_next_batch_to_run"] is not before
    assert hooked == bool(variables)


RUN = """
from unittest.mock import Mock
from engines.sglang.plugged import *
with plugged(policy="greedy"):
    driver = Driver(Knobs(tokens=1620, max_running_requests=300, disable_radix_cache=True))
    reporter = driver.scheduler.metrics_reporter
    reporter.enable_metrics, reporter.metrics_collector = True, Mock()
    saturate(driver, [Arrival(0, 20, 40, 40)] * 3000, 400, queue=10)
import prometheus_client
from prometheus_client import multiprocess
registry = prometheus_client.CollectorRegistry()
multiprocess.MultiProcessCollector(registry)
print(prometheus_client.generate_latest(registry).decode())
"""


def test_what_is_looked_for_is_in_the_metrics(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), *sys.path]),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True
    )
    [command] = [look for look in LOOKS if "kvsteady" in look]
    found = subprocess.run(
        command.split("|", 1)[1],
        shell=True,
        input=done.stdout,
        capture_output=True,
        text=True,
        check=True,
    )
    values = {
        line.split("{")[0]: float(line.rsplit(" ", 1)[1]) for line in found.stdout.splitlines()
    }
    assert set(values) == {
        "kvsteady_evicted_total",
        "kvsteady_recomputed_total",
        "kvsteady_held_back_total",
        "kvsteady_admitted_total",
        "kvsteady_recompute_tax",
    }
    assert values["kvsteady_evicted_total"] > 0
    assert 0 < values["kvsteady_recompute_tax"] < 1
    shown = set(re.findall(r"^(kvsteady_\w+)\{", done.stdout, re.MULTILINE))
    table = re.findall(r"^\| (`kvsteady_.*?) \|", GUIDE, re.MULTILINE)
    told = {
        "kvsteady_" + name.removeprefix("kvsteady_").removeprefix("_")
        for row in table
        for name in re.findall(r"`(\w+)`", row)
    }
    assert told - {"kvsteady_steps_total"} == shown - {"kvsteady_steps_total"}


def test_sglangs_own_metrics_have_the_names_of_the_guide() -> None:
    [command] = [look for look in LOOKS if "sglang:" in look]
    [names] = re.findall(r"\((.*?)\)", command)
    folder = Path(str(metadata.distribution("sglang").locate_file("sglang/srt/observability")))
    text = (folder / "metrics_collector.py").read_text("utf-8")
    for name in names.split("|"):
        # prometheus-client adds _total to counters
        assert f'"sglang:{name.removesuffix("_total")}' in text, name
