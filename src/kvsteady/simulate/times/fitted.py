"""Iteration times that come with the package, each with its source.

One file in ``fitted/`` per model, GPU and engine: either coefficients, fitted to a recorded
run, or a table.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from os import PathLike
from pathlib import Path

import msgspec

from kvsteady.arrays import frozen_floats
from kvsteady.errors import InputError, shown
from kvsteady.memory import ModelConfig
from kvsteady.simulate.times.form import TimeForm
from kvsteady.simulate.times.linear import LinearTime
from kvsteady.simulate.times.protocol import TabledTime

_FOLDER = files(__package__).joinpath("fitted")

#: What can be asked of `fitted_time`: the model, then the GPU (2x: tensor parallel over two).
FITTED: tuple[str, ...] = tuple(
    sorted(entry.name[:-5] for entry in _FOLDER.iterdir() if entry.name.endswith(".json"))
)


class _Table(msgspec.Struct, forbid_unknown_fields=True):
    prefill: list[float]
    decode: list[float]
    kv: list[float]
    seconds: list[list[list[float]]]


@dataclass(frozen=True)
class Shape:
    """What tells the models of `FITTED` from others, as `ModelConfig` has it."""

    model_type: str
    layers: int
    attention_heads: int
    kv_heads: int
    head_dim: int

    @classmethod
    def of(cls, model: ModelConfig) -> Shape:
        """The shape of a model."""
        heads = model.attention_heads, model.kv_heads, model.head_dim
        return cls(model.model_type, len(model.layers), *heads)

    def __str__(self) -> str:
        return (
            f"{self.model_type} with {self.layers} layers, {self.attention_heads} heads and "
            f"{self.kv_heads} KV heads of {self.head_dim}"
        )


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    gpu: str
    tensor_parallel: int
    engine: str
    source: str
    licence: str
    notes: list[str]
    shape: Shape | None = None
    linear: dict[str, float] | None = None
    table: _Table | None = None


@dataclass(frozen=True)
class FittedTime:
    """Iteration time of one model on one GPU under one engine, as measured.

    Parameters
    ----------
    model, gpu, tensor_parallel, engine
        What was measured, on how many GPUs.
    source, licence
        Where the measurements are from, and under which licence they are published.
    notes
        How good it is, and over which range.
    time
        The coefficients, or the table.
    shape
        Of the model; None where it is not known.
    remarks
        How what it is used for differs from what was measured.
    """

    model: str
    gpu: str
    tensor_parallel: int
    engine: str
    source: str
    licence: str
    notes: tuple[str, ...]
    time: LinearTime | TabledTime
    shape: Shape | None = None
    remarks: tuple[str, ...] = ()

    def form(self) -> TimeForm:
        """That of the coefficients or of the table."""
        return self.time.form()

    def used_for(self, gpus: int | None, model: ModelConfig | None) -> FittedTime:
        """The same, with remarks on how a replica differs from what was measured.

        ``gpus`` is over how many it is split, ``model`` what it serves; None where that is not
        known.
        """
        found = []
        if gpus is not None and gpus != self.tensor_parallel:
            found.append(
                f"measured on {_gpus(self.tensor_parallel)}, while the memory is that of "
                f"{_gpus(gpus)}: only capacity follows the number of GPUs, speed does not"
            )
        if model is not None and self.shape is not None and Shape.of(model) != self.shape:
            found.append(
                f"measured with {self.model} ({self.shape}), while the model is "
                f"{Shape.of(model)}: its own times are others"
            )
        return replace(self, remarks=tuple(found))


def _gpus(count: int) -> str:
    return f"{count} GPU{'s' if count > 1 else ''}"


def fitted_time(name: str) -> FittedTime:
    """Return an iteration time that comes with the package.

    Raises
    ------
    InputError
        If ``name`` is not one of `FITTED`.
    """
    if name not in FITTED:
        raise InputError(f"no times of {shown(name)}", field="time", allowed=", ".join(FITTED))
    return _made(msgspec.json.decode(_FOLDER.joinpath(f"{name}.json").read_bytes(), type=_Entry))


def read_fitted(path: str | PathLike[str]) -> FittedTime:
    """Read an iteration time that `save_fitted` wrote.

    Raises
    ------
    InputError
        The file cannot be read, or holds something else.
    """
    try:
        entry = msgspec.json.decode(Path(path).read_bytes(), type=_Entry)
    except OSError as error:
        raise InputError(error.strerror or "cannot be read", file=path) from None
    except msgspec.DecodeError as error:
        raise InputError(f"no saved iteration time: {error}", file=path) from None
    try:
        return _made(entry)
    except (TypeError, InputError) as error:
        raise InputError(f"no iteration time: {error}", file=path) from None


def save_fitted(time: FittedTime) -> bytes:
    """JSON of an iteration time with coefficients, in the form of those in the package.

    Raises
    ------
    InputError
        A table.
    """
    if not isinstance(time.time, LinearTime):
        raise InputError("a table is not saved", field="time", allowed="coefficients")
    entry = _Entry(
        model=time.model,
        gpu=time.gpu,
        tensor_parallel=time.tensor_parallel,
        engine=time.engine,
        source=time.source,
        licence=time.licence,
        notes=list(time.notes),
        shape=time.shape,
        linear=asdict(time.time),
    )
    return msgspec.json.format(msgspec.json.encode(entry), indent=1) + b"\n"


def _made(entry: _Entry) -> FittedTime:
    return FittedTime(
        model=entry.model,
        gpu=entry.gpu,
        tensor_parallel=entry.tensor_parallel,
        engine=entry.engine,
        source=entry.source,
        licence=entry.licence,
        notes=tuple(entry.notes),
        time=_table(entry.table) if entry.table else LinearTime(**(entry.linear or {})),
        shape=entry.shape,
    )


def _table(table: _Table) -> TabledTime:
    return TabledTime(
        frozen_floats(table.prefill),
        frozen_floats(table.decode),
        frozen_floats(table.kv),
        frozen_floats(table.seconds),
    )
