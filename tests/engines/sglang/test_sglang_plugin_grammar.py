"""Structured output with the plug-in: requests whose grammar is being compiled wait beside.

SGLang's own `GrammarManager` and its xgrammar backend run here, on the CPU: keys, futures, the
polling, compiled grammars that accept each token, masks over logits. One thing stands in: the pool
of threads, whose futures become done in a given iteration, with what xgrammar makes of the grammar.
The model is made up: it says what the grammar allows or, where masks are looked at, anything.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from concurrent.futures import Future
from dataclasses import dataclass
from importlib import import_module, metadata
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

try:  # not by import: this folder has the package's name
    metadata.version("sglang")
except metadata.PackageNotFoundError:
    message = "SGLang is not installed: tests/engines/requirements/sglang.txt"
    pytest.skip(message, allow_module_level=True)

from engines.sglang.plugged import Arrival, Driver, Knobs, OverlapDriver, Step, guard, plugged

pytest.importorskip("xgrammar")
torch = import_module("torch")
# SGLang's own call of xgrammar.
pytestmark = pytest.mark.filterwarnings("ignore:max_rollback_tokens:DeprecationWarning")
MANAGER = import_module("sglang.srt.constrained.grammar_manager")
BACKEND = import_module("sglang.srt.constrained.xgrammar_backend").XGrammarGrammarBackend
ABORT = import_module("sglang.srt.managers.io_struct").AbortReq
CONTEXT = import_module("sglang.srt.runtime_context")
SAMPLING = import_module("sglang.srt.sampling.sampling_batch_info").SamplingBatchInfo
VOCABULARY = {"<unk>": 0, "</s>": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "x": 7}
POLLS = 50  # that a grammar may take
KNOBS = Knobs(tokens=600, max_running_requests=64, disable_radix_cache=True)


@dataclass(frozen=True)
class Wanted:
    """A request; ``how`` its grammar ends, so many iterations ``later``; "": it has none."""

    arrival: Arrival
    how: str = ""
    later: int = 0

    @property
    def fails(self) -> bool:
        return self.how not in ("", "compiles")

    @property
    def due(self) -> int:
        """The iteration in which it enters the queue."""
        if self.how == "never":
            return self.arrival.step + POLLS - 1
        return self.arrival.step + self.later


class _Pool:
    """The backend's executor: its futures wait to be told."""

    def __init__(self) -> None:
        self.tasks: list[tuple[Future[Any], Any]] = []

    def submit(self, task: Any, *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.tasks.append((future, lambda: task(*args)))
        return future


class Structured(Driver):
    """A scheduler with SGLang's grammar manager; ``entered``: when who entered the queue."""

    ranking: tuple[int, ...] = ()

    def __init__(self, knobs: Knobs) -> None:
        self.now = 0
        self.entered: list[tuple[int, int]] = []
        self.ends: dict[int, list[tuple[int, str, int]]] = defaultdict(list)
        super().__init__(knobs)

    def publish(self) -> None:
        super().publish()
        CONTEXT.get_context().override("tests", grammar_backend="xgrammar")

    def build_parts(self, s: Any) -> None:
        super().build_parts(s)
        self.build_grammars(s)
        queue = s._add_request_to_queue

        def entering(req: Any, is_retracted: bool = False) -> None:
            if not is_retracted:
                self.entered.append((self.now, int(req.rid)))
            queue(req, is_retracted)

        s._add_request_to_queue = entering

    def build_grammars(self, s: Any) -> None:
        s.server_args, s.tokenizer, s.pp_group = None, tokenizer(), None
        s.model_config.vocab_size, vocab_size = len(VOCABULARY), s.model_config.vocab_size
        s.model_config.hf_eos_token_id = {VOCABULARY["</s>"]}
        s.dp_tp_cpu_group = None
        s.dp_tp_group = SimpleNamespace(world_size=1, first_rank=0, is_first_rank=True)
        manager = s.grammar_manager = MANAGER.GrammarManager(s)
        s.model_config.vocab_size = vocab_size
        assert type(manager.grammar_backend) is BACKEND
        manager.grammar_backend.executor.shutdown()
        self.pool = manager.grammar_backend.executor = _Pool()
        manager.SGLANG_GRAMMAR_POLL_INTERVAL = 1.5  # of `ticking`: one look in an iteration
        manager.SGLANG_GRAMMAR_MAX_POLL_ITERATIONS = POLLS

    def want(self, wanted: Wanted) -> None:
        if not wanted.how:
            self.add(wanted.arrival)
            return
        number = len(self.arrivals)
        # Each has its own, or it would be found in the backend's cache.
        self.add(wanted.arrival, regex=f"x+|c{{{number + 1}}}" + "(" * (wanted.how == "wrong"))
        self.ends[wanted.due].append((number, wanted.how, len(self.pool.tasks) - 1))

    def step(self) -> Step:
        for number, how, place in self.ends.pop(self.now, ()):
            future, compiled = self.pool.tasks[place]
            if how in ("compiles", "wrong"):
                future.set_result(compiled())
            elif how == "breaks":
                future.set_exception(RuntimeError("broken on purpose"))
            elif how == "aborted":
                self.scheduler.abort_request(ABORT(rid=str(number)))
                assert future.cancelled()
        taken = super().step()
        self.now += 1
        return taken


class Overlapped(Structured, OverlapDriver):
    pass


class Masked(Structured):
    """Logits are noise; SGLang's mask leaves of them what the grammars allow, and the best wins."""

    def __init__(self, knobs: Knobs) -> None:
        self.noise = torch.Generator().manual_seed(1)
        self.answers: dict[int, Any] = {}  # tokens, by request
        super().__init__(knobs)

    def sampled(self, batch: Any) -> list[int]:
        tokens = super().sampled(batch)
        grammars = [req.grammar for req in batch.reqs]
        if not any(grammars):
            return tokens
        rows = len(grammars)
        info = SimpleNamespace(
            grammars=grammars, vocab_size=len(VOCABULARY), temperatures=[1.0] * rows, device="cpu"
        )
        SAMPLING.update_regex_vocab_mask(info)
        logits = torch.randn(rows, len(VOCABULARY), generator=self.noise)
        info.grammar_mask.apply(logits)
        best = logits.argmax(dim=1).tolist()
        for row, req in enumerate(batch.reqs):
            if grammars[row] and not req.finished():
                tokens[row] = best[row]
                self.answers[int(req.rid)] = req.output_ids
        return tokens


class OverlappedMasked(Masked, OverlapDriver):
    pass


class Twin(Structured):
    """Nobody waits for a grammar: the same requests appear in the iterations they are due in.

    Among those that are ready at once in the order ``ranking``: SGLang takes them from a set.
    """

    def build_grammars(self, s: Any) -> None:
        self.hidden: dict[int, list[tuple[Any, Wanted]]] = defaultdict(list)
        s.grammar_manager = SimpleNamespace(
            has_waiting_grammars=lambda: bool(self.hidden.get(self.now)),
            process_req_with_grammar=self.hide,
            get_ready_grammar_requests=self.show,
            abort_requests=lambda _: None,
        )

    def want(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.add(wanted.arrival)

    def hide(self, req: Any) -> bool:
        if self.wanted.how:
            self.hidden[self.wanted.due].append((req, self.wanted))
        return bool(self.wanted.how)

    def show(self) -> list[Any]:
        coming = sorted(
            self.hidden.pop(self.now), key=lambda pair: self.ranking.index(int(pair[0].rid))
        )
        for req, wanted in coming:
            if wanted.fails:
                req.set_finish_with_abort("it failed")
        return [req for req, _ in coming]


class OverlappedTwin(Twin, OverlapDriver):
    pass


def tokenizer() -> Any:
    words = import_module("tokenizers")
    model = words.models.WordLevel(VOCABULARY, unk_token="<unk>")
    fast = import_module("transformers").PreTrainedTokenizerFast
    return fast(tokenizer_object=words.Tokenizer(model), eos_token="</s>", unk_token="<unk>")


@pytest.fixture(autouse=True)
def ticking(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock for the polling that goes on by one at each look, and no sleep."""
    ticks = count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks), sleep=lambda _: None)
    monkeypatch.setattr(MANAGER, "time", clock)
    with CONTEXT.get_parallel().override(pp_rank=0, pp_size=1, tp_rank=0):
        yield


def served(driver: Any, wants: list[Wanted], steps: int = 4000) -> list[Step]:
    """Steps until as many have finished as there are, and three more."""
    coming, taken, finished = list(wants), [], 0
    while finished < len(wants) and len(taken) < steps:
        while coming and coming[0].arrival.step <= driver.now:
            driver.want(coming.pop(0))
        taken.append(driver.step())
        finished += len(taken[-1].finished)
    return taken + [driver.step() for _ in range(3)]


def drawn(seed: int) -> list[Wanted]:
    """A hundred without a grammar, then also some with: abort goes by the beginning of a name."""
    rng = random.Random(seed)
    times = sorted(rng.randint(0, 200) for _ in range(260))
    hows = ["", "", "", "compiles", "compiles", "compiles", "wrong", "breaks", "aborted", "never"]
    wants = []
    for number, step in enumerate(times):
        output = rng.randint(1, 60)
        arrival = Arrival(step, rng.randint(1, 40), output, output + rng.randint(0, 40))
        how = rng.choice(hows) if number >= 100 else ""
        wants.append(Wanted(arrival, how, rng.randint(1, POLLS - 2) if how else 0))
    return wants


@pytest.mark.parametrize("policy", ["steady", "rate-cap:rate=0.5"])
@pytest.mark.parametrize(
    "drivers", [(Structured, Twin), (Overlapped, OverlappedTwin)], ids=["plain", "overlap"]
)
def test_who_waits_for_a_grammar_is_not_lost_and_holds_up_nobody(
    policy: str, drivers: tuple[type[Structured], type[Twin]]
) -> None:
    wants = drawn(3)
    failing = {number for number, want in enumerate(wants) if want.fails}
    assert {want.how for want in wants} == {"", "compiles", "wrong", "breaks", "aborted", "never"}
    seen = []
    ranking: tuple[int, ...] = ()
    for kind in drivers:
        driver = kind(KNOBS)
        driver.ranking = ranking  # the twin's
        with plugged(policy=policy, budget_ms="100000"):
            steps = served(driver, wants)
            regulator = guard(driver).regulator
        finished = Counter(number for step in steps for number in step.finished)
        assert finished == Counter(range(len(wants)))
        assert sorted(driver.entered) == sorted((w.due, n) for n, w in enumerate(wants))
        assert driver.entered == sorted(
            driver.entered, key=lambda at: (at[0], bool(wants[at[1]].how))
        )
        began = dict.fromkeys(
            number for step in steps if step.kind == "prefill" for number, _ in step.tokens
        )
        assert list(began) == [number for _, number in driver.entered]
        assert regulator.why_aside is None
        ledger = regulator.ledger
        assert ledger.limited > 50
        assert ledger.admitted - ledger.resumed == len(wants)
        # What failed says nothing of how long outputs are.
        assert ledger.completed == len(wants) - len(failing)
        assert steps[-1].free == KNOBS.tokens
        seen.append((steps, ledger))
        ranking = tuple(number for _, number in driver.entered)
    assert seen[0] == seen[1]


@pytest.mark.parametrize("kind", [Structured, Overlapped])
def test_a_policy_that_does_not_bind_changes_nothing(kind: type[Structured]) -> None:
    knobs = Knobs(tokens=20000, max_running_requests=8, disable_radix_cache=True)
    wants = drawn(4)
    alone = served(kind(knobs), wants)
    with plugged(policy="greedy", budget_ms="100000"):
        driver = kind(knobs)
        found = served(driver, wants)
        assert guard(driver).regulator.why_aside is None
    assert found == alone
    assert sum(len(step.finished) for step in found) == len(wants)


def test_grammars_that_become_ready_at_once_in_an_idle_engine_are_admitted_by_the_policy() -> None:
    """The policy is asked before SGLang looks for grammars, while nobody runs nor waits."""
    wants = [Wanted(Arrival(0, 4, 30, 30), "compiles", 12)] * 40
    driver = Structured(KNOBS)
    with plugged(policy="rate-cap:rate=0.5", budget_ms="100000"):
        steps = served(driver, wants)
        ledger = guard(driver).regulator.ledger
    prefills = [len(step.tokens) for step in steps if step.kind == "prefill"]
    assert sum(prefills) == ledger.admitted == ledger.completed == 40
    assert max(prefills) == 1  # a bucket of 1.5
    assert ledger.evicted == 0


@pytest.mark.parametrize("kind", [Masked, OverlappedMasked])
def test_masks_are_applied_to_whom_the_policy_admits(kind: type[Masked]) -> None:
    """Every answer is what its own expression matches, whoever shares a batch with it."""
    rng = random.Random(6)
    wants = [
        Wanted(Arrival(rng.randint(0, 60), rng.randint(1, 40), 80, 80), how, rng.randint(1, 20))
        for how in ["", "compiles", "compiles"] * 40
    ]
    wants.sort(key=lambda want: want.arrival.step)
    driver = kind(KNOBS)
    with plugged(policy="steady", budget_ms="100000"):
        steps = served(driver, wants)
        regulator = guard(driver).regulator
    assert regulator.why_aside is None
    assert Counter(n for step in steps for n in step.finished) == Counter(range(120))
    assert regulator.ledger.completed == 120
    assert regulator.ledger.limited > 20
    letters = {number: letter for letter, number in VOCABULARY.items()}
    structured = {number for number, want in enumerate(wants) if want.how}
    assert driver.answers.keys() == structured
    cut = 0
    for number, tokens in driver.answers.items():
        text = "".join(letters[token] for token in tokens)
        if text.endswith("</s>"):
            assert re.fullmatch(f"x+|c{{{number + 1}}}", text.removesuffix("</s>"))
        else:  # at its max_tokens
            assert text in ("x" * 80, "c" * 80)
            cut += 1
    assert cut < 40
    assert {tokens[0] for tokens in driver.answers.values()} == {VOCABULARY["x"], VOCABULARY["c"]}
