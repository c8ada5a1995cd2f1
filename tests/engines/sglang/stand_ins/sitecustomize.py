"""On PYTHONPATH of SGLang's server: each of its processes has the stand-ins, and none else."""

import sys
from pathlib import Path

if "sglang.launch_server" in sys.orig_argv or any("spawn_main" in word for word in sys.orig_argv):
    sys.path.insert(0, str(Path(__file__).parents[3]))
    from engines.sglang.stubs import ABSENT_FROM_A_SERVER, hide

    hide(ABSENT_FROM_A_SERVER)
