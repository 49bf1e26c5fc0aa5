"""litellm: "Usage", "Async" and "Streaming" of https://github.com/BerriAI/litellm#readme; for a
server that speaks OpenAI's API as https://docs.litellm.ai/docs/providers/openai_compatible says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import litellm

from bench.clients import KEY, MESSAGES, SECONDS, USAGE

DISTRIBUTION = "litellm"


class Sync:
    def __init__(self, origin: str) -> None:
        self._options = _options(origin)

    def stream(self, model: str, tell: Callable[[str], object]) -> None:
        reply = litellm.completion(f"openai/{model}", stream=True, **self._options)
        for part in reply:
            if part.choices and part.choices[0].delta.content:
                tell(part.choices[0].delta.content)


class Async:
    def __init__(self, origin: str) -> None:
        self._options = _options(origin)

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        reply = await litellm.acompletion(f"openai/{model}", stream=True, **self._options)
        async for part in reply:
            if part.choices and part.choices[0].delta.content:
                tell(part.choices[0].delta.content)


def _options(origin: str) -> dict[str, Any]:
    where = {"api_base": f"{origin}/v1", "api_key": KEY, "timeout": SECONDS}
    return {**where, "messages": MESSAGES, "stream_options": USAGE}
