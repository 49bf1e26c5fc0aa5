"""The answer of a chat call: its events, folded.

>>> fold([Text("Hi"), Stop("complete")], backend="echo", provider="echo", model="echo").text
'Hi'
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import attrs

from multitap.errors import ContentFiltered, Refused
from multitap.events import (
    AudioData,
    Event,
    ImageData,
    Notice,
    Reasoning,
    Stop,
    StopReason,
    Text,
    TokenLogprob,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
)
from multitap.messages import Image, Message, Part, TextPart, Thought, ToolCall, is_object
from multitap.policy.clocks import Limits
from multitap.policy.retry import Attempt
from multitap.prices import Price, Pricing
from multitap.structured import breach

__all__ = ("Answer", "Choice", "fold", "stop_reason_of")


@attrs.frozen(kw_only=True)
class Choice:
    """One answer of those that were asked for. ``stop_reason`` is ``None`` while it goes on.

    ``thoughts`` is the reasoning with what its provider wants back, for the next turn.
    """

    text: str = ""
    reasoning: str = ""
    thoughts: tuple[Thought, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    images: tuple[ImageData, ...] = ()
    audio: tuple[AudioData, ...] = ()
    stop_reason: StopReason | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: what is there."""
        media = [*self.images, *self.audio]
        return {
            "text": self.text,
            "reasoning": self.reasoning,
            "tool_calls": [_call_to_dict(call) for call in self.tool_calls],
            "stop_reason": self.stop_reason,
            "logprobs": None if self.logprobs is None else [t.to_dict() for t in self.logprobs],
            **({"media": [item.to_dict() for item in media]} if media else {}),
        }


@attrs.frozen(kw_only=True)
class Answer:
    """What a model said, and what is known of how.

    ``text``, ``reasoning``, ``tool_calls``, ``stop_reason`` and ``logprobs`` are those of the first
    choice; ``choices`` has all where ``n`` was more than one.

    Attributes:
        price: What it cost, where the tokens and their prices are known.
        request_id: The server's own name of the request.
        provider_meta: What only its provider tells of it, by the provider's name: its timings, or
            its own word for the end, as ``provider_options`` of the usage and of the stop.
        latency: Seconds of the whole call; ``None`` while it goes on.
        time_to_first_token: Seconds until the first of it came, retries and queues included.
    """

    choices: tuple[Choice, ...]
    usage: Usage
    warnings: tuple[Notice, ...]
    attempts: tuple[Attempt, ...]
    model: str
    backend: str
    provider: str = ""
    price: Price | None = None
    request_id: str | None = None
    provider_meta: Mapping[str, Any] = attrs.field(factory=dict)
    latency: float | None = attrs.field(default=None, eq=False)
    time_to_first_token: float | None = attrs.field(default=None, eq=False)

    @property
    def time_to_generate(self) -> float | None:
        """Seconds from the first token to the end."""
        if self.latency is None or self.time_to_first_token is None:
            return None
        return self.latency - self.time_to_first_token

    @property
    def text(self) -> str:
        """What it said."""
        return self.choices[0].text

    @property
    def reasoning(self) -> str:
        """What it thought; empty where the model shows none."""
        return self.choices[0].reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls that it asks for."""
        return self.choices[0].tool_calls

    @property
    def images(self) -> tuple[ImageData, ...]:
        """The pictures that it made."""
        return self.choices[0].images

    @property
    def audio(self) -> tuple[AudioData, ...]:
        """The sounds that it made."""
        return self.choices[0].audio

    @property
    def stop_reason(self) -> StopReason | None:
        """Why it ended; ``None`` while it goes on."""
        return self.choices[0].stop_reason

    @property
    def logprobs(self) -> tuple[TokenLogprob, ...] | None:
        """Its tokens with their probabilities; ``None`` where they were not asked for."""
        return self.choices[0].logprobs

    @property
    def message(self) -> Message:
        """This answer as a turn of the conversation, to be sent with the next question."""
        text = [TextPart(self.text)] if self.text else []
        images = [Image(image.data, image.mime_type) for image in self.images]
        parts: list[Part] = [*self.choices[0].thoughts, *text, *images, *self.tool_calls]
        return Message("assistant", parts)

    @property
    def metadata(self) -> dict[str, str]:
        """Where it came from and how long it took, as texts: for logs and traces."""
        times = ("latency", "time_to_first_token", "time_to_generate")
        seconds = {name: getattr(self, name) for name in times}
        facts: dict[str, str | None] = {
            "backend": self.backend,
            "provider": self.provider,
            "model": self.model,
            "request_id": self.request_id,
            "stop_reason": self.stop_reason,
            "attempts": str(len(self.attempts)),
            **{name: None if value is None else f"{value:.6f}" for name, value in seconds.items()},
        }
        return {name: value for name, value in facts.items() if value}

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; a tool call has its ``arguments``, ``None`` where they are no object."""
        first = self.choices[0].to_dict()
        several = [choice.to_dict() for choice in self.choices]
        return {
            "model": self.model,
            "backend": self.backend,
            "provider": self.provider,
            **first,
            "usage": _usage_to_dict(self.usage),
            "price": None if self.price is None else self.price.to_dict(),
            "request_id": self.request_id,
            "provider_meta": dict(self.provider_meta),
            "latency": self.latency,
            "time_to_first_token": self.time_to_first_token,
            "time_to_generate": self.time_to_generate,
            "warnings": [notice.to_dict() for notice in self.warnings],
            "attempts": [_attempt_to_dict(attempt) for attempt in self.attempts],
            "choices": several,
        }


def _call_to_dict(call: ToolCall) -> dict[str, Any]:
    facts = {"id": call.id, "name": call.name, "arguments": call.arguments}
    cut_off = {"incomplete": True} if call.incomplete else {}
    return {**facts, "arguments_text": call.arguments_text, **cut_off}


def _usage_to_dict(usage: Usage) -> dict[str, Any]:
    return attrs.asdict(usage)


def _attempt_to_dict(attempt: Attempt) -> dict[str, Any]:
    error = None if attempt.error is None else attempt.error.to_dict()
    return {"number": attempt.number, "error": error, "delay": attempt.delay}


class _Draft:
    """One choice while its events come in."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.thoughts: list[tuple[list[str], Mapping[str, Any] | None]] = []
        self.logprobs: list[TokenLogprob] | None = None
        self.media: list[ImageData | AudioData] = []
        self.stop_reason: StopReason | None = None
        self.calls: dict[str, tuple[str, list[str], dict[str, Any]]] = {}
        self.whole: set[str] = set()  # ids of the calls that have come to their end

    def add(self, event: Event, provider: str) -> None:
        if isinstance(event, Text):
            self.text.append(event.content)
            if event.logprobs is not None:
                self.logprobs = [*(self.logprobs or ()), *event.logprobs]
        elif isinstance(event, Reasoning):
            self._add_thought(event)
        elif isinstance(event, (ToolCallStart, ToolCallChunk, ToolCallEnd)):
            self._add_call(event, provider)
        elif isinstance(event, (ImageData, AudioData)):
            self.media.append(event)
        elif isinstance(event, Stop):
            self.stop_reason = event.stop_reason

    def _add_thought(self, event: Reasoning) -> None:
        """A provider's own data ends the thought that it comes with; what follows is another."""
        pieces, meta = self.thoughts.pop() if self.thoughts else ([], None)
        if meta not in (None, event.provider_options):
            self.thoughts.append((pieces, meta))
            pieces = []
        pieces.append(event.reasoning_content)
        self.thoughts.append((pieces, event.provider_options))

    def _add_call(self, event: ToolCallStart | ToolCallChunk | ToolCallEnd, provider: str) -> None:
        call_id = self.id_of(event)
        if isinstance(event, ToolCallStart):
            self.calls.setdefault(call_id, (event.tool_call_name, [], {}))
        _, pieces, meta = self.calls.setdefault(call_id, ("", [], {}))
        if isinstance(event, ToolCallChunk):
            pieces.append(event.tool_call_arguments_chunk)
        elif isinstance(event, ToolCallEnd):
            if event.tool_call_arguments_complete is not None:
                pieces[:] = [event.tool_call_arguments_complete]
            if not event.incomplete:
                self.whole.add(call_id)
        if event.provider_options:
            meta.setdefault(provider, {}).update(event.provider_options)

    def id_of(self, event: ToolCallStart | ToolCallChunk | ToolCallEnd) -> str:
        """The call's id: a start without one gets one, a piece without one is of the last call."""
        if event.tool_call_id:
            return event.tool_call_id
        if self.calls and not isinstance(event, ToolCallStart):
            return next(reversed(self.calls))
        number = len(self.calls)
        while f"call_{number}" in self.calls:
            number += 1
        return f"call_{number}"

    def call(self, call_id: str, limits: Limits) -> ToolCall:
        name, pieces, meta = self.calls[call_id]
        incomplete = call_id not in self.whole
        bounds = {"depth": limits.json_depth, "digits": limits.json_digits}
        return ToolCall(call_id, name, "".join(pieces), meta, incomplete, **bounds)

    def choice(self, stopped: StopReason | None, provider: str, limits: Limits) -> Choice:
        thoughts = [
            Thought("".join(pieces), {provider: dict(meta)} if meta else {})
            for pieces, meta in self.thoughts
        ]
        media = self.media
        return Choice(
            text="".join(self.text),
            reasoning="".join([thought.text for thought in thoughts]),
            thoughts=tuple(thoughts),
            tool_calls=tuple([self.call(call_id, limits) for call_id in self.calls]),
            images=tuple(i for i in media if isinstance(i, ImageData)) if media else (),
            audio=_sounds(i for i in media if isinstance(i, AudioData)) if media else (),
            stop_reason=self.stop_reason or stopped,
            logprobs=None if self.logprobs is None else tuple(self.logprobs),
        )


def _sounds(pieces: Iterable[AudioData]) -> tuple[AudioData, ...]:
    """Pieces of one sound, joined; as ``normalise`` does it."""
    runs = [list(run) for _, run in groupby(pieces, key=_kind_of_sound)]
    return tuple(attrs.evolve(run[0], data=b"".join(p.data for p in run)) for run in runs)


def _kind_of_sound(piece: AudioData) -> tuple[object, ...]:
    return piece.mime_type, piece.sample_rate, piece.provider_options


def fold(
    events: Iterable[Event],
    *,
    backend: str,
    provider: str,
    model: str,
    attempts: Iterable[Attempt] = (),
    stopped: StopReason | None = None,
    pricing: Pricing | None = None,
    schema: Mapping[str, Any] | None = None,
    limits: Limits | None = None,
    **facts: Any,
) -> Answer:
    """The answer so far; ``stopped`` says why it ended where no ``Stop`` came.

    At its end it has a warning if it breaks ``schema``, which it was to keep to. ``limits`` say
    which arguments of calls are read. ``facts`` are further attributes of the answer.
    """
    limits = limits or Limits()
    drafts: dict[int, _Draft] = {0: _Draft()}
    usage = Usage()
    warnings: list[Notice] = []
    meta: dict[str, Any] = {}
    for event in events:
        if isinstance(event, UsageReport):
            usage = event.usage
            meta.update(event.provider_options or {})
        elif isinstance(event, Notice):
            warnings.append(event)
        else:
            place: int = getattr(event, "choice", 0)
            draft = drafts.get(place)
            if draft is None:
                draft = drafts[place] = _Draft()
            draft.add(event, provider)
            if isinstance(event, ToolCallEnd) and event.incomplete:
                warnings.append(_unfinished(draft.call(draft.id_of(event), limits)))
            elif isinstance(event, Stop) and place == 0:  # the end of the whole answer
                meta.update(event.provider_options or {})
    choices = tuple([drafts[place].choice(stopped, provider, limits) for place in sorted(drafts)])
    if schema is not None:
        warnings += _schema_warnings(schema, choices, warnings)
    return Answer(
        choices=choices,
        usage=usage,
        warnings=tuple(warnings),
        attempts=tuple(attempts),
        model=model,
        backend=backend,
        provider=provider,
        price=pricing.price(usage) if pricing else None,
        provider_meta={provider: meta} if meta else {},
        **facts,
    )


def stop_reason_of(error: BaseException | None) -> StopReason:
    """How an answer that failed has ended; a cancelled task and Ctrl-C are no failures.

    >>> stop_reason_of(KeyboardInterrupt()), stop_reason_of(Refused("No"))
    ('cancelled', 'refusal')
    """
    if error is not None and not isinstance(error, Exception):
        return "cancelled"
    if isinstance(error, Refused):
        return "refusal"
    return "content_filter" if isinstance(error, ContentFiltered) else "error"


def _unfinished(call: ToolCall) -> Notice:
    name, text = call.name, call.arguments_text
    if not text.strip() or call.arguments is not None:
        message = f"The answer ended within the call of {name!r}; it may not be whole."
    elif is_object(text):
        what = f"nested deeper than {call.depth} levels, or have a number of over {call.digits}"
        message = f"The arguments of the call of {name!r} are {what} digits; the text is kept."
    else:
        message = f"The arguments of the call of {name!r} are no JSON object; the text is kept."
    return Notice("invalid_tool_arguments", message)


def _schema_warnings(
    schema: Mapping[str, Any], choices: Iterable[Choice], told: Iterable[Notice]
) -> list[Notice]:
    """What is wrong with the JSON of the choices that are at their end, where a schema was sent."""
    codes = {notice.code for notice in told if notice.option == "response_schema"}
    if "unsupported_option" in codes:
        return []
    ended = [c for c in choices if c.stop_reason in ("complete", "max_tokens", "stop_sequence")]
    found = [breach(c.text, schema, cut=c.stop_reason != "complete") for c in ended]
    return [notice for notice in found if notice is not None]
