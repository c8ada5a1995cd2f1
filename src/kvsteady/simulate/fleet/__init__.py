"""Several replicas behind a router, and pools for prefill and decode."""

from kvsteady.simulate.fleet.decode_pool import DecodePool
from kvsteady.simulate.fleet.disaggregated import Pools, run_disaggregated
from kvsteady.simulate.fleet.mixing import Mixing, Served, compare_mixing
from kvsteady.simulate.fleet.mixing_map import MixingMap, mixing_map
from kvsteady.simulate.fleet.replica import Replica
from kvsteady.simulate.fleet.router import Request, Router, View
from kvsteady.simulate.fleet.routers import (
    ROUTERS,
    ByClass,
    LeastKv,
    LeastRequests,
    Mixed,
    PowerOfTwo,
    PrefixAffinity,
    Random,
    RoundRobin,
    SessionAffinity,
)
from kvsteady.simulate.fleet.run import run_fleet
from kvsteady.simulate.fleet.stop import Stop
from kvsteady.simulate.fleet.transfer import Transfer

__all__ = [
    "ROUTERS",
    "ByClass",
    "DecodePool",
    "LeastKv",
    "LeastRequests",
    "Mixed",
    "Mixing",
    "MixingMap",
    "Pools",
    "PowerOfTwo",
    "PrefixAffinity",
    "Random",
    "Replica",
    "Request",
    "RoundRobin",
    "Router",
    "Served",
    "SessionAffinity",
    "Stop",
    "Transfer",
    "View",
    "compare_mixing",
    "mixing_map",
    "run_disaggregated",
    "run_fleet",
]
