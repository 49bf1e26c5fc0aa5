"""Provider: does TGI's engine answer, is the key right, and which TGI is it?

``/health`` asks the engine; ``/info`` answers also where that is gone. Neither wants a key, so a
word is split by ``/tokenize``, which does.
"""

from __future__ import annotations

import attrs

from multitap.capabilities.provider import Validation
from multitap.dialects.openai.identity import wrong_server
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, Operation, Out, Steps, fetch
from multitap_tgi.catalog import check_name
from multitap_tgi.errors import explain_tgi
from multitap_tgi.replies import info
from multitap_tgi.tokenize import tokenize_call

__all__ = ("TgiProvider", "multitap_provider")


@attrs.frozen
class TgiProvider:
    """One server."""

    def validate(self, model: str | None, /) -> Operation[Validation]:
        """Its version; a model that is named must be the one that it runs."""

        def steps() -> Steps[Validation]:
            yield from fetch(HttpCall(method="GET", path="/health"))
            found = yield from info()
            if found.model_id is None and found.version is None:
                raise wrong_server("TGI", None)
            yield from fetch(tokenize_call("key"))
            names = [found.model_id] if found.model_id else []
            if model is not None:
                check_name(model, names)
            yield Out([Validation(server=found.server, models=len(names))])

        return Operation(steps, explain_tgi)


@hookimpl
def multitap_provider(backend: Backend) -> TgiProvider:
    """Ask a TGI server whether it is well, and who it is."""
    return TgiProvider()
