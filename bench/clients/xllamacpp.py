"""xllamacpp: "Quick start" and "Usage" of https://github.com/xorbitsai/xllamacpp#readme.

Its place is a model's file. Threads, batch and context are those that our plugin sets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xllamacpp

from bench.clients import MESSAGES

DISTRIBUTION = "xllamacpp"
CONTEXT, BATCH = 1024, 512


class Sync:
    def __init__(self, file: str) -> None:
        parameters = xllamacpp.CommonParams()
        parameters.model.path = file
        parameters.n_ctx, parameters.n_parallel = CONTEXT, 1
        parameters.n_batch = parameters.n_ubatch = BATCH
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        parameters.verbosity = -1
        parameters.port = 0
        self._server = xllamacpp.Server(parameters)

    def generate(self, tokens: int, tell: Callable[[str], object]) -> None:
        """Greedy, and not to be stopped before so many tokens."""

        def take(chunk: dict[str, Any]) -> None:
            for choice in chunk["choices"]:
                if choice["delta"].get("content"):
                    tell(choice["delta"]["content"])

        options = {"max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True}
        self._server.handle_chat_completions({"messages": MESSAGES, **options}, take)
