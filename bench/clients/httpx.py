"""httpx and json, which is what an application writes without any SDK: "Streaming Responses" of
https://www.python-httpx.org/quickstart/ and https://www.python-httpx.org/async/."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from bench.clients import MESSAGES, SECONDS, USAGE

DISTRIBUTION = "httpx"
_PATH = "/v1/chat/completions"
_LIMITS = httpx.Limits(max_connections=2000, max_keepalive_connections=2000)


class Sync:
    def __init__(self, origin: str) -> None:
        self._client = httpx.Client(base_url=origin, timeout=SECONDS)

    def stream(self, model: str, tell: Callable[[str], object]) -> None:
        with self._client.stream("POST", _PATH, json=_body(model)) as reply:
            for line in reply.iter_lines():
                _tell(line, tell)


class Async:
    def __init__(self, origin: str) -> None:
        self._client = httpx.AsyncClient(base_url=origin, timeout=SECONDS, limits=_LIMITS)

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        async with self._client.stream("POST", _PATH, json=_body(model)) as reply:
            async for line in reply.aiter_lines():
                _tell(line, tell)

    async def chat(self, model: str) -> str:
        reply = await self._client.post(_PATH, json={"model": model, "messages": MESSAGES})
        text: str = reply.json()["choices"][0]["message"]["content"]
        return text


def _tell(line: str, tell: Callable[[str], object]) -> None:
    if line.startswith("data: ") and line != "data: [DONE]":
        for choice in json.loads(line[6:])["choices"]:
            if choice["delta"].get("content"):
                tell(choice["delta"]["content"])


def _body(model: str) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, "stream": True, "stream_options": USAGE}
