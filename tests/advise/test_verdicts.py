"""From numbers to outcomes, and what is said about them."""

from fractions import Fraction

import pytest

from kvsteady import System, Verdict, Workload, check, iterate, preset
from kvsteady.advise.analysis import Analysis, load_analysis
from kvsteady.advise.bursts import admissions_in_bursts
from kvsteady.advise.verdict import decide
from kvsteady.errors import InputError
from kvsteady.theory import Monotone, Spectrum, Stability


def pasted(analysis: Analysis, engine: str) -> list[str]:
    (found,) = [e for e in analysis.settings if e.engine == engine]
    return [setting.paste for setting in found.settings]


@pytest.mark.parametrize(
    ("workload", "kv_tokens", "verdict"),
    [
        (Workload.fixed(128, 512), 100_000, Verdict.UNSTABLE),  # Theorem 2
        (preset("three-tiers"), 100_000, Verdict.UNSTABLE),  # g = 128
        (Workload.classes([(256, 127), (256, 255), (256, 509)]), 100_000, Verdict.UNSTABLE),
        # 6 roots outside by 3e-6: doubling takes 200,000 iterations (theory, section 5).
        (
            Workload.classes([(262_144, 127), (262_144, 255), (262_144, 509)]),
            100_000_000,
            Verdict.SLOW,
        ),
        (preset("azure-conv"), 430_000, Verdict.NOISY),
        # theory, section 5: the pulse cycle of 4 and 6 at prompt 50 still has 0.990672 x*.
        (Workload.classes([(50, 4), (50, 6)]), 100_000, Verdict.MILD),
        (preset("azure-conv"), 20_000_000, Verdict.STABLE),
        (Workload.fixed(10, 1), 1000, Verdict.STABLE),  # a request that leaves as it comes
    ],
)
def test_verdicts(workload: Workload, kv_tokens: int, verdict: Verdict) -> None:
    assert check(System(workload, kv_tokens)).verdict == verdict.label


def test_every_verdict_has_its_own_label_text_and_rank() -> None:
    assert len({verdict.label for verdict in Verdict}) == len(Verdict)
    assert len({verdict.text for verdict in Verdict}) == len(Verdict)
    assert Verdict.STABLE.concern < Verdict.NOISY.concern < Verdict.UNSTABLE.concern
    assert all(Verdict.of_label(verdict.label) is verdict for verdict in Verdict)


def test_advice_names_the_semantics_of_every_loss() -> None:
    analysis = check(System(Workload.fixed(128, 512), 100_000, 16))
    (cost,) = [advice for advice in analysis.advice if "cost" in advice.title]
    assert "(restart): 39.9%" in cost.text
    assert "(resume" in cost.text
    assert "recomputed prefill" in cost.text


def test_unstable_traffic_gets_settings_that_keep_the_cap() -> None:
    analysis = check(System(Workload.fixed(128, 512), 100_000, 16))
    (sglang,) = pasted(analysis, "SGLang")
    words = sglang.split()
    rate = Fraction(int(words[1]), int(words[3]))
    assert words[::2] == ["--prefill-max-requests", "--prefill-decode-interval"]
    assert 0.95 * analysis.rate_cap <= rate <= analysis.rate_cap
    # 640 tokens are 40 blocks; 6,250 blocks hold 156 such requests.
    assert "--max-num-seqs 156" in pasted(analysis, "vLLM")
    assert "GUARANTEED_NO_EVICT" in pasted(analysis, "TensorRT-LLM")[0]
    assert all(s.source for engine in analysis.settings for s in engine.settings)


def test_the_recommended_cap_ends_evictions_at_a_small_price() -> None:
    analysis = check(System(preset("three-tiers"), 100_000))
    greedy, capped = analysis.runs[2], analysis.runs[3]
    assert greedy.evictions > 0.5  # more than one eviction in two iterations
    assert capped.evictions == 0
    assert capped.throughput > 0.97 * analysis.x_star


@pytest.mark.parametrize("rate", [0.001, 0.0303, 0.04, 0.5047, 0.923, 1.0, 3.14159, 43.4, 1e4])
def test_bursts_stay_under_the_cap_and_near_it(rate: float) -> None:
    pace = admissions_in_bursts(rate)
    assert pace <= rate
    assert pace > 0.5 * rate
    if rate > 0.2:
        assert pace >= 0.93 * rate


def test_an_analysis_survives_saving() -> None:
    analysis = check(System(Workload.fixed(2, 3), 140))
    assert load_analysis(analysis.to_json()) == analysis


def test_a_trace_with_arrivals_is_asked_whether_it_saturates() -> None:
    from dataclasses import replace

    from kvsteady.workload import Arrivals

    seconds = [0.0, 1.0, 2.0, 4.0]
    load = Workload.from_counts([5], [5], [4], random=True)
    traced = replace(load, arrivals=Arrivals.recorded(seconds, [5] * 4, [5] * 4))
    analysis = check(System(traced, 400))
    # x* = 400 / (6 + 7 + 8 + 9 + 10) = 10 per iteration; 3 gaps in 4 s are 0.75 per second.
    (advice,) = [item for item in analysis.advice if "saturated" in item.title]
    assert "13,333 ms" in advice.text


def test_a_loss_is_counted_in_tokens_because_evictions_favour_short_requests() -> None:
    # Evicted long requests come back as the mix, so short ones win: more requests complete than
    # x*, and far fewer tokens. The test counts the tokens of the completed requests itself.
    load = Workload.classes([(100, 1000), (100, 100)])
    system = System(load, 100_000)
    analysis = check(system)
    run = iterate(system, steps=200_000, burn_in=50_000, arithmetic="integer")
    start, end = (run.state(at).table(system).sum(axis=1) for at in (0, len(run)))
    assert run.throughput > 1.1 * analysis.x_star
    # Of each class, what was admitted or there and is neither evicted nor there has completed;
    # with two classes, completions and their tokens follow from the tokens generated.
    generated = run.running.sum() - run.wasted_tokens.sum()
    ages = [(run.state(at).age * run.state(at).mass).sum() for at in (0, len(run))]
    completed_tokens = generated + ages[0] - ages[1]
    long = (completed_tokens - 100 * run.completed.sum()) / 900
    assert 0.1 < long / run.completed.sum() < 0.4  # half of what arrives is long
    kept = completed_tokens / len(run) / (analysis.x_star * 550)
    assert analysis.restart_loss == pytest.approx(1 - kept, abs=0.02)
    assert analysis.restart_loss > 0.25
    assert analysis.verdict == Verdict.UNSTABLE.label
    assert start.sum() > 0
    assert end.sum() > 0


@pytest.mark.parametrize(
    "classes",
    [[(256, 254), (256, 510), (256, 1018)], [(10, 6, 0.3), (40, 9, 0.7)], [(256, 128), (256, 512)]],
)
def test_the_worst_cycle_is_no_better_than_where_greedy_ends(
    classes: list[tuple[int, int]],
) -> None:
    analysis = check(System(Workload.classes(classes), 100_000))
    ends = (1 - analysis.restart_loss) * analysis.x_star
    assert analysis.worst_cycle_throughput <= ends * 1.001


@pytest.mark.parametrize(
    ("workload", "kv_tokens", "tax"),
    [
        # theory, section 6, greedy under resume, measured at request level.
        (preset("azure-conv"), 100_000, 0.11),
        (preset("azure-conv"), 430_000, 0.035),
        (Workload.fixed(128, 512), 100_000, 0.71),
        (Workload.fixed(128, 512), 430_000, 0.65),
        (preset("three-tiers"), 100_000, 0.48),
    ],
)
def test_the_cost_under_resume_is_what_was_measured(
    workload: Workload, kv_tokens: int, tax: float
) -> None:
    resume = check(System(workload, kv_tokens)).resume
    assert resume.recompute_tax == pytest.approx(tax, rel=0.05)
    assert "whole requests" in resume.source


def seen(outcome: Stability, radius: float) -> Spectrum:
    outside = {Stability.STABLE: 0, Stability.UNSTABLE: 2, Stability.UNDECIDED: None}[outcome]
    return Spectrum(
        outcome, 9, Monotone.NEITHER, outside, radius, radius, radius, 2.0, 1, (complex(radius),)
    )


@pytest.mark.parametrize(
    ("spectrum", "loss", "evictions", "verdict"),
    [
        (seen(Stability.STABLE, 0.9), 0.0, 0.001, Verdict.STABLE),
        (seen(Stability.STABLE, 0.9), 0.0, 0.1, Verdict.NOISY),
        (seen(Stability.STABLE, 0.9), 0.2, 0.0, Verdict.METASTABLE),
        (seen(Stability.UNDECIDED, 1.0), 0.0, 0.0, Verdict.UNDECIDED),
        (seen(Stability.UNDECIDED, 1.0), 0.2, 0.0, Verdict.METASTABLE),
        (seen(Stability.UNSTABLE, 1.01), 0.2, 0.0, Verdict.UNSTABLE),
        (seen(Stability.UNSTABLE, 1.01), 0.001, 0.0, Verdict.MILD),
        (seen(Stability.UNSTABLE, 1 + 1e-8), 0.2, 0.0, Verdict.SLOW),
    ],
)
def test_every_verdict_is_reached(
    spectrum: Spectrum, loss: float, evictions: float, verdict: Verdict
) -> None:
    assert decide(spectrum, loss, evictions) is verdict


def test_more_requests_than_an_engine_may_have_slots_for_is_said() -> None:
    crowded = check(System(Workload.fixed(128, 128), 455_808))
    (advice,) = [item for item in crowded.advice if item.title == "Concurrency limits"]
    assert f"{crowded.running:,.0f} requests" in advice.text
    calm = check(System(Workload.fixed(128, 128), 20_000))
    assert not any(item.title == "Concurrency limits" for item in calm.advice)


def test_reservation_is_named_where_it_costs_less_than_the_cap() -> None:
    analysis = check(System(preset("azure-conv"), 100_000, 16))
    assert analysis.reservation_throughput > analysis.rate_cap
    assert "Reserving" in analysis.advice[0].text


def test_a_cap_that_costs_more_than_the_cycle_is_not_urged() -> None:
    # theory, section 4: prompt 1,155 and output 211 lose 1 − (2 · 1155 + 212) / (2 · 1366) = 7.7%
    # under restart. With room for few requests the cap gives up more than that.
    tight = check(System(Workload.fixed(1155, 211), 3_000))
    assert tight.restart_loss == pytest.approx(1 - 2522 / 2732, rel=1e-6)
    assert tight.rate_cap_given_up > tight.restart_loss
    assert tight.advice[0].title.startswith("Weigh it")
    roomy = check(System(Workload.fixed(1155, 211), 1_000_000))
    assert roomy.advice[0].title.startswith("Cap admissions")


def test_a_short_trace_is_called_short() -> None:
    few = Workload.from_counts([5, 6], [5, 7], [10, 20], random=True)
    many = Workload.from_counts([5, 6], [5, 7], [1000, 2000], random=True)
    assert any(a.title == "Few requests" for a in check(System(few, 400)).advice)
    assert not any(a.title == "Few requests" for a in check(System(many, 400)).advice)


def test_unreadable_analyses_are_refused() -> None:
    with pytest.raises(InputError, match="schema_version"):
        load_analysis(b'{"schema_version": 2}')
    with pytest.raises(InputError, match="not a saved analysis"):
        load_analysis(b"nothing")
