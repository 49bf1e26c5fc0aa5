"""pydantic-ai: "Streaming Text" of https://ai.pydantic.dev/output/, and
https://ai.pydantic.dev/models/openai/#openai-compatible-models for the server."""

from __future__ import annotations

from collections.abc import Callable

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from bench.clients import KEY, PROMPT

DISTRIBUTION = "pydantic-ai-slim"


class Async:
    def __init__(self, origin: str) -> None:
        self._provider = OpenAIProvider(base_url=f"{origin}/v1", api_key=KEY)
        self._agent = Agent()

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        asked = OpenAIChatModel(model, provider=self._provider)
        async with self._agent.run_stream(PROMPT, model=asked) as result:
            async for text in result.stream_text(delta=True, debounce_by=None):
                tell(text)
