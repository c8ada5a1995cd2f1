"""Engines and times that tunings are tested on."""

from __future__ import annotations

from kvsteady.advise import OnEngine, TuningProblem
from kvsteady.model import System
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.times import LinearTime, fitted_time
from kvsteady.workload import Workload

SECOND = LinearTime(iteration=1.0, prefill=0.0, decode=0.0, kv_read=0.0)
# Every computed token takes as long, and nothing else takes time.
TOKEN = LinearTime(iteration=0.0, prefill=1e-3, decode=1e-3, kv_read=0.0)
TINY = System(Workload.fixed(16, 32), 960)
STOCK = Vllm(block_size=1, enable_prefix_caching=False, async_scheduling=False)
PAGED = Vllm(enable_prefix_caching=False, async_scheduling=False)
H100 = fitted_time("llama-3.1-8b_h100")


def on_vllm(system: System, time=H100, engine=PAGED, **more: object) -> TuningProblem:
    return TuningProblem(system, OnEngine(engine, time, "a model"), **more)
