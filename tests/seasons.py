"""Machines that run for long, and what came of it."""

from __future__ import annotations

from typing import Any

from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.machine import Machine


def roomy_vllm(block_size: int, **options: Any) -> Vllm:
    """A vLLM that memory alone holds back; without a prefix cache and synchronous, if not told."""
    given = {"enable_prefix_caching": False, "async_scheduling": False, **options}
    return Vllm(block_size=block_size, max_num_seqs=4096, max_num_batched_tokens=65_536, **given)


def gains(machine: Machine, iterations: int, *names: str) -> tuple[int, ...]:
    """Run so many iterations; by how much these numbers of the clock grew."""
    before = machine.clock.copy()
    machine.run(iterations)
    return tuple(int(machine.clock[name] - before[name]) for name in names)
