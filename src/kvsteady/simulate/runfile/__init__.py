"""A run in a YAML file: what may stand in it, how it is read, and the scenario it describes."""

from kvsteady.simulate.places import Places
from kvsteady.simulate.runfile import schema
from kvsteady.simulate.runfile.build import Found, build
from kvsteady.simulate.runfile.read import read_run, read_scenario
from kvsteady.simulate.runfile.schema import (
    AiconfiguratorPart,
    AtOncePart,
    BurstPart,
    ClassPart,
    ClosedPart,
    EnginePart,
    GammaPart,
    GoodputPart,
    LinearPart,
    LoadPart,
    MemoryPart,
    PoissonPart,
    PoolPart,
    ReplicaPart,
    RooflinePart,
    RunFile,
    SaturatedPart,
    SessionsPart,
    StopPart,
    TracePart,
    TransferPart,
    WorkloadPart,
)
from kvsteady.simulate.runfile.tree import plain_value

__all__ = [
    "AiconfiguratorPart",
    "AtOncePart",
    "BurstPart",
    "ClassPart",
    "ClosedPart",
    "EnginePart",
    "Found",
    "GammaPart",
    "GoodputPart",
    "LinearPart",
    "LoadPart",
    "MemoryPart",
    "Places",
    "PoissonPart",
    "PoolPart",
    "ReplicaPart",
    "RooflinePart",
    "RunFile",
    "SaturatedPart",
    "SessionsPart",
    "StopPart",
    "TracePart",
    "TransferPart",
    "WorkloadPart",
    "build",
    "plain_value",
    "read_run",
    "read_scenario",
    "schema",
]
