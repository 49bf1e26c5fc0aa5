"""How the invented server is started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from multitap.capabilities.launcher import (
    Container,
    Launch,
    LaunchRequest,
    Process,
    options_as_flags,
)
from multitap.hookspecs import Backend

INSIDE = 4711


class AcmeLauncher:
    host = "127.0.0.1"
    ready: tuple[str, ...] = ("/hello",)

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def launch(self, request: LaunchRequest, /) -> Launch:
        return self.container(request) if request.container else self.process(request)

    def process(self, request: LaunchRequest) -> Process:
        words = self.words(request, self.model(request), self.host, self.port(request))
        return Process(argv=("acmed", *words), install="Buy an Acme.", ready=self.ready)

    def container(self, request: LaunchRequest) -> Container:
        file = PurePosixPath(self.model(request))
        where = f"/models/{file.name}" if file.is_absolute() else str(file)
        return Container(
            image=f"acme/acmed:{request.tag}",
            argv=tuple(self.words(request, where, "0.0.0.0", INSIDE)),
            port=INSIDE,
            volumes={str(file.parent): "/models"} if file.is_absolute() else {},
            ready=self.ready,
        )

    def words(self, request: LaunchRequest, model: str, host: str, port: int) -> list[Any]:
        flags = options_as_flags(self.options(request.options))
        return [f"--model={model}", "--listen", f"{host}:{port}", *flags]

    def model(self, request: LaunchRequest) -> str:
        return request.model

    def port(self, request: LaunchRequest) -> int:
        return request.port

    def options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return {"warm_up": True, "guests": 4, **options}
