"""One class ends in the worst cycle, which loses up to half."""

from __future__ import annotations

from kvsteady.model import System, iterate
from kvsteady.progress import Progress
from kvsteady.reproduce.claim import Claim, Measured, near
from kvsteady.reproduce.claims.duration import lives_to_settle
from kvsteady.reproduce.finding import Chart, Check, Series
from kvsteady.theory.first_eviction import disturbed
from kvsteady.workload.law import Workload

_GRID = ((4, 32), (16, 32), (64, 64), (32, 256), (128, 512), (512, 128))
_NO_PROMPT = (4, 8, 16, 32, 64, 128, 256)


def _measure(progress: Progress) -> Measured:
    checks: list[Check] = []
    ends: list[float] = []
    pairs = (*_GRID, *((0, output) for output in _NO_PROMPT))
    for place, (prompt, output) in enumerate(pairs):
        best = 2 * _capacity(prompt, output) / (output * (2 * prompt + output + 1))
        worst = _capacity(prompt, output) / (output * (prompt + output))
        ended = _end(prompt, output)
        if prompt:
            checks.append(near(f"{prompt}:{output}, completions per iteration", ended, worst, 1e-9))
        else:
            ends.append(ended / best)
        progress(place + 1, len(pairs))
    said = [(output + 1) / (2 * output) for output in _NO_PROMPT]
    checks += [
        near(f"0:{output}, share of x*", end, ratio, 1e-9)
        for output, end, ratio in zip(_NO_PROMPT, ends, said, strict=True)
    ]
    return Measured(
        "From a 1% disturbance of the equilibrium every system ends in the worst cycle, "
        "M / (l1 (l0 + l1)) completions per iteration. Without prompts this is (l1 + 1) / (2 l1) "
        "of x*, which tends to 1/2. The loss is under restart.",
        tuple(checks),
        (_one_run(), _limit(ends, said)),
    )


def _capacity(prompt: int, output: int) -> int:
    return 1000 * (prompt + output)


def _system(prompt: int, output: int) -> System:
    return System(Workload.fixed(prompt, output), _capacity(prompt, output))


def _end(prompt: int, output: int) -> float:
    """Completions per iteration at the end of a run from a disturbed equilibrium."""
    system = _system(prompt, output)
    burn_in = lives_to_settle(system) * output
    run = iterate(system, steps=20 * output, burn_in=burn_in, start=disturbed(system))
    return run.throughput


def _one_run() -> Chart:
    """Completions per iteration, over each life of a request, of 128:512."""
    system = _system(128, 512)
    run = iterate(system, steps=12 * 512, start=disturbed(system))
    best = 2 * system.kv_tokens / (512 * (256 + 513))
    rate = run.completed.reshape(-1, 512).mean(axis=1) / best
    time = tuple(512.0 * (life + 1) for life in range(len(rate)))
    worst = 769 / (2 * 640)
    return Chart(
        "128:512 from a 1% disturbance (restart)",
        "iteration",
        "completions over x*",
        (
            Series("greedy admission", time, tuple(rate.tolist())),
            Series("worst cycle", (time[0], time[-1]), (worst, worst), "dashes", "muted"),
        ),
    )


def _limit(ends: list[float], said: list[float]) -> Chart:
    outputs = tuple(float(output) for output in _NO_PROMPT)
    return Chart(
        "Without prompts: towards one half (restart)",
        "output tokens",
        "completions over x*",
        (
            Series("simulated", outputs, tuple(ends), "points"),
            Series("(l1 + 1) / (2 l1)", outputs, tuple(said), "line", "balance"),
        ),
        x_log=True,
    )


CLAIM = Claim(
    key="worst-cycle",
    title="One class converges to the worst cycle",
    source="paper: Theorem 2",
    says="With one class greedy admission ends in a cycle of one cohort, with (2 l0 + l1 + 1) / "
    "(2 (l0 + l1)) of the eviction-free throughput: up to 50% is lost.",
    measure=_measure,
)
