"""Routers: one small file each; `kvsteady.simulate.fleet.router` says how to write one."""

from kvsteady.simulate.fleet.router import Router
from kvsteady.simulate.fleet.routers.by_class import ByClass
from kvsteady.simulate.fleet.routers.least_kv import LeastKv
from kvsteady.simulate.fleet.routers.least_requests import LeastRequests
from kvsteady.simulate.fleet.routers.mixed import Mixed
from kvsteady.simulate.fleet.routers.power_of_two import PowerOfTwo
from kvsteady.simulate.fleet.routers.prefix_affinity import PrefixAffinity
from kvsteady.simulate.fleet.routers.random import Random
from kvsteady.simulate.fleet.routers.round_robin import RoundRobin
from kvsteady.simulate.fleet.routers.session_affinity import SessionAffinity

ROUTERS: dict[str, type[Router]] = {
    "round-robin": RoundRobin,
    "random": Random,
    "least-requests": LeastRequests,
    "least-kv": LeastKv,
    "power-of-two": PowerOfTwo,
    "session-affinity": SessionAffinity,
    "prefix-affinity": PrefixAffinity,
    "by-class": ByClass,
    "mixed": Mixed,
}
"""By the name that the command line uses; each can be made without arguments."""

__all__ = [
    "ROUTERS",
    "ByClass",
    "LeastKv",
    "LeastRequests",
    "Mixed",
    "PowerOfTwo",
    "PrefixAffinity",
    "Random",
    "RoundRobin",
    "SessionAffinity",
]
