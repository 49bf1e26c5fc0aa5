"""What is written into a request, what a server reads there, and lines that the kit has not."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from multitap_abacus import chat
from multitap_abacus.lines import escape, escape_word, plain

import multitap
from multitap.capabilities.chat import ChatRequest
from multitap.errors import BadRequest, NotSupported
from multitap.messages import Image, Message, Tool, ToolCall, ToolResult
from multitap.registry import Registry

ADD = Tool("add", "Adds beads.", {"type": "object"})
ODD = ["", " a ", "a\nuser: b", "a\r\n\r\nb", "\\n", "\\\\n\n", "\\s \u2028 \x85 \x0b", "🧮"]


def lines_of(**asked: object) -> list[str]:
    """The lines of a request, without its model and the blank line at its end."""
    request = ChatRequest(**{"model": "a1", "messages": (Message("user", "hi"),), **asked})
    first, *lines = chat.Abacus().chat(request).call.body.decode().split("\n")
    assert first == "model: a1"
    assert lines[-2:] == ["", ""]
    return lines[:-2]


@pytest.mark.parametrize("text", ODD)
def test_a_text_is_one_line_and_comes_back(text: str) -> None:
    """No text has an end of a line in it, and nothing of it is lost."""
    for write in (escape, escape_word):
        assert not set(write(text)) & {"\n", "\r"}
        assert plain(write(text)) == text


@pytest.mark.parametrize("text", ODD)
def test_no_text_pretends_to_be_another_message(text: str) -> None:
    """One message is one line."""
    messages = (Message("system", text), Message("user", text))
    said = [line.split(": ", 1) for line in lines_of(messages=messages)]
    assert [(role, plain(words)) for role, words in said] == [("system", text), ("user", text)]


def test_every_option_is_a_line() -> None:
    """What was asked for is sent, 0 as well; what was not is not."""
    assert lines_of() == ["user: hi"]
    assert lines_of(max_tokens=17) == ["limit: 17", "user: hi"]
    assert lines_of(max_tokens=0) == ["limit: 0", "user: hi"]
    offer = 'tool: {"name": "add", "about": "Adds beads.", "takes": {"type": "object"}}'
    assert lines_of(tools=(ADD,), tool_choice="none")[:2] == [offer, "must: none"]
    assert lines_of(tools=(ADD,), tool_choice=ADD)[:2] == [offer, "must: tool add"]


def test_calls_and_results_are_lines() -> None:
    """In the order of the history, each with its id."""
    calls = Message("assistant", ["Wait.", ToolCall("c 1", "add", '{"beads": [1, 2]}')])
    results = Message("tool", ToolResult("c 1", "3\n"))
    assert lines_of(messages=(Message("user", "hi"), calls, results)) == [
        "user: hi",
        "assistant: Wait.",
        'call: c\\s1 add {"beads": [1, 2]}',
        "result: c\\s1 3\\n",
    ]


def test_half_a_letter_is_the_fault_of_the_request() -> None:
    """It cannot be written as UTF-8."""
    with pytest.raises(BadRequest, match="surrogate"):
        lines_of(messages=(Message("user", "\ud83e"),))


def test_a_picture_is_refused() -> None:
    """Abacus has no line for it."""
    with pytest.raises(NotSupported, match="image"):
        lines_of(messages=(Message("user", ["What is it?", Image(b"\x89PNG", "image/png")]),))


@pytest.mark.parametrize(("arguments", "incomplete"), [("{}", None), ("[]", True), ("{", True)])
def test_a_call_without_an_object_is_incomplete(arguments: str, incomplete: bool | None) -> None:
    """Whoever runs it asks ``incomplete`` first."""
    *_, end = chat.read_line(f"c 1 add {arguments}")
    assert (end.tool_call_arguments_complete, end.incomplete) == (arguments, incomplete)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server that runs."""
    script = Path(__file__).parent / "abacus_server.py"
    with subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True) as server:
        yield server.stdout.readline().strip()
        server.terminate()


def test_a_conversation_with_tools(endpoint: str) -> None:
    """A question, two calls, their results, an answer."""
    registry = Registry(allow=())
    registry.add(chat, "abacus", ["chat"])
    with multitap.Runtime({"abacus": {"endpoint": endpoint}}, registry=registry) as rt:
        turns = [Message("user", "add 2 and 3, then 40 and 2")]
        asked = rt.chat(messages=turns, model="abacus:a1", tools=[ADD])
        assert [call.arguments for call in asked.tool_calls] == [
            {"beads": [2, 3]},
            {"beads": [40, 2]},
        ]
        turns.append(asked.message)
        turns += [
            Message("tool", ToolResult(call.id, str(sum(call.arguments["beads"]))))
            for call in asked.tool_calls
        ]
        told = rt.chat(messages=turns, model="abacus:a1", tools=[ADD])
    assert told.text.endswith("42")
    assert told.stop_reason == "complete"
