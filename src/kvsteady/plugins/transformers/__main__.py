"""``transformers serve`` with a policy: its command line does not let a scheduler be chosen.

python -m kvsteady.plugins.transformers serve MODEL --continuous-batching
"""

from __future__ import annotations

import os

from kvsteady.plugins.settings import settings_of_environment
from kvsteady.plugins.transformers import register


def main() -> None:
    """Run the ``transformers`` command with ``steady`` in the place of its default scheduler."""
    from transformers.cli.transformers import main as own

    register(settings_of_environment(os.environ), instead=True)
    own()


if __name__ == "__main__":
    main()
