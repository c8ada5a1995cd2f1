"""Where SGLang calls us: four hooks on its scheduler."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

from kvsteady.plugins.settings import Settings
from kvsteady.plugins.sglang.gate import Gate, gate_of
from kvsteady.plugins.sglang.supported import SCHEDULER, why_not_version

# A scheduler's gate; None there: it is left alone.
_NAME: Final = "_kvsteady_gate"


def set_up(settings: Settings) -> str | None:
    """Register the hooks; SGLang applies them. Returns why not, where it is an SGLang unknown."""
    why = why_not_version()
    if why is not None:
        return why
    hooks = import_module("sglang.srt.plugins.hook_registry")
    registry, kind = hooks.HookRegistry, hooks.HookType

    def built(result: Any, scheduler: Any, *_: Any, **__: Any) -> Any:
        """Start the policy before the first request: it has to be compiled."""
        gate_at(scheduler, settings)
        return result

    def defers(original: Any, scheduler: Any, running_batch: Any) -> Any:
        """Ask the policy, and put the prefill off where nobody may enter."""
        skips = original(scheduler, running_batch)
        gate = gate_at(scheduler, settings)
        if gate is None:
            return skips
        try:
            return gate.ask(running_batch) or skips
        except Exception as error:  # whatever it is, the engine goes on
            gate.fail(error)
            return skips

    def adder(result: Any, scheduler: Any) -> Any:
        """Let the policy's limit stand where the reservation stood."""
        gate = getattr(scheduler, _NAME, None)
        if gate is None:
            return None
        try:
            return gate.adder(result)
        except Exception as error:  # whatever it is, the engine goes on
            gate.fail(error)
            return None

    def planned(result: Any, scheduler: Any, *_: Any, **__: Any) -> Any:
        """Take down what the engine does."""
        gate = getattr(scheduler, _NAME, None)
        if gate is not None:
            try:
                gate.settle(result.batch_to_run)
            except Exception as error:  # whatever it is, the engine goes on
                gate.fail(error)
        return result

    registry.register(f"{SCHEDULER}.__init__", built, kind.AFTER)
    registry.register(f"{SCHEDULER}._should_defer_prefill", defers, kind.AROUND)
    registry.register(f"{SCHEDULER}.get_prefill_adder_class", adder, kind.AFTER)
    registry.register(f"{SCHEDULER}.get_next_batch_to_run", planned, kind.AFTER)
    return None


def gate_at(scheduler: Any, settings: Settings) -> Gate | None:
    """The scheduler's gate, made when first asked for; None where it is left alone."""
    if _NAME not in scheduler.__dict__:
        scheduler.__dict__[_NAME] = gate_of(scheduler, settings)
    return scheduler.__dict__[_NAME]  # type: ignore[no-any-return]
