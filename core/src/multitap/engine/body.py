"""Bodies as they are sent: JSON, one file, or a form; files are measured anew for each attempt."""

from __future__ import annotations

import math
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from multitap.engine.blocks import Pieces, Stored, stored
from multitap.errors import ConfigError
from multitap.work import File, Json, Multipart

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from multitap.engine.blocks import Content
    from multitap.work import Body

__all__ = ("encode",)

_CONTENT_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z/;=\" -]+")


def encode(body: Body) -> tuple[Mapping[str, str], Content]:
    """The headers that a body needs, its type, and what is sent.

    >>> encode(Json({"model": "tiny"}))
    ({'content-type': 'application/json'}, b'{"model":"tiny"}')

    Raises:
        ConfigError: The value has no JSON form (``NaN`` has none), or a type is malformed.
        LocalError: A file cannot be read.
    """
    if body is None:
        return {}, b""
    if isinstance(body, bytes):
        return {}, body
    if isinstance(body, Json):
        return {"content-type": "application/json"}, _json(body.value)
    if isinstance(body, File):
        return {"content-type": _content_type(body)}, _joined([_source(body)])
    return _form(body)


def _json(value: object) -> bytes:
    import msgspec

    try:
        encoded = msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"The request has no JSON form: {_first_line(error)}") from error
    # The encoder writes null for what is no number, and null means something else.
    if b"null" in encoded and _holds_no_number(value):
        raise ConfigError("The request has no JSON form: NaN and infinity are no JSON numbers")
    return encoded


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _holds_no_number(value: object) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(map(_holds_no_number, value.values()))
    return isinstance(value, (list, tuple)) and any(map(_holds_no_number, value))


def _source(file: File) -> bytes | Stored:
    return stored(file.source) if isinstance(file.source, Path) else file.source


def _joined(parts: list[bytes | Stored]) -> Content:
    in_memory = [part for part in parts if isinstance(part, bytes)]
    return b"".join(in_memory) if len(in_memory) == len(parts) else Pieces(tuple(parts))


def _content_type(file: File) -> str:
    if not _CONTENT_TYPE.fullmatch(file.content_type):
        raise ConfigError(f"The content type {file.content_type!r} is malformed")
    return file.content_type


# ---- forms ---------------------------------------------------------------------------------------


def _form(form: Multipart) -> tuple[Mapping[str, str], Content]:
    parts = [(_field(name, text), b"") for name, text in form.fields.items()]
    named = [(n, f) for n, files in form.files.items() for f in _several(files)]
    files = [(_file_head(name, file), _source(file)) for name, file in named]
    boundary = _boundary([piece for part in (*parts, *files) for piece in part])
    pieces: list[bytes | Stored] = []
    for head, content in (*parts, *files):
        pieces += [b"--%b\r\n%b" % (boundary, head), content, b"\r\n"]
    body = _joined([*pieces, b"--%b--\r\n" % boundary])
    return {"content-type": f"multipart/form-data; boundary={boundary.decode()}"}, body


def _several(files: File | Sequence[File]) -> Sequence[File]:
    return (files,) if isinstance(files, File) else files


def _field(name: str, text: str) -> bytes:
    return f'Content-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{text}'.encode()


def _file_head(name: str, file: File) -> bytes:
    head = (
        f'Content-Disposition: form-data; name="{_quoted(name)}"; '
        f'filename="{_quoted(file.name)}"\r\n'
        f"Content-Type: {_content_type(file)}\r\n\r\n"
    )
    return head.encode()


def _quoted(name: str) -> str:
    # As browsers do, so that no name can end its line or its quotes.
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _boundary(pieces: list[bytes | Stored]) -> bytes:
    # 128 random bits are in no file; what lies in memory is looked through all the same.
    while True:
        boundary = secrets.token_hex(16).encode()
        if not any(boundary in piece for piece in pieces if isinstance(piece, bytes)):
            return boundary
