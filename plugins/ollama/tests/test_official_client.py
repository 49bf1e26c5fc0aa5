"""Ollama's own Python client against the recordings, replayed: it sees what the plain reader sees.

So the scripted server speaks HTTP as a real client expects it, and the recordings are what it says.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

import httpx
import ollama
import ollama_reader
import pytest

from multitap.testing import CEILING, Recording, Server, drip, repeat, request, when

MESSAGES = [{"role": "user", "content": "Go."}]
ASK = {
    "/api/chat": lambda client, **how: client.chat("tiny", MESSAGES, **how),
    "/api/generate": lambda client, **how: client.generate("tiny", "Go.", **how),
    "/api/pull": lambda client, **how: client.pull("tiny", **how),
    "/api/create": lambda client, **how: client.create("tiny", from_="other", **how),
    "/api/embed": lambda client: client.embed("tiny", "Go."),
    "/api/embeddings": lambda client: client.embeddings("tiny", "Go."),
    "/api/tags": lambda client: client.list(),
    "/api/ps": lambda client: client.ps(),
    "/api/show": lambda client: client.show("tiny"),
    "/api/copy": lambda client: client.copy("tiny", "other"),
    "/api/delete": lambda client: client.delete("tiny"),
}
STREAMS = ("/api/chat", "/api/generate", "/api/pull", "/api/create")
# what this client has no word for, wherever it stands: of calls, of tokens, of models
UNSHOWN = {
    *("id", "index", "bytes", "name", "capabilities", "context_length", "embedding_length"),
    *("tensors", "system", "messages", "_debug_info"),
}
BROKEN_OFF = (httpx.RemoteProtocolError, httpx.ReadError)


class Blocking:
    """What the client says, in blocking code."""

    def ask(self, url, call, streamed):
        with ollama.Client(url, timeout=CEILING, verify=False) as client:
            return list(call(client)) if streamed else [call(client)]


class OnALoop:
    """The same on an event loop."""

    def ask(self, url, call, streamed):
        async def run():
            async with ollama.AsyncClient(url, timeout=CEILING, verify=False) as client:
                found = await call(client)
                return [part async for part in found] if streamed else [found]

        return asyncio.run(run())


@pytest.fixture(params=[Blocking, OnALoop], ids=["sync", "async"])
def world(request):
    return request.param()


def load(name):
    return Recording.load(ollama_reader.RECORDINGS / f"{name}.json")


def is_asked(recorded):
    method = {"/api/tags": "GET", "/api/ps": "GET", "/api/delete": "DELETE"}
    return recorded.path in ASK and recorded.method == method.get(recorded.path, "POST")


ASKED = {
    name: r for name in ollama_reader.all_names() if is_asked(r := ollama_reader.recorded(name))
}
NAMES = [name for name, r in ASKED.items() if not r.ended.startswith("client closed")]
HUNG_UP = sorted(ASKED.keys() - NAMES)


def ask(world, server, recorded):
    """The parts of the client's answer."""
    streamed = "ndjson" in recorded.headers.get("content-type", "")
    how = {"stream": streamed} if recorded.path in STREAMS else {}
    return world.ask(server.url, lambda client: ASK[recorded.path](client, **how), streamed)


def agrees(seen, plain):
    """Does what the client shows say what was sent? It may have no word for a field."""
    if isinstance(seen, dict) and isinstance(plain, dict):
        return all(name in plain and agrees(value, plain[name]) for name, value in seen.items())
    if isinstance(seen, (list, tuple)) and isinstance(plain, list):
        return len(seen) == len(plain) and all(map(agrees, seen, plain))
    if isinstance(seen, datetime):
        return str(plain).startswith(seen.strftime("%Y-%m-%dT%H:%M:"))
    return seen == plain


def dropped(seen, plain):
    """The fields, at any depth, that were sent and that the client does not show."""
    if isinstance(seen, dict) and isinstance(plain, dict):
        inner = [dropped(seen[name], plain[name]) for name in seen.keys() & plain.keys()]
        return (plain.keys() - seen.keys()).union(*inner)
    if isinstance(seen, (list, tuple)):
        return set().union(*map(dropped, seen, plain))
    return set()


# ---- answers -------------------------------------------------------------------------------------


def is_good(name):
    recorded = ASKED[name]
    last = ollama_reader.last_object(recorded.body)
    return recorded.status == 200 and recorded.whole and "error" not in last


GOOD = [name for name in NAMES if is_good(name)]


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_is_what_the_plain_reader_reads(world, name):
    recorded = ASKED[name]
    with Server(load(name).script()) as server:
        parts = ask(world, server, recorded)
        assert server.requests[0].path == recorded.path
    seen = [part.model_dump(exclude_unset=True, by_alias=True) for part in parts]
    plain = ollama_reader.objects(recorded.body) or [{"status": "success"}]
    assert agrees(seen, plain)
    assert dropped(seen, plain) <= UNSHOWN


def test_byte_by_byte(world):
    name = "api_chat_split_utf8_stream"
    with Server([request, drip(load(name).response)]) as server:
        parts = ask(world, server, ASKED[name])
    text = "".join(part.message.content for part in parts)
    assert text == ollama_reader.expected(ASKED[name].body).text


def test_one_connection_answers_in_any_order(world):
    wanted = {"/api/tags": "tags", "/api/show": "show", "/api/ps": "ps_loaded"}
    routes = {path: load(name).answer() for path, name in wanted.items()}

    with Server(repeat(when(routes))) as server, ollama.Client(server.url) as client:
        models, running = client.list(), client.ps()
        client.show("tiny")
        again = client.list()
        assert models == again
        assert len(server.connections) == 1
    assert [r.path for r in server.requests] == ["/api/tags", "/api/ps", "/api/show", "/api/tags"]
    assert len(running.models) == len(ollama_reader.objects(load("ps_loaded").body)[0]["models"])


# ---- failures ------------------------------------------------------------------------------------

REFUSED = [name for name in NAMES if ASKED[name].status >= 400]
FAILED = [
    name
    for name in NAMES
    if ASKED[name].status == 200 and "error" in ollama_reader.last_object(ASKED[name].body)
]
CUT_OFF = [name for name in NAMES if name not in {*GOOD, *REFUSED, *FAILED}]


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_the_clients_error(world, name):
    with Server(load(name).script()) as server, pytest.raises(ollama.ResponseError) as caught:
        ask(world, server, ASKED[name])
    assert caught.value.status_code == ASKED[name].status
    said = ollama_reader.last_object(ASKED[name].body)
    assert caught.value.error == said.get("error", ASKED[name].body.decode())


@pytest.mark.parametrize("name", FAILED)
def test_an_error_line_is_the_clients_error(world, name):
    with Server(load(name).script()) as server, pytest.raises(ollama.ResponseError) as caught:
        ask(world, server, ASKED[name])
    assert caught.value.error == ollama_reader.last_object(ASKED[name].body)["error"]


@pytest.mark.parametrize("name", CUT_OFF)
def test_an_answer_that_breaks_off_is_an_error(world, name):
    with Server(load(name).script()) as server, pytest.raises(BROKEN_OFF):
        ask(world, server, ASKED[name])


def test_every_recording_was_replayed():
    replayed = {*GOOD, *REFUSED, *FAILED, *CUT_OFF}
    assert sorted(ASKED.keys() - replayed) == HUNG_UP
    assert min(map(len, (GOOD, REFUSED, FAILED, CUT_OFF, HUNG_UP))) > 0


# ---- leaving early -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in HUNG_UP if ASKED[name].raw])
def test_a_client_that_hangs_up_is_seen(name):
    recorded = ASKED[name]
    lines = recorded.body.count(b"\n")
    with Server(load(name).script()) as server, ollama.Client(server.url) as client:
        stream = ASK[recorded.path](client, stream=True)
        seen = [next(stream) for _ in range(lines)]
        stream.close()
        assert server.connection(0).closed_by_client.wait(CEILING)
        assert len(seen) == lines
    assert server.connections[0].happened[:2] == ("request", "client closed")
