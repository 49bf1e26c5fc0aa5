"""openai-python: "Usage", "Async usage" and "Streaming responses" of
https://github.com/openai/openai-python#readme, over chat completions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import openai

from bench.clients import KEY, MESSAGES, SECONDS, USAGE

DISTRIBUTION = "openai"


class Sync:
    def __init__(self, origin: str) -> None:
        self._client = openai.OpenAI(base_url=f"{origin}/v1", api_key=KEY, timeout=SECONDS)

    def stream(self, model: str, tell: Callable[[str], object]) -> None:
        chunks = self._client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options=USAGE
        )
        for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                tell(chunk.choices[0].delta.content)

    def embed(self, model: str, texts: Sequence[str]) -> Any:
        import numpy as np

        reply = self._client.embeddings.create(model=model, input=texts)
        return np.array([item.embedding for item in reply.data], dtype="float32")


class Async:
    def __init__(self, origin: str) -> None:
        self._client = openai.AsyncOpenAI(base_url=f"{origin}/v1", api_key=KEY, timeout=SECONDS)

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        chunks = await self._client.chat.completions.create(
            model=model, messages=MESSAGES, stream=True, stream_options=USAGE
        )
        async for chunk in chunks:
            if chunk.choices and chunk.choices[0].delta.content:
                tell(chunk.choices[0].delta.content)

    async def chat(self, model: str) -> str | None:
        reply = await self._client.chat.completions.create(model=model, messages=MESSAGES)
        text: str | None = reply.choices[0].message.content
        return text
