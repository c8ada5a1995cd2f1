"""Admission policies in Transformers' continuous batching: ``scheduler_type="steady"``.

Importing this registers ``steady``, on the engine's default scheduler ``fifo``, and
``steady_prefill_first``, on ``prefill_first``, with settings from the environment
(`settings_of_environment`); `configure` registers them anew with others.
"""

from __future__ import annotations

import os
from typing import Any, Final

from kvsteady.plugins.regulator import say_aside
from kvsteady.plugins.settings import Settings, read_settings, settings_of_environment
from kvsteady.plugins.transformers.scheduler import Steadied, checked, scheduler_class
from kvsteady.plugins.transformers.scheduler import attach as _attach
from kvsteady.plugins.transformers.scheduler import detach as _detach

__all__ = ["attach", "configure", "detach", "register"]

_BASES: Final = {"steady": "fifo", "steady_prefill_first": "prefill_first"}


def register(settings: Settings, *, instead: bool = False) -> None:
    """Register the schedulers for engines that are made from now on.

    Parameters
    ----------
    settings
        Policy, mode and the like.
    instead
        Also under the names of the engine's own, for programs that do not let one be chosen.

    Raises
    ------
    InputError
        The policy cannot start.
    """
    checked(settings)
    try:
        import transformers
        from transformers.generation.continuous_batching import scheduler as own

        version: str = transformers.__version__
        bases = {"fifo": own.FIFOScheduler, "prefill_first": own.PrefillFirstScheduler}
        mapping: dict[str, type] = own.SCHEDULER_MAPPING
    except (ImportError, AttributeError) as error:
        say_aside(str(error))
        return
    for name, base in _BASES.items():
        mapping[name] = scheduler_class(bases[base], settings, version)
        mapping[base] = mapping[name] if instead else bases[base]


def configure(**given: Any) -> Settings:
    """Register ``steady`` with these settings: ``policy``, ``mode``, ``budget_ms``, ``patience``,
    ``metrics``; see `Settings`. Returns them.

    Raises
    ------
    InputError
        A name that there is not, or a value out of its range.
    """
    settings = read_settings(given)
    register(settings)
    return settings


def attach(processor: Any, **given: Any) -> None:
    """Turn a policy on in an engine that runs, between two of its batches.

    The processor is ``manager.batch_processor``, and ``with manager.pause():`` the moment. Nothing
    that runs or waits is touched, and the engine's safety margin stays.

    Raises
    ------
    InputError
        As `configure`.
    """
    import transformers

    settings = checked(read_settings(given))
    detach(processor)
    _attach(processor, settings, transformers.__version__)


def detach(processor: Any) -> None:
    """Turn it off again, in the same way: from the next batch on, the engine's own rule."""
    if isinstance(processor.scheduler, Steadied):
        _detach(processor)


register(settings_of_environment(os.environ))
