"""What the rules of chat have in common: a vector's work, its decoder, and questions to ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

from multitap.answer import Answer, fold
from multitap.events import Event
from multitap.plan import chat_request
from multitap.testing.chunking import outputs_of
from multitap.testing.finding import Finding
from multitap.testing.kit.playing import Question, last_exchange
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Ask, Vector
from multitap.work import Exchange, Explain, LocalExchange, Operation, Stage

__all__ = ("ChatBase",)


class ChatBase(Suite):
    """A chat plugin under test.

    Attributes:
        chat_questions: What a plugin without vectors, or a real server, is asked.
    """

    chat_questions: ClassVar[Sequence[Ask]] = (Ask("stream", ("Say hello.",)),)

    def describe_chat(self, model: Any) -> Any:
        """The work of a plain question."""
        return model.chat(chat_request("model", "hi"))

    def exchange(self, vector: Vector) -> Exchange[Event]:
        """What the plugin makes of the vector's question; of several requests, the last one."""
        streamed = vector.ask.streamed
        work = self.subject().chat(*vector.ask.args, **vector.ask.options, stream=streamed)
        if isinstance(work, Operation):
            return last_exchange(Question(self.subject(), vector.ask), vector, work)
        if not isinstance(work, Exchange):
            raise Finding(work, expected="an Exchange, or an Operation", smallest=vector)
        return work

    @property
    def explain(self) -> Explain:
        """How the plugin reads a refusal."""
        work = self.subject().chat("hi")
        if isinstance(work, LocalExchange):
            raise Finding(work, expected="work over a wire")
        return work.explain

    @property
    def polls(self) -> bool:
        """Does an answer take several requests?"""
        return isinstance(self.subject().chat("hi"), Operation)

    def decoder(self, vector: Vector) -> Stage[bytes, Any]:
        """A fresh decoder for the vector's answer."""
        return self.exchange(vector).decoder(vector.recording.head)

    def read(self, vector: Vector) -> list[Any]:
        """The events of a vector's answer, read at once."""
        return outputs_of(self.decoder(vector), [vector.recording.body])

    def folded(self, events: Iterable[Any]) -> Answer:
        """The answer that events make."""
        return fold(events, backend=self.provider, provider=self.provider, model="model")

    def said(self, world: Any, vector: Vector | None) -> Iterator[tuple[object, list[Any]]]:
        """Questions, and the events of their answers: those of a vector, or as they are asked."""
        asked = self.live or self.subject().in_process
        if vector is not None and not asked:
            yield vector, self.read(vector)
            return
        with self.answering(world) as (here, _):
            for ask in [vector.ask] if vector else self.chat_questions:
                yield ask, here.stream(*ask.args, **ask.options)[0]
