"""Server-sent events."""

import re

from fuzz.records import WORDS as COMMON
from fuzz.records import check_decoder, text_of

from multitap.framing import SseDecoder

WORDS = (
    *COMMON,
    *(b"data: ", b"data:", b"data: [DONE]\n\n", b"[DONE]", b"event: error\n", b"event: x\n"),
    *(b"error: e\n", b": c\n", b"id\n", b"\n\n", b"\r\r", b'data: {"text":"b"}\n\n'),
)
_BLANK = re.compile(rb"\r\n\r\n|\n\n|\r\r")


def check(data):
    options = {"event_field": "event"} if data[:1] > b"\x7f" else {}
    check_decoder(SseDecoder, data, good, **options)


def good(body, limit):
    """What stands before anything that is not ``data: {…}`` and a blank line."""
    for event in _BLANK.split(body)[:-1]:
        plain = re.fullmatch(rb"data: ?(\{[^\r\n]*\})", event)
        text = text_of(plain[1]) if plain and len(event) <= limit else None
        if text is None:
            return
        yield text
