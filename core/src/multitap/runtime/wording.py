"""What a chat has in words that others have in fields: thinking between tags, tools as text."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import attrs

from multitap.capabilities.chat import ChatModel, ChatRequest, TextTools, ThinkTags
from multitap.config import Section
from multitap.config.by_model import OTHERS
from multitap.engine.call import EventFilter
from multitap.errors import NotSupported
from multitap.events import Notice
from multitap.filters.function_calls import FunctionCalls
from multitap.filters.think import ThinkFilter
from multitap.text_tools import tools_as_text
from multitap.tool_pairing import repair_tool_pairing

__all__ = ("Wording", "worded")


@attrs.frozen(kw_only=True)
class Wording:
    """A request as its model understands it, and how the answer is to be read.

    Attributes:
        tags: The tags around the thinking; ``None``: it has its own field.
        calls: Calls are to be read out of the text.
    """

    request: ChatRequest
    notices: Sequence[Notice] = ()
    tags: ThinkTags | None = None
    calls: bool = False

    def filters(self) -> Sequence[EventFilter]:
        """The filters of one attempt; what thinks of calling calls nothing, so tags come first."""
        found: list[EventFilter] = []
        if self.tags is not None:
            found.append(ThinkFilter(self.tags))
        if self.calls:
            found.append(FunctionCalls(f"call-{os.urandom(6).hex()}"))
        return found


def worded(request: ChatRequest, plugin: ChatModel, section: Section, *, strict: bool) -> Wording:
    """The request with a history in order, and without tools where the model takes none.

    What ``llm.toml`` says goes before what the plugin declares.

    Raises:
        NotSupported: ``strict``, and a tool that must be called can only be asked for in words.
    """
    messages, notices = repair_tool_pairing(request.messages)
    request = attrs.evolve(request, messages=messages) if notices else request
    tags: ThinkTags | None = _of_model(
        section.think_tags, request.model, getattr(plugin, "think_tags", None)
    )
    words: TextTools | None = _of_model(section.tools, request.model, _declared_tools(plugin))
    calls, unsure = False, list[Notice]()
    if words is not None:
        request, calls, told = tools_as_text(request, words)
        unsure += told
    if strict and unsure:
        raise NotSupported(unsure[0].message, kind="unsupported_option")
    if request.logprobs is not None and (tags is not None or calls):
        unsure.append(_without_logprobs())
    return Wording(request=request, notices=(*notices, *unsure), tags=tags, calls=calls)


def _of_model(table: Any, model: str, declared: Any) -> Any:
    return table[model] if model in table else table.get(OTHERS, declared)


def _declared_tools(plugin: ChatModel) -> TextTools | None:
    """In words, where the plugin says so, or declares its options and no tools among them."""
    options = getattr(plugin, "options", None)
    lacking = TextTools() if options is not None and "tools" not in options else None
    found: TextTools | None = getattr(plugin, "tools", lacking)
    return found


def _without_logprobs() -> Notice:
    message = "Thinking and calls that stand in the text have no logprobs; the text has its own."
    return Notice("adjusted_option", message, "logprobs")
