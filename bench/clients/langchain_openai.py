"""langchain-openai: "Streaming" of
https://docs.langchain.com/oss/python/integrations/chat/openai, which its README names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from langchain_openai import ChatOpenAI

from bench.clients import KEY, PROMPT, SECONDS

DISTRIBUTION = "langchain-openai"


class Sync:
    def __init__(self, origin: str) -> None:
        self._model = _made(origin)

    def stream(self, model: str, tell: Callable[[str], object]) -> None:
        for chunk in self._model.stream(PROMPT, model=model):
            if chunk.content:
                tell(chunk.content)


class Async:
    def __init__(self, origin: str) -> None:
        self._model = _made(origin)

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        async for chunk in self._model.astream(PROMPT, model=model):
            if chunk.content:
                tell(chunk.content)


def _made(origin: str) -> Any:
    return ChatOpenAI(
        model="bench", base_url=f"{origin}/v1", api_key=KEY, timeout=SECONDS, stream_usage=True
    )
