"""Answers of OpenAI's chat completions: chunks of a stream, or one whole body, to events.

The same ``ChatRecords`` reads both, so a streamed answer and an unstreamed one agree:

>>> import msgspec
>>> from multitap.framing import JsonDecoder, SseDecoder
>>> records = ChatRecords()
>>> decoder = SseDecoder(ChatChunk, records.record, finish=records.finish)
>>> decoder.feed(b'data: {"choices":[{"delta":{"content":"Hi"},"finish_reason":"stop"}]}\\n\\n')
[Text(content='Hi', choice=0, logprobs=None, provider_options=None)]
>>> decoder.feed(b"data: [DONE]\\n\\n")
[Stop(stop_reason='complete', choice=0, provider_options=None)]

A server in this process hands over dicts: ``records.record(msgspec.convert(chunk, ChatChunk))``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import structs

from multitap.dialects.counts import doubts
from multitap.dialects.openai.choices import ChoiceReader
from multitap.dialects.openai.chunks import ChatChunk, PlainChunk, UsageFacts, read_usage
from multitap.dialects.openai.errors import openai_error
from multitap.dialects.openai.estimates import RULE, estimated_usage
from multitap.errors import BackendError, TruncatedStream
from multitap.events import (
    Event,
    Failed,
    Notice,
    Reasoning,
    Text,
    ToolCallChunk,
    Usage,
    UsageReport,
)
from multitap.framing import Plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from multitap.dialects.openai.chunks import Choice

__all__ = ("ChatChunk", "ChatRecords", "PlainChunk", "UsageFacts", "read_usage")


class ChatRecords:
    """The ``record`` and ``finish`` of one answer; make a new one for each attempt.

    Every choice needs a ``finish_reason``: an answer that ends without one is a
    ``TruncatedStream``. ``Stop`` is held until ``finish``, and comes for each choice, 0 last;
    it has the server's own word in ``provider_options`` where that is not OpenAI's.

    A subclass that reads more of a chunk names its struct as ``shape``, and in ``facts`` the fields
    that are told with the usage as they came; of several chunks, the last one's. All its chunks go
    through ``record``, unless it says in ``plain_shape`` what a chunk is that holds text alone.

    Args:
        notices: What could not be asked for as it was meant; said first.
        prompt: About how many tokens the prompt has, or what tells it, for an estimate where the
            server reports no usage; ``None``: no estimate.
        sound: The format of sound that was asked for.
        taken: Ids that calls of the conversation have; a new call gets another.
    """

    shape: ClassVar[type[ChatChunk]] = ChatChunk
    plain_shape: ClassVar[type[PlainChunk] | None] = PlainChunk  # of each class alone
    facts: ClassVar[tuple[str, ...]] = ()
    asked = ""  # the model's id, for a subclass that compares it

    def __init__(
        self,
        notices: Iterable[Notice] = (),
        *,
        prompt: int | Callable[[], int] | None = None,
        sound: str = "wav",
        taken: Iterable[str] = (),
    ) -> None:
        self._notices = list(notices)
        self._prompt = prompt
        self._sound = sound
        self._size = 0  # what an estimate would count: bytes of all that is said
        self._choices: dict[int, ChoiceReader] = {}
        self._ids = set(taken)
        self._usage: UsageFacts | None = None
        self._told_facts: dict[str, Any] = {}
        self._over = False

    def record(self, chunk: ChatChunk, /) -> list[Event]:
        """The events of one chunk, or of a whole body."""
        events = self._told() if self._notices else []
        if chunk.error:
            return [*events, *self._fail(chunk)]
        if chunk.usage is not None:
            self._usage = chunk.usage
        for name in self.facts:
            if fact := getattr(chunk, name):
                self._told_facts[name] = fact
        if chunk.choices is not None:
            for choice in chunk.choices:
                reader = self._choices.get(choice.index or 0) or self._reader(choice)
                reader.read(choice, events)
        elif chunk.message is not None:
            events += self._fail(chunk)
        if self._prompt is not None:
            self._size += sum(map(_size, events))
        return events

    def plain(self) -> Plain[Any, Event] | None:
        """How chunks that are text alone are read, many at once; ``None``: not at all."""
        shape = vars(type(self)).get("plain_shape")
        return None if shape is None else Plain(shape, self.texts)

    def texts(self, chunks: Sequence[PlainChunk], /) -> list[Event] | None:
        """The events of plain chunks; ``None`` where they are to be read one by one."""
        reader = self._choices.get(0)
        if reader is None or reader.waiting:
            return None
        said = [text for chunk in chunks if (text := chunk.choices[0].delta.content)]
        if self._prompt is not None:
            self._size += _bytes_of("".join(said))
        return [Text(text) for text in said]

    def finish(self) -> list[Event]:
        """What was held: usage, and then ``Stop`` or ``Failed``."""
        if self._over:
            return []
        self._over = True
        ending = self._ending()
        whole = not isinstance(ending[0], Failed)
        return [*self._told(), *self._held(), *self._reports(whole=whole), *ending]

    def _reader(self, choice: Choice) -> ChoiceReader:
        index = choice.index or 0
        reader = self._choices[index] = ChoiceReader(index, self._ids, self._sound)
        return reader

    def _told(self) -> list[Event]:
        notices: list[Event] = [*self._notices]
        self._notices = []
        return notices

    def failure(self, chunk: ChatChunk) -> BackendError:
        """The error that a chunk reports, where a server has words of its own for it."""
        return openai_error(_error_of(chunk))

    def _fail(self, chunk: ChatChunk) -> list[Event]:
        self._over = True
        return [*self._held(), *self._reports(whole=False), Failed(self.failure(chunk))]

    def _last_first(self) -> list[ChoiceReader]:
        if len(self._choices) < 2:
            return [*self._choices.values()]
        order = sorted(self._choices, key=lambda index: (index == 0, -index))
        return [self._choices[index] for index in order]

    def _held(self) -> list[Event]:
        held: list[Event] = []
        for choice in self._last_first():
            held += choice.held()
        return held

    def _reports(self, *, whole: bool) -> list[Event]:
        """The usage that was reported, with facts beside it; of a whole answer an estimate.

        Before it, what is only known at the end: calls that were put right, counts that cannot be.
        """
        told: list[Event] = []
        for choice in self._last_first():
            told += choice.repairs()
        usage, facts = Usage(), self._told_facts
        if self._usage is not None:
            told += doubts(**structs.asdict(self._usage))
            usage = read_usage(self._usage)
        if usage.source == "unknown" and whole and self._prompt is not None:
            asked = self._prompt if isinstance(self._prompt, int) else self._prompt()
            usage = estimated_usage(asked, self._size)
            facts = {**facts, "estimated_by": RULE}
        if usage.source != "unknown" or facts:
            told.append(UsageReport(usage, facts or None))
        return told

    def _ending(self) -> list[Event]:
        endings: list[Event] = []
        for choice in self._last_first():
            ending = choice.ending()
            if isinstance(ending, BackendError):
                return [Failed(ending)]
            endings.append(ending)
        if 0 not in self._choices:  # whose stop is the end of all
            missing = "before its first choice" if endings else "before it began"
            return [Failed(TruncatedStream(f"The answer ended {missing}"))]
        return endings


def _size(event: Event) -> int:
    if isinstance(event, Text):
        return _bytes_of(event.content)
    if isinstance(event, Reasoning):
        return _bytes_of(event.reasoning_content)
    return len(event.tool_call_arguments_chunk) if isinstance(event, ToolCallChunk) else 0


def _bytes_of(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def _error_of(chunk: ChatChunk) -> Any:
    if not chunk.error:
        return {"message": chunk.message, "type": chunk.type, "code": chunk.code}
    if isinstance(chunk.error, str):
        return {"message": chunk.error, "type": chunk.error_type or chunk.type, "code": chunk.code}
    return chunk.error
