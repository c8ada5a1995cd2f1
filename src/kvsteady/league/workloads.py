"""The suite: what every entrant has to serve. One H100-like GPU with Llama 3.1 8B throughout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias

import numpy as np

from kvsteady.admission import NO_LIMIT
from kvsteady.league.jitter import memory_of
from kvsteady.league.loads import Conversations
from kvsteady.model.system import System
from kvsteady.theory.tiers import design_tiers
from kvsteady.workload.distributions import Lengths, independent
from kvsteady.workload.law import Workload
from kvsteady.workload.presets import preset

Kind: TypeAlias = Literal["saturated", "drift", "open", "burst", "conversations", "trace"]

# Those of an 8B model in 16 bit on a GPU with 40 GB; about a hundred requests and more run at once.
_KV_TOKENS = 131_072
# On 80 GB: the longest conversations would not fit in less.
_LARGE = 440_000


@dataclass(frozen=True)
class Contest:
    """One workload of the league.

    Parameters
    ----------
    name, about
        The key, and a sentence.
    law
        Lengths of requests; of the first half of the run where they drift.
    kind
        ``saturated``: a queue that never empties. ``drift``: one whose law becomes ``later``.
        ``open``: requests come at random times. ``burst``: 1,000 more come at once on the way.
        ``conversations``: turns that share prefixes, never waited for; ``trace``: the same from a
        file, and only played where one is given.
    kv_tokens, block_size
        Memory. SGLang has pages of one token whatever the block size.
    max_tokens
        What engine and policies are told of a request's output; None tells them the output, as
        where every request is to generate a fixed number of tokens.
    told
        Max_tokens that engine and policies are told in its stead: `NO_LIMIT` where requests come
        without, or far too many. Too few there cannot be: an engine stops at max_tokens, and the
        output is that long then.
    shared
        Tokens of a system prompt that all requests begin with. Engines have their prefix caches
        where there are any, and in the last two kinds; x* is that of the rest of the prompts in the
        rest of the memory.
    load
        Of open loops, the arrivals as a share of what the engine serves without evictions.
    heavy
        Lengths with so heavy a tail that x* is no bar: the Pareto front of the baselines is.
    jitter
        Lengths in turn leave a seed nothing to draw; it takes away up to 2% of memory instead, so
        that no row hangs on what divides what.
    """

    name: str
    about: str
    law: Callable[[], Workload]
    kind: Kind = "saturated"
    kv_tokens: int = _KV_TOKENS
    block_size: int = 16
    max_tokens: int | None = None
    told: int | None = None
    shared: int = 0
    load: float = 0.0
    later: Callable[[], Workload] | None = None
    heavy: bool = False
    jitter: bool = True

    def memory(self, seed: int) -> int:
        """KV tokens in the run of a seed; seed 0 has all of them."""
        if not self.jitter or self.law().random:
            return self.kv_tokens
        return memory_of(seed, self.kv_tokens, self.kv_tokens // 50)

    def system(self, seed: int = 0, *, block_size: int | None = None) -> System:
        """Law and memory, from which baselines take their constants: half of each where they drift.

        Raises
        ------
        InputError
            A request does not fit.
        """
        law = self.law()
        if self.later is not None:
            law = _halves(law, self.later())
        block = self.block_size if block_size is None else block_size
        return System(law, self.memory(seed) - self.shared, block)

    @property
    def cached(self) -> bool:
        """Whether engines have their prefix caches."""
        return self.shared > 0 or self.kind in ("conversations", "trace")

    @property
    def seeded(self) -> bool:
        """Whether seeds differ at all; a trace is always the same."""
        return self.kind != "trace" and (self.jitter or self.law().random)


def _halves(first: Workload, second: Workload) -> Workload:
    """Half of the iterations of each: so many requests of a law as memory serves in them."""
    shares = [1 / float(law.memory_weights().sum()) for law in (first, second)]
    rows = [
        (int(p), int(o), round(1e12 * of * share))
        for law, share in zip((first, second), (s / sum(shares) for s in shares), strict=True)
        for p, o, of in zip(law.prompt, law.output, law.share, strict=True)
    ]
    prompt, output, count = zip(*rows, strict=True)
    return Workload.from_counts(prompt, output, count, random=True)


def _drawn(*classes: tuple[int, int, int]) -> Workload:
    prompt, output, count = zip(*classes, strict=True)
    return Workload.from_counts(prompt, output, count, random=True)


def _tiers() -> Workload:
    return Workload.classes([(256, 128), (256, 256), (256, 512)])


@cache
def _designed() -> Workload:
    # Down by 3% at most, as `kvsteady tiers` finds them.
    return design_tiers(_tiers(), tolerance=0.03, keep=1, certified=False).best[0].workload


def _fixed(prompt: int, output: int) -> Callable[[], Workload]:
    return lambda: Workload.fixed(prompt, output)


def _preset(name: str) -> Callable[[], Workload]:
    return cache(lambda: preset(name))


@cache
def _geometric() -> Workload:
    return independent(Lengths.fixed(128), Lengths.geometric(256.0, 2048))


@cache
def turn() -> Workload:
    """What a turn of a conversation adds, and the answer."""
    return independent(
        Lengths.lognormal(150.0, 1.0, 2000).merged(64), Lengths.geometric(250.0, 1000).merged(64)
    )


@cache
def _turns() -> Workload:
    """Lengths of such turns with all that was said before, less the system prompt."""
    (rows,) = Conversations(turn(), 0, 2000, seed=0).feed().batches
    return Workload.from_counts(
        rows["prompt"], rows["output"], np.ones_like(rows["prompt"]), random=True
    )


_AZURE, _CHAT = _preset("azure-conv"), _preset("chat")

CONTESTS: Final[dict[str, Contest]] = {
    contest.name: contest
    for contest in (
        Contest("fixed-128-512", "prompt 128, output 512, always", _fixed(128, 512)),
        Contest("fixed-512-512", "prompt 512, output 512, always", _fixed(512, 512)),
        Contest("fixed-1155-211", "prompt 1155, output 211, always", _fixed(1155, 211)),
        Contest("fixed-32-1024", "prompt 32, output 1,024, always", _fixed(32, 1024)),
        Contest(
            "bar-16-32",
            "prompt 16, output 32, 960 KV tokens in blocks of 1",
            _fixed(16, 32),
            kv_tokens=960,
            block_size=1,
            jitter=False,
        ),
        Contest("tiers", "prompt 256, outputs 128, 256, 512 in turn", _tiers),
        Contest("tiers-designed", "the same, each at most 3% shorter, designed", _designed),
        Contest("geometric", "prompt 128, geometric output, mean 256", _geometric, max_tokens=2048),
        Contest("azure", "Azure conversations", _AZURE, max_tokens=1000),
        Contest(
            "mooncake",
            "Mooncake conversations, no shared prefixes",
            _preset("mooncake-conv"),
            kv_tokens=_LARGE,
            max_tokens=2000,
            heavy=True,
        ),
        Contest(
            "rl-rollouts",
            "RL rollouts: prompt 200, log-normal output cut at 2,048",
            _preset("rl-rollouts"),
            max_tokens=2048,
            heavy=True,
        ),
        Contest("chat", "chat with short prompts", _CHAT, max_tokens=1024),
        Contest(
            "azure-untold",
            "Azure conversations that come without max_tokens",
            _AZURE,
            max_tokens=1000,
            told=NO_LIMIT,
        ),
        Contest(
            "azure-far",
            "Azure conversations with max_tokens 16,384, 16 times the longest output",
            _AZURE,
            max_tokens=1000,
            told=16_384,
        ),
        Contest(
            "fixed-far",
            "prompt 128, output 512, always, with max_tokens 4,096",
            _fixed(128, 512),
            told=4096,
        ),
        Contest(
            "system-prompt",
            "chat behind a system prompt of 2,048 tokens, prefix caches on",
            _CHAT,
            max_tokens=1024,
            shared=2048,
        ),
        Contest(
            "conversations",
            "turns 200 others after the last, system prompt 1,024, prefix caches on",
            _turns,
            kind="conversations",
            max_tokens=1000,
            shared=1024,
            heavy=True,
        ),
        Contest(
            "mooncake-prefixes",
            "Mooncake conversations with their shared prefixes, prefix caches on",
            _preset("mooncake-conv"),
            kind="trace",
            kv_tokens=_LARGE,
            max_tokens=2000,
            heavy=True,
        ),
        Contest(
            "drift",
            "outputs 128 and 768: of four requests first one is long, then three",
            lambda: _drawn((128, 128, 3), (128, 768, 1)),
            kind="drift",
            later=lambda: _drawn((128, 128, 1), (128, 768, 3)),
            max_tokens=1024,
        ),
        *(
            Contest(
                f"open-{round(100 * load)}",
                f"Azure conversations, Poisson at {load:g} of capacity",
                _AZURE,
                kind="open",
                max_tokens=1000,
                load=load,
            )
            for load in (0.7, 0.95, 1.1)
        ),
        Contest(
            "burst",
            "prompt 128, output 512, Poisson at 0.85 of capacity, and 1,000 at once",
            _fixed(128, 512),
            kind="burst",
            load=0.85,
        ),
    )
}
"""By name, in the order of the table."""

QUICK: Final = ("bar-16-32", "azure", "open-95")
"""What ``--quick`` plays."""
