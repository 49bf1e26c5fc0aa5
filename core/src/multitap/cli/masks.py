"""Values of the configuration made safe to show: no key, and no password within a URL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from multitap.config import Secret
from multitap.config.secret import is_reference
from multitap.redaction import MASK, is_telling

__all__ = ("MASK", "masked", "masked_key")

_USERINFO = re.compile(r"(?<=://)[^/\s]*@")


def masked(name: str, value: Any, *, secret: bool = False) -> Any:
    """The value, with ``***`` for every text that is a secret by its type or by its name.

    >>> masked("proxy", "http://me:pass@proxy:3128"), masked("headers", {"X-Token": "abc"})
    ('http://***@proxy:3128', {'X-Token': '***'})
    """
    if isinstance(value, Secret):
        return masked_key(value)
    secret = secret or is_telling(name)
    if isinstance(value, Mapping):
        return {key: masked(str(key), inner, secret=secret) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked("", inner, secret=secret) for inner in value]
    if not isinstance(value, str):
        return value
    if secret:
        return value.strip() if is_reference(value) else MASK
    return _USERINFO.sub(f"{MASK}@", value)


def masked_key(secret: Secret) -> str:
    """Where a key is, such as ``env:NAME``; of one that is written as it is, nothing."""
    return secret.reference or MASK
