"""A change of how an engine is run: its own options, or a policy that decides in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Option: TypeAlias = bool | int | float | str | None
Options: TypeAlias = tuple[tuple[str, Option], ...]
# A whole number stays one on its way to a worker: kernels are compiled for its type.
Constants: TypeAlias = tuple[tuple[str, int | float], ...]
How: TypeAlias = Literal["flags", "policy"]

# A policy takes a plug-in; one whose constant follows from the workload must also be kept right.
_PLUGIN, _PLUGIN_AND_CONSTANT = 10, 11


@dataclass(frozen=True)
class Change:
    """What to change: options of the engine, or a policy with its constants; nothing if empty."""

    options: Options = ()
    policy: str = ""
    constants: Constants = ()

    @property
    def how(self) -> How:
        """Of which kind it is."""
        return "policy" if self.policy else "flags"

    @property
    def steps(self) -> int:
        """How much it asks for: the fewer the simpler."""
        if not self.policy:
            return len(self.options)
        return _PLUGIN_AND_CONSTANT if self.constants else _PLUGIN
