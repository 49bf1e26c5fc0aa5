"""Image: a PNG of one colour, which is made from the prompt."""

from __future__ import annotations

import re
import struct
import zlib

from multitap.capabilities.image import ImageRequest
from multitap.errors import BadRequest, NotSupported
from multitap.events import ImageData
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.local import local

_LARGEST = 4096


class EchoImage:
    """The same prompt has the same colour; the pictures of one request differ."""

    def draw(self, request: ImageRequest, /) -> LocalExchange[ImageData]:
        """As many pictures as asked for."""
        if request.sources:
            raise NotSupported("The echo draws; it does not change pictures")
        size = re.fullmatch(r"(\d{1,4})x(\d{1,4})", request.size or "16x16")
        width, height = (int(size[1]), int(size[2])) if size else (0, 0)
        if not (0 < width <= _LARGEST and 0 < height <= _LARGEST):
            raise BadRequest(f"{request.size!r} is no size such as 16x16, of at most {_LARGEST}")
        seeds = (f"{number}{request.prompt}" for number in range(request.n))
        return local(lambda: (ImageData(_png(s, width, height), "image/png") for s in seeds))


def _png(seed: str, width: int, height: int) -> bytes:
    colour = zlib.crc32(seed.encode()).to_bytes(4, "big")[:3]
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of red, green, blue
    rows = zlib.compress((b"\x00" + colour * width) * height)
    chunks = ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


@hookimpl
def multitap_image(backend: Backend) -> EchoImage:
    """Draw one colour."""
    return EchoImage()
