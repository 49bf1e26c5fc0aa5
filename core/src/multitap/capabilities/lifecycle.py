"""Lifecycle: bring a model to a backend, into its memory, and out again."""

from __future__ import annotations

from typing import Protocol

import attrs

from multitap.work import Work

__all__ = ("Lifecycle", "Progress")


@attrs.frozen(kw_only=True)
class Progress:
    """How far it is.

    Attributes:
        status: What is being done, in the backend's words.
        completed: Bytes, or steps, done; ``None``: unknown.
        total: Of how many; ``None``: unknown.
    """

    status: str
    completed: int | None = None
    total: int | None = None


class Lifecycle(Protocol):
    """Implemented by a plugin; a verb that the server lacks raises ``NotSupported``."""

    def pull(self, model: str, /) -> Work[Progress]:
        """Download a model and check its digest."""
        ...

    def load(self, model: str, /) -> Work[Progress]:
        """Bring a model into memory; the work ends when it answers."""
        ...

    def unload(self, model: str, /) -> Work[Progress]:
        """Free a model's memory; one that is not loaded is no error."""
        ...
