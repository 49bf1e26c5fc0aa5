"""A call is cancelled at every point where it waits: it ends, and the runtime goes on as if new.

Nothing is simulated: the operation runs in a task of its own, which is cancelled while it, or a
task that it has begun, is about to wait for the k-th time, for every k. Then the same runtime has
no connection, task or thread more than before, and serves the next request.
"""

from __future__ import annotations

import asyncio
import threading

import pytest
from scripted_llamaserver import ScriptedLlamaServer
from scripted_ollama import MANAGEMENT, chat, embed
from scripted_openai import ScriptedOpenAI, busy

from multitap import AsyncRuntime
from multitap.capabilities.speech import Voice
from multitap.events import Stop, Text
from multitap.hookspecs import hookimpl
from multitap.registry import Registry
from multitap.sinks import NullSink
from multitap.testing import CEILING, Server, repeat, respond, when
from multitap.work import LocalExchange

TEXTS = [str(number) for number in range(1100)]
WAV = (
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00"
)
WAV += b"\x02\x00\x10\x00data\x00\x00\x00\x00"


NEVER = 1 << 30

waits = threading.Event()


class Cut:
    """Counts how often the tasks of an operation are about to wait, and cancels it at the k-th."""

    def __init__(self, k):
        self.k, self.waits, self.task = k, 0, None

    def task_of(self, loop, coroutine, **options):
        """The operation's task, or one that it begins: what a loop calls to make them."""
        task = asyncio.Task(self.counted(coroutine), loop=loop, **options)
        task.add_done_callback(lambda _: coroutine.close())  # perhaps it was never begun
        self.task = self.task or task
        return task

    async def counted(self, coroutine):
        return await Waits(coroutine, self)

    def about_to_wait(self):
        self.waits += 1
        waits.set()
        if self.waits == self.k:
            self.task.cancel()


class Waits:
    def __init__(self, coroutine, cut):
        self.coroutine, self.cut = coroutine, cut

    def __await__(self):
        step, value = self.coroutine.send, None
        while True:
            try:
                waited_for = step(value)
            except StopIteration as end:
                return end.value
            self.cut.about_to_wait()
            try:
                step, value = self.coroutine.send, (yield waited_for)
            except BaseException as error:
                step, value = self.coroutine.throw, error


class Slow:
    """Works in this process, and gives its results one by one to a reader that waits for them."""

    @hookimpl
    def multitap_chat(self, backend):
        return self

    @hookimpl
    def multitap_speech(self, backend):
        return self

    def chat(self, request):
        return slowly(Text("one"), Text("two"), Stop("complete"))

    def voices(self, model):
        return slowly(Voice(name="a", title="A"), Voice(name="b", title="B"))

    def speak(self, request): ...


def slowly(*results):
    def run(emit):
        for result in results:
            while not waits.wait(0.01):
                if not emit([]):
                    return
            waits.clear()
            emit([result])

    return LocalExchange(run)


async def read(stream):
    async with stream as items:
        return [item async for item in items]


async def read_batches(stream):
    async with stream as items:
        return [batch async for batch in items.batches()]


class Sink(NullSink):
    async def on_event(self, event):
        await asyncio.sleep(0)


async def give_to_a_sink(stream):
    return await stream.into(Sink())


async def chat_after_a_refusal(rt, servers, **options):
    servers["openai"].refusals.append(busy())
    return await rt.chat("Hi", model="openai:tiny")


def made_of_a_file(rt, folder):
    path = folder / "model.gguf"
    path.write_bytes(b"GGUF" + bytes(1 << 20))
    return rt.create("ollama:mine", files={path.name: path})


def sound(folder):
    path = folder / "a.wav"
    path.write_bytes(WAV)
    return path


OPERATIONS = {
    "chat, ollama": lambda rt, *_: rt.chat("Hi", model="ollama:tiny"),
    "chat, openai": lambda rt, *_: rt.chat("Hi", model="openai:tiny"),
    "chat, in this process": lambda rt, *_: rt.chat("Hi", model="slow:m"),
    "chat, after a refusal": lambda rt, servers, _: chat_after_a_refusal(rt, servers),
    "stream, ollama": lambda rt, *_: read(rt.stream("a story", model="ollama:tiny")),
    "stream, openai": lambda rt, *_: read(rt.stream("Hi", model="openai:tiny")),
    "stream, in this process": lambda rt, *_: read(rt.stream("Hi", model="slow:m")),
    "stream, batches": lambda rt, *_: read_batches(rt.stream("Hi", model="ollama:tiny")),
    "stream, into a sink": lambda rt, *_: give_to_a_sink(rt.stream("Hi", model="ollama:tiny")),
    "embed": lambda rt, *_: rt.embed(["a", "b"], model="openai:text-embedding-3-small"),
    "embed, in batches": lambda rt, *_: rt.embed(TEXTS, model="ollama:nomic-embed-text"),
    "rerank": lambda rt, *_: rt.rerank("a", ["b", "c"], model="llamaserver:bge-reranker"),
    "tokenize": lambda rt, *_: rt.tokenize("a b", model="llamaserver:tiny"),
    "detokenize": lambda rt, *_: rt.detokenize([1, 2], model="llamaserver:tiny"),
    "models": lambda rt, *_: rt.models(),
    "models, of one": lambda rt, *_: rt.models("ollama"),
    "probe": lambda rt, *_: rt.probe(),
    "check": lambda rt, *_: rt.check("ollama:tiny"),
    "validate": lambda rt, *_: rt.validate("openai"),
    "describe": lambda rt, *_: rt.describe("ollama:tiny"),
    "running": lambda rt, *_: rt.running(),
    "load": lambda rt, *_: rt.load("ollama:tiny"),
    "unload": lambda rt, *_: rt.unload("ollama:tiny"),
    "pull": lambda rt, *_: rt.pull("ollama:tiny"),
    "pull_stream": lambda rt, *_: read(rt.pull_stream("ollama:tiny")),
    "copy": lambda rt, *_: rt.copy("ollama:tiny", "other"),
    "delete": lambda rt, *_: rt.delete("ollama:tiny"),
    "create": lambda rt, *_: rt.create("ollama:mine", source="tiny"),
    "create, of a file": lambda rt, _, folder: made_of_a_file(rt, folder),
    "transcribe": lambda rt, _, folder: rt.transcribe(sound(folder), model="openai:whisper-1"),
    "speak": lambda rt, *_: rt.speak("Hi", model="openai:tts-1", voice="alloy"),
    "speak_stream": lambda rt, *_: read(rt.speak_stream("Hi", model="openai:tts-1", voice="alloy")),
    "voices": lambda rt, *_: rt.voices(model="slow:m"),
    "moderate": lambda rt, *_: rt.moderate(["a", "b"], model="openai:omni-moderation-latest"),
    "draw": lambda rt, *_: rt.draw("a cat", model="openai:gpt-image-1"),
}


def blob(connection):
    return respond(404 if connection.request.method == "HEAD" else 201)


def ollama():
    routes = {"POST /api/chat": chat, "POST /api/embed": embed, **MANAGEMENT}
    return Server(repeat(when(routes, otherwise=blob)))


@pytest.fixture(scope="module")
def servers():
    with ollama() as one, ScriptedOpenAI() as two, ScriptedLlamaServer() as three:
        yield {"ollama": one, "openai": two, "llamaserver": three}


@pytest.fixture(scope="module")
def registry():
    registry = Registry()
    registry.add(Slow(), "slow", ["chat", "speech"])
    return registry


earlier = set()


@pytest.fixture(autouse=True)
def threads_of_others():
    """What another test has left at work in this process is none of ours."""
    earlier.update(threading.enumerate())


def at_work(rt):
    """Connections in use, tasks and threads of this runtime's calls."""
    carriers = [each for known in rt._carriers.values() for each in known.values()]
    used = [each for known in carriers for each in known.pool._open - set(known.pool._idle)]
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    threads = [
        t for t in threading.enumerate() if t.name.startswith("multitap") and t not in earlier
    ]
    return used, tasks, threads


async def assert_free(rt):
    """What has been told to end ends; nothing else is left."""
    used, tasks, threads = at_work(rt)
    if tasks:
        await asyncio.wait(tasks, timeout=CEILING)
    for thread in threads:
        await asyncio.to_thread(thread.join, CEILING)
    assert used == []
    assert at_work(rt) == ([], set(), [])


async def is_cut(rt, operation, k):
    """Cancel an operation where it waits for the k-th time; ``False``: it never does."""
    waits.clear()
    cut, loop = Cut(k), asyncio.get_running_loop()
    loop.set_task_factory(cut.task_of)
    task = loop.create_task(operation)
    try:
        await asyncio.wait([task], timeout=CEILING)
    finally:
        loop.set_task_factory(None)
    assert task.done(), "it goes on, though it was cancelled"
    if cut.waits < k:
        task.result()
        return False
    assert task.cancelled(), f"the cancellation was swallowed: {task!r}"
    return True


async def serves(rt):
    answer = await rt.chat("capital of France?", model="ollama:tiny")
    return answer.text == "The capital of France is Paris."


@pytest.mark.fault("F13")
@pytest.mark.parametrize("state", ["cold", "warm", "contended"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_that_is_cancelled_anywhere_leaves_nothing(
    name, state, servers, registry, tmp_path, record_property
):
    """``cold``: it has to connect; ``warm``: a connection is kept; ``contended``: others call."""
    config = {plugin: {"endpoint": server.url} for plugin, server in servers.items()}

    async def cut_at(rt, k):
        other = [asyncio.ensure_future(serves(rt)) for _ in range(3 * (state == "contended"))]
        found = await is_cut(rt, OPERATIONS[name](rt, servers, tmp_path), k)
        assert all(await asyncio.gather(*other))
        servers["openai"].refusals.clear()
        await assert_free(rt)
        assert await serves(rt)
        await assert_free(rt)
        return found

    async def run():
        rt, k = AsyncRuntime(config, registry=registry), 1
        await cut_at(rt, NEVER)  # all that it needs is imported
        if state == "cold":
            rt.close()
            rt = AsyncRuntime(config, registry=registry)
        while await cut_at(rt, k):
            k += 1
            if state == "cold":
                rt.close()
                rt = AsyncRuntime(config, registry=registry)
        rt.close()
        return k - 1

    points = asyncio.run(run())
    record_property("points", points)
    print(f"{name}, {state}: {points} points")
    assert points > 0
