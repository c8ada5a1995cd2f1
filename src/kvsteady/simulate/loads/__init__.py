"""Where requests come from: one small file per kind of load; see `kvsteady.simulate.load`."""

from kvsteady.simulate.loads.classed import ByLength, Classed, Classes, Listed, Noted
from kvsteady.simulate.loads.closed import Closed
from kvsteady.simulate.loads.mooncake import read_mooncake
from kvsteady.simulate.loads.open_loop import AtOnce, Gamma, Poisson
from kvsteady.simulate.loads.prefix_trace import PrefixTrace
from kvsteady.simulate.loads.recorded import Recorded
from kvsteady.simulate.loads.saturated import Saturated
from kvsteady.simulate.loads.sessions import Sessions
from kvsteady.simulate.loads.together import Together, burst

__all__ = [
    "AtOnce",
    "ByLength",
    "Classed",
    "Classes",
    "Closed",
    "Gamma",
    "Listed",
    "Noted",
    "Poisson",
    "PrefixTrace",
    "Recorded",
    "Saturated",
    "Sessions",
    "Together",
    "burst",
    "read_mooncake",
]
