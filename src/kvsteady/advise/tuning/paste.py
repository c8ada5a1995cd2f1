"""A change as it is pasted where the engine is started."""

from __future__ import annotations

import json
from typing import Final

from kvsteady.advise.tuning.record import Measured

# How the plug-ins of `kvsteady.plugins` are given a policy; "{json}" and "{policy}" are filled in.
_PLUGINS: Final = {
    "vllm": "--scheduler-cls kvsteady.plugins.vllm.SteadyScheduler --additional-config '{json}'",
    "sglang": "KVSTEADY_POLICY={policy} python -m sglang.launch_server …",
    "transformers": "KVSTEADY_POLICY={policy} python -m kvsteady.plugins.transformers serve …",
}


def engine_name(versioned: str) -> str:
    """``vllm`` of ``vllm-0.32.0``."""
    return versioned.rpartition("-")[0] or versioned


def has_plugin(engine: str) -> bool:
    """Whether a running engine of that name can be given a policy."""
    return engine in _PLUGINS


def pasted(versioned: str, change: Measured) -> str:
    """Flags as they are; for a policy the plug-in's, or its name where there is none."""
    if change.how == "flags":
        return change.setting
    engine = engine_name(versioned)
    if not has_plugin(engine):
        return f"# policy: {change.setting}"
    given = json.dumps({"kvsteady": {"policy": change.setting}})
    return _PLUGINS[engine].replace("{json}", given).replace("{policy}", change.setting)
