"""Run a function over many points, in parallel, and keep each record as it lands."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from kvsteady.errors import InputError, KvsteadyError, shown
from kvsteady.extras import import_extra
from kvsteady.progress import Progress, silent
from kvsteady.sweep.ending import end_with
from kvsteady.sweep.fingerprint import fingerprint
from kvsteady.sweep.store import Store
from kvsteady.sweep.task import Task
from kvsteady.workload.ranges import whole_number

# Seconds in which a cluster has to answer; one that is there does in less than one.
_ANSWER: Final = 10


class SweepError(KvsteadyError):
    """A worker was lost for good; what had landed is kept."""


@dataclass(frozen=True)
class Workers:
    """Where points are computed.

    Parameters
    ----------
    count
        Local processes, 1: in this one, 2 and more need joblib (``kvsteady[sweep]``). None: as
        many as there are processors for us. Of no meaning on a cluster, which has its own.
    backend
        ``local``, or a cluster that runs already: ``dask`` or ``ray``.
    address
        Of the cluster, as its client takes it: ``tcp://host:8786``. Dask needs one; Ray looks for
        the one that runs here.

    Raises
    ------
    InputError
        ``count`` is not positive, or an address is missing.
    """

    count: int | None = None
    backend: Literal["local", "dask", "ray"] = "local"
    address: str | None = None

    def __post_init__(self) -> None:
        if self.count is not None:
            whole_number(self.count, "workers", 1, 4096)
        if self.backend == "dask" and not self.address:
            raise InputError("needs an address", field="address", allowed="tcp://host:port")


HERE: Final = Workers(count=1)
"""In this process."""


def sweep(
    task: Task,
    points: Sequence[Any],
    store: Store | None = None,
    *,
    workers: Workers = HERE,
    progress: Progress = silent,
) -> list[Any]:
    """Return the record of every point, in their order; equal points are computed once.

    Records are written to the store, by this process, as they land, in whatever order that is. So
    a run that was killed or interrupted goes on where it was, nothing that had landed is computed
    again, and a worker that dies on a cluster costs only what it was doing: the cluster does that
    again, and only one record lands.

    Parameters
    ----------
    task, points
        The function, and what to call it with.
    store
        Where records are kept and looked for; None keeps nothing.
    workers
        Where to compute.
    progress
        Called with points done and to do.

    Raises
    ------
    SweepError
        A local worker was killed (say, for its memory), or the cluster gave up on a point.
    MissingExtraError
        Several workers without joblib (``kvsteady[sweep]``).
    InputError
        No cluster answers at the address, or it is none.
    Exception
        What the function raised, of the first point that failed.
    """
    found: dict[str, Any] = {}
    missing: dict[str, Any] = {}
    keys = [task.key(point) for point in points]
    for key, point in zip(keys, points, strict=True):
        if key not in found and key not in missing:
            record = store.get(task, point) if store else None
            if record is None:
                missing[key] = point
            else:
                found[key] = record
    total = len(found) + len(missing)
    progress(len(found), total)
    for key, record in _computed(task, missing, workers):
        if store:
            store.put(task, missing[key], record)
        found[key] = record
        progress(len(found), total)
    return [found[key] for key in keys]


def compute(name: str, key: str, point: bytes, code: str) -> tuple[str, bytes]:
    """What a worker does: everything by name and as bytes, so that any process can.

    ``code`` is the fingerprint of who asks, empty where both are of one installation.
    """
    if code and code != fingerprint():
        raise SweepError("a worker of the cluster has another version of kvsteady or its libraries")
    task = Task(name)
    record = task.function(msgspec.json.decode(point, type=task.point))
    return key, msgspec.json.encode(record)


def _processors() -> int:
    """Those for us, where the system says."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _computed(
    task: Task, points: dict[str, msgspec.Struct], workers: Workers
) -> Iterator[tuple[str, Any]]:
    """Yield (key, record) as they land."""
    count = workers.count or _processors()
    if workers.backend == "local" and min(count, len(points)) <= 1:
        for key, point in points.items():
            yield key, task.function(point)
        return
    code = "" if workers.backend == "local" else fingerprint()
    work = [(task.name, key, msgspec.json.encode(point), code) for key, point in points.items()]
    landing = (
        _on_ray(work, workers) if workers.backend == "ray" else _in_parallel(work, count, workers)
    )
    for key, record in landing:
        yield key, msgspec.json.decode(record, type=task.record)


@contextmanager
def _asked(whose: str, address: str | None) -> Iterator[None]:
    """Whatever a client says of an address is a fault of that, in one line."""
    try:
        yield
    except OSError as error:
        problem = f"no {whose} cluster answers at {address}: {error}"
    except (ValueError, TypeError, RuntimeError) as error:
        problem = f"{shown(address)} is no address of a {whose} cluster: {error}"
    else:
        return
    allowed = "tcp://host:port" if whose == "Dask" else "host:port, or auto"
    raise InputError(problem, field="address", allowed=allowed)


def _in_parallel(work: list[Any], count: int, workers: Workers) -> Iterator[tuple[str, bytes]]:
    joblib = import_extra("joblib", extra="sweep")
    with ExitStack() as ends:
        options: dict[str, Any] = {"backend": workers.backend, "n_jobs": -1}
        if workers.backend == "local":
            options = {"backend": "loky", "n_jobs": count}
            options |= {"initializer": end_with, "initargs": (os.getpid(),)}
        else:
            # Ours to close; joblib, given the address, would leave its own client open.
            dask = import_extra("distributed", extra="dask")
            with _asked("Dask", workers.address):
                client = dask.Client(workers.address, timeout=_ANSWER)
            ends.enter_context(client)
        ends.enter_context(joblib.parallel_config(**options))
        # A local worker that has grown large is replaced by a fresh one, which is as it should be.
        ends.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", message="A worker stopped while some jobs")
        # One at a time: what a batch has finished would land only with its last.
        run = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        landing = run(joblib.delayed(compute)(*each) for each in work)
        try:
            yield from landing
        except Exception as error:
            if type(error).__name__ in ("TerminatedWorkerError", "KilledWorker"):
                raise SweepError(
                    "a worker was killed, perhaps for want of memory; what had landed is kept: "
                    "run again, with fewer workers"
                ) from error
            raise
        finally:
            landing.close()


def _on_ray(work: list[Any], workers: Workers) -> Iterator[tuple[str, bytes]]:
    """Ray's backend for joblib hands nothing over before all is done, so Ray is asked itself."""
    ray = import_extra("ray", extra="ray")
    if not ray.is_initialized():
        address = workers.address or "auto"
        with _asked("Ray", address):
            ray.init(address=address, log_to_driver=False)
    run = ray.remote(max_retries=3)(compute)
    under_way = [run.remote(*each) for each in work]
    try:
        while under_way:
            landed, under_way = ray.wait(under_way)
            yield from ray.get(landed)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise SweepError(
            "a worker was killed again and again; what had landed is kept: run again"
        ) from error
    finally:
        for task in under_way:
            ray.cancel(task)
