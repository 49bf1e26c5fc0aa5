import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.errors import EngineError, PluginError, ProtocolError, RateLimited, TruncatedStream
from multitap.events import Failed, Stop, Text, normalise
from multitap.framing import JsonDecoder, NdjsonDecoder, SseDecoder


class Line(msgspec.Struct):
    text: str | None = None
    error: str | dict | None = None
    event: str | None = None


class Author:
    """Puts out the text of each record, and a Stop at the end."""

    def __init__(self):
        self.seen = []

    def record(self, line):
        self.seen.append(line)
        if line.error is not None:
            raise RateLimited(str(line.error))
        return [Text(line.text)] if line.text else []

    def finish(self):
        return [Stop("complete")]


def decoder(kind, **options):
    author = Author()
    return kind(Line, author.record, finish=author.finish, **options)


def run(stage, pieces):
    """All outputs; an error is shown by its class, kind and message."""
    out = []
    for piece in pieces:
        out += stage.feed(piece)
    out += stage.finish()
    failures = [i for i, item in enumerate(out) if isinstance(item, Failed)]
    assert failures in ([], [len(out) - 1])
    return out


def shown(out):
    return [
        (type(e.error), e.error.kind, e.error.message) if isinstance(e, Failed) else e
        for e in normalise(out)
    ]


def cut(data, places):
    edges = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def texts(out):
    return "".join(e.content for e in out if isinstance(e, Text))


def error_of(out):
    return out[-1].error if isinstance(out[-1], Failed) else None


def errors_of(out):
    return [type(e.error) for e in out if isinstance(e, Failed)]


def line(text):
    return json.dumps({"text": text, "ignored": [1, {"a": None}]}).encode()


def event(text):
    return b"data: " + line(text) + b"\n\n"


BODIES = {
    NdjsonDecoder: line("a") + b"\n" + line("b") + b"\n",
    SseDecoder: event("a") + event("b") + b"data: [DONE]\n\n",
    JsonDecoder: line("ab"),
}
KINDS = pytest.mark.parametrize("kind", list(BODIES), ids=lambda kind: kind.__name__)


# ---- every decoder -------------------------------------------------------------------------------


@KINDS
def test_records_are_read_however_the_bytes_are_cut(kind):
    body = BODIES[kind]
    for at in range(len(body) + 1):
        assert shown(run(decoder(kind), [body[:at], body[at:]])) == [Text("ab"), Stop("complete")]
    assert shown(run(decoder(kind), [bytes([b]) for b in body])) == [Text("ab"), Stop("complete")]


@KINDS
def test_a_backend_error_of_the_author_becomes_the_last_output(kind):
    bad = {NdjsonDecoder: b'{"error":"slow"}\n', SseDecoder: b'data: {"error":"slow"}\n\n'}
    body = BODIES[kind] + bad[kind] if kind is NdjsonDecoder else bad.get(kind, b'{"error":"slow"}')
    out = run(decoder(kind), [body + BODIES[kind]] if kind is not JsonDecoder else [body])
    assert isinstance(error_of(out), RateLimited)
    assert texts(out) == ("ab" if kind is NdjsonDecoder else "")


@KINDS
def test_any_other_exception_of_the_author_propagates(kind):
    def record(_):
        raise PluginError("mine")

    stage = kind(Line, record)
    with pytest.raises(PluginError, match="mine"):
        run(stage, [BODIES[kind]])


@KINDS
def test_what_a_generator_gave_before_it_raised_is_kept(kind):
    def record(value):
        yield Text(value.text)
        raise RateLimited("slow")

    out = run(kind(Line, record), [BODIES[kind]])
    assert out[0].content in ("a", "ab")
    assert isinstance(error_of(out), RateLimited)


@KINDS
def test_nothing_comes_after_a_failure_that_the_author_put_out(kind):
    def record(_):
        return [Failed(RateLimited("slow")), Text("never")]

    assert len(run(kind(Line, record), [BODIES[kind], BODIES[kind]])) == 1


@KINDS
def test_lone_surrogates_become_the_replacement_character(kind):
    text = rb"x\ud800y\udc00z \ud83d\ude00 \\ud800"
    record = b'{"text": "' + text + b'"}'
    body = {
        NdjsonDecoder: record + b"\n",
        SseDecoder: b"data: " + record + b"\n\n",
        JsonDecoder: record,
    }
    out = run(decoder(kind), [body[kind]])
    assert texts(out) == "x\ufffdy\ufffdz \U0001f600 \\ud800"


BAD_RECORDS = {
    "not JSON": (b"{nonsense}", "bad_payload"),
    "invalid UTF-8": (b'{"text": "\xff"}', "bad_payload"),
    "NaN": (b'{"n": NaN}', "bad_payload"),
    "a wrong type": (b'{"text": [1]}', "bad_payload"),
    "no object": (b"7", "bad_payload"),
    "too deep": (b'{"n": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "limit_exceeded"),
    "deep and open": (b'{"n": ' + b'{"n":' * 200_000, "limit_exceeded"),
}


@KINDS
@pytest.mark.parametrize("name", BAD_RECORDS)
def test_a_bad_record_is_a_failure_and_the_good_ones_before_it_are_kept(kind, name):
    bad, error_kind = BAD_RECORDS[name]
    bodies = {
        NdjsonDecoder: line("good") + b"\n" + bad + b"\n" + line("never") + b"\n",
        SseDecoder: event("good") + b"data: " + bad + b"\n\n" + event("never"),
        JsonDecoder: bad,
    }
    body = bodies[kind]
    whole = run(decoder(kind), [body])
    assert (ProtocolError, error_kind) == (type(error_of(whole)), error_of(whole).kind)
    assert texts(whole) == ("" if kind is JsonDecoder else "good")
    assert shown(whole) == shown(run(decoder(kind), [body[:30], body[30:70], body[70:]]))


@KINDS
def test_a_record_over_the_limit_fails_wherever_it_is_cut(kind):
    body = {
        NdjsonDecoder: line("a") + b"\n" + line("x" * 200) + b"\n",
        SseDecoder: event("a") + event("x" * 200),
        JsonDecoder: line("x" * 200),
    }[kind]
    for at in range(0, len(body), 7):
        out = run(decoder(kind, limit=150), [body[:at], body[at:]])
        assert error_of(out).kind == "limit_exceeded"
        assert texts(out) == ("" if kind is JsonDecoder else "a")


@KINDS
def test_many_small_records_may_be_more_than_the_limit_together(kind):
    body = {
        NdjsonDecoder: (line("a") + b"\n") * 20,
        SseDecoder: event("a") * 20,
        JsonDecoder: line("a"),
    }[kind]
    assert error_of(run(decoder(kind, limit=80), [body])) is None


@KINDS
def test_bytes_that_end_within_a_record_are_a_truncated_stream(kind):
    body = {
        NdjsonDecoder: line("a") + b"\n" + b'{"text": "b',
        SseDecoder: event("a") + b'data: {"text": "b',
        JsonDecoder: b'{"text": "b',
    }[kind]
    out = run(decoder(kind), [body])
    assert isinstance(error_of(out), TruncatedStream)
    assert texts(out) == ("" if kind is JsonDecoder else "a")


def test_every_beginning_of_a_record_is_a_truncated_stream():
    class Number(msgspec.Struct):
        n: float | None = None
        text: str | None = None
        flag: bool | None = None

    body = rb'{"n": -1.5e-7, "text": "\u00e9\ud83d\ude00' + "é".encode()
    body += b'", "flag": true, "x": [null]}'
    assert run(JsonDecoder(Number, lambda value: [value.n]), [body]) == [-1.5e-7]
    for at in range(1, len(body)):
        out = run(JsonDecoder(Number, lambda value: [value.n]), [body[:at]])
        assert (at, errors_of(out)) == (at, [TruncatedStream])


@KINDS
def test_a_byte_order_mark_is_dropped_once_at_the_beginning(kind):
    body = b"\xef\xbb\xbf" + BODIES[kind]
    for at in range(6):
        assert texts(run(decoder(kind), [body[:at], body[at:]])) == "ab"


@pytest.mark.parametrize(
    ("kind", "first"), [(NdjsonDecoder, line("a") + b"\n"), (SseDecoder, event("a"))]
)
def test_a_byte_order_mark_later_on_is_none(kind, first):
    body = first + b"\xef\xbb\xbf" + first
    together, apart = run(decoder(kind), [body]), run(decoder(kind), cut(body, [len(first)]))
    assert shown(together) == shown(apart)
    assert texts(apart) == "a"


@KINDS
def test_an_error_shows_an_excerpt_without_keys(kind):
    bad = b'{"api_key": "sk-verysecret12345", bad'
    body = {NdjsonDecoder: bad + b"\n", SseDecoder: b"data: " + bad + b"\n\n", JsonDecoder: bad}
    message = str(error_of(run(decoder(kind), [body[kind]])))
    assert "api_key" in message
    assert "verysecret" not in message


@KINDS
def test_a_long_unfinished_record_is_not_scanned_again_for_each_read(kind):
    """Reads are kept as they came and joined once: two joined bytes would be new objects."""
    stage = decoder(kind)
    pieces = [b'data: {"text": "', *[b"x" * 50] * 100]
    for piece in pieces:
        assert stage.feed(piece) == []
    assert all(a is b for a, b in zip(stage._held, pieces, strict=True))


# ---- properties ----------------------------------------------------------------------------------

JSON_BITS = [b"{", b"}", b'"', b":", b",", b"[", b"]", b"\n", b"\r", b"\r\n", b" ", b"1", b"NaN"]
JSON_BITS += [b'"text"', b'{"text":"a"}', b'{"error":"e"}', b'{"text":"\xc3\xa9"}']
JSON_BITS += [b"\\ud800", b"\xff", b"\xef\xbb\xbf"]
SSE_BITS = [b"data:", b"data: ", b"event: error\n", b"event: x\n", b"error: e\n", b": c\n", b"\n\n"]
SSE_BITS += [
    b"id\n",
    b'data: {"text":"b"}\n\n',
    b"data: [DONE]\n\n",
    b"[DONE]",
    b"\r\n\r\n",
    b"\r\r",
]
BITS = st.one_of(st.sampled_from(JSON_BITS), st.sampled_from(SSE_BITS), st.binary(max_size=4))
JUNK = st.lists(BITS, max_size=30).map(b"".join)
PLACES = st.lists(st.integers(0, 400), max_size=12)


@KINDS
@given(data=JUNK, places=PLACES, limit=st.sampled_from([12, 40, 1 << 20]))
def test_junk_never_raises_and_cuts_never_matter(kind, data, places, limit):
    whole = run(decoder(kind, limit=limit), [data])
    pieces = run(decoder(kind, limit=limit), cut(data, places))
    assert shown(whole) == shown(pieces)


@KINDS
@given(data=JUNK, good=st.lists(st.text(max_size=5), max_size=5), places=PLACES)
def test_records_before_junk_are_never_lost(kind, data, good, places):
    if kind is JsonDecoder:
        return
    record = event if kind is SseDecoder else lambda text: line(text) + b"\n"
    body = b"".join(map(record, good)) + data
    assert texts(run(decoder(kind), cut(body, places))).startswith("".join(good))


@given(
    texts_=st.lists(st.text(max_size=6), max_size=6),
    end=st.sampled_from([b"\n", b"\r", b"\r\n"]),
    places=PLACES,
)
def test_every_line_end_of_sse_gives_the_same_records(texts_, end, places):
    body = b"".join(map(event, texts_)).replace(b"\n", end)
    assert texts(run(decoder(SseDecoder), cut(body, places))) == "".join(texts_)


# ---- NDJSON --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'{"text":"a"}{"text":"b"}\n',
        b'{"text":"a"} \t{"text":"b"}',
        b'\n{"text":"a"}\r\n\n{"text":"b"}',
        b'{"text":"a"}\n{"text":"b"}{}\n',
    ],
)
def test_values_are_read_in_order_glued_or_with_blank_lines(body):
    out = run(decoder(NdjsonDecoder), [body])
    assert [e.content for e in out[:-1]] == ["a", "b"]


def test_the_first_of_two_glued_values_survives_a_broken_second():
    out = run(decoder(NdjsonDecoder), [b'{"text":"a"}{"text":\n'])
    assert texts(out) == "a"
    assert error_of(out).kind == "bad_payload"


def test_a_value_over_two_lines_fails_though_a_glued_one_makes_up_the_count():
    body = b'{"text":"a"}{"text":\n"b"}\n'
    for at in range(len(body)):
        out = run(decoder(NdjsonDecoder), [body[:at], body[at:]])
        assert (texts(out), error_of(out).kind) == ("a", "bad_payload")


# ---- SSE -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b'data:{"text":"ab"}\n\n',
        b': hello\n\ndata: {"text":"ab"}\n\n: bye\n',
        b'data: {"text":\ndata: "ab"}\n\n',
        b'id: 7\nretry: 5\ndata: {"text":"ab"}\n\n',
        b'\n\n\ndata: {"text":"ab"}\n\n\n\n',
        b'data: {"text":"ab"}',
        b'data: {"text":"ab"}\n',
        b'data: {"text":"ab"}\r\n\r\ndata: [DONE]',
        b'data: {"text":"ab"}\n\ndata: [DO',
        b'data\n\ndata:\n\nevent: ping\n\ndata: {"text":"ab"}\n\n',
        b'data: {"text":"a"}\n\n: c\r\ndata: {"text":"b"}\n\n',
        b'data: {"text":"a"}\n\ndata: {"text":"b"}\n\ndata: [DONE]\n\ndata: {"text":"never"}\n\n',
        b'data: {"text":"ab"}\n\ndata: [DONE]\n\n{"error":"never"}\n\n',
        b'data: {"text":"ab"}\n\ndata: [DONE]\n{"error":"never"}\n\n',
        b'data: {"text":\r\ndata: "ab"}\r\n\r\n',
    ],
)
def test_the_forms_that_servers_send(body):
    for at in range(len(body) + 1):
        out = run(decoder(SseDecoder), [body[:at], body[at:]])
        assert shown(out) == [Text("ab"), Stop("complete")]


def test_the_end_hook_runs_at_the_terminator_and_only_there():
    stage = decoder(SseDecoder)
    assert stage.feed(b"data: [DONE]\n\n") == [Stop("complete")]
    assert (stage.feed(event("never")), stage.finish()) == ([], [])


def test_an_event_is_read_as_soon_as_its_blank_line_is_there():
    stage = decoder(SseDecoder)
    assert (stage.feed(event("a")[:-1]), stage.feed(b"\n")) == ([], [Text("a")])
    assert stage.feed(b'data: {"text":"b"}\r\n\r') == [Text("b")]


def test_data_lines_over_the_limit_together_are_one_record_over_the_limit():
    body = b'data: {"text":\n' + b"data:      \n" * 20 + b'data: "b"}\n\n'
    assert error_of(run(decoder(SseDecoder, limit=100), [body])).kind == "limit_exceeded"


def test_an_object_over_two_events_fails_though_a_glued_one_makes_up_the_count():
    body = b'data: {"text":"a"}\n\ndata: {}{}\n\ndata: {"n":\n\ndata: {}}\n\n'
    out = run(decoder(SseDecoder), [body])
    assert (texts(out), error_of(out).kind) == ("a", "bad_payload")


def test_two_values_in_one_event_are_a_failure():
    body = b'data: {"text":"a"}{"text":"b"}\n\n'
    out = run(decoder(SseDecoder), [event("good") + body])
    assert (texts(out), error_of(out).kind) == ("good", "bad_payload")


@pytest.mark.parametrize(
    ("tail", "error"),
    [
        (b'error: {"code":400}\n\ndata: [DONE]\n\n', {"code": 400}),
        (b"error: gone\n", "gone"),
        (b'event: error\ndata: {"code":500,"message":"m"}\n\n', {"code": 500, "message": "m"}),
        (b'event: error\ndata: {"type":"error","error":{"a":1}}\n\n', {"a": 1}),
        (b'{"error":"bare"}\n', "bare"),
        (b'{"message":"bare"}\n\n', {"message": "bare"}),
        (b'{"error":"bare"}\ndata: [DONE]\n\n', "bare"),
        (b'{"error":"bare"}\n: still here\n', "bare"),
        (b'{\n  "error": {\n    "code": 3\n  }\n}\n', {"code": 3}),
    ],
)
def test_errors_outside_of_the_records_are_handed_on(tail, error):
    author = Author()
    body = event("good") + tail
    for at in range(len(body) + 1):
        author.seen.clear()
        out = run(SseDecoder(Line, author.record, finish=author.finish), [body[:at], body[at:]])
        assert (texts(out), type(error_of(out))) == ("good", RateLimited)
        assert error == author.seen[-1].error


def test_an_error_that_the_author_does_not_see_is_still_a_failure():
    class Deaf(msgspec.Struct):
        text: str | None = None

    out = run(SseDecoder(Deaf, lambda _: []), [b"error: gone\n\n"])
    assert isinstance(error_of(out), EngineError)
    assert "gone" in str(error_of(out))


def test_the_events_name_goes_into_the_field_that_is_asked_for():
    author = Author()
    stage = SseDecoder(Line, author.record, event_field="event")
    run(stage, [b'event: first\ndata: {"text":"a"}\n\ndata: {"text":"b"}\n\n'])
    assert [(v.event, v.text) for v in author.seen] == [("first", "a"), (None, "b")]


# ---- JSON ----------------------------------------------------------------------------------------


def test_an_empty_body_is_a_protocol_error():
    assert error_of(run(decoder(JsonDecoder), [b" \n"])).kind == "empty_response"
