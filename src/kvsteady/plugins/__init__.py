"""Policies in real engines: one adapter per engine around one `Regulator`.

Each adapter is imported by its engine, as ``kvsteady.plugins.vllm`` say; none is imported here, for
none of the engines is a dependency.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kvsteady.plugins.ledger import Ledger
    from kvsteady.plugins.regulator import Regulator
    from kvsteady.plugins.settings import Settings, read_settings, settings_of_environment

# Imported on first use: an engine looks into this package wherever it is installed, also where
# nobody asked for a policy, and should not wait for numba then.
_HOME_OF = {
    "Ledger": "ledger",
    "Regulator": "regulator",
    "Settings": "settings",
    "read_settings": "settings",
    "settings_of_environment": "settings",
}

__all__ = [
    "Ledger",
    "Regulator",
    "Settings",
    "read_settings",
    "settings_of_environment",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'kvsteady.plugins' has no attribute {name!r}")
    return getattr(import_module(f"kvsteady.plugins.{_HOME_OF[name]}"), name)
