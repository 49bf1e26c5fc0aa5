"""Pictures and sounds of what was said, said back."""

from __future__ import annotations

from collections.abc import Iterator

from multitap.capabilities.chat import ChatRequest
from multitap.errors import NotSupported
from multitap.events import AudioData, ImageData
from multitap.messages import Audio, Document, Image, Part


def media_events(request: ChatRequest, choice: int) -> Iterator[ImageData | AudioData]:
    """The pictures and sounds of the last message, just as they came.

    Raises:
        NotSupported: A document, or a picture that is only a URL.
    """
    for part in request.messages[-1].parts:
        yield from _said_back(part, choice)


def _said_back(part: Part, choice: int) -> Iterator[ImageData | AudioData]:
    if isinstance(part, Document):
        raise NotSupported("The echo reads no documents", hint="Send the document's text instead.")
    if isinstance(part, Audio):
        yield AudioData(part.data, part.mime_type, choice=choice)
    if isinstance(part, Image):
        if part.data is None:
            raise NotSupported("The echo fetches no images", hint="Pass the image's bytes.")
        yield ImageData(part.data, part.mime_type or "image/png", choice)
