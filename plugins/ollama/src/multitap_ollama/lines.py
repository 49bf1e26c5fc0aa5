r"""Lines of ``/api/chat``, and what they say: events.

A streamed answer is one JSON object a line, an unstreamed one is a single such object, so the same
``ChatLines`` reads both:

>>> from multitap.framing import NdjsonDecoder
>>> lines = ChatLines()
>>> decoder = NdjsonDecoder(Line, lines.record, finish=lines.finish)
>>> [event.type for event in decoder.feed(b'{"message": {"content": "Hi"}, "done": true}\n')]
['text', 'stop']
"""

from __future__ import annotations

import base64
import binascii
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from multitap.dialects.counts import count, doubts
from multitap.dialects.models import other_model
from multitap.dialects.openai.tool_calls import Calls, ToolCallDelta
from multitap.errors import EngineError, ProtocolError, TruncatedStream
from multitap.events import (
    Event,
    Failed,
    ImageData,
    Reasoning,
    Stop,
    Text,
    TokenLogprob,
    Usage,
    UsageReport,
)
from multitap.framing import Plain
from multitap_ollama.errors import line_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from multitap.events import Notice, StopReason

__all__ = ("ChatLines", "Line")

_REASONS: dict[str, StopReason] = {"stop": "complete", "length": "max_tokens"}
_is_done = attrgetter("done")
_TIMES = ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration")
_MEDIA_TYPES = {b"\xff\xd8": "image/jpeg", b"RI": "image/webp", b"GI": "image/gif"}


class Logprob(msgspec.Struct, gc=False):
    """One token; of an emoji in several tokens there is one entry."""

    token: str | None = None
    logprob: float | None = None
    bytes: list[int] | None = None
    top_logprobs: list[Logprob] | None = None


class LineMessage(msgspec.Struct, gc=False):
    """What is new; of an unstreamed answer, the whole message."""

    content: str | None = None
    thinking: str | None = None
    tool_calls: list[ToolCallDelta] | None = None
    images: list[str] | None = None


class Line(msgspec.Struct, gc=False):
    """A line, a whole body, or an error in the place of either; durations are nanoseconds."""

    model: Any = None
    message: LineMessage | None = None
    done: bool | None = None
    done_reason: str | None = None
    logprobs: list[Logprob] | None = None
    prompt_eval_count: Any = None
    eval_count: Any = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_duration: int | None = None
    eval_duration: int | None = None
    error: Any = None
    signin_url: str | None = None


class PlainMessage(msgspec.Struct, gc=False):
    """A piece of text, and nothing else that ``LineMessage`` may have."""

    content: str
    thinking: None = None
    tool_calls: None = None
    images: None = None


class PlainLine(msgspec.Struct, gc=False):
    """What nearly every line of a stream is; any other is refused, but for the last."""

    message: PlainMessage
    done: bool = False
    done_reason: None = None
    logprobs: None = None
    error: None = None


class ChatLines:
    """The ``record`` and ``finish`` of one answer; make a new one for each attempt.

    The line with ``done`` ends it. So does ``done_reason`` without ``done``, once no more comes;
    with neither, the answer is a ``TruncatedStream``: Ollama leaves the last line out where a model
    repeats itself. Each tool call stands whole in one line, maybe in the last; it is told apart by
    its id, or made up one, as ``index`` is 0 for all of them with some models.

    Args:
        notices: What could not be asked for; said first.
        backend: The backend's id, for the commands that a hint names.
        asked: The model's name in the request; the first line may name another.
    """

    def __init__(
        self, notices: Iterable[Notice] = (), backend: str = "ollama", asked: str = ""
    ) -> None:
        self._notices = list(notices)
        self._backend = backend
        self._asked = asked
        self._calls = Calls(0, set())
        self._logprobs: list[TokenLogprob] = []  # of tokens that have shown no text yet
        self._reason: Line | None = None
        self._over = False

    def record(self, line: Line, /) -> list[Event]:
        """The events of one line, or of a whole body."""
        if self._over:
            return []
        events: list[Event] = []
        if self._notices:
            events += self._notices
            self._notices = []
        if self._asked:
            notice = other_model(line.model, self._asked, "Ollama")
            events += [notice] if notice is not None else []
            self._asked = ""
        if line.error is not None:
            self._over = True
            error = line_error(line.error, backend=self._backend, signin_url=line.signin_url)
            return [*events, Failed(error)]
        if line.logprobs:
            self._logprobs += _logprobs(line.logprobs)
        if line.message is not None:
            self._read(line.message, events)
        if line.done:
            self._end(line, events)
        elif line.done_reason:
            self._reason = line
        return events

    def plain(self) -> Plain[PlainLine, Event]:
        """How lines that are text alone are read, many at once."""
        return Plain(PlainLine, self.texts)

    def texts(self, lines: Sequence[PlainLine], /) -> list[Event] | None:
        """The events of plain lines; ``None`` where another state than theirs counts as well."""
        if self._over or self._notices or self._asked or self._logprobs:
            return None
        if any(map(_is_done, lines)):
            return None
        return [Text(text) for line in lines if (text := line.message.content)]

    def finish(self) -> list[Event]:
        """The end where no line said ``done``."""
        events: list[Event] = []
        if self._over:
            return events
        if self._reason is not None:
            self._end(self._reason, events)
            return events
        error = TruncatedStream(
            "Ollama ended the answer without its last line",
            hint="It does so where a model repeats itself, or was killed: try again, or raise"
            " repeat_penalty with extra={…}.",
            phase="stream",
        )
        return [*self._pending(), Failed(error)]

    def _read(self, message: LineMessage, events: list[Event]) -> None:
        if message.thinking:
            events.append(Reasoning(message.thinking))
        content = message.content
        if content:  # no call for what nearly every line is
            events.append(self._text(content) if self._logprobs else Text(content))
        if message.tool_calls:
            events += self._calls.read(message.tool_calls, whole=True)
            events += self._calls.end(cut=False)
        if message.images:
            events += map(_image, message.images)

    def _text(self, content: str) -> Text:
        """The text, with the tokens that wait for it."""
        logprobs, self._logprobs = tuple(self._logprobs), []
        return Text(content, logprobs=logprobs)

    def _pending(self) -> list[Event]:
        return [self._text("")] if self._logprobs else []

    def _end(self, line: Line, events: list[Event]) -> None:
        self._over = True
        events += self._pending()
        read, written = line.prompt_eval_count, line.eval_count
        events += doubts(prompt_eval_count=read, eval_count=written)
        usage = Usage.reported(count(read), count(written))
        times = {name: value for name in _TIMES if (value := getattr(line, name)) is not None}
        if usage.source == "reported" or times:
            events.append(UsageReport(usage, times or None))
        events.append(self._stop(line.done_reason or "stop"))

    def _stop(self, reason: str) -> Stop | Failed:
        known = _REASONS.get(reason)
        if known is None:
            said = f"Ollama ended the answer with {reason!r} and no answer"
            return Failed(EngineError(said, kind="provider_finish_other", phase="stream"))
        return Stop("tool_use" if self._calls.any and known == "complete" else known)


def _logprobs(tokens: Iterable[Logprob]) -> list[TokenLogprob]:
    return [
        TokenLogprob(t.token, t.logprob, t.bytes, tuple(_logprobs(t.top_logprobs or ())))
        for t in tokens
        if t.token is not None and t.logprob is not None
    ]


def _image(text: str) -> ImageData:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("Ollama sent an image that is no base64", phase="parse") from error
    return ImageData(data, _MEDIA_TYPES.get(data[:2], "image/png"))
