"""What each decoder says is wrong, word for word; and what it still gives before that."""

from __future__ import annotations

import msgspec
import pytest

from multitap.errors import EngineError, ProtocolError, TruncatedStream
from multitap.events import Failed
from multitap.framing import JsonDecoder, LineDecoder, NdjsonDecoder, SseDecoder

MIB = 1 << 20
LONG = "The server sent a record of more than 20 bytes"
DEEP = "The server sent JSON that is nested too deeply"
UNREADABLE = "The server sent a record that cannot be read"
NESTED = b'{"n":' * 200_000


class Record(msgspec.Struct):
    text: str | None = None
    event: str | None = None


def record(value):
    return [value.text]


def made(kind, **options):
    if kind is LineDecoder:
        return LineDecoder(lambda line: [line.decode()], **options)
    return kind(Record, record, **options)


def read(kind, *pieces, **options):
    stage = made(kind, **options)
    return [*(out for piece in pieces for out in stage.feed(piece)), *stage.finish()]


def facts(failed):
    assert isinstance(failed, Failed)
    error = failed.error
    return type(error), error.kind, error.phase, error.message


FAULTS = [
    (JsonDecoder, b" ", (ProtocolError, "empty_response", "The server sent an empty answer")),
    (JsonDecoder, b"x" * 21, (ProtocolError, "limit_exceeded", LONG)),
    (NdjsonDecoder, b"x" * 21, (ProtocolError, "limit_exceeded", LONG)),
    (NdjsonDecoder, b'{"text":"' + b"x" * 21 + b'"}\n', (ProtocolError, "limit_exceeded", LONG)),
    (LineDecoder, b"x" * 21 + b"\n", (ProtocolError, "limit_exceeded", LONG)),
    (LineDecoder, b"x" * 21, (ProtocolError, "limit_exceeded", LONG)),
    (SseDecoder, b"x" * 21, (ProtocolError, "limit_exceeded", LONG)),
    (SseDecoder, b"\rdata:" + b"x" * 16, (ProtocolError, "limit_exceeded", LONG)),
    (SseDecoder, b"data:" + b"x" * 16 + b"\r", (ProtocolError, "limit_exceeded", LONG)),
    (
        JsonDecoder,
        b'{"text": "a',
        (TruncatedStream, "truncated_stream", 'The answer ended within a record: {"text": "a'),
    ),
    (
        NdjsonDecoder,
        b'{"text": "\xff"}\n',
        (ProtocolError, "bad_payload", f'{UNREADABLE} (invalid UTF-8): {{"text": "\ufffd"}}'),
    ),
    (
        NdjsonDecoder,
        b"{nonsense}\n",
        (
            ProtocolError,
            "bad_payload",
            f"{UNREADABLE} (JSON is malformed: object keys must be strings (byte 1)): {{nonsense}}",
        ),
    ),
    (
        LineDecoder,
        b"\xff\n",
        (ProtocolError, "bad_payload", "The server sent a line that is no UTF-8: \ufffd"),
    ),
    (
        LineDecoder,
        b"rest",
        (TruncatedStream, "truncated_stream", "The answer ended too early: rest"),
    ),
]


@pytest.mark.parametrize(("kind", "body", "expected"), FAULTS)
def test_each_fault_is_told_in_its_words(kind, body, expected):
    error, name, message = expected
    (failed,) = read(kind, body, limit=20)
    assert facts(failed) == (error, name, "parse", message)


@pytest.mark.parametrize("kind", [JsonDecoder, NdjsonDecoder])
def test_a_record_that_is_nested_too_deeply_is_told_so(kind):
    (failed,) = read(kind, NESTED + b"\n")
    assert facts(failed) == (ProtocolError, "limit_exceeded", "parse", DEEP)


def test_an_error_that_the_author_takes_for_no_failure_is_one():
    *given, failed = read(SseDecoder, b"error: gone\n\n")
    message = "The server reported an error: gone"
    assert given == [None]
    assert facts(failed) == (EngineError, "stream_error", "stream", message)


# ---- limits --------------------------------------------------------------------------------------

AT_THE_LIMIT = [
    (JsonDecoder, b'{"text":"a"}        '),
    (NdjsonDecoder, b'{"text":"a"}        \n'),
    (NdjsonDecoder, b'{"text":"a"}        '),
    (LineDecoder, b"x" * 20 + b"\n"),
    (SseDecoder, b'data: {"text":"a"}  \n\n'),
    (SseDecoder, b'data: {"text":"a"}  \r\r'),
]


@pytest.mark.parametrize(("kind", "body"), AT_THE_LIMIT)
def test_a_record_may_be_as_long_as_the_limit(kind, body):
    for pieces in ([body], [body[:20], body[20:]], [body[at : at + 1] for at in range(len(body))]):
        assert read(kind, *pieces, limit=20) == ["x" * 20 if kind is LineDecoder else "a"]


def test_the_lines_of_one_event_have_the_limit_together():
    body = b'data:{"text":\ndata:"aaaaaaa"\ndata:}\n\n'
    assert read(SseDecoder, body, limit=18) == ["aaaaaaa"]
    (failed,) = read(SseDecoder, body, limit=17)
    assert failed.error.kind == "limit_exceeded"


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        (JsonDecoder, 64 * MIB),
        (NdjsonDecoder, 16 * MIB),
        (SseDecoder, 16 * MIB),
        (LineDecoder, 16 * MIB),
    ],
)
def test_the_limit_where_none_is_given(kind, limit):
    stage = made(kind)
    assert stage.feed(bytes(limit)) == []
    assert stage.feed(b"x")[-1].error.kind == "limit_exceeded"


# ---- what comes before, and when -----------------------------------------------------------------


def test_data_before_an_error_field_is_given_first():
    given, _, failed = read(SseDecoder, b'data: {"text":"a"}\nerror: gone\n\n')
    assert (given, failed.error.kind) == ("a", "stream_error")


def test_data_behind_a_bare_error_does_not_hide_it():
    _, failed = read(SseDecoder, b'{"message": "gone"}\ndata: {"text":"a"}\n\n')
    assert failed.error.kind == "stream_error"


def test_a_bare_object_in_which_nothing_is_called_an_error_is_no_event():
    (failed,) = read(SseDecoder, b'{"text": "a", "id": 1}')
    message = 'The server sent JSON where events were to be: {"text": "a", "id": 1}'
    assert facts(failed) == (ProtocolError, "bad_payload", "parse", message)
    *_, failed = read(SseDecoder, b'event: error\ndata: {"text": "a"}\n\n')
    assert facts(failed)[:2] == (EngineError, "stream_error")


def test_a_bare_error_at_the_end_needs_no_line_end():
    _, failed = read(SseDecoder, b'{"message": "gone"}')
    assert failed.error.kind == "stream_error"


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_an_event_is_given_with_its_blank_line_whatever_the_ends(end):
    stage = made(SseDecoder)
    assert stage.feed(b":" + end) == []
    assert stage.feed(b'data: {"text":"a"}' + end) == []
    assert stage.feed(end) == ["a"]
    assert stage.feed(b'data: {"text":"b"}' + end + end) == ["b"]


def test_a_line_is_given_with_its_end():
    stage = made(LineDecoder)
    assert [stage.feed(b"one\ntw"), stage.feed(b"o\n")] == [["one"], ["two"]]


def test_a_name_that_is_no_utf_8_is_shown_as_far_as_it_is():
    def name(value):
        return [value.event]

    stage = SseDecoder(Record, name, event_field="event")
    assert stage.feed(b"event: a\xff\ndata: {}\n\n") == ["a\ufffd"]


def test_an_error_that_is_no_utf_8_is_shown_as_far_as_it_is():
    class Report(msgspec.Struct):
        error: str | None = None

    stage = SseDecoder(Report, lambda value: [value.error])
    assert stage.feed(b"error: a\xff\n\n")[0] == "a\ufffd"


def test_only_the_first_line_has_a_byte_order_mark():
    mark = b"\xef\xbb\xbf"
    assert read(LineDecoder, mark + b"a\n" + mark + b"b\n") == ["a", "\ufeffb"]
    assert read(LineDecoder, mark + b"a\n", mark + b"b\n") == ["a", "\ufeffb"]


@pytest.mark.parametrize("kind", [JsonDecoder, NdjsonDecoder, SseDecoder, LineDecoder])
def test_after_its_end_a_decoder_says_nothing(kind):
    body = b'data: {"text":"a"}\n\n' if kind is SseDecoder else b'{"text":"a"}\n'
    stage = made(kind, finish=lambda: ["end"])
    assert [*stage.feed(body), *stage.finish()][-1] == "end"
    assert [*stage.feed(body), *stage.finish()] == []


def test_what_finish_fails_with_is_the_last_output():
    failure = Failed(EngineError("It broke"))
    stage = made(NdjsonDecoder, finish=lambda: ["end", failure, "never"])
    assert stage.finish() == ["end", failure]


def test_what_finish_raises_is_a_failure():
    def finish():
        raise EngineError("It broke")

    (failed,) = made(NdjsonDecoder, finish=finish).finish()
    assert failed.error.message == "It broke"


# ---- a whole read at once ------------------------------------------------------------------------


class AtOnce(NdjsonDecoder):
    def _lines(self, *_, **__):
        raise AssertionError("it was read line by line")


class AtOnceSse(SseDecoder):
    def _lines(self, *_, **__):
        raise AssertionError("it was read line by line")


LINES = b'{"text":"a"}\n{"text":"b"}\n'
EVENTS = b'data: {"text":"a"}\n\ndata: {"text":"b"}\n\n'


@pytest.mark.parametrize(("kind", "body"), [(AtOnce, LINES), (AtOnceSse, EVENTS)])
def test_a_plain_read_is_decoded_at_once_up_to_the_limit(kind, body):
    assert kind(Record, record, limit=len(body)).feed(body) == ["a", "b"]
    with pytest.raises(AssertionError, match="line by line"):
        kind(Record, record, limit=len(body) - 1).feed(body)


@pytest.mark.parametrize(("kind", "body"), [(AtOnce, LINES), (AtOnceSse, EVENTS)])
def test_what_one_read_has_of_the_next_record_waits(kind, body):
    stage = kind(Record, record)
    assert [stage.feed(body + body[:5]), stage.feed(body[5:])] == [["a", "b"], ["a", "b"]]


def test_a_plain_read_may_have_the_terminator():
    stage = AtOnceSse(Record, record, finish=lambda: ["end"])
    assert stage.feed(EVENTS + b"data: [DONE]\n\n") == ["a", "b", "end"]
    alone = AtOnceSse(Record, record, finish=lambda: ["end"])
    assert [alone.feed(EVENTS), alone.feed(b"data: [DONE]\n\n")] == [["a", "b"], ["end"]]


@pytest.mark.parametrize(("kind", "body"), AT_THE_LIMIT[1:])
def test_the_limit_is_that_of_each_record(kind, body):
    body = body if body.endswith((b"\n", b"\r")) else body + b"\n"
    singles = [bytes((byte,)) for byte in body * 3]
    assert len(read(kind, *singles, limit=20)) == 3


def test_glued_values_end_with_their_line():
    assert read(NdjsonDecoder, b'{"text":"a"}{"text":"b"}\n') == ["a", "b"]


def test_a_blank_line_counts_at_once_behind_a_line_that_has_a_cr():
    stage = made(SseDecoder)
    assert [stage.feed(b'data: {"text":"a"}\r\n'), stage.feed(b"\n")] == [[], ["a"]]


def test_many_short_lines_may_be_more_than_the_limit_together():
    stage = made(SseDecoder, limit=20)
    assert stage.feed(b": c\n" * 10 + b'data: {"text":"a"}\n') == []
    assert stage.feed(b"\n") == ["a"]
    *given, failed = made(SseDecoder, limit=20).feed(b": c\n" * 10 + b"error: gone\n")
    assert (given, failed.error.kind) == ([None], "stream_error")


def test_an_error_field_counts_without_a_blank_line():
    *given, failed = read(SseDecoder, b"error: gone\n")
    assert (given, failed.error.kind) == ([None], "stream_error")


def test_an_event_without_a_name_has_none():
    stage = SseDecoder(Record, lambda value: [value.event], event_field="event")
    assert stage.feed(b"data: {}\n\nevent: x\ndata: {}\n\n") == [None, "x"]
