"""A provider that says what a test scripts, for applications that are to be tested without one.

>>> mock = MockProvider()
>>> with mock.runtime() as rt:
...     rt.chat("Why is the sky blue?").text, rt.embed("sky").vectors.width
('mock response', 3)
>>> mock.says("Because ", "it is.")
>>> with mock.runtime() as rt, rt.stream("Why?") as stream:
...     [event.content for event in stream if event.type == "text"]
['Because ', 'it is.']
>>> [request.messages[-1].text for request in mock.requests if hasattr(request, "messages")]
['Why is the sky blue?', 'Why?']
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

import attrs

from multitap.capabilities.catalog import Model
from multitap.capabilities.chat import ChatRequest
from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.errors import BackendError, ConfigError, NotSupported
from multitap.events import Event, Failed
from multitap.hookspecs import Backend, hookimpl
from multitap.messages import Image
from multitap.registry import Registry
from multitap.runtime import AsyncRuntime, Runtime
from multitap.testing.mocks.clients import (
    MockChatClient,
    MockEmbedClient,
    MockPromptClient,
    MockStreamClient,
)
from multitap.testing.mocks.playing import played
from multitap.testing.mocks.script import Line, events_of
from multitap.work import LocalExchange

__all__ = ("MockProvider",)

Rows = Sequence[Sequence[float]]

RESPONSE = ("mock response",)
STREAM = ("mock data part 1", "mock data part 2", "mock data part 3")
VECTOR = (0.1, 0.2, 0.3)


@attrs.define(kw_only=True, eq=False)
class MockProvider:
    """A provider in this process, with one model.

    Unscripted it says ``mock response``, streams three parts and embeds every text as ``[0.1, 0.2,
    0.3]``. What it can do is set by flags; what it cannot is ``NotSupported``.

    Attributes:
        id: The provider's name.
        name: The model's.
        context_length: Most tokens of prompt and answer; ``None``: unknown.
        max_output_tokens: Most tokens of an answer; ``None``: unknown.
        can_chat: It answers as a whole.
        can_stream: It answers as a stream.
        can_embed: It has embeddings.
        can_prompt: It has a client for single prompts.
        can_think: It takes ``think``.
        can_vision: It takes pictures.
        backends: Names of its backends in ``llm.toml``; by default one, of the provider's name.
        requests: What it was asked, in order.
    """

    id: str = "mock"
    name: str = "mock-model"
    context_length: int | None = None
    max_output_tokens: int | None = None
    can_chat: bool = True
    can_stream: bool = True
    can_embed: bool = True
    can_prompt: bool = True
    can_think: bool = False
    can_vision: bool = False
    backends: Sequence[str] = attrs.field(default=attrs.Factory(lambda self: (self.id,), True))
    requests: list[Union[ChatRequest, EmbeddingRequest]] = attrs.field(factory=list, init=False)
    _answers: deque[Sequence[Line]] = attrs.field(factory=deque, init=False)
    _vectors: deque[Union[Rows, BackendError]] = attrs.field(factory=deque, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    # ---- for the test ----------------------------------------------------------------------------

    def says(self, *lines: Line) -> None:
        """Script the next answer; each call scripts one, and they are given in order."""
        self._answers.append(lines)

    def embeds(self, vectors: Union[Rows, BackendError]) -> None:
        """Script the next embeddings: a row for each text, or the error."""
        self._vectors.append(vectors)

    @property
    def config(self) -> Mapping[str, Any]:
        """What ``llm.toml`` would say."""
        sections = {name: {"provider": self.id} for name in self.backends}
        return {"defaults": {"model": f"{self.backends[0]}:{self.name}"}, **sections}

    @property
    def registry(self) -> Registry:
        """A registry of this provider alone."""
        registry = Registry(environ={"MULTITAP_PLUGINS": "none"})
        answers = self.can_chat or self.can_stream or self.can_prompt
        able = {"chat": answers, "embedding": self.can_embed, "catalog": True}
        registry.add(self, self.id, [name for name, can in able.items() if can])
        return registry

    def runtime(self) -> Runtime:
        """A runtime of this provider alone; close it, or use it as a context manager."""
        return Runtime(self.config, registry=self.registry)

    def async_runtime(self) -> AsyncRuntime:
        """The same for coroutines."""
        return AsyncRuntime(self.config, registry=self.registry)

    # ---- clients ---------------------------------------------------------------------------------

    def chat_client(self, backend: str | None = None) -> MockChatClient:
        """For code that is given something to chat with; ``NotSupported`` where it cannot chat."""
        self._require("chat", self.can_chat)
        return MockChatClient(self.runtime, self._reference(backend))

    def prompt_client(self, backend: str | None = None) -> MockPromptClient:
        """For code that sends single prompts."""
        self._require("prompt", self.can_prompt)
        return MockPromptClient(self.runtime, self._reference(backend))

    def embed_client(self, backend: str | None = None) -> MockEmbedClient:
        """For code that embeds."""
        self._require("embed", self.can_embed)
        return MockEmbedClient(self.runtime, self._reference(backend))

    def stream_client(self, backend: str | None = None) -> MockStreamClient:
        """For code that reads an answer as it comes."""
        self._require("stream", self.can_stream)
        return MockStreamClient(self.runtime, self._reference(backend))

    # ---- for the runtime -------------------------------------------------------------------------

    @hookimpl
    def multitap_chat(self, backend: Backend) -> MockProvider:
        """Say what is scripted."""
        return self

    @hookimpl
    def multitap_embedding(self, backend: Backend) -> MockProvider:
        """Embed as is scripted."""
        return self

    @hookimpl
    def multitap_catalog(self, backend: Backend) -> MockProvider:
        """List the one model."""
        return self

    @property
    def options(self) -> frozenset[str]:
        """Every option is taken; ``think`` where it can."""
        names = {field.name for field in attrs.fields(ChatRequest)}
        return frozenset(names if self.can_think else names - {"think"})

    def chat(self, request: ChatRequest, /) -> LocalExchange[Event]:
        """The next scripted answer, to each attempt another."""
        self._refuse(request)
        default = STREAM if request.stream else RESPONSE
        return played(lambda: self._next(request, self._answers, default, events_of))

    def embed(self, request: EmbeddingRequest, /) -> LocalExchange[Embeddings]:
        """The next scripted vectors."""
        default = [VECTOR] * len(request.texts)
        return played(lambda: self._next(request, self._vectors, default, _embedded))

    def models(self) -> LocalExchange[Model]:
        """The one model, with what the flags say of it."""
        features = {
            "chat": self.can_chat or self.can_stream or self.can_prompt,
            "embedding": self.can_embed,
            "thinking": self.can_think,
            "vision": self.can_vision,
        }
        model = Model(
            id=self.name,
            capabilities=frozenset(name for name, can in features.items() if can),
            context_length=self.context_length,
            max_output_tokens=self.max_output_tokens,
        )
        return played(lambda: [model])

    def _next(self, request: Any, script: deque[Any], default: Any, read: Any) -> Iterator[Any]:
        """What is scripted for this attempt."""
        with self._lock:
            self.requests.append(request)
            lines = script.popleft() if script else default
        return iter(read(lines))

    def _refuse(self, request: ChatRequest) -> None:
        if request.stream:
            self._require("stream", self.can_stream)
        else:
            self._require("chat", self.can_chat or self.can_prompt)
        parts = [part for message in request.messages for part in message.parts]
        self._require("vision", self.can_vision or not any(isinstance(p, Image) for p in parts))

    def _require(self, flag: str, can: bool) -> None:
        """``NotSupported`` where it cannot, naming the flag."""
        if not can:
            hint = f"Make it with can_{flag}=True."
            raise NotSupported(f"This mock has can_{flag}=False", backend=self.id, hint=hint)

    def _reference(self, backend: str | None) -> str:
        name = self.backends[0] if backend is None else backend
        if name not in self.backends:
            known = ", ".join(self.backends)
            raise ConfigError(f"This mock has no backend {name!r}", hint=f"It has {known}.")
        return f"{name}:{self.name}"


def _embedded(rows: Union[Rows, BackendError]) -> Iterator[Union[Embeddings, Failed]]:
    if isinstance(rows, BackendError):
        yield Failed(rows)
    else:
        yield Embeddings(vectors=Vectors.from_rows(rows))
