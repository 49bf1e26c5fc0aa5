"""Plugins as wheels, written by hand: a wheel is a zip file with four files of metadata."""

from __future__ import annotations

import base64
import hashlib
import textwrap
import zipfile
from collections.abc import Mapping
from pathlib import Path

CHAT = """
from multitap.hookspecs import hookimpl

class Chat:
    def __init__(self, backend):
        self.backend = backend
    def chat(self, request):
        return None

@hookimpl
def multitap_chat(backend):
    return Chat(backend)
"""


def metadata_of(
    name: str, version: str, entry_points: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    """The files of a ``.dist-info``; groups are without ``multitap.``."""
    groups = [
        f"[multitap.{group}]\n" + "".join(f"{k} = {v}\n" for k, v in entries.items())
        for group, entries in entry_points.items()
    ]
    return {
        "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": "\n".join(groups),
    }


def write_wheel(
    folder: Path,
    name: str,
    entry_points: Mapping[str, Mapping[str, str]],
    files: Mapping[str, str | bytes],
    version: str = "1.0",
) -> Path:
    """A wheel of pure Python; returns its path."""
    stem = f"{name.replace('-', '_')}-{version}"
    info = metadata_of(name, version, entry_points).items()
    texts = {path: _plain(text) for path, text in files.items()}
    texts |= {f"{stem}.dist-info/{path}": _plain(text) for path, text in info}
    record = "".join(f"{path},{_digest(data)},{len(data)}\n" for path, data in texts.items())
    texts[f"{stem}.dist-info/RECORD"] = f"{record}{stem}.dist-info/RECORD,,\n".encode()
    wheel = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in texts.items():
            archive.writestr(path, data)
    return wheel


def unpack(wheel: Path, folder: Path) -> None:
    """What an installer does with it."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


def _plain(text: str | bytes) -> bytes:
    return textwrap.dedent(text).encode() if isinstance(text, str) else text


def _digest(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"
