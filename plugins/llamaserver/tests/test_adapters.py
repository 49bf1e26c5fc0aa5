"""LoRA adapters of a llama-server: listed, and named in a chat."""

from __future__ import annotations

import json

import llamaserver_reader as reader
import pytest
from llamaserver_here import llamaserver_config, llamaserver_registry
from scripted_llamaserver import ADAPTERS, chat, embed, rerank

from multitap.errors import BadRequest
from multitap.testing import WORLDS, Server, repeat, when
from multitap.testing import json as json_answer

NOWHERE = json_answer({"error": {"code": 404, "message": "File Not Found"}}, 404)


def routes(**changed):
    found = {
        "GET /v1/models": json_answer(json.loads(reader.of_llamaserver("models").body)),
        "GET /props": json_answer(json.loads(reader.of_llamaserver("props").body)),
        "GET /lora-adapters": json_answer(ADAPTERS),
        "POST /v1/chat/completions": chat,
        "POST /v1/rerank": rerank,
        "POST /v1/embeddings": embed,
    }
    return {**found, **changed}


@pytest.fixture
def server():
    with Server(repeat(when(routes(), otherwise=NOWHERE))) as one:
        yield one


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes runtimes in blocking code, or on an event loop."""
    made = []

    def make(server):
        made.append(request.param(llamaserver_config(server.url), llamaserver_registry()))
        return made[-1]

    yield make
    for here in made:
        here.close()


def posted(server, path):
    sent = (asked for asked in server.requests if asked.method == "POST")
    return [asked.json() for asked in sent if asked.path == path]


@pytest.mark.parametrize(
    ("wanted", "sent"),
    [
        ({"law": 0.5}, [1.0, 0.5]),
        ({"law": 1, "style": 0}, [0, 1]),
        ({}, [1.0, 0.25]),
    ],
)
def test_a_chat_gives_scales_by_name_and_the_rest_stays(world, server, wanted, sent):
    here = world(server)
    for ask in (here.call, lambda _, *args, **options: here.stream(*args, **options)):
        ask("chat", "What is the capital of France?", extra={"lora": wanted})
    bodies = posted(server, "/v1/chat/completions")
    assert [body["lora"] for body in bodies] == [
        [{"id": number, "scale": scale} for number, scale in enumerate(sent)]
    ] * 2


def test_the_servers_own_list_is_sent_as_it_is(world, server):
    own = [{"id": 0, "scale": 0.5}]
    world(server).call("chat", "Hi", extra={"lora": own})
    (body,) = posted(server, "/v1/chat/completions")
    assert body["lora"] == own
    assert "/lora-adapters" not in {asked.path for asked in server.requests}


def test_an_answer_comes_as_without_adapters(world, server):
    here = world(server)
    events, stream = here.stream("What is the capital of France?", extra={"lora": {"law": 1}})
    plain, _ = here.stream("What is the capital of France?")
    assert [type(event) for event in events] == [type(event) for event in plain]
    assert stream.answer.text == "The capital of France is Paris."


def test_an_adapter_that_is_not_there_is_refused(world, server):
    with pytest.raises(BadRequest, match="'tone'; there are: style, law") as caught:
        world(server).call("chat", "Hi", extra={"lora": {"tone": 1}})
    assert caught.value.kind == "adapter_unknown"
    assert "--lora" in caught.value.hint


def test_a_description_has_them(world, server):
    assert world(server).call("describe", "tiny").meta["adapters"] == "style=1, law=0.25"


@pytest.mark.parametrize(
    "answer",
    [
        *(
            json_answer(json.loads(reader.recorded(name).body))
            for name in reader.names("test_adapters")
        ),
        NOWHERE,
    ],
)
def test_a_server_without_adapters_is_described_all_the_same(world, answer):
    changed = {"GET /lora-adapters": answer}
    with Server(repeat(when(routes(**changed), otherwise=NOWHERE))) as server:
        assert "adapters" not in world(server).call("describe", "tiny").meta
