"""The main job from the shell: what is printed, what is written, what the exit code says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from commands import run

REQUIRED = {
    "schema_version", "kv_tokens", "x_star", "x_star_blocks", "weights_monotone", "roots_outside",
    "spectral_radius", "dominant_period", "gcd", "worst_cycle_throughput", "restart_loss",
    "verdict", "advice",
}  # fmt: skip


def checked(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    code, out, err = run(capsys, "check", *arguments, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def test_one_class_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    # theory, section 4: x* = 2M / (l1 (2 l0 + l1 + 1)); worst cycle M / (l1 (l0 + l1)).
    found = checked(capsys, "--class", "128:512", "--kv-tokens", "100000")
    assert found.keys() >= REQUIRED
    assert found["x_star"] == pytest.approx(2 * 100_000 / (512 * (2 * 128 + 513)))
    assert found["worst_cycle_throughput"] == pytest.approx(100_000 / (512 * 640))
    assert found["restart_loss"] == pytest.approx(1 - 769 / (2 * 640), rel=1e-6)
    assert found["roots_outside"] == 511
    assert (found["gcd"], found["verdict"]) == (512, "unstable")
    assert found["weights_monotone"] == "increasing"


def test_in_blocks_every_request_is_rounded_up(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(capsys, "--class", "16:32", "--kv-tokens", "960")
    # 17…32 tokens hold two blocks of 16, 33…48 three: 16 · 32 + 16 · 48 = 1,280.
    assert found["x_star_blocks"] == pytest.approx(960 / 1280)


def test_the_measured_conversations_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    # theory, section 7: no root outside, largest |z| 0.99743; 3.6% of completions evicted at 430k.
    found = checked(capsys, "--preset", "azure-conv", "--kv-tokens", "430000")
    assert found["roots_outside"] == 0
    assert found["spectral_radius"] == pytest.approx(0.99743, abs=1e-5)
    assert found["restart_loss"] < 0.001
    resume = found["resume"]
    assert resume["evictions_per_completion"] == pytest.approx(0.036, abs=0.006)
    assert found["verdict"] == "noisy"
    assert "leave it alone" in found["advice"][0]["title"].lower()
    assert all("(defaults)" in s["paste"] for e in found["settings"][:2] for s in e["settings"])


def test_same_seed_same_result(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--preset", "chat", "--kv-tokens", "20000", "--seed", "7")
    assert checked(capsys, *arguments) == checked(capsys, *arguments)


def test_memory_from_a_model(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = {
        "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096,
        "num_attention_heads": 32, "num_key_value_heads": 8, "intermediate_size": 14336,
        "vocab_size": 128256, "torch_dtype": "bfloat16", "tie_word_embeddings": False,
    }  # fmt: skip
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    found = checked(
        capsys, "--preset", "fixed-batch", "--model", str(path), "--gpu-memory", "80GiB",
        "--gpu-memory-utilization", "0.9", "--overhead", "0",
    )  # fmt: skip
    # 80 GiB · 0.9 less 8,030,261,248 weights of 2 bytes, in blocks of 16 · 131,072 bytes.
    blocks = (80 * 2**30 * 9 // 10 - 2 * 8_030_261_248) // (16 * 131_072)
    assert found["kv_tokens"] == blocks * 16
    assert any("131,072" in note for note in found["memory_notes"])


def test_a_law_with_a_cap_leaves_an_atom(capsys: pytest.CaptureFixture[str]) -> None:
    found = checked(
        capsys, "--prompt", "100", "--output", "geometric:50", "--max-tokens", "60",
        "--kv-tokens", "20000",
    )  # fmt: skip
    # Mean of min(G, 60) for a geometric G of mean 50: (1 − q^60) / (1 − q), q = 0.98.
    assert found["workload"]["mean_output"] == pytest.approx((1 - 0.98**60) / 0.02, rel=1e-6)
    assert found["workload"]["longest_output"] == 60


def test_a_cap_makes_an_endless_tail_finite(capsys: pytest.CaptureFixture[str]) -> None:
    # Without the cap this law reaches past a million tokens, which is refused.
    law = ("--prompt", "5", "--output", "lognormal:2000,1.2", "--kv-tokens", "200000")
    found = checked(capsys, *law, "--max-tokens", "300")
    assert found["workload"]["longest_output"] == 300
    assert run(capsys, "check", *law)[0] == 2


@pytest.mark.parametrize(
    ("limit", "code"), [("unstable", 1), ("metastable", 1), ("noisy", 1), (None, 0)]
)
def test_fail_on_is_an_exit_code(
    capsys: pytest.CaptureFixture[str], limit: str | None, code: int
) -> None:
    extra = () if limit is None else ("--fail-on", limit)
    got, _, _ = run(capsys, "check", "--class", "2:2", "--kv-tokens", "140", "--json", *extra)
    assert got == code


def test_a_stable_system_passes_fail_on(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, _ = run(
        capsys, "check", "--preset", "azure-conv", "--kv-tokens", "430000", "--json",
        "--fail-on", "unstable-slow",
    )  # fmt: skip
    assert code == 0


BAD = [
    ((), "no workload given"),
    (("--class", "1:2", "--preset", "chat"), "--class and --preset are both given"),
    (("--class", "128"), "'128' is not a class"),
    (("--class", "128:512:x"), "is not a class"),
    (("--class", "128:512:1/0"), "is not a class"),
    (("--class", "a:b"), "is not a class"),
    (("--class", "-1:2"), "field 'prompt'"),
    (("--class", "1:0"), "field 'output'"),
    (("--class", "1:" + "9" * 300), "field 'output'"),
    (("--class", "1:2:0.5", "--class", "1:3:0.4"), "shares sum to 0.9"),
    (("--class", "1:2:0.5", "--class", "1:3"), "1 of 2 classes have a share"),
    (("--class", "1:2:nan"), "is not a class"),
    (("--preset", "nope"), "no preset 'nope'"),
    (("--prompt", "3"), "--output is missing"),
    (("--prompt", "3", "--output", "geometric:0.5"), "field '--output'"),
    (("--prompt", "3", "--output", "what:1"), "is not a law"),
    (("--prompt", "3", "--output", "uniform:9-2"), "9 is above 2"),
    (("--prompt", "3", "--output", "0"), "field 'output'"),
    (("--class", "1:2", "--max-tokens", "0"), "field 'max_tokens'"),
    (("--class", "1:2", "--format", "azure"), "describe a trace"),
    (("--trace", "/nowhere/at/all.csv"), "/nowhere/at/all.csv"),
    (("--class", "1:2", "--html", "/nowhere/report.html"), "/nowhere"),
    (("--class", "1:2", "--html", "report.pdf"), "report.pdf"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = run(capsys, "check", "--kv-tokens", "10000", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("kvsteady: error: ")
    assert words in err
    assert err.count("\n") == 1
    assert len(err) < 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--kv-tokens is missing"),
        (("--kv-tokens", "0"), "field 'kv_tokens'"),
        (("--kv-tokens", "-5"), "kv"),
        (("--kv-tokens", "x"), "--kv-tokens"),
        (("--kv-tokens", "9" * 300), "field 'kv_tokens'"),
        (("--kv-tokens", "300"), "can never fit in 300"),
        (("--kv-tokens", "1000", "--block-size", "0"), "field 'block_size'"),
        (("--kv-tokens", "1000", "--gpu-memory", "80GiB"), "both given"),
        (("--model", "config.json"), "--gpu-memory is missing"),
        (("--model", "/nowhere/config.json", "--gpu-memory", "80GiB"), "/nowhere/config.json"),
        (("--kv-tokens", "1000", "--seed", "-1"), "field 'seed'"),
        (("--kv-tokens", "1000", "--bogus"), "--bogus"),
    ],
)
def test_bad_memory_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    code, out, err = run(capsys, "check", "--class", "128:512", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert err.count("\n") == 1


def test_nothing_is_half_written(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    code, _, _ = run(
        capsys, "check", "--class", "600:600", "--kv-tokens", "100", "--html", str(target)
    )
    assert code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_saved_analysis_becomes_a_report(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, out, _ = run(capsys, "check", "--class", "2:2", "--kv-tokens", "140", "--json")
    saved, page = tmp_path / "saved.json", tmp_path / "report.html"
    saved.write_text(out)
    assert run(capsys, "report", str(saved), "--html", str(page))[0] == 0
    assert page.read_text("utf-8").startswith("<!doctype html>")
    code, shown, _ = run(capsys, "report", str(saved))
    assert code == 0
    assert "nstable" in shown


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", '{"schema_version": 99}', '{"schema_version": 1}', "\udcff"]
)
def test_what_is_not_a_saved_analysis_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str
) -> None:
    path = tmp_path / "saved.json"
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    code, _, err = run(capsys, "report", str(path))
    assert code == 2
    assert "saved.json" in err
    assert err.count("\n") == 1


def test_the_installed_command_answers() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "kvsteady", "check", "--class", "2:2", "--kv-tokens", "140"],
        capture_output=True,
        text=True,
        check=True,
        env={"NO_COLOR": "1", "PATH": "", "HOME": "/nonexistent", "PYTHONUTF8": "1"},
    )
    assert done.stderr == ""
    assert "restart" in done.stdout
    assert "resume" in done.stdout


@pytest.mark.parametrize(
    ("field", "value"), [("x_star", 0.0), ("kv_tokens", 0), ("orbits", []), ("runs", [])]
)
def test_an_edited_analysis_is_refused_by_field(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, field: str, value: object
) -> None:
    _, out, _ = run(capsys, "check", "--class", "2:2", "--kv-tokens", "140", "--json")
    path = tmp_path / "edited.json"
    path.write_text(json.dumps({**json.loads(out), field: value, "later": "passed over"}))
    code, _, err = run(capsys, "report", str(path))
    assert code == 2
    assert f"field '{field}" in err


def test_an_interruption_is_said_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("kvsteady.advise.analyse.run_experiments", interrupted)
    target = tmp_path / "report.html"
    code, out, err = run(
        capsys, "check", "--class", "2:2", "--kv-tokens", "140", "--html", str(target)
    )
    assert (code, out, err) == (130, "", "kvsteady: interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_fault_of_ours_has_an_exit_code_of_its_own(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("kvsteady.advise.analyse.run_experiments", broken)
    code, _, err = run(capsys, "check", "--class", "2:2", "--kv-tokens", "140")
    assert code == 70  # never 1, which is --fail-on
    assert "RuntimeError: a bug" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line() -> None:
    command = f"{sys.executable} -m kvsteady check --class 2:2 --kv-tokens 140 --json > /dev/full"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "No space left" in done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m kvsteady check --class 2:2 --kv-tokens 140 --json | head -c 5"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
    assert (len(done.stdout), done.stderr) == (5, "")
