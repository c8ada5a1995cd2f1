"""SGLang's whole server on a CPU: its processes, HTTP and metrics, a tiny model of random weights.

What has no wheel for CPUs is a stand-in in each of its processes (`stubs.py`); layers, attention
and sampler are those that SGLang has in plain torch.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# Initialized ten times wider than usual: what is generated depends on all the prompt.
# No end-of-sequence token: with ignore_eos SGLang reserves max_tokens in full and retracts nobody.
MAKE_MODEL = """
import sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.manual_seed(0)
LlamaForCausalLM(
    LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=512,
        initializer_range=0.2, bos_token_id=None, eos_token_id=None,
    )
).save_pretrained(sys.argv[1])
"""
# A CPU, a model without tokenizer, and memory for 1,000 tokens, of which SGLang reserves little.
FLAGS = (
    "--device cpu --dtype float32 --attention-backend torch_native --sampling-backend pytorch "
    "--cuda-graph-backend-decode disabled --cuda-graph-backend-prefill disabled "
    "--skip-tokenizer-init --max-total-tokens 1000 --schedule-conservativeness 0.3"
)
START_SECONDS = 240  # the first compiles the policy
STOP_SECONDS = 20


def make_model(folder: Path) -> None:
    """Weights and configuration of a Llama; in a process that has no stand-ins."""
    made = [sys.executable, "-c", MAKE_MODEL, str(folder)]
    subprocess.run(made, check=True, capture_output=True)


class Server:
    """A server started by ``command``, with MODEL in it a folder; a context that ends it."""

    def __init__(self, command: str, model: Path, folder: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])
        words = command.replace("python ", f"{shlex.quote(sys.executable)} ", 1)
        words = words.replace("MODEL", shlex.quote(str(model)))
        given = {k: v for k, v in os.environ.items() if not k.startswith("KVSTEADY_")}
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                f"exec env {words} {FLAGS} --port {self.port}",
                shell=True,
                env={
                    **given,
                    "HF_HUB_OFFLINE": "1",
                    "OMP_NUM_THREADS": "1",
                    "PROMETHEUS_MULTIPROC_DIR": str(folder),
                    "PYTHONPATH": os.pathsep.join(
                        [str(HERE / "stand_ins"), os.environ.get("PYTHONPATH", "")]
                    ),
                    "SGLANG_USE_CPU_ENGINE": "1",
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Server:
        deadline = time.monotonic() + START_SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            if "ready to roll" in self.log.read_text():  # after its own first request
                return self
            threading.Event().wait(0.5)
        self.__exit__()
        raise AssertionError(self.log.read_text()[-3000:])

    def __exit__(self, *_: object) -> None:
        self.process.terminate()  # it ends its processes, and what they share in memory
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def ask(self, path: str, body: Any = None) -> str:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return str(answer.read().decode())

    def generate(self, prompts: list[list[int]], tokens: int) -> list[list[int]]:
        """The greedy continuation of each prompt, all asked for at once."""
        sampling = {"temperature": 0, "max_new_tokens": tokens}
        said = self.ask("/generate", {"input_ids": prompts, "sampling_params": sampling})
        return [answer["output_ids"] for answer in json.loads(said)]

    def shell(self, command: str) -> str:
        """What a command of the guide prints."""
        text = command.replace("localhost:30000", f"127.0.0.1:{self.port}")
        done = subprocess.run(text, shell=True, check=False, capture_output=True, text=True)
        assert not done.stderr
        return done.stdout
