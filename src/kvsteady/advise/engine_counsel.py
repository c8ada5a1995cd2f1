"""What a run of the engine itself adds to the advice."""

from __future__ import annotations

from kvsteady.advise.analysis import Advice
from kvsteady.advise.engine_estimate import EngineEstimate

# Differences of two runs below this share are not worth a sentence with a direction.
_NOTICEABLE = 0.01


def on_engine(estimate: EngineEstimate | None) -> tuple[Advice, ...]:
    """One paragraph on what the cap changes there; none where no engine was named."""
    if estimate is None:
        return ()
    greedy, capped = estimate.greedy, estimate.capped
    if greedy.outcome != "ran" or capped.outcome != "ran":
        policy = "as it is" if greedy.outcome != "ran" else "under the cap"
        outcome = greedy.outcome if greedy.outcome != "ran" else capped.outcome
        return (
            Advice(
                title=f"{estimate.engine} {outcome} {policy}",
                text="In its saturated run nothing completed any more. Give it more KV tokens or "
                "shorter requests before anything else.",
            ),
        )
    gain = capped.output_tokens_per_second / greedy.output_tokens_per_second - 1
    if gain > _NOTICEABLE:
        title = f"On {estimate.engine} the cap gives {gain:.1%} more tokens per second"
    elif gain < -_NOTICEABLE:
        title = f"On {estimate.engine} the cap costs {-gain:.1%} of the tokens per second"
    else:
        title = f"On {estimate.engine} the cap hardly changes the tokens per second"
    return (
        Advice(
            title=title,
            text=f"Simulated with an endless queue under {estimate.eviction}, iteration times: "
            f"{estimate.time}. Greedy admission recomputes {greedy.recomputed_share:.1%} of all "
            f"computed tokens, the cap {capped.recomputed_share:.1%}; the 99th percentile of the "
            f"time between tokens is {_ms(greedy.itl_p99_ms)} against {_ms(capped.itl_p99_ms)}.",
        ),
    )


def _ms(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g} ms"
