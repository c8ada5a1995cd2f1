"""Stock against the plug-in on the load `loads.fixed`; `--help` shows the options."""

from loads import fixed
from play import play

if __name__ == "__main__":
    play(fixed)
