"""What a request asks the echo to do: the rules of the README."""

from __future__ import annotations

import json
from typing import NamedTuple

from multitap.capabilities.chat import ChatRequest
from multitap.errors import BackendError
from multitap.messages import Tool, ToolResult
from multitap_echo.failures import failure
from multitap_echo.schema import least


class Script(NamedTuple):
    """What to answer. ``calls`` are names and arguments; a ``failure`` comes after the text."""

    text: str
    thought: str
    calls: list[tuple[str, str]]
    failure: BackendError | None


def read_script(request: ChatRequest, reply: str | None) -> Script:
    """Sort the lines of what was said into commands and text."""
    said: list[str] = []
    found: dict[str, list[str]] = {"/think": [], "/tool": [], "/fail": []}
    offered = {tool.name for tool in request.tools if request.tool_choice != "none"}
    for line in _heard(request).split("\n"):
        command, _, rest = line.partition(" ")
        known = command in found and (command != "/tool" or rest.partition(" ")[0] in offered)
        (found[command] if known else said).append(rest if known else line)
    text = "\n".join(said) if reply is None else reply
    if request.response_schema is not None:
        text = json.dumps(least(request.response_schema))
    thought = "" if request.think == "off" else "\n".join(found["/think"])
    calls = [(n, a or "{}") for n, _, a in (line.partition(" ") for line in found["/tool"])]
    fault = failure(found["/fail"][-1].strip()) if found["/fail"] else None
    return Script(text, thought, calls or _forced(request), fault)


def _heard(request: ChatRequest) -> str:
    last = request.messages[-1]
    results = [part.content for part in last.parts if isinstance(part, ToolResult)]
    users = [message.text for message in request.messages if message.role == "user"]
    return "\n".join(results or users[-1:])


def _forced(request: ChatRequest) -> list[tuple[str, str]]:
    wanted = request.tools[:1] if request.tool_choice == "required" else [request.tool_choice]
    return [(t.name, json.dumps(least(t.parameters))) for t in wanted if isinstance(t, Tool)]
