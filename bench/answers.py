"""What the backend sends, made beforehand, and what a client has to find in it.

A model's name says what is wanted: ``burst-20000`` is as many tokens as fast as the client reads,
``paced-1000`` the same with one write for each, 250 a second, ``slow-150`` the same at 50 a second,
where each token is the time of its writing. Anything else is a short answer.
"""

from __future__ import annotations

import base64
import json
import random
from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Any

WORDS = ("Why", " is", " the", " sky", " blue", "?", " –", " It", "'s", ' "Rayleigh"', "\n")
SHORT = "Because air scatters blue light more than red."
STAMP = "0000000.000000"
"""Stands in a slow token until the time is known."""

DISTINCT = 64
WIDTH = 768

_FACTS = {
    "id": "chatcmpl-0123456789abcdef0123456789abcdef",
    "object": "chat.completion.chunk",
    "created": 1790000000,
    "model": "meta-llama/Llama-3.2-1B-Instruct",
}
_OLLAMA = {"model": "llama3.2:1b", "created_at": "2026-11-21T10:00:00.123456789Z"}
_TIMES = {
    "total_duration": 4_000_000,
    "load_duration": 1_000_000,
    "prompt_eval_count": 5,
    "prompt_eval_duration": 1_000_000,
    "eval_duration": 2_000_000,
}


def words(tokens: int) -> list[str]:
    """The texts of an answer."""
    return [WORDS[number % len(WORDS)] for number in range(tokens)]


def sse(texts: Sequence[str]) -> list[bytes]:
    """Events in the shape and size of vLLM's: as many as texts, and four."""
    choices = [_choice({"role": "assistant", "content": ""})]
    choices += [_choice({"content": text}) for text in texts]
    choices += [{**_choice({}), "finish_reason": "stop"}]
    records: list[object] = [{**_FACTS, "choices": [choice]} for choice in choices]
    records += [{**_FACTS, "choices": [], "usage": _usage(len(texts))}]
    return [*(b"data: %s\n\n" % _json(record) for record in records), b"data: [DONE]\n\n"]


def ndjson(texts: Sequence[str]) -> list[bytes]:
    """Lines in the shape of Ollama's: as many as texts, and one."""
    lines = [{**_OLLAMA, "message": _message(text), "done": False} for text in texts]
    end = {"done": True, "done_reason": "stop", "eval_count": len(texts), **_TIMES}
    lines += [{**_OLLAMA, "message": _message(""), **end}]
    return [_json(line) + b"\n" for line in lines]


def openai_chat(text: str) -> bytes:
    """An answer in one piece."""
    choice = {"index": 0, "message": _message(text), "logprobs": None, "finish_reason": "stop"}
    facts = {**_FACTS, "object": "chat.completion", "choices": [choice], "usage": _usage(10)}
    return _json(facts)


def ollama_chat(text: str) -> bytes:
    """An answer in one piece."""
    end = {"done": True, "done_reason": "stop", "eval_count": 10, **_TIMES}
    return _json({**_OLLAMA, "message": _message(text), **end})


@lru_cache
def vectors(count: int) -> array[float]:
    """Float32, one vector after another; ``DISTINCT`` of them take turns."""
    draw = random.Random(1)
    few = array("f", [draw.uniform(-1, 1) for _ in range(DISTINCT * WIDTH)])
    return (few * (count // DISTINCT + 1))[: count * WIDTH]


@lru_cache
def openai_vectors(count: int, encoding: str) -> bytes:
    """Vectors as ``base64`` or as numbers."""
    shown: list[Any] = [
        _as_base64(row) if encoding == "base64" else _numbers(row) for row in _rows()
    ]
    data = [
        {"object": "embedding", "index": index, "embedding": shown[index % DISTINCT]}
        for index in range(count)
    ]
    usage = {"prompt_tokens": count, "total_tokens": count}
    return _json({"object": "list", "data": data, "model": "bench", "usage": usage})


@lru_cache
def ollama_vectors(count: int) -> bytes:
    """Vectors as Ollama writes them."""
    shown = [_numbers(row) for row in _rows()]
    rows = [shown[index % DISTINCT] for index in range(count)]
    return _json({"model": "bench", "embeddings": rows, **_TIMES})


# ---- what a client has to find -------------------------------------------------------------------


def texts_in(records: Sequence[bytes]) -> Iterator[str]:
    """Every text of a stream, event by event, as the standard library reads it."""
    for record in records:
        body = record.removeprefix(b"data: ")
        if body.startswith(b"{"):
            text = _text_of(json.loads(body))
            if text:
                yield text


def _text_of(event: Any) -> str | None:
    if "message" in event:
        return event["message"]["content"]
    return event["choices"][0]["delta"].get("content") if event["choices"] else None


def fingerprint(texts: Iterable[str]) -> str:
    """Of the texts one by one, not only joined."""
    return sha256(json.dumps(list(texts)).encode()).hexdigest()


# ---- parts ---------------------------------------------------------------------------------------


def _rows() -> list[array[float]]:
    few = vectors(DISTINCT)
    return [few[start : start + WIDTH] for start in range(0, len(few), WIDTH)]


def _as_base64(row: array[float]) -> str:
    return base64.b64encode(row.tobytes()).decode()


def _numbers(row: array[float]) -> list[float]:
    """With the nine digits that a float32 needs."""
    return [float(f"{number:.9g}") for number in row]


def _choice(delta: dict[str, str]) -> dict[str, object]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}


def _message(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": tokens + 5}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
