"""A whole body of JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.errors import ProtocolError
from multitap.framing.decoder import BOM, MIB, Decoder, Outputs, T, V

if TYPE_CHECKING:
    from collections.abc import Callable

    from multitap.events import Failed

__all__ = ("JsonDecoder",)


class JsonDecoder(Decoder[V, T]):
    """A whole body that is one JSON value, decoded at its end.

    Args:
        shape: The struct of the body.
        record: Turns the value into outputs.
        finish: What to put out after them.
        limit: The longest body, in bytes.

    >>> import msgspec
    >>> class Reply(msgspec.Struct):
    ...     words: list[str] = []
    >>> decoder = JsonDecoder(Reply, lambda reply: reply.words)
    >>> decoder.feed(b'{"words": ["one",'), decoder.feed(b' "two"]}'), decoder.finish()
    ([], [], ['one', 'two'])
    """

    media_types = frozenset({"application/json"})

    def __init__(
        self,
        shape: type[V],
        record: Callable[[V], Outputs[T]],
        *,
        finish: Callable[[], Outputs[T]] | None = None,
        limit: int = 64 * MIB,
    ) -> None:
        super().__init__(shape, record, finish=finish, limit=limit)

    def bound(self, *, record: int | None, body: int | None) -> None:
        """Another limit than its author's."""
        self._limit = body or self._limit

    def _read(self, data: bytes, out: list[T | Failed]) -> None:
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size > self._limit:
            self._check(self._held_size)

    def _read_rest(self, out: list[T | Failed]) -> None:
        body = self._release().removeprefix(BOM)
        if not body.strip():
            raise ProtocolError(
                "The server sent an empty answer", kind="empty_response", phase="parse"
            )
        self._put_all([self._value(body, last=True)], out)
