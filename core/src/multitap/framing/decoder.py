"""What the decoders share: typed values, the author's functions, and the end at a failure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, ClassVar, Generic, TypeVar, Union

import attrs
import msgspec

from multitap.errors import BackendError, ProtocolError, TruncatedStream
from multitap.events import Failed
from multitap.excerpt import excerpt
from multitap.nesting import DEPTH, DIGITS, is_beyond

__all__ = ("BOM", "MIB", "Decoder", "Outputs", "Plain", "T", "V", "without_lone_surrogates")

T = TypeVar("T")
V = TypeVar("V")
Outputs = Iterable[Union[T, Failed]]

MIB = 1 << 20
BOM = b"\xef\xbb\xbf"
_LONG_NUMBER = re.compile(rb"\d{%d}" % (DIGITS + 1))
_SURROGATE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair, kept
    rb"|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|\\.",  # any other escape, so that an escaped backslash is no beginning
    re.DOTALL,
)


_json_decoder: Any = lru_cache(maxsize=256)(msgspec.json.Decoder)
"""Of a type; it keeps nothing of what it decodes, so one will do."""


@attrs.frozen
class Plain(Generic[V, T]):
    """What nearly every record of a stream looks like, so that many can be read at once.

    Args:
        shape: A struct of such a record that refuses every other: a field that is not to be there
            is of the type ``None``. Records of which one is refused are read one by one.
        records: What many of them put out, none of it a failure; ``None``: they are to be read one
            by one after all.
    """

    shape: type[V]
    records: Callable[[list[V]], Iterable[T] | None]


class Decoder(Generic[V, T]):
    """A ``Stage[bytes, T]`` whose subclasses cut the bytes: ``_read`` and ``_read_rest``."""

    media_types: ClassVar[frozenset[str]] = frozenset()
    """What servers call such bytes; empty: anything."""

    _first = True  # a byte order mark may still come

    def __init__(
        self,
        shape: type[V],
        record: Callable[[V], Outputs[T]],
        *,
        finish: Callable[[], Outputs[T]] | None = None,
        plain: Plain[Any, T] | None = None,
        limit: int = 16 * MIB,
    ) -> None:
        self._shape = shape
        self._json: msgspec.json.Decoder[V] = _json_decoder(shape)
        self._record = record
        self._at_end = finish
        self._plain = plain
        self._plain_json = None if plain is None else _json_decoder(plain.shape)
        self._limit = limit
        self._held: list[bytes] = []
        self._held_size = 0
        self._over = False

    def bound(self, *, record: int | None, body: int | None) -> None:
        """Other limits than its author's: of one record, of a whole body; in bytes."""
        self._limit = record or self._limit

    def feed(self, data: bytes, /) -> list[T | Failed]:
        """What these bytes complete."""
        out: list[T | Failed] = []
        if self._over or not data:
            return out
        try:
            self._read(data, out)
        except BackendError as error:
            self._fail(error, out)
        return out

    def finish(self) -> list[T | Failed]:
        """What is left at the end of the bytes, and what the author's ``finish`` adds."""
        out: list[T | Failed] = []
        if self._over:
            return out
        try:
            self._read_rest(out)
            self._end(out)
        except BackendError as error:
            self._fail(error, out)
        return out

    def _read(self, data: bytes, out: list[T | Failed]) -> None:
        raise NotImplementedError

    def _read_rest(self, out: list[T | Failed]) -> None:
        raise NotImplementedError

    def _fail(self, error: BackendError, out: list[T | Failed]) -> None:
        self._over = True
        out.append(Failed(error))

    def _end(self, out: list[T | Failed]) -> None:
        if not self._over and self._at_end is not None:
            self._put(self._at_end(), out)
        self._over = True

    def _put(self, items: Outputs[T], out: list[T | Failed]) -> None:
        for item in items:
            out.append(item)
            if item.__class__ is Failed:
                self._over = True
                return

    def _put_all(self, values: Iterable[V], out: list[T | Failed]) -> None:
        record, value = self._record, None
        try:
            for value in values:
                for item in record(value):
                    out.append(item)
                    if item.__class__ is Failed:
                        self._over = True
                        return
        except RecursionError:
            if _is_deep(value):
                raise _too_deep() from None
            raise

    # ---- many records at once --------------------------------------------------------------------

    def _put_lines(self, lines: bytes, out: list[T | Failed], count: int | None = None) -> bool:
        """Put out what these lines say; ``False``: they have to be looked at one by one.

        ``count``: how many objects they are to be, where they may not be glued together.
        """
        plain = self._plainly(lines, count)
        if plain is not None:
            out.extend(plain)
            return True
        values = _values(self._json, lines, count)
        if values is None:
            return False
        self._put_all(values, out)
        return True

    def _plainly(self, lines: bytes, count: int | None) -> Iterable[T] | None:
        if self._plain is None or self._plain_json is None:
            return None
        values = _values(self._plain_json, lines, count)
        return None if values is None else self._plain.records(values)

    # ---- bytes that wait for more ----------------------------------------------------------------

    def _hold(self, data: bytes) -> None:
        if data:
            self._held.append(data)
            self._held_size += len(data)

    def _release(self, data: bytes = b"") -> bytes:
        """What was held, followed by ``data``; copied only where there is something to join."""
        if not self._held:
            return data
        whole = b"".join((*self._held, data))
        self._held, self._held_size = [], 0
        return whole

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise ProtocolError(
                f"The server sent a record of more than {self._limit} bytes",
                kind="limit_exceeded",
                phase="parse",
            )

    # ---- one record, exactly ---------------------------------------------------------------------

    def _value(self, data: bytes, *, last: bool = False) -> V:
        """Decode one record; ``last``: the bytes end with it, perhaps too early."""
        try:
            return self._json.decode(data)
        except (ValueError, RecursionError):
            repaired = without_lone_surrogates(data)
        try:
            return self._json.decode(repaired)
        except (ValueError, RecursionError) as error:
            raise _problem(error, repaired, last=last) from None


def _values(json: msgspec.json.Decoder[V], lines: bytes, count: int | None) -> list[V] | None:
    try:
        values = json.decode_lines(lines)
    except (ValueError, RecursionError):
        return None
    return values if count is None or count == len(values) else None


def without_lone_surrogates(data: bytes) -> bytes:
    """JSON whose escapes are all characters: half of a pair becomes U+FFFD."""
    return _SURROGATE.sub(lambda found: b"\\ufffd" if found["lone"] else found[0], data)


def _ends_too_early(cause: Exception, data: bytes) -> bool:
    # msgspec has no class of its own for this; its words are pinned by a test
    return "truncated" in str(cause) or str(cause).endswith(f"(byte {len(data)})")


def _is_deep(value: object) -> bool:
    """Is it the value that goes on and on, and not what its reader does with it?"""
    try:
        return is_beyond(msgspec.to_builtins(value), depth=DEPTH, digits=DIGITS)
    except RecursionError:
        return True


def _too_deep() -> ProtocolError:
    return _over_limit("JSON that is nested too deeply")


def _over_limit(what: str) -> ProtocolError:
    return ProtocolError(f"The server sent {what}", kind="limit_exceeded", phase="parse")


def _problem(cause: Exception, data: bytes, *, last: bool) -> BackendError:
    if isinstance(cause, RecursionError):
        return _too_deep()
    if "out of range" in str(cause) and _LONG_NUMBER.search(data):  # as above: msgspec's words
        return _over_limit("a number that is far too long")
    if last and _ends_too_early(cause, data):
        return TruncatedStream(f"The answer ended within a record: {excerpt(data)}", phase="parse")
    reason = "invalid UTF-8" if isinstance(cause, UnicodeDecodeError) else excerpt(str(cause))
    return ProtocolError(
        f"The server sent a record that cannot be read ({reason}): {excerpt(data)}",
        kind="bad_payload",
        phase="parse",
    )
