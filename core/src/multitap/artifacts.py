"""What a model made beside text: a sound and pictures, to be kept in files.

>>> Sound.of([AudioData(b"\\0\\0", "audio/pcm", 8000)] * 2)
Sound(data=<4 bytes>, mime_type='audio/pcm', sample_rate=8000)
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Union

import attrs

from multitap.errors import ConfigError, LocalError
from multitap.events import AudioData, ImageData, Usage
from multitap.signatures import suffix_of

__all__ = ("Picture", "Pictures", "Sound", "save", "whole_file")

Place = Union[str, "os.PathLike[str]"]


@attrs.frozen
class Sound:
    """A whole sound.

    Attributes:
        mime_type: Such as ``audio/wav``; ``audio/pcm`` is bare samples of 16 bits, one channel.
        sample_rate: In hertz; ``None`` where the backend does not say.
    """

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    mime_type: str
    sample_rate: int | None = None

    @classmethod
    def of(cls, pieces: Sequence[AudioData]) -> Sound:
        """From its pieces, of which there is at least one; type and rate are those of the first."""
        first = pieces[0]
        return cls(b"".join(p.data for p in pieces), first.mime_type, first.sample_rate)

    def save(self, path: Place) -> Path:
        """Write it to a file, whole or not at all; bare samples get a head where it is a ``.wav``.

        Raises:
            LocalError: The file cannot be written.
        """
        bare = self.mime_type == "audio/pcm" and Path(path).suffix.lower() == ".wav"
        return save(self.wav() if bare else self.data, path)

    def wav(self) -> bytes:
        """Bare samples as a WAV file.

        Raises:
            ConfigError: These are no bare samples, or their rate is not known.
        """
        import wave

        if self.mime_type != "audio/pcm" or self.sample_rate is None:
            rate = "of an unknown rate" if self.sample_rate is None else f"at {self.sample_rate} Hz"
            message = f"{self.mime_type} {rate} cannot be made into WAV here"
            raise ConfigError(message, hint="Save it as it is, or ask for format='wav'.")
        file = io.BytesIO()
        with wave.open(file, "wb") as sound:
            sound.setparams((1, 2, self.sample_rate, 0, "NONE", "not compressed"))
            sound.writeframes(self.data)
        return file.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; the bytes are base64."""
        return {**attrs.asdict(self), "data": base64.b64encode(self.data).decode("ascii")}


@attrs.frozen
class Picture:
    """One picture; ``prompt`` is what the backend made of the prompt, where it says so."""

    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    mime_type: str
    prompt: str | None = None

    @classmethod
    def of(cls, event: ImageData) -> Picture:
        """From its event."""
        revised = (event.provider_options or {}).get("revised_prompt")
        return cls(event.data, event.mime_type, revised if isinstance(revised, str) else None)

    def save(self, path: Place) -> Path:
        """Write it to a file, whole or not at all.

        Raises:
            LocalError: The file cannot be written.
        """
        return save(self.data, path)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; the bytes are base64."""
        return {**attrs.asdict(self), "data": base64.b64encode(self.data).decode("ascii")}


class Pictures(list[Picture]):
    """The pictures of one call; ``usage`` is what they cost."""

    def __init__(self, pictures: Iterable[Picture] = (), usage: Usage | None = None) -> None:
        super().__init__(pictures)
        self.usage = usage or Usage()

    def save(self, path: Place) -> list[Path]:
        """Write each to a file; several are numbered: ``cat.png`` is ``cat-1.png``, ``cat-2.png``.

        A path without an ending gets that of the picture's type.

        Raises:
            LocalError: A file cannot be written.
        """
        places = [self._place(Path(path), number) for number in range(1, len(self) + 1)]
        return [picture.save(place) for picture, place in zip(self, places, strict=True)]

    def _place(self, path: Path, number: int) -> Path:
        ending = path.suffix or suffix_of(self[number - 1].mime_type)
        mark = f"-{number}" if len(self) > 1 else ""
        return path.with_name(f"{path.stem}{mark}{ending}")


def save(data: bytes, path: Place) -> Path:
    """Write a file, whole or not at all."""
    with whole_file(path) as file:
        file.write(data)
    return Path(path)


@contextmanager
def whole_file(path: Place) -> Iterator[IO[bytes]]:
    """A file to write, which takes its place once all is written; else what was there stays.

    Raises:
        LocalError: It cannot be written.
    """
    try:
        place = Path(path).resolve()
        if place.exists() and not place.is_file():  # a device or a pipe takes what it is given
            with place.open("wb") as file:
                yield file
        else:
            with _draft(place) as file:
                yield file
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise LocalError(f"{path} cannot be written: {reason}", hint="Check the path.") from error


@contextmanager
def _draft(place: Path) -> Iterator[IO[bytes]]:
    draft = place.with_name(f".{place.name}.{os.urandom(6).hex()}")
    with draft.open("xb") as file:
        try:
            yield file
        except BaseException:
            with suppress(OSError):
                draft.unlink()
            raise
    draft.replace(place)
