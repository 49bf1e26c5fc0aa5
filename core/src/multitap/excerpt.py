"""A short piece of what a server sent, fit to be shown in an error: one line, and no key in it."""

from __future__ import annotations

import re

from multitap.redaction import redact

__all__ = ("excerpt",)

SLACK = 4096
"""Of a key that stands where the text is cut nothing is shown: it is masked before."""

_KEYS = re.compile(
    r"""(?ix)
    (?P<before>
        \b(?:bearer|basic)\s+
      | ["']? \b (?:api|access|auth|secret)[-_ ]?(?:key|token) ["']? \s*[:=]\s* ["']?
      | ["']? \b (?:authorization|password|secret|token) ["']? \s*[:=]\s* ["']?
        (?:(?:bearer|basic)\s+)?
    )
    [^\s"',}]+
    """
)
_SHAPED = re.compile(r"\b(?:sk|pk|rk|hf|gsk|xai|ghp|nvapi|AIza|AKIA)[-_]?[\w*-]{8,}")


def excerpt(data: bytes | str, limit: int = 200) -> str:
    """The beginning of ``data`` in one line of at most ``limit`` characters, keys masked.

    >>> excerpt(b'{"error":\\n "Incorrect API key: sk-abcdefgh1234"}')
    '{"error": "Incorrect API key: ***"}'
    """
    head = data[: 8 * limit + SLACK]
    text = redact(head if isinstance(head, str) else head.decode("utf-8", "replace"))
    masked = _SHAPED.sub("***", _KEYS.sub(lambda found: found["before"] + "***", text))
    line = " ".join(masked[: 8 * limit].split())
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"
