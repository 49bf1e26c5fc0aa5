import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap import errors
from multitap.capabilities.chat import ChatRequest
from multitap.dialects.openai.messages import encode_messages
from multitap.dialects.openai.profile import Profile
from multitap.dialects.openai.requests import encode_chat
from multitap.engine.body import encode
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
from multitap.work import Json

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
    asked = ToolCall("c1", "f", '{"a": 1}', {"acme": {"extra": 1}, "other": {"secret": 2}})
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
                    "extra": 1,
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
