"""Chat over ``/v1/chat/completions``.

LM Studio's own ``/api/v1/chat`` takes neither tools of the caller nor earlier answers, so it is not
used. Three things are looked at, because LM Studio does them without a word: with one model loaded,
it answers for any name; a prompt that does not fit can end as an empty stream; and thoughts stay in
the text, between tags, where the app is set so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import attrs

from multitap.capabilities.chat import ThinkTags
from multitap.dialects.models import other_model
from multitap.dialects.openai.chat import ChatChunk, ChatRecords, PlainChunk
from multitap.dialects.openai.completions import ChatCompletions
from multitap.dialects.openai.profile import FIELDS, Profile
from multitap.errors import ProtocolError
from multitap.events import Event, Failed, Stop
from multitap.hookspecs import Backend, hookimpl

__all__ = ("PROFILE", "AnswerRecords", "LmStudioChat", "multitap_chat")

SILENCE = 360.0  # seconds; it says nothing while it loads a model, or reads a long prompt

PROFILE = Profile(
    provider="lmstudio",
    fields={name: key for name, key in FIELDS.items() if name not in ("n", "logprobs")},
    think={},
    tool_choices=frozenset({"auto", "none", "required"}),
    images=frozenset({"data"}),
    audio=frozenset(),
    json_objects=False,
    first_byte=SILENCE,
)


class Chunk(ChatChunk, gc=False):
    """A chunk, with the name of the model that answers, and maybe how fast it was."""

    model: str | None = None
    stats: Any = None


class PlainPart(PlainChunk, gc=False):
    """A chunk with text alone."""

    stats: None = None


class AnswerRecords(ChatRecords):
    """Tells of another model than the one that was asked, and of an answer that says nothing."""

    shape: ClassVar[type[ChatChunk]] = Chunk
    plain_shape: ClassVar[type[PlainChunk] | None] = PlainPart
    facts: ClassVar[tuple[str, ...]] = ("stats",)
    _named = False
    _spoke = False

    def record(self, chunk: ChatChunk, /) -> list[Event]:
        """The events of one chunk, or of a whole body."""
        events = super().record(chunk)
        name = chunk.model if isinstance(chunk, Chunk) else None
        if name and not self._named and not self._spoke:  # warnings come first, or not at all
            self._named = True
            notice = other_model(name, self.asked, "LM Studio")
            if notice is not None:
                events.insert(0, notice)
        self._spoke = self._spoke or any(event.semantic for event in events)
        return events

    def texts(self, chunks: Sequence[PlainChunk], /) -> list[Event] | None:
        """The events of plain chunks, once the first word was said and the model is known."""
        return super().texts(chunks) if self._spoke else None

    def finish(self) -> list[Event]:
        """What was held; nothing at all, and no token counted, is no answer."""
        events = super().finish()
        written = self._usage.completion_tokens if self._usage else None
        if events and isinstance(events[-1], Stop) and not self._spoke and not written:
            return [Failed(_empty())]
        return events


def _empty() -> ProtocolError:
    return ProtocolError(
        "LM Studio sent an answer without a word in it",
        hint="Is the prompt longer than the context that the model is loaded with?"
        " `multitap models` shows it; load the model with a larger context_length.",
        kind="empty_response",
        phase="stream",
    )


@attrs.frozen
class LmStudioChat(ChatCompletions):
    """Chats with the models of one LM Studio, which loads them as they are asked for."""

    @property
    def think_tags(self) -> ThinkTags:
        """Thoughts come in a field of their own only where the app is set so."""
        return ThinkTags()


@hookimpl
def multitap_chat(backend: Backend) -> LmStudioChat:
    """Chat with an LM Studio."""
    return LmStudioChat(backend, PROFILE, records=AnswerRecords)
