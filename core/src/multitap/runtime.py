"""Runtime and AsyncRuntime: what applications hold.

>>> with Runtime({"defaults": {"provider": "echo"}}) as rt:
...     print(rt.chat("Is anybody there?").text)
Is anybody there?
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import attrs

from multitap.answer import Answer
from multitap.capabilities.catalog import Model
from multitap.capabilities.embedding import Embeddings
from multitap.capabilities.rerank import Ranking, RerankRequest, sort_ranked
from multitap.capabilities.tokenize import Tokens
from multitap.composition import Composition, ConfigSource
from multitap.engine.aio import AsyncChatStream, AsyncStream
from multitap.engine.call import Call
from multitap.engine.carrier import AsyncCarrier, Carrier
from multitap.engine.sync import ChatStream, Stream
from multitap.errors import EngineError, MultitapError, ProtocolError
from multitap.events import Notice
from multitap.manifest import ProviderInfo
from multitap.plan import Prompt
from multitap.registry import Registry, Row
from multitap.resolve import ResolvedModel
from multitap.work import Backend

if TYPE_CHECKING:
    import httpx

__all__ = ("AsyncRuntime", "Check", "Models", "Probe", "Runtime")

T = TypeVar("T")
R = TypeVar("R", bound="Runtime")
A = TypeVar("A", bound="AsyncRuntime")
S = TypeVar("S", bound=Stream[Any])
Z = TypeVar("Z", bound=AsyncStream[Any])

PROBE_SECONDS = 2.0
CHECK_PROMPT = "Answer with one word: ready."


class Models(list[Model]):
    """Models of several backends; ``warnings`` says which backends could not be asked."""

    def __init__(self, models: Iterable[Model] = (), warnings: Iterable[Notice] = ()) -> None:
        super().__init__(models)
        self.warnings = tuple(warnings)


@attrs.frozen(kw_only=True)
class Probe:
    """Whether a backend answers, and with which models; ``latency`` in seconds."""

    backend: str
    provider: str
    endpoint: str
    reachable: bool
    latency: float
    models: tuple[Model, ...] = ()
    error: MultitapError | None = None


@attrs.frozen(kw_only=True)
class Check:
    """Whether a model really answers; an empty answer is none. ``latency`` in seconds."""

    ok: bool
    backend: str
    model: str
    latency: float
    error: MultitapError | None = None


class _Base:
    """What needs no I/O, and is the same in both runtimes."""

    def __init__(self, config: ConfigSource, registry: Registry | None) -> None:
        self._parts = Composition(config, registry)

    def capabilities(self) -> Sequence[Row]:
        """What installed distributions declare; nothing is imported for it."""
        return self._parts.registry.capabilities()

    def providers(self) -> Sequence[ProviderInfo]:
        """Installed providers, as their distributions describe them."""
        return self._parts.registry.providers()

    def backends(self) -> Sequence[Backend]:
        """Configured backends, and the default one of each installed provider."""
        known = self._parts.providers
        sections = self._parts.sections.items()
        return [self._parts.backend(name) for name, s in sections if s.provider in known]

    def resolve(self, reference: str | None = None) -> ResolvedModel:
        """The backend and model that a reference means; no network."""
        return self._parts.resolve(reference)

    def _probe(self, backend: str, started: float, found: Sequence[Model] | MultitapError) -> Probe:
        described = self._parts.backend(backend)
        error = found if isinstance(found, MultitapError) else None
        return Probe(
            backend=backend,
            provider=described.provider,
            endpoint=described.endpoint,
            reachable=error is None,
            latency=time.monotonic() - started,
            models=() if isinstance(found, MultitapError) else tuple(found),
            error=error,
        )

    def _gather(
        self, names: Sequence[str], found: Sequence[Sequence[Model] | MultitapError]
    ) -> Models:
        rows = list(zip(names, found, strict=True))
        models = [m for _, models in rows if not isinstance(models, MultitapError) for m in models]
        failed = [(name, error) for name, error in rows if isinstance(error, MultitapError)]
        return Models(models, [Notice("backend_down", str(e), name) for name, e in failed])

    def _keep(self, backend: str, models: Iterable[Model]) -> Sequence[Model]:
        kept = [attrs.evolve(model, backend=backend) for model in models]
        self._parts.remember(backend, kept)
        return kept


class Runtime(_Base):
    """Every installed backend, in blocking code; safe to share between threads.

    Args:
        config: ``None``: the layers of ``llm.toml``; a path: this one file; a mapping in the shape
            of ``llm.toml``: only this.
        registry: Where plugins are found; ``None``: what is installed.
        http: An ``httpx.Client`` to use in place of the own carrier.
    """

    def __init__(
        self,
        config: ConfigSource = None,
        *,
        registry: Registry | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        super().__init__(config, registry)
        self._http = http
        self._carriers: dict[str, Carrier] = {}
        self._streams: WeakSet[Stream[Any]] = WeakSet()

    def __enter__(self: R) -> R:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every stream and close every connection."""
        for stream in tuple(self._streams):
            stream.close()
        for carrier in self._carriers.values():
            carrier.close()
        self._carriers.clear()

    def chat(
        self,
        prompt: Prompt | None = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        strict: bool = False,
        **options: Any,
    ) -> Answer:
        """The whole answer to a prompt, or to ``messages=``.

        Args:
            prompt: A text, or texts and parts such as ``Image``.
            model: A model reference; ``None``: the default.
            timeout: Seconds for the whole call.
            strict: Raise ``NotSupported`` where an option would only be a warning.
            options: ``messages, system, tools, tool_choice, response_format, max_tokens,
                temperature, top_p, seed, stop, think, logprobs, n, truncate, shift, extra``.

        Raises:
            ConfigError: A wrong argument, an unknown model or backend.
            BackendError: The backend failed; what had come is in ``error.partial``.
        """
        call = self._parts.chat(
            prompt, model, stream=False, timeout=timeout, strict=strict, **options
        )
        with self._open(ChatStream(call, self._carrier(call))) as stream:
            for _ in stream.batches():
                pass
        return stream.answer

    def stream(
        self,
        prompt: Prompt | None = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        strict: bool = False,
        **options: Any,
    ) -> ChatStream:
        """The answer as it comes: ``with rt.stream("hi") as events:``; arguments as in ``chat``."""
        call = self._parts.chat(
            prompt, model, stream=True, timeout=timeout, strict=strict, **options
        )
        return self._open(ChatStream(call, self._carrier(call)))

    def embed(
        self, texts: str | Iterable[str], *, model: str | None = None, **options: Any
    ) -> Embeddings:
        """A vector for each text, in order; options: ``dimensions, input_type, timeout``."""
        rows = [texts] if isinstance(texts, str) else list(texts)
        found = self._one(self._parts.embed(rows, model, **options))
        return _counted(found, len(rows))

    def rerank(
        self, query: str, documents: Iterable[str], *, model: str | None = None, **options: Any
    ) -> Ranking:
        """The documents, the most relevant first; options: ``top_n, threshold, timeout``."""
        request, call = self._parts.rerank(query, documents, model, **options)
        return _sorted(self._one(call), request)

    def tokenize(
        self,
        text: str,
        *,
        model: str | None = None,
        special: bool = False,
        timeout: float | None = None,
    ) -> Tokens:
        """The model's tokens of a text."""
        return self._one(self._parts.tokenize(text, model, special=special, timeout=timeout))

    def detokenize(
        self, ids: Iterable[int], *, model: str | None = None, timeout: float | None = None
    ) -> str:
        """The text of some tokens."""
        return self._one(self._parts.detokenize(ids, model, timeout=timeout)).text

    def models(self, backend: str | None = None, *, timeout: float | None = None) -> Models:
        """The models of one backend, or of all; of all, one that is down is only a warning."""
        if backend is not None:
            return Models(self._models_of(backend, timeout))
        names = self._parts.offering("catalog")
        return self._gather(names, self._all(names, lambda n: self._tried(n, timeout)))

    def load(self, model: str | None = None, *, timeout: float | None = None) -> None:
        """Bring a model into memory; done when this returns."""
        self._collect(self._parts.lifecycle("load", model, timeout))

    def unload(self, model: str | None = None, *, timeout: float | None = None) -> None:
        """Free a model's memory; done when this returns."""
        self._collect(self._parts.lifecycle("unload", model, timeout))

    def probe(self, timeout: float = PROBE_SECONDS) -> Sequence[Probe]:
        """Ask every backend, at once, whether it is there and what it has."""
        started = time.monotonic()
        names = self._parts.offering("catalog")
        found = self._all(names, lambda name: self._tried(name, timeout))
        return [self._probe(n, started, f) for n, f in zip(names, found, strict=True)]

    def check(self, model: str | None = None, *, timeout: float | None = 30) -> Check:
        """Ask a model one short question; an empty answer fails."""
        target, started = self.resolve(model), time.monotonic()
        try:
            answer = self.chat(CHECK_PROMPT, model=target.ref, max_tokens=16, timeout=timeout)
            error = _silence(answer)
        except MultitapError as failure:
            error = failure
        return _checked(target, started, error)

    # ---- how it is done ------------------------------------------------------------------------

    def _open(self, stream: S) -> S:
        self._streams.add(stream)
        return stream

    def _carrier(self, call: Call[Any]) -> Callable[[], Carrier]:
        return lambda: self._carrier_of(call.backend)

    def _carrier_of(self, backend: Backend) -> Carrier:
        if backend.id not in self._carriers:
            self._carriers[backend.id] = self._new_carrier(backend)
        return self._carriers[backend.id]

    def _new_carrier(self, backend: Backend) -> Carrier:
        if self._http is not None:
            from multitap.engine.httpx_carrier import HttpxCarrier

            return HttpxCarrier(backend.endpoint, client=self._http)
        from multitap.engine.direct import DirectCarrier

        return DirectCarrier(backend.endpoint)

    def _collect(self, call: Call[T]) -> list[T]:
        with self._open(Stream(call, self._carrier(call))) as stream:
            return list(stream)

    def _one(self, call: Call[T]) -> T:
        return _single(self._collect(call), call)

    def _models_of(self, backend: str, timeout: float | None) -> Sequence[Model]:
        return self._keep(backend, self._collect(self._parts.models(backend, timeout)))

    def _tried(self, backend: str, timeout: float | None) -> Sequence[Model] | MultitapError:
        try:
            return self._models_of(backend, timeout)
        except MultitapError as error:
            return error

    def _all(self, names: Sequence[str], ask: Callable[[str], T]) -> list[T]:
        if len(names) < 2:
            return [ask(name) for name in names]
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="multitap-ask") as pool:
            return list(pool.map(ask, names))


class AsyncRuntime(_Base):
    """``Runtime`` with ``await``. It keeps one set of connections for each running loop.

    Args:
        config: As for ``Runtime``.
        registry: Where plugins are found; ``None``: what is installed.
        http: An ``httpx.AsyncClient`` to use in place of the own carrier.
    """

    def __init__(
        self,
        config: ConfigSource = None,
        *,
        registry: Registry | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        super().__init__(config, registry)
        self._http = http
        self._carriers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, AsyncCarrier]] = (
            WeakKeyDictionary()
        )
        self._streams: WeakSet[AsyncStream[Any]] = WeakSet()

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
        """End every stream, and close every connection of the running loop."""
        for stream in tuple(self._streams):
            stream.close()
        for carriers in tuple(self._carriers.values()):
            for carrier in carriers.values():
                carrier.close()
        self._carriers.clear()

    async def chat(
        self,
        prompt: Prompt | None = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        strict: bool = False,
        **options: Any,
    ) -> Answer:
        """The whole answer; see ``Runtime.chat``."""
        call = self._parts.chat(
            prompt, model, stream=False, timeout=timeout, strict=strict, **options
        )
        async with self._open(AsyncChatStream(call, self._carrier(call))) as stream:
            async for _ in stream.batches():
                pass
        return stream.answer

    def stream(
        self,
        prompt: Prompt | None = None,
        *,
        model: str | None = None,
        timeout: float | None = None,
        strict: bool = False,
        **options: Any,
    ) -> AsyncChatStream:
        """The answer as it comes: ``async with rt.stream("hi") as events:``."""
        call = self._parts.chat(
            prompt, model, stream=True, timeout=timeout, strict=strict, **options
        )
        return self._open(AsyncChatStream(call, self._carrier(call)))

    async def embed(
        self, texts: str | Iterable[str], *, model: str | None = None, **options: Any
    ) -> Embeddings:
        """A vector for each text; see ``Runtime.embed``."""
        rows = [texts] if isinstance(texts, str) else list(texts)
        found = await self._one(self._parts.embed(rows, model, **options))
        return _counted(found, len(rows))

    async def rerank(
        self, query: str, documents: Iterable[str], *, model: str | None = None, **options: Any
    ) -> Ranking:
        """The documents, the most relevant first; see ``Runtime.rerank``."""
        request, call = self._parts.rerank(query, documents, model, **options)
        return _sorted(await self._one(call), request)

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
            return Models(await self._models_of(backend, timeout))
        names = self._parts.offering("catalog")
        return self._gather(names, await self._all(names, timeout))

    async def load(self, model: str | None = None, *, timeout: float | None = None) -> None:
        """Bring a model into memory; done when this returns."""
        await self._collect(self._parts.lifecycle("load", model, timeout))

    async def unload(self, model: str | None = None, *, timeout: float | None = None) -> None:
        """Free a model's memory; done when this returns."""
        await self._collect(self._parts.lifecycle("unload", model, timeout))

    async def probe(self, timeout: float = PROBE_SECONDS) -> Sequence[Probe]:
        """Ask every backend, at once, whether it is there and what it has."""
        started = time.monotonic()
        names = self._parts.offering("catalog")
        found = await self._all(names, timeout)
        return [self._probe(n, started, f) for n, f in zip(names, found, strict=True)]

    async def check(self, model: str | None = None, *, timeout: float | None = 30) -> Check:
        """Ask a model one short question; an empty answer fails."""
        target, started = self.resolve(model), time.monotonic()
        try:
            answer = await self.chat(CHECK_PROMPT, model=target.ref, max_tokens=16, timeout=timeout)
            error = _silence(answer)
        except MultitapError as failure:
            error = failure
        return _checked(target, started, error)

    # ---- how it is done ------------------------------------------------------------------------

    def _open(self, stream: Z) -> Z:
        self._streams.add(stream)
        return stream

    def _carrier(self, call: Call[Any]) -> Callable[[], AsyncCarrier]:
        return lambda: self._carrier_of(call.backend)

    def _carrier_of(self, backend: Backend) -> AsyncCarrier:
        carriers = self._carriers.setdefault(asyncio.get_running_loop(), {})
        if backend.id not in carriers:
            carriers[backend.id] = self._new_carrier(backend)
        return carriers[backend.id]

    def _new_carrier(self, backend: Backend) -> AsyncCarrier:
        if self._http is not None:
            from multitap.engine.httpx_carrier import AsyncHttpxCarrier

            return AsyncHttpxCarrier(backend.endpoint, client=self._http)
        from multitap.engine.direct_aio import AsyncDirectCarrier

        return AsyncDirectCarrier(backend.endpoint)

    async def _collect(self, call: Call[T]) -> list[T]:
        async with self._open(AsyncStream(call, self._carrier(call))) as stream:
            return [item async for item in stream]

    async def _one(self, call: Call[T]) -> T:
        return _single(await self._collect(call), call)

    async def _models_of(self, backend: str, timeout: float | None) -> Sequence[Model]:
        return self._keep(backend, await self._collect(self._parts.models(backend, timeout)))

    async def _tried(self, backend: str, timeout: float | None) -> Sequence[Model] | MultitapError:
        try:
            return await self._models_of(backend, timeout)
        except MultitapError as error:
            return error

    async def _all(
        self, names: Sequence[str], timeout: float | None
    ) -> list[Sequence[Model] | MultitapError]:
        return list(await asyncio.gather(*(self._tried(name, timeout) for name in names)))


def _single(results: Sequence[T], call: Call[T]) -> T:
    if len(results) != 1:
        raise call.located(
            ProtocolError(
                f"The backend gave {len(results)} results, not one", kind="empty_response"
            )
        )
    return results[0]


def _counted(found: Embeddings, wanted: int) -> Embeddings:
    if len(found.vectors) != wanted:
        raise ProtocolError(
            f"The backend gave {len(found.vectors)} vectors for {wanted} texts",
            kind="embedding_invalid",
        )
    return found


def _sorted(found: Ranking, request: RerankRequest) -> Ranking:
    strange = [r.index for r in found.results if not 0 <= r.index < len(request.documents)]
    if strange:
        raise ProtocolError(f"The backend ranked document {strange[0]}, which was not sent")
    results = sort_ranked(found.results, request.top_n, request.threshold)
    return attrs.evolve(found, results=results)


def _silence(answer: Answer) -> MultitapError | None:
    if answer.text or answer.reasoning or answer.tool_calls:
        return None
    return EngineError("The model answered nothing", kind="empty_response", backend=answer.backend)


def _checked(target: ResolvedModel, started: float, error: MultitapError | None) -> Check:
    return Check(
        ok=error is None,
        backend=target.backend,
        model=target.model,
        latency=time.monotonic() - started,
        error=error,
    )
