"""The laws of decoders of records, for whatever cuts the records out."""

from __future__ import annotations

import msgspec
from fuzz.inputs import same_however_cut

from multitap.errors import RateLimited
from multitap.events import Failed, Stop, Text

LIMITS = (12, 40, 200, 1 << 20)


class Record(msgspec.Struct):
    text: str | None = None
    error: str | dict | None = None
    event: str | None = None


WORDS = (
    *(b'{"text":"a"}', b'{"text":"\\ud83d\\ude00"}', b'"\\ud800"', b'{"error":"e"}', b'"text":'),
    *(b'{"n":[', b"\xef\xbb\xbf", b"\r\n", b"\xc3\xa9", b"NaN", b'{"text":null}', b"}\n{"),
)


def record(value):
    if value.error is not None:
        raise RateLimited(str(value.error)[:50])
    return [Text(value.text)] if value.text else []


def decoder(kind, limit, **options):
    return kind(Record, record, finish=lambda: [Stop("complete")], limit=limit, **options)


def check_decoder(kind, data, good, **options):
    """Read arbitrary bytes; their first two choose the limit and where they are cut.

    Args:
        kind: The class of the decoder.
        data: What the fuzzer made.
        good: From a body and a limit, the texts of the good records that it begins with.
        options: For the decoder.
    """
    limit, seed, body = LIMITS[data[0] % len(LIMITS)] if data else 12, data[:2], data[2:]
    outputs = same_however_cut(lambda: decoder(kind, limit, **options), body, seed)
    said = "".join(output.content for output in outputs if isinstance(output, Text))
    assert said.startswith("".join(good(body, limit)))
    assert len(said) <= len(body)
    assert outputs[-1:] == [Stop("complete")] or isinstance(outputs[-1], Failed)
    check_memory(decoder(kind, limit, **options), body, limit)


def check_memory(stage, body, limit):
    """Between two reads a decoder holds no more than one record; after its end it says nothing."""
    for at in range(0, len(body), 7):
        if any(isinstance(output, Failed) for output in stage.feed(body[at : at + 7])):
            break
        assert stage._held_size <= limit
    stage.finish()
    assert [*stage.feed(body), *stage.finish()] == []


def text_of(data):
    """The text of a good record, else ``None``."""
    try:
        value = msgspec.json.decode(data, type=Record)
    except (ValueError, RecursionError):
        return None
    return None if value.error is not None else value.text or ""
