"""Provider: is it a llama-server that answers, which one, and does it take the key?

The port is shared: TGI listens at 8080 too, and vLLM, Ollama and others have the same paths. So
what answers is looked at before it is named.
"""

from __future__ import annotations

from functools import partial

import attrs

from multitap.capabilities.provider import Validation
from multitap.dialects.asking import ask, read_json
from multitap.dialects.openai.identity import look, recognised, wrong_server
from multitap.errors import BackendError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, HttpReply, Operation, Out, Steps, fetch
from multitap_llamaserver.catalog import find_row
from multitap_llamaserver.errors import explain_llamaserver
from multitap_llamaserver.models import Props, Rows

__all__ = ("LlamaServerProvider", "multitap_provider")


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
            try:
                reply = yield from fetch(HttpCall(method="GET", path="/props"))
                props = read_json(Props, reply)
            except BackendError as error:
                raise (yield from recognised(error, "llama-server", "llamaserver")) from None
            if not _is_llama_server(props, reply):
                raise wrong_server("llama-server", (yield from look()))
            rows: Rows = yield from ask(Rows, "GET", "/v1/models")
            if model is not None:
                find_row(rows, model, self.backend)
            server = " ".join(filter(None, ("llama-server", props.build_info, props.role)))
            yield Out([Validation(server=server, models=len(rows.named))])

        return Operation(steps, partial(explain_llamaserver, backend=self.backend))


def _is_llama_server(props: Props, reply: HttpReply) -> bool:
    """Others answer at any path, or say nothing that only this one says."""
    known = props.build_info or props.default_generation_settings
    return bool(known) or reply.headers.get("server") == "llama.cpp"


@hookimpl
def multitap_provider(backend: Backend) -> LlamaServerProvider:
    """Ask a llama-server for its build and its models."""
    return LlamaServerProvider(backend.id)
