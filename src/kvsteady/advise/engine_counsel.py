"""What runs of the engine itself change in the advice, and in the settings to paste."""

from __future__ import annotations

from typing import Final

from kvsteady.advise.analysis import EngineSettings, Setting
from kvsteady.advise.record import Advice
from kvsteady.advise.settings import DEFAULTS, changes
from kvsteady.advise.tuning import Tuning, TuningOutcome
from kvsteady.advise.tuning.paste import pasted

_TITLES: Final = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "tensorrt-llm": "TensorRT-LLM",
    "transformers": "Transformers",
}
_ACTS: Final = (TuningOutcome.SET_FLAGS, TuningOutcome.USE_POLICY)


def theory_aside(advice: tuple[Advice, ...], tuning: Tuning | None) -> tuple[Advice, ...]:
    """The engine's own runs speak first; what theory would do is named as such."""
    if tuning is None:
        return advice
    first, *rest = advice
    named = Advice(title=f"By theory alone: {first.title}", text=first.text)
    return (*tuning.advice, named, *rest)


def settings_with(
    settings: tuple[EngineSettings, ...], tuning: Tuning | None
) -> tuple[EngineSettings, ...]:
    """The settings of the engine that was tuned are those that came of it."""
    if tuning is None:
        return settings
    name, _, version = tuning.engine.rpartition("-")
    title = _TITLES.get(name, name or version)
    theirs = next((each for each in settings if each.engine == title), None)
    acts = TuningOutcome.of_label(tuning.outcome) in _ACTS
    own = EngineSettings(
        engine=title,
        version=version,
        eviction=tuning.eviction,
        note=tuning.outcome_text,
        # What theory proposes stands after it, where both would change anything.
        settings=(
            _setting(tuning),
            *(each for each in (theirs.settings if theirs and acts else ()) if changes(each)),
        ),
    )
    if theirs is None:
        return (own, *settings)
    return tuple(own if each is theirs else each for each in settings)


def _setting(tuning: Tuning) -> Setting:
    outcome, runner = TuningOutcome.of_label(tuning.outcome), tuning.front_runner
    paste = tuning.options or DEFAULTS
    if runner is not None and outcome in _ACTS:
        paste = pasted(tuning.engine, runner)
    return Setting(
        paste=paste,
        effect=f"{tuning.advice[0].title}: {tuning.advice[0].text}",
        source=f"simulated on {tuning.engine}, {len(tuning.tried)} changes tried; kvsteady tune "
        "tries more",
    )
