"""Answers of ``/v1/chat/completions``: OpenAI's, with vLLM's own errors and ends in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from multitap.dialects.openai.chat import ChatRecords, PlainChunk
from multitap.events import Failed, Stop, ToolCallStart
from multitap_vllm.errors import meant

if TYPE_CHECKING:
    from multitap.dialects.openai.chat import ChatChunk
    from multitap.events import Event

__all__ = ("VllmRecords",)


class VllmRecords(ChatRecords):
    """Says of a failure within an answer what ``explain_vllm`` says of a refusal.

    Some releases end an answer that has no call with ``tool_calls``, where one was required: that
    is ``complete`` here, with the server's word in ``provider_options``.
    """

    plain_shape: ClassVar[type[PlainChunk] | None] = PlainChunk

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._called: set[int] = set()

    def record(self, chunk: ChatChunk, /) -> list[Event]:
        """The events of one chunk, or of a whole body."""
        events = super().record(chunk)
        self._called |= {event.choice for event in events if isinstance(event, ToolCallStart)}
        return _meant(events)

    def finish(self) -> list[Event]:
        """What was held, and the end."""
        events = super().finish()
        self._called |= {event.choice for event in events if isinstance(event, ToolCallStart)}
        return _meant([self._ended(event) for event in events])

    def _ended(self, event: Event) -> Event:
        if (
            isinstance(event, Stop)
            and event.stop_reason == "tool_use"
            and event.choice not in self._called
        ):
            return Stop("complete", event.choice, {"finish_reason": "tool_calls"})
        return event


def _meant(events: list[Event]) -> list[Event]:
    if events and isinstance(events[-1], Failed):
        events[-1] = Failed(meant(events[-1].error))
    return events
