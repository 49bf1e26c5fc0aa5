"""any-llm, one object kept: "Option 2: AnyLLM Class" of https://github.com/mozilla-ai/any-llm#readme."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from any_llm import AnyLLM

from bench.clients import KEY, MESSAGES, USAGE

DISTRIBUTION = "any-llm-sdk"


class Sync:
    def __init__(self, origin: str) -> None:
        self._llm = _made(origin)

    def stream(self, model: str, tell: Callable[[str], object]) -> None:
        chunks = self._llm.completion(
            model=model, messages=MESSAGES, stream=True, stream_options=USAGE
        )
        for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                tell(chunk.choices[0].delta.content)


class Async:
    def __init__(self, origin: str) -> None:
        self._llm = _made(origin)

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        chunks = await self._llm.acompletion(
            model=model, messages=MESSAGES, stream=True, stream_options=USAGE
        )
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                tell(chunk.choices[0].delta.content)


def _made(origin: str) -> Any:
    return AnyLLM.create("openai", api_key=KEY, api_base=f"{origin}/v1")
