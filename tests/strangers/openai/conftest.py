"""The client, a scripted server, and the plugin that asks the same server."""

from __future__ import annotations

import pytest
from openai_client import SERVERS, Blocking, OnALoop

from multitap.testing import WORLDS


@pytest.fixture(params=[Blocking, OnALoop], ids=["sync", "async"])
def world(request):
    """The client in blocking code, or on an event loop."""
    return request.param()


@pytest.fixture(params=SERVERS)
def name(request):
    """Whose server it is."""
    return request.param


@pytest.fixture
def server(name):
    with SERVERS[name][0]() as found:
        yield found


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def streamed(request):
    return request.param


@pytest.fixture
def plugin(name, server):
    """One call of the plugin of this server; in blocking code, or on a loop of its own."""
    _, config, registry = SERVERS[name]

    def call(method, *args, world=WORLDS[0], settings=None, **options):
        with world(config(server.url, **(settings or {})), registry()) as here:
            if method == "stream":
                return here.stream(*args, **options)[1].answer
            if method.endswith("_stream"):
                return here.items(method, *args, **options)[0]
            return here.call(method, *args, **options)

    return call


@pytest.fixture(params=WORLDS, ids=["plugin", "plugin async"])
def ours(request, plugin):
    """What a plugin makes of a chat, streamed or not."""

    def ask(*prompt, stream=False, **options):
        return plugin("stream" if stream else "chat", *prompt, world=request.param, **options)

    return ask


@pytest.fixture(params=WORLDS, ids=["plugin", "plugin async"])
def called(request, plugin):
    """What any other call of a plugin gives."""

    def call(method, *args, **options):
        return plugin(method, *args, world=request.param, **options)

    return call
