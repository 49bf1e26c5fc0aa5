"""What the command line reads: standard input, and files that options name."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multitap.cli.output import is_terminal
from multitap.errors import ConfigError
from multitap.signatures import HEAD, type_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multitap.messages import Image

__all__ = (
    "image_of",
    "lines_or_piped",
    "piped",
    "piped_bytes",
    "question",
    "schema_of",
    "text_or_piped",
)


def piped() -> str | None:
    """The whole of standard input; ``None`` where a person sits there, or it is closed."""
    if sys.stdin is None or is_terminal(sys.stdin):
        return None
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            "standard input is not UTF-8",
            hint=f"Convert it; look at byte {error.start + 1}.",
        ) from error


def piped_bytes() -> bytes:
    """The whole of standard input, as it is.

    Raises:
        ConfigError: A person sits there, or it is closed.
    """
    if sys.stdin is None or is_terminal(sys.stdin):
        raise ConfigError("nothing is piped in", hint="Pipe a file in, or name one.")
    return sys.stdin.buffer.read()


def text_or_piped(text: str | None) -> str:
    """The text that was typed; without any, all of standard input, without the end of its line."""
    found = (piped() or "").rstrip("\r\n") if text is None else text
    if not found.strip():
        raise ConfigError("there is no text", hint="Write it, or pipe it in.")
    return found


def question(prompt: str | None, more: str | None) -> str:
    """The prompt: what was typed, and after a blank line what was piped in.

    >>> question("Sum this up:", "one\\ntwo\\n")
    'Sum this up:\\n\\none\\ntwo'
    """
    parts = [prompt, more.rstrip("\r\n") if more else more]
    text = "\n\n".join(part for part in parts if part and part.strip())
    if not text:
        raise ConfigError(
            "the prompt is empty", hint='Write multitap chat "…", or pipe a text into it.'
        )
    return text


def lines_or_piped(texts: Sequence[str], what: str) -> list[str]:
    """The texts that were typed; without any, the lines of standard input."""
    if texts:
        return list(texts)
    found = (piped() or "").rstrip("\r\n")
    if not found:
        raise ConfigError(f"there are no {what}", hint="Write them, or pipe them in, one a line.")
    return [line.rstrip("\r") for line in found.split("\n")]


def schema_of(file: str) -> Mapping[str, Any]:
    """A JSON Schema from a file."""
    try:
        schema = json.loads(_content(file))
    except ValueError as error:
        message = f"{file} is no JSON: {error}"
        raise ConfigError(message, file=file, hint="Correct it there.") from error
    if not isinstance(schema, dict):
        message = f"{file} holds no JSON Schema"
        raise ConfigError(message, file=file, hint='Write an object, such as {"type": "object"}.')
    return schema


def image_of(file: str) -> Image:
    """A picture from a file; its type is told by its first bytes."""
    from multitap.messages import Image

    data = _content(file)
    kind = type_of(data[:HEAD])
    if kind is None or not kind.startswith("image/"):
        message = f"{file} is no picture that is known here"
        raise ConfigError(message, file=file, hint="Use PNG, JPEG, GIF or WebP.")
    return Image(data, kind)


def _content(file: str) -> bytes:
    try:
        return Path(file).expanduser().read_bytes()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"{file} cannot be read: {reason}"
        raise ConfigError(message, file=file, hint="Check the path.") from error
