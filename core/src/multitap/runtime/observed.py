"""What backends tell of their models while they are used, which their lists leave out."""

from __future__ import annotations

import attrs

from multitap.capabilities.catalog import Model
from multitap.errors import BackendError, ContextOverflow

__all__ = ("Observed",)

MOST = 1024


class Observed:
    """Context lengths out of refusals; the latest word of a backend counts.

    They are shown, and nothing is refused because of them: a server may have been started anew.

    >>> observed = Observed()
    >>> observed.note(ContextOverflow("Too long", limit=4096, backend="gpu", model="tiny"))
    >>> observed.completed(Model(id="tiny", backend="gpu")).context_length
    4096
    """

    def __init__(self) -> None:
        self._limits: dict[tuple[str, str], int] = {}

    def note(self, error: BackendError) -> None:
        """Keep what an error tells."""
        if isinstance(error, ContextOverflow) and error.limit and error.model:
            if len(self._limits) >= MOST:
                self._limits.clear()
            self._limits[error.backend or "", error.model] = error.limit

    def completed(self, model: Model) -> Model:
        """The model, with what its backend's list does not say of it."""
        limit = self._limits.get((model.backend, model.id))
        if limit is None or model.context_length is not None:
            return model
        sources = {**model.sources, "context_length": "observed"}
        return attrs.evolve(model, context_length=limit, sources=sources)
