"""Tokenize over ``/tokenize`` and ``/detokenize``, in llama-server's shape."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest, Tokens, TokenText
from multitap.dialects.openai.asking import json_exchange
from multitap.errors import ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange


class Reply(msgspec.Struct):
    """What the server answers: ids to the one, a text to the other."""

    tokens: list[int] | None = None
    content: str | None = None


class StandInTokenizer:
    """Splits and joins."""

    def tokenize(self, request: TokenizeRequest, /) -> Exchange[Tokens]:
        """The ids of a text."""
        body = {
            "model": request.model,
            "content": request.text,
            "add_special": request.special,
        }
        return json_exchange("POST", "/tokenize", Reply, _tokens, body)

    def detokenize(self, request: DetokenizeRequest, /) -> Exchange[TokenText]:
        """The text of some ids."""
        body = {"model": request.model, "tokens": list(request.ids)}
        return json_exchange("POST", "/detokenize", Reply, _text, body)


def _tokens(reply: Reply) -> Iterable[Tokens]:
    if reply.tokens is None:
        raise ProtocolError("The server gave no tokens", kind="empty_response")
    yield Tokens(ids=tuple(reply.tokens))


def _text(reply: Reply) -> Iterable[TokenText]:
    yield TokenText(reply.content or "")


@hookimpl
def multitap_tokenize(backend: Backend) -> StandInTokenizer:
    """Tokenize over HTTP."""
    return StandInTokenizer()
