"""One choice of an answer: its deltas, to events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from multitap.dialects.openai.ends import is_usual, stop_reason
from multitap.dialects.openai.media import audio_event, image_event
from multitap.dialects.openai.tool_calls import Calls, ToolCallDelta
from multitap.errors import BackendError
from multitap.events import Event, Reasoning, Stop, Text, TokenLogprob

if TYPE_CHECKING:
    from collections.abc import Iterable

    from multitap.dialects.openai.chunks import Choice, Delta, Logprob, Piece, Sound
    from multitap.events import Notice

__all__ = ("ChoiceReader", "logprobs_of")


class ChoiceReader:
    """Reads the deltas of one choice, or its whole message.

    Args:
        index: The choice's index.
        ids: The ids of all calls of the answer, shared by its choices.
        sound: The format of sound that was asked for.

    Attributes:
        waiting: Tokens that have shown no text yet.
    """

    def __init__(self, index: int, ids: set[str], sound: str) -> None:
        self._index = index
        self._sound = sound
        self._calls = Calls(index, ids)
        self._finish: str | None = None
        self._matched: str | None = None
        self._refused = False
        self.waiting: list[TokenLogprob] = []

    def read(self, choice: Choice, events: list[Event]) -> None:
        """Add what the choice has that is new."""
        if choice.logprobs is not None:
            self.waiting += logprobs_of(choice.logprobs.content or ())
        delta = choice.delta
        if delta is not None:
            self._delta(delta, events)
        elif choice.message is not None:
            self._delta(choice.message, events, whole=True)
        if choice.finish_reason:
            self._finish = choice.finish_reason
            if isinstance(choice.stop_reason, str):
                self._matched = choice.stop_reason
            if self._calls.any:
                events += self._calls.end(cut=stop_reason(self._finish) == "max_tokens")

    def held(self) -> list[Event]:
        """What was held back: calls that nothing ended, and tokens without a text."""
        events = self._calls.end(cut=self._finish is None) if self._calls.any else []
        if self.waiting:
            events.append(self._text(""))
        return events

    def repairs(self) -> Iterable[Notice]:
        """What had to be put right in its calls."""
        return self._calls.repairs.values()

    def ending(self) -> Stop | BackendError:
        """``Stop``, with the server's own words where they tell more; or the failure."""
        reason = stop_reason(
            self._finish,
            called=self._calls.any,
            refused=self._refused,
            matched=self._matched is not None,
        )
        if isinstance(reason, BackendError):
            return reason
        own = {} if is_usual(reason, self._finish) else {"finish_reason": self._finish}
        own |= {} if self._matched is None else {"stop_reason": self._matched}
        return Stop(reason, self._index, own or None)

    # ---- a delta ---------------------------------------------------------------------------------

    def _delta(self, delta: Delta, events: list[Event], *, whole: bool = False) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought:
            events.append(Reasoning(thought, self._index))
        content = delta.content
        if isinstance(content, str):
            if content:  # no call for what nearly every chunk is
                events.append(self._text(content) if self.waiting else Text(content, self._index))
        elif content is not None:
            self._pieces(content, events)
        if delta.refusal:
            self._refused = True
            events.append(self._text(delta.refusal))
        if delta.images is not None:
            self._pieces(delta.images, events)
        if delta.audio is not None:
            self._hear(delta.audio, events)
        if delta.tool_calls:
            events += self._calls.read(delta.tool_calls, whole=whole)
        elif delta.function_call is not None:  # llama-cpp-python says each call in both ways
            events += self._calls.read([ToolCallDelta(index=0, function=delta.function_call)])

    def _pieces(self, pieces: Iterable[Piece], events: list[Event]) -> None:
        for piece in pieces:
            thought = _thought(piece)
            if thought:
                events.append(Reasoning(thought, self._index))
            if piece.text:
                events.append(self._text(piece.text))
            image = image_event(piece, self._index)
            if image is not None:
                events.append(image)

    def _hear(self, sound: Sound, events: list[Event]) -> None:
        if sound.transcript:
            events.append(self._text(sound.transcript))
        if sound.data:
            events.append(audio_event(sound.data, self._sound, self._index))

    def _text(self, content: str) -> Text:
        if not self.waiting:
            return Text(content, self._index)
        logprobs, self.waiting = tuple(self.waiting), []
        return Text(content, self._index, logprobs)


def _thought(piece: Piece) -> str:
    if isinstance(piece.thinking, list):
        return "".join(part.text or "" for part in piece.thinking)
    return piece.thinking or ""


def logprobs_of(tokens: Iterable[Logprob]) -> list[TokenLogprob]:
    """Tokens with their probabilities; those without one are left out."""
    return [
        TokenLogprob(t.token, t.logprob, t.bytes, tuple(logprobs_of(t.top_logprobs or ())))
        for t in tokens
        if t.token is not None and t.logprob is not None
    ]
