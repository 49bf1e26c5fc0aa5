"""Values that must not be shown: made known where they are read, taken out where text is shown.

What is known here is known to the whole process, so that an error of one backend shows no key of
another one either, and none that has been exchanged since. Only what is shown is changed, never
what is sent or answered.

>>> conceal("sk-of+the-example")
>>> redact("Bearer sk-of+the-example, and as in a URL: sk-of%2Bthe-example")
'Bearer ***, and as in a URL: ***'
>>> redact("cut where a line ends: sk-of+the-ex…")
'cut where a line ends: ***…'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

__all__ = (
    "MASK",
    "conceal",
    "conceal_named",
    "forget",
    "is_telling",
    "redact",
    "redact_bytes",
    "redact_within",
    "scrub",
)

MASK = "***"
SHORTEST = 8
"""Characters; what is shorter is a word of its own in too many texts to be a key."""
MOST = 128
"""Values; of more, those that were used last."""
SHORTEST_BEGINNING = 6

_TELLING = re.compile(
    r"(^|[_.-])(authorization|cookies?|credentials?|passwd|passwords?|secrets?|tokens?"
    r"|(api|access|secret)?[_-]?keys?)$|^set-cookie",
    re.IGNORECASE,
)
_known: dict[str, None] = {}


def conceal(value: str) -> None:
    """From now on this value is shown nowhere; nothing is done for one that is too short."""
    if len(value) >= SHORTEST:
        _known.pop(value, None)
        _known[value] = None
        while len(_known) > MOST:
            _known.pop(next(iter(_known)), None)


def conceal_named(name: str, value: Any) -> None:
    """Conceal the texts in a value that, by their names, are keys; ``name`` is the value's own.

    >>> conceal_named("headers", {"X-Api-Key": "of the example", "accept": "application/json"})
    >>> redact("of the example, application/json")
    'of ***, application/json'
    """
    if isinstance(value, str):
        if is_telling(name):
            conceal(value.partition(" ")[2] or value)  # without an Authorization's scheme
    elif isinstance(value, (list, tuple)):
        for inner in value:
            conceal_named(name, inner)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            conceal_named(str(key), inner)


@lru_cache(maxsize=1024)  # asked for the headers of every call
def is_telling(name: str) -> bool:
    """Does something of this name hold a key?

    >>> is_telling("X-Api-Key"), is_telling("accept")
    (True, False)
    """
    return bool(_TELLING.search(name))


def forget() -> None:
    """Let go of all that is known, for tests."""
    _known.clear()
    _spellings.cache_clear()


def redact(text: str, *more: str) -> str:
    """The text with ``***`` for every value that is known, and for these, in any usual spelling.

    Spellings are those of a URL, of JSON and HTML, and base64; case makes no difference. The
    beginning of a value at the end of the text, where a longer text was cut, goes as well.
    """
    values = (*more, *_known) if more else tuple(_known)
    if not values or not text:
        return text
    lower = text.lower()
    for value in values:
        for spelling in _spellings(value):
            if spelling in lower:
                text = re.sub(re.escape(spelling), MASK, text, flags=re.IGNORECASE)
                lower = text.lower()
        beginning = value[:SHORTEST_BEGINNING].lower()
        if len(value) >= SHORTEST and beginning in lower:
            text = _without_beginning(text, value)
            lower = text.lower()
    return text


def _without_beginning(text: str, value: str) -> str:
    whole = text.rstrip(" .…'\")]}*")
    start = whole.lower().rfind(value[:SHORTEST_BEGINNING].lower())
    if start < 0 or not value.lower().startswith(whole[start:].lower()):
        return text
    return whole[:start] + MASK + text[len(whole) :]


@lru_cache(maxsize=4 * MOST)
def _spellings(value: str) -> tuple[str, ...]:
    """In lower case, the longest first."""
    found = {value, *_escaped(value)}
    if len(value) >= SHORTEST:
        found.update(_in_base64(value), _in_basic(value))
    return tuple(sorted({spelling.lower() for spelling in found if spelling}, key=len)[::-1])


def _escaped(value: str) -> Iterator[str]:
    import json
    from html import escape
    from urllib.parse import quote

    yield from (quote(value), quote(value, safe=""), "".join(f"%{ord(c):02x}" for c in value))
    in_json = json.dumps(value)[1:-1]
    yield from (in_json, in_json.replace("/", "\\/"), escape(value), repr(value)[1:-1])


def _in_base64(value: str) -> Iterator[str]:
    """What of it stands in any base64 around it: wherever it begins among three bytes."""
    from base64 import b64encode

    for before in range(3):
        data = bytes(before) + value.encode()
        text = b64encode(data).decode().rstrip("=")
        whole = text[(0, 2, 3)[before] : len(text) - (len(data) % 3 > 0)]
        yield from (whole, whole.translate(str.maketrans("+/", "-_")))


def _in_basic(value: str) -> Iterator[str]:
    """The password of a value that is itself the base64 of user and password."""
    import binascii
    from base64 import b64decode

    try:
        inner = b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return
    _, colon, password = inner.partition(":")
    if colon and inner.isprintable():
        yield inner
        if len(password) >= SHORTEST:
            yield password


# ---- exceptions ----------------------------------------------------------------------------------


class Scrubbed(Exception):
    """In the place of an exception whose text holds a key and cannot be changed."""


def scrub(error: BaseException, clean: Callable[[str], str] = redact) -> None:
    """Clean the texts of an exception and of all that led to it, as a traceback shows them."""
    if not _known and clean is redact:
        return
    chain = list(_chain(error))
    fit = {id(each): _fit(each, clean) for each in chain}
    for each in chain:
        for place in ("__cause__", "__context__"):
            cause = getattr(each, place)
            if cause is not None and (fit[id(each)] is not each or fit[id(cause)] is not cause):
                _lead(fit[id(each)], place, fit[id(cause)], hidden=each.__suppress_context__)


def _lead(error: BaseException, place: str, cause: BaseException, *, hidden: bool) -> None:
    for name, value in {place: cause, "__suppress_context__": hidden}.items():
        BaseException.__setattr__(error, name, value)  # its class may refuse


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, its causes, and those that it is a group of; each of them once."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += [each.__cause__, each.__context__, *getattr(each, "exceptions", ())]


def _fit(error: BaseException, clean: Callable[[str], str]) -> BaseException:
    """The exception with clean texts; where that cannot be, one to be shown in its place."""
    if _is_clean(error, clean):
        return error
    with suppress(Exception):  # a class of somebody else's, which may refuse
        error.args = tuple(_cleaned(arg, clean) for arg in error.args)
        for name in (*vars(error), "strerror", "filename", "filename2", "text"):
            value = getattr(error, name, None)
            if isinstance(value, (str, bytes, list, tuple)):
                setattr(error, name, _cleaned(value, clean))
    if _is_clean(error, clean):
        return error
    said = next(_said(error))
    return Scrubbed(clean(f"{type(error).__name__}: {said}")).with_traceback(error.__traceback__)


def _cleaned(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, bytes):
        return redact_bytes(value, clean)
    if type(value) in (list, tuple):
        return type(value)(_cleaned(inner, clean) for inner in value)
    return value


def redact_within(value: Any, levels: int = 64) -> Any:
    """As ``redact``, for all texts in a JSON value, names included; what lies deeper is masked.

    >>> conceal("sk-of+the-example")
    >>> redact_within({"model": ["sk-of+the-example", 1]})
    {'model': ['***', 1]}
    """
    if isinstance(value, str):
        return redact(value)
    if not isinstance(value, (Mapping, list, tuple)):
        return value
    if not levels:
        return MASK
    if isinstance(value, Mapping):
        return {redact(str(k)): redact_within(inner, levels - 1) for k, inner in value.items()}
    return [redact_within(inner, levels - 1) for inner in value]


def redact_bytes(data: bytes, clean: Callable[[str], str] = redact) -> bytes:
    """As ``redact``, for bytes that are a text, for the most part."""
    return clean(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _is_clean(error: BaseException, clean: Callable[[str], str]) -> bool:
    return all(clean(text) == text for text in _said(error))


def _said(error: BaseException) -> Iterator[str]:
    """What a traceback, or a log, says of it by itself."""
    for say in (str, repr):
        try:
            yield say(error)
        except Exception:  # it cannot even be shown
            yield ""
    yield from map(str, getattr(error, "__notes__", ()))
    yield str(getattr(error, "text", ""))
