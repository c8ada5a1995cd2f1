"""SGLang: a policy in the place of its new-token-ratio reservation.

SGLang finds `plugin` by itself, in the entry point group ``sglang.srt.plugins``. It changes
nothing unless ``KVSTEADY_POLICY`` or ``KVSTEADY_MODE`` is set (`settings_of_environment`).

    KVSTEADY_POLICY=steady python -m sglang.launch_server --model-path …
"""

from __future__ import annotations

import logging
import os

from kvsteady.errors import InputError
from kvsteady.plugins.settings import Settings, settings_of_environment
from kvsteady.plugins.sglang.hooks import set_up
from kvsteady.plugins.sglang.supported import VERSIONS

__all__ = ["VERSIONS", "plugin"]

LOG = logging.getLogger("kvsteady.plugins")
_ASKED_BY = ("KVSTEADY_POLICY", "KVSTEADY_MODE")


def plugin() -> None:
    """Entry point: SGLang calls it once in each of its processes, before anything is built."""
    settings = _settings()
    if settings is None:
        return
    why = set_up(settings)
    if why is not None:
        LOG.warning(
            "kvsteady steps aside and the engine goes on by its own rule, because %s", why
        )


def _settings() -> Settings | None:
    """What the environment says; None where it asks for nothing, or for what there is not."""
    if not any(name in os.environ for name in _ASKED_BY):
        return None
    try:
        return settings_of_environment(os.environ)
    except InputError as error:
        LOG.error("kvsteady is off, and the engine goes by its own rule: %s", error)
        return None
