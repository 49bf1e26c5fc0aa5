"""From a plugin's call to what is sent: the encoded body, and all headers, the key included."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from multitap.engine.body import encode
from multitap.engine.call import Call
from multitap.engine.carrier import Request
from multitap.engine.trace import wire_request
from multitap.redaction import conceal_named
from multitap.work import HttpCall

__all__ = ("prepare",)


def prepare(whole: Call[Any], call: HttpCall) -> Request:
    """One attempt's request: the encoded body, and the headers with the backend's key.

    Those who trace the whole call are told of it.
    """
    backend, watch = whole.backend, whole.watch
    headers, body = encode(call.body)
    signed = body if isinstance(body, bytes) else b""
    keys: Mapping[str, str] = backend.auth(call, signed) if backend.auth is not None else {}
    for key in keys.values():
        conceal_named("keys", key)
    if call.headers:
        conceal_named("headers", call.headers)
    fixed = {"user-agent": _user_agent(), "accept": "*/*"}
    headers = {**fixed, **headers, **call.headers, **keys}
    if whole.clocks.asked:
        call = whole.clocks.over(call)
    request = Request(call=call, headers=headers, body=body, limits=whole.limits)
    if watch is not None and watch.traced:
        watch.request_sent(wire_request(backend, request, keys))
    return request


@lru_cache(maxsize=1)
def _user_agent() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"multitap/{version('multitap')}"
    except PackageNotFoundError:
        return "multitap"
