"""Options that several commands have, and what each of them names."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import Group, Parameter

from kvsteady.errors import InputError, shown
from kvsteady.memory import (
    DEFAULT_OVERHEAD,
    DEFAULT_UTILISATION,
    kv_capacity,
    read_model_config,
)
from kvsteady.progress import Progress
from kvsteady.workload import Workload, independent, parse_lengths, preset
from kvsteady.workload.traces import Columns, read_trace

if TYPE_CHECKING:
    from kvsteady.simulate.runfile import schema
    from kvsteady.sweep import Workers

# In the order in which help shows them.
TRAFFIC: Final = Group("Traffic, one of", sort_key=0)
LOAD: Final = Group("When requests come", sort_key=1)
MEMORY: Final = Group("Memory, one of", sort_key=2)
ENGINE: Final = Group("Engine and speed", sort_key=3)
RUNS: Final = Group("Runs", sort_key=4)
OUTPUT: Final = Group("Output", sort_key=5)

_CLASS = "PROMPT:OUTPUT or PROMPT:OUTPUT:SHARE, as in 128:512:0.5"


@Parameter(name="*", group=TRAFFIC)
@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Where lengths come from.

    Parameters
    ----------
    classes
        PROMPT:OUTPUT[:SHARE] tokens, repeatable; shares sum to 1, equal if left out.
    trace
        A recorded trace: CSV, JSON, JSONL (also .gz) or Parquet, or a vLLM run folder.
    preset
        A bundled workload: azure-conv, mooncake-conv, fixed-batch, three-tiers, rl-rollouts,
        chat.
    prompt
        Law of prompt lengths, with --output: N, uniform:LOW-HIGH, geometric:MEAN,
        lognormal:MEDIAN,SIGMA or table:N=WEIGHT,N=WEIGHT,…
    output
        Law of output lengths, independent of the prompts.
    trace_format
        Format of the trace, where it is not recognised.
    columns
        prompt=NAME,output=NAME[,time=NAME] of a CSV, JSONL or Parquet trace.
    max_tokens
        Cut every output at so many tokens.
    """

    classes: Annotated[tuple[str, ...], Parameter(name="--class")] = ()
    trace: Path | None = None
    preset: str | None = None
    prompt: str | None = None
    output: str | None = None
    trace_format: Annotated[str | None, Parameter(name="--format")] = None
    columns: str | None = None
    max_tokens: int | None = None

    def workload(self, progress: Progress) -> Workload:
        """Build the workload from the one source that was given."""
        self._check()
        if self.trace is not None:
            columns = None if self.columns is None else Columns.parse(self.columns)
            load = read_trace(
                self.trace, format=self.trace_format, columns=columns, progress=progress
            )
        elif self.preset is not None:
            load = preset(self.preset)
        elif self.prompt is not None and self.output is not None:
            load = independent(
                parse_lengths(self.prompt, "--prompt"),
                parse_lengths(self.output, "--output", self.max_tokens),
            )
        else:
            load = Workload.classes([parse_class(text) for text in self.classes])
        return load if self.max_tokens is None else load.capped(self.max_tokens)

    def _check(self) -> None:
        given = {
            "--class": bool(self.classes),
            "--trace": self.trace is not None,
            "--preset": self.preset is not None,
            "--prompt and --output": self.prompt is not None or self.output is not None,
        }
        named = [name for name, is_given in given.items() if is_given]
        if len(named) != 1:
            raise InputError(
                f"{' and '.join(named)} are both given" if named else "no workload given",
                allowed="one of --class, --trace, --preset, --prompt with --output",
            )
        if self.trace is None and (self.trace_format or self.columns):
            raise InputError("--format and --columns describe a trace", allowed="with --trace")
        if (self.prompt is None) != (self.output is None):
            missing = "--prompt" if self.prompt is None else "--output"
            raise InputError(f"{missing} is missing", allowed="--prompt LAW with --output LAW")


def parse_class(text: str) -> tuple[int, int] | tuple[int, int, Fraction]:
    """``128:512`` or ``128:512:0.5``: prompt, output, share."""
    parts = text.split(":")
    try:
        prompt, output = int(parts[0]), int(parts[1])
        if len(parts) == 2:
            return prompt, output
        if len(parts) == 3:
            return prompt, output, Fraction(parts[2])
    except (ValueError, IndexError, ZeroDivisionError):
        pass
    raise InputError(f"{shown(text)} is not a class", field="--class", allowed=_CLASS)


@dataclass(frozen=True)
class Capacity:
    """KV capacity and how it was found."""

    kv_tokens: int
    notes: tuple[str, ...]


@Parameter(name="*", group=MEMORY)
@dataclass(frozen=True, kw_only=True)
class Memory:
    """KV tokens, or the model and the GPU that leave them.

    Parameters
    ----------
    kv_tokens
        KV capacity in tokens, as the engine logs it at start-up.
    model
        config.json of the model (or its folder), with --gpu-memory.
    gpu_memory
        Memory of one GPU, as in 80GiB or 81559MiB.
    gpu_memory_utilization
        Share of it that the engine may use; 0.92 if left out, as vLLM.
    tensor_parallel
        Tensor parallel size.
    pipeline_parallel
        Pipeline parallel size.
    weights_memory
        Size of the weights, where it cannot be counted from the config.
    kv_dtype
        Type of the KV cache, as in fp8; that of the model if left out.
    overhead
        Memory per GPU for activations, graphs and the rest; 3GiB if left out.
    """

    kv_tokens: int | None = None
    model: Path | None = None
    gpu_memory: str | None = None
    gpu_memory_utilization: float | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    weights_memory: str | None = None
    kv_dtype: str | None = None
    overhead: str | None = None

    def capacity(self, block_size: int, *, timed: bool = False) -> Capacity:
        """Take the KV tokens as given, or count what the GPU holds beside the model.

        ``timed``: an iteration time is made from the model. With --kv-tokens what is said of the
        model is for that time, then.
        """
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if self.kv_tokens is not None:
            stray = given.keys() - {"kv_tokens"}
            if timed:
                stray -= {"model", "tensor_parallel", "weights_memory"}
            if stray:
                name = next(name for name in given if name in stray)
                raise InputError(
                    f"--kv-tokens and --{name.replace('_', '-')} are both given",
                    allowed="--kv-tokens alone, or --model with --gpu-memory",
                )
            return Capacity(self.kv_tokens, ())
        if self.model is None or self.gpu_memory is None:
            missing = "--gpu-memory" if self.model is not None else "--kv-tokens"
            raise InputError(
                f"{missing} is missing", allowed="--kv-tokens, or --model with --gpu-memory"
            )
        share, overhead = self.gpu_memory_utilization, self.overhead
        config = read_model_config(self.model, kv_dtype=self.kv_dtype or "auto")
        found = kv_capacity(
            config,
            gpu_memory=self.gpu_memory,
            utilisation=DEFAULT_UTILISATION if share is None else share,
            tensor_parallel=1 if self.tensor_parallel is None else self.tensor_parallel,
            pipeline_parallel=1 if self.pipeline_parallel is None else self.pipeline_parallel,
            block_size=block_size,
            weights=self.weights_memory,
            overhead=DEFAULT_OVERHEAD if overhead is None else overhead,
        )
        counted = f"{found.kv_tokens:,} KV tokens at {found.bytes_per_token:,} bytes per token"
        return Capacity(found.kv_tokens, (counted, *found.notes))

    def part(self) -> schema.MemoryPart:
        """The same, as a run file has it."""
        from kvsteady.simulate.runfile import schema

        stages = 1 if self.pipeline_parallel is None else self.pipeline_parallel
        model = None if self.model is None else str(self.model)
        return schema.MemoryPart(**asdict(self) | {"model": model, "pipeline_parallel": stages})


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Computers:
    """Where runs are computed.

    Parameters
    ----------
    workers
        Local processes; if left out 1, but one per processor for a league without --quick.
    dask
        Address of a Dask cluster that runs already, instead of local processes.
    ray
        The same of a Ray cluster; auto: the one that runs here.
    """

    workers: int | None = None
    dask: str | None = None
    ray: str | None = None

    @property
    def cluster(self) -> str:
        """The option that has an address."""
        return "--dask" if self.ray is None else "--ray"

    def chosen(self, usually: int | None) -> Workers:
        """Workers; without any option so many local processes, None: one per processor."""
        from kvsteady.sweep import Workers

        given = {name: value for name, value in asdict(self).items() if value is not None}
        if len(given) > 1:
            raise InputError(
                f"{' and '.join(f'--{name}' for name in given)} are both given",
                allowed="one of --workers, --dask, --ray",
            )
        if self.dask is not None:
            return Workers(backend="dask", address=self.dask)
        if self.ray is not None:
            return Workers(backend="ray", address=self.ray)
        return Workers(usually if self.workers is None else self.workers)
