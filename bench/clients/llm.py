"""llm: https://llm.datasette.io/en/stable/python-api.html, which its README names, and
https://llm.datasette.io/en/stable/other-models.html for a server that speaks OpenAI's API."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llm

from bench.clients import KEY, PROMPT

DISTRIBUTION = "llm"
_MODELS = "- model_id: bench\n  model_name: bench\n  api_base: {origin}/v1\n"


class Sync:
    def __init__(self, origin: str) -> None:
        _configure(origin)
        self._model = _keyed(llm.get_model("bench"))

    def stream(self, model: str, tell: Callable[[str], object]) -> None:
        self._model.model_name = model
        for chunk in self._model.prompt(PROMPT):
            if chunk:
                tell(chunk)


class Async:
    def __init__(self, origin: str) -> None:
        _configure(origin)
        self._model = _keyed(llm.get_async_model("bench"))

    async def stream(self, model: str, tell: Callable[[str], object]) -> None:
        self._model.model_name = model
        async for chunk in self._model.prompt(PROMPT):
            if chunk:
                tell(chunk)


def _configure(origin: str) -> None:
    folder = Path(os.environ["LLM_USER_PATH"])
    text = _MODELS.format(origin=origin)
    (folder / "extra-openai-models.yaml").write_text(text, "utf-8")


def _keyed(model: Any) -> Any:
    model.key = KEY
    return model
