"""Slots: listed, saved, restored and erased, of the one model of a server and of a router's."""

from __future__ import annotations

import json

import llamaserver_reader as reader
import pytest
from llamaserver_here import llamaserver_config, llamaserver_registry

from multitap.capabilities.lifecycle import Slot
from multitap.errors import BadRequest, EngineError, ModelNotFound, NotSupported, ProtocolError
from multitap.testing import WORLDS, Server, repeat, when
from multitap.testing import json as json_answer

BUILDS = ("llama-server-0.7.0-b11669", "llama.cpp-b11549")
NOWHERE = json_answer({"error": {"code": 404, "message": "File Not Found"}}, 404)
ORDER = "POST /slots/0"


def recorded(build, name):
    return json_answer(json.loads(reader.recorded(f"{build}/{name}").body))


def routes(build, order="slots_save"):
    """One that was started with a model, and what it said to one order."""
    return {
        "GET /v1/models": recorded(build, "models"),
        "GET /props": recorded(build, "props"),
        "GET /slots": recorded(build, "slots"),
        ORDER: recorded(build, order),
    }


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def ask(request):
    """One call to a server of these routes: what comes of it, or is raised; and what was asked."""

    def call(routes, verb, *args, model="tiny"):
        with Server(repeat(when(routes, otherwise=NOWHERE))) as server:
            with request.param(llamaserver_config(server.url), llamaserver_registry()) as here:
                try:
                    found = here.call(verb, *args, model=f"llamaserver:{model}")
                except Exception as error:
                    found = error
            asked = [(f"{sent.method} {sent.target}", sent.body) for sent in server.requests]
        return found, asked

    return call


# ---- what was recorded ---------------------------------------------------------------------------


@pytest.mark.parametrize("build", BUILDS)
def test_slots_are_listed_with_what_they_hold(ask, build):
    found, asked = ask(routes(build), "slots")
    assert found == [
        Slot(id=0, busy=False, tokens=32, context_length=512),
        Slot(id=1, busy=False, tokens=22, context_length=512),
    ]
    assert [target for target, _ in asked] == ["GET /v1/models", "GET /slots"]


@pytest.mark.parametrize("build", BUILDS)
@pytest.mark.parametrize(
    ("verb", "name", "slot"),
    [
        ("save_slot", "slots_save", Slot(id=0, tokens=10, size=10552)),
        ("restore_slot", "slots_restore", Slot(id=0, tokens=10, size=10552)),
        ("erase_slot", "slots_erase_ok", Slot(id=0, tokens=0)),
    ],
)
def test_an_order_is_the_recorded_one_and_says_what_the_slot_holds(ask, build, verb, name, slot):
    file = [] if verb == "erase_slot" else ["s0.bin"]
    found, asked = ask(routes(build, name), verb, 0, *file)
    assert found == slot
    request = reader.recorded(f"{build}/{name}")
    sent, body = asked[-1]
    assert sent == f"POST {request.path}&autoload=false"
    assert json.loads(body) == {**json.loads(request.request), "model": "tiny"}


@pytest.mark.parametrize("build", BUILDS)
def test_a_server_that_was_not_started_for_it_says_with_what(ask, build):
    refusal = json.loads(reader.recorded(f"{build}/slots_erase").body)
    error, _ = ask({**routes(build), ORDER: json_answer(refusal, 501)}, "erase_slot", 0)
    assert (type(error), error.kind) == (NotSupported, "slots_not_supported")
    assert "--slot-save-path" in error.hint


# ---- a router ------------------------------------------------------------------------------------


def test_a_router_is_told_whose_slots_and_loads_nothing_for_it(ask):
    row = {"id": "a/b", "owned_by": "llamacpp", "status": {"value": "loaded", "args": []}}
    made = {**routes(BUILDS[0]), "GET /v1/models": json_answer({"data": [row]})}
    ask(made, "slots", model="a/b")
    _, asked = ask(made, "save_slot", 0, "s0.bin", model="a/b")
    assert [target for target, _ in asked[1:]] == [
        "GET /props?model=a%2Fb&autoload=false",
        "POST /slots/0?action=save&autoload=false",
    ]
    assert json.loads(asked[-1][1]) == {"model": "a/b", "filename": "s0.bin"}
    _, asked = ask(made, "slots", model="a/b")
    assert asked[1][0] == "GET /slots?model=a%2Fb&autoload=false"


# ---- what is wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 7])
def test_a_number_that_no_slot_has_is_refused_before_another_one_is_saved(ask, number):
    error, asked = ask(routes(BUILDS[0]), "save_slot", number, "s0.bin")
    assert (type(error), error.kind) == (BadRequest, "slot_unknown")
    assert "it has 2" in error.message
    assert "multitap slots" in error.hint
    assert not any(target.startswith("POST") for target, _ in asked)


def test_a_build_that_does_not_tell_how_many_is_sent_the_number(ask):
    found, _ = ask({**routes(BUILDS[0]), "GET /props": json_answer({})}, "save_slot", 0, "s0.bin")
    assert found.tokens == 10


@pytest.mark.parametrize("verb", ["slots", "save_slot", "restore_slot", "erase_slot"])
def test_a_model_that_is_not_there(ask, verb):
    args = {"slots": [], "erase_slot": [0]}.get(verb, [0, "s0.bin"])
    error, asked = ask(routes(BUILDS[0]), verb, *args, model="nobody")
    assert isinstance(error, ModelNotFound)
    assert "tiny" in error.message
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "message", "cls", "kind", "word"),
    [
        (400, "Invalid filename", BadRequest, "slot_name_refused", "plain name"),
        (
            *(400, "Unable to restore slot: No available space in KV cache or invalid file"),
            *(BadRequest, "slot_not_restored", "this very model"),
        ),
        (500, "Unable to save slot", EngineError, "slot_not_saved", "--slot-save-path"),
        (400, "model is not loaded", BadRequest, "model_unloaded", "multitap load"),
    ],
)
def test_a_refusal_says_what_to_change(ask, status, message, cls, kind, word):
    refusal = {"error": {"code": status, "message": message, "type": "invalid_request_error"}}
    answer = json_answer(refusal, status)
    error, _ = ask({**routes(BUILDS[0]), ORDER: answer}, "save_slot", 0, "s0.bin")
    assert (type(error), error.kind, error.backend) == (cls, kind, "llamaserver")
    assert word in error.hint


@pytest.mark.parametrize("said", [{"data": []}, [{"id": "zero"}], [{}], "slots", 17])
def test_a_list_that_is_none_is_a_protocol_error(ask, said):
    error, _ = ask({**routes(BUILDS[0]), "GET /slots": json_answer(said)}, "slots")
    assert isinstance(error, ProtocolError)
