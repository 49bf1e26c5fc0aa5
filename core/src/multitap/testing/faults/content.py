"""Faults within the answer's bytes: characters, lines, JSON, and errors in place of results."""

from __future__ import annotations

from json import dumps

from multitap.testing.faults.good import GoodAnswer, chunk
from multitap.testing.faults.script import fault_script
from multitap.testing.steps import Script, drip, repeat, send

__all__ = (
    "bad_utf8",
    "cut_json",
    "deep_json",
    "endless_record",
    "error_at_once",
    "error_midway",
    "error_named",
    "giant_record",
    "glued_records",
    "huge_number",
    "leading_bom",
    "lone_surrogate",
    "nan_literal",
    "odd_line_ends",
    "odd_separators",
    "record_over_two_lines",
    "split_utf8",
)

SPLIT = "Pâ€𝄞ris".encode()
SEPARATED = "Pa\u2028\u2029\u0085ris".encode()
BOM = b"\xef\xbb\xbf"


@fault_script("C1")
def cut_json(good: GoodAnswer) -> Script:
    """A record that is half a JSON value, in a framing that is whole."""
    record = next(record for record in good.records if good.word in record)
    cut = record[: record.index(good.word)] + (b"\n\n" if good.streamed else b"")
    return send(good.changed(record, cut).raw if good.streamed else good.of([cut]))


@fault_script("C2")
def bad_utf8(good: GoodAnswer) -> Script:
    """Bytes in the text that are no UTF-8."""
    return send(_whole(good.said(b"Pa\xff\xferis")))


@fault_script("C3")
def split_utf8(good: GoodAnswer) -> Script:
    """Characters of two, three and four bytes, sent a byte at a time."""
    return drip(_whole(good.said(SPLIT)))


@fault_script("C4")
def odd_separators(good: GoodAnswer) -> Script:
    """U+2028, U+2029 and U+0085 in the text, which end no line."""
    return send(_whole(good.said(SEPARATED)))


@fault_script("C4")
def odd_line_ends(good: GoodAnswer, end: bytes = b"\r\n") -> Script:
    """Lines that end with CR LF instead of LF."""
    if not good.streamed:
        return send(good.raw)
    return send(good.of(record.replace(b"\n", end) for record in good.records))


@fault_script("C4")
def leading_bom(good: GoodAnswer) -> Script:
    """A byte order mark before everything."""
    first, *others = good.records
    return send(good.of([BOM + first, *others]))


@fault_script("C5")
def giant_record(good: GoodAnswer, size: int = 1 << 20) -> Script:
    """One event or line that is larger than the limit."""
    return send(_whole(good.said(b"P" * size)))


@fault_script("C5")
def endless_record(good: GoodAnswer) -> Script:
    """One event, line or value that goes on for ever."""
    record = next(record for record in good.records if good.word in record)
    start = record[: record.index(good.word)]
    return [send(good.begun(start)), repeat(send(chunk(b"P" * 65536)))]


@fault_script("C9")
def error_at_once(good: GoodAnswer, message: str = "", code: str = "") -> Script:
    """An error's object in an answer with status 200, before any text."""
    return send(good.of([_error(good, message, code)]))


@fault_script("C9")
def error_midway(good: GoodAnswer, message: str = "", code: str = "") -> Script:
    """An error's object within a stream, after half of it."""
    if not good.streamed:
        return send(good.of([_error(good, message, code)]))
    return send(good.of([*good.half, _error(good, message, code)]))


@fault_script("C9")
def error_named(good: GoodAnswer, message: str = "", code: str = "") -> Script:
    """An error in an event called `error`; where there are no events, its object."""
    error = _error(good, message, code)
    if good.kind == "text/event-stream":
        error = b"event: error\n" + error
    return send(good.of([error]))


@fault_script("C11")
def glued_records(good: GoodAnswer) -> Script:
    """Two JSON values on one line, with nothing between them."""
    record = next(record for record in good.records if good.word in record)
    value = record.strip().removeprefix(b"data: ")
    return send(_whole(good.changed(value, value + value)))


@fault_script("C11")
def record_over_two_lines(good: GoodAnswer) -> Script:
    """One JSON value over two lines."""
    name = next(record for record in good.records if good.word in record)
    again = b"\ndata: " if good.kind == "text/event-stream" else b"\n"
    return send(_whole(good.changed(name, name.replace(b"{", b"{" + again, 1))))


@fault_script("C12")
def nan_literal(good: GoodAnswer, value: bytes = b"NaN") -> Script:
    """A number that JSON does not have."""
    return send(_whole(good.with_member(b'"strange":%b' % value)))


@fault_script("C12")
def deep_json(good: GoodAnswer, depth: int = 100_000) -> Script:
    """Brackets within brackets within brackets."""
    return send(_whole(good.with_member(b'"strange":' + b"[" * depth + b"]" * depth)))


@fault_script("C12")
def huge_number(good: GoodAnswer, digits: int = 5000) -> Script:
    """A number of five thousand digits."""
    return send(_whole(good.with_member(b'"strange":' + b"9" * digits)))


@fault_script("C12")
def lone_surrogate(good: GoodAnswer) -> Script:
    r"""Half of a pair in the text, as ``\ud800``."""
    return send(_whole(good.said(b"Pa\\ud800ris")))


def _whole(good: GoodAnswer) -> bytes:
    return good.of(good.records)


def _error(good: GoodAnswer, message: str, code: str) -> bytes:
    value = dumps(good.refusal(message or "The engine broke", code or "server_error")).encode()
    if not good.streamed:
        return value
    return b"data: %b\n\n" % value if good.kind == "text/event-stream" else value + b"\n"
