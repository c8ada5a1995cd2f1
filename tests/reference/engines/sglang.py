"""SGLang's scheduler, version 0.5.23, in plain Python: one request at a time, O(batch) per step.

Written after `Scheduler.get_next_batch_to_run`, `PrefillAdder`, `ScheduleBatch.retract_decode` and
`NewTokenRatioTracker` of `sglang/srt/managers`, without the overlap of scheduling and computing
(``--disable-overlap-schedule``), LoRA, priorities, speculation, disaggregation and host caches.
"""

from __future__ import annotations

from dataclasses import dataclass, field

CLIP = 4096  # SGLANG_CLIP_MAX_NEW_TOKENS_ESTIMATION
MIN_FACTOR, DECAY_STEPS, RETRACT_STEPS = 0.14, 600, 20  # SGLANG_..., at their defaults
CONTINUE, NO_TOKEN, OTHER = range(3)


class OutOfMemoryError(Exception):
    """The engine itself would end here: it cannot allocate what it has admitted."""


@dataclass(frozen=True)
class Knobs:
    """The engine's options under its names, and `tokens`, the size of its KV pool."""

    tokens: int = 4096
    page_size: int = 1
    max_running_requests: int = 256
    max_prefill_tokens: int = 16384
    chunked_prefill_size: int = 8192  # -1: off
    enable_mixed_chunk: bool = False
    prefill_max_requests: int | None = None
    prefill_decode_interval: int = 0
    prefill_decode_interval_min_bs: int = 0
    schedule_conservativeness: float = 1.0
    init_new_token_ratio: float = 0.7  # SGLANG_INIT_NEW_TOKEN_RATIO
    disable_radix_cache: bool = True
    schedule_policy: str = "fcfs"


@dataclass(frozen=True)
class Arrival:
    """A request, and the iteration before which it is there."""

    step: int
    prompt: int
    output: int
    max_new: int  # its max_new_tokens: at least output
    token_ids: tuple[int, ...] = ()  # prompt, then output; empty where no prefix is shared


@dataclass(frozen=True)
class Step:
    """What one iteration decided; requests go by number."""

    kind: str  # prefill, decode, mixed or idle
    tokens: tuple[tuple[int, int], ...]  # (request, tokens computed), in the order of the batch
    retracted: tuple[int, ...]
    aborted: tuple[int, ...]
    finished: tuple[int, ...]
    free: int  # KV tokens in free pages, after the iteration
    evictable: int  # KV tokens cached and not in use
    ratio: float
    chunked: int | None  # whose prefill goes on
    running: tuple[int, ...]  # all others, in order
    waiting: tuple[int, ...]

    @property
    def nobody(self) -> bool:
        return not self.running and not self.waiting and self.chunked is None


@dataclass(eq=False)
class Request:
    number: int
    prompt: int
    output: int
    max_new: int
    token_ids: tuple[int, ...] = ()
    out: int = 0  # tokens generated
    prefix: int = 0  # KV tokens held before this iteration's chunk
    end: int = 0  # and after it
    finished: bool = False

    @property
    def fill(self) -> int:
        return self.prompt + self.out


@dataclass
class Batch:
    requests: list[Request] = field(default_factory=list)
    full: bool = False


class CountedPages:
    """Memory where nothing is shared: `--disable-radix-cache`."""

    evictable = 0

    def __init__(self, tokens: int, page: int) -> None:
        self.page, self.pages = page, tokens // page

    @property
    def available(self) -> int:
        return self.pages * self.page

    def match(self, request: Request) -> int:
        del request
        return 0

    def lock(self, request: Request) -> None: ...

    def unlock(self, request: Request) -> None: ...

    def refresh(self, waiting: list[Request]) -> None: ...

    def grow(self, requests: list[Request], *, decode: bool = False) -> None:
        """Take pages for [prefix, end) of each."""
        del decode
        self.pages -= sum(-(-r.end // self.page) - -(-r.prefix // self.page) for r in requests)
        if self.pages < 0:
            raise OutOfMemoryError

    def suffices(self, tokens: int) -> bool:
        return self.available >= tokens

    def checkpoint(self, request: Request) -> None: ...

    def release(self, request: Request, keep: bool) -> None:
        del keep
        self.pages += -(-request.end // self.page)

    def make_room(self, tokens: int) -> None: ...


class Sglang:
    """`add` requests, then `step`."""

    def __init__(self, knobs: Knobs, memory: CountedPages | None = None) -> None:
        self.knobs = knobs
        self.memory = memory or CountedPages(knobs.tokens, knobs.page_size)
        self.running = Batch()
        self.waiting: list[Request] = []
        self.last: Batch | None = None  # the batch of the last iteration
        self.last_extends = False
        self.chunked: Request | None = None
        self.deferrals = 0
        self.count = 0
        self.init = min(knobs.init_new_token_ratio * knobs.schedule_conservativeness, 1.0)
        self.least = min(self.init * MIN_FACTOR, 1.0)
        self.decay = (self.init - self.least) / DECAY_STEPS
        self.ratio = self.init
        self.retracted: list[Request] = []
        self.aborted: list[Request] = []
        self.decoding: list[Request] = []  # those of this iteration

    def add(self, arrival: Arrival) -> None:
        k = self.knobs
        most = k.tokens - -(-arrival.prompt // k.page_size) * k.page_size - k.page_size - 1
        most = max(min(arrival.max_new, most), 0)
        request = Request(
            self.count,
            arrival.prompt,
            min(arrival.output, max(most, 1)),
            most,
            arrival.token_ids,
        )
        self.count += 1
        self.waiting.append(request)

    def step(self) -> Step:
        self.retracted, self.aborted, self.decoding = [], [], []
        self._merge()
        kind, batch = "idle", Batch()
        new = None if self._defers() else self._prefill()
        if new is not None:
            kind, batch = new
        elif self.running.requests and self._decode():
            kind, batch = "decode", self.running
        if kind in ("prefill", "mixed"):
            self.deferrals = self.knobs.prefill_decode_interval
        if kind == "idle" and not (self.running.requests or self.chunked or self.waiting):
            self.ratio = self.init
        tokens = tuple((r.number, r.end - r.prefix) for r in batch.requests)
        finished = self._process(batch)
        self.last = None if kind == "idle" else batch
        self.last_extends = kind in ("prefill", "mixed")
        return Step(
            kind=kind,
            tokens=tokens,
            retracted=tuple(r.number for r in self.retracted),
            aborted=tuple(r.number for r in self.aborted),
            finished=finished,
            free=self.memory.available,
            evictable=self.memory.evictable,
            ratio=self.ratio,
            chunked=None if self.chunked is None else self.chunked.number,
            running=self._order(),
            waiting=tuple(r.number for r in self.waiting),
        )

    def _order(self) -> tuple[int, ...]:
        requests = self.running.requests[:]
        if self.last is not None and self.last_extends:
            requests += self.last.requests
        return tuple(r.number for r in requests if not r.finished and r is not self.chunked)

    def _merge(self) -> None:
        """Last iteration's prefill joins the running batch; who finished leaves it."""
        if self.chunked is not None and self.chunked.end > self.chunked.prefix:
            self.memory.checkpoint(self.chunked)
            self.chunked.prefix = self.chunked.end
        if self.last is not None and self.last_extends:
            before = len(self.last.requests)
            self.last.requests = [
                r for r in self.last.requests if not r.finished and r is not self.chunked
            ]
            if len(self.last.requests) < before:
                self.running.full = False
            if self.last.requests and not self.running.requests:
                self.running = self.last
            elif self.last.requests:
                self.running.requests = self.running.requests + self.last.requests
        before = len(self.running.requests)
        self.running.requests = [r for r in self.running.requests if not r.finished]
        if len(self.running.requests) < before:
            self.running.full = False

    def _defers(self) -> bool:
        if self.deferrals == 0:
            return False
        if len(self.running.requests) < self.knobs.prefill_decode_interval_min_bs:
            self.deferrals = 0
            return False
        self.deferrals -= 1
        return True

    def _prefill(self) -> tuple[str, Batch] | None:
        k, running = self.knobs, self.running
        if not running.requests:
            running.full = False
        if (running.full or not self.waiting) and self.chunked is None:
            return None
        if len(running.requests) >= k.max_running_requests and self.chunked is None:
            running.full = True
            return None
        self.memory.refresh(self.waiting)
        adder = Adder(self)
        if self.chunked is not None:
            self.chunked = adder.go_on(self.chunked)
        for request in self.waiting:
            if adder.state() == OTHER:
                break
            if len(running.requests) + len(adder.admitted) >= k.max_running_requests:
                running.full = True
            if running.full:
                break
            result = adder.add(request)
            if result == NO_TOKEN:
                running.full = bool(adder.admitted or running.requests)
            if result != CONTINUE:
                break
        if not adder.admitted:
            return None
        self.waiting = [r for r in self.waiting if r not in adder.admitted]
        if adder.chunked is not None:
            self.chunked = adder.chunked
        self.memory.grow(adder.admitted)
        batch = Batch(adder.admitted)
        if not (adder.mixes and running.requests and self._tick_fits(running.requests)):
            return "prefill", batch
        self._grow_by_one(running.requests)
        self.decoding = running.requests
        batch.requests = batch.requests + running.requests
        self.running = Batch([], running.full)
        return "mixed", batch

    def _tick_fits(self, requests: list[Request]) -> bool:
        page = self.knobs.page_size
        return self.memory.suffices(sum(r.end % page == 0 for r in requests) * page)

    def _grow_by_one(self, requests: list[Request]) -> None:
        for r in requests:
            r.prefix, r.end = r.end, r.end + 1
        self.memory.grow(requests, decode=True)

    def _decode(self) -> bool:
        running = self.running
        before = len(running.requests)
        if self._tick_fits(running.requests):
            self.ratio = max(self.ratio - self.decay, self.least)
        else:
            self._retract()
        if len(running.requests) < before:
            running.full = False
        if running.requests:
            self._grow_by_one(running.requests)
        self.decoding = running.requests
        return bool(running.requests)

    def _retract(self) -> None:
        keep = sorted(self.running.requests, key=lambda r: (r.out, -r.prompt), reverse=True)
        first = True
        while (first or not self._tick_fits(keep)) and len(keep) > 1:
            first = False
            self._throw_out(keep.pop(), len(keep))
        if len(keep) <= 1 and not self._tick_fits(keep):
            self.aborted.append(keep[0])
            self._throw_out(keep.pop(), 0)
            self.retracted.pop()
        self.running.requests = keep
        done = sum(r.out for r in keep) + RETRACT_STEPS * len(keep)
        self.ratio = min(1.0, done / (sum(r.max_new for r in keep) + 1))
        self.waiting += self.retracted

    def _throw_out(self, request: Request, others: int) -> None:
        self.memory.release(request, keep=False)
        self.memory.make_room(others * RETRACT_STEPS)
        request.prefix = request.end = 0
        self.retracted.append(request)

    def _process(self, batch: Batch) -> tuple[int, ...]:
        """Deliver a token to each; who has all of them leaves memory."""
        finished = []
        for r in batch.requests:
            if r is self.chunked:
                continue
            decoded = r in self.decoding
            r.out += 1
            if r.out >= r.output:
                r.finished = True
                finished.append(r.number)
                self.memory.release(r, keep=True)
            elif not decoded:
                self.memory.checkpoint(r)
        return tuple(finished)


class Adder:
    """`PrefillAdder`: the budgets of one pass over the queue."""

    def __init__(self, engine: Sglang) -> None:
        k = engine.knobs
        self.engine, self.memory, self.page = engine, engine.memory, k.page_size
        self.chunks = k.chunked_prefill_size > 0
        self.mixes = self.chunks and k.enable_mixed_chunk
        running = engine.running.requests
        mixed = len(running) if self.mixes else 0
        self.rem_input = k.max_prefill_tokens - mixed
        self.rem_chunk = k.chunked_prefill_size - mixed
        self.total_offset = mixed + sum(
            [min(r.max_new - r.out, CLIP) * engine.ratio for r in running]
        )
        self.admitted: list[Request] = []
        self.chunked: Request | None = None

    @property
    def remaining(self) -> float:
        return self.memory.available + self.memory.evictable - self.total_offset

    def ceil(self, tokens: int) -> int:
        return -(-tokens // self.page) * self.page

    def state(self) -> int:
        if self.remaining <= 0:
            return NO_TOKEN
        if self.rem_input <= 0 or (self.chunks and self.rem_chunk <= 0):
            return OTHER
        return CONTINUE

    def take(self, request: Request, tokens: int, reserve: int) -> None:
        request.end = request.prefix + tokens
        self.admitted.append(request)
        self.total_offset += self.ceil(tokens) + self.page + reserve
        self.rem_input -= self.ceil(tokens)
        self.rem_chunk -= self.ceil(tokens)

    def go_on(self, request: Request) -> Request | None:
        """The next chunk of the request whose prefill has begun."""
        tokens = min(self.rem_chunk, int(self.remaining))
        if tokens <= 0:
            tokens = self.rem_chunk
        rest = request.fill - request.prefix
        last = rest <= tokens
        self.take(request, min(rest, tokens), min(request.max_new, CLIP) if last else 0)
        return None if last else request

    def add(self, request: Request) -> int:
        request.prefix = self.memory.match(request)
        most = self.engine.knobs.prefill_max_requests
        if most is not None and len(self.admitted) >= most:
            return OTHER
        tokens = request.fill - request.prefix
        total = tokens + min(max(request.max_new - request.out, 0), CLIP) + self.page
        self.memory.lock(request)
        if not total < self.remaining:
            self.memory.unlock(request)
            return NO_TOKEN
        reserve = min(request.max_new, CLIP)
        if not self.chunks and self.admitted and self.ceil(tokens) >= self.rem_input:
            self.memory.unlock(request)
            return OTHER
        if self.chunks and self.ceil(tokens) > self.rem_chunk:
            tokens = self.rem_chunk // self.page * self.page
            tokens = (request.prefix + tokens) // self.page * self.page - request.prefix
            if tokens <= 0:
                self.memory.unlock(request)
                return OTHER
            reserve = 0
            self.chunked = request
        self.take(request, tokens, reserve)
        return self.state()
