"""What a chat has in words that others have in fields: thinking between tags, tools as text."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

import attrs

from multitap.capabilities.catalog import Model
from multitap.capabilities.chat import ChatModel, ChatRequest, TextTools, ThinkTags
from multitap.config import Section
from multitap.config.by_model import OTHERS
from multitap.engine.call import EventFilter
from multitap.errors import NotSupported
from multitap.events import Event, Notice
from multitap.filters.function_calls import FunctionCalls
from multitap.filters.strict import Strict
from multitap.filters.think import ThinkFilter
from multitap.fitting import Fitting
from multitap.text_tools import offered_tools, tools_as_text
from multitap.tool_pairing import in_call_order, repair_tool_pairing
from multitap.work import Work

__all__ = ("Wording", "worded")

T = TypeVar("T")


@attrs.define(kw_only=True, eq=False)
class Wording:
    """How a model is asked, and how its answer is to be read.

    Attributes:
        options: The options that reach the model, those in words included; ``None``: unknown.
        tags: The tags around the thinking; ``None``: it has a field of its own.
        words: How tools are put into words; ``None``: they have fields of their own.
        calls: Tools are offered in words, so that calls are to be read out of the text.
        strict: A warning of an option is an error.
        notices: What was mended, what cannot be promised, what is left out.
    """

    options: Collection[str] | None
    tags: ThinkTags | None
    words: TextTools | None
    calls: bool
    strict: bool
    notices: Sequence[Notice]

    def ask(self, plugin: ChatModel, request: ChatRequest) -> Work[Event]:
        """Ask with tools and calls in words, where the model has none."""
        return plugin.chat(tools_as_text(request, self.words) if self.words else request)

    def fitting(self, request: ChatRequest, section: Section, known: Model | None) -> Fitting:
        """How long the prompt may be, and what keeps it so; ``known``: what the catalog says."""
        return Fitting(
            request=request,
            backend=section.name,
            max_input_tokens=section.max_input_tokens,
            context_length=known.context_length if known else None,
            native=frozenset({"shift", "truncate"}.intersection(self.options or ())),
            words=self.words,
        )

    def filters(self) -> Sequence[EventFilter]:
        """The filters of one attempt; what thinks of calling calls nothing, so tags come first."""
        found: list[EventFilter] = []
        if self.tags is not None:
            found.append(ThinkFilter(self.tags))
        if self.calls:
            found.append(FunctionCalls(f"call-{os.urandom(6).hex()}"))
        if self.strict:
            found.append(Strict())
        return found


def worded(
    request: ChatRequest, plugin: ChatModel, section: Section, *, strict: bool
) -> tuple[ChatRequest, Wording]:
    """The request with its history in order, and what is to be put into words.

    What ``llm.toml`` says of the model goes before what the plugin declares.

    Raises:
        NotSupported: ``strict``, and a tool that must be called can only be asked for in words.
    """
    paired, repaired = repair_tool_pairing(request.messages)
    messages = in_call_order(paired)
    changed = messages is not request.messages
    request = attrs.evolve(request, messages=messages) if changed else request
    options: Collection[str] | None = getattr(plugin, "options", None)
    tags = getattr(plugin, "think_tags", None)
    if section.think_tags:
        tags = _of_model(section.think_tags, request.model, tags)
    words = _declared_tools(plugin, options)
    if section.tools:
        words = _of_model(section.tools, request.model, words)
    calls = words is not None and bool(offered_tools(request))
    notices = [*repaired]
    if calls or tags is not None:
        notices += _limits(request, calls=calls, strict=strict)
    wording = Wording(
        options=options if options is None or words is None else {*options, "tools", "tool_choice"},
        tags=tags,
        words=words,
        calls=calls,
        strict=strict,
        notices=notices,
    )
    return request, wording


def _limits(request: ChatRequest, *, calls: bool, strict: bool) -> Iterator[Notice]:
    """What words cannot do, of tools or of thinking."""
    if calls and request.tool_choice not in (None, "auto"):
        message = "The model is told in words that it must call a tool; nothing makes it do so."
        if strict:
            raise NotSupported(message, kind="unsupported_option")
        yield Notice("unsupported_option", message, "tool_choice")
    if request.logprobs is not None:
        message = "Thinking and calls in the text have no logprobs; the text has its own."
        yield Notice("adjusted_option", message, "logprobs")


def _of_model(table: Mapping[str, T | None], model: str, declared: T | None) -> T | None:
    return table[model] if model in table else table.get(OTHERS, declared)


def _declared_tools(plugin: ChatModel, options: Collection[str] | None) -> TextTools | None:
    """In words, where the plugin says so, or declares its options and no tools among them."""
    lacking = TextTools() if options is not None and "tools" not in options else None
    found: TextTools | None = getattr(plugin, "tools", lacking)
    return found
