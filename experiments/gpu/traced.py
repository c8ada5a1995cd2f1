"""Stock against the plug-in on the load `loads.traced`; `--help` shows the options."""

from loads import traced
from play import play

if __name__ == "__main__":
    play(traced)
