"""Lifecycle: bring a model to a backend, into its memory, and out again.

Every plugin has ``pull``, ``load`` and ``unload``. The other verbs are protocols of their own: a
plugin implements those that its server has, on the same object, and the rest is ``NotSupported``
without a word from it.

>>> Progress(status="pulling", completed=0, total=4096).to_dict()
{'status': 'pulling', 'completed': 0, 'total': 4096}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import attrs

from multitap.capabilities.catalog import Model
from multitap.messages import Message
from multitap.work import Work

__all__ = (
    "CopiesModels",
    "CreateRequest",
    "CreatesModels",
    "DeletesModels",
    "KeepsSlots",
    "Lifecycle",
    "ListsRunning",
    "Progress",
    "Slot",
)


@attrs.frozen(kw_only=True)
class Progress:
    """How far it is.

    Attributes:
        status: What is being done, in the backend's words.
        completed: Bytes, or steps, done; ``None``: unknown.
        total: Of how many; ``None``: unknown.
        digest: Which file or layer the numbers are of; ``None``: the whole.
    """

    semantic: ClassVar[bool] = False
    """No result: what was begun may be asked for again, and goes on where it stopped."""

    status: str
    completed: int | None = None
    total: int | None = None
    digest: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: what is known."""
        return {name: value for name, value in attrs.asdict(self).items() if value is not None}


@attrs.frozen(kw_only=True)
class Slot:
    """A place at a server that computes one request at a time, and keeps its prompt afterwards.

    Attributes:
        id: Its number.
        busy: Does it compute now? ``None``: unknown.
        tokens: How many it holds, once the call is over; ``None``: unknown.
        context_length: How many it can hold; ``None``: unknown.
        size: Bytes of the file that it was saved to or restored from; ``None``: neither.
    """

    id: int
    busy: bool | None = None
    tokens: int | None = None
    context_length: int | None = None
    size: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: what is known."""
        return {name: value for name, value in attrs.asdict(self).items() if value is not None}


class Lifecycle(Protocol):
    """Implemented by a plugin; a verb that the server lacks raises ``NotSupported``."""

    def pull(self, model: str, /) -> Work[Progress]:
        """Download a model and check its digest; asked again, go on where it stopped."""
        ...

    def load(self, model: str, /) -> Work[Progress]:
        """Bring a model into memory; the work ends when it answers."""
        ...

    def unload(self, model: str, /) -> Work[Progress]:
        """Free a model's memory; one that is not loaded is no error."""
        ...


class ListsRunning(Protocol):
    """Optional, beside ``Lifecycle``."""

    def running(self) -> Work[Model]:
        """Every model in memory, one result each; ``context_length`` is the one in force."""
        ...


class CopiesModels(Protocol):
    """Optional, beside ``Lifecycle``."""

    def copy(self, source: str, destination: str, /) -> Work[Progress]:
        """Give a model a second name at the same backend."""
        ...


class DeletesModels(Protocol):
    """Optional, beside ``Lifecycle``."""

    def delete(self, model: str, /) -> Work[Progress]:
        """Remove a model from the backend's disk; one that is not there is ``ModelNotFound``."""
        ...


@attrs.frozen(kw_only=True)
class CreateRequest:
    """A model to be made from another, or from files.

    Attributes:
        model: The new model's name.
        source: The model that it is made from.
        files: GGUF or safetensors files to be made into a model, by the name that each is to have.
        adapters: LoRA adapters, likewise.
        template: The prompt's template.
        system: The system prompt that it starts with.
        parameters: What its answers are made with, such as ``temperature``.
        messages: Turns that every conversation begins with.
        license: Its licences' texts.
        quantize: Make the weights smaller, such as ``q4_K_M``.
    """

    model: str
    source: str | None = None
    files: Mapping[str, Path] = attrs.field(factory=dict)
    adapters: Mapping[str, Path] = attrs.field(factory=dict)
    template: str | None = None
    system: str | None = None
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    messages: tuple[Message, ...] = ()
    license: tuple[str, ...] = ()
    quantize: str | None = None


class CreatesModels(Protocol):
    """Optional, beside ``Lifecycle``."""

    def create(self, request: CreateRequest, /) -> Work[Progress]:
        """Make a model; its files are uploaded where the backend does not have them yet."""
        ...


class KeepsSlots(Protocol):
    """Optional, beside ``Lifecycle``: what a model's slots have computed, kept for later.

    Each of the three verbs ends with the slot as it then is. A slot that is not there is
    ``BadRequest``; one that is busy is waited for. ``name`` is that of a file at the server, which
    chooses the folder.
    """

    def slots(self, model: str, /) -> Work[Slot]:
        """Every slot of a model, one result each."""
        ...

    def save_slot(self, model: str, slot: int, name: str, /) -> Work[Slot]:
        """Write what it holds to a file; one that is there is written over."""
        ...

    def restore_slot(self, model: str, slot: int, name: str, /) -> Work[Slot]:
        """Read back what was saved of the same model, in place of what it holds."""
        ...

    def erase_slot(self, model: str, slot: int, /) -> Work[Slot]:
        """Forget what it holds."""
        ...
