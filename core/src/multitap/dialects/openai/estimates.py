"""About how many tokens, where a server counts none: four bytes of text each, 512 a picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from multitap.events import Usage

__all__ = ("RULE", "estimated_usage", "prompt_tokens")

RULE = "4 bytes a token"
_BYTES_OF_A_TOKEN = 4
_TOKENS_OF_MEDIA = 512


def prompt_tokens(body: Mapping[str, Any]) -> int:
    """About how many tokens the messages and tools of a body are.

    >>> prompt_tokens({"messages": [{"role": "user", "content": "Hello there!"}]})
    3
    """
    size = len(msgspec.json.encode(body["tools"])) if body.get("tools") else 0
    media = 0
    for message in body["messages"]:
        content = message.get("content")
        parts = content if isinstance(content, list) else [{"text": content or ""}]
        texts = [part["text"] for part in parts if "text" in part]
        texts += [call["function"]["arguments"] for call in message.get("tool_calls", ())]
        size += sum(len(text.encode("utf-8", "replace")) for text in texts)
        media += sum("text" not in part for part in parts)
    return _tokens(size) + media * _TOKENS_OF_MEDIA


def estimated_usage(prompt: int, written: int) -> Usage:
    """Usage by the prompt's tokens and the bytes of the answer."""
    answer = _tokens(written)
    return Usage(prompt, answer, prompt + answer, source="estimated")


def _tokens(size: int) -> int:
    return -(-size // _BYTES_OF_A_TOKEN)
