"""Catalog: the one model of the echo."""

from __future__ import annotations

from multitap.capabilities.catalog import Model
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local

_ABILITIES = "chat embedding rerank tokenize transcription speech moderation image tools thinking"


class EchoCatalog:
    """Always the same list."""

    def models(self) -> LocalExchange[Model]:
        """The model ``echo``, which is always loaded."""
        model = Model(id="echo", capabilities=frozenset(_ABILITIES.split()), size=0, loaded=True)
        return local(lambda: [model])


@hookimpl
def multitap_catalog(backend: Backend) -> EchoCatalog:
    """List what there is: the echo."""
    return EchoCatalog()
