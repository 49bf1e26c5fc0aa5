"""Refusals and broken answers: errors of the client, and of the plugin."""

from __future__ import annotations

import openai
import pytest
from openai_client import create, one
from scripted_openai import busy, spent

from multitap import errors

only_openai = pytest.mark.parametrize("name", ["openai"], indirect=True)


def said_in(error):
    """What the server said; where it is a text and no object, the client's message lacks it."""
    return error.body if isinstance(error.body, str) else error.body["message"]


@pytest.fixture
def both(world, name, server, plugin):
    """The client's error and the plugin's, of the same call."""

    def ask(prompt, model="tiny", key="sesame", streamed=False):
        call = create(prompt, model=model, stream=streamed)
        with pytest.raises(openai.APIError) as theirs:
            world.ask(server.url, call, api_key=key)
        method, settings = "stream" if streamed else "chat", {"api_key": key}
        with pytest.raises(errors.BackendError) as ours:
            plugin(method, prompt, model=f"{name}:{model}", settings=settings)
        return theirs.value, ours.value

    return ask


def test_a_wrong_key(server, both):
    server.key = "open"
    theirs, ours = both("Hi", key="wrong")
    assert (type(theirs), type(ours)) == (openai.AuthenticationError, errors.AuthenticationError)
    assert (theirs.code, theirs.status_code, ours.status) == ("invalid_api_key", 401, 401)


def test_the_right_key(world, server):
    server.key = "sesame"
    assert one(world.ask(server.url, create("Hi")))[0].text == "Hello!"


def test_a_model_that_is_not_there(both, streamed):
    theirs, ours = both("Hi", model="no-such-model", streamed=streamed)
    assert (type(theirs), type(ours)) == (openai.NotFoundError, errors.ModelNotFound)
    assert theirs.code == "model_not_found"


def test_a_prompt_that_is_too_long(name, both, streamed):
    theirs, ours = both("many words " * 1000, streamed=streamed)
    assert (type(theirs), type(ours)) == (openai.BadRequestError, errors.ContextOverflow)
    assert (ours.limit, ours.needed) == (1000, 2000)
    assert theirs.code == {"openai": "context_length_exceeded", "lmstudio": None}[name]


def test_a_crash_keeps_what_was_said(both, streamed):
    theirs, ours = both("crash", streamed=streamed)
    whole = (openai.InternalServerError, errors.ProviderDown)
    assert (type(theirs), type(ours)) == (
        (openai.APIError, errors.EngineError) if streamed else whole
    )
    assert ours.message == said_in(theirs)
    assert (ours.partial.text if ours.partial else "") == ("Hello!" if streamed else "")


@pytest.mark.parametrize("name", ["lmstudio"], indirect=True)
def test_any_json_object_is_refused_by_lm_studio(world, server):
    call = create("Hi", response_format={"type": "json_object"})
    with pytest.raises(openai.BadRequestError) as caught:
        world.ask(server.url, call)
    assert said_in(caught.value) == "'response_format.type' must be 'json_schema' or 'text'"


@only_openai
def test_too_many_requests_are_asked_again_as_soon_as_it_says(world, server, ours):
    server.refusals = [busy()]
    assert one(world.ask(server.url, create("Hi"), max_retries=1))[0].text == "Hello!"
    server.refusals = [busy()]
    answer = ours("Hi")
    assert (answer.text, len(answer.attempts)) == ("Hello!", 2)


@only_openai
def test_too_many_requests_tell_when(world, server):
    server.refusals = [busy()]
    with pytest.raises(openai.RateLimitError) as caught:
        world.ask(server.url, create("Hi"))
    headers = caught.value.response.headers
    assert (caught.value.code, caught.value.request_id) == ("rate_limit_exceeded", "req_1")
    assert (headers["retry-after-ms"], headers["retry-after"]) == ("10", "1")


@only_openai
def test_a_spent_account_is_not_asked_again(world, server, ours):
    server.refusals = [spent(), spent()]
    with pytest.raises(openai.RateLimitError) as caught:
        world.ask(server.url, create("Hi"), max_retries=2)
    with pytest.raises(errors.QuotaExceeded):
        ours("Hi")
    assert (caught.value.code, len(server.requests)) == ("insufficient_quota", 2)


@only_openai
def test_a_path_that_is_not_there_is_no_missing_model(world, server, plugin):
    with pytest.raises(openai.NotFoundError, match="Invalid URL"):
        world.ask(server.url, lambda client: client.batches.retrieve("b"))
    with pytest.raises(errors.ProtocolError, match="Invalid URL"):
        plugin("chat", "Hi", settings={"prefix": "/v2"})
