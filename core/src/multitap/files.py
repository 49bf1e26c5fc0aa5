"""Files that an application passes: sounds and pictures, looked at before anything is sent.

>>> sound_file(b"RIFF\\x24\\0\\0\\0WAVEfmt ")
File(name='sound.wav', content_type='audio/wav')
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, NamedTuple, Union

from multitap.errors import ConfigError
from multitap.media import LARGEST
from multitap.signatures import HEAD, suffix_of, type_of
from multitap.work import File

__all__ = ("FileSource", "picture_file", "sound_file")

FileSource = Union[str, "os.PathLike[str]", bytes, IO[bytes]]
"""A path, the file's content, or a file that is open for reading bytes."""


class _Kind(NamedTuple):
    noun: str
    family: str
    formats: str


_SOUND = _Kind("sound", "audio/", "WAV, MP3, FLAC, Ogg, M4A, AAC, WebM, AIFF or AMR")
_PICTURE = _Kind("picture", "image/", "PNG, JPEG, GIF or WebP")


def sound_file(source: FileSource, most: int = LARGEST) -> File:
    """A sound to be sent. A path is only measured; an open file is read at once, to its end.

    Args:
        source: A path, bytes, or a file that is open in binary mode.
        most: How many bytes it may have.

    Raises:
        ConfigError: It cannot be read, is empty or too large, or begins like no sound.
    """
    return _file(source, _SOUND, most)


def picture_file(source: FileSource, most: int = LARGEST) -> File:
    """A picture to be sent; see ``sound_file``."""
    return _file(source, _PICTURE, most)


def _file(source: FileSource, kind: _Kind, most: int) -> File:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _of_bytes(bytes(source), "", kind, most)
    if isinstance(source, (str, os.PathLike)):
        return _of_path(Path(source), kind, most)
    if not callable(getattr(source, "read", None)):
        hint = "Pass a path, bytes, or a file that is open in binary mode."
        raise ConfigError(f"{type(source).__name__} is no {kind.noun}", hint=hint)
    name = getattr(source, "name", None)
    name = os.path.basename(name) if isinstance(name, str) else ""  # noqa: PTH119 - may be no path
    return _of_bytes(_content(source, kind, most), name, kind, most)


def _content(source: IO[bytes], kind: _Kind, most: int) -> bytes:
    """All of it, or enough to know that it is too large; a read may give less than is there."""
    found = bytearray()
    try:
        while len(found) <= most and (data := source.read(most + 1 - len(found))):
            found += data
    except (OSError, ValueError) as error:
        message = f"The {kind.noun} cannot be read: {_reason(error)}"
        raise ConfigError(message, hint="Open it again, in binary mode.") from error
    except TypeError as error:
        message = f"The {kind.noun} is open as text, not as bytes"
        raise ConfigError(message, hint='Open it in binary mode: open(path, "rb").') from error
    return bytes(found)


def _of_bytes(data: bytes, name: str, kind: _Kind, most: int) -> File:
    called = name or "The file"
    found = _checked(called, len(data), data[:HEAD], kind, most)
    return File(_named(name or kind.noun, found), data, found)


def _of_path(path: Path, kind: _Kind, most: int) -> File:
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is no file", file=str(path), hint="Check the path.")
        with path.open("rb") as opened:
            head = opened.read(HEAD)
            size = opened.seek(0, os.SEEK_END)
    except (OSError, ValueError) as error:
        message = f"{path} cannot be read: {_reason(error)}"
        raise ConfigError(message, file=str(path), hint="Check the path.") from error
    found = _checked(str(path), size, head, kind, most)
    return File(_named(path.name, found), path, found)


def _checked(name: str, size: int, head: bytes, kind: _Kind, most: int) -> str:
    """The type of a file that may be sent."""
    if not size:
        raise ConfigError(f"{name} is empty", hint=f"Pass a {kind.noun} with something in it.")
    if size > most:
        raise ConfigError(
            f"{name} has more than {most} bytes, which is the limit",
            hint=f"Send a shorter {kind.noun}, or raise max_file_bytes of the backend in llm.toml.",
        )
    found = type_of(head)
    if found is None or not found.startswith(kind.family):
        what = f"is {found}, not a {kind.noun}" if found else f"begins like no {kind.noun}"
        raise ConfigError(f"{name} {what}", hint=f"Pass {kind.formats}.")
    return found


def _named(name: str, mime_type: str) -> str:
    """Servers tell the format by the ending of the name."""
    return name if Path(name).suffix else name + suffix_of(mime_type)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
