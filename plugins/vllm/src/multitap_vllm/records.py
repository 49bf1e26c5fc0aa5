"""Answers of ``/v1/chat/completions``: OpenAI's, with vLLM's own errors and ends in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.dialects.openai.chat import ChatRecords
from multitap.events import Failed
from multitap_vllm.errors import meant

if TYPE_CHECKING:
    from multitap.dialects.openai.chat import ChatChunk
    from multitap.events import Event

__all__ = ("VllmRecords",)


class VllmRecords(ChatRecords):
    """Says of a failure within an answer what ``explain_vllm`` says of a refusal."""

    def record(self, chunk: ChatChunk, /) -> list[Event]:
        """The events of one chunk, or of a whole body."""
        return _meant(super().record(chunk))

    def finish(self) -> list[Event]:
        """What was held, and the end."""
        return _meant(super().finish())


def _meant(events: list[Event]) -> list[Event]:
    if events and isinstance(events[-1], Failed):
        events[-1] = Failed(meant(events[-1].error))
    return events
