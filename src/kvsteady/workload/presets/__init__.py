"""Bundled workloads: two measured length tables and four synthetic ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np

from kvsteady.errors import InputError, shown
from kvsteady.workload.distributions import Lengths, independent
from kvsteady.workload.law import Workload


@dataclass(frozen=True)
class Preset:
    """A bundled workload: what it stands for, and how it is built."""

    about: str
    build: Callable[[], Workload]


def _measured(table: str, *notes: str) -> Workload:
    rows = np.loadtxt(
        files(__package__).joinpath(table).read_text("utf-8").splitlines()[1:],
        delimiter=",",
        dtype=np.int64,
    )
    return Workload.from_counts(*rows.T, random=True, notes=notes)


def _azure_conv() -> Workload:
    return _measured(
        "azure_conv.csv",
        "derived from the Azure Public Dataset, Microsoft, CC-BY-4.0; prompts binned",
    )


def _mooncake_conv() -> Workload:
    return _measured(
        "mooncake_conv.csv",
        "derived from the traces of kvcache-ai/Mooncake, Apache-2.0",
        "shared prefixes are not modelled: every prompt counts in full",
    )


PRESETS = {
    "azure-conv": Preset(
        "Azure 2023 conversations: measured lengths, 19,366 requests (CC-BY-4.0)", _azure_conv
    ),
    "mooncake-conv": Preset(
        "Mooncake conversations: measured lengths, 12,031 requests (Apache-2.0)", _mooncake_conv
    ),
    "fixed-batch": Preset(
        "a batch job: prompt 128, always 512 output tokens (ignore_eos)",
        lambda: Workload.fixed(128, 512),
    ),
    "three-tiers": Preset(
        "prompt 256, outputs 128, 256 or 512 in equal shares",
        lambda: Workload.classes([(256, 128), (256, 256), (256, 512)]),
    ),
    "rl-rollouts": Preset(
        "RL rollouts: prompt 200, log-normal outputs (median 600, sigma 1) cut at 2,048",
        lambda: independent(Lengths.fixed(200), Lengths.lognormal(600, 1.0), max_tokens=2048),
    ),
    "chat": Preset(
        "short-prompt chat: prompts 20–400 uniform, geometric outputs (mean 180) cut at 1,024",
        lambda: independent(Lengths.uniform(20, 400), Lengths.geometric(180.0), max_tokens=1024),
    ),
}


def preset(name: str) -> Workload:
    """Return the bundled workload of that name.

    Raises
    ------
    InputError
        No preset of that name.
    """
    if name not in PRESETS:
        raise InputError(f"no preset {shown(name)}", field="preset", allowed=", ".join(PRESETS))
    return replace(PRESETS[name].build(), name=name)
