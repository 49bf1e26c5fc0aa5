"""Provider: is the key good, and which models may it use?"""

from __future__ import annotations

from typing import Any

import attrs
import msgspec

from multitap.capabilities.provider import Validation
from multitap.dialects.openai.identity import wrong_server
from multitap.errors import ModelNotFound
from multitap.framing import JsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, Head, HttpCall
from multitap_openai.errors import explain
from multitap_openai.server import Server

__all__ = ("OpenAIProvider", "multitap_provider")


class Row(msgspec.Struct):
    """A model."""

    id: str | None = None


class Reply(msgspec.Struct):
    """The list of models; ``null`` where a server has none."""

    data: list[Row] | msgspec.UnsetType | None = msgspec.UNSET


@attrs.frozen
class OpenAIProvider:
    """One server and one key."""

    server: Server

    def validate(self, model: str | None, /) -> Exchange[Validation]:
        """By the list of models, where a model that is named has to be."""

        def decoder(head: Head) -> JsonDecoder[Any, Validation]:
            return JsonDecoder(Reply, lambda reply: [self._validation(head, reply, model)])

        call = HttpCall(
            method="GET",
            path=self.server.path("/models"),
            headers=self.server.headers,
            idempotent=True,
        )
        return Exchange(call=call, decoder=decoder, explain=explain)

    def _validation(self, head: Head, reply: Reply, model: str | None) -> Validation:
        if reply.data is msgspec.UNSET:
            raise wrong_server("a server of OpenAI's API", None)
        known = [row.id for row in reply.data or () if row.id]
        if model is not None and model not in known:
            raise ModelNotFound(
                f"There is no model {model!r}, or not for this key",
                hint=f"Run `multitap models {self.server.backend.id}` to see what there is.",
            )
        return Validation(
            server="OpenAI" if self.server.rules == "openai" else None,
            account=head.headers.get("openai-organization"),
            models=len(known),
        )


@hookimpl
def multitap_provider(backend: Backend) -> OpenAIProvider:
    """Ask OpenAI, or a server that speaks its API, which models the key may use."""
    return OpenAIProvider(Server.of(backend))
