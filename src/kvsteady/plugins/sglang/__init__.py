"""SGLang: a policy in the place of its new-token-ratio reservation.

SGLang finds `plugin` by itself, in the entry point group ``sglang.srt.plugins``. It changes
nothing unless ``KVSTEADY_POLICY`` or ``KVSTEADY_MODE`` is set (`settings_of_environment`).

    KVSTEADY_POLICY=steady python -m sglang.launch_server --model-path …
"""

from __future__ import annotations

import os

__all__ = ["plugin"]

_ASKED_BY = ("KVSTEADY_POLICY", "KVSTEADY_MODE")


def plugin() -> None:
    """Entry point: SGLang calls it once in each of its processes, before anything is built.

    Whatever is wrong with the settings or the version of SGLang is one line in the log, and the
    engine goes by its own rule.
    """
    if not any(name in os.environ for name in _ASKED_BY):
        return
    # Not above: where nobody asks, SGLang need not wait for them.
    from kvsteady.errors import InputError
    from kvsteady.plugins.regulator import say_aside
    from kvsteady.plugins.settings import settings_of_environment
    from kvsteady.plugins.sglang.hooks import set_up

    try:
        why = set_up(settings_of_environment(os.environ))
    except InputError as error:
        why = f"its settings are wrong: {error}"
    if why is not None:
        say_aside(why)
