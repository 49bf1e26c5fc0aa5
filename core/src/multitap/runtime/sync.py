"""The blocking runtime.

>>> with Runtime({"defaults": {"provider": "echo", "model": "echo"}}) as rt:
...     print(rt.chat("Is anybody there?").text)
Is anybody there?
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from multitap.answer import Answer
from multitap.capabilities.catalog import Model
from multitap.capabilities.embedding import Embeddings
from multitap.capabilities.provider import Validation
from multitap.capabilities.rerank import Ranking
from multitap.capabilities.tokenize import Tokens
from multitap.config.routes import Route
from multitap.engine.call import Call
from multitap.engine.carrier import Carrier
from multitap.engine.sync import ChatStream, Stream, whole
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
from multitap.runtime.composition import ConfigSource
from multitap.runtime.launches import Launches, Server
from multitap.runtime.media_verbs import MediaHandle
from multitap.runtime.traffic import Timeouts
from multitap.work import Backend

if TYPE_CHECKING:
    import httpx

__all__ = ("ModelHandle", "Runtime")

T = TypeVar("T")
R = TypeVar("R", bound="Runtime")
S = TypeVar("S", bound=Stream[Any])


class Runtime(Launches):
    """Every installed backend, in blocking code; safe to share between threads.

    Args:
        config: ``None``: the layers of ``llm.toml``; a path: this one file; a mapping in the shape
            of ``llm.toml``: only this.
        registry: Where plugins are found; ``None``: what is installed.
        http: An ``httpx.Client`` to use in place of the own carrier.
        clock: Seconds that only grow, by which every deadline and wait is reckoned.
    """

    def __init__(
        self,
        config: ConfigSource = None,
        *,
        registry: Registry | None = None,
        http: httpx.Client | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(config, registry, clock)
        self._http = http
        self._carriers: dict[tuple[str, Route], Carrier] = {}
        self._streams: WeakSet[Stream[Any]] = WeakSet()
        self._servers: WeakSet[Server] = WeakSet()

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
        """End every stream and launched server, and close every connection."""
        for server in tuple(self._servers):
            server.close()
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
        timeout: Timeouts = None,
        strict: bool = False,
        **options: Any,
    ) -> Answer:
        """The whole answer to a prompt, or to ``messages=``.

        Args:
            prompt: A text, or texts and parts such as ``Image``.
            model: A model reference; ``None``: the default.
            timeout: Seconds for the whole call; or by clock: ``{"total": 60, "idle": 5}``.
            strict: Raise ``NotSupported`` where an option would only be a warning.
            options: ``messages, system, tools, tool_choice, response_format, max_tokens,
                temperature, top_p, seed, stop, think, logprobs, n, truncate, shift, cache, extra,
                metadata``; ``fallback`` (references of models to ask where this one fails),
                ``idempotent`` (it may run twice, so try again even if it may have run), ``force``
                (ask a backend that is known to be down), ``limits`` (sizes, by name).

        Raises:
            ConfigError: A wrong argument, an unknown model or backend.
            BackendError: The backend failed; what had come is in ``error.partial``.
        """
        call = self._parts.chat(
            prompt, model, stream=False, timeout=timeout, strict=strict, **options
        )
        return whole(self._open(ChatStream(call, self._carrier)))

    def stream(
        self,
        prompt: Prompt | None = None,
        *,
        model: str | None = None,
        timeout: Timeouts = None,
        strict: bool = False,
        **options: Any,
    ) -> ChatStream:
        """The answer as it comes: ``with rt.stream("hi") as events:``; arguments as in ``chat``."""
        call = self._parts.chat(
            prompt, model, stream=True, timeout=timeout, strict=strict, **options
        )
        return self._open(ChatStream(call, self._carrier))

    def embed(
        self, texts: str | Iterable[str], *, model: str | None = None, **options: Any
    ) -> Embeddings:
        """A vector for each text, in order, however many there are.

        More texts than one request may have are sent in batches, one after the other. ``timeout``
        is for all of them, and one that fails ends the call.

        Args:
            texts: One or several, none of them empty.
            model: A model reference; ``None``: the default.
            options: ``dimensions, input_type, timeout, limits, force``.

        Raises:
            ConfigError: No text, or an empty one.
            ContextOverflow: A text is too long for the model; ``error.texts`` says which.
            NotSupported: The model does not embed, or has no such width.
        """
        batches = self._parts.embed(texts, model, **options)
        for part in batches:
            try:
                call = batches.call(part)
                with self._stream(call) as stream:
                    found = single(list(stream), call)
                batches.done(part, found, stream.outcome.attempts)
            except (BackendError, PluginError) as error:
                batches.failed(part, error)
        return batches.joined()

    def rerank(
        self, query: str, documents: Iterable[str], *, model: str | None = None, **options: Any
    ) -> Ranking:
        """The documents, the most relevant first; options: ``top_n, threshold, timeout``."""
        request, call = self._parts.rerank(query, documents, model, **options)
        return ranked(self._one(call), request, call)

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
            backend = self._parts.name_of(backend)
            return Models(self._models_of(backend, timeout, patient=True))
        names = self._parts.offering("catalog")
        return self._gather(names, self._all(names, lambda n: self._tried(n, timeout)))

    def validate(
        self, backend: str | None = None, *, model: str | None = None, timeout: float | None = None
    ) -> Validation:
        """Prove a backend's endpoint and key, and a model if one is named.

        A provider without a hook for it is asked for its models instead.

        Args:
            backend: Its id; ``None``: the model's backend, or the default one.
            model: The model's id at this backend; without ``backend`` it is a reference.

        Raises:
            BackendError: ``ProviderDown``, ``AuthenticationError``, ``ModelNotFound`` and so on.
        """
        target = self._parts.to_validate(backend, model)
        if self._parts.has_validation(target.backend):
            return self._one(self._parts.validate(target, timeout))
        return listed(self._models_of(target.backend, timeout, patient=True), target)

    def probe(
        self, timeout: float = PROBE_SECONDS, *, backend: str | None = None
    ) -> Sequence[Probe]:
        """Ask every backend, or one, at once, whether it is there and what it has."""
        started = time.monotonic()
        names = [n for n in self._parts.offering("catalog") if backend in (None, n)]
        found = self._all(names, lambda name: self._tried(name, timeout))
        return [self._probed(n, started, f) for n, f in zip(names, found, strict=True)]

    def check(
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
            answer = self.chat(CHECK_PROMPT, model=target.ref, timeout=timeout, **options)
            error = silence(answer)
            facts = schema_facts(answer) if schema else {}
        except MultitapError as failure:
            error = failure
        return checked(target, started, error, **facts)

    def model(self, reference: str | None = None) -> ModelHandle:
        """One model, with the verbs above bound to it; an unknown backend is a ``ConfigError``."""
        target = self.resolve(reference)
        self._parts.backend(target.backend)
        return ModelHandle(self, target)

    # ---- how it is done ------------------------------------------------------------------------

    def _open(self, stream: S) -> S:
        self._streams.add(stream)
        return stream

    def _carrier(self, backend: Backend) -> Carrier:
        route = self._parts.view.route(backend, self._http)
        way = (backend.id, route)
        found = self._carriers.get(way)
        if found is None:  # of two threads' first calls, both use the one that is kept
            made = self._new_carrier(backend, route)
            found = self._carriers.setdefault(way, made)
            if found is not made:
                made.close()
        return found

    def _new_carrier(self, backend: Backend, route: Route) -> Carrier:
        if route.carrier == "httpx":
            from multitap.engine.httpx_carrier import HttpxCarrier

            return HttpxCarrier(backend.endpoint, self._http, route.proxy, route.ca_file)
        from multitap.engine.direct.sync import DirectCarrier

        return DirectCarrier(
            backend.endpoint,
            proxy=route.proxy,
            ca_file=route.ca_file,
            now=self._parts.traffic.clock,
        )

    def _ended(self, backend: str) -> None:
        self._parts.forget(backend)
        for way in tuple(self._carriers):
            if way[0] == backend:
                self._carriers.pop(way).close()

    def _stream(self, call: Call[T]) -> Stream[T]:
        return self._open(Stream(call, self._carrier))

    def _collect(self, call: Call[T]) -> list[T]:
        with self._stream(call) as stream:
            return list(stream)

    def _one(self, call: Call[T]) -> T:
        return single(self._collect(call), call)

    def _models_of(self, backend: str, timeout: float | None, *, patient: bool) -> Sequence[Model]:
        return self._keep(
            backend, self._collect(self._parts.models(backend, timeout, patient=patient))
        )

    def _tried(self, backend: str, timeout: float | None) -> Sequence[Model] | MultitapError:
        try:
            return self._models_of(backend, timeout, patient=False)
        except MultitapError as error:
            return error

    def _all(self, names: Sequence[str], ask: Callable[[str], T]) -> list[T]:
        if len(names) < 2:
            return [ask(name) for name in names]
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="multitap-ask") as pool:
            return list(pool.map(ask, names))


class ModelHandle(MediaHandle):
    """What ``Runtime.model`` gives; arguments are those of the runtime's own methods."""

    def __init__(self, runtime: Runtime, target: ResolvedModel) -> None:
        super().__init__(runtime, target)
        self._runtime = runtime

    def chat(self, prompt: Prompt | None = None, **options: Any) -> Answer:
        """The whole answer."""
        return self._runtime.chat(prompt, model=self.ref, **options)

    def stream(self, prompt: Prompt | None = None, **options: Any) -> ChatStream:
        """The answer as it comes."""
        return self._runtime.stream(prompt, model=self.ref, **options)

    def embed(self, texts: str | Iterable[str], **options: Any) -> Embeddings:
        """A vector for each text."""
        return self._runtime.embed(texts, model=self.ref, **options)

    def rerank(self, query: str, documents: Iterable[str], **options: Any) -> Ranking:
        """The documents, the most relevant first."""
        return self._runtime.rerank(query, documents, model=self.ref, **options)

    def tokenize(self, text: str, **options: Any) -> Tokens:
        """The model's tokens of a text."""
        return self._runtime.tokenize(text, model=self.ref, **options)

    def detokenize(self, ids: Iterable[int], **options: Any) -> str:
        """The text of some tokens."""
        return self._runtime.detokenize(ids, model=self.ref, **options)
