"""Real files: two pictures and a sound, as other programs write and read them."""

from __future__ import annotations

import base64
import io
import struct
import wave
import zlib

WORDS = "What is this?"
RATE = 8000


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width=8, height=8):
    """Pixels whose colours go from dark to bright."""
    rows = (bytes([0, *(16 * (x + y) % 256 for x in range(width))]) for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)


def wav(seconds=0.1):
    """A tone that rises and falls, in 16 bits."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        samples = (abs(n % 40 - 20) * 800 - 8000 for n in range(int(RATE * seconds)))
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue()


PNG = png()
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABsSFBcUERsXFhceHBsgKEIrKCUlKFE6PTBCYFVlZF9VXVtqeJmBanGQ"
    "c1tdhbWGkJ6jq62rZ4C8ybqmx5moq6T/wAALCAAEAAQBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAABP/EABcQAQAD"
    "AAAAAAAAAAAAAAAAAAEAAyL/2gAIAQEAAD8AJUYJ/9k="
)
WAV = wav()
PICTURES = {"image/png": PNG, "image/jpeg": JPEG}


def received(url):
    """The type and the bytes of what came as a URL."""
    head, _, data = url.partition(",")
    kind, _, coding = head.removeprefix("data:").partition(";")
    assert coding == "base64"
    return kind, base64.b64decode(data, validate=True)
