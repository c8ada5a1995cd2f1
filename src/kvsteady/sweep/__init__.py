"""Parameter sweeps: many points, any workers, every record kept as it lands."""

from kvsteady.sweep.fingerprint import fingerprint
from kvsteady.sweep.run import HERE, SweepError, Workers, sweep
from kvsteady.sweep.store import Store
from kvsteady.sweep.task import Task

__all__ = ["HERE", "Store", "SweepError", "Task", "Workers", "fingerprint", "sweep"]
