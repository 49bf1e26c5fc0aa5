"""Multitap: "Streams" of docs/python.md. Every event is seen; usage, deadline and a tool are on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from bench.clients import KEY, PROMPT, SECONDS
from multitap import AsyncRuntime, Runtime, Tool

DISTRIBUTION = "multitap"
PLACE = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
WEATHER = Tool("weather", "The weather of a city.", PLACE)


class Settings:
    """How the backend is configured, and the arguments of each call."""

    provider: ClassVar[str] = "openai"
    more: ClassVar[dict[str, Any]] = {"api_key": KEY, "encoding": "base64"}

    @classmethod
    def config(cls, origin: str, **settings: Any) -> dict[str, Any]:
        backend = {"endpoint": origin, **cls.more, **settings}
        return {"defaults": {"provider": cls.provider}, cls.provider: backend}

    options: ClassVar[dict[str, Any]] = {"tools": [WEATHER], "timeout": SECONDS}


class Sync(Settings):
    def __init__(self, origin: str, **settings: Any) -> None:
        self._runtime = Runtime(self.config(origin, **settings))

    def stream(self, model: str, tell: Callable[[str], object]) -> None:
        with self._runtime.stream(PROMPT, model=model, **self.options) as events:
            for event in events:
                if event.type == "text":
                    tell(event.content)

    def embed(self, model: str, texts: Sequence[str]) -> Any:
        import numpy as np

        return np.asarray(self._runtime.embed(texts, model=model).vectors)


class Async(Settings):
    def __init__(self, origin: str) -> None:
        self._runtime = AsyncRuntime(self.config(origin))

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        async with self._runtime.stream(PROMPT, model=model, **self.options) as events:
            async for event in events:
                if event.type == "text":
                    tell(event.content)

    async def chat(self, model: str) -> str:
        answer = await self._runtime.chat(PROMPT, model=model, **self.options)
        return answer.text
