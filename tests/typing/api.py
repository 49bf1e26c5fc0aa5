"""The public API as strangers use it. Checked by mypy and basedpyright; imported by nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import click

import multitap
from multitap import (
    Answer,
    AsyncRuntime,
    Image,
    Message,
    Model,
    Runtime,
    Tool,
    ToolCall,
    ToolResult,
    errors,
    events,
)
from multitap.artifacts import Pictures, Sound
from multitap.capabilities.chat import (
    ChatModel,
    ChatRequest,
    DeclaresThinkTags,
    DeclaresTools,
    TextTools,
    ThinkTags,
)
from multitap.capabilities.embedding import (
    EmbeddingModel,
    EmbeddingRequest,
    Embeddings,
    Vectors,
)
from multitap.capabilities.launcher import (
    Container,
    Launch,
    Launcher,
    LaunchRequest,
    Process,
    options_as_flags,
)
from multitap.capabilities.lifecycle import (
    CreateRequest,
    CreatesModels,
    DeletesModels,
    KeepsSlots,
    Lifecycle,
    ListsRunning,
    Progress,
    Slot,
)
from multitap.capabilities.moderation import Judgement
from multitap.capabilities.provider import Provider, Validation
from multitap.capabilities.rerank import Ranked, Ranking
from multitap.capabilities.tokenize import Tokens
from multitap.capabilities.transcription import Transcript
from multitap.events import Event, Notice, Stop, StopReason, Text, Usage
from multitap.extensions import AttemptEnd, CallEnd, CallInfo, Observer
from multitap.hookspecs import Backend, hookimpl
from multitap.manifest import Parameter, ProviderInfo, Setting
from multitap.prices import Price, Pricing
from multitap.registry import Registry, Row
from multitap.resolve import ResolvedModel
from multitap.sinks import AsyncStreamSink, CollectingSink, NullSink, StreamSink
from multitap.work import (
    Digest,
    Emit,
    Exchange,
    File,
    Head,
    HttpCall,
    HttpReply,
    Json,
    LocalExchange,
    Operation,
    Out,
    Sleep,
    Stage,
    Steps,
    Work,
    fetch,
)

# ---- a plugin that has chat alone ----------------------------------------------------------------


class Lines:
    """A decoder by hand: each line is a piece of text."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes, /) -> Sequence[Event]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [Text(line.decode()) for line in lines if line]

    def finish(self) -> Sequence[Event]:
        return [Stop("complete")]


def decoder_of(head: Head) -> Stage[bytes, Event]:
    return Lines()


def explain(reply: HttpReply) -> errors.BackendError:
    return errors.Overloaded("Busy", status=reply.status)


class AcmeChat:
    options = frozenset({"max_tokens"})
    think_tags = ThinkTags(open="[THINK]", close="[/THINK]")
    tools = TextTools(place="system")

    def __init__(self, backend: Backend) -> None:
        self._region: str = backend.settings.get("region", "eu")

    def chat(self, request: ChatRequest, /) -> Exchange[Event]:
        body = {"model": request.model, "region": self._region}
        call = HttpCall(method="POST", path="/answers", body=Json(body), idle=5.0)
        return Exchange(call=call, decoder=decoder_of, explain=explain)


def declarations(chat: AcmeChat) -> tuple[DeclaresThinkTags, DeclaresTools]:
    return chat, chat


@hookimpl
def multitap_chat(backend: Backend) -> ChatModel:
    return AcmeChat(backend)


class LocalChat:
    def chat(self, request: ChatRequest, /) -> LocalExchange[Event]:
        def run(emit: Emit[Event]) -> None:
            for message in request.messages:
                if not emit([Text(message.text)]):
                    return
            emit([Stop("complete")])

        return LocalExchange(run)


local: ChatModel = LocalChat()
work: Work[Event] = local.chat(ChatRequest(model="m", messages=(Message("user", "hi"),)))


# ---- a plugin that has embedding alone -----------------------------------------------------------


class AcmeEmbedding:
    def embed(self, request: EmbeddingRequest, /) -> LocalExchange[Embeddings]:
        rows: list[list[float]] = [[float(len(text))] for text in request.texts]

        def run(emit: Emit[Embeddings]) -> None:
            emit([Embeddings(vectors=Vectors.from_rows(rows), usage=Usage.reported(1, None))])

        return LocalExchange(run)


@hookimpl
def multitap_embedding(backend: Backend) -> EmbeddingModel:
    return AcmeEmbedding()


# ---- a plugin that invokes nothing ---------------------------------------------------------------


class AcmeDesk:
    def validate(self, model: str | None, /) -> LocalExchange[Validation]:
        found = Validation(server="Acme 1.4", expires_at=datetime.now(timezone.utc), remaining=0.5)

        def run(emit: Emit[Validation]) -> None:
            emit([found])

        return LocalExchange(run)


@hookimpl
def multitap_provider(backend: Backend) -> Provider:
    return AcmeDesk()


# ---- a plugin of several requests ----------------------------------------------------------------


class AcmeLifecycle:
    def pull(self, model: str, /) -> Operation[Progress]:
        def steps() -> Steps[Progress]:
            reply: HttpReply = yield from fetch(HttpCall(method="GET", path=f"/models/{model}"))
            yield Out([Progress(status="pulling", completed=len(reply.body))])
            yield Sleep(0.5)

        return Operation(steps, explain)

    def load(self, model: str, /) -> Operation[Progress]:
        return self.pull(model)

    def unload(self, model: str, /) -> Operation[Progress]:
        raise errors.NotSupported("There is nothing to unload")

    def running(self) -> Operation[Model]:
        def steps() -> Steps[Model]:
            yield Out([Model(id="m", loaded=True)])

        return Operation(steps, explain)

    def delete(self, model: str, /) -> Operation[Progress]:
        return self.pull(model)

    def create(self, request: CreateRequest, /) -> Operation[Progress]:
        def steps() -> Steps[Progress]:
            for path in request.files.values():
                digest = yield Digest(path)
                yield from fetch(HttpCall(method="POST", path=f"/{digest}", body=File("a", path)))

        return Operation(steps, explain)

    def slots(self, model: str, /) -> LocalExchange[Slot]:
        return LocalExchange(lambda emit: print(emit([Slot(id=0, tokens=5)])))

    def save_slot(self, model: str, slot: int, name: str, /) -> LocalExchange[Slot]:
        return LocalExchange(lambda emit: print(emit([Slot(id=slot, size=len(name))])))

    def restore_slot(self, model: str, slot: int, name: str, /) -> LocalExchange[Slot]:
        return self.save_slot(model, slot, name)

    def erase_slot(self, model: str, slot: int, /) -> LocalExchange[Slot]:
        return self.slots(model)


def every_verb(
    plugin: AcmeLifecycle,
) -> tuple[ListsRunning, DeletesModels, CreatesModels, KeepsSlots]:
    return plugin, plugin, plugin, plugin


@hookimpl
def multitap_lifecycle(backend: Backend) -> Lifecycle:
    return AcmeLifecycle()


# ---- an extension: observer, filter and command --------------------------------------------------


class Printer:
    def call_started(self, call: CallInfo, /) -> None:
        notes: Mapping[str, Any] | None = call.metadata
        print(call.id, call.capability, call.streamed, notes)

    def attempt_started(self, call: CallInfo, number: int, /) -> None:
        print(call.backend, number)

    def attempt_ended(self, call: CallInfo, end: AttemptEnd, /) -> None:
        delay: float | None = end.delay
        print(end.number, end.seconds, end.error, delay)

    def call_ended(self, call: CallInfo, end: CallEnd, /) -> None:
        reason: StopReason | None = end.stop_reason
        usage: Usage | None = end.usage
        print(end.seconds, end.first_result, usage, reason, end.attempts, end.error)


@hookimpl
def multitap_observer() -> Observer:
    return Printer()


class Same:
    def feed(self, events: Sequence[Event], /) -> Sequence[Event]:
        return events

    def finish(self) -> Sequence[Event]:
        return ()


@hookimpl
def multitap_filter(call: CallInfo) -> Stage[Sequence[Event], Event] | None:
    return Same() if call.streamed else None


@click.command()
def cost() -> None:
    print("nothing")


@hookimpl
def multitap_command() -> click.Command:
    return cost


# ---- an application ------------------------------------------------------------------------------


def application(http_config: Mapping[str, Any]) -> None:
    registry = Registry(allow=["multitap-acme"], deny=(), choose={"acme": "multitap-acme"})
    registry.add(LocalChat(), "acme", ["chat"], info=ProviderInfo(name="acme"))
    with Runtime(http_config, registry=registry) as rt:
        same: Runtime = rt
        answer: Answer = same.chat(
            ["What is this?", Image(b"", "image/png")],
            model="acme:m",
            system="Be brief.",
            tools=[Tool("weather"), {"type": "function", "function": {"name": "time"}}],
            max_tokens=48,
            temperature=0,
            stop=["\n"],
            timeout=30,
            strict=True,
            metadata={"user": "ada"},
        )
        look_at(answer)
        with rt.stream(messages=[answer.message, {"role": "user", "content": "hi"}]) as stream:
            for event in stream:
                look_at_event(event)
            so_far: Answer = stream.answer
        batches: Iterable[Sequence[Event]] = stream.batches()
        stream.close()
        vectors: Vectors = rt.embed(["a"], dimensions=4).vectors
        row: Sequence[float] = vectors[0]
        ranking: Ranking = rt.rerank("query", ["a", "b"], top_n=1)
        best: Ranked = ranking.results[0]
        score: float = best.score
        tokens: Tokens = rt.tokenize("a", special=True)
        text: str = rt.detokenize(tokens.ids)
        found = rt.models("acme", timeout=1.0)
        model: Model = found[0]
        warnings: tuple[Notice, ...] = found.warnings
        reachable: bool = rt.probe(timeout=1.0)[0].reachable
        ok: bool = rt.check("acme:m").ok
        left: float | None = rt.validate("acme", model="m", timeout=5.0).remaining
        resolved: ResolvedModel = rt.resolve("acme:m")
        rows: Sequence[Row] = rt.capabilities()
        faults: Mapping[str, int] = rt.observer_faults
        backends: Sequence[Backend] = rt.backends()
        rt.load("acme:m")
        rt.unload("acme:m", timeout=5)
        rt.pull("acme:m")
        with rt.pull_stream("acme:m", timeout=60) as steps:
            progress: list[tuple[str, int | None]] = [(s.status, s.completed) for s in steps]
        rt.copy("acme:m", "second")
        rt.delete("acme:second", timeout=5)
        rt.create("acme:mine", source="m", files={"a.gguf": Path("a.gguf")}, quantize="q8_0")
        running: Sequence[Model] = rt.running("acme")
        context: int | None = rt.describe("acme:m").context_length
        held: list[int | None] = [slot.tokens for slot in rt.slots("acme:m")]
        saved: Slot = rt.save_slot(0, "a.bin", model="acme:m", timeout=5)
    print(so_far, batches, row, score, text, model.ref, warnings, reachable, ok, left, resolved.ref)
    print(progress, running, context, held, saved.size)
    print(rows[0].state, backends[0].id, faults)


@attrs.frozen
class AcmeLauncher:
    def launch(self, request: LaunchRequest, /) -> Launch:
        argv = ("acme", request.model, "--port", str(request.port))
        if request.container:
            return Container(image=f"acme:{request.tag}", argv=argv, port=80)
        words = options_as_flags(request.options)
        return Process(argv=(*argv, *words), install="Run `pip install acme`.")


@hookimpl
def multitap_launcher(backend: Backend) -> Launcher:
    return AcmeLauncher()


def launches(rt: Runtime) -> tuple[str, ...]:
    with rt.launch_stream("acme:m") as server:
        for step in server:
            print(step.status, step.completed)
    with rt.launch("acme:m", container="docker") as server:
        print(server.backend, server.model, server.ref, server.url, server.running)
        server.close()
        return server.log


async def async_launches(rt: AsyncRuntime) -> None:
    async with rt.launch("acme:m", timeout=60) as server:
        async for step in server:
            print(step.status)
        await server.wait()


def media(rt: Runtime) -> None:
    written: Transcript = rt.transcribe("a.wav", timestamps="word", translate=True)
    again: Transcript = rt.transcribe(Path("a.wav"))
    starts: list[float] = [segment.start for segment in written.segments]
    with rt.transcribe_stream(b"RIFF", language="en") as heard:
        texts: list[str] = [item.text for item in heard]
    sound: Sound = rt.speak("hi", voice="echo", format="wav", speed=1.5)
    saved: Path = sound.save("hi.wav")
    with rt.model("acme:tts").speak_stream("hi") as pieces:
        rates: list[int | None] = [piece.sample_rate for piece in pieces]
    names: list[str] = [voice.name for voice in rt.voices(model="acme:tts")]
    judged: Judgement = rt.moderate("a text")
    several: list[Judgement] = rt.moderate(["a", "b"])
    pictures: Pictures = rt.draw("a cat", n=2, size="64x64", sources=[b"", Path("a.png")])
    paths: list[Path] = pictures.save("cat.png")
    spent: Usage = pictures.usage
    with Path("a.wav").open("rb") as opened:
        rt.model().transcribe(opened)
    print(again, starts, texts, saved, rates, names, judged, several, paths, spent)


def costs(answer: Answer, model: Model, info: ProviderInfo) -> None:
    price: Price | None = answer.price
    total: Decimal | None = price.total if price else None
    pricing: Pricing | None = model.pricing
    both: Usage = answer.usage + answer.usage
    seconds: list[float | None] = [answer.latency, answer.time_to_first_token]
    facts: dict[str, str] = answer.metadata
    settings: Mapping[str, Setting] = info.settings
    parameters: Mapping[str, Parameter] = info.parameters
    print(total, pricing, both, seconds, facts, settings, parameters)


class PrintingSink(NullSink):
    def on_text(self, text: str, /) -> None:
        print(text)


class AsyncPrintingSink:
    async def on_status(self, status: str, /) -> None:
        print(status)

    async def on_text(self, text: str, /) -> None:
        print(text)

    async def on_event(self, event: Event, /) -> None:
        print(event.type)

    async def on_complete(self, text: str, /) -> None:
        print(text)


def sinks(rt: Runtime) -> None:
    sink: StreamSink = CollectingSink()
    answer: Answer = rt.stream("hi").into(sink)
    same: Answer = rt.model("acme:m").stream("hi").into(PrintingSink())
    print(answer.text, same.text)


def look_at(answer: Answer) -> None:
    text: str = answer.text + answer.reasoning
    reason: StopReason | None = answer.stop_reason
    spent: int | None = answer.usage.input_tokens
    calls: tuple[ToolCall, ...] = answer.tool_calls
    arguments: dict[str, Any] | None = calls[0].arguments
    results = [Message("tool", ToolResult(call.id, "42")) for call in calls]
    error: errors.BackendError | None = answer.attempts[0].error
    facts: dict[str, Any] = answer.to_dict()
    print(text, reason, spent, arguments, results, error, facts)


def look_at_event(event: Event) -> None:
    kind: str = event.type
    facts: dict[str, Any] = event.to_dict()
    if isinstance(event, events.Text):
        content: str = event.content
        print(content)
    elif isinstance(event, events.Reasoning):
        thought: str = event.reasoning_content
        print(thought)
    elif isinstance(event, events.Stop):
        reason: StopReason = event.stop_reason
        print(reason)
    print(kind, facts)


async def asynchronous() -> None:
    async with AsyncRuntime({"defaults": {"model": "echo:echo"}}) as rt:
        answer: Answer = await rt.chat("hi", timeout=5)
        async with rt.stream("hi") as stream:
            async for event in stream:
                look_at_event(event)
            stream.close()
        sink: AsyncStreamSink = AsyncPrintingSink()
        heard: Answer = await rt.stream("hi").into(sink)
        same: Answer = await rt.stream("hi").into(PrintingSink())
        print(heard.text, same.text)
        await rt.pull("echo:echo")
        async with rt.pull_stream("echo:echo") as steps:
            statuses: list[str] = [step.status async for step in steps]
        await rt.copy("echo:echo", "second")
        await rt.create("echo:mine", source="echo", timeout=5)
        await rt.delete("echo:mine")
        loaded: list[bool | None] = [model.loaded for model in await rt.running()]
        erased: Slot = await rt.erase_slot((await rt.restore_slot(0, "a.bin")).id)
        described: Model = await rt.describe("echo:echo")
        print(statuses, loaded, described, erased)
        sound: Sound = await rt.speak("hi")
        written: Transcript = await rt.model("echo:echo").transcribe(sound.data)
        async with rt.speak_stream("hi") as pieces:
            data: list[bytes] = [piece.data async for piece in pieces]
        judged: Judgement = await rt.moderate("a text")
        several: list[Judgement] = await rt.model().moderate(["a", "b"])
        pictures: Pictures = await rt.draw("a cat")
        print(written.text, data, judged, several, pictures[0].mime_type)
        found: Embeddings = await rt.embed("a")
        ids: tuple[int, ...] = (await rt.tokenize("a")).ids
        text: str = await rt.detokenize(ids)
        valid: Validation = await rt.validate(model="acme:m")
        resolved: ResolvedModel = rt.resolve()
        print(answer.text, found.vectors, text, valid.to_dict(), resolved.how)


def failing() -> None:
    rows: Sequence[Row] = multitap.capabilities()
    try:
        multitap.default().chat("hi")
    except errors.ContextOverflow as error:
        limit: int | None = error.limit
        print(limit, rows)
    except errors.RateLimited as error:
        wait: float | None = error.retry_after
        print(wait, error.kind, error.phase, error.retryable)
    except errors.ConfigError as error:
        line: int | None = error.line
        print(line, error.hint)
    except errors.MultitapError as error:
        print(error.message)
