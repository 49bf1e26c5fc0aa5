"""The command lines of Docker and Podman, which take the same words here."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from multitap.capabilities.launcher import Container
from multitap.engine.kept import Plan

__all__ = ("Pull", "container_plan")

Pull = Literal["missing", "never", "always"]


def container_plan(
    engine: str,
    container: Container,
    port: int,
    pull: Pull,
    environ: Mapping[str, str],
    grace: float,
) -> Plan:
    """Ask the engine whether it is there, run the image, remove the container at the end.

    The client stays in the foreground: its output is the log, of the pull as well.

    Args:
        engine: ``docker`` or ``podman``.
        container: What the plugin says.
        port: Of this machine, on the loopback alone.
        pull: When the image is fetched.
        environ: The client's environment; of it the container gets what ``container`` names.
        grace: Seconds that the container has to end by itself.
    """
    name = f"multitap-{secrets.token_hex(6)}"
    run = (
        *(engine, "run", "--rm", "--name", name, "--pull", pull),
        *("--publish", f"127.0.0.1:{port}:{container.port}"),
        *(word for key in container.environ for word in ("--env", key)),
        *_devices(engine, container),
        *(word for volume in _volumes(container) for word in ("--volume", volume)),
        *(container.image, *container.argv),
    )
    return Plan(
        steps=((engine, "info"), run),
        after=(engine, "rm", "--force", name),
        environ={**environ, **container.environ},
        grace=grace,
    )


def _devices(engine: str, container: Container) -> tuple[str, ...]:
    words: tuple[str, ...] = ()
    if container.shm_size is not None:
        words = ("--shm-size", container.shm_size)
    if container.gpus is None:
        return words
    if engine == "podman":
        return (*words, "--device", f"nvidia.com/gpu={container.gpus}")
    return (*words, "--gpus", container.gpus)


def _volumes(container: Container) -> list[str]:
    """A name stays a name; a path is one of this machine, made absolute."""
    return [f"{_source(where)}:{inside}" for where, inside in container.volumes.items()]


def _source(where: str) -> str:
    if os.sep in where or where.startswith(("~", ".")):
        return str(Path(where).expanduser().absolute())
    return where
