"""Rows per second and peak memory of reading traces.

Every reading runs in a child process of its own, whose peak resident memory the system reports.
The peer is the plain reader, which looks at every cell in Python, on the same file.

    python benchmarks/bench_traces.py [--rows 10000000] [--skip-plain]
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CHUNK = 2**18
LIMIT = 10**9  # bytes


class Rows(NamedTuple):
    """Requests: tokens and arrival times, shape ``(n,)`` each."""

    prompt: npt.NDArray[np.int64]
    output: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]


def usual(start: int, stop: int) -> Rows:
    """Lengths as in conversations: log-normal, with many repeats."""
    random = np.random.default_rng(start)
    size = stop - start
    prompt = np.minimum(random.lognormal(6.5, 1.0, size), 2**17).astype(np.int64)
    output = np.minimum(random.lognormal(5.0, 0.8, size), 4095).astype(np.int64) + 1
    return Rows(prompt, output, np.arange(start, stop) * 0.01)


def distinct(start: int, stop: int) -> Rows:
    """No pair comes twice, in an order that is no order: the worst case of the counting."""
    mixed = np.arange(start, stop) * 2_654_435_761 % 2**34  # odd factor: one to one
    return Rows(mixed % 2**17, mixed // 2**17 + 1, np.arange(start, stop) * 0.01)


def write_csv(path: Path, rows: int, law: Callable[[int, int], Rows]) -> None:
    with path.open("w") as file:
        file.write("arrived_at,num_prefill_tokens,num_decode_tokens\n")
        for start in range(0, rows, CHUNK):
            part = law(start, min(start + CHUNK, rows))
            cells = zip(
                part.seconds.tolist(), part.prompt.tolist(), part.output.tolist(), strict=True
            )
            file.writelines(f"{time:.2f},{prompt},{output}\n" for time, prompt, output in cells)


def write_azure(path: Path, rows: int, law: Callable[[int, int], Rows]) -> None:
    origin = np.datetime64("2024-05-10T00:00:00.000000")
    with path.open("w") as file:
        file.write("TIMESTAMP,ContextTokens,GeneratedTokens\n")
        for start in range(0, rows, CHUNK):
            part = law(start, min(start + CHUNK, rows))
            times = np.datetime_as_string(origin + (part.seconds * 1e6).astype("m8[us]"))
            cells = zip(times.tolist(), part.prompt.tolist(), part.output.tolist(), strict=True)
            file.writelines(f"{time}+00:00,{prompt},{output}\n" for time, prompt, output in cells)


def write_jsonl(path: Path, rows: int, law: Callable[[int, int], Rows]) -> None:
    with path.open("w") as file:
        for start in range(0, rows, CHUNK):
            part = law(start, min(start + CHUNK, rows))
            cells = zip(
                part.seconds.tolist(), part.prompt.tolist(), part.output.tolist(), strict=True
            )
            file.writelines(
                f'{{"timestamp": {int(time * 1000)}, "input_length": {prompt}, '
                f'"output_length": {output}, "hash_ids": [1, 2, 3, 4]}}\n'
                for time, prompt, output in cells
            )


def write_json(path: Path, rows: int, law: Callable[[int, int], Rows]) -> None:
    with path.open("w") as file:
        for start in range(0, rows, CHUNK):
            part = law(start, min(start + CHUNK, rows))
            cells = zip(part.prompt.tolist(), part.output.tolist(), strict=True)
            file.write(",\n" if start else "[")
            file.write(
                ",\n".join(f'{{"prompt_len": {prompt}, "output_len": {o}}}' for prompt, o in cells)
            )
        file.write("]")


def write_parquet(path: Path, rows: int, law: Callable[[int, int], Rows]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    # One row group, the hardest for the memory of a reader.
    parts = [law(start, min(start + CHUNK, rows)) for start in range(0, rows, CHUNK)]
    names = ("Request tokens", "Response tokens", "Timestamp")
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    pq.write_table(pa.table(dict(zip(names, columns, strict=True))), path, row_group_size=rows)


def measure(path: Path, plain: bool, pipe: Connection) -> None:
    from kvsteady.workload.traces.read import read_source
    from kvsteady.workload.traces.source import Source

    start = time.perf_counter()
    load = read_source(Source(path, plain=plain))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pipe.send((seconds, peak, int(load.tickets.sum()), len(load), load.notes))


def run(path: Path, plain: bool) -> tuple[float, int, int, int, tuple[str, ...]]:
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    child = spawn.Process(target=measure, args=(path, plain, theirs))
    child.start()
    theirs.close()
    result = ours.recv()
    child.join()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the CSV files")
    parser.add_argument("--other-rows", type=int, default=1_000_000, help="rows of the others")
    parser.add_argument("--skip-plain", action="store_true", help="leave the peer out")
    given = parser.parse_args()
    cases = [
        ("csv", write_csv, usual, given.rows),
        ("csv, all pairs distinct", write_csv, distinct, given.rows),
        ("csv, azure times", write_azure, usual, given.rows),
        ("jsonl", write_jsonl, usual, given.other_rows),
        ("jsonl, all distinct", write_jsonl, distinct, given.other_rows),
        ("json list", write_json, usual, given.other_rows),
        ("parquet", write_parquet, usual, given.other_rows),
        ("parquet, all distinct", write_parquet, distinct, given.other_rows),
    ]
    print(f"{'case':<26}{'rows':>12}{'rows/s':>12}{'peak MB':>9}{'plain/s':>12}{'ratio':>7}")
    fits = True
    for name, write, law, rows in cases:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "trace"
            write(path, rows, law)
            seconds, peak, read, _, notes = run(path, plain=False)
            assert read == rows
            line = f"{name:<26}{rows:>12,}{rows / seconds:>12,.0f}{peak / 1e6:>9.0f}"
            if not given.skip_plain:
                plain_seconds, *_ = run(path, plain=True)
                line += f"{rows / plain_seconds:>12,.0f}{plain_seconds / seconds:>7.1f}"
            print(line, *notes, sep="  " if notes else "", flush=True)
            fits = fits and peak < LIMIT
    if not fits:
        sys.exit("more than 1 GB was used")


if __name__ == "__main__":
    main()
