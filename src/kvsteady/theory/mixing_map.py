"""Where mixing two classes stabilises, drawn over prompts and lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvsteady.arrays import FloatArray, IntArray, frozen_floats, frozen_ints
from kvsteady.errors import InputError
from kvsteady.model.system import MAX_KV_TOKENS, System
from kvsteady.progress import Progress, silent
from kvsteady.theory.mixing import mixing
from kvsteady.workload.law import Workload
from kvsteady.workload.ranges import MAX_PROMPT, whole_number


@dataclass(frozen=True, eq=False)
class MixingMap:
    """Mixing one class with another, over common prompts and the other's output length.

    All arrays but the axes have shape ``(prompts, outputs)``; shares are equal.

    Attributes
    ----------
    output
        Output length of the first class.
    prompts, outputs
        The axes: common prompt lengths, and output lengths of the second class.
    radius
        Spectral radius of the mix.
    roots_outside
        −1 where floating point cannot tell.
    mixed_loss, segregated_loss
        Share of output tokens lost under `Eviction.RESTART`, fluid.
    gcd
        Of the two outputs, shape ``(outputs,)``.
    """

    output: int
    prompts: IntArray
    outputs: IntArray
    radius: FloatArray
    roots_outside: IntArray
    mixed_loss: FloatArray
    segregated_loss: FloatArray
    gcd: IntArray


def mixing_map(
    output: int,
    prompts: Sequence[int],
    outputs: Sequence[int],
    *,
    requests: int = 50,
    seed: int = 0,
    progress: Progress = silent,
) -> MixingMap:
    """Spectra and losses over a grid of prompts and second outputs.

    Parameters
    ----------
    output
        Output length of the first class.
    prompts, outputs
        Common prompt lengths; output lengths of the second class.
    requests
        x* of each replica. The fluid model does not depend on it.

    Raises
    ------
    InputError
        A length out of range, or more memory than a system may have.
    """
    requests = whole_number(requests, "requests", 1, MAX_PROMPT)
    shape = (len(prompts), len(outputs))
    radius, mixed, apart = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    outside = np.zeros(shape, dtype=np.int64)
    for i, prompt in enumerate(prompts):
        for j, other in enumerate(outputs):
            progress(i * len(outputs) + j, len(prompts) * len(outputs))
            pair = [filled(prompt, length, requests) for length in (output, other)]
            found = mixing(pair, resume=False, seed=seed)
            modes = found.mixed[0].spectrum
            radius[i, j], mixed[i, j] = modes.radius, found.mixed_loss
            outside[i, j] = -1 if modes.roots_outside is None else modes.roots_outside
            apart[i, j] = found.segregated_loss
    axes = frozen_ints(prompts), frozen_ints(outputs)
    grids = (frozen_floats(grid) for grid in (radius, mixed, apart))
    sizes, mixed_loss, apart_loss = grids
    common = frozen_ints(np.gcd(output, axes[1]))
    return MixingMap(output, *axes, sizes, frozen_ints(outside), mixed_loss, apart_loss, common)


def filled(prompt: int, output: int, requests: int) -> System:
    """One class on so much memory that x* is ``requests``, a whole number, exactly."""
    load = Workload.fixed(prompt, output)
    tokens = requests * (output * prompt + output * (output + 1) // 2)
    if tokens > MAX_KV_TOKENS:
        raise InputError(f"{tokens:,} tokens", field="requests", allowed="fewer requests")
    return System(load, tokens)
