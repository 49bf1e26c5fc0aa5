"""One answer on the screen: its text as it comes, and beside it what else there is to say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.events import Loading, Notice, RateLimit, Reasoning, Text

if TYPE_CHECKING:
    from multitap.answer import Answer
    from multitap.cli.output import Output
    from multitap.engine.sync import ChatStream
    from multitap.events import AudioData, Event, ImageData

__all__ = ("print_events", "show_answer")

_AT_THE_END = frozenset({"invalid_tool_arguments", "schema_not_kept"})
"""Warnings of the whole answer; the others are events, and were shown as they came."""


def show_answer(stream: ChatStream, output: Output) -> None:
    """Show the text as it comes; however it ends, its last line is ended."""
    seen = ""
    try:
        with stream as events:
            for event in events:
                seen = _show(event, output, seen)
    finally:
        output.end()
    _tell_rest(stream.answer, output)


def print_events(stream: ChatStream, output: Output) -> None:
    """Print each event as a line of JSON, as it comes."""
    with stream as events:
        for batch in events.batches():
            output.json(*(event.to_dict() for event in batch))


def _show(event: Event, output: Output, seen: str) -> str:
    """Show one event; the status that was told last."""
    if isinstance(event, Text):
        output.text(event.content)
    elif isinstance(event, Reasoning):
        output.thought(event.reasoning_content)
    elif isinstance(event, Notice):
        output.note(f"warning: {event.message}")
    elif isinstance(event, Loading) and event.status != seen:
        output.status(f"{event.status} …")
        return event.status
    elif isinstance(event, RateLimit):
        output.status("waiting for the backend's rate limit …")
    return seen


def _tell_rest(answer: Answer, output: Output) -> None:
    """What the answer has beside its text."""
    for call in answer.tool_calls:
        output.note(f"the model asks for {call.name}({call.arguments_text})")
    for notice in answer.warnings:
        if notice.code in _AT_THE_END:
            output.note(f"warning: {notice.message}")
    media: list[ImageData | AudioData] = [*answer.images, *answer.audio]
    for item in media:
        output.note(f"the model made {item.mime_type}, {len(item.data)} bytes; --json prints it.")
    if answer.stop_reason == "max_tokens":
        output.note("warning: the answer was cut; raise --max-tokens for more.")
    elif not (answer.text or answer.tool_calls or media):
        output.note("warning: the model answered nothing.")
