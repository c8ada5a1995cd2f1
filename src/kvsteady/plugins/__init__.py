"""Policies in real engines: one adapter per engine around one `Regulator`.

Each adapter is imported by its engine, as ``kvsteady.plugins.vllm`` say; none is imported here, for
none of the engines is a dependency.
"""

from kvsteady.plugins.ledger import Ledger
from kvsteady.plugins.regulator import Regulator
from kvsteady.plugins.settings import Settings, read_settings, settings_of_environment

__all__ = [
    "Ledger",
    "Regulator",
    "Settings",
    "read_settings",
    "settings_of_environment",
]
