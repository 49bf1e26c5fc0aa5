"""Pictures and sounds that a model made, out of chat completions."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from multitap.errors import ProtocolError
from multitap.events import AudioData, ImageData, Text

if TYPE_CHECKING:
    from multitap.dialects.openai.chunks import Piece

__all__ = ("audio_event", "image_data", "image_event")

_AUDIO_TYPES = {"mp3": "audio/mpeg", "pcm16": "audio/pcm"}
_PCM_RATE = 24_000  # hertz


def image_event(piece: Piece, choice: int) -> ImageData | Text | None:
    """The picture; one that is only a link becomes a link in the text, as nothing fetches it."""
    url = piece.image_url if isinstance(piece.image_url, str) else None
    if url is None and piece.image_url is not None and not isinstance(piece.image_url, str):
        url = piece.image_url.url
    if not url:
        return None
    if not url.startswith("data:"):
        return Text(f"![image]({url})", choice)
    head, _, data = url.partition(",")
    kind = head[len("data:") :].partition(";")[0]
    return image_data(data, kind or "image/png", choice)


def image_data(data: str, kind: str, choice: int) -> ImageData:
    """A picture that is base64."""
    return ImageData(_bytes(data), kind, choice)


def audio_event(data: str, form: str, choice: int) -> AudioData:
    """The sound, in the format that was asked for."""
    rate = _PCM_RATE if form == "pcm16" else None
    return AudioData(_bytes(data), _AUDIO_TYPES.get(form, f"audio/{form}"), rate, choice)


def _bytes(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("The server sent media that is no base64", phase="parse") from error
