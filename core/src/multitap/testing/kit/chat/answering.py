"""Rules of chat: answers through `Runtime` and `AsyncRuntime`, from one thread and from many."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from multitap.answer import Answer
from multitap.errors import MultitapError
from multitap.testing.answers import json, respond
from multitap.testing.connection import Connection
from multitap.testing.finding import Finding
from multitap.testing.gate import CEILING
from multitap.testing.kit.chat.base import ChatBase
from multitap.testing.kit.chat.refusing import told
from multitap.testing.kit.chat.requests import sent_by
from multitap.testing.kit.facts import facts_of_answer
from multitap.testing.kit.replay import replay
from multitap.testing.kit.rule import rule
from multitap.testing.kit.vector import Ask, Vector
from multitap.testing.server import Server
from multitap.testing.steps import Script, repeat, request
from multitap.testing.worlds import Blocking

__all__ = ("Answering",)

THREADS = 8
KEY = "kit-key-4711-sesame"


class Answering(ChatBase):
    """An answer is the same in both worlds, streamed or not, alone or among others."""

    @rule(
        "chat/worlds",
        "Runtime and AsyncRuntime give what the decoder gives, however the network cuts it.",
        mend="Describe the work, and let the engine do it: no event loop, no thread, no clock.",
        vectors="answers streams",
        wire=True,
    )
    def test_both_worlds_say_the_same(self, world: Any, vector: Vector) -> None:
        expected = facts_of_answer(self.folded(self.read(vector)))
        for seed in range(3):
            cuts = _some(len(vector.recording.response), seed)
            with self.answering(world, script=replay([vector], cuts)) as (here, _):
                found = facts_of_answer(_asked(here, vector.ask))
            if found != expected:
                raise Finding(found, expected=expected, smallest=f"{vector}, cut at {cuts}")

    @rule(
        "chat/whole",
        "Streamed or not, an answer says the same.",
        mend="Make both of the same record, or read the unstreamed body as one record of a stream.",
        live=True,
    )
    def test_streamed_or_not_it_is_the_same(self) -> None:
        pairs = list(self._pairs())
        if not pairs:
            pytest.skip("no two vectors ask the same, streamed and not, and there is no server()")
        for asked, streamed, whole in pairs:
            one, two = _essence(streamed), _essence(whole)
            if one != two:
                raise Finding(
                    f"streamed: {one}\nwhole:    {two}", expected="both the same", smallest=asked
                )

    def _pairs(self) -> Iterator[tuple[object, Answer, Answer]]:
        """Two answers to one question: of two vectors, and as a server or the plugin gives them."""
        known = [v for v in self.known_vectors() if v.kind in ("answers", "streams")]
        for stream in [v for v in known if v.ask.verb == "stream" and not self.live]:
            for whole in [v for v in known if v.ask.verb == "chat"]:
                if (stream.ask.args, stream.ask.options) == (whole.ask.args, whole.ask.options):
                    yield stream, self.folded(self.read(stream)), self.folded(self.read(whole))
        if self.live or self.subject().in_process or self.server() is not None:
            with self.answering(Blocking) as (here, _):
                for ask in self.chat_questions:
                    options = {**self._steady(), **ask.options}
                    _, stream_of = here.stream(*ask.args, **options)
                    yield ask, stream_of.answer, here.call("chat", *ask.args, **options)

    def _steady(self) -> dict[str, Any]:
        """Options that make an answer the same each time, where they reach the server."""
        declared = getattr(self.subject().built("chat"), "options", ())
        return {name: 0 for name in ("temperature", "seed") if name in declared}

    # ---- many at once ----------------------------------------------------------------------------

    @rule(
        "chat/threads",
        "Eight threads that share one model each get the answer to their own question.",
        mend="Keep nothing of a request on the model: models are shared, so they hold no state.",
        live=True,
    )
    def test_threads_do_not_mix_up_their_questions(self) -> None:
        known = self.streams()
        on_a_wire = not self.live and not self.subject().in_process
        if known and on_a_wire and not self.polls:  # a job does not show its question
            self._on_a_wire(known)
        elif not on_a_wire or self.server() is not None:
            self._in_words()
        else:
            pytest.skip("no vector is a stream of chat, or it is polled and there is no server()")

    def _on_a_wire(self, known: Sequence[Vector]) -> None:
        prompts = [f"question number {number} of the kit" for number in range(THREADS)]
        answers = {prompt: known[place % len(known)] for place, prompt in enumerate(prompts)}

        def answer(connection: Connection) -> Script:
            asked = sent_by(connection.request, self.read_request).text
            fitting = [vector for prompt, vector in answers.items() if prompt in asked]
            return fitting[0].recording.answer() if fitting else respond(404)

        with self.answering(Blocking, script=repeat(request, answer)) as (here, server):
            found = _at_once(prompts, lambda p: here.stream(p, **answers[p].ask.options)[1].answer)
            sent = [sent_by(each, self.read_request).text for each in server.requests]
        for prompt in prompts:
            if sum(prompt in each for each in sent) != 1:
                raise Finding(
                    "\n".join(sorted(sent)), expected="each question once", smallest=prompt
                )
            expected = _essence(self.folded(self.read(answers[prompt])))
            if _essence(found[prompt]) != expected:
                raise Finding(_essence(found[prompt]), expected=expected, smallest=prompt)

    def _in_words(self) -> None:
        prompts = [
            f"{ask.args[0]} {number}" for ask in self.chat_questions for number in range(THREADS)
        ]
        with self.answering(Blocking) as (here, _):
            options = {**self._steady(), "max_tokens": 32}
            alone = {prompt: here.call("chat", prompt, **options).text for prompt in prompts}
            found = _at_once(prompts, lambda prompt: here.call("chat", prompt, **options).text)
        for prompt, text in alone.items():
            if not self.live and found[prompt] != text:
                raise Finding(found[prompt], expected=text, smallest=f"{prompt!r}, among others")

    # ---- the key ---------------------------------------------------------------------------------

    @rule(
        "chat/key",
        "The key goes to the server in its header, and is shown nowhere.",
        mend="Leave the key to the engine: `key` in provider.toml says which header it goes into.",
        wire=True,
    )
    def test_the_key_reaches_the_server_alone(self) -> None:
        vector = next(iter(self.streams()), None)
        if vector is None:
            pytest.skip("no vector is a stream of chat")
        info = self.subject().info.key
        wanted = f"{info.scheme} {KEY}".strip()
        shown: list[Any] = []
        for script in (replay([vector]), repeat(request, _careless)):
            with Server(script) as server, self.asking(Blocking, server, api_key=KEY) as here:
                shown += _shown(here, self.provider)
            for asked in server.requests:
                came = asked.headers.get(info.header.lower())
                if came != wanted:
                    raise Finding(f"{info.header}: {came}", expected=f"{info.header}: {wanted}")
                text = sent_by(asked, self.read_request).text
                if KEY in text or KEY.encode() in asked.body:
                    raise Finding(text, expected="the key in its header alone")
        for value in shown:
            if any(KEY in text for text in told(value)):
                text = next(text for text in told(value) if KEY in text)
                raise Finding(text, expected="no key in it", smallest=f"api_key = {KEY!r}")


def _shown(here: Any, backend: str) -> Iterator[Any]:
    """All that an application sees of a call."""
    yield from (each for each in here.rt.backends() if each.id == backend)
    try:
        events, stream = here.stream("hi")
    except MultitapError as error:
        yield error
        yield from (error.__cause__, error.__context__)
        yield from getattr(error, "attempts", ())
    else:
        yield from events
        yield stream.answer


def _careless(connection: Connection) -> Script:
    """A server that shows the key which it was sent, as some do."""
    said = connection.request.raw.partition(b"\r\n\r\n")[0].decode("latin-1")
    keys = [line for line in said.split("\r\n") if KEY in line]
    return json({"error": {"message": f"Invalid key {'; '.join(keys)}"}}, 401)


def _asked(here: Any, ask: Ask) -> Answer:
    if ask.streamed:
        found: Answer = here.stream(*ask.args, **ask.options)[1].answer
        return found
    whole: Answer = here.call(ask.verb, *ask.args, **ask.options)
    return whole


def _essence(answer: Answer) -> dict[str, Any]:
    facts = facts_of_answer(answer)
    return {name: facts[name] for name in ("text", "reasoning", "calls", "stop_reason", "choices")}


def _some(size: int, seed: int) -> list[int]:
    """A few places to cut at, always the same ones."""
    chance = random.Random(seed)  # noqa: S311 - nothing here is a secret
    return sorted(chance.sample(range(1, size), min(size - 1, 8)))


def _at_once(prompts: Sequence[str], ask: Callable[[str], Any]) -> dict[str, Any]:
    """What each prompt is answered, all asked at the same time."""
    found: dict[str, Any] = {}
    start = threading.Barrier(len(prompts))

    def run(prompt: str) -> None:
        start.wait(CEILING)
        try:
            found[prompt] = ask(prompt)
        except Exception as error:
            found[prompt] = error

    threads = [threading.Thread(target=run, args=(p,), daemon=True) for p in prompts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(3 * CEILING)
    for prompt in prompts:
        if isinstance(found.get(prompt), Exception):
            raise found[prompt]
        if prompt not in found:
            raise Finding("it is not answered", expected="an answer", smallest=prompt)
    return found
