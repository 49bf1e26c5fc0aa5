"""Texts that can be sent: UTF-8 has no bytes for half of a pair of surrogates."""

from __future__ import annotations

from collections.abc import Iterable

from multitap.errors import ConfigError
from multitap.messages import Message, TextPart, Thought, ToolCall, ToolResult

__all__ = ("check_messages", "check_text")


def check_messages(messages: Iterable[Message]) -> None:
    """Refuse messages with a text that cannot be sent.

    Raises:
        ConfigError: It names the message's role, and the place in its text.
    """
    for message in messages:
        for part in message.parts:
            if isinstance(part, (TextPart, Thought)):
                check_text(part.text, f"A text of the {message.role}")
            elif isinstance(part, ToolCall):
                check_text(part.arguments_text, f"The arguments of {part.name}")
            elif isinstance(part, ToolResult):
                check_text(part.content, "The result of a tool")


def check_text(text: str, what: str) -> None:
    """Refuse a text that cannot be sent.

    Raises:
        ConfigError: It has a lone surrogate; the place is named, counted from 0.
    """
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{what} has a lone surrogate, {text[error.start]!a}, at {error.start}",
            hint='It is half a character: take it out, or read the text with errors="replace".',
        ) from None
