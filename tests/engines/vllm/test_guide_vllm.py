"""The commands of docs/guides/vllm.md, run against the real engine with a tiny model."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("vllm.v1", reason="vLLM is not installed: tests/engines/requirements")
pytest.importorskip("compressed_tensors", reason="vLLM cannot load a model without it")

from engines.vllm.engine import MODEL
from kvsteady.plugins.settings import Settings
from kvsteady.plugins.vllm.versions import TESTED

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "guides" / "vllm.md").read_text("utf-8")
# A model without weights and tokenizer, on a CPU; the guide's reader has a real one.
TINY = (
    "--load-format dummy --skip-tokenizer-init --enforce-eager --max-model-len 256 "
    "--block-size 32 --num-gpu-blocks-override 21 --no-enable-prefix-caching"
)
ENVIRONMENT = {
    "VLLM_LOGGING_LEVEL": "INFO",  # the driver of the scheduler, in this process, wants silence
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_NO_USAGE_STATS": "1",
}


def commands() -> list[str]:
    """The guide's commands, each with its continuation lines."""
    text = "\n".join(re.findall(r"^```console\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE))
    return [c.strip() for c in re.split(r"^\$ ", text.replace("\\\n", " "), flags=re.MULTILINE)[1:]]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def asked(url: str, body: Any = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as answer:
        return answer.read().decode()


class Server:
    """A server started by one of the guide's commands."""

    def __init__(self, command: str, folder: Path) -> None:
        self.port = free_port()
        (folder / "config.json").write_text(json.dumps(MODEL))
        # vllm-cpu's own command asks for the package "vllm", which it is not.
        named = folder / "named" / "vllm-0.32.0+cpu.dist-info"
        named.mkdir(parents=True, exist_ok=True)
        (named / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n")
        path = os.pathsep.join([str(named.parent), os.environ.get("PYTHONPATH", "")])
        words = command.replace("/tmp/", f"{folder}/").replace("MODEL", str(folder))
        binary = f"{shlex.quote(sys.executable)} -m vllm.entrypoints.cli.main serve"
        words = words.replace("vllm serve", binary)
        self.log = (folder / "log").open("w+")
        self.process = subprocess.Popen(
            f"exec env {words} {TINY} --port {self.port}",
            shell=True,
            env=os.environ | ENVIRONMENT | {"PYTHONPATH": path},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Server:
        while self.process.poll() is None:
            try:
                asked(f"http://127.0.0.1:{self.port}/health")
            except OSError:
                threading.Event().wait(0.5)
            else:
                return self
        self.stop()
        raise AssertionError(self.said()[-3000:])

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait()
        self.log.close()

    def said(self) -> str:
        return Path(self.log.name).read_text()

    def serve(self, requests: int) -> None:
        """As many requests at once."""
        body = {"model": None, "max_tokens": 100, "ignore_eos": True, "temperature": 0}
        url = f"http://127.0.0.1:{self.port}/v1"
        body["model"] = json.loads(asked(f"{url}/models"))["data"][0]["id"]
        prompts = [[i + 1] * 32 for i in range(requests)]
        answer = json.loads(asked(f"{url}/completions", body | {"prompt": prompts}))
        assert len(answer["choices"]) == requests


def shell(command: str, server: Server) -> str:
    text = command.replace("localhost:8000", f"127.0.0.1:{server.port}")
    return subprocess.run(text, shell=True, check=True, capture_output=True, text=True).stdout


def test_a_day_in_shadow(tmp_path):
    stock, folder, shadow, ours = commands()[:4]
    subprocess.run(folder.replace("/tmp/", f"{tmp_path}/"), shell=True, check=True)
    with Server(shadow, tmp_path) as server:
        server.serve(24)
        told = dict(line.rsplit(" ", 1) for line in shell(stock, server).splitlines())
        ledger = dict(line.rsplit(" ", 1) for line in shell(ours, server).splitlines())
    ledger = {name.partition("{")[0]: float(value) for name, value in ledger.items()}
    preempted = sum(float(v) for name, v in told.items() if "num_preemptions" in name)
    assert preempted > 0
    assert ledger["kvsteady_evicted_total"] == preempted
    assert ledger["kvsteady_admitted_total"] == 24 + preempted
    assert ledger["kvsteady_recomputed_total"] > 32 * preempted
    assert ledger["kvsteady_held_back_total"] > 0
    assert 0 < ledger["kvsteady_recompute_tax"] < 1
    assert "kvsteady: policy steady, shadow; narrows max_num_active_reqs" in server.said()


def test_on_and_off_again_are_the_same_command_with_and_without_two_options():
    shadow, on, off = (c for c in commands() if "vllm serve" in c)
    words = shlex.split(on)
    assert words[:3] == shlex.split(off)
    assert words[3:5] == ["--scheduler-cls", "kvsteady.plugins.vllm.SteadyScheduler"]
    assert json.loads(words[6]) == {"kvsteady": {"policy": "steady"}}
    given = json.loads(shlex.split(shadow)[-1])
    assert given == {"kvsteady": {"policy": "steady", "mode": "shadow"}}


def test_the_python_form_runs(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(MODEL))
    [block] = re.findall(r"^```python\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
    options = (
        f'{str(tmp_path)!r}, load_format="dummy", skip_tokenizer_init=True, enforce_eager=True, '
        "max_model_len=256, block_size=32, num_gpu_blocks_override=21,"
    )
    assert '"MODEL",' in block
    script = block.replace('"MODEL",', options) + (
        "scheduler = llm.llm_engine.engine_core.engine_core.scheduler\n"
        "print('made', type(scheduler).__name__, scheduler.kvsteady.regulator.settings)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | ENVIRONMENT | {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "made SteadySyncScheduler Settings(policy='steady'" in done.stdout, done.stderr[-2000:]
    assert "Metrics kvsteady_* are with vLLM's" in done.stdout + done.stderr


def test_the_tables_are_true():
    versions = dict(re.findall(r"^\| (\d+\.\d+\.\d+) \| (.*?) \|$", GUIDE, re.MULTILINE))
    assert versions == TESTED
    told = dict(re.findall(r"^\| `(\w+)` \| `?([\w.]+)`? \|", GUIDE, re.MULTILINE))
    defaults = {name: getattr(Settings(), name) for name in told if hasattr(Settings(), name)}
    assert set(defaults) == set(Settings.__struct_fields__)
    for name, value in defaults.items():
        assert (
            json.loads(told[name]) == value if not isinstance(value, str) else told[name] == value
        )
