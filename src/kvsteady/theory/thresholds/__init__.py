"""How long prompts must be for stability: exactly, and by laws for long outputs."""

from kvsteady.theory.thresholds.asymptotics import (
    PromptMode,
    ThresholdLaw,
    asymptotic_threshold,
    near_divisor_prompt,
)
from kvsteady.theory.thresholds.threshold import (
    PromptRange,
    PromptSet,
    PromptThreshold,
    prompt_threshold,
)

__all__ = [
    "PromptMode",
    "PromptRange",
    "PromptSet",
    "PromptThreshold",
    "ThresholdLaw",
    "asymptotic_threshold",
    "near_divisor_prompt",
    "prompt_threshold",
]
