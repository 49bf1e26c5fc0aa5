"""Bytes that make no sense, and what a stage is held to when it gets them."""

from __future__ import annotations

import copy
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multitap.testing.chunking import outputs_of
from multitap.testing.finding import Finding
from multitap.testing.gate import CEILING
from multitap.testing.kit.rule import told

__all__ = ("garbage_of", "records_of", "survive")

Case = tuple[str, bytes]
Place = tuple[Any, ...]

WRONG: tuple[Any, ...] = (None, True, -1, 0.5, "", "x", [], [1], {}, {"x": []}, 10**30)
EXAMPLES = 30
ALWAYS: tuple[Case, ...] = (
    ("nothing", b""),
    ("a page", b"<!DOCTYPE html><html><title>502 Bad Gateway</title><body>nginx</body></html>"),
    ("binary", bytes(range(256)) * 4),
    ("a lone NUL", b"\0"),
    ("a lone NUL in a line", b"\0\n\n"),
    ("deep JSON", b"[" * 100_000 + b"\n\n"),
    ("deep JSON in an event", b"data: " + b'{"a":' * 20_000 + b"\n\n"),
    ("huge numbers", b'{"a": 1e999, "b": ' + b"9" * 5000 + b"}\n\n"),
    ("huge numbers in an event", b'data: {"a": -1e999, "b": ' + b"9" * 5000 + b"}\n\n"),
    ("no UTF-8", b"\xff\xfe\xc3(\n\n"),
    ("half a character", b'data: {"a": "\xf0\x9f'),
    ("one word", b"null\n\n"),
    ("an empty list", b"[]\n\n"),
    ("an empty object", b"{}\n\n"),
    ("an empty event", b"data:\n\n"),
)
_RECORD = re.compile(rb"(?m)^(?:data: ?)?(\{.*\}|\[.*\])\r?$")


def garbage_of(body: bytes, smaller: Sequence[bytes] = ()) -> Iterator[Case]:
    """What to feed in place of an answer, in words and as bytes.

    Args:
        body: The answer. Each of its JSON fields gets values of every wrong type.
        smaller: Answers that were tried before; of fields that they have nothing more is tried.
    """
    if not smaller:
        yield from ALWAYS
    yield "a byte order mark before it", b"\xef\xbb\xbf" + body
    yield "lines that end in CR LF", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "a byte that is no UTF-8 in its middle", body[: len(body) // 2] + b"\xff" + body[-9:]
    known = {shape for other in smaller for shape, _, _ in _fields(other)}
    for shape, place, span in _fields(body):
        if shape not in known:
            known.add(shape)
            for wrong in WRONG:
                words = f"{'.'.join(map(str, place))} is {wrong!r}"
                yield words, _with(body, span, place, wrong)


def records_of(body: bytes) -> list[Any]:
    """The JSON values in a body: the whole, or its lines and events."""
    return [value for value, _ in _records(body)]


def _records(body: bytes) -> Iterator[tuple[Any, tuple[int, int]]]:
    whole = _loaded(body)
    if whole is not None:
        yield whole, (0, len(body))
        return
    for found in _RECORD.finditer(body):
        value = _loaded(found[1])
        if value is not None:
            yield value, found.span(1)


def _loaded(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _fields(body: bytes) -> Iterator[tuple[Place, Place, tuple[int, int]]]:
    """Each field's shape (its place without the numbers in lists), its place, and its record."""
    for value, span in _records(body):
        for place in _places(value):
            yield tuple(step for step in place if isinstance(step, str)), place, span


def _places(value: Any, at: Place = ()) -> Iterator[Place]:
    if at:
        yield at
    steps: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    for step, below in steps:
        yield from _places(below, (*at, step))


def _with(body: bytes, span: tuple[int, int], place: Place, wrong: Any) -> bytes:
    start, end = span
    value = copy.deepcopy(_loaded(body[start:end]))
    inner = value
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = wrong
    return body[:start] + json.dumps(value).encode() + body[end:]


# ---- what a stage is held to ---------------------------------------------------------------------


def survive(
    make: Callable[[], Any], cases: Iterable[Case], complaint: Callable[[list[Any]], str]
) -> None:
    """Feed a fresh stage each of the cases, and changed bytes; a ``Finding`` names the first.

    Args:
        make: Makes a fresh stage.
        cases: What to feed.
        complaint: What is wrong with the outputs of one; empty: nothing.
    """
    known = list(cases)
    feeding = _Feeding(make, complaint)
    feeding.watched(lambda: feeding.feed_all(known))
    longest = max(known, key=lambda case: case[0].startswith("a byte order mark"))[1]
    feeding.watched(lambda: _changed(longest.removeprefix(b"\xef\xbb\xbf"), feeding.feed))


def _changed(body: bytes, feed: Callable[[str, bytes], None]) -> None:
    place = st.integers(0, max(0, len(body) - 1))
    edit = st.tuples(place, st.integers(0, 8), st.binary(max_size=8))

    @settings(
        max_examples=min(EXAMPLES, settings().max_examples),
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        print_blob=False,
        report_multiple_bugs=False,
    )
    @given(st.lists(edit, min_size=1, max_size=3))
    def each(edits: list[tuple[int, int, bytes]]) -> None:
        data = body
        for at, gone, new in edits:
            data = data[:at] + new + data[at + gone :]
        feed(f"changed at {', '.join(str(at) for at, _, _ in edits)}", data)

    each()


class _Feeding:
    """Feeds a stage on a thread of its own, so that one that hangs is found."""

    def __init__(self, make: Callable[[], Any], complaint: Callable[[list[Any]], str]) -> None:
        self._make = make
        self._complaint = complaint
        self._case = ""

    def feed_all(self, cases: Iterable[Case]) -> None:
        for words, data in cases:
            self.feed(words, data)

    def feed(self, words: str, data: bytes) -> None:
        shown = repr(data) if len(data) <= 300 else f"{data[:300]!r}… ({len(data)} bytes)"
        self._case = f"{words}: {shown}"
        try:
            wrong = self._complaint(outputs_of(self._make(), [data] if data else []))
        except Exception as error:
            wrong = told(error)
        if wrong:
            raise Finding(
                wrong, expected="Failed(…) as the last output, or events", smallest=self._case
            )

    def watched(self, run: Callable[[], object]) -> None:
        failed: list[BaseException] = []

        def guarded() -> None:
            try:
                run()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        thread.join(3 * CEILING)
        if thread.is_alive():
            raise Finding("it never comes back", expected="an end", smallest=self._case)
        if failed:
            raise failed[0].with_traceback(None) from None
