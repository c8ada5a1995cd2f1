"""What the constants of `Steady` are worth: each halved and doubled, on workloads of the league.

    python scripts/steady_constants.py [CONSTANT ...]

Kernels take a module's constants in as they are compiled. So the package is copied to a temporary
folder, where they are read from memory as they are needed, and is compiled once for all of them.
Prints the table of docs/reference/policies/steady-constants.md: tokens per second and completions
per decode iteration over those of the constants as they are, each with the mean over the workloads,
the lowest and the highest. It takes about six minutes of CPU time.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

WORKLOADS = (
    "bar-16-32",
    "fixed-128-512",
    "fixed-1155-211",
    "tiers",
    "geometric",
    "azure",
    "chat",
    "azure-untold",
    "drift",
)
MIXED, APART = "vllm", "sglang"  # does a prefill share an iteration with the decode?
ENGINES = (MIXED, APART)
SEEDS = (0, 1, 2)

# By file, with the engines on which each counts and what it is for.
CONSTANTS = {
    "_FIRST": ("policy.py", ENGINES, "requests that are not paced until one has completed"),
    "_PATIENCE": ("policy.py", ENGINES, "how long a batch is waited for, in its time at x*"),
    "_LEEWAY": ("policy.py", ENGINES, "standard deviations by which a refill may exceed memory"),
    "_REFILL_MIXED": ("policy.py", (MIXED,), "how much faster than x* dips are refilled"),
    "_FILLING": ("policy.py", (MIXED,), "tokens of a prompt that fill an iteration"),
    "_REFILL_APART": ("policy.py", (APART,), "the same where prefill has iterations of its own"),
    "_REFILL_LEAST": ("policy.py", ENGINES, "beside that, requests per iteration"),
    "_MIXED": ("batch.py", (MIXED,), "what a prefill costs, in iterations of decode"),
    "_BUSY_MIXED": ("batch.py", (MIXED,), "tokens of a prefill that are enough"),
    "_WEIGHTS": ("batch.py", (APART,), "H: tokens whose KV is as much to read as the weights"),
    "_BUSY_APART": ("batch.py", (APART,), "tokens of such a prefill that are enough"),
    "_ROUND": ("batch.py", ENGINES, "of a request, what may be left of a busy prefill"),
    "_HEAD": ("batch.py", (APART,), "of the queue, how many are asked for their max_tokens"),
    "_GAIN": ("forecast.py", (MIXED,), "how fast the waste of blocks is learned, per decision"),
}

HEADER = """\
| constant | for | engine | tokens/s at half | at double | completions at half | at double |
|---|---|---|---|---|---|---|"""

KNOBS = '''
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

values = np.zeros({many})


@intrinsic
def knob(typing, place):
    """One of the values as it is now."""

    def read(context, builder, signature, arguments):
        start = ir.Constant(ir.IntType(64), values.ctypes.data)
        pointer = builder.inttoptr(start, ir.DoubleType().as_pointer())
        return builder.load(builder.gep(pointer, [arguments[0]]))

    return types.float64(types.int64), read
'''


def values_in(source: str) -> Iterator[tuple[str, float]]:
    """Names and numbers of a module's constants."""
    for node in ast.parse(source).body:
        if not isinstance(node, ast.Assign):
            continue
        (target,) = node.targets
        pairs = [(target, node.value)]
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            pairs = list(zip(target.elts, node.value.elts, strict=True))
        for name, value in pairs:
            if isinstance(name, ast.Name) and isinstance(value, ast.Constant):
                yield name.id, value.value


def adjustable(folder: Path) -> dict[str, float]:
    """Copy the package to a folder, to read constants from ``knobs.values``; returns them."""
    spec = find_spec("kvsteady")
    assert spec is not None
    assert spec.origin is not None
    package = folder / "kvsteady"
    shutil.copytree(Path(spec.origin).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    home = package / "policies" / "steady"
    (home / "knobs.py").write_text(KNOBS.format(many=len(CONSTANTS)))
    found = {}
    for place, (name, (file, *_)) in enumerate(CONSTANTS.items()):
        source = (home / file).read_text()
        found[name] = dict(values_in(source))[name]
        read = f"knob({place})"
        if isinstance(found[name], int):
            read = f"int({read})"
        # Definitions begin their lines, uses do not.
        source = re.sub(rf"(?m)(?<=[ (]){name}\b(?! =|, _)", read, source)
        line = "from kvsteady.policies.steady.knobs import knob\n"
        if line not in source:
            source = source.replace("from kvsteady.kernels", f"{line}from kvsteady.kernels")
        (home / file).write_text(source)
    return found


def cell(shares: list[float]) -> str:
    """Mean, lowest and highest."""
    mean = sum(shares) / len(shares)
    return f"{mean:.3f} ({min(shares):.3f}–{max(shares):.3f})"


def main(names: list[str]) -> None:
    """Print a row for each constant on an engine."""
    with tempfile.TemporaryDirectory() as folder:
        found = adjustable(Path(folder))
        sys.path.insert(0, folder)
        from kvsteady.policies.steady.knobs import values

        from kvsteady.league.match import Match, play

        values[:] = list(found.values())

        def outcomes(engine: str) -> list[tuple[float, float]]:
            """Tokens per second and completions of each workload, summed over seeds."""
            every = []
            for workload in WORKLOADS:
                results = [
                    play(Match(workload=workload, entrant="steady", engine=engine, seed=seed))
                    for seed in SEEDS
                ]
                tokens = sum(each.tokens_per_second for each in results)
                every.append((tokens, sum(each.completions_per_iteration for each in results)))
            return every

        usual: dict[str, list[tuple[float, float]]] = {}
        print(HEADER, flush=True)
        for place, (name, (_, engines, what)) in enumerate(CONSTANTS.items()):
            for engine in engines if name in (names or CONSTANTS) else ():
                if engine not in usual:
                    usual[engine] = outcomes(engine)
                cells = []
                for factor in (0.5, 2.0):
                    values[place] = found[name] * factor
                    pairs = list(zip(outcomes(engine), usual[engine], strict=True))
                    cells += [cell([now[i] / then[i] for now, then in pairs]) for i in (0, 1)]
                values[place] = found[name]
                row = [f"`{name}` {found[name]}", what, engine, *cells[::2], *cells[1::2]]
                print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
