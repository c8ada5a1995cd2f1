"""When a run ends, if not with its load."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from kvsteady.workload.ranges import real_number, whole_number


@dataclass(frozen=True)
class Stop:
    """A run ends at the first of these, or when every request has left.

    Parameters
    ----------
    seconds
        Simulated time; no iteration starts at or after it.
    iterations
        Of each replica.
    completed
        Requests completed, in all replicas together. Those that complete in the last iteration are
        counted too, and with several replicas those of the last few.

    Raises
    ------
    InputError
        A number out of its range.
    """

    seconds: float = math.inf
    iterations: int | None = None
    completed: int | None = None

    def __post_init__(self) -> None:
        if self.seconds != math.inf:
            real_number(self.seconds, "seconds")
        for name in ("iterations", "completed"):
            value = getattr(self, name)
            if value is not None:
                whole_number(value, name, 1, 2**62)

    @property
    def never(self) -> bool:
        """Whether nothing but the end of the load ends the run."""
        return self.seconds == math.inf and self.iterations is None and self.completed is None

    def put_on(self, clock: Any, replicas: int) -> None:
        """Set a machine's clock to stop; ``completed`` only where it is the only one."""
        clock["stop_time"] = self.seconds
        if self.iterations is not None:
            clock["stop_iteration"] = self.iterations
        if self.completed is not None and replicas == 1:
            clock["stop_completed"] = self.completed
