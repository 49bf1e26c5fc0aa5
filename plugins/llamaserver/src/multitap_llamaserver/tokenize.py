"""Tokenize over ``/tokenize`` and ``/detokenize``; the pieces of a text are given as bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import attrs
import msgspec

from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest, Tokens, TokenText
from multitap.dialects.openai.asking import json_exchange
from multitap.errors import ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange
from multitap_llamaserver.errors import explain_llamaserver

__all__ = ("LlamaServerTokenizer", "multitap_tokenize")


class Token(msgspec.Struct):
    """One token; bytes that are no whole character come as numbers."""

    id: int
    piece: str | list[int] = ""


class Split(msgspec.Struct):
    """The answer of ``/tokenize``: with pieces, or ids alone."""

    tokens: list[Token | int] | None = None


class Joined(msgspec.Struct):
    """The answer of ``/detokenize``."""

    content: str | None = None


@attrs.frozen
class LlamaServerTokenizer:
    """The tokenizer of the model that the server runs."""

    backend: str

    def tokenize(self, request: TokenizeRequest, /) -> Exchange[Tokens]:
        """Split a text; what looks like a control token in it is text."""
        body = {
            "model": request.model,
            "content": request.text,
            "add_special": request.special,
            "parse_special": False,
            "with_pieces": True,
        }
        return self._ask("/tokenize", Split, _tokens, body)

    def detokenize(self, request: DetokenizeRequest, /) -> Exchange[TokenText]:
        """Join ids; one that the model does not have is ``BadRequest``."""
        body = {"model": request.model, "tokens": list(request.ids)}
        return self._ask("/detokenize", Joined, _text, body)

    def _ask(self, path: str, shape: Any, record: Any, body: Mapping[str, Any]) -> Exchange[Any]:
        explain = partial(explain_llamaserver, backend=self.backend)
        return json_exchange("POST", path, shape, record, body, explain=explain)


def _tokens(reply: Split) -> Iterable[Tokens]:
    if reply.tokens is None:
        raise ProtocolError("The server gave no tokens", kind="empty_response")
    found = [t for t in reply.tokens if isinstance(t, Token)]
    ids = tuple(t.id if isinstance(t, Token) else t for t in reply.tokens)
    pieces = tuple(_bytes(t.piece) for t in found) if len(found) == len(ids) else None
    return (Tokens(ids=ids, pieces=pieces),)


def _bytes(piece: str | list[int]) -> bytes:
    return piece.encode() if isinstance(piece, str) else bytes(piece)


def _text(reply: Joined) -> Iterable[TokenText]:
    if reply.content is None:
        raise ProtocolError("The server gave no text", kind="empty_response")
    return (TokenText(reply.content),)


@hookimpl
def multitap_tokenize(backend: Backend) -> LlamaServerTokenizer:
    """Count and split text as the model of a llama-server does."""
    return LlamaServerTokenizer(backend.id)
