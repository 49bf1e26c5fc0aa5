"""Recorded and hand-made answers, replayed: the client sees what the plain reader sees."""

from __future__ import annotations

import base64
import json
import struct

import lmstudio_vectors
import openai
import openai_reader
import openai_vectors
import pytest
from openai_client import create, models, one, user

from multitap.testing import Recording, Server, client_closed, drip, request, respond

TYPED = {"content-type": "text/event-stream", "connection": "close"}
ASK = {
    "/v1/chat/completions": lambda client, **how: create("Go.", **how)(client),
    "/v1/responses": lambda client, **how: client.responses.create(model="m", input="Go.", **how),
    "/v1/embeddings": lambda client: client.embeddings.create(model="m", input=["Go."]),
    "/v1/models": models,
    "/v1/models/nothing": lambda client: client.models.retrieve("nothing"),
}
# what this client has no word for, or shows otherwise: thoughts of chats, vectors as base64
UNSHOWN = {"reasoning", "embedding"}


def load(name):
    return Recording.load(openai_reader.RECORDINGS / f"{name}.json")


def is_asked(recorded):
    method = "GET" if recorded.path.startswith("/v1/models") else "POST"
    return recorded.path in ASK and recorded.method == method and recorded.raw


ASKED = {
    name: r for name in openai_reader.all_names() if is_asked(r := openai_reader.recorded(name))
}
HUNG_UP = [name for name, r in ASKED.items() if r.ended.startswith("client closed")]
REFUSED = [name for name, r in ASKED.items() if r.status >= 400]
CUT_OFF = [n for n, r in ASKED.items() if not r.whole and n not in {*HUNG_UP, *REFUSED}]
GOOD = [name for name in ASKED if name not in {*HUNG_UP, *REFUSED, *CUT_OFF}]


def ask(world, server, recorded):
    how = {"stream": True} if recorded.streamed else {}
    return world.ask(server.url, lambda client: ASK[recorded.path](client, **how))


def agrees(seen, plain):
    """Does what the client shows say what was sent?"""
    if isinstance(seen, dict) and isinstance(plain, dict):
        shown = seen.keys() - UNSHOWN
        return all(key in plain and agrees(seen[key], plain[key]) for key in shown)
    if isinstance(seen, list) and isinstance(plain, list):
        return len(seen) == len(plain) and all(map(agrees, seen, plain))
    return seen == plain


def dropped(seen, plain):
    """The fields, at any depth, that were sent and that the client does not show."""
    if isinstance(seen, dict) and isinstance(plain, dict):
        inner = [dropped(seen[key], plain[key]) for key in seen.keys() & plain.keys()]
        return (plain.keys() - seen.keys()).union(*inner)
    if isinstance(seen, list) and isinstance(plain, list):
        return set().union(*map(dropped, seen, plain))
    return set()


@pytest.mark.parametrize("name", GOOD)
def test_an_answer_is_what_the_plain_reader_reads(world, name):
    recorded = ASKED[name]
    with Server(load(name).script()) as server:
        found = ask(world, server, recorded)
        assert server.requests[0].path == recorded.path
    parts = found if recorded.streamed else [found]
    plain = openai_reader.objects(recorded)
    if recorded.path == "/v1/models":
        (plain,), (parts,) = [value["data"] or [] for value in plain], parts
    seen = [part.model_dump(exclude_unset=True, by_alias=True, warnings=False) for part in parts]
    assert agrees(seen, plain)
    assert dropped(seen, plain) <= UNSHOWN


@pytest.mark.parametrize("name", [n for n in GOOD if ASKED[n].path == "/v1/embeddings"])
def test_vectors_are_those_that_were_sent(world, name):
    with Server(load(name).script()) as server:
        found = ask(world, server, ASKED[name])
    (plain,) = openai_reader.objects(ASKED[name])
    assert [row.embedding for row in found.data] == [
        numbers_of(row["embedding"]) for row in plain["data"]
    ]


def numbers_of(sent):
    if not isinstance(sent, str):
        return sent
    data = base64.b64decode(sent)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def test_byte_by_byte(world):
    name = "chat_stream_split_utf8"
    with Server([request, drip(load(name).response)]) as server:
        seen, _ = one(ask(world, server, ASKED[name]))
    choices, _ = openai_reader.expected(ASKED[name])
    assert seen.text == choices[0].text


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_the_clients_error(world, name):
    with Server(load(name).script()) as server, pytest.raises(openai.APIStatusError) as caught:
        ask(world, server, ASKED[name])
    (said,) = openai_reader.objects(ASKED[name])
    assert (caught.value.status_code, caught.value.body) == (ASKED[name].status, said["error"])


@pytest.mark.parametrize("name", CUT_OFF)
def test_an_answer_that_breaks_off_is_an_error(world, name):
    with Server(load(name).script()) as server, pytest.raises(openai.APIConnectionError):
        ask(world, server, ASKED[name])


def test_every_recording_was_replayed():
    assert sorted([*GOOD, *REFUSED, *CUT_OFF, *HUNG_UP]) == sorted(ASKED)
    assert min(map(len, (GOOD, REFUSED, CUT_OFF, HUNG_UP))) > 0


# ---- made by hand --------------------------------------------------------------------------------


def stream_of(body):
    return [request, respond(200, TYPED, body), client_closed]


@pytest.mark.parametrize("thought", ["reasoning_content", "reasoning"])
def test_lm_studios_documented_stream(world, thought):
    with Server(stream_of(lmstudio_vectors.documented(thought))) as server:
        parts = world.ask(server.url, create("Go.", stream=True))
    seen, _ = one(parts)
    assert list(seen.calls.values()) == [["123", "weather", '{"city":"Oslo"}']]
    assert (seen.finish, parts[0].choices[0].delta.model_extra) == ("tool_calls", {thought: "Hm"})


@pytest.mark.parametrize("name", lmstudio_vectors.INSIDE)
def test_lm_studios_errors_within_a_stream(world, name):
    said, _ = lmstudio_vectors.INSIDE[name]
    body = lmstudio_vectors.sse(lmstudio_vectors.chunk(content="It"), said, done=False)
    with Server(stream_of(body)) as server, pytest.raises(openai.APIError) as caught:
        world.ask(server.url, create("Go.", stream=True))
    sent = json.loads(said.rpartition("data: ")[2])["error"]
    assert caught.value.body == sent


def test_a_response_by_hand_streamed_or_not(world):
    told = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in openai_vectors.STREAM)
    whole = {"id": "resp_1", **openai_vectors.BODY}
    call = {"model": "m", "input": user("Go.")}
    with Server(stream_of(told.encode())) as server:
        parts = world.ask(server.url, lambda c: c.responses.create(stream=True, **call))
    plain = [part.model_dump(exclude_unset=True, warnings=False) for part in parts]
    assert plain == openai_vectors.STREAM
    with Server(
        [request, respond(200, {"content-type": "application/json"}, json.dumps(whole))]
    ) as server:
        found = world.ask(server.url, lambda c: c.responses.create(**call))
    assert found.model_dump(exclude_unset=True, warnings=False) == whole
