"""SGLang where an admission policy stands in the place of its own reservation."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kvsteady.simulate.engine import Engine
from kvsteady.simulate.engines.sglang import Sglang
from kvsteady.simulate.engines.sglang_schedule import Habits


@dataclass(frozen=True)
class RegulatedSglang(Sglang):
    """SGLang without its reservation for running requests, which a policy replaces.

    As with ``SGLANG_MIN_NEW_TOKEN_RATIO_FACTOR=0`` and ``SGLANG_NEW_TOKEN_RATIO_DECAY_STEPS=1``:
    the ratio is 0, and what a retraction measures is forgotten one decode later. With its options
    alone it would stay there for good. A newcomer's own max_tokens remain reserved in the pass
    that admits it.
    """

    def habits(self) -> Habits:
        """The options, with a ratio that falls to 0 at once."""
        given = super().habits()
        given.memo["ratio"] = 0.0
        return given._replace(init=0.0, least=0.0, decay=1.0)


def without_reservation(engine: Engine) -> Engine:
    """The engine as a policy wants it: SGLang's reservation would stand in its way."""
    if not isinstance(engine, Sglang):
        return engine
    return RegulatedSglang(**{field.name: getattr(engine, field.name) for field in fields(engine)})
