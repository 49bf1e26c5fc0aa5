"""Tools for models that have none: offered in words, earlier calls told as records.

The request that a plugin is given then has no tools and no calls in it, so that every plugin can
send it; ``multitap.filters.function_calls`` reads the calls out of the answer. The messages of the
application stay as they are, so that a conversation may go on with a model that has tools.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from xml.sax.saxutils import escape

import attrs

from multitap.capabilities.chat import ChatRequest, TextTools
from multitap.filters.calls_in_text import CLOSE, OPEN, RECORD
from multitap.messages import Message, Part, TextPart, Thought, Tool, ToolCall, ToolResult

__all__ = ("OUR_WORDS", "offered_tools", "told_in_words", "tools_as_text")

OUR_WORDS = f"""\
You can use tools. Each one stands below with its name, what it does, and the JSON Schema of its \
arguments:

{{tools}}

Use a tool only where you need it to answer; otherwise just answer. To use one, write nothing but \
a block of exactly this form, and then stop:

{OPEN}
{{"name": "<name of the tool>", "arguments": {{<arguments as the schema asks for>}}}}
{CLOSE}

Several tools are several blocks, one behind the other. The arguments are valid JSON with double \
quotes. Do not make up results: they are given to you in the next message, as {OPEN} with a \
"{RECORD}" of the name, the arguments and the response. Read the response there, do not repeat a \
call whose record you have, and never write a record yourself."""

_BREAK = TextPart("\n\n")


def tools_as_text(request: ChatRequest, words: TextTools) -> ChatRequest:
    """The request without tools: what the model can know of them is in its messages.

    >>> from multitap.messages import Message, Tool
    >>> request = ChatRequest(model="m", messages=(Message("user", "hi"),), tools=(Tool("look"),))
    >>> request = tools_as_text(request, TextTools(prompt="Tools: {tools}"))
    >>> request.tools, request.messages[0].text.splitlines()[:3]
    ((), ['hi', '', 'Tools: <tools>'])
    """
    tools = offered_tools(request)
    turns = list(told_in_words(request.messages))
    if tools:
        turns = _placed(turns, _instructions(request, tools, words), words)
    return attrs.evolve(request, messages=tuple(turns), tools=(), tool_choice=None)


def offered_tools(request: ChatRequest) -> tuple[Tool, ...]:
    """The tools that the model may call, by ``tool_choice``."""
    if isinstance(request.tool_choice, Tool):
        return (request.tool_choice,)
    return () if request.tool_choice == "none" else request.tools


# ---- what the model is told ----------------------------------------------------------------------


def _instructions(request: ChatRequest, tools: Sequence[Tool], words: TextTools) -> str:
    text = (words.prompt or OUR_WORDS).replace("{tools}", _listed(tools))
    if isinstance(request.tool_choice, Tool):
        return f"{text}\n\nNow use the tool {request.tool_choice.name}."
    return f"{text}\n\nNow use at least one tool." if request.tool_choice == "required" else text


def _listed(tools: Sequence[Tool]) -> str:
    return "\n".join(["<tools>", *map(_described, tools), "</tools>"])


def _described(tool: Tool) -> str:
    facts = {
        "name": tool.name,
        "description": tool.description,
        "parameters": json.dumps(tool.parameters, ensure_ascii=False),
    }
    lines = [f"<{name}>{escape(text)}</{name}>" for name, text in facts.items() if text]
    return "\n".join(["<tool>", *lines, "</tool>"])


def _placed(turns: list[Message], text: str, words: TextTools) -> list[Message]:
    """The turns with the text behind the last message of the role; a new one, where there is none.

    The last message of the user is behind the others then, that of the system before them.
    """
    places = [place for place, turn in enumerate(turns) if turn.role == words.place]
    if not places:
        turns.insert(0 if words.place == "system" else len(turns), Message(words.place, text))
    else:
        turns[places[-1]] = _behind(turns[places[-1]], [TextPart(text)])
    return turns


def _behind(message: Message, parts: Sequence[Part]) -> Message:
    gap = [_BREAK] if message.parts else []
    return attrs.evolve(message, parts=[*message.parts, *gap, *parts])


# ---- what was called before ----------------------------------------------------------------------


def told_in_words(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages with each result as the user's record of its call, and without the calls.

    Records join the user's messages beside them: many templates want the roles to take turns.
    """
    calls: dict[str, ToolCall] = {}
    last: Message | None = None
    recorded = False
    for message in messages:
        calls |= {call.id: call for call in message.tool_calls}
        turn = _turn(message, calls)
        if turn is None:
            continue
        is_record = message.role == "tool"
        if last is not None and last.role == turn.role == "user" and (is_record or recorded):
            last = _behind(last, turn.parts)
        else:
            if last is not None:
                yield last
            last = turn
        recorded = is_record
    if last is not None:
        yield last


def _turn(message: Message, calls: dict[str, ToolCall]) -> Message | None:
    """The message in words; ``None``: it held nothing but calls."""
    if message.role == "tool":
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        return Message("user", "\n".join(_record(r, calls.get(r.call_id)) for r in results))
    if not message.tool_calls:
        return message
    parts = [part for part in message.parts if not isinstance(part, ToolCall)]
    says_more = any(not isinstance(part, Thought) for part in parts)
    return attrs.evolve(message, parts=parts) if says_more else None


def _record(result: ToolResult, call: ToolCall | None) -> str:
    arguments: Any = None if call is None else call.arguments
    if call is not None and arguments is None:
        arguments = call.arguments_text
    record = {
        "name": call.name if call else result.name,
        "arguments": arguments,
        "response": _value(result.content),
    }
    # a tool may answer with our closing tag
    text = json.dumps({RECORD: record}, ensure_ascii=False).replace("</", "<\\/")
    return f"{OPEN}{text}{CLOSE}"


def _value(content: str) -> Any:
    """What JSON means, else the text itself."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content
