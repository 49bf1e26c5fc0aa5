"""aiohttp and json: "Client example" of https://github.com/aio-libs/aiohttp#readme, and "Streaming
Response Content" of https://docs.aiohttp.org/en/stable/client_quickstart.html."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import aiohttp

from bench.clients import MESSAGES, SECONDS, USAGE

DISTRIBUTION = "aiohttp"
_PATH = "/v1/chat/completions"


class Async:
    def __init__(self, origin: str) -> None:
        self._session = aiohttp.ClientSession(
            origin,
            connector=aiohttp.TCPConnector(limit=2000),
            timeout=aiohttp.ClientTimeout(SECONDS),
        )

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        async with self._session.post(_PATH, json=_body(model)) as reply:
            async for line in reply.content:
                if line.startswith(b"data: {"):
                    for choice in json.loads(line[6:])["choices"]:
                        if choice["delta"].get("content"):
                            tell(choice["delta"]["content"])

    async def chat(self, model: str) -> str:
        body = {"model": model, "messages": MESSAGES}
        async with self._session.post(_PATH, json=body) as reply:
            text: str = (await reply.json())["choices"][0]["message"]["content"]
            return text


def _body(model: str) -> dict[str, Any]:
    return {"model": model, "messages": MESSAGES, "stream": True, "stream_options": USAGE}
