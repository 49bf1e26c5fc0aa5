"""Tokenize: a token is a word, or 7 bytes of a longer one; its id holds its bytes."""

from __future__ import annotations

import re

from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest, Tokens, TokenText
from multitap.errors import BadRequest
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local

_BEGIN = 1
_LONGEST = 7  # with the mark in front, an id fits into 63 bits


class EchoTokenizer:
    """Reversible without a vocabulary: an id is a 1, then the bytes of its token."""

    def tokenize(self, request: TokenizeRequest, /) -> LocalExchange[Tokens]:
        """The tokens of a text; ``special`` puts the beginning's in front."""
        return local(lambda: [_tokens(request)])

    def detokenize(self, request: DetokenizeRequest, /) -> LocalExchange[TokenText]:
        """The text of tokens; half a character becomes the replacement character."""
        return local(
            lambda: [TokenText(b"".join(map(_piece, request.ids)).decode(errors="replace"))]
        )


def _tokens(request: TokenizeRequest) -> Tokens:
    found = re.findall(rb"\s*\S{1,%d}|\s+" % _LONGEST, request.text.encode())
    pieces = [piece[i : i + _LONGEST] for piece in found for i in range(0, len(piece), _LONGEST)]
    ids = [int.from_bytes(b"\x01" + piece, "big") for piece in pieces]
    first = [_BEGIN] if request.special else []
    return Tokens(ids=(*first, *ids), pieces=(*(b"" for _ in first), *pieces))


def _piece(token: int) -> bytes:
    data = token.to_bytes(_LONGEST + 1, "big").lstrip(b"\x00") if 0 < token < 1 << 63 else b""
    if data[:1] != b"\x01":
        raise BadRequest(f"{token} is not an id of the echo's tokens")
    return data[1:]


@hookimpl
def multitap_tokenize(backend: Backend) -> EchoTokenizer:
    """Split into words, reversibly."""
    return EchoTokenizer()
