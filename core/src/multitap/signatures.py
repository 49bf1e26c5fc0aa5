"""What a file is, told by its first bytes: pictures and sounds that models take, and a few others.

>>> type_of(b"\\x89PNG\\r\\n"), type_of(b"RIFF\\x24\\0\\0\\0WAVEfmt "), type_of(b"hello")
('image/png', 'audio/wav', None)
"""

from __future__ import annotations

import re

__all__ = ("HEAD", "suffix_of", "type_of")

HEAD = 64
"""Bytes from the beginning that are enough."""

_SIGNATURES = (
    (rb"\x89PNG", "image/png", ".png"),
    (rb"\xff\xd8\xff", "image/jpeg", ".jpg"),
    (rb"GIF8", "image/gif", ".gif"),
    (rb"RIFF.{4}WEBP", "image/webp", ".webp"),
    (rb"(?:RIFF|RF64).{4}WAVE", "audio/wav", ".wav"),
    (rb"ID3|\xff[\xe2-\xe5\xf2-\xf5\xfa-\xfd]", "audio/mpeg", ".mp3"),  # layers II and III
    (rb"\xff[\xf0\xf1\xf8\xf9]", "audio/aac", ".aac"),
    (rb"fLaC", "audio/flac", ".flac"),
    (rb"OggS", "audio/ogg", ".ogg"),
    (rb".{4}ftyp", "audio/mp4", ".m4a"),
    (rb"\x1a\x45\xdf\xa3", "audio/webm", ".webm"),
    (rb"FORM.{4}AIF[FC]", "audio/aiff", ".aiff"),
    (rb"#!AMR", "audio/amr", ".amr"),
    (rb"%PDF", "application/pdf", ".pdf"),
    (rb"PK\x03\x04", "application/zip", ".zip"),
)
_PATTERNS = [(re.compile(start, re.DOTALL), kind) for start, kind, _ in _SIGNATURES]
_SUFFIXES = {kind: suffix for _, kind, suffix in _SIGNATURES}


def type_of(data: bytes) -> str | None:
    """The media type of a file that begins with these bytes; ``None``: it is not known here.

    A container of pictures and sound, such as MP4, counts as sound.
    """
    return next((kind for start, kind in _PATTERNS if start.match(data)), None)


def suffix_of(mime_type: str) -> str:
    """How the name of a file of this type ends; empty where it is not known here.

    >>> suffix_of("audio/mpeg")
    '.mp3'
    """
    return _SUFFIXES.get(mime_type, "")
