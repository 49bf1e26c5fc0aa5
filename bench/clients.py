"""The clients that are compared: each reads one streamed answer and returns its texts.

``raw`` is the floor: it reads the bytes, counts blank lines and makes nothing of them.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

STANDIN = Path(__file__).parents[1] / "tests" / "standin"
PROMPT = "Why is the sky blue?"

Texts = list[str]
Ask = Callable[[str], "Texts | int"]


def raw(port: int) -> Ask:
    """A bare socket that counts blank lines."""
    connection = socket.create_connection(("127.0.0.1", port))

    def ask(model: str) -> int:
        body = json.dumps(_body(model)).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}"
        connection.sendall(head.encode() + b"\r\n\r\n" + body)
        blank_lines, last = 0, b""
        while not last.endswith(b"\r\n0\r\n\r\n"):
            data = connection.recv(65536)
            blank_lines += (last[-1:] + data).count(b"\n\n")
            last = (last + data)[-8:]
        return blank_lines

    return ask


def httpx_json(port: int) -> Ask:
    """What an application writes without any SDK."""
    import httpx

    client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)

    def ask(model: str) -> Texts:
        texts: Texts = []
        with client.stream("POST", "/v1/chat/completions", json=_body(model)) as reply:
            for line in reply.iter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                deltas = (choice["delta"] for choice in json.loads(line[6:])["choices"])
                texts += [delta["content"] for delta in deltas if delta.get("content")]
        return texts

    return ask


def multitap_sync(port: int) -> Ask:
    """``Runtime.stream``."""
    from multitap import Runtime

    runtime = Runtime(_config(port), registry=_registry())

    def ask(model: str) -> Texts:
        with runtime.stream(PROMPT, model=model) as events:
            return [event.content for event in events if event.type == "text"]

    return ask


def multitap_asyncio(port: int) -> Ask:
    """``AsyncRuntime.stream`` on asyncio's own loop."""
    return _multitap_on(asyncio.new_event_loop(), port)


def multitap_uvloop(port: int) -> Ask:
    """``AsyncRuntime.stream`` on uvloop."""
    import uvloop

    return _multitap_on(uvloop.new_event_loop(), port)


def _multitap_on(loop: asyncio.AbstractEventLoop, port: int) -> Ask:
    from multitap import AsyncRuntime

    runtime = AsyncRuntime(_config(port), registry=_registry())

    async def ask(model: str) -> Texts:
        async with runtime.stream(PROMPT, model=model) as events:
            return [event.content async for event in events if event.type == "text"]

    return lambda model: loop.run_until_complete(ask(model))


def _body(model: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": PROMPT}]
    options = {"stream": True, "stream_options": {"include_usage": True}}
    return {"model": model, "messages": messages, **options}


def _config(port: int) -> dict[str, Any]:
    backend = {"endpoint": f"http://127.0.0.1:{port}"}
    return {"defaults": {"provider": "standin"}, "standin": backend}


def _registry() -> Any:
    sys.path[:0] = [str(STANDIN), str(STANDIN / "src")]
    from installed import standin_registry

    return standin_registry()


CLIENTS: dict[str, Callable[[int], Ask]] = {
    "raw socket": raw,
    "httpx + json": httpx_json,
    "Multitap, sync": multitap_sync,
    "Multitap, asyncio": multitap_asyncio,
    "Multitap, uvloop": multitap_uvloop,
}
