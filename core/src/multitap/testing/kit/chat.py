"""The rules of chat."""

from __future__ import annotations

from typing import Any, ClassVar

from multitap.answer import fold
from multitap.events import Event
from multitap.testing.chunking import assert_chunking_invariant, outputs_of
from multitap.testing.kit.facts import assert_says, facts_of_answer
from multitap.testing.kit.rule import rule
from multitap.testing.kit.suite import Suite
from multitap.testing.kit.vector import Vector
from multitap.work import Exchange, Stage

__all__ = ("ChatSuite",)


class ChatSuite(Suite):
    """What a chat plugin promises."""

    capability: ClassVar[str] = "chat"

    def exchange(self, vector: Vector) -> Exchange[Event]:
        """What the plugin makes of the vector's question."""
        streamed = vector.ask.verb == "stream"
        work = self.subject().chat(*vector.ask.args, **vector.ask.options, stream=streamed)
        assert isinstance(work, Exchange), f"the work of a chat over a wire is {work!r}"
        return work

    def decoder(self, vector: Vector) -> Stage[bytes, Any]:
        """A fresh decoder for the vector's answer."""
        return self.exchange(vector).decoder(vector.recording.head)

    @rule("chat/answer", "An answer says what the server said.", vectors="streams", wire=True)
    def test_an_answer_says_what_the_server_said(self, vector: Vector) -> None:
        events = outputs_of(self.decoder(vector), [vector.recording.body])
        answer = fold(events, backend=self.provider, provider=self.provider, model="model")
        assert_says(facts_of_answer(answer), vector.expect, vector.name)

    @rule("chat/cuts", "However its bytes are cut, it is the same.", vectors="all", wire=True)
    def test_where_the_bytes_are_cut_makes_no_difference(self, vector: Vector) -> None:
        made, recorded = self.exchange(vector), vector.recording
        assert_chunking_invariant(lambda: made.decoder(recorded.head), recorded.body)
