"""Standing here puts this folder on the path: ``import by_hand``."""
