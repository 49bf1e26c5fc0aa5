"""Newline-delimited JSON."""

from fuzz.records import WORDS as COMMON
from fuzz.records import check_decoder, text_of

from multitap.framing import NdjsonDecoder

WORDS = (*COMMON, b'{"text":"b"}\n', b'}{"text":"c"}', b" \t", b"\n\n")


def check(data):
    check_decoder(NdjsonDecoder, data, good)


def good(body, limit):
    for line in body.split(b"\n")[:-1]:
        text = text_of(line) if line.strip() and len(line) <= limit else None
        if text is None:
            return
        yield text
