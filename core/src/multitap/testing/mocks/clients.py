"""Clients of a mock: one small object for each thing that an application may ask of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Union

from multitap.answer import Answer
from multitap.events import Event
from multitap.messages import Message
from multitap.runtime import Runtime

__all__ = ("MockChatClient", "MockEmbedClient", "MockPromptClient", "MockStreamClient")

Messages = Iterable[Union[Message, Mapping[str, Any]]]


class _Client:
    """One model of a mock.

    Args:
        runtime: Makes the runtime that asks it.
        model: The model's reference.
    """

    def __init__(self, runtime: Callable[[], Runtime], model: str) -> None:
        self._runtime, self._model = runtime, model

    def close(self) -> None:
        """Nothing is open, so nothing happens."""


class MockChatClient(_Client):
    """Answers as a whole."""

    def chat(self, messages: Messages, **options: Any) -> Answer:
        """The next scripted answer; what fails in it is raised."""
        with self._runtime() as rt:
            return rt.chat(messages=messages, model=self._model, **options)


class MockPromptClient(_Client):
    """Answers one prompt with a text."""

    def prompt(self, system: str, temperature: float | None, prompt: str) -> str:
        """The text of the next scripted answer; a blank ``system`` is left out."""
        with self._runtime() as rt:
            asked = rt.model(self._model)
            return asked.chat(prompt, system=system, temperature=temperature).text


class MockEmbedClient(_Client):
    """Embeds one text."""

    def embed(self, prompt: str) -> list[float]:
        """The next scripted vector, in the precision of the wire: float32."""
        with self._runtime() as rt:
            return list(rt.embed(prompt, model=self._model).vectors[0])


class MockStreamClient(_Client):
    """Answers as a stream."""

    def stream(self, messages: Messages, **options: Any) -> Iterator[Event]:
        """The events of the next scripted answer; what fails in it is raised at its place."""
        with (
            self._runtime() as rt,
            rt.stream(messages=messages, model=self._model, **options) as events,
        ):
            yield from events
