"""Catalog: the one model of the echo."""

from __future__ import annotations

from multitap.capabilities.catalog import Model
from multitap.errors import ModelNotFound
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local

_ABILITIES = "chat embedding rerank tokenize transcription speech moderation image tools thinking"
MODEL = Model(id="echo", capabilities=frozenset(_ABILITIES.split()), loaded=True)


class EchoCatalog:
    """Always the same list."""

    def models(self) -> LocalExchange[Model]:
        """The model ``echo``, which is always loaded."""
        return local(lambda: [MODEL])

    def describe(self, model: str, /) -> LocalExchange[Model]:
        """The model ``echo``, if it is meant; other names answer as well, and are no models."""
        if model != MODEL.id:
            raise ModelNotFound(f"There is no model {model!r}", model=model)
        return self.models()


@hookimpl
def multitap_catalog(backend: Backend) -> EchoCatalog:
    """List what there is: the echo."""
    return EchoCatalog()
