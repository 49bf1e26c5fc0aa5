"""A model that no server has, and a server that says so when it is named."""

from __future__ import annotations

import json
from urllib.parse import unquote

from multitap.testing.kit.playing import Answer, Said
from multitap.work import HttpCall, Json

__all__ = ("UNKNOWN", "unknown")

UNKNOWN = "no-such-model"
NOT_FOUND = json.dumps({"error": {"message": f"The model '{UNKNOWN}' does not exist"}}).encode()


def unknown(answer: Answer) -> Answer:
    """The same answers, but 404 to every request that names the model."""
    return lambda call: Said.of(404, NOT_FOUND) if _names_it(call) else answer(call)


def _names_it(call: HttpCall) -> bool:
    body = json.dumps(call.body.value) if isinstance(call.body, Json) else ""
    return UNKNOWN in unquote(call.path) or UNKNOWN in body
