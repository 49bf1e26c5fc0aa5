"""Provider: is it a llama-server that answers, which one, and does it take the key?

The port is shared: TGI listens at 8080 too, and vLLM, Ollama and others have the same paths. So
what answers is looked at before it is named.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import attrs

from multitap.capabilities.provider import Validation
from multitap.dialects.asking import ask, read_json
from multitap.dialects.openai.identity import look_of, wrong_server
from multitap.errors import BackendError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, Operation, Out, Steps, fetch
from multitap_llamaserver.catalog import find_row
from multitap_llamaserver.errors import explain_llamaserver
from multitap_llamaserver.models import Props, Rows

__all__ = ("LlamaServerProvider", "multitap_provider")

_TELLING = (401, 403, 429, 500, 502, 503, 504)  # no key, or not now: nobody knows who it is
Asking = Generator[Any, Any, Any]


@attrs.frozen
class LlamaServerProvider:
    """One server."""

    backend: str

    def validate(self, model: str | None, /) -> Operation[Validation]:
        """Its build and its models; a model that is named must be among them.

        Raises:
            ProtocolError: ``wrong_server``: another kind of server answers; it says which.
        """

        def steps() -> Steps[Validation]:
            props = yield from _props()
            if props is None:
                raise wrong_server("llama-server", (yield from _look()))
            rows: Rows = yield from ask(Rows, "GET", "/v1/models")
            if model is not None:
                find_row(rows, model, self.backend)
            server = " ".join(filter(None, ("llama-server", props.build_info, props.role)))
            yield Out([Validation(server=server, models=len(rows.named))])

        return Operation(steps, partial(explain_llamaserver, backend=self.backend))


def _props() -> Asking:
    """What a llama-server says of itself; ``None``: it is none."""
    try:
        reply = yield from fetch(HttpCall(method="GET", path="/props"))
        props = read_json(Props, reply)
    except BackendError as error:
        if error.status in _TELLING or (error.status is None and error.phase != "parse"):
            raise
        return None
    known = props.build_info or props.default_generation_settings
    return props if known or reply.headers.get("server") == "llama.cpp" else None


def _look() -> Asking:
    try:
        rows: Rows = yield from ask(Rows, "GET", "/v1/models")
    except BackendError:
        return None
    return look_of((row.id, row.owned_by) for row in rows.named)


@hookimpl
def multitap_provider(backend: Backend) -> LlamaServerProvider:
    """Ask a llama-server for its build and its models."""
    return LlamaServerProvider(backend.id)
