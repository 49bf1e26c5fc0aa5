"""Image: a description in, pictures out. Provisional until a second plugin has it."""

from __future__ import annotations

from typing import Protocol, Union

import attrs

from multitap.events import ImageData, UsageReport
from multitap.work import File, Work

__all__ = ("ImageModel", "ImageOutput", "ImageRequest")


@attrs.frozen(kw_only=True)
class ImageRequest:
    """Pictures to make.

    Attributes:
        size: ``WIDTHxHEIGHT`` in pixels; ``None``: the model's own.
        sources: Pictures to change, where the model edits.
    """

    model: str
    prompt: str = attrs.field(repr=False)
    n: int = 1
    size: str | None = None
    quality: str | None = None
    sources: tuple[File, ...] = ()


ImageOutput = Union[ImageData, UsageReport]


class ImageModel(Protocol):
    """Implemented by a plugin; stateless and safe to share between threads."""

    def draw(self, request: ImageRequest, /) -> Work[ImageOutput]:
        """One result for each picture, then what they cost, where that is known."""
        ...
