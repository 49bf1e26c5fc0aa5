"""Requests whose answer is one JSON value, which may stand in a queue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import attrs

from multitap.dialects.openai.asking import json_exchange
from multitap.work import Exchange
from multitap_vllm.errors import explain_vllm

__all__ = ("SILENCE", "exchange", "patient")

T = TypeVar("T")
V = TypeVar("V")

SILENCE = 600.0
"""Seconds without a byte that mean nothing: vLLM queues requests without a bound."""


def exchange(
    path: str, body: dict[str, Any], shape: type[V], read: Callable[[V], T]
) -> Exchange[T]:
    """Post a body and make one result of the answer; asking again does no harm."""
    return patient(
        json_exchange("POST", path, shape, lambda value: [read(value)], body, explain=explain_vllm)
    )


def patient(work: Exchange[T]) -> Exchange[T]:
    """The same, for a request that may stand in a queue."""
    return attrs.evolve(work, call=attrs.evolve(work.call, first_byte=SILENCE))
