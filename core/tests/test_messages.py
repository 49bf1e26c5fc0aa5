"""Messages: what is read of OpenAI's shape, and that nothing is lost on the way."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from multitap.answer import fold
from multitap.dialects.openai.messages import encode_messages
from multitap.dialects.openai.profile import Profile
from multitap.errors import ConfigError
from multitap.events import Stop, ToolCallChunk, ToolCallEnd, ToolCallStart
from multitap.messages import (
    Audio,
    Document,
    Image,
    Message,
    TextPart,
    Thought,
    Tool,
    ToolCall,
    ToolResult,
    parse_arguments,
)
from multitap.shortening import fit_messages

words = st.text(min_size=1, max_size=8)
calls = st.builds(
    ToolCall,
    words,
    words,
    st.dictionaries(words, words, max_size=2).map(json.dumps),
    st.dictionaries(words, st.dictionaries(words, words, max_size=1), max_size=1),
)
media = st.one_of(
    st.builds(Image, st.binary(max_size=9), st.sampled_from(["image/png", "image/jpeg"])),
    st.builds(Image, url=st.just("https://example.org/a.png")),
    st.builds(Audio, st.binary(max_size=9), st.sampled_from(["audio/wav", "audio/mp3"])),
    st.builds(Document, st.binary(max_size=9), st.just("application/pdf"), st.none() | words),
)
user = st.builds(
    lambda t, m: Message("user", [TextPart(t), *m]), words, st.lists(media, max_size=2)
)
assistant = st.builds(
    lambda thoughts, text, made: Message("assistant", [*thoughts, TextPart(text), *made]),
    st.one_of(
        words.map(lambda text: [Thought(text)]),
        st.lists(st.builds(Thought, words, st.just({"acme": {"signature": "x"}})), max_size=2),
    ),
    words,
    st.lists(calls, max_size=2),
)
tool = st.builds(
    lambda i, t, n: Message("tool", ToolResult(i, t, n)), words, words, st.none() | words
)


@given(st.one_of(user, assistant, tool))
def test_a_message_survives_its_json_form(message):
    assert Message.from_dict(json.loads(json.dumps(message.to_dict()))) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"role": "user", "content": "hi"}, Message("user", "hi")),
        ({"role": "developer", "content": "be brief"}, Message("system", "be brief")),
        ({"role": "assistant", "content": None}, Message("assistant")),
        (
            {"role": "user", "content": [{"type": "text", "text": "a"}, "b"]},
            Message("user", ["a", "b"]),
        ),
        (
            {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "12"}]},
            Message("tool", ToolResult("1", "12")),
        ),
    ],
)
def test_openais_shape_is_read(data, message):
    assert Message.from_dict(data) == message


def test_arguments_may_be_an_object():
    call = ToolCall.from_dict({"id": "1", "function": {"name": "f", "arguments": {"a": 1}}})
    assert (call.arguments, call.arguments_text) == ({"a": 1}, '{"a": 1}')


@pytest.mark.parametrize(
    "data",
    [
        {"role": "robot", "content": "x"},
        {"role": "user", "content": 5},
        {"role": "user", "content": [{"type": "video"}]},
        {"role": "user", "content": [{"type": "text"}]},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:x"}}]},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "%"}}]},
    ],
)
def test_what_cannot_be_meant_is_refused(data):
    with pytest.raises(ConfigError):
        Message.from_dict(data)


@given(words)
def test_what_a_user_writes_stays_in_its_message(text):
    data = Message("user", text).to_dict()
    assert data == {"role": "user", "content": text}
    assert Message.from_dict(data).parts == (TextPart(text),)


@pytest.mark.parametrize("text", ["[1]", "{", '"a"', "nan", "[" * 100_000])
def test_arguments_that_are_no_object_are_none(text):
    assert ToolCall("1", "f", text).arguments is None


def test_a_tool_needs_a_name():
    with pytest.raises(ConfigError, match="needs a name"):
        Tool.from_dict({"type": "function", "function": {}})


def test_media_are_not_in_the_repr():
    assert "secret" not in repr(Message("user", [Image(b"secret", "image/png")]))


def test_a_message_holds_every_kind_of_content_in_every_role():
    parts = [
        TextPart("a"),
        Image(b"\x89", "image/png"),
        Audio(b"RIFF", "audio/wav"),
        Document(b"%PDF", "application/pdf", "a.pdf"),
    ]
    asked = Message("user", parts)
    assert asked.parts == tuple(parts)
    assert Message.from_dict(asked.to_dict()) == asked
    roles = [Message(role, "a").role for role in ("system", "user", "assistant")]
    assert roles == ["system", "user", "assistant"]
    assert Message("tool", ToolResult("c1", "42")).to_dict()["tool_call_id"] == "c1"


def test_a_message_keeps_all_of_its_results():
    told = Message("tool", [ToolResult("c1", "Rain", "weather"), ToolResult("c2", "Sun")])
    assert Message.from_dict(json.loads(json.dumps(told.to_dict()))) == told
    assert told.to_dict()["tool_call_id"] == "c1"


@pytest.mark.parametrize("results", ["c1", 1, [1], {"a": 1}])
def test_results_that_are_none_are_refused(results):
    with pytest.raises(ConfigError, match="no list of results"):
        Message.from_dict({"role": "tool", "results": results})


# ---- opaque data of a provider -------------------------------------------------------------------

SIGNED = {"extra_content": {"thought_signature": "c2ln"}}
ANSWERED = [
    ToolCallStart("", "weather"),
    ToolCallChunk("", '{"city": '),
    ToolCallChunk("", '"Oslo"}'),
    ToolCallEnd("", provider_options=SIGNED),
    ToolCallStart("", "weather"),
    ToolCallEnd("", "{}"),
    Stop("tool_use"),
]


def answered():
    """What a model of acme said, as the next question has it."""
    return fold(ANSWERED, backend="box", provider="acme", model="tiny").message


def sent(messages, provider):
    (message,) = encode_messages(messages, Profile(provider=provider), [])
    return message["tool_calls"]


def test_calls_without_an_id_get_one_each_which_their_results_name():
    ids = [call.id for call in answered().tool_calls]
    assert len(set(ids)) == 2
    results = [Message("tool", ToolResult(one, "Rain")) for one in ids]
    history = encode_messages([answered(), *results], Profile(provider="acme"), [])
    assert [call["id"] for call in history[0]["tool_calls"]] == ids
    assert [message["tool_call_id"] for message in history[1:]] == ids


def test_signed_data_survives_the_stream_the_file_and_the_wire():
    saved = json.dumps([message.to_dict() for message in [answered()]])
    loaded = [Message.from_dict(data) for data in json.loads(saved)]
    assert loaded == [answered()]
    assert [call.provider_meta for call in loaded[0].tool_calls] == [{"acme": SIGNED}, {}]
    assert sent(loaded, "acme")[0]["extra_content"] == SIGNED["extra_content"]
    assert loaded[0].tool_calls[0].arguments == {"city": "Oslo"}


def test_signed_data_is_kept_for_its_provider_and_sent_to_no_other():
    loaded = Message.from_dict(json.loads(json.dumps(answered().to_dict())))
    assert "thought_signature" not in json.dumps(sent([loaded], "other"))
    assert sent([loaded], "acme")[0]["extra_content"] == SIGNED["extra_content"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(user, assistant, tool), max_size=6), st.integers(0, 400))
def test_what_is_left_of_a_shifted_history_keeps_its_calls_as_they_were(history, room):
    found = fit_messages(history, room, shift=True) if history else None
    kept = [call for message in found.messages for call in message.tool_calls] if found else []
    every = iter([call for message in history for call in message.tool_calls])
    assert all(any(call is other for other in every) for call in kept)


def nested(levels):
    return '{"a": ' * levels + "1" + "}" * levels


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN}', '{"a": [Infinity]}', '{"a": -Infinity}', nested(65), nested(10**5), '{"a": }'],
    ids=["nan", "infinity", "minus infinity", "65 levels", "100000 levels", "no value"],
)
def test_arguments_that_are_no_json_or_too_deep_stay_a_text(text):
    assert parse_arguments(text) is None
    assert ToolCall("c", "f", text).arguments is None


def test_arguments_are_read_down_to_the_deepest_level():
    assert parse_arguments(nested(64)) == json.loads(nested(64))
    assert parse_arguments(json.dumps({"a": ["[{"] * 99})) == {"a": ["[{"] * 99}
