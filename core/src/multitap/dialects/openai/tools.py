"""Tools and the choice among them, as a profile says that the server takes them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from multitap.dialects.schema import clean_schema
from multitap.errors import BadRequest
from multitap.events import Notice
from multitap.messages import Tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multitap.capabilities.chat import ChatRequest, ToolChoice
    from multitap.dialects.openai.profile import Profile

__all__ = ("check_name", "encode_tool_choice", "encode_tool_use", "encode_tools")


def encode_tools(tools: Iterable[Tool]) -> list[dict[str, Any]]:
    """Tools; an empty description is left out.

    >>> from multitap.messages import Tool
    >>> encode_tools([Tool("now")])
    [{'type': 'function', 'function': {'name': 'now', 'parameters': {'type': 'object'}}}]
    """
    return [{"type": "function", "function": _function(tool)} for tool in tools]


def _function(tool: Tool) -> dict[str, Any]:
    described = {"description": tool.description} if tool.description else {}
    return {"name": tool.name, **described, "parameters": dict(tool.parameters)}


def encode_tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    """``auto``, ``none``, ``required``, or the one tool that must be called."""
    if isinstance(choice, str):
        return choice
    return {"type": "function", "function": {"name": choice.name}}


def encode_tool_use(
    request: ChatRequest, profile: Profile, notices: list[Notice]
) -> dict[str, Any]:
    """The fields ``tools`` and ``tool_choice``.

    A choice that the server does not keep to is had in another way where there is one: for ``none``
    no tool is offered, for a named one only that, and a call is required. Where nothing holds the
    model to it, a notice says so.
    """
    if not request.tools or "tools" not in profile.fields:
        return {}
    tools, choice = _chosen(request.tools, request.tool_choice, profile, notices)
    if not tools:
        return {}
    if profile.tool_names is not None:
        for tool in tools:
            check_name(tool.name, profile)
    if profile.clean_schemas:
        tools = [_cleaned(tool, notices) for tool in tools]
    encoded: dict[str, Any] = {profile.fields["tools"]: encode_tools(tools)}
    return encoded if choice is None else {**encoded, "tool_choice": encode_tool_choice(choice)}


def _cleaned(tool: Tool, notices: list[Notice]) -> Tool:
    cleaned = clean_schema(tool.parameters)
    for sentence in cleaned.told:
        message = f"The parameters of {tool.name} were rewritten: {sentence}"
        notices.append(Notice("adjusted_schema", message, "tools"))
    return Tool(tool.name, tool.description, cleaned.schema)


def _chosen(
    tools: Sequence[Tool], choice: ToolChoice | None, profile: Profile, notices: list[Notice]
) -> tuple[Sequence[Tool], ToolChoice | None]:
    """The tools to offer, and the choice to send."""
    word = "named" if isinstance(choice, Tool) else choice
    if word is None or word in profile.tool_choices:
        return tools, choice
    if word == "none":
        return (), None
    if isinstance(choice, Tool):
        tools = (choice,)
        if "required" in profile.tool_choices:
            return tools, "required"
    if word != "auto":
        message = "This server cannot force a call: the model may answer without one."
        notices.append(Notice("unsupported_option", message, "tool_choice"))
    return tools, None


def check_name(name: str, profile: Profile) -> None:
    """Refuse the name of a tool that the server would refuse."""
    if profile.tool_names is not None and not re.fullmatch(profile.tool_names, name):
        raise BadRequest(
            f"The server takes no tool with the name {name!r}",
            hint=f"Give it a name that matches {profile.tool_names}.",
            kind="tool_name",
        )
