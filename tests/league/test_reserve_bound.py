"""What SGLang's room for max_tokens leaves of memory, by the script behind docs/league.md."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from kvsteady.league.workloads import CONTESTS

SCRIPT = Path(__file__).parents[2] / "scripts" / "reserve_bound.py"


def test_each_of_a_batch_takes_its_max_tokens_a_page_and_half_a_prompt_off() -> None:
    spec = importlib.util.spec_from_file_location("reserve_bound", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script  # dataclasses look there
    spec.loader.exec_module(script)
    # 128 tokens of prompt, told 2,048, 131,072 tokens of memory.
    assert script.share_held(CONTESTS["geometric"], 4) == pytest.approx(1 - 4 * 2113 / 131_072)
    # Told nothing: 4,096. Prompts of 1,155 on average.
    told = script.share_held(CONTESTS["azure-untold"], 1)
    assert told == pytest.approx(1 - (1155 / 2 + 4097) / 131_072, abs=1e-4)
