"""Rules of chat: an answer that breaks off, and a caller that leaves."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import pytest

from multitap.errors import BackendError, ProviderDown, TruncatedStream
from multitap.events import Stop
from multitap.testing.connection import Connection
from multitap.testing.finding import Finding
from multitap.testing.gate import CEILING
from multitap.testing.kit.chat.base import ChatBase
from multitap.testing.kit.replay import replay
from multitap.testing.kit.rule import rule
from multitap.testing.kit.vector import Vector
from multitap.testing.steps import Script, Step, client_closed, close, play, request, reset, send
from multitap.testing.worlds import World
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
        if self.polls:
            pytest.skip("what is polled does not come as a stream that could break off")
        whole = self.folded(self.read(vector)).text
        known = {
            f"{vector}, of which {size} bytes come, then {words}": script
            for size in self._unfinished(vector)
            for words, script in _endings(vector, size).items()
        }
        with self.answering(world, script=_one_after_another(known.values())) as (here, _):
            for asked in known:
                error = self._broken_off(here, vector, asked)
                text = error.partial.text if error.partial else ""
                if not whole.startswith(text):
                    raise Finding(text, expected=f"a beginning of {whole!r}", smallest=asked)

    def _broken_off(self, here: World, vector: Vector, asked: str) -> BackendError:
        try:
            _, stream = here.stream(*vector.ask.args, **vector.ask.options)
        except (TruncatedStream, ProviderDown) as error:
            return error
        except BackendError as error:
            raise Finding(
                repr(error), expected="TruncatedStream or ProviderDown", smallest=asked
            ) from None
        raise Finding(
            f"a whole answer, {stream.answer.text!r}", expected="TruncatedStream", smallest=asked
        )

    def _unfinished(self, vector: Vector) -> Iterator[int]:
        """Some sizes of a beginning in which the end of the answer is not yet to be seen."""
        body = vector.recording.body
        for part in (0.0, 0.3, 0.6, 0.9):
            size = int(part * len(body))
            if not any(isinstance(e, Stop) for e in self.decoder(vector).feed(body[:size])):
                yield size

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
        known = [v for v in self.streams() if self._prefix(v)]
        if known and not self.live and not self.subject().in_process:
            self._leave_a_server(world, known[0])
        elif self.live or self.subject().in_process or self.server() is not None:
            self._leave(world)
        else:
            pytest.skip("no vector is a stream of chat with a text")

    def _leave_a_server(self, world: Any, vector: Vector) -> None:
        first = threading.Event()

        async def serve(connection: Connection) -> None:
            again = first.is_set()
            first.set()
            left = [request, send(self._prefix(vector)), client_closed]
            await play(connection, replay([vector]) if again else left)

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
            for ask in self.chat_questions:
                here.stream(*ask.args, **ask.options, after=lambda *_: False)
                _, stream = here.stream(*ask.args, **ask.options)
                if not stream.answer.stop_reason:
                    raise Finding(stream.answer, expected="a whole answer", smallest=ask)

    def _returns_when_told(self) -> None:
        """Once ``emit`` has said ``False`` local work gives no more, and comes to its end."""
        for ask in self.chat_questions:
            work = self.subject().chat(*ask.args, **ask.options)
            assert isinstance(work, LocalExchange), f"the work of a chat is {work!r}"
            given: list[Any] = []
            thread = threading.Thread(target=work.run, args=(_refusing(given),), daemon=True)
            thread.start()
            thread.join(CEILING)
            if thread.is_alive() or len(given) > 1:
                came = f"emit was given something {len(given)} times" if given else "run goes on"
                wanted = "emit once, which says False, and then the end of run"
                raise Finding(came, expected=wanted, smallest=ask)


def _one_after_another(scripts: Iterable[Script]) -> Script:
    """A script for each connection."""
    left = iter(scripts)
    return Step("one after another", lambda _: next(left))


def _endings(vector: Vector, size: int) -> dict[str, Script]:
    """How a connection ends after so much of an answer's body.

    The end of the body is that of the connection, so that nobody but the plugin can tell whether
    the answer is whole; but where the connection is reset.
    """
    recorded = vector.recording
    line = recorded.response.partition(b"\r\n")[0].decode("latin-1")
    framing = ("content-length", "transfer-encoding", "connection")
    kept = [f"{name}: {value}" for name, value in recorded.headers.items() if name not in framing]
    head = "\r\n".join([line, *kept, "connection: close", "", ""]).encode("latin-1")
    sent = [request, send(head + recorded.body[:size])]
    return {"the connection is closed": [*sent, close], "it is reset": [*sent, reset]}


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
