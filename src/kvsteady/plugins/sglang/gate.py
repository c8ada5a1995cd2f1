"""The policy's limit in one SGLang scheduler: what the hooks call."""

from __future__ import annotations

from typing import Any, Final

from kvsteady.plugins.ranks import Answer, Ranks
from kvsteady.plugins.regulator import LOG, say_aside
from kvsteady.plugins.settings import Settings
from kvsteady.plugins.sglang.adder import regulated_adder
from kvsteady.plugins.sglang.guard import Guard
from kvsteady.plugins.sglang.supported import why_not_mode

_NO_LIMIT: Final = 2**31


class Gate:
    """Called once each per iteration: `ask`, `adder`, `settle`.

    Every tensor-parallel rank runs a scheduler of its own, and all have to choose the same batch.
    Rank 0 has the guard, and tells the others its answer in each iteration in which anybody waits;
    they need no policy, and what fails on one of them is no policy's.

    Parameters
    ----------
    scheduler
        SGLang's.
    lead
        Decides; None: another rank does.
    ranks
        Those to agree with; None: this one is alone, or nobody is limited.
    """

    def __init__(self, scheduler: Any, lead: Guard | None, ranks: Ranks | None) -> None:
        self._scheduler = scheduler
        self.lead, self._ranks = lead, ranks
        self.quota, self.reserves = _NO_LIMIT, True
        self._failed = False
        # Made now: what could fail must not do so in the middle of a pass, on one rank alone.
        original = scheduler.get_prefill_adder_class()
        self._adder = (original, regulated_adder(original, self))

    def ask(self, batch: Any) -> bool:
        """Ask the policy, now that ``batch`` holds all who decode; return whether to skip the
        prefill, which nobody may enter.
        """
        scheduler = self._scheduler
        # SGLang looks for grammars that are ready after this, and lets who has one into this pass.
        others = scheduler.chunked_req is not None or (
            scheduler.grammar_manager.has_waiting_grammars()
        )
        somebody = bool(scheduler.waiting_queue) or others
        answer = self._decided(batch, somebody or bool(batch.reqs))
        if self._ranks is not None:
            answer = self._agreed(self._ranks, answer) if somebody else Answer(None, True)
        self.quota = _NO_LIMIT if answer.limit is None else answer.limit
        self.reserves = answer.flag
        return self.quota == 0 and not (others or scheduler.enable_priority_preemption)

    def adder(self, original: type) -> type | None:
        """The class that admits; None: SGLang's own."""
        if self.quota == _NO_LIMIT and self.reserves:
            return None
        if self._adder[0] is not original:
            self._adder = (original, regulated_adder(original, self))
        return self._adder[1]

    def settle(self, batch: Any) -> None:
        """Take down what the engine does: ``batch`` is what it runs next, or None."""
        if self.lead is not None:
            self.lead.settle(batch)

    def may_preempt(self, batch: Any, admitted: int) -> bool:
        """Whether as many run as may, and SGLang's priorities decide who does."""
        scheduler = self._scheduler
        if not scheduler.enable_priority_preemption:
            return False
        try:
            room = scheduler.get_num_allocatable_reqs(len(batch.reqs), running_batch=batch)
            return bool(admitted >= room)
        except Exception as error:  # whatever it is, the pass goes on by the engine's own rule
            self.fail(error)
            return True

    def fail(self, error: Exception) -> None:
        """Step aside; where there are other ranks, all of them do when rank 0 tells them next."""
        why = f"it failed: {type(error).__name__}: {error}"
        if self._ranks is None:  # at once, also in a pass that has begun
            self.quota, self.reserves = _NO_LIMIT, True
        if self._failed:
            return
        self._failed = True
        if self.lead is not None:
            self.lead.step_aside(why)
            self.lead = None
        elif self._ranks is not None:
            LOG.warning("kvsteady goes on as rank 0 says, though here %s", why)
        else:
            say_aside(why)

    def _decided(self, batch: Any, anybody: bool) -> Answer:
        """What is decided here, where it is."""
        limit, reserves = None, True
        if self.lead is not None:
            try:
                limit, reserves = self.lead.decide(batch, anybody)
            except Exception as error:  # whatever it is, the engine goes on
                self.fail(error)
        gone = self.lead is None or self.lead.regulator.why_aside is not None
        return Answer(limit, reserves, last=gone)

    def _agreed(self, ranks: Ranks, answer: Answer) -> Answer:
        """Rank 0's answer."""
        try:
            answer = ranks.told(answer)
        except Exception as error:  # a rank is gone: there is nobody to agree with
            self._ranks = None
            self.fail(error)
            return Answer(None, True)
        if answer.last:
            self._ranks = None
        return answer


def gate_of(scheduler: Any, settings: Settings) -> Gate | None:
    """A scheduler's gate; None, with a line in the log, where the scheduler is left alone."""
    ranks: Ranks | None = None
    gate: Gate | None = None
    try:
        if scheduler.tp_size > 1:
            ranks = Ranks(scheduler.tp_cpu_group)
        why = why_not_mode(scheduler)
        if why is None:
            lead = Guard(scheduler, settings) if ranks is None or ranks.leads else None
            gate = Gate(scheduler, lead, ranks if settings.mode == "enforce" else None)
    except Exception as error:  # whatever it is, the engine goes on
        why = f"{type(error).__name__}: {error}"
    if ranks is not None:
        try:
            why = ranks.why_not(why, repr(settings))
        except Exception as error:  # the engine's own store is gone
            why = f"{type(error).__name__}: {error}"
    if why is None:
        LOG.info("kvsteady regulates admissions: %s, %s", settings.policy, settings.mode)
        return gate
    if gate is None or gate.lead is None:
        say_aside(why)
    else:
        gate.lead.step_aside(why)
    return None
