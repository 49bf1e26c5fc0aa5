"""The client that is measured, inside its own process."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench import answers

STATUS = Path("/proc/self/status")


class Subject:
    """A client of either kind; its name is a file of ``clients`` and, for ``Async``, a loop."""

    def __init__(self, name: str, origin: str) -> None:
        module, _, loop = name.partition(", ")
        self._module = import_module(f"bench.clients.{module}")
        self._origin = origin
        self._loop = _new_loop(loop) if loop else None
        self.client = self.run(self._made(origin)) if loop else self._module.Sync(origin)

    async def _made(self, origin: str) -> Any:
        return self._module.Async(origin)

    def again(self, **settings: Any) -> Any:
        """Another client like it, with these settings."""
        return self._module.Sync(self._origin, **settings)

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run on the loop of this client."""
        assert self._loop is not None
        return self._loop.run_until_complete(coroutine)

    def stream(self, model: str, tell: Callable[[Any], object]) -> None:
        """One streamed answer."""
        done = self.client.stream(model, tell)
        if self._loop is not None:
            self.run(done)

    @property
    def is_async(self) -> bool:
        return self._loop is not None

    @property
    def version(self) -> str:
        """Of the distribution that is measured."""
        name = self._module.DISTRIBUTION
        return version(name) if name else ""


def check(found: Sequence[Any], tokens: int) -> None:
    """Fail where what was read is not what ``json.loads`` finds, event by event."""
    records = answers.sse(answers.words(tokens))
    if isinstance(found[0], tuple):  # the raw socket counts only
        right = found[0][0] == len(records)
    else:
        right = answers.fingerprint(found) == answers.fingerprint(answers.texts_in(records))
    if not right:
        raise SystemExit(f"it did not read what was sent: {len(found)} texts of {tokens}")


def _new_loop(name: str) -> asyncio.AbstractEventLoop:
    return import_module(name).new_event_loop()


def cpu_of(action: Callable[[], object]) -> tuple[float, float]:
    """Seconds of CPU, user and system, of the whole process; and of wall."""
    cpu, wall = time.process_time(), time.perf_counter()
    action()
    return time.process_time() - cpu, time.perf_counter() - wall


def peak_megabytes() -> float:
    """The most memory this process has had; of Linux, without what its parent had."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
