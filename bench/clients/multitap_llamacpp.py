"""Multitap with llama.cpp in this process: README of plugins/llamacpp.

Its place is a model's file.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.clients import PROMPT, SECONDS
from bench.clients.xllamacpp import CONTEXT
from multitap import Runtime

DISTRIBUTION = "multitap-llamacpp"


class Sync:
    def __init__(self, file: str) -> None:
        self._runtime = Runtime({"llamacpp": {"threads": 1, "parallel": 1, "context": CONTEXT}})
        self._model = f"path:{file}"

    def generate(self, tokens: int, tell: Callable[[str], object]) -> None:
        """Greedy, and not to be stopped before so many tokens."""
        options = {"max_tokens": tokens, "temperature": 0, "extra": {"ignore_eos": True}}
        with self._runtime.stream(PROMPT, model=self._model, timeout=SECONDS, **options) as events:
            for event in events:
                if event.type == "text":
                    tell(event.content)
