"""A backend's settings, typed, and with this machine's defaults."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from multitap.errors import ConfigError
from multitap.work import Backend

__all__ = ("Adapter", "Options", "physical_cores")

LONGEST_DEFAULT_CONTEXT = 8192


@attrs.frozen
class Adapter:
    """A LoRA adapter and how strongly it is applied.

    >>> Adapter.of("style.gguf@0.5")
    Adapter(path=PosixPath('style.gguf'), scale=0.5)
    """

    path: Path
    scale: float = 1.0

    @classmethod
    def of(cls, text: str) -> Adapter:
        """From ``path`` or ``path@scale``."""
        path, at, scale = text.rpartition("@")
        try:
            return (
                cls(Path(path).expanduser(), float(scale)) if at else cls(Path(text).expanduser())
            )
        except ValueError:
            return cls(Path(text).expanduser())

    @property
    def name(self) -> str:
        """How a request names it: the file's name without ``.gguf``."""
        return self.path.stem


@attrs.frozen(kw_only=True)
class Options:
    """How models are loaded; two backends with equal options share a loaded model.

    Attributes:
        context: Tokens of prompt and answer of one call; the library rounds up to 256s.
            ``None``: the model's, at most 8192.
        parallel: Generations at once; each has a context of its own.
        threads: Threads of one model.
        gpu_layers: Layers on the graphics card; ``None``: as many as fit.
        max_loaded: Models in memory at once, over all backends.
        cache_mib: Memory for prompts that may come again.
    """

    context: int | None = None
    parallel: int = 4
    threads: int = attrs.field(factory=lambda: physical_cores())
    gpu_layers: int | None = None
    max_loaded: int = 4
    cache_mib: int = 512
    lora: tuple[Adapter, ...] = ()

    @classmethod
    def of(cls, backend: Backend) -> Options:
        """From the backend's settings; a number that cannot be is a ``ConfigError``."""
        settings: Mapping[str, Any] = backend.settings
        least = {"context": 256, "parallel": 1, "threads": 1, "max_loaded": 1, "cache_mib": 0}
        least["gpu_layers"] = -1
        numbers = {name: settings.get(name) for name in least}
        for name, value in numbers.items():
            if value is not None and value < least[name]:
                raise ConfigError(
                    f"{name} in [{backend.id}] is {value}; the least is {least[name]}"
                )
        given = {name: value for name, value in numbers.items() if value is not None}
        return cls(lora=tuple(map(Adapter.of, settings.get("lora") or ())), **given)

    def context_for(self, trained: int | None) -> int:
        """Tokens of one call with a model that was trained for so many."""
        most = trained or LONGEST_DEFAULT_CONTEXT
        return min(most, self.context or LONGEST_DEFAULT_CONTEXT)


def physical_cores() -> int:
    """Cores that this process may use, without counting the second thread of each.

    llama.cpp is slower, not faster, with more threads than these.
    """
    if hasattr(os, "sched_getaffinity"):
        usable: Iterable[int] = os.sched_getaffinity(0)
        return max(1, len({_siblings(cpu) for cpu in usable}))
    count = os.cpu_count() or 1
    one_thread_each = platform.machine().lower() in ("arm64", "aarch64")
    return count if one_thread_each else max(1, count // 2)


def _siblings(cpu: int) -> str:
    try:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        return topology.read_text().strip()
    except OSError:
        return str(cpu)
