"""Provider: is the key good, and which models may it use?

Many servers speak this API; one that tells who it is is named, and nothing is held against it.
"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from multitap.capabilities.provider import Validation
from multitap.dialects.openai.identity import look_of, wrong_server
from multitap.errors import BackendError, ModelNotFound
from multitap.framing import JsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Head, HttpCall, HttpReply
from multitap_openai.errors import explain
from multitap_openai.server import Server

__all__ = ("OpenAIProvider", "multitap_provider")

_EXPECTED = "a server of OpenAI's API"


class Row(msgspec.Struct):
    """A model."""

    id: str | None = None
    owned_by: str | None = None


class Reply(msgspec.Struct):
    """The list of models; ``data`` is ``null`` where a server has no model."""

    object: str | None = None
    data: list[Row] | None = None


@attrs.frozen
class OpenAIProvider:
    """One server and one key."""

    server: Server

    def validate(self, model: str | None, /) -> Exchange[Validation]:
        """By the list of models, where a model that is named has to be.

        Raises:
            ProtocolError: ``wrong_server``: what answers has no list of models.
        """

        def decoder(head: Head) -> JsonDecoder[Any, Validation]:
            return JsonDecoder(Reply, lambda reply: [self._validation(head, reply, model)])

        call = HttpCall(
            method="GET",
            path=self.server.path("/models"),
            headers=self.server.headers,
            idempotent=True,
        )
        return Exchange(call=call, decoder=decoder, explain=_explain)

    def _validation(self, head: Head, reply: Reply, model: str | None) -> Validation:
        if reply.data is None and reply.object != "list":
            raise wrong_server(_EXPECTED, None)
        known = [row.id for row in reply.data or () if row.id]
        if model is not None and model not in known:
            raise ModelNotFound(
                f"There is no model {model!r}, or not for this key",
                hint=f"Run `multitap models {self.server.backend.id}` to see what there is.",
            )
        return Validation(
            server=self._name(reply),
            account=head.headers.get("openai-organization"),
            models=len(known),
        )

    def _name(self, reply: Reply) -> str | None:
        look = look_of((row.id, row.owned_by) for row in reply.data or ())
        if look is not None:
            return look.title
        return "OpenAI" if self.server.rules == "openai" else None


def _explain(reply: HttpReply) -> BackendError:
    """A server without a list of models is no such server; of the models nothing is known."""
    error = explain(reply)
    if reply.status not in (404, 405):
        return error
    refusal = wrong_server(_EXPECTED, None, error.message)
    refusal.status = reply.status
    return refusal


@hookimpl
def multitap_provider(backend: Backend) -> OpenAIProvider:
    """Ask OpenAI, or a server that speaks its API, which models the key may use."""
    return OpenAIProvider(Server.of(backend))
