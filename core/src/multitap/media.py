"""Pictures, sounds and documents of a prompt, checked before anything is sent.

>>> check_media([Message("user", ["What is this?", Image(b"\\x89PNG", "image/png")])])
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Union

from multitap.errors import ConfigError
from multitap.messages import Audio, Document, Image, Message

__all__ = ("LARGEST", "check_media")

LARGEST = 64 * 1024 * 1024
"""Most bytes of one part; servers take less."""

Media = Union[Image, Audio, Document]
_TYPES = {
    Image: re.compile(r"image/\S"),
    Audio: re.compile(r"audio/\S"),
    Document: re.compile(r"[^\s/]+/\S"),
}
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:\S")


def check_media(messages: Iterable[Message]) -> None:
    """Refuse what no server could take; nothing is left out silently.

    Raises:
        ConfigError: A part is empty, too large, of another type, or its URL is none.
    """
    for message in messages:
        for part in message.parts:
            if isinstance(part, (Image, Audio, Document)):
                _check(part)


def _check(part: Media) -> None:
    name = f"The {type(part).__name__.lower()}"
    if isinstance(part, Image) and part.url is not None:
        if not _SCHEME.match(part.url) or part.data is not None:
            hint = "Pass bytes, or a URL such as https://example.org/a.png, and not both."
            raise ConfigError(f"{name} of a message has no URL that can be fetched", hint=hint)
        return
    if not isinstance(part.data, bytes) or not part.data:
        raise ConfigError(f"{name} of a message has no bytes", hint="Pass the file's content.")
    if len(part.data) > LARGEST:
        message = f"{name} of a message has {len(part.data)} bytes; the most is {LARGEST}"
        raise ConfigError(message, hint="Send a smaller one.")
    if part.mime_type is not None and not _TYPES[type(part)].match(part.mime_type):
        message = f"{name} of a message has the type {part.mime_type!r}"
        raise ConfigError(message, hint="Write its own, such as image/png or audio/wav.")
