"""Launcher: ``llama-server`` on this machine, or its image."""

from __future__ import annotations

from pathlib import PurePath

import attrs

from multitap.capabilities.launcher import (
    Container,
    Launch,
    LaunchRequest,
    Process,
    options_as_flags,
)
from multitap.errors import NotSupported
from multitap.hookspecs import Backend, hookimpl

__all__ = ("LlamaServerLauncher", "multitap_launcher")

IMAGE = "ghcr.io/ggml-org/llama.cpp"
INSIDE = 8080
MODELS = "/models"
INSTALL = "Install llama.cpp (https://github.com/ggml-org/llama.cpp/releases), or pass executable=."


@attrs.frozen
class LlamaServerLauncher:
    """How llama-server is started: with a GGUF file, or a repository that it downloads itself."""

    def launch(self, request: LaunchRequest, /) -> Launch:
        """A program, or a container that is given the file's folder."""
        if request.tool_parser is not None:
            raise NotSupported(
                "llama-server has no tool parsers: the chat template says how tools are called",
                hint="Leave tool_parser out; options={'chat_template': …} names another template.",
            )
        file = PurePath(request.model) if request.model.lower().endswith(".gguf") else None
        name = file.stem if file else request.model
        if request.container:
            return _container(request, file, name)
        arguments = _arguments(request, request.model, name, "127.0.0.1", request.port)
        return Process(argv=("llama-server", *arguments), install=INSTALL, model=name)


def _container(request: LaunchRequest, file: PurePath | None, name: str) -> Container:
    where = f"{MODELS}/{file.name}" if file else request.model
    return Container(
        image=f"{IMAGE}:{'server' if request.tag == 'latest' else request.tag}",
        argv=_arguments(request, where, name, "0.0.0.0", INSIDE),  # noqa: S104 - inside of it
        port=INSIDE,
        volumes={str(file.parent): MODELS} if file else {},
        model=name,
    )


def _arguments(
    request: LaunchRequest, where: str, name: str, host: str, port: int
) -> tuple[str, ...]:
    source = "--model" if where.lower().endswith(".gguf") else "--hf-repo"
    listening = ("--host", host, "--port", str(port))
    return (source, where, "--alias", name, *listening, *options_as_flags(request.options))


@hookimpl
def multitap_launcher(backend: Backend) -> LlamaServerLauncher:
    """Start a llama-server on this machine."""
    return LlamaServerLauncher()
