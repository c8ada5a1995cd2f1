"""Run files: what they build, and how mistakes in them are named."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kvsteady.errors import InputError
from kvsteady.model import Eviction
from kvsteady.simulate.engines import ENGINES, engine_class
from kvsteady.simulate.engines.vllm import Vllm
from kvsteady.simulate.fleet import LeastKv, RoundRobin
from kvsteady.simulate.loads import (
    AtOnce,
    Classed,
    Closed,
    Gamma,
    Poisson,
    Recorded,
    Saturated,
    Sessions,
)
from kvsteady.simulate.results.objectives import Objectives
from kvsteady.simulate.runfile import read_scenario
from kvsteady.simulate.runfile.tree import parse_yaml, plain_value
from kvsteady.simulate.simulate import simulate
from kvsteady.simulate.times import LinearTime

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples").glob("*.yaml"))
LEAST = "workload: {preset: three-tiers}\nmemory: {kv_tokens: 10000}\nengine: paper\n"


def scenario(tmp_path: Path, text: str):
    path = tmp_path / "run.yaml"
    path.write_text(text, "utf-8")
    return read_scenario(path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_run(path: Path) -> None:
    run = simulate(read_scenario(path))
    assert run.completed > 1000
    expected = {
        "three-tiers": "evicting",
        "burst": "overloaded",
        "disaggregated": "completed",
    }
    assert run.outcome == expected[path.stem]


def test_the_burst_is_what_the_example_says(tmp_path: Path) -> None:
    # 20.5 requests/s at 15 ms an iteration: x* = 2M / (l1 (2 l0 + l1 + 1)) is 32 requests/s.
    text = next(path for path in EXAMPLES if path.stem == "burst").read_text("utf-8")
    served = {}
    for name, before, after in (
        ("restart", "", ""),
        ("resume", "eviction: restart", "eviction: resume"),
        ("capped", "eviction: restart", "rate_cap: auto"),
        ("no burst", "size: 300", "size: 1"),
    ):
        served[name] = simulate(scenario(tmp_path, text.replace(before, after)))
    assert served["restart"].request_throughput == pytest.approx(19, abs=0.5)
    assert served["restart"].curves.num_requests_waiting.y[-1] > 500
    for name in ("resume", "capped", "no burst"):
        assert served[name].curves.num_requests_waiting.y[-1] < 5
    assert served["capped"].num_preemptions_total == 0


def test_everything_that_can_be_said(tmp_path: Path) -> None:
    made = scenario(
        tmp_path,
        """
name: all of it
workload:
  classes: [{prompt: 4, output: 8, share: 0.25}, {prompt: 4, output: 2, share: 0.75}]
load: {kind: poisson, rate: 1e1}
requests: 50
engine: {name: vllm, options: {block_size: 4, max_num_seqs: 9, policy: priority}}
memory: {kv_tokens: 1_000}
time: {kind: linear, iteration: 1e-2, kv_read: 4e-8}
eviction: swap
swap_seconds_per_token: 2e-7
rate_cap: 0.5
replicas: 2
router: round-robin
stop: {seconds: 30, completed: 40}
warm_up: 1.5
goodput: {ttft: 500, tpot: 50}
log_every: 10
seed: 3
""",
    )
    assert isinstance(made.load, Classed)  # 0 and 1 as in the file
    load = made.load.load
    assert isinstance(load, Poisson)
    assert (load.rate, load.requests, load.seed) == (10.0, 50, 3)
    assert load.workload.share.tolist() == [0.75, 0.25]  # by output
    assert len(made.replicas) == 2
    replica = made.replicas[0]
    assert replica.engine == Vllm(block_size=4, max_num_seqs=9, policy="priority")
    assert (replica.kv_tokens, replica.eviction) == (1000, Eviction.SWAP)
    assert replica.swap_seconds_per_token == 2e-7
    assert replica.time == LinearTime(1e-2, 0.0, 0.0, 4e-8)
    assert (replica.pace.rate, replica.pace.depth) == (0.5, 1.5)
    assert isinstance(made.router, RoundRobin)
    assert (made.stop.seconds, made.stop.iterations, made.stop.completed) == (30, None, 40)
    assert made.objectives == Objectives(ttft=500, tpot=50)
    assert (made.warm_up, made.log_every, made.name) == (1.5, 10, "all of it")


def test_a_replica_may_swap_at_its_own_speed(tmp_path: Path) -> None:
    text = LEAST + "swap_seconds_per_token: 2e-7\nreplicas: [{}, {swap_seconds_per_token: 0}]\n"
    made = scenario(tmp_path, text + "router: round-robin\n")
    assert [replica.swap_seconds_per_token for replica in made.replicas] == [2e-7, 0]
    with pytest.raises(InputError, match="swap_seconds_per_token"):
        scenario(tmp_path, LEAST + "swap_seconds_per_token: -1\n")


def test_what_is_left_out(tmp_path: Path) -> None:
    made = scenario(tmp_path, LEAST)
    assert isinstance(made.load, Saturated)
    assert made.stop.completed == 10_000
    assert made.replicas[0].eviction is Eviction.RESTART  # the paper's engine
    assert math.isinf(made.replicas[0].pace.rate)
    assert made.router is None
    vllm = scenario(tmp_path, LEAST.replace("engine: paper\n", ""))
    assert vllm.replicas[0].engine == Vllm()
    assert vllm.replicas[0].eviction is Eviction.RESUME


@pytest.mark.parametrize(
    ("load", "kind"),
    [
        ("{kind: gamma, rate: 2, cv: 3}", Gamma),
        ("{kind: closed, clients: 5, think: 0.5}", Closed),
        ("{kind: at-once}", AtOnce),
        ("{kind: sessions, rate: 1, sessions: 20, turns: 'uniform:1-5'}", Sessions),
    ],
)
def test_loads(tmp_path: Path, load: str, kind: type) -> None:
    made = scenario(tmp_path, f"{LEAST}load: {load}\nrequests: 30\n")
    assert isinstance(made.load, kind)
    assert simulate(made).completed >= 20


def test_a_trace_is_replayed_from_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("in,out,t\n12,3,0\n40,9,2.5\n7,1,4\n")
    text = """
workload: {trace: mine.csv, columns: "prompt=in,output=out,time=t"}
memory: {kv_tokens: 100}
engine: paper
time: {kind: linear, iteration: 1}
"""
    made = scenario(tmp_path, text)
    assert isinstance(made.load, Recorded)
    assert simulate(made).completed == 3


def test_replicas_may_differ(tmp_path: Path) -> None:
    text = f"""{LEAST}
time: {{kind: linear, iteration: 0.01}}
load: {{kind: poisson, rate: 5}}
requests: 100
router: least-kv
replicas:
  - {{count: 2, name: small}}
  - {{name: large, engine: vllm, memory: {{kv_tokens: 50000}}, eviction: resume}}
"""
    made = scenario(tmp_path, text)
    assert made.replica_names == ["small #0", "small #1", "large"]
    assert [replica.kv_tokens for replica in made.replicas] == [10_000, 10_000, 50_000]
    assert simulate(made).completed == 100


POOLS = f"{LEAST}load: {{kind: poisson, rate: 5}}\nrequests: 50\n"


def test_prefill_and_decode_pools(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"model_type": "llama", "num_hidden_layers": 32, "num_attention_heads": 32, '
        '"num_key_value_heads": 8, "hidden_size": 4096, "torch_dtype": "bfloat16"}'
    )
    made = scenario(
        tmp_path,
        f"""{POOLS.replace("{kv_tokens: 10000}", "{kv_tokens: 10000, model: config.json}")}
prefill: {{count: 2, time: {{kind: linear, iteration: 0.5}}}}
decode: {{count: 3, engine: vllm, memory: {{kv_tokens: 50000}}, router: least-kv, name: slow}}
transfer: {{seconds: 0.01, bytes_per_second: 1e9}}
""",
    )
    assert [each.kv_tokens for each in made.every_replica] == [10_000] * 2 + [50_000] * 3
    assert isinstance(made.router, RoundRobin)
    assert made.replicas[0].time == LinearTime(0.5, 0.0, 0.0, 0.0)
    assert made.decode is not None
    assert isinstance(made.decode.router, LeastKv)
    assert made.replica_names[4] == "decode: slow #4"
    # 2 × 32 layers × 8 heads × 128 × 2 bytes are 131,072 a token.
    assert made.decode.transfer.seconds(1000) == pytest.approx(0.01 + 131_072_000 / 1e9)
    run = simulate(made)
    assert (run.completed, run.setup.router) == (50, "prefill: RoundRobin, decode: LeastKv")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prefill: {count: 1}", "decode.*missing"),
        ("transfer: {seconds: 1}", "prefill.*missing"),
        ("prefill: {}\ndecode: {}\nreplicas: 2", "replicas.*each pool"),
        ("prefill: {}\ndecode: {}\nrouter: mixed", "router.*each pool"),
        ("prefill: {}\ndecode: {count: 0}", "decode.*1 to 4096"),
        ("prefill: {}\ndecode: {router: nearest}", r"decode\.router.*round-robin"),
        ("prefill: {}\ndecode: {}\ntransfer: {bytes_per_second: 1}", "bytes_per_token.*missing"),
        ("prefill: {}\ndecode: {}\ntransfer: {bytes_per_token: 1}", "bytes_per_second is missing"),
        (
            "prefill: {}\ndecode: {}\ntransfer: {bytes_per_second: 1, seconds_per_token: 1}",
            "both given",
        ),
        ("prefill: {}\ndecode: {}\ntransfer: {seconds: -1}", r"transfer\.seconds.*at least 0"),
        ("prefill: {kount: 1}\ndecode: {}", r"prefill\.kount.*count"),
    ],
)
def test_pools_that_cannot_be(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scenario(tmp_path, POOLS + text)


BAD = [
    ("enigne: vllm", 4, "enigne", "engine"),
    ("load: {kind: poisson}", 4, "load", "rate"),
    ("load:\n  kind: poisson\n  rate: 2\n  ratio: 3", 7, "load.ratio", "kind, rate"),
    ("load: {kind: posson, rate: 3}", 4, "load.kind", "poisson"),
    ("load: {kind: poisson, rate: fast}", 4, "load.rate", "float"),
    ("load: {kind: poisson, rate: -3}", 4, "load.rate", "above 0"),
    ("load:\n  kind: poisson\n  rate: -3", 6, "load.rate", "above 0"),
    ("load: {kind: closed, clients: 0}", 4, "load.clients", "1 to 1,000,000"),
    ("load:\n  kind: burst\n  rate: 1\n  size: 0", 7, "load.size", "1 to"),
    ("load: {kind: sessions, rate: 1,\n  sessions: 2,\n  turns: none}", 6, "load.turns", "uniform"),
    ("load: {kind: trace}", 4, "load", "with a trace"),
    ("load: {kind: at-once}\nrequests: 0", 5, "requests", "from 1"),
    ("\nrequests: 0", 5, "requests", "from 1"),
    ("stop:\n  seconds: 1\n  iterations: 0", 6, "stop.iterations", "from 1"),
    ("stop: {seconds: -1}", 4, "stop.seconds", "above 0"),
    ("log_every: 0", 4, "log_every", "from 1"),
    ("warm_up_iterations: -1", 4, "warm_up_iterations", "from 0"),
    ("requests: 1.5", 4, "requests", "int"),
    ("seed: 0\nseed: 1", 5, "'seed' is given twice", ""),
    ("replicas:\n  - {count: 1}\n  - {kount: 1}", 6, "replicas[1].kount", "count"),
    ("replicas: 0", 4, "replicas", "1 to 4096"),
    ("replicas:\n  - {}\n  - {count: 0}", 6, "replicas[1].count", "1 to 4096"),
    ("replicas:\n  - {}\n  - engine: triton", 6, "replicas[1].engine", "vllm"),
    (
        "replicas:\n  - engine:\n      name: vllm\n      options:\n        block_size: 0",
        8,
        "replicas[0].engine.options.block_size",
        "from 1",
    ),
    ("replicas:\n  - memory:\n      kv_tokens: 0", 6, "replicas[0].memory.kv_tokens", "from 1"),
    ("replicas:\n  - rate_cap: 0", 5, "replicas[0].rate_cap", "above 0"),
    (
        "replicas:\n  - time: {kind: roofline,\n      gpu: h1}",
        5,
        "replicas[0].time.model",
        "config",
    ),
    ("router: nearest", 4, "router", "round-robin"),
    ("time: h100", 4, "time", "llama-3.1-8b_h100"),
    ("time: {kind: linear}", 4, "time.iteration", "0"),
    ("time:\n  kind: linear\n  decode: -1", 6, "time.decode", "at least 0"),
    ("rate_cap: -1", 4, "rate_cap", "above 0"),
    ("goodput:\n  tpot: 3\n  ttft: 0", 6, "goodput.ttft", "above 0"),
    ("warm_up: -2", 4, "warm_up", "at least 0"),
    ("eviction: drop", 4, "eviction", ""),
    ("name: [a", None, "YAML", ""),
    ("name: !!python/name:os.system x", None, "", ""),
]


@pytest.mark.parametrize(("text", "line", "field", "allowed"), BAD, ids=[bad[0] for bad in BAD])
def test_mistakes_are_named_by_file_line_and_field(
    tmp_path: Path, text: str, line: int | None, field: str, allowed: str
) -> None:
    if text.startswith("name: !!"):
        assert scenario(tmp_path, LEAST + text).name == "x"  # a tag is not followed
        return
    with pytest.raises(InputError) as caught:
        scenario(tmp_path, LEAST + text)
    said = str(caught.value)
    assert "run.yaml" in said
    assert field in said
    assert allowed in said
    assert "\n" not in said
    if line is not None:
        assert caught.value.line == line
        assert f"run.yaml:{line}: field {field!r}" in said or "given twice" in field


FIRST = "memory: {kv_tokens: 10000}\nengine: paper\n"


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        ("workload:\n  classes:\n    - {prompt: 1, output: 2}\n    - {prompt: 1, output: 0}\n", 6,
         "workload.classes[1].output"),
        ("workload:\n  classes:\n    - {prompt: 1, output: 2, share: 0.5}\n", 4,
         "workload.classes"),
        ("workload:\n  preset: chat\n  max_tokens: 0\n", 5, "workload.max_tokens"),
        ("workload:\n  prompt: 3\n  output: uniform:9-2\n", 5, "workload.output"),
        ("workload:\n  prompt: 3\n", 3, "workload.output"),
    ],
)  # fmt: skip
def test_mistakes_in_a_workload_have_their_line(
    tmp_path: Path, text: str, line: int, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        scenario(tmp_path, FIRST + text)
    assert (caught.value.line, caught.value.field) == (line, field)
    assert caught.value.file == str(tmp_path / "run.yaml")


@pytest.mark.parametrize(
    ("text", "line", "field"),
    [
        (LEAST + "stop: {iterations: 9}\nwarm_up: 1e6\n", 5, "warm_up"),
        (LEAST + "warm_up_iterations: 100\nstop: {iterations: 9}\n", None, "warm_up"),
        (LEAST.replace("10000", "20"), 2, "memory.kv_tokens"),
        (
            LEAST.replace("paper", "{name: vllm, options: {block_size: 24}}")
            + "load: {kind: sessions, rate: 1, sessions: 3}\n",
            3,
            "engine.options.block_size",
        ),
        (LEAST + "replicas: 2\nrouter: least-kv\n", 5, "router"),
    ],
)
def test_what_shows_only_when_it_runs_has_its_place_too(
    tmp_path: Path, text: str, line: int | None, field: str
) -> None:
    made = scenario(tmp_path, text)
    with pytest.raises(InputError) as caught:
        simulate(made)
    assert (caught.value.line, caught.value.field) == (line, field)
    assert caught.value.file == str(tmp_path / "run.yaml")


def test_errors_of_other_files_name_those(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        scenario(tmp_path, "workload: {trace: none.csv}\nmemory: {kv_tokens: 9}\n")
    assert caught.value.file == str(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("{name: vlm}", "vllm, sglang"),
        ("{name: vllm, options: {max_num_seq: 3}}", "max_num_seqs"),
        ("{name: vllm, options: {max_num_seqs: 0}}", "max_num_seqs"),
        ("{name: vllm, options: {max_num_seqs: many}}", "max_num_seqs"),
        ("{name: vllm, options: {version: '9'}}", "0.32.0"),
    ],
)
def test_options_are_checked_against_the_engine(tmp_path: Path, engine: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scenario(tmp_path, LEAST.replace("paper", engine))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("memory: {kv_tokens: 9}\n", "no source is given"),
        ("workload: {preset: chat, trace: x.csv}\nmemory: {kv_tokens: 9}\n", "both given"),
        ("workload: {preset: chat}\n", "kv_tokens is missing"),
        ("workload: {preset: chat}\nmemory: {model: config.json}\n", "gpu_memory is missing"),
        ("- a\n- b\n", "Expected `object`, got `array`"),
        ("a: &a [*a]\n", "nested too deep"),
        ("\t", "YAML"),
        ("a: 1\n---\nb: 2\n", "YAML"),
    ],
)
def test_files_that_say_too_little_or_nonsense(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        scenario(tmp_path, text)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        read_scenario("/nowhere/run.yaml")
    (tmp_path / "run.yaml").write_bytes(b"name: \xff")
    with pytest.raises(InputError, match=r"run\.yaml: is no UTF-8"):
        read_scenario(tmp_path / "run.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 1e-3), ("5", 5), ("-2_000", -2000), ("0.5", 0.5), (".5", 0.5), ("true", True),
        ("on", "on"), ("yes", "yes"), ("16:30", "16:30"), ("0x10", "0x10"), ("null", None),
        ("~", None), ("1.2.3", "1.2.3"), ("2026-01-02", "2026-01-02"), ("08", 8),
    ],
)  # fmt: skip
def test_scalars_are_read_as_in_yaml_1_2(text: str, value: object) -> None:
    assert plain_value(text) == value
    assert type(plain_value(text)) is type(value)


# PyYAML writes NEL (U+0085) as it is, and reads it back as a space.
words = st.text(st.characters(codec="utf-8", exclude_characters="\x85"), max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | words
documents = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text("abcdef", min_size=1, max_size=4), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=4), documents, max_size=4))
def test_what_is_written_is_read(data: dict[str, object]) -> None:
    # An independent writer; every word is quoted, so that 1.1 and 1.2 agree.
    text = yaml.dump(data, default_style=None, allow_unicode=True)
    loaded = yaml.safe_load(text)
    assert loaded == data
    read = parse_yaml(yaml.dump(data, Dumper=_Quoting, allow_unicode=True), "x.yaml")
    assert read.data == data
    assert all(line >= 1 for line in read.lines.values())


class _Quoting(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


_Quoting.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(InputError):
        parse_yaml(data.decode("utf-8", "replace"), "x.yaml")


def test_every_engine_has_its_file() -> None:
    for name in ENGINES:
        engine = engine_class(name)()
        assert engine.block_size >= 1
        assert engine.name
    with pytest.raises(InputError, match="tensorrt-llm"):
        engine_class("triton")
