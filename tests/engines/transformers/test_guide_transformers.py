"""docs/guides/transformers.md: its blocks run against the real engine, and say what they say."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engines.transformers.plugged import plugin  # skips where the engine is not installed

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "transformers.md"


@pytest.fixture
def hurried_machine(monkeypatch):
    """Settings as in the guide, but for the budget: the machine may be busy."""
    configure, attach = plugin.configure, plugin.attach
    monkeypatch.setattr(plugin, "configure", lambda **given: configure(budget_ms=1e9, **given))
    monkeypatch.setattr(
        plugin, "attach", lambda where, **given: attach(where, budget_ms=1e9, **given)
    )


def scraped(name: str, **labels: str) -> float:
    """A metric in the process's default registry, brought up to date every 16 batches."""
    prometheus = pytest.importorskip("prometheus_client")
    known = {"engine": "transformers", "rank": "0", "policy": "steady"} | labels
    return prometheus.REGISTRY.get_sample_value(f"kvsteady_{name}", known) or 0.0


def test_the_blocks_run(hurried_machine, caplog, capsys):
    del hurried_machine
    caplog.set_level(logging.WARNING, "kvsteady.plugins")
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text("utf-8"), re.DOTALL | re.M)
    assert len(blocks) == 4
    known: dict[str, object] = {}
    exec(blocks[0], known)
    ledger = known["regulator"].ledger
    assert known["served"] == 200
    assert ledger.evicted > 20  # the engine's own rule
    assert ledger.held_back > 0
    assert re.search(r"would have put off [\d,]+ of [\d,]+ admissions", capsys.readouterr().out)
    assert scraped("evicted_total", mode="shadow") > 20
    exec(blocks[1], known)
    assert known["served"] == 200
    assert known["regulator"].ledger.evicted == 0
    assert known["regulator"].ledger.completed == 200
    exec(blocks[2], known)
    processor = known["manager"].batch_processor
    assert type(processor.scheduler).__name__ == "SteadyFIFOScheduler"
    exec(blocks[3], known)
    assert type(processor.scheduler).__name__ == "FIFOScheduler"
    assert len(known["rest"]) == 199
    assert all(len(result.generated_tokens) == 32 for result in known["rest"])
    assert not [each for each in caplog.records if each.name == "kvsteady.plugins"]


def test_the_command_reaches_the_engines_own():
    assert "python -m kvsteady.plugins.transformers serve MODEL" in GUIDE.read_text("utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "kvsteady.plugins.transformers", "serve", "--help"],
        env=os.environ | {"KVSTEADY_MODE": "shadow"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--continuous-batching" in done.stdout


def test_the_variables_are_those_that_are_read():
    from kvsteady.plugins.settings import Settings

    named = set(re.findall(r"`KVSTEADY_([A-Z_]+)`", GUIDE.read_text("utf-8")))
    assert {each.lower() for each in named} == set(Settings.__struct_fields__)
