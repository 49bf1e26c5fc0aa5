"""The verbs that manage models, on an event loop: a part of ``AsyncRuntime``."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress, Slot
from multitap.engine.aio import AsyncStream
from multitap.engine.call import Call
from multitap.errors import MultitapError
from multitap.runtime.base import Base, Found, Models
from multitap.runtime.management import Files, the_model

__all__ = ("AsyncManagesModels",)

T = TypeVar("T")


class AsyncManagesModels(Base):
    """What brings models, loads, lists, copies, makes and removes them, and keeps their slots."""

    async def describe(self, model: str | None = None, *, timeout: float | None = None) -> Model:
        """One model, as its backend knows it; one that is not there is ``ModelNotFound``."""
        call = self._parts.describe(model, timeout)
        return self._parts.observed.completed(the_model(await self._collect(call), call))

    async def running(self, backend: str | None = None, *, timeout: float | None = None) -> Models:
        """The models in memory, of one backend or of all that can tell; see ``models``."""
        if backend is not None:
            return Models(await self._running_at(backend, timeout, patient=True))
        names = self._parts.able("running")
        found = await self._all([self._running_if(name, timeout) for name in names])
        return self._gather(names, found)

    async def load(self, model: str | None = None, *, timeout: float | None = None) -> None:
        """Bring a model into memory; done when this returns."""
        await self._collect(self._parts.lifecycle("load", model, timeout))

    async def unload(self, model: str | None = None, *, timeout: float | None = None) -> None:
        """Free a model's memory; done when this returns."""
        await self._collect(self._parts.lifecycle("unload", model, timeout))

    async def pull(self, model: str, *, timeout: float | None = None) -> None:
        """Download a model; done when this returns; see ``Runtime.pull``."""
        await self._collect(self._parts.pull(model, timeout))

    def pull_stream(self, model: str, *, timeout: float | None = None) -> AsyncStream[Progress]:
        """The progress of a pull, as it comes: ``async with rt.pull_stream("…") as steps:``."""
        return self._stream(self._parts.pull(model, timeout))

    async def copy(self, source: str, destination: str, *, timeout: float | None = None) -> None:
        """Give a model a second name at its backend; ``destination`` has no backend before it."""
        await self._collect(self._parts.copy(source, destination, timeout))

    async def delete(self, model: str, *, timeout: float | None = None) -> None:
        """Remove a model from its backend's disk."""
        await self._collect(self._parts.lifecycle("delete", model, timeout))

    async def create(
        self,
        model: str,
        *,
        source: str | None = None,
        files: Files | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> None:
        """Make a model of another one, or of files; see ``Runtime.create``."""
        await self._collect(
            self._parts.create(model, timeout, source=source, files=files, **options)
        )

    async def slots(self, model: str | None = None, *, timeout: float | None = None) -> list[Slot]:
        """Every slot of a model: whether it is busy, and how many tokens it holds."""
        return await self._collect(self._parts.slot("slots", model, timeout))

    async def save_slot(
        self, slot: int, name: str, *, model: str | None = None, timeout: float | None = None
    ) -> Slot:
        """Write what a slot has computed to a file of the server's own folder; see ``Runtime``."""
        return await self._one(self._parts.slot("save_slot", model, timeout, slot, name))

    async def restore_slot(
        self, slot: int, name: str, *, model: str | None = None, timeout: float | None = None
    ) -> Slot:
        """Bring back what was saved of the same model, in place of what the slot holds."""
        return await self._one(self._parts.slot("restore_slot", model, timeout, slot, name))

    async def erase_slot(
        self, slot: int, *, model: str | None = None, timeout: float | None = None
    ) -> Slot:
        """Forget what a slot holds."""
        return await self._one(self._parts.slot("erase_slot", model, timeout, slot))

    # ---- how it is done ------------------------------------------------------------------------

    async def _running_at(
        self, backend: str, timeout: float | None, *, patient: bool
    ) -> list[Model]:
        call = self._parts.running(backend, timeout, patient=patient)
        return self._placed(backend, await self._collect(call))

    async def _running_if(self, backend: str, timeout: float | None) -> Found:
        try:
            return await self._running_at(backend, timeout, patient=False)
        except MultitapError as error:
            return error

    async def _collect(self, call: Call[T]) -> list[T]:
        raise NotImplementedError

    async def _one(self, call: Call[T]) -> T:
        raise NotImplementedError

    def _stream(self, call: Call[T]) -> AsyncStream[T]:
        raise NotImplementedError

    async def _all(self, asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        raise NotImplementedError
