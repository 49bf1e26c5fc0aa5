"""The secrets of the repository's tests. None opens anything; none may ever be shown.

Each begins with ``PREFIX``, by which ``canary.plugin`` finds it in whatever a test prints, logs or
raises: whole, cut, percent-encoded or in base64. A test that needs a key takes one from here, or
writes one that begins like them.
"""

from __future__ import annotations

import re
from base64 import b64encode

PREFIX = "hush-canary-"
KEY = f"{PREFIX}1234567890"

TWELVE = {
    name: f"{PREFIX}{number:02}{name}-{number * 7919:06}"
    for number, name in enumerate(
        (
            "plain", "environment", "file", "keyring", "endpoint", "proxy", "header", "setting",
            "argument", "variable", "extra", "rotated",
        ),
        start=1,
    )
}  # fmt: skip
"""One for each place where a secret can be put in."""


def _spellings() -> list[str]:
    whole = "".join(f"%{ord(char):02x}" for char in PREFIX)
    found = [PREFIX, whole]
    for before in range(3):
        text = b64encode(bytes(before) + PREFIX.encode()).decode().rstrip("=")
        found.append(text[(0, 2, 3)[before] : -1])
    return found


_SHOWN = re.compile("|".join(map(re.escape, _spellings())), re.IGNORECASE)


def shown_in(text: str) -> list[str]:
    """What of any fake secret stands in a text, with what comes after it."""
    return [text[found.start() : found.end() + 30] for found in _SHOWN.finditer(text)]
