"""Embedding over ``POST /v1/embeddings``.

Vectors are asked for as base64 of little-endian float32, which is smaller and faster to read than
numbers; a server that sends numbers all the same is read as well.
"""

from __future__ import annotations

import binascii
import json
import re
import sys
from array import array
from base64 import b64decode
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar, Generic, TypeVar, cast

import attrs
import msgspec

from multitap.capabilities.embedding import (
    EmbeddingRequest,
    Embeddings,
    Row,
    Vectors,
    check_width,
)
from multitap.dialects.counts import doubts
from multitap.dialects.openai.asking import json_exchange
from multitap.dialects.openai.chunks import UsageFacts, read_usage
from multitap.dialects.openai.errors import explain_openai, openai_error
from multitap.errors import BackendError, BadRequest, ProtocolError, ProviderDown
from multitap.events import Usage
from multitap.framing import JsonDecoder
from multitap.work import Backend, Exchange, Explain, HttpReply

__all__ = ("TextEmbeddings",)

T = TypeVar("T")
V = TypeVar("V")
Shown = TypeVar("Shown")

_NO_NUMBER = re.compile(
    r"unsupported value: (?:NaN|[+-]Inf)|NaN or Inf|Out of range float values are not JSON"
)


class Item(msgspec.Struct, Generic[Shown], gc=False):
    """One vector: numbers, or base64."""

    index: int | None = None
    embedding: list[float | None] | Shown | None = None


class Reply(msgspec.Struct, Generic[Shown], gc=False):
    """What the server answers; ``Shown``: base64 as ``bytes``, read already, or as ``str``."""

    data: list[Item[Shown]] | None = None
    model: str | None = None
    usage: UsageFacts | None = None
    error: Any = None


@attrs.frozen
class TextEmbeddings:
    """Embeds texts with the models of one server; ``input_type`` is not known to it.

    Args:
        backend: The configured instance.
        path: Where embeddings are made, after the endpoint.
        explain: Turns a refusal into an error.
        encoding: How vectors are asked for: ``base64`` or ``float``; ``None``: it is not said.
        most_texts: How many texts one request may have; ``None``: any number.
        headers: Sent with each request.
    """

    options: ClassVar[frozenset[str]] = frozenset({"dimensions"})

    backend: Backend
    path: str = "/v1/embeddings"
    explain: Explain = explain_openai
    encoding: str | None = "base64"
    most_texts: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    def embed(self, request: EmbeddingRequest, /) -> Exchange[Embeddings]:
        """All texts in one request.

        Raises:
            BadRequest: No dimensions.
        """
        self._check(request)
        body: dict[str, Any] = {"model": request.model, "input": list(request.texts)}
        if self.encoding is not None:
            body["encoding_format"] = self.encoding
        if request.dimensions is not None:
            body["dimensions"] = request.dimensions
        return json_exchange(
            "POST",
            self.path,
            Reply[bytes],
            lambda reply: [_embeddings(request, reply)],
            body,
            headers=self.headers,
            explain=self._explained,
            decoder=_Numbers,
        )

    def _check(self, request: EmbeddingRequest) -> None:
        if request.dimensions is not None and request.dimensions < 1:
            raise BadRequest(
                f"An embedding cannot have {request.dimensions} dimensions", model=request.model
            )

    def _explained(self, reply: HttpReply) -> BackendError:
        """A server that cannot write a number that is none says so, and not of which text."""
        error = self.explain(reply)
        if isinstance(error, ProviderDown) and _NO_NUMBER.search(error.message):
            return ProtocolError(error.message, kind="embedding_invalid", status=reply.status)
        return error


def _embeddings(request: EmbeddingRequest, reply: Reply[Any]) -> Embeddings:
    if reply.error:  # there are servers that refuse with status 200
        raise openai_error(reply.error)
    rows = [(row.index, _numbers(row.embedding)) for row in reply.data or []]
    vectors = Vectors.from_numbered(rows, len(request.texts))
    check_width(vectors, request.dimensions)
    usage = read_usage(reply.usage or UsageFacts())
    if not (
        usage.input_tokens or usage.total_tokens
    ):  # no text is without tokens: a server that says 0 does not count
        usage = Usage()
    warnings = tuple(doubts(usage=reply.usage))
    model = reply.model or request.model
    return Embeddings(vectors=vectors, usage=usage, model=model, warnings=warnings)


def _numbers(embedding: list[float | None] | bytes | str | None) -> Row | None:
    if embedding is None or isinstance(embedding, list):
        return embedding
    try:
        data = embedding if isinstance(embedding, bytes) else b64decode(embedding, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_vector() from error
    if len(data) % 4:
        raise _no_vector()
    return data if sys.byteorder == "little" else _swapped(data)


def _no_vector() -> ProtocolError:
    message = "The server sent a vector that is no base64 of float32"
    return ProtocolError(message, kind="embedding_invalid")


def _swapped(data: bytes) -> bytes:
    numbers = array("f", data)
    numbers.byteswap()
    return numbers.tobytes()


class _Numbers(JsonDecoder[V, T]):
    """Reads base64 at once, and if that fails slowly, so that what is wrong with it can be said.

    JSON is then as Python writes it: its ``NaN`` and ``Infinity``, which are none, become null.
    """

    def _value(self, data: bytes, *, last: bool = False) -> V:
        try:
            return super()._value(data, last=last)
        except ProtocolError:
            with suppress(ValueError, RecursionError):
                value = json.loads(data, parse_constant=lambda name: None)
                return cast("V", msgspec.convert(value, Reply[str]))
            raise
