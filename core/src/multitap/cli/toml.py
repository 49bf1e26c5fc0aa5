"""Values and keys as TOML writes them; no library that is used here writes comments beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ("toml_key", "toml_value")

_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def toml_key(word: str) -> str:
    """One part of a key, quoted where it has to be.

    >>> toml_key("api_key"), toml_key("llama3.2")
    ('api_key', '"llama3.2"')
    """
    return word if re.fullmatch(r"[A-Za-z0-9_-]+", word) else _text(word)


def toml_value(value: Any) -> str:
    """A value on one line.

    >>> toml_value({"a": [1, True, "b"]})
    '{a = [1, true, "b"]}'
    """
    if isinstance(value, Mapping):
        pairs = (f"{toml_key(str(k))} = {toml_value(v)}" for k, v in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return str(value)
    # what else TOML knows are dates and times
    return value.isoformat() if hasattr(value, "isoformat") else _text(str(value))


def _text(text: str) -> str:
    return f'"{"".join(map(_character, text))}"'


def _character(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return char if char.isprintable() else f"\\U{ord(char):08x}"
