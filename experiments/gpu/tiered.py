"""Stock against the plug-in on the load `loads.tiered`; `--help` shows the options."""

from loads import tiered
from play import play

if __name__ == "__main__":
    play(tiered)
