"""What the kit makes of a request's body where the suite does not say it."""

from __future__ import annotations

import json

__all__ = ("plain_values",)


def plain_values(body: bytes) -> object:
    """The JSON value, or the text where it is none.

    >>> plain_values(b'{"limit": 17}'), plain_values(b"limit: 17")
    ({'limit': 17}, 'limit: 17')
    """
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
