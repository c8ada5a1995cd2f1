"""Kernels that run the code cells over sockets of their own instead of TCP ports.

A port is drawn before it is taken: on a busy machine something else can take it in between, and the
build fails for nothing.
"""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

import jupyter_client
from sphinx.application import Sphinx
from traitlets import default

SOCKETS = tempfile.TemporaryDirectory(prefix="kernels-")


class SocketKernelManager(jupyter_client.AsyncKernelManager):
    """The usual manager, over Unix sockets in a folder that goes with this process."""

    @default("transport")
    def _default_transport(self) -> str:
        return "ipc"

    @default("ip")
    def _default_ip(self) -> str:
        return str(Path(SOCKETS.name) / uuid.uuid4().hex)


def setup(_app: Sphinx) -> dict[str, bool]:
    """Let nbclient find this manager where it looks for the usual one."""
    jupyter_client.AsyncKernelManager = SocketKernelManager
    return {"parallel_read_safe": True, "parallel_write_safe": True}
