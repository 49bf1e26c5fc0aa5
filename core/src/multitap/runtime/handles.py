"""One model of one backend: the runtime's verbs, bound to it.

>>> from multitap.runtime import Runtime
>>> with Runtime({}) as rt:
...     echo = rt.model("echo:echo")
...     print(echo.ref, echo.chat("hello").text)
echo:echo hello
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from multitap.answer import Answer
from multitap.capabilities.embedding import Embeddings
from multitap.capabilities.rerank import Ranking
from multitap.capabilities.tokenize import Tokens
from multitap.engine.aio import AsyncChatStream
from multitap.engine.sync import ChatStream
from multitap.plan import Prompt
from multitap.resolve import ResolvedModel

if TYPE_CHECKING:
    from multitap.runtime.aio import AsyncRuntime
    from multitap.runtime.sync import Runtime

__all__ = ("AsyncModelHandle", "ModelHandle")

T = TypeVar("T")
Later = Coroutine[Any, Any, T]


class _Named:
    """Which model it is."""

    def __init__(self, target: ResolvedModel) -> None:
        self.backend = target.backend
        self.id = target.model
        self.ref = target.ref

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.ref}>"


class ModelHandle(_Named):
    """What ``Runtime.model`` gives; arguments are those of the runtime's own methods."""

    def __init__(self, runtime: Runtime, target: ResolvedModel) -> None:
        super().__init__(target)
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


class AsyncModelHandle(_Named):
    """What ``AsyncRuntime.model`` gives."""

    def __init__(self, runtime: AsyncRuntime, target: ResolvedModel) -> None:
        super().__init__(target)
        self._runtime = runtime

    def chat(self, prompt: Prompt | None = None, **options: Any) -> Later[Answer]:
        """The whole answer."""
        return self._runtime.chat(prompt, model=self.ref, **options)

    def stream(self, prompt: Prompt | None = None, **options: Any) -> AsyncChatStream:
        """The answer as it comes."""
        return self._runtime.stream(prompt, model=self.ref, **options)

    def embed(self, texts: str | Iterable[str], **options: Any) -> Later[Embeddings]:
        """A vector for each text."""
        return self._runtime.embed(texts, model=self.ref, **options)

    def rerank(self, query: str, documents: Iterable[str], **options: Any) -> Later[Ranking]:
        """The documents, the most relevant first."""
        return self._runtime.rerank(query, documents, model=self.ref, **options)

    def tokenize(self, text: str, **options: Any) -> Later[Tokens]:
        """The model's tokens of a text."""
        return self._runtime.tokenize(text, model=self.ref, **options)
