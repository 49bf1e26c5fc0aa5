"""ollama-python: "Streaming responses", "Async Client" and "Embed" of
https://github.com/ollama/ollama-python#readme."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ollama

from bench.clients import MESSAGES

DISTRIBUTION = "ollama"


class Sync:
    def __init__(self, origin: str) -> None:
        self._client = ollama.Client(host=origin)

    def stream(self, model: str, tell: Callable[[str], object]) -> None:
        for chunk in self._client.chat(model=model, messages=MESSAGES, stream=True):
            if chunk["message"]["content"]:
                tell(chunk["message"]["content"])

    def embed(self, model: str, texts: Sequence[str]) -> Any:
        import numpy as np

        reply = self._client.embed(model=model, input=texts)
        return np.array(reply["embeddings"], dtype="float32")


class Async:
    def __init__(self, origin: str) -> None:
        self._client = ollama.AsyncClient(host=origin)

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        async for part in await self._client.chat(model=model, messages=MESSAGES, stream=True):
            if part["message"]["content"]:
                tell(part["message"]["content"])
