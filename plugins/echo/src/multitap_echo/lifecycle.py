"""Lifecycle: reports progress and changes nothing, for there is nothing to load."""

from __future__ import annotations

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import CreateRequest, Progress, Slot
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.catalog import MODEL
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

    def running(self) -> LocalExchange[Model]:
        """The one model, which always runs."""
        return local(lambda: [MODEL])

    def copy(self, source: str, destination: str, /) -> LocalExchange[Progress]:
        """Pretend to copy a model: every name is the same echo."""
        return _steps(f"copying {source} to {destination}")

    def delete(self, model: str, /) -> LocalExchange[Progress]:
        """Pretend to delete a model, which goes on to answer."""
        return _steps(f"deleting {model}")

    def create(self, request: CreateRequest, /) -> LocalExchange[Progress]:
        """Pretend to make a model; its files are not read."""
        return _steps(f"creating {request.model}")

    def slots(self, model: str, /) -> LocalExchange[Slot]:
        """One, which holds nothing: there is nothing to compute."""
        return _slot(0)

    def save_slot(self, model: str, slot: int, name: str, /) -> LocalExchange[Slot]:
        """Pretend to save a slot; no file is written."""
        return _slot(slot)

    def restore_slot(self, model: str, slot: int, name: str, /) -> LocalExchange[Slot]:
        """Pretend to restore a slot; no file is read."""
        return _slot(slot)

    def erase_slot(self, model: str, slot: int, /) -> LocalExchange[Slot]:
        """Pretend to erase a slot."""
        return _slot(slot)


def _slot(number: int) -> LocalExchange[Slot]:
    return local(lambda: [Slot(id=number, busy=False, tokens=0)])


def _steps(status: str) -> LocalExchange[Progress]:
    steps = [Progress(status=status, completed=n, total=_STEPS) for n in range(_STEPS + 1)]
    return local(lambda: steps)


@hookimpl
def multitap_lifecycle(backend: Backend) -> EchoLifecycle:
    """Manage models in name only."""
    return EchoLifecycle()
