"""Hugging Face's own client against TGI's recordings, replayed: it sees what the plain reader sees.

So the scripted server speaks HTTP as a real client expects it, and the recordings are what it says.
Run by `nox -s "strangers(huggingface_hub)"`, in an environment of its own.
"""

from __future__ import annotations

import asyncio

import pytest
import tgi_reader
from huggingface_hub import AsyncInferenceClient, InferenceClient

from multitap.testing import CEILING, Recording, Server, drip, request

HI = [{"role": "user", "content": "hi"}]
NATIVE = ("/", "/generate", "/generate_stream")
# what this client has no word for, or shows under another name
UNSHOWN = {"object", "details", "top_tokens", "special", "top_logprobs", "best_of_sequences"}


def is_stream(recorded):
    asked = b'"stream":true' in recorded.request or recorded.path == "/generate_stream"
    return asked or "event-stream" in recorded.headers.get("content-type", "")


def say(client, recorded):
    streamed = is_stream(recorded)
    if recorded.path in NATIVE:
        return client.text_generation("hi", stream=streamed, details=True)
    return client.chat_completion(HI, stream=streamed, model="tiny")


def where(url, recorded):
    return {"model": url} if recorded.path in NATIVE else {"base_url": url}


class Blocking:
    """What the client says, in blocking code."""

    def ask(self, url, recorded):
        client = InferenceClient(**where(url, recorded), timeout=CEILING)
        found = say(client, recorded)
        return list(found) if is_stream(recorded) else [found]


class OnALoop:
    """The same on an event loop."""

    def ask(self, url, recorded):
        async def run():
            async with AsyncInferenceClient(**where(url, recorded), timeout=CEILING) as client:
                found = await say(client, recorded)
                return [part async for part in found] if is_stream(recorded) else [found]

        return asyncio.run(run())


@pytest.fixture(params=[Blocking, OnALoop], ids=["sync", "async"])
def world(request):
    return request.param()


def load(name):
    return Recording.load(tgi_reader.RECORDINGS / f"{name}.json")


def is_asked(recorded):
    known = recorded.path in NATIVE or recorded.path == tgi_reader.CHAT
    return known and recorded.method == "POST" and recorded.raw


ASKED = {name: r for name in tgi_reader.all_names() if is_asked(r := tgi_reader.recorded(name))}
HUNG_UP = [name for name, r in ASKED.items() if r.ended.startswith("client closed")]
NAMES = [name for name in ASKED if name not in HUNG_UP]
GOOD = [
    name
    for name in NAMES
    if ASKED[name].status == 200 and ASKED[name].whole and not tgi_reader.error_in(ASKED[name].body)
]
REFUSED = [name for name in NAMES if ASKED[name].status >= 400]
FAILED = [
    name
    for name in NAMES
    if ASKED[name].status == 200 and tgi_reader.error_in(ASKED[name].body) is not None
]
CUT_OFF = [name for name in NAMES if name not in {*GOOD, *REFUSED, *FAILED}]


def agrees(seen, plain):
    """Does what the client shows say what was sent? It may have no word for a field."""
    if isinstance(seen, dict) and isinstance(plain, dict):
        return all(value is None or agrees(value, plain.get(key)) for key, value in seen.items())
    if isinstance(seen, (list, tuple)) and isinstance(plain, list):
        return len(seen) == len(plain) and all(map(agrees, seen, plain))
    return seen == plain


def dropped(seen, plain):
    """The fields, at any depth, that were sent and that the client does not show."""
    if isinstance(seen, dict) and isinstance(plain, dict):
        known = {key for key, value in seen.items() if value is not None}
        told = {key for key, value in plain.items() if value is not None}
        inner = [dropped(seen[key], plain[key]) for key in known & told]
        return (told - known).union(*inner)
    if isinstance(seen, (list, tuple)) and isinstance(plain, list):
        return set().union(*map(dropped, seen, plain))
    return set()


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_is_what_the_plain_reader_reads(world, name):
    recorded = ASKED[name]
    with Server(load(name).script()) as server:
        parts = world.ask(server.url, recorded)
    plain = tgi_reader.objects(recorded.body)
    plain = plain[0] if plain and isinstance(plain[0], list) else plain
    assert agrees(parts, plain)
    assert dropped(parts, plain) <= UNSHOWN


def test_byte_by_byte(world):
    name = "chat_stream_split_utf8"
    with Server([request, drip(load(name).response)]) as server:
        parts = world.ask(server.url, ASKED[name])
    text = "".join(part.choices[0].delta.content or "" for part in parts)
    assert text == tgi_reader.expected(ASKED[name].body).text


@pytest.mark.parametrize("name", [*REFUSED, *FAILED, *CUT_OFF])
def test_what_is_no_answer_is_some_error_of_the_client(world, name):
    with Server(load(name).script()) as server, pytest.raises(Exception) as caught:
        world.ask(server.url, ASKED[name])
    said = tgi_reader.error_in(ASKED[name].body)
    if isinstance(said, str):
        assert said[:40] in str(caught.value) or ASKED[name].status >= 400
    elif said is not None:
        assert said["message"][:40] in str(caught.value)


def test_every_recording_was_replayed():
    assert sorted([*GOOD, *REFUSED, *FAILED, *CUT_OFF, *HUNG_UP]) == sorted(ASKED)
    assert min(map(len, (GOOD, REFUSED, FAILED, CUT_OFF, HUNG_UP))) > 0
