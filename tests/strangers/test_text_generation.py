"""TGI's own client against its recordings, replayed: it sees what the plain reader sees.

Run by `nox -s "strangers(text_generation)"`, in an environment of its own.
"""

from __future__ import annotations

import asyncio

import pytest
import tgi_reader
from text_generation import AsyncClient, Client
from text_generation.errors import GenerationError, OverloadedError, ValidationError

from multitap.testing import CEILING, Recording, Server

# the client is older than its own pydantic
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
ERRORS = {
    "validation": ValidationError,
    "generation": GenerationError,
    "overloaded": OverloadedError,
}


def is_native_stream(name):
    recorded = tgi_reader.recorded(name)
    kind = recorded.headers.get("content-type", "")
    return recorded.path in ("/", "/generate_stream") and "event-stream" in kind


STREAMS = [
    name
    for name in tgi_reader.all_names()
    if is_native_stream(name) and tgi_reader.recorded(name).whole
]
GOOD = [n for n in STREAMS if tgi_reader.error_in(tgi_reader.recorded(n).body) is None]


def blocking(url):
    return list(Client(url, timeout=CEILING).generate_stream("hi"))


def on_a_loop(url):
    async def run():
        client = AsyncClient(url, timeout=CEILING)
        return [part async for part in client.generate_stream("hi")]

    return asyncio.run(run())


@pytest.fixture(params=[blocking, on_a_loop], ids=["sync", "async"])
def world(request):
    return request.param


def script(name):
    return Recording.load(tgi_reader.RECORDINGS / f"{name}.json").script()


@pytest.mark.parametrize("name", GOOD)
def test_a_stream_is_what_the_plain_reader_reads(world, name):
    with Server(script(name)) as server:
        parts = world(server.url)
    plain = tgi_reader.objects(tgi_reader.recorded(name).body)
    assert [part.token.text for part in parts] == [value["token"]["text"] for value in plain]
    assert [part.generated_text for part in parts] == [value["generated_text"] for value in plain]


@pytest.mark.parametrize("name", sorted({*STREAMS} - {*GOOD}))
def test_an_error_in_a_stream_is_the_clients_error(world, name):
    last = tgi_reader.objects(tgi_reader.recorded(name).body)[-1]
    with Server(script(name)) as server, pytest.raises(ERRORS[last["error_type"]]) as caught:
        world(server.url)
    assert last["error"] in str(caught.value)
