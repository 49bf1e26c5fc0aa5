"""The verbs that manage models, in blocking code: a part of ``Runtime``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress, Slot
from multitap.engine.call import Call
from multitap.engine.sync import Stream
from multitap.errors import MultitapError
from multitap.runtime.base import Base, Found, Models
from multitap.runtime.management import Files, the_model

__all__ = ("ManagesModels",)

T = TypeVar("T")


class ManagesModels(Base):
    """What brings models, loads, lists, copies, makes and removes them, and keeps their slots."""

    def describe(self, model: str | None = None, *, timeout: float | None = None) -> Model:
        """One model, as its backend knows it; one that is not there is ``ModelNotFound``."""
        call = self._parts.describe(model, timeout)
        return self._parts.observed.completed(the_model(self._collect(call), call))

    def running(self, backend: str | None = None, *, timeout: float | None = None) -> Models:
        """The models in memory, of one backend or of all that can tell; see ``models``."""
        if backend is not None:
            return Models(self._running_at(backend, timeout, patient=True))
        names = self._parts.able("running")
        return self._gather(names, self._all(names, lambda name: self._running_if(name, timeout)))

    def load(self, model: str | None = None, *, timeout: float | None = None) -> None:
        """Bring a model into memory; done when this returns."""
        self._collect(self._parts.lifecycle("load", model, timeout))

    def unload(self, model: str | None = None, *, timeout: float | None = None) -> None:
        """Free a model's memory; done when this returns."""
        self._collect(self._parts.lifecycle("unload", model, timeout))

    def pull(self, model: str, *, timeout: float | None = None) -> None:
        """Download a model; done when this returns. Interrupted and called again, it resumes.

        Args:
            model: A model reference, such as ``ollama:llama3.2``.
            timeout: Seconds for all of it; ``None``: it lasts for as long as bytes come.

        Raises:
            ModelNotFound: There is nothing of this name to download.
            Timeout: ``pull_stalled``: five tries in a row brought no new byte.
        """
        self._collect(self._parts.pull(model, timeout))

    def pull_stream(self, model: str, *, timeout: float | None = None) -> Stream[Progress]:
        """The progress of a pull, as it comes: ``with rt.pull_stream("…") as steps:``."""
        return self._stream(self._parts.pull(model, timeout))

    def copy(self, source: str, destination: str, *, timeout: float | None = None) -> None:
        """Give a model a second name at its backend; ``destination`` has no backend before it."""
        self._collect(self._parts.copy(source, destination, timeout))

    def delete(self, model: str, *, timeout: float | None = None) -> None:
        """Remove a model from its backend's disk."""
        self._collect(self._parts.lifecycle("delete", model, timeout))

    def create(
        self,
        model: str,
        *,
        source: str | None = None,
        files: Files | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> None:
        """Make a model of another one, or of files, which are uploaded where needed.

        Args:
            model: The new model's reference.
            source: The model of the same backend that it is made from.
            files: GGUF or safetensors files: the name that each is to have, and its path.
            timeout: Seconds for all of it; ``None``: it may last.
            options: ``adapters, template, system, parameters, messages, license, quantize``.
        """
        self._collect(self._parts.create(model, timeout, source=source, files=files, **options))

    def slots(self, model: str | None = None, *, timeout: float | None = None) -> list[Slot]:
        """Every slot of a model: whether it is busy, and how many tokens it holds."""
        return self._collect(self._parts.slot("slots", model, timeout))

    def save_slot(
        self, slot: int, name: str, *, model: str | None = None, timeout: float | None = None
    ) -> Slot:
        """Write what a slot has computed to a file of the server's own folder.

        Args:
            slot: Its number, of those that ``slots`` lists; a busy one is waited for.
            name: That of the file, which is written over; the server chooses the folder.
            model: A model reference; ``None``: the default.
            timeout: Seconds for the whole call.

        Returns:
            The slot, with how many ``tokens`` were saved, and the ``size`` in bytes.
        """
        return self._one(self._parts.slot("save_slot", model, timeout, slot, name))

    def restore_slot(
        self, slot: int, name: str, *, model: str | None = None, timeout: float | None = None
    ) -> Slot:
        """Bring back what was saved of the same model, in place of what the slot holds."""
        return self._one(self._parts.slot("restore_slot", model, timeout, slot, name))

    def erase_slot(
        self, slot: int, *, model: str | None = None, timeout: float | None = None
    ) -> Slot:
        """Forget what a slot holds."""
        return self._one(self._parts.slot("erase_slot", model, timeout, slot))

    # ---- how it is done ------------------------------------------------------------------------

    def _running_at(self, backend: str, timeout: float | None, *, patient: bool) -> list[Model]:
        call = self._parts.running(backend, timeout, patient=patient)
        return self._placed(backend, self._collect(call))

    def _running_if(self, backend: str, timeout: float | None) -> Found:
        try:
            return self._running_at(backend, timeout, patient=False)
        except MultitapError as error:
            return error

    def _collect(self, call: Call[T]) -> list[T]:
        raise NotImplementedError

    def _one(self, call: Call[T]) -> T:
        raise NotImplementedError

    def _stream(self, call: Call[T]) -> Stream[T]:
        raise NotImplementedError

    def _all(self, names: Sequence[str], ask: Callable[[str], T]) -> list[T]:
        raise NotImplementedError
