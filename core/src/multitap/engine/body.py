"""Bodies as bytes: JSON, one file, or a form; files are read here, anew for each attempt."""

from __future__ import annotations

import math
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from multitap.errors import ConfigError, LocalError
from multitap.work import File, Json, Multipart

if TYPE_CHECKING:
    from collections.abc import Mapping

    from multitap.work import Body

__all__ = ("encode",)

_CONTENT_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z/;=\" -]+")


def encode(body: Body) -> tuple[Mapping[str, str], bytes]:
    """The headers that a body needs, its type, and its bytes.

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
        return {"content-type": _content_type(body)}, _read(body)
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


def _read(file: File) -> bytes:
    if not isinstance(file.source, Path):
        return file.source
    try:
        return file.source.read_bytes()
    except OSError as error:
        raise LocalError(
            f"Cannot read {file.source}: {error.strerror}", hint="Check the path of the file."
        ) from error


def _content_type(file: File) -> str:
    if not _CONTENT_TYPE.fullmatch(file.content_type):
        raise ConfigError(f"The content type {file.content_type!r} is malformed")
    return file.content_type


# ---- forms ---------------------------------------------------------------------------------------


def _form(form: Multipart) -> tuple[Mapping[str, str], bytes]:
    parts = [_field(name, text) for name, text in form.fields.items()]
    parts.extend(_file(name, file) for name, file in form.files.items())
    boundary = _boundary(parts)
    lines = [b"--%b\r\n%b\r\n" % (boundary, part) for part in parts]
    whole = b"".join([*lines, b"--%b--\r\n" % boundary])
    return {"content-type": f"multipart/form-data; boundary={boundary.decode()}"}, whole


def _field(name: str, text: str) -> bytes:
    return f'Content-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{text}'.encode()


def _file(name: str, file: File) -> bytes:
    head = (
        f'Content-Disposition: form-data; name="{_quoted(name)}"; '
        f'filename="{_quoted(file.name)}"\r\n'
        f"Content-Type: {_content_type(file)}\r\n\r\n"
    )
    return head.encode() + _read(file)


def _quoted(name: str) -> str:
    # As browsers do, so that no name can end its line or its quotes.
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _boundary(parts: list[bytes]) -> bytes:
    while True:
        boundary = secrets.token_hex(16).encode()
        if not any(boundary in part for part in parts):
            return boundary
