"""Sound that holds a text: 16-bit mono PCM, one byte of UTF-8 in each sample."""

from __future__ import annotations

import io
import wave

from multitap.errors import BadRequest

RATE = 16_000
"""Samples in a second, at a speed of 1."""


def samples_of(text: str) -> bytes:
    """The bare samples; silence lies in the middle of a byte's range."""
    return b"".join(bytes((0, byte ^ 0x80)) for byte in text.encode())


def wav_of(text: str, rate: int) -> bytes:
    """The samples as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, rate, 0, "NONE", "not compressed"))
        sound.writeframes(samples_of(text))
    return file.getvalue()


def read_wav(data: bytes) -> tuple[str, int]:
    """The text, and how many bytes of it are heard in a second."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            samples = sound.readframes(sound.getnframes())
            return bytes(byte ^ 0x80 for byte in samples[1::2]).decode(), sound.getframerate()
    except (EOFError, UnicodeDecodeError, wave.Error) as error:
        raise BadRequest("This is not a WAV file that the echo spoke") from error
