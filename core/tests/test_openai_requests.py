import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap import errors
from multitap.capabilities.chat import CacheHint, ChatRequest
from multitap.dialects.openai.completions import ChatCompletions
from multitap.dialects.openai.messages import encode_messages
from multitap.dialects.openai.profile import EFFORTS, FIELDS, Profile
from multitap.dialects.openai.requests import encode_chat
from multitap.engine.body import encode
from multitap.events import Notice
from multitap.framing import JsonDecoder, SseDecoder
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
)
from multitap.plan import chat_request
from multitap.work import Backend, Head, Json

ACME = Profile(provider="acme")


def body_of(request, profile=ACME, notices=()):
    body, told = encode_chat(request, profile)
    assert told == list(notices)
    return body


def options_of(request, profile=ACME, notices=()):
    """What is sent beside the model and the messages."""
    body = body_of(request, profile, notices)
    return {k: v for k, v in body.items() if k not in ("model", "messages")}


def request(*messages, **options):
    turns = messages or [Message("user", "hi")]
    return ChatRequest(**{"model": "m", "messages": turns, "stream": False, **options})


def test_a_hint_for_the_cache_is_written_as_the_profile_says():
    profile = Profile(
        provider="acme", cache=lambda hint: {"talk": hint.conversation} if hint.conversation else {}
    )
    asked = request(cache=CacheHint(conversation="c"))
    assert options_of(asked, profile) == {"talk": "c"}
    body, told = encode_chat(request(cache=CacheHint(ttl=60)), profile)
    assert "talk" not in body
    assert [(notice.code, notice.option) for notice in told] == [("unsupported_option", "cache")]
    _, told = encode_chat(asked, ACME)
    assert [(notice.code, notice.option) for notice in told] == [("unsupported_option", "cache")]
    assert ("cache" in profile.options, "cache" in ACME.options) == (True, False)


def test_only_what_is_asked_for_is_sent():
    assert options_of(request()) == {}
    zeros = {"temperature": 0.0, "seed": 0, "max_tokens": 0, "top_p": 0.0}
    assert options_of(request(**zeros)) == zeros


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({"stop": ["a", "b"]}, {"stop": ["a", "b"]}),
        ({"n": 2}, {"n": 2}),
        ({"logprobs": 0}, {"logprobs": True}),
        ({"logprobs": 3}, {"logprobs": True, "top_logprobs": 3}),
        ({"think": "auto"}, {}),
        ({"think": "off"}, {"reasoning_effort": "none"}),
        ({"think": "low"}, {"reasoning_effort": "low"}),
        ({"response_schema": {}}, {"response_format": {"type": "json_object"}}),
        (
            {"response_schema": {"type": "object"}},
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}},
                }
            },
        ),
    ],
)
def test_options(options, sent):
    assert options_of(request(**options)) == sent


def test_a_body_with_tools_a_stream_and_extras():
    tool = Tool("f", "does f", {"type": "object"})
    asked = request(
        tools=(tool,), tool_choice=tool, seed=1, stream=True, extra={"top_k": 5, "seed": 2}
    )
    assert body_of(asked) == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [tool.to_dict()],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": 2,
        "top_k": 5,
    }


def test_a_tool_choice_without_tools_is_not_sent():
    assert "tool_choice" not in body_of(request(tool_choice="none"))


def test_a_conversation_with_a_tool_call():
    asked = ToolCall(
        "c1", "f", '{"a": 1}', {"acme": {"extra_content": 1, "of": 3}, "other": {"secret": 2}}
    )
    conversation = [
        Message("system", " \n"),
        Message("user", "hi"),
        Message("assistant", [Thought("hidden"), asked]),
        Message("tool", [ToolResult("c1", "r1"), ToolResult("c2", "r2", "g")]),
    ]
    sent = encode_messages(conversation, ACME, [])
    assert sent == [
        {"role": "user", "content": "hi"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a": 1}'},
                    "extra_content": 1,
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "r1"},
        {"role": "tool", "tool_call_id": "c2", "content": "r2", "name": "g"},
    ]
    elsewhere = json.dumps(encode_messages(conversation, Profile(provider="else"), []))
    assert "hidden" not in elsewhere
    assert "extra" not in elsewhere
    assert "secret" not in elsewhere


def test_a_call_without_arguments_is_sent_with_an_empty_object():
    sent = encode_messages([Message("assistant", ToolCall("c", "f", ""))], ACME, [])
    assert sent[0]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_media_parts():
    data = base64.b64encode(b"x").decode()
    message = Message(
        "user", [TextPart("see"), Image(b"x", "image/jpeg"), Image(url="http://a/b"), Audio(b"x")]
    )
    assert encode_messages([message, Message("user", Audio(b"x", "audio/mpeg"))], ACME, []) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}},
                {"type": "image_url", "image_url": {"url": "http://a/b"}},
                {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "input_audio", "input_audio": {"data": data, "format": "mp3"}}],
        },
    ]


def test_documents_are_sent_only_where_they_are_taken():
    message = Message("user", Document(b"x", "application/pdf", "a.pdf"))
    with pytest.raises(errors.NotSupported):
        encode_messages([message], ACME, [])
    reader = Profile(provider="acme", documents=["application/pdf"])
    part = encode_messages([message], reader, [])[0]["content"][0]
    assert part["file"] == {"filename": "a.pdf", "file_data": "data:application/pdf;base64,eA=="}


MARKS = [
    "<|im_start|>system\n",
    "</s>",
    "[INST]",
    "<__media__>",
    '"}]}',
    "\x00",
    "\n\nHuman:",
    "\\u0022",
]


@given(st.lists(st.one_of(st.text(), st.sampled_from(MARKS)), min_size=1).map("".join))
def test_what_a_user_writes_stays_the_content_of_one_message(said):
    sent = json.loads(encode(Json(body_of(chat_request("tiny", said or "x"))))[1])
    wanted = (said or "x").encode("utf-8", "replace").decode()
    assert [list(message) for message in sent["messages"]] == [["role", "content"]]
    assert sent["messages"][0]["role"] == "user"
    assert sent["messages"][0]["content"].encode("utf-8", "replace").decode() == wanted


def test_thoughts_are_never_sent_back():
    turns = [Message("user", "Hi"), Message("assistant", [Thought("secret plan"), "Hello"])]
    turns.append(Message("user", "And?"))
    assert "secret plan" not in json.dumps(body_of(chat_request("tiny", messages=turns)))


# ---- what a profile says -------------------------------------------------------------------------

F, G = Tool("f"), Tool("g")


def acme(**facts):
    return Profile(provider="acme", **facts)


def test_a_field_may_have_another_key_or_none():
    profile = acme(fields={"max_tokens": "max_completion_tokens", "tools": "functions"}, think={})
    assert profile.options == {"max_tokens", "tools", "tool_choice"}
    notices = [
        Notice(
            "unsupported_option",
            f"This model cannot honour {name}; the answer was made without it.",
            name,
        )
        for name in ("response_schema", "temperature", "stop", "think", "logprobs", "n")
    ]
    asked = request(
        max_tokens=5,
        tools=(F,),
        response_schema={},
        temperature=0.0,
        stop=("a",),
        think="low",
        logprobs=1,
        n=2,
    )
    assert options_of(asked, profile, notices) == {
        "max_completion_tokens": 5,
        "functions": [
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
        ],
    }


def test_the_default_takes_every_option_but_those_of_the_context():
    assert set(request().asked()) == set()
    assert acme().options == {*FIELDS, "think", "tool_choice"}


@pytest.mark.parametrize(
    ("known", "asked", "effective"),
    [
        (list(EFFORTS), "off", "off"),
        (list(EFFORTS), "xhigh", "xhigh"),
        (["low", "medium", "high"], "off", "low"),
        (["low", "medium", "high"], "minimal", "low"),
        (["low", "medium", "high"], "xhigh", "high"),
        (["off", "high"], "minimal", "high"),
        (["high"], "off", "high"),
        (["off"], "high", "off"),
        (["minimal", "medium"], "low", "minimal"),
    ],
)
def test_a_level_that_is_not_there_is_the_nearest_one_and_told(known, asked, effective):
    profile = acme(think={level: EFFORTS[level] for level in known})
    body, notices = encode_chat(request(think=asked), profile)
    assert body["reasoning_effort"] == EFFORTS[effective]["reasoning_effort"]
    told = [(n.code, n.option, n.effective) for n in notices]
    assert told == ([("adjusted_option", "think", effective)] if asked != effective else [])


def test_auto_sends_nothing_unless_the_profile_says_what():
    assert options_of(request(think="auto")) == {}
    profile = acme(think={"auto": {"thinking": True}})
    assert options_of(request(think="auto"), profile) == {"thinking": True}


def test_extra_is_laid_over_what_the_profile_writes_and_replaces_the_rest():
    profile = acme(
        base={"options": {"a": 1, "b": 1}, "cache": True},
        think={"off": {"template": {"thinking": False, "x": 1}}},
    )
    extra = {"options": {"b": 2}, "template": {"x": 2}, "response_format": {"type": "text"}}
    asked = request(think="off", response_schema={"type": "object"}, extra=extra)
    assert options_of(asked, profile) == {
        "options": {"a": 1, "b": 2},
        "cache": True,
        "template": {"thinking": False, "x": 2},
        "response_format": {"type": "text"},
    }


def test_a_server_that_sends_usage_by_itself_is_not_asked_for_it():
    assert options_of(request(stream=True), acme(stream_options=False)) == {"stream": True}


UNFORCED = Notice(
    "unsupported_option",
    "This server cannot force a call: the model may answer without one.",
    "tool_choice",
)
NAMED_F = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("words", "choice", "offered", "sent", "notices"),
    [
        (["auto", "none", "required", "named"], "none", "fg", "none", []),
        (["auto", "none", "required", "named"], F, "fg", NAMED_F, []),
        (["auto"], "auto", "fg", "auto", []),
        ([], "auto", "fg", None, []),
        ([], None, "fg", None, []),
        ([], "none", "", None, []),
        ([], "required", "fg", None, [UNFORCED]),
        (["required"], F, "f", "required", []),
        ([], F, "f", None, [UNFORCED]),
    ],
)
def test_a_choice_that_a_server_does_not_keep_to(words, choice, offered, sent, notices):
    asked = request(tools=(F, G), tool_choice=choice)
    options = options_of(asked, acme(tool_choices=words), notices)
    names = "".join(tool["function"]["name"] for tool in options.get("tools", []))
    assert (names, options.get("tool_choice")) == (offered, sent)


def test_names_that_the_server_would_refuse_say_what_to_change():
    profile = acme(tool_names="[a-z]{1,3}", call_ids="[0-9]+")
    with pytest.raises(errors.BadRequest, match=r"'get weather'.*\[a-z\]"):
        encode_chat(request(tools=(Tool("get weather"),)), profile)
    for part in (ToolCall("1", "long", "{}"), ToolCall("a", "f", "{}")):
        with pytest.raises(errors.BadRequest, match="matches"):
            encode_messages([Message("assistant", part)], profile, [])
    with pytest.raises(errors.BadRequest, match="id 'a'"):
        encode_messages([Message("tool", ToolResult("a", "x"))], profile, [])


@pytest.mark.parametrize(
    ("part", "facts", "error"),
    [
        (Image(b"x"), {"images": ()}, errors.NotSupported),
        (Image(b"x"), {"images": ["url"]}, errors.NotSupported),
        (Image(url="http://a/b"), {"images": ["data"]}, errors.NotSupported),
        (Image(), {}, errors.BadRequest),
        (Audio(b"x"), {"audio": ()}, errors.NotSupported),
        (Audio(b"x", "audio/flac"), {}, errors.NotSupported),
        (Document(b"x", "text/csv"), {"documents": ["application/pdf"]}, errors.NotSupported),
    ],
)
def test_media_that_are_not_taken_are_refused_before_the_request(part, facts, error):
    with pytest.raises(error):
        encode_messages([Message("user", ["see", part])], acme(**facts), [])


SYSTEM = [Message("system", "A"), Message("system", " "), Message("system", "B"), Message("user")]
LATE = [Message("system", "A"), Message("user", "hi"), Message("system", "B")]
MOVED = Notice(
    "moved_system_message", "A later system message was moved to the beginning.", "messages"
)


@pytest.mark.parametrize(
    ("policy", "messages", "contents", "notices"),
    [
        ("keep", SYSTEM, ["A", "B", ""], []),
        ("keep", LATE, ["A", "hi", "B"], []),
        ("merge", SYSTEM, ["A\n\nB", ""], []),
        ("merge", LATE, ["A\n\nB", "hi"], [MOVED]),
        ("first", SYSTEM, ["A\n\nB", ""], []),
        ("first", LATE[:2], ["A", "hi"], []),
    ],
)
def test_system_messages(policy, messages, contents, notices):
    told = []
    sent = encode_messages(messages, acme(system=policy), told)
    assert [message["content"] for message in sent] == contents
    assert told == notices


def test_a_late_system_message_is_refused_where_only_the_first_is_taken():
    with pytest.raises(errors.BadRequest, match="at the beginning"):
        encode_messages(LATE, acme(system="first"), [])


# ---- schemas -------------------------------------------------------------------------------------

CLOSED = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def test_schemas_are_cleaned_where_the_server_wants_it_and_it_is_told():
    tool = Tool("f", parameters={"anyOf": [{"type": "null"}, {"type": "object"}]})
    asked = request(tools=(tool,), response_schema={"properties": {"a": {"type": "none"}}})
    body, notices = encode_chat(asked, acme(clean_schemas=True))
    assert body["tools"][0]["function"]["parameters"] == {"type": "object"}
    schema = body["response_format"]["json_schema"]["schema"]
    assert schema == {"type": "object", "properties": {"a": {}}}
    told = [(notice.code, notice.option) for notice in notices]
    assert told == [("adjusted_schema", "tools"), ("adjusted_schema", "response_schema")]
    body, notices = encode_chat(asked, acme())
    assert body["tools"][0]["function"]["parameters"] == tool.parameters
    assert notices == []


@pytest.mark.parametrize(
    ("schema", "strict", "codes"),
    [(CLOSED, True, []), ({"type": "object"}, None, ["schema_not_enforced"])],
)
def test_a_schema_is_enforced_where_it_can_be_and_else_a_notice_says_so(schema, strict, codes):
    body, notices = encode_chat(request(response_schema=schema), acme(strict_schemas=True))
    assert body["response_format"]["json_schema"].get("strict") is strict
    assert [notice.code for notice in notices] == codes


# ---- the call ------------------------------------------------------------------------------------


def test_the_call_of_a_chat_model():
    backend = Backend(id="b", provider="acme")
    profile = acme(path="/chat", first_byte=9.0, idle=8.0)
    chat = ChatCompletions(backend, profile, headers={"x-a": "1"})
    call = chat.chat(request(stream=True)).call
    assert (call.method, call.path, call.headers) == ("POST", "/chat", {"x-a": "1"})
    assert (call.first_byte, call.idle) == (9.0, 8.0)
    assert chat.chat(request()).call.first_byte is None
    assert chat.options == profile.options
    with pytest.raises(errors.NotSupported) as caught:
        chat.chat(request(Message("user", Document(b"x", "text/csv"))))
    assert caught.value.model == "m"


@pytest.mark.parametrize(
    ("kind", "stream", "decoder"),
    [
        ("text/event-stream; charset=utf-8", False, SseDecoder),
        ("application/json", True, JsonDecoder),
        ("text/plain", True, SseDecoder),
        ("", False, JsonDecoder),
    ],
)
def test_an_answer_is_read_as_what_it_says_it_is(kind, stream, decoder):
    chat = ChatCompletions(Backend(id="b", provider="acme"), ACME)
    exchange = chat.chat(request(stream=stream))
    assert type(exchange.decoder(Head(200, {"content-type": kind}))) is decoder


def test_the_estimate_of_a_prompt_counts_texts_calls_tools_and_media():
    asked = request(
        Message("user", ["12345678", Image(b"x")]),
        Message("assistant", ToolCall("c", "f", '{"a": 1}')),
        tools=(F,),
    )
    tools = len('[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]')
    wanted = -(-(8 + 8 + tools) // 4) + 512
    exchange = ChatCompletions(Backend(id="b", provider="acme"), ACME).chat(asked)
    decoder = exchange.decoder(Head(200, {"content-type": "application/json"}))
    body = {"choices": [{"message": {"content": "12345"}, "finish_reason": "stop"}]}
    decoder.feed(json.dumps(body).encode())
    usage = next(e.usage for e in decoder.finish() if e.type == "usage")
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (wanted, 2, "estimated")


def test_arguments_of_a_call_go_back_as_an_object_where_the_server_wants_that():
    profile = Profile(provider="acme", object_arguments=True)
    calls = [ToolCall("1", "now", '{"at": 1}'), ToolCall("2", "now", "no json")]
    (sent,) = encode_messages([Message("assistant", calls)], profile, [])
    assert [c["function"]["arguments"] for c in sent["tool_calls"]] == [{"at": 1}, "no json"]
    asked = request(Message("user", "hi"), Message("assistant", calls))
    assert ChatCompletions(Backend(id="a", provider="acme"), profile).chat(asked).call.body
