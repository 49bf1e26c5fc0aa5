"""The asyncio runtime: ``sync.py`` with ``await``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from multitap.answer import Answer
from multitap.capabilities.catalog import Model
from multitap.capabilities.embedding import Embeddings
from multitap.capabilities.provider import Validation
from multitap.capabilities.rerank import Ranking
from multitap.capabilities.tokenize import Tokens
from multitap.config.routes import Route
from multitap.engine.aio import AsyncChatStream, AsyncStream, whole
from multitap.engine.call import Call
from multitap.engine.carrier import AsyncCarrier
from multitap.errors import BackendError, MultitapError, PluginError
from multitap.plan import Prompt
from multitap.registry import Registry
from multitap.resolve import ResolvedModel
from multitap.runtime.base import (
    CHECK_PROMPT,
    PROBE_SECONDS,
    Check,
    Models,
    Probe,
    check_options,
    checked,
    listed,
    ranked,
    schema_facts,
    silence,
    single,
)
from multitap.runtime.batches import Batches
from multitap.runtime.composition import ConfigSource
from multitap.runtime.launches_aio import AsyncLaunches, AsyncServer
from multitap.runtime.loops import at_the_end_of_the_loop
from multitap.runtime.media_verbs_aio import AsyncMediaHandle
from multitap.runtime.traffic import Timeouts
from multitap.work import Backend

if TYPE_CHECKING:
    import httpx

__all__ = ("AsyncModelHandle", "AsyncRuntime")

T = TypeVar("T")
A = TypeVar("A", bound="AsyncRuntime")
S = TypeVar("S", bound=AsyncStream[Any])


class AsyncRuntime(AsyncLaunches):
    """``Runtime`` with ``await``. It keeps one set of connections for each running loop.

    Args:
        config: As for ``Runtime``.
        registry: Where plugins are found; ``None``: what is installed.
        http: An ``httpx.AsyncClient`` to use in place of the own carrier.
        clock: Seconds that only grow, by which every deadline and wait is reckoned.
    """

    def __init__(
        self,
        config: ConfigSource = None,
        *,
        registry: Registry | None = None,
        http: httpx.AsyncClient | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, registry, clock)
        self._http = http
        self._carriers: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[tuple[str, Route], AsyncCarrier]
        ] = WeakKeyDictionary()
        self._ends: WeakKeyDictionary[asyncio.AbstractEventLoop, Callable[[], None]] = (
            WeakKeyDictionary()
        )
        self._streams: WeakSet[AsyncStream[Any]] = WeakSet()
        self._servers: WeakSet[AsyncServer] = WeakSet()

    async def __aenter__(self: A) -> A:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every stream and launched server; close every connection of the running loop."""
        for server in tuple(self._servers):
            server.close()
        for stream in tuple(self._streams):
            stream.close()
        for end in tuple(self._ends.values()):
            end()

    async def chat(
        self,
        prompt: Prompt | None = None,
        *,
        model: str | None = None,
        timeout: Timeouts = None,
        strict: bool = False,
        **options: Any,
    ) -> Answer:
        """The whole answer; see ``Runtime.chat``."""
        call = self._parts.chat(
            prompt, model, stream=False, timeout=timeout, strict=strict, **options
        )
        return await whole(self._open(AsyncChatStream(call, self._carrier)))

    def stream(
        self,
        prompt: Prompt | None = None,
        *,
        model: str | None = None,
        timeout: Timeouts = None,
        strict: bool = False,
        **options: Any,
    ) -> AsyncChatStream:
        """The answer as it comes: ``async with rt.stream("hi") as events:``."""
        call = self._parts.chat(
            prompt, model, stream=True, timeout=timeout, strict=strict, **options
        )
        return self._open(AsyncChatStream(call, self._carrier))

    async def embed(
        self, texts: str | Iterable[str], *, model: str | None = None, **options: Any
    ) -> Embeddings:
        """A vector for each text; see ``Runtime.embed``. At most two batches are on their way."""
        batches = self._parts.embed(texts, model, **options)
        readers = [asyncio.ensure_future(self._embed(batches)) for _ in range(batches.at_once)]
        try:
            await asyncio.gather(*readers)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        return batches.joined()

    async def rerank(
        self, query: str, documents: Iterable[str], *, model: str | None = None, **options: Any
    ) -> Ranking:
        """The documents, the most relevant first; see ``Runtime.rerank``."""
        request, call = self._parts.rerank(query, documents, model, **options)
        return ranked(await self._one(call), request, call)

    async def tokenize(
        self,
        text: str,
        *,
        model: str | None = None,
        special: bool = False,
        timeout: float | None = None,
    ) -> Tokens:
        """The model's tokens of a text."""
        return await self._one(self._parts.tokenize(text, model, special=special, timeout=timeout))

    async def detokenize(
        self, ids: Iterable[int], *, model: str | None = None, timeout: float | None = None
    ) -> str:
        """The text of some tokens."""
        return (await self._one(self._parts.detokenize(ids, model, timeout=timeout))).text

    async def models(self, backend: str | None = None, *, timeout: float | None = None) -> Models:
        """The models of one backend, or of all; see ``Runtime.models``."""
        if backend is not None:
            backend = self._parts.name_of(backend)
            return Models(await self._models_of(backend, timeout, patient=True))
        names = self._parts.offering("catalog")
        return self._gather(names, await self._all([self._tried(n, timeout) for n in names]))

    async def validate(
        self, backend: str | None = None, *, model: str | None = None, timeout: float | None = None
    ) -> Validation:
        """Prove a backend's endpoint and key; see ``Runtime.validate``."""
        target = self._parts.to_validate(backend, model)
        if self._parts.has_validation(target.backend):
            return await self._one(self._parts.validate(target, timeout))
        return listed(await self._models_of(target.backend, timeout, patient=True), target)

    async def probe(
        self, timeout: float = PROBE_SECONDS, *, backend: str | None = None
    ) -> Sequence[Probe]:
        """Ask every backend, or one, at once, whether it is there and what it has."""
        started = time.monotonic()
        names = [n for n in self._parts.offering("catalog") if backend in (None, n)]
        found = await self._all([self._tried(name, timeout) for name in names])
        return [self._probed(n, started, f) for n, f in zip(names, found, strict=True)]

    async def check(
        self, model: str | None = None, *, schema: bool = False, timeout: float | None = 30
    ) -> Check:
        """Ask a model one short question; an empty answer fails.

        With ``schema`` it is asked for JSON, and ``keeps_schema`` says whether that is what came.
        """
        target, started = self.resolve(model), time.monotonic()
        error: MultitapError | None = None
        facts: dict[str, bool | None] = {}
        try:
            options = check_options(schema)
            answer = await self.chat(CHECK_PROMPT, model=target.ref, timeout=timeout, **options)
            error = silence(answer)
            facts = schema_facts(answer) if schema else {}
        except MultitapError as failure:
            error = failure
        return checked(target, started, error, **facts)

    def model(self, reference: str | None = None) -> AsyncModelHandle:
        """One model, with the verbs above bound to it; an unknown backend is a ``ConfigError``."""
        target = self.resolve(reference)
        self._parts.backend(target.backend)
        return AsyncModelHandle(self, target)

    # ---- how it is done ------------------------------------------------------------------------

    def _open(self, stream: S) -> S:
        self._streams.add(stream)
        return stream

    def _carrier(self, backend: Backend) -> AsyncCarrier:
        loop = asyncio.get_running_loop()
        carriers = self._carriers.get(loop)
        if carriers is None:
            carriers = self._carriers[loop] = {}
            self._ends[loop] = at_the_end_of_the_loop(partial(self._close_loop, loop))
        route = self._parts.view.route(backend, self._http)
        way = (backend.id, route)
        carrier = carriers.get(way)
        if carrier is None:
            carrier = carriers[way] = self._new_carrier(backend, route)
        return carrier

    def _close_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ends.pop(loop, None)
        for carrier in self._carriers.pop(loop, {}).values():
            carrier.close()

    def _new_carrier(self, backend: Backend, route: Route) -> AsyncCarrier:
        if route.carrier == "httpx":
            from multitap.engine.httpx_carrier import AsyncHttpxCarrier

            return AsyncHttpxCarrier(backend.endpoint, self._http, route.proxy, route.ca_file)
        from multitap.engine.direct.aio import AsyncDirectCarrier

        return AsyncDirectCarrier(
            backend.endpoint,
            proxy=route.proxy,
            ca_file=route.ca_file,
            now=self._parts.traffic.clock,
        )

    def _ended(self, backend: str) -> None:
        self._parts.forget(backend)
        for carriers in tuple(self._carriers.values()):
            for way in [way for way in carriers if way[0] == backend]:
                carriers.pop(way).close()

    def _stream(self, call: Call[T]) -> AsyncStream[T]:
        return self._open(AsyncStream(call, self._carrier))

    async def _collect(self, call: Call[T]) -> list[T]:
        async with self._stream(call) as stream:
            return [item async for item in stream]

    async def _embed(self, batches: Batches) -> None:
        for part in batches:
            try:
                call = batches.call(part)
                async with self._stream(call) as stream:
                    found = single([item async for item in stream], call)
                batches.done(part, found, stream.outcome.attempts)
            except (BackendError, PluginError) as error:
                batches.failed(part, error)

    async def _one(self, call: Call[T]) -> T:
        return single(await self._collect(call), call)

    async def _models_of(
        self, backend: str, timeout: float | None, *, patient: bool
    ) -> Sequence[Model]:
        return self._keep(
            backend, await self._collect(self._parts.models(backend, timeout, patient=patient))
        )

    async def _tried(self, backend: str, timeout: float | None) -> Sequence[Model] | MultitapError:
        try:
            return await self._models_of(backend, timeout, patient=False)
        except MultitapError as error:
            return error

    async def _all(self, asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        return list(await asyncio.gather(*asked))


class AsyncModelHandle(AsyncMediaHandle):
    """What ``AsyncRuntime.model`` gives."""

    def __init__(self, runtime: AsyncRuntime, target: ResolvedModel) -> None:
        super().__init__(runtime, target)
        self._runtime = runtime

    def chat(self, prompt: Prompt | None = None, **options: Any) -> Coroutine[Any, Any, Answer]:
        """The whole answer."""
        return self._runtime.chat(prompt, model=self.ref, **options)

    def stream(self, prompt: Prompt | None = None, **options: Any) -> AsyncChatStream:
        """The answer as it comes."""
        return self._runtime.stream(prompt, model=self.ref, **options)

    def embed(self, texts: str | Iterable[str], **options: Any) -> Coroutine[Any, Any, Embeddings]:
        """A vector for each text."""
        return self._runtime.embed(texts, model=self.ref, **options)

    def rerank(
        self, query: str, documents: Iterable[str], **options: Any
    ) -> Coroutine[Any, Any, Ranking]:
        """The documents, the most relevant first."""
        return self._runtime.rerank(query, documents, model=self.ref, **options)

    def tokenize(self, text: str, **options: Any) -> Coroutine[Any, Any, Tokens]:
        """The model's tokens of a text."""
        return self._runtime.tokenize(text, model=self.ref, **options)

    def detokenize(self, ids: Iterable[int], **options: Any) -> Coroutine[Any, Any, str]:
        """The text of some tokens."""
        return self._runtime.detokenize(ids, model=self.ref, **options)
