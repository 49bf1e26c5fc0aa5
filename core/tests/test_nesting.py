"""JSON that is nested for ever, and numbers without an end: what is kept of them."""

from __future__ import annotations

import json
from bisect import bisect_left

import letters
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from letters import OverHttp

from multitap.errors import BadRequest, ConfigError, ProtocolError
from multitap.events import (
    Failed,
    Permission,
    Stop,
    Text,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    UsageReport,
)
from multitap.framing import JsonDecoder, NdjsonDecoder, SseDecoder
from multitap.hookspecs import hookimpl
from multitap.messages import ToolCall, parse_arguments
from multitap.nesting import is_beyond, within
from multitap.policy.clocks import Limits
from multitap.policy.kept import KeptLimits
from multitap.testing import WORLDS, Server, repeat, request, respond
from multitap.work import Exchange, HttpCall

fault = pytest.mark.fault
LEVELS = st.recursive(
    st.none() | st.integers(-(10**6), 10**6) | st.text(alphabet='a"\\[{}]9'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab[9"), inner, max_size=3),
    max_leaves=12,
)
KINDS = pytest.mark.parametrize("kind", [JsonDecoder, NdjsonDecoder, SseDecoder])


def nested(levels, inner=1):
    return {"a": nested(levels - 1, inner)} if levels else inner


class Record(msgspec.Struct):
    text: str | None = None
    count: int | None = None
    kept: object = None


def read(kind, body, record=lambda value: [value.text]):
    """What a decoder puts out; the failure's kind in its place."""
    decoder = kind(Record, record)
    whole = b"data: %b\n\n" % body if kind is SseDecoder else body + b"\n"
    items = [*decoder.feed(whole), *decoder.finish()]
    return [item.error.kind if isinstance(item, Failed) else item for item in items]


# ---- what is too deep, and too long --------------------------------------------------------------


@given(LEVELS, st.integers(1, 5), st.integers(1, 5))
def test_bytes_are_cut_where_their_value_is_beyond(value, depth, digits):
    data = json.dumps(value).encode()
    kept = within(data, depth=depth, digits=digits)
    assert data.startswith(kept)
    assert (kept != data) == is_beyond(value, depth=depth, digits=digits)


def test_what_is_no_json_is_left_alone_but_for_its_brackets():
    assert within(b'<p>"a [[[[', depth=2, digits=2) == b'<p>"a [[[['
    assert within(b"<p>[[[[", depth=2, digits=2) == b"<p>[["
    assert within(b"1.2345 12e99 123", depth=2, digits=2) == b"1.2345 12e99 "


@pytest.mark.parametrize("number", [10**64, -(10**64), float("inf"), float("nan")])
def test_a_number_without_an_end_is_beyond(number):
    assert is_beyond({"a": [number]}, depth=64, digits=64)
    assert not is_beyond({"a": [10**64 - 1, 0.1]}, depth=64, digits=64)


def test_what_is_allowed_may_be_more_than_any_value_has():
    assert not is_beyond(nested(500), depth=10**9, digits=10**12)


# ---- arguments of calls --------------------------------------------------------------------------


@pytest.mark.parametrize("text", ['{"a": 1e999}', '{"a": %s}' % ("9" * 65)])
def test_arguments_with_a_number_that_is_too_long_stay_a_text(text):
    assert parse_arguments(text) is None
    assert ToolCall("c", "f", text).arguments is None


def test_arguments_are_read_as_deep_as_the_call_says():
    text = json.dumps(nested(70))
    assert ToolCall("c", "f", text, depth=70).arguments == nested(70)
    assert ToolCall("c", "f", text, depth=69).arguments is None
    assert ToolCall("c", "f", '{"a": 123}', digits=2).arguments is None


@pytest.mark.parametrize("complete", [True, False])
def test_a_call_whose_arguments_are_beyond_is_incomplete(complete):
    def ended(limits, text):
        kept, middle = KeptLimits(limits), len(text) // 2
        end = ToolCallEnd("a", text if complete else None)
        pieces = [ToolCallChunk("a", text[:middle]), ToolCallChunk("a", text[middle:])]
        items = [ToolCallStart("a", "weather"), *pieces, end]
        assert kept.checked(items) is items
        return end.incomplete

    deep, long = json.dumps(nested(5)), '{"a": 12345}'
    assert (ended(Limits(json_depth=5), deep), ended(Limits(json_digits=5), long)) == (None, None)
    assert (ended(Limits(json_depth=4), deep), ended(Limits(json_digits=4), long)) == (True, True)
    assert ended(Limits(), "[1]") is True


# ---- what only a provider understands ------------------------------------------------------------


@pytest.mark.parametrize(
    "event",
    [
        ToolCallStart("a", "weather", 0, nested(5)),
        ToolCallEnd("a", "{}", None, 0, nested(5)),
        UsageReport(None, nested(5)),
        Permission(nested(5)),
        Stop("complete", 0, {"n": [12345]}),
    ],
    ids=lambda event: event.type,
)
def test_opaque_data_that_goes_on_for_ever_is_a_failure_after_what_was_said(event):
    within_limits = KeptLimits(Limits(json_depth=5, json_digits=5)).checked([Text("x"), event])
    assert within_limits == [Text("x"), event]
    kept, failed = KeptLimits(Limits(json_depth=4, json_digits=4)).checked([Text("x"), event])
    assert (kept, type(failed.error), failed.error.kind) == (
        Text("x"),
        ProtocolError,
        "limit_exceeded",
    )
    assert "json_depth" in failed.error.hint


# ---- records -------------------------------------------------------------------------------------


@fault("C12")
@KINDS
@pytest.mark.parametrize("digits", [4301, 10**7])
def test_a_number_that_cannot_be_one_is_over_a_limit(kind, digits):
    assert read(kind, b'{"count": %b}' % (b"9" * digits)) == ["limit_exceeded"]
    assert read(kind, b'{"kept": [%b]}' % (b"9" * digits)) == ["limit_exceeded"]


@KINDS
def test_a_number_that_is_none_for_another_reason_is_not(kind):
    assert read(kind, b'{"count": 1e999}') == ["bad_payload"]
    assert read(kind, b'{"count": "%b"}' % (b"9" * 100)) == ["bad_payload"]


def brackets(depth):
    return b"[" * depth + b"]" * depth


def is_read(data):
    try:
        msgspec.json.decode(data)
    except RecursionError:
        return False
    return True


def shown(value, frames=20):
    """As a reader does that shows an error, some calls deeper than where it was decoded."""
    return shown(value, frames - 1) if frames else [str(value.kept)[:1]]


@fault("C12")
@KINDS
def test_at_no_depth_a_record_is_anything_but_read_or_over_a_limit(kind):
    """Near the interpreter's own limit what can be decoded may be too deep to be shown."""
    edge = bisect_left(range(20_000), True, key=lambda depth: not is_read(brackets(depth)))
    ends = {
        end
        for depth in (1, 64, 65, *range(edge - 40, edge + 10))
        for end in read(kind, b'{"kept": %b}' % brackets(depth), shown)
    }
    assert ends == {"[", "limit_exceeded"}


@KINDS
def test_a_reader_that_never_returns_is_no_fault_of_the_server(kind):
    def endless(value):
        return endless(value)

    with pytest.raises(RecursionError):
        read(kind, b'{"text": "a"}', endless)


# ---- through both runtimes -----------------------------------------------------------------------


class Lines(OverHttp):
    """A line is a JSON text, or the arguments of a call."""

    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, asked):
        call = HttpCall(method="POST", path="/chat")

        def said(value):
            if value.text is not None:
                return [Text(value.text), Stop("complete", 0, value.kept)]
            text = msgspec.json.encode(value.kept).decode()
            call = [ToolCallStart("a", "weather"), ToolCallChunk("a", text), ToolCallEnd("a", text)]
            return [*call, Stop("tool_use")]

        return Exchange(call=call, decoder=lambda _: JsonDecoder(Record, said), explain=explain)


def explain(reply):
    """What a plugin makes of a refusal: its JSON, shown."""
    try:
        return BadRequest(str(msgspec.json.decode(reply.body)["error"]))
    except (ValueError, RecursionError):
        return BadRequest("no JSON")


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def ask(request):
    """What comes of a body: asked with limits of the section, or of the call."""

    def asked(server, *, section=None, **how):
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": server.url}}
        config["acme"].update({"limits": section} if section else {})
        with request.param(config, letters.registry(acme=Lines())) as here:
            try:
                return here.call("chat", "hi", **how)
            except (ProtocolError, BadRequest) as error:
                return error

    return asked


def server_of(value, status=200):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Server(repeat(request, respond(body=body, status=status)))


@fault("C12")
def test_the_depth_of_arguments_is_set_for_a_backend_and_for_a_call(ask):
    with server_of({"kept": nested(70)}) as server:
        usual, *others = [
            ask(server),
            ask(server, section={"json_depth": 70}),
            ask(server, limits={"json_depth": 70}),
            ask(server, section={"json_depth": 70}, limits={"json_depth": 3}),
        ]
    (call,) = usual.tool_calls
    assert (call.arguments, call.incomplete, call.arguments_text.count("{")) == (None, True, 70)
    assert [notice.code for notice in usual.warnings] == ["invalid_tool_arguments"]
    assert "deeper than 64 levels" in usual.warnings[0].message
    found = [(answer.tool_calls[0].arguments, len(answer.warnings)) for answer in others]
    assert found == [(nested(70), 0), (nested(70), 0), (None, 1)]


def test_the_digits_of_arguments_are_set_for_a_backend_and_for_a_call(ask):
    with server_of({"kept": {"n": 10**65}}) as server:
        usual, raised = ask(server), ask(server, limits={"json_digits": 66})
        lowered = ask(server, section={"json_digits": 2})
    calls = [answer.tool_calls[0].arguments for answer in (usual, raised, lowered)]
    assert calls == [None, {"n": 10**65}, None]


def test_what_only_the_provider_understands_is_bounded_too(ask):
    with server_of({"text": "Paris", "kept": nested(65)}) as server:
        error, answer = ask(server), ask(server, limits={"json_depth": 65})
    assert (error.kind, error.partial.text, len(error.attempts)) == ("limit_exceeded", "Paris", 1)
    assert answer.provider_meta == {"acme": nested(65)}


@fault("C12")
def test_a_refusal_is_cut_where_it_is_nested_too_deeply(ask):
    """A plugin that shows it is never given what it cannot show."""
    for depth in (63, *range(64, 1100, 37)):
        deep = b'{"error": %b%b}' % (b"[" * depth, b"]" * depth)
        with server_of(deep, status=400) as server:
            error = ask(server)
        assert (type(error), error.message == "no JSON") == (BadRequest, depth > 63)


def test_the_depth_of_a_refusal_is_set_too(ask):
    with server_of({"error": [[["no"]]]}, status=400) as server:
        errors = [ask(server), ask(server, limits={"json_depth": 3})]
    assert [error.message for error in errors] == ["[[['no']]]", "no JSON"]


@pytest.mark.parametrize("name", ["json_depth", "json_digits"])
@pytest.mark.parametrize("size", [0, -1, 1.5, True, "64"])
def test_no_whole_number_is_no_limit(ask, name, size):
    with server_of({"text": "x"}) as server, pytest.raises(ConfigError, match=name):
        ask(server, limits={name: size})
