"""What does not behave as the matrix says yet: it has to fail, and the list has to get empty."""

from __future__ import annotations

import re

PENDING: dict[str, str] = {}
"""Reasons, by what the name of a test holds."""


def reason(name):
    """Why a test has to fail for now, or ``None``."""
    return next((why for pattern, why in PENDING.items() if re.search(pattern, name)), None)
