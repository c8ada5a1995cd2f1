"""The adapter to aiconfigurator-core: the real library where it is installed."""

from __future__ import annotations

import sys

import pytest

from kvsteady.errors import InputError, MissingExtraError
from kvsteady.simulate.times import aiconfigurator_time, iteration_seconds


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiconfigurator_core", None)
    monkeypatch.delitem(sys.modules, "aiconfigurator_core.sdk.engine", raising=False)
    with pytest.raises(MissingExtraError, match=r"kvsteady\[aiconfigurator\]"):
        aiconfigurator_time("meta-llama/Meta-Llama-3.1-8B", "h100_sxm")


@pytest.mark.filterwarnings("default")  # the library's own
def test_it_gives_what_the_library_gives() -> None:
    engine = pytest.importorskip("aiconfigurator_core.sdk.engine")
    model, system = "meta-llama/Meta-Llama-3.1-8B", "h100_sxm"
    form = aiconfigurator_time(model, system, most_prefill=2048, most_decode=128).form()
    library = engine.EngineHandle.compile(model, system, "vllm")

    def found(prefill: int, decode: int, kv: int) -> float:
        return iteration_seconds(
            form, float(prefill > 0), float(prefill), float(decode), float(kv), 0.0
        )

    # on points of the grid, where it can be asked in one call
    for decode in (1, 16, 128):
        expected = library.decode_step_latency(decode, 1024, 2) / 1e3
        assert found(0, decode, 1024 * decode) == pytest.approx(expected, rel=1e-9)
    for prefill in (64, 1024, 2048):
        expected = library.predict_prefill_latency(1, prefill) / 1e3
        assert found(prefill, 0, 0) == pytest.approx(expected, rel=0.05)
    # between them
    expected = library.mixed_step_latency(700, 40, 700, 2) / 1e3
    assert found(700, 40, 700 * 40) == pytest.approx(expected, rel=0.1)


@pytest.mark.filterwarnings("default")
def test_what_it_has_no_tables_of_is_said() -> None:
    pytest.importorskip("aiconfigurator_core.sdk.engine")
    with pytest.raises(InputError, match="no estimate"):
        aiconfigurator_time("meta-llama/Meta-Llama-3.1-8B", "abacus")


@pytest.mark.parametrize("name", ["tensor_parallel", "most_prefill", "most_decode", "most_kv"])
def test_bad_input_is_named(name: str) -> None:
    with pytest.raises(InputError) as caught:
        aiconfigurator_time("model", "gpu", **{name: 0})
    assert caught.value.field == name
