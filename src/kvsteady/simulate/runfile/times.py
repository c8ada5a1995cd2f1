"""Iteration times of a run file."""

from __future__ import annotations

from pathlib import Path

from kvsteady.errors import InputError
from kvsteady.memory import ModelConfig, read_model_config
from kvsteady.simulate.runfile import schema
from kvsteady.simulate.times import (
    FittedTime,
    LinearTime,
    aiconfigurator_time,
    fitted_time,
    read_fitted,
    roofline,
)
from kvsteady.simulate.times.protocol import IterationTime

#: The iteration time where none is given.
TIME = "llama-3.1-8b_h100"


def scales(given: schema.Times | None) -> bool:
    """Whether the time follows the tensor parallelism that stands beside the memory."""
    return isinstance(given, schema.RooflinePart | schema.AiconfiguratorPart)


def own_time(given: schema.Times | None, memory: schema.MemoryPart, folder: Path) -> IterationTime:
    """The iteration time: by its name, or from figures.

    One that was measured with another model, or on other GPUs than the memory is that of, has
    remarks that say so.
    """
    match given:
        case None | str():
            saved = given is not None and given.endswith(".json")
            found = read_fitted(folder / str(given)) if saved else fitted_time(given or TIME)
            return _compared(found, memory, _model(memory.model, memory, folder))
        case schema.LinearPart():
            return LinearTime(**{name: getattr(given, name) for name in given.__struct_fields__})
        case schema.AiconfiguratorPart():
            return _operators(given, memory, folder)
    model = _model(given.model or memory.model, memory, folder)
    if model is None:
        raise InputError("a roofline needs a model", field="model", allowed="a config.json")
    return roofline(
        model,
        given.gpu,
        tensor_parallel=_first(given.tensor_parallel, memory.tensor_parallel, 1),
        weights=given.weights_memory or memory.weights_memory,
        active_parameters=given.active_parameters,
    )


def _model(path: str | None, memory: schema.MemoryPart, folder: Path) -> ModelConfig | None:
    if path is None:
        return None
    return read_model_config(folder / path, kv_dtype=memory.kv_dtype or "auto")


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)


def _operators(
    part: schema.AiconfiguratorPart, memory: schema.MemoryPart, folder: Path
) -> FittedTime:
    """NVIDIA's operators, added up over a model that the library knows, or that has a folder."""
    home = folder / part.model
    tensor_parallel = _first(part.tensor_parallel, memory.tensor_parallel, 1)
    time = aiconfigurator_time(
        str(home) if home.is_dir() else part.model,
        part.system,
        backend=part.backend,
        backend_version=part.backend_version,
        tensor_parallel=tensor_parallel,
        most_prefill=part.most_prefill,
        most_decode=part.most_decode,
        most_kv=part.most_kv,
    )
    version = part.backend_version or "(newest tables)"
    found = FittedTime(
        model=part.model,
        gpu=part.system,
        tensor_parallel=tensor_parallel,
        engine=f"{part.backend} {version}",
        source="aiconfigurator-core, operators measured by NVIDIA",
        licence="Apache-2.0",
        notes=("operators only: the time of the engine between iterations is not in it",),
        time=time,
    )
    return _compared(found, memory, None)


def _compared(
    found: FittedTime, memory: schema.MemoryPart, model: ModelConfig | None
) -> FittedTime:
    # KV tokens that are given may be those of any number of GPUs.
    counted = memory.kv_tokens is None and memory.gpu_memory is not None
    gpus = (memory.tensor_parallel or 1) * memory.pipeline_parallel if counted else None
    return found.used_for(gpus, model)
