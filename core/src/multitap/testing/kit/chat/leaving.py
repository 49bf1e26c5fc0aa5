"""Rules of chat: an answer that breaks off, and a caller that leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from multitap.errors import BackendError, ProviderDown, TruncatedStream
from multitap.events import Stop
from multitap.testing.chunking import outputs_of
from multitap.testing.connection import Connection
from multitap.testing.finding import Finding
from multitap.testing.gate import CEILING
from multitap.testing.kit.chat.base import ChatBase
from multitap.testing.kit.replay import replay
from multitap.testing.kit.rule import rule
from multitap.testing.kit.vector import Vector
from multitap.testing.steps import Script, Step, client_closed, close, play, request, reset, send
from multitap.work import LocalExchange

__all__ = ("Leaving",)


class Leaving(ChatBase):
    """What ends early is told, and what is not wanted any more ends."""

    @rule(
        "chat/truncated",
        "An answer that breaks off is an error, with what had come.",
        mend="Give what a record says as soon as it is whole, and Stop only for the server's sign.",
        vectors="streams",
        wire=True,
    )
    def test_an_answer_that_breaks_off_is_an_error(self, world: Any, vector: Vector) -> None:
        head, end, body = vector.recording.response.partition(b"\r\n\r\n")
        for size in self._unfinished(vector):
            for ending in (close, reset):
                script: Script = [request, send(head + end + body[:size]), ending]
                asked = f"{vector}, of which {size} of {len(body)} bytes come, then {ending!r}"
                error = self._broken_off(world, script, vector, asked)
                text = error.partial.text if error.partial else ""
                whole = str(vector.expect.get("text", self.folded(self.read(vector)).text))
                if not whole.startswith(text):
                    raise Finding(text, expected=f"a beginning of {whole!r}", smallest=asked)

    def _broken_off(self, world: Any, script: Script, vector: Vector, asked: str) -> BackendError:
        with self.answering(world, script=script) as (here, _):
            try:
                _, stream = here.stream(*vector.ask.args, **vector.ask.options)
            except (TruncatedStream, ProviderDown) as error:
                return error
            except BackendError as error:
                raise Finding(
                    repr(error), expected="TruncatedStream or ProviderDown", smallest=asked
                ) from error
        raise Finding(
            f"a whole answer, {stream.answer.text!r}", expected="TruncatedStream", smallest=asked
        )

    def _unfinished(self, vector: Vector) -> Iterator[int]:
        """Some sizes of a beginning in which the end of the answer is not yet to be seen."""
        raw = vector.recording.response.partition(b"\r\n\r\n")[2]
        made, recorded = self.exchange(vector), vector.recording
        whole = recorded.body
        for part in (0.0, 0.3, 0.6, 0.9):
            events = outputs_of(made.decoder(recorded.head), [whole[: int(part * len(whole))]])
            if not any(isinstance(event, Stop) for event in events):
                yield int(part * len(raw))

    # ---- the caller leaves -----------------------------------------------------------------------

    @rule(
        "chat/close",
        "Who leaves early ends the work, and the next question is answered.",
        mend="Hold nothing between two questions; in run, return as soon as emit says False.",
        live=True,
    )
    def test_leaving_early_ends_the_work(self, world: Any) -> None:
        if self.subject().in_process and not self.live:
            self._returns_when_told()
        known = [v for v in self.known_vectors() if v.kind == "streams" and self._prefix(v)]
        if known and not self.live and not self.subject().in_process:
            self._leave_a_server(world, known[0])
        elif self.live or self.subject().in_process or self.server() is not None:
            self._leave(world)
        else:
            pytest.skip("no vector is a stream of chat with a text")

    def _leave_a_server(self, world: Any, vector: Vector) -> None:
        first = threading.Event()

        async def serve(connection: Connection) -> None:
            if first.is_set():
                await play(connection, replay([vector]))
            first.set()
            await play(connection, [request, send(self._prefix(vector)), client_closed])

        script = Step("serve", serve)
        with self.answering(world, script=script) as (here, server):
            here.stream(*vector.ask.args, **vector.ask.options, after=lambda *_: False)
            server.wait_until(lambda: server.connections[0].closed_by_client.is_set())
            _, stream = here.stream(*vector.ask.args, **vector.ask.options)
        expected = self.folded(self.read(vector)).text
        if stream.answer.text != expected:
            asked = f"{vector}, left after its first event, and asked again"
            raise Finding(stream.answer.text, expected=expected, smallest=asked)

    def _prefix(self, vector: Vector) -> bytes:
        """As much of a recorded answer as has an event, and no end."""
        response, reads = b"", vector.recording.reads
        events: list[Any] = []
        decoder = self.decoder(vector)
        seen = 0
        for read in reads:
            response += read
            body = _body_of(vector, response)
            events += decoder.feed(body[seen:])
            seen = len(body)
            if any(isinstance(event, Stop) for event in events):
                return b""
            if any(getattr(event, "semantic", False) for event in events):
                return response
        return b""

    def _leave(self, world: Any) -> None:
        with self.answering(world) as (here, _):
            for ask in self.questions:
                here.stream(*ask.args, **ask.options, after=lambda *_: False)
                _, stream = here.stream(*ask.args, **ask.options)
                if not stream.answer.stop_reason:
                    raise Finding(stream.answer, expected="a whole answer", smallest=ask)

    def _returns_when_told(self) -> None:
        """Once ``emit`` has said ``False`` local work gives no more, and comes to its end."""
        for ask in self.questions:
            work = self.subject().chat(*ask.args, **ask.options)
            assert isinstance(work, LocalExchange), f"the work of a chat is {work!r}"
            given: list[Any] = []
            thread = threading.Thread(target=work.run, args=(_refusing(given),), daemon=True)
            thread.start()
            thread.join(CEILING)
            if thread.is_alive() or len(given) > 1:
                came = f"{len(given)} times something more" if len(given) > 1 else "no end"
                raise Finding(came, expected="the end of run, at emit's False", smallest=ask)


def _refusing(given: list[Any]) -> Any:
    """An ``emit`` that wants nothing, and writes down what it is given nevertheless."""

    def emit(items: Any) -> bool:
        if items:
            given.append(items)
        return False

    return emit


def _body_of(vector: Vector, response: bytes) -> bytes:
    """The body in as much of an answer as has come, without its chunks."""
    if b"\r\n\r\n" not in response:
        return b""
    return attrs.evolve(vector.recording, reads=(response,)).body
