"""From a plugin's call to what is sent: the encoded body, and all headers, the key included."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from multitap.engine.body import encode
from multitap.engine.carrier import Request
from multitap.work import Backend, HttpCall

__all__ = ("prepare",)


def prepare(backend: Backend, call: HttpCall) -> Request:
    """One attempt's request: the encoded body, and the headers with the backend's key."""
    headers, body = encode(call.body)
    signed = body if isinstance(body, bytes) else b""
    keys: Mapping[str, str] = backend.auth(call, signed) if backend.auth is not None else {}
    fixed = {"user-agent": _user_agent(), "accept": "*/*"}
    return Request(call=call, headers={**fixed, **headers, **call.headers, **keys}, body=body)


@lru_cache(maxsize=1)
def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"multitap/{version('multitap')}"
    except PackageNotFoundError:
        return "multitap"
