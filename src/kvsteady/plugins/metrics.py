"""The ledger as Prometheus metrics, in the registry that the engine's own are in."""

from __future__ import annotations

from typing import Any, Final
from weakref import WeakKeyDictionary

from kvsteady.errors import MissingExtraError
from kvsteady.extras import import_extra
from kvsteady.plugins.regulator import LOG, Regulator

# Updates cost some microseconds; a scrape comes every few seconds.
_EVERY = 16

_COUNTERS: Final = {
    "steps": "Engine iterations that kvsteady looked at",
    "limited": "Iterations in which fewer could be admitted than waited",
    "held_back": "Admissions beyond what the policy allowed (shadow mode)",
    "admitted": "Admissions, again after an eviction included",
    "resumed": "Admissions after an eviction",
    "evicted": "Evictions (preemptions)",
    "completed": "Completed requests",
    "prefilled": "Prefilled tokens",
    "recomputed": "Tokens prefilled again after an eviction",
    "decoded": "Decoded tokens",
    "overruled": "Admissions against the policy, so that nobody waits for ever",
}
_GAUGES: Final = {
    "quota": "Admissions allowed in the last iteration",
    "running": "Requests in memory",
    "waiting": "Requests in the queue",
    "blocks": "KV blocks",
    "free": "Free KV blocks",
}

# Metrics by registry: a second engine in one process has the same ones, under labels of its own.
_MADE: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()


class Metrics:
    """Metrics ``kvsteady_…`` of one regulator.

    With ``PROMETHEUS_MULTIPROC_DIR`` set, as engines of several processes do, prometheus-client
    keeps them in that folder and the engine's own endpoint shows them.

    What fails once they are made is said once, and no metrics are kept from then on. The regulator
    goes on: where only some ranks keep metrics, all have to decide alike.

    Parameters
    ----------
    regulator
        Whose ledger is shown.
    engine, rank
        Labels.
    registry
        A ``prometheus_client.CollectorRegistry``; None: the process's default one.

    Raises
    ------
    MissingExtraError
        prometheus-client is not installed.
    """

    def __init__(
        self, regulator: Regulator, *, engine: str, rank: int = 0, registry: Any = None
    ) -> None:
        prometheus = import_extra("prometheus_client", extra="metrics")
        self._regulator = regulator
        self._told = dict.fromkeys(_COUNTERS, 0)
        self._next = 0
        self._failed = False
        names = ("engine", "rank", "policy", "mode")
        values = (engine, str(rank), regulator.settings.policy, regulator.settings.mode)
        registry = prometheus.REGISTRY if registry is None else registry
        known = _MADE.setdefault(registry, {})

        def made(kind: Any, name: str, about: str, **options: Any) -> Any:
            if name not in known:
                known[name] = kind(f"kvsteady_{name}", about, names, registry=registry, **options)
            return known[name].labels(*values)

        self._counters = {
            name: made(prometheus.Counter, name, about) for name, about in _COUNTERS.items()
        }
        self._gauges = {
            name: made(prometheus.Gauge, name, about, multiprocess_mode="mostrecent")
            for name, about in (
                *_GAUGES.items(),
                ("recompute_tax", "Share of prefilled tokens that were computed before"),
                ("active", "1 while the policy is asked, 0 once it stepped aside"),
            )
        }
        self._show()

    def step(self) -> None:
        """Update now and then: call once per iteration."""
        if self._regulator.ledger.steps >= self._next:
            self._next = self._regulator.ledger.steps + _EVERY
            self.update()

    def update(self) -> None:
        """Bring every metric up to date."""
        if self._failed:
            return
        try:
            self._show()
        except Exception as error:  # a full disk, say
            self._failed = True
            LOG.warning("kvsteady keeps no more metrics: %s: %s", type(error).__name__, error)

    def _show(self) -> None:
        ledger = self._regulator.ledger
        for name, counter in self._counters.items():
            now = getattr(ledger, name)
            counter.inc(now - self._told[name])
            self._told[name] = now
        for name in _GAUGES:
            self._gauges[name].set(getattr(ledger, name))
        self._gauges["recompute_tax"].set(ledger.recompute_tax)
        self._gauges["active"].set(float(self._regulator.why_aside is None))


def metrics_of(
    regulator: Regulator, *, engine: str, rank: int = 0, registry: Any = None
) -> Metrics | None:
    """`Metrics`; None, with a line in the log, where they cannot be kept."""
    try:
        return Metrics(regulator, engine=engine, rank=rank, registry=registry)
    except MissingExtraError as error:
        LOG.info("kvsteady keeps no metrics: %s", error)
    except Exception as error:  # a folder that cannot be written, say
        LOG.warning("kvsteady keeps no metrics: %s: %s", type(error).__name__, error)
    return None
