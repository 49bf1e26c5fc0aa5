"""A plugin that tells everything it gets, and a server that sends back everything it is sent."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from multitap.capabilities.catalog import Model
from multitap.dialects.openai.errors import explain_openai
from multitap.errors import BadRequest
from multitap.events import Failed, Loading, Notice, Stop, Text
from multitap.excerpt import excerpt
from multitap.framing import SseDecoder
from multitap.hookspecs import hookimpl
from multitap.manifest import KeyInfo, ProviderInfo, Setting
from multitap.registry import Registry
from multitap.testing import respond
from multitap.work import Exchange, HttpCall, Json, Operation, fetch

INFO = ProviderInfo(
    name="leaky",
    title="Leaky",
    endpoint="http://127.0.0.1:9",
    key=KeyInfo(variable="LEAKY_API_KEY"),
    settings={
        "pin": Setting(name="pin", type="secret", header="X-Pin"),
        "headers": Setting(name="headers", type="table"),
    },
)


class Leaky:
    """Each of its models fails in a way of its own; their names are those of ``ECHOES``."""

    def __init__(self, backend: Any = None) -> None:
        self.backend = backend

    @hookimpl
    def multitap_chat(self, backend: Any) -> Leaky:
        return Leaky(backend)

    @hookimpl
    def multitap_catalog(self, backend: Any) -> Leaky:
        return Leaky(backend)

    def _call(self, path: str, **facts: Any) -> HttpCall:
        return HttpCall(path=path, headers=self.backend.settings.get("headers", {}), **facts)

    def models(self) -> Exchange[Model]:
        call = self._call("/plain", method="GET")
        return Exchange(call=call, decoder=lambda _: Told(), explain=explain_openai)

    def chat(self, request: Any) -> Any:
        body = Json({"prompt": request.messages[-1].text, **(request.extra or {})})
        call = self._call(f"/{request.model}", method="POST", body=body)
        if request.model == "steps":
            return Operation(lambda: _steps(call), explain_openai)
        decoder = _events if request.model == "events" else lambda _: Told()
        return Exchange(call=call, decoder=decoder, explain=explain_openai)


def _steps(call: HttpCall) -> Any:
    reply = yield from fetch(call)
    raise KeyError(reply.body.decode("utf-8", "replace"))


def _events(head: Any) -> Any:
    return SseDecoder(dict, lambda record: [Failed(BadRequest(str(record["error"])))])


class Told:
    """A decoder that quotes what it reads, and breaks on it."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Any:
        self._data += data
        return []

    def finish(self) -> Any:
        text = self._data.decode("utf-8", "replace")
        if "raise" in text:
            try:
                raise ValueError(self._data)
            except ValueError as error:
                raise RuntimeError(f"cannot read {text}") from error
        if "cut" in text:
            return [Failed(BadRequest(text[: text.index("canary") + 10]))]
        if "excerpt" in text:
            return [Failed(BadRequest(f"what is {excerpt(text, text.index('canary') + 10)}"))]
        options = {"heard": [{"text": text, text: 1}]}
        notice = Notice("told", text, effective=text, provider_options=options)
        return [notice, Loading(text), Text("fine"), Stop("complete")]


def registry(*others: Any) -> Registry:
    """Leaky, and observers."""
    found = Registry(environ={"MULTITAP_PLUGINS": "none"})
    found.add(Leaky(), "leaky", ["chat", "catalog"], distribution="multitap-leaky", info=INFO)
    for number, other in enumerate(others):
        found.add(other, f"o{number}", ["extension"], distribution=f"observer-{number}")
    return found


# ---- what a server sends back --------------------------------------------------------------------

PLAIN = {
    "accept", "accept-encoding", "connection", "content-length", "content-type", "host",
    "proxy-connection", "user-agent",
}  # fmt: skip


def echo(connection: Any) -> Any:
    """The answer to the last request, by its path."""
    asked = connection.request
    words = [value.split()[-1] for name, value in asked.headers.items() if name not in PLAIN]
    heard = " ".join([*words, asked.body.decode("utf-8", "replace")])
    return ECHOES[asked.path.rpartition("/")[2]](heard)


def _answer(status: int, say: Callable[[str], str], **headers: str) -> Callable[[str], Any]:
    def answer(heard: str) -> Any:
        said = {name.replace("_", "-"): text.format(heard=heard) for name, text in headers.items()}
        return respond(status, said, say(heard))

    return answer


ECHOES = {
    "plain": _answer(401, lambda heard: f"wrong key: {heard}"),
    "json": _answer(400, lambda heard: json.dumps({"error": {"message": heard}})),
    "slashes": _answer(400, lambda heard: json.dumps({"error": heard}).replace("/", "\\/")),
    "percent": _answer(403, lambda heard: f"see /login?key={quote(heard, safe='')}"),
    "base64": _answer(401, lambda heard: f"Basic {b64encode(f'ada:{heard}'.encode()).decode()}"),
    "title": _answer(400, lambda heard: f"<html><title>{heard}</title></html>"),
    "long": _answer(400, lambda heard: f"{'a ' * 700}{heard}"),
    "header": _answer(404, lambda _: "no", x_request_id="{heard}", www_authenticate="{heard}"),
    "redirect": _answer(307, lambda _: "", location="https://{heard}.example/{heard}"),
    "notice": _answer(200, lambda heard: heard, request_id="{heard}"),
    "raise": _answer(200, lambda heard: f"raise {heard}"),
    "cut": _answer(200, lambda heard: f"cut {heard}"),
    "excerpt": _answer(200, lambda heard: f"excerpt {heard}"),
    "proxy": _answer(407, lambda heard: heard, proxy_authenticate="{heard}"),
    "events": _answer(
        200, lambda heard: f"event: error\ndata: {json.dumps({'error': heard})}\n\n",
        content_type="text/event-stream",
    ),
    "steps": _answer(200, lambda heard: heard),
    "busy": _answer(503, lambda heard: f"busy {heard}", retry_after="0"),
}  # fmt: skip
