"""Where SGLang calls us: four hooks on its scheduler."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from kvsteady.plugins.regulator import LOG, say_aside
from kvsteady.plugins.settings import Settings
from kvsteady.plugins.sglang.guard import Guard
from kvsteady.plugins.sglang.supported import SCHEDULER, why_not_mode, why_not_version

# A scheduler's guard; None there: it is left alone.
_NAME: Final = "_kvsteady_guard"


def set_up(settings: Settings) -> str | None:
    """Register the hooks; SGLang applies them. Returns why not, where it is an SGLang unknown."""
    why = why_not_version()
    if why is not None:
        return why
    hooks = import_module("sglang.srt.plugins.hook_registry")
    registry, kind = hooks.HookRegistry, hooks.HookType

    def built(result: Any, scheduler: Any, *_: Any, **__: Any) -> Any:
        """Start the policy before the first request: it has to be compiled."""
        guard_of(scheduler, settings)
        return result

    def defers(original: Any, scheduler: Any, running_batch: Any) -> Any:
        """Ask the policy, and put the prefill off where nobody may enter."""
        skips = original(scheduler, running_batch)
        guard = guard_of(scheduler, settings)
        if guard is None:
            return skips
        try:
            return guard.ask(running_batch) or skips
        except Exception as error:  # whatever it is, the engine goes on
            _leave_alone(scheduler, error)
            return skips

    def adder(result: Any, scheduler: Any) -> Any:
        """Let the policy's limit stand where the reservation stood."""
        guard = getattr(scheduler, _NAME, None)
        if guard is None:
            return None
        try:
            return guard.adder(result)
        except Exception as error:  # whatever it is, the engine goes on
            _leave_alone(scheduler, error)
            return None

    def planned(result: Any, scheduler: Any, *_: Any, **__: Any) -> Any:
        """Take down what the engine does."""
        guard = getattr(scheduler, _NAME, None)
        if guard is not None:
            try:
                guard.settle(result.batch_to_run)
            except Exception as error:  # whatever it is, the engine goes on
                _leave_alone(scheduler, error)
        return result

    registry.register(f"{SCHEDULER}.__init__", built, kind.AFTER)
    registry.register(f"{SCHEDULER}._should_defer_prefill", defers, kind.AROUND)
    registry.register(f"{SCHEDULER}.get_prefill_adder_class", adder, kind.AFTER)
    registry.register(f"{SCHEDULER}.get_next_batch_to_run", planned, kind.AFTER)
    return None


def guard_of(scheduler: Any, settings: Settings) -> Guard | None:
    """The scheduler's guard, made when first asked for; None where it is left alone."""
    if _NAME in scheduler.__dict__:
        return scheduler.__dict__[_NAME]  # type: ignore[no-any-return]
    guard = None
    try:
        why = why_not_mode(scheduler)
        if why is None:
            guard = Guard(scheduler, settings)
            LOG.info("kvsteady regulates admissions: %s, %s", settings.policy, settings.mode)
    except Exception as error:  # whatever it is, the engine goes on
        why = f"{type(error).__name__}: {error}"
    if why is not None:
        say_aside(why)
    scheduler.__dict__[_NAME] = guard
    return guard


def _leave_alone(scheduler: Any, error: Exception) -> None:
    """Not to be asked again, nor to take anything down."""
    guard: Guard = getattr(scheduler, _NAME)
    setattr(scheduler, _NAME, None)
    guard.step_aside(f"it failed: {type(error).__name__}: {error}")
