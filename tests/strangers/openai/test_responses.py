"""Responses: the client and the plugin see one answer."""

from __future__ import annotations

import openai
import pytest
from openai_client import FORM, SCHEMA, STRICT, TOOL, TWO_CITIES, beside, known, user
from openai_here import openai_config, openai_registry
from pydantic import TypeAdapter

from multitap import errors
from multitap.testing import WORLDS

EVENT = TypeAdapter(openai.types.responses.ResponseStreamEvent)
FLAT = {"type": "function", **STRICT}
RESPONSES = {
    "a text": ("Why is the sky blue?", {}, {}),
    "few tokens": ("Why is the sky blue?", {"max_output_tokens": 3}, {"max_tokens": 3}),
    "two calls": (TWO_CITIES, {"tools": [FLAT]}, {"tools": [TOOL]}),
    "thoughts": (
        "What is 2 plus 2?",
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"think": "low"},
    ),
    "thoughts and a call": (
        "2 plus 2, and the weather?",
        {"tools": [FLAT], "reasoning": {"effort": "low", "summary": "auto"}},
        {"tools": [TOOL], "think": "low"},
    ),
    "a form": (
        "Where?",
        {"text": {"format": {"type": "json_schema", **FORM["json_schema"]}}},
        {"response_format": SCHEMA},
    ),
}


def respond(prompt, /, **options):
    options = {"model": "gpt-5", "input": prompt, **options}
    return lambda client: client.responses.create(**options)


def final_of(found):
    """The whole response; of a stream, the last, once all its events are known to be in order."""
    if not isinstance(found, list):
        return known(found)
    for number, event in enumerate(found):
        EVENT.validate_python(event.model_dump(exclude_unset=True, warnings=False))
        assert (event.sequence_number, beside(event)) == (number, set())
    return known(found[-1].response)


def reasoning_of(response):
    thoughts = [item for item in response.output if item.type == "reasoning"]
    return "".join(
        part.text for item in thoughts for part in (*item.summary, *(item.content or ()))
    )


RESPONDS = {"api": "responses", "server": "compatible"}


@pytest.fixture(params=WORLDS, ids=["plugin", "plugin async"])
def responder(request, server):
    """Asks either server for responses, through the plugin that can."""

    def ask(prompt, streamed, **options):
        config = openai_config(server.url, **RESPONDS)
        with request.param(config, openai_registry()) as here:
            if streamed:
                return here.stream(prompt, **options)[1].answer
            return here.call("chat", prompt, **options)

    return ask


@pytest.mark.parametrize("case", RESPONSES)
def test_a_response_is_seen_alike(world, server, responder, case, streamed):
    prompt, asked, options = RESPONSES[case]
    found = world.ask(server.url, respond(prompt, model="tiny", stream=streamed, **asked))
    response, answer = final_of(found), responder(prompt, streamed, **options)
    assert response.output_text == answer.text
    calls = [(i.call_id, i.name, i.arguments) for i in response.output if i.type == "function_call"]
    assert calls == [(call.id, call.name, call.arguments_text) for call in answer.tool_calls]
    assert reasoning_of(response) == answer.reasoning
    ended = "tool_use" if calls else {"completed": "complete"}.get(response.status, "max_tokens")
    assert ended == answer.stop_reason
    usage = answer.usage
    counts = (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens)
    told = response.usage
    reasoned = told.output_tokens_details.reasoning_tokens
    assert (told.input_tokens, told.output_tokens, reasoned) == counts


@pytest.mark.parametrize("case", sorted(RESPONSES.keys() - {"few tokens"}))  # only what is complete
def test_the_client_puts_a_response_together(world, name, server, case):
    prompt, asked, _ = RESPONSES[case]
    whole = world.ask(server.url, respond(prompt, **{**asked, "model": MODEL[name]}))
    asked = {"model": MODEL[name], "input": prompt, **asked}

    def call(client):
        return client.responses.stream(**asked)

    kinds, final = world.follow(server.url, call, "get_final_response")
    assert final.output_text == whole.output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


MODEL = {"openai": "gpt-5", "lmstudio": "tiny"}


def test_a_response_that_was_cut_says_why(world, name, server):
    found = world.ask(server.url, respond("sky blue", model=MODEL[name], max_output_tokens=2))
    assert (found.status, found.incomplete_details.reason) == ("incomplete", "max_output_tokens")


def test_a_response_that_fails_is_the_plugins_error(world, server, responder, streamed):
    found = world.ask(server.url, respond("crash", model="tiny", stream=streamed))
    response = final_of(found)
    assert (response.status, response.error.code) == ("failed", "server_error")
    with pytest.raises(errors.EngineError) as caught:
        responder("crash", streamed)
    assert caught.value.message == response.error.message
    assert caught.value.partial.text == (response.output_text if streamed else "")
    assert len(caught.value.attempts) == (1 if streamed else 3)  # nothing of it was shown


def test_results_go_back_to_a_response(world, name, server):
    first = world.ask(server.url, respond(TWO_CITIES, model=MODEL[name], tools=[FLAT]))
    told = zip(first.output, ["cold", "warm"], strict=True)
    results = [
        {"type": "function_call_output", "call_id": call.call_id, "output": text}
        for call, text in told
    ]
    turns = [*user(TWO_CITIES), *first.output, *results]
    again = world.ask(server.url, respond(turns, model=MODEL[name], tools=[FLAT]))
    assert again.output_text == "It is cold and warm."
