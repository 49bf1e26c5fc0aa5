"""Launcher: how a server of this provider is started on this machine. Provisional.

A plugin says what to run and when it is ready; it starts nothing. The engine finds the executable,
or asks the container engine, waits, and leaves no process behind.

>>> options_as_flags({"max_model_len": 4096, "enforce_eager": True, "swap_space": None})
('--max-model-len', '4096', '--enforce-eager')
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Union

import attrs

__all__ = ("Container", "Launch", "LaunchRequest", "Launcher", "Process", "options_as_flags")

Ready = tuple[str, ...]


@attrs.frozen(kw_only=True)
class LaunchRequest:
    """What is to be started.

    Attributes:
        model: The model's name or file, as the server's own command line takes it.
        port: Where it is to listen, on this machine's loopback.
        container: Is a container wanted? Else a program of this machine.
        tag: Of the container's image.
        tool_parser: The server's name of the form in which the model writes calls of tools.
        options: Further flags, by name; ``None`` or ``False`` takes a default away.
    """

    model: str
    port: int
    container: bool = False
    tag: str = "latest"
    tool_parser: str | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Process:
    """A program of this machine.

    Attributes:
        argv: The executable, looked for in ``PATH``, and its arguments. No secret: every user of
            the machine can read it.
        install: What to do where there is no such executable, in one sentence.
        environ: Added to this process's environment.
        ready: Paths that are asked in turn; it is ready when the last one answers.
        model: The model's id at this server; ``None``: as it was asked for.
    """

    argv: tuple[str, ...]
    install: str
    environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    ready: Ready = ("/health", "/v1/models")
    model: str | None = None


@attrs.frozen(kw_only=True)
class Container:
    """An image, run by Docker or Podman.

    Attributes:
        image: Its name, with the tag.
        argv: The arguments of its entry point.
        port: Where the server listens inside of it.
        environ: Its environment.
        gpus: Which ones it gets, such as ``all``; ``None``: none.
        volumes: Folders of this machine, or names of volumes, and where they appear in it.
        shm_size: Its shared memory, such as ``4g``; ``None``: the engine's default.
        ready: As of ``Process``.
        model: As of ``Process``.
    """

    image: str
    argv: tuple[str, ...]
    port: int
    environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    gpus: str | None = None
    volumes: Mapping[str, str] = attrs.field(factory=dict)
    shm_size: str | None = None
    ready: Ready = ("/health", "/v1/models")
    model: str | None = None


Launch = Union[Process, Container]


class Launcher(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def launch(self, request: LaunchRequest, /) -> Launch:
        """What to run; a form that there is not raises ``NotSupported``. Nothing is started."""
        ...


def options_as_flags(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Options in the words of a command line: ``max_model_len=8`` is ``--max-model-len 8``."""
    words: list[str] = []
    for name, value in options.items():
        if value is None or value is False:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += map(str, value) if isinstance(value, (list, tuple)) else [str(value)]
    return tuple(words)
