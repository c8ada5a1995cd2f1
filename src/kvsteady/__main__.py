"""``python -m kvsteady``."""

from kvsteady.cli import main

main()
