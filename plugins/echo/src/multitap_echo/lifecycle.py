"""Lifecycle: reports progress and changes nothing, for there is nothing to load."""

from __future__ import annotations

from multitap.capabilities.lifecycle import Progress
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local

_STEPS = 4


class EchoLifecycle:
    """Every model is there, always."""

    def pull(self, model: str, /) -> LocalExchange[Progress]:
        """Pretend to download a model."""
        return _steps(f"pulling {model}")

    def load(self, model: str, /) -> LocalExchange[Progress]:
        """Pretend to load a model."""
        return _steps(f"loading {model}")

    def unload(self, model: str, /) -> LocalExchange[Progress]:
        """Pretend to unload a model."""
        return _steps(f"unloading {model}")


def _steps(status: str) -> LocalExchange[Progress]:
    steps = [Progress(status=status, completed=n, total=_STEPS) for n in range(_STEPS + 1)]
    return local(lambda: steps)


@hookimpl
def multitap_lifecycle(backend: Backend) -> EchoLifecycle:
    """Pull, load and unload in name only."""
    return EchoLifecycle()
