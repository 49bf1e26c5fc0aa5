"""How an Atlas server is started: here one of Python's own stands in for it."""

from __future__ import annotations

import sys

from multitap.capabilities.launcher import Launch, LaunchRequest, Process
from multitap.errors import NotSupported
from multitap.hookspecs import Backend, hookimpl


class AtlasLauncher:
    """Starts a program; there is no image."""

    def launch(self, request: LaunchRequest, /) -> Launch:
        if request.container:
            raise NotSupported("There is no image of Atlas")
        words = ("-m", "http.server", str(request.port), "--bind", "127.0.0.1")
        return Process(argv=(sys.executable, *words), install="Install Python.", ready=("/",))


@hookimpl
def multitap_launcher(backend: Backend) -> AtlasLauncher:
    """Start an Atlas."""
    return AtlasLauncher()
