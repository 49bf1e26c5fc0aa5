"""Tokenize over ``/tokenize``, which TEI has as well; TGI cannot put tokens together again.

TGI gives each token's place in the text, in UTF-8 bytes. Of a character that is split into several
tokens each repeats the whole place, so which bytes are whose is unknown: then there are no pieces.
"""

from __future__ import annotations

from itertools import dropwhile
from typing import Union

import attrs
import msgspec

from multitap.capabilities.tokenize import (
    DetokenizeRequest,
    TokenizeRequest,
    Tokens,
    TokenText,
)
from multitap.errors import NotSupported
from multitap.framing import JsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, HttpCall, Json
from multitap_tgi.errors import explain_tgi

__all__ = ("TgiTokenizer", "multitap_tokenize", "tokenize_call")


class Token(msgspec.Struct):
    """A token and its place; one that stands for no text starts where it stops, or nowhere."""

    id: int
    start: int | None = None
    stop: int | None = None


Tokenized = list[Union[Token, list[Token]]]
"""TGI's row of tokens, or a row for each text, which is TEI's; there is one text."""


@attrs.frozen
class TgiTokenizer:
    """The tokenizer of the server's model."""

    def tokenize(self, request: TokenizeRequest, /) -> Exchange[Tokens]:
        """TGI always adds the tokens around a text; without ``special`` they are left out."""

        def read(found: Tokenized) -> list[Tokens]:
            row = _row(found)
            return [_tokens(row if request.special else _inner(row), request.text.encode())]

        return Exchange(
            call=tokenize_call(request.text),
            decoder=lambda head: JsonDecoder(Tokenized, read),
            explain=explain_tgi,
        )

    def detokenize(self, request: DetokenizeRequest, /) -> Exchange[TokenText]:
        """Refused: TGI has no such path."""
        raise NotSupported("TGI cannot turn tokens into text", model=request.model)


def tokenize_call(text: str) -> HttpCall:
    """The request that splits a text; it wants the key."""
    body = Json({"inputs": text})
    return HttpCall(method="POST", path="/tokenize", body=body, idempotent=True)


def _row(found: Tokenized) -> list[Token]:
    return [token for one in found for token in (one if isinstance(one, list) else [one])]


def _inner(row: list[Token]) -> list[Token]:
    """The row without what stands for no text at either end."""
    for _ in range(2):
        row = list(dropwhile(lambda token: token.start == token.stop, reversed(row)))
    return row


def _tokens(row: list[Token], text: bytes) -> Tokens:
    pieces = tuple(text[token.start or 0 : token.stop or 0] for token in row)
    whole = b"".join(pieces) == text
    return Tokens(ids=tuple(token.id for token in row), pieces=pieces if whole else None)


@hookimpl
def multitap_tokenize(backend: Backend) -> TgiTokenizer:
    """Split texts with the tokenizer of a TGI server."""
    return TgiTokenizer()
