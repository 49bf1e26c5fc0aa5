"""Chat completions: the client and the plugin see one answer."""

from __future__ import annotations

import json

import pytest
from openai_client import FORM, STRICT, TOOL, TWO_CITIES, counted, create, one, seen_of, user
from pydantic import BaseModel

only_openai = pytest.mark.parametrize("name", ["openai"], indirect=True)

CASES = {
    "a text": ("Why is the sky blue?", {}),
    "few tokens": ("Why is the sky blue?", {"max_tokens": 3}),
    "a stop text": ("What is the capital of France?", {"stop": [" is"]}),
    "thoughts": ("What is 2 plus 2?", {}),
    "a call": ("How is the weather in Oslo?", {"tools": [TOOL]}),
    "two calls": (TWO_CITIES, {"tools": [TOOL]}),
    "no call": (TWO_CITIES, {"tools": [TOOL], "tool_choice": "none"}),
    "a call that must be": ("Go.", {"tools": [TOOL], "tool_choice": "required"}),
    "a form": ("Where?", {"response_format": FORM}),
}
ENDS = {"stop": "complete", "length": "max_tokens", "tool_calls": "tool_use"}


@pytest.mark.parametrize("case", CASES)
def test_the_client_and_the_plugin_see_one_answer(world, name, server, ours, case, streamed):
    prompt, options = CASES[case]
    seen, usage = one(world.ask(server.url, create(prompt, **options, **counted(streamed))))
    answer = ours(prompt, stream=streamed, **options)
    thought = f"<think>\n{answer.reasoning}</think>\n\n" if answer.reasoning else ""
    assert seen.text == thought + answer.text
    calls = [(call.id, call.name, call.arguments_text) for call in answer.tool_calls]
    assert list(map(tuple, seen.calls.values())) == calls
    assert ENDS[seen.finish] == answer.stop_reason
    counts = (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == counts
    sent = [json.loads(request.body) for request in server.requests]
    assert sent[0].get("tool_choice") == sent[1].get("tool_choice")


def test_calls_come_in_parallel_unless_they_may_not(world, server):
    for parallel, cities in ((True, ["Oslo", "Rome"]), (False, ["Oslo"])):
        call = create(TWO_CITIES, tools=[TOOL], parallel_tool_calls=parallel)
        seen, _ = one(world.ask(server.url, call))
        assert [json.loads(text)["city"] for *_, text in seen.calls.values()] == cities


def test_results_of_calls_go_back(world, server):
    first = world.ask(server.url, create(TWO_CITIES, tools=[TOOL]))
    message = first.choices[0].message
    told = zip(message.tool_calls, ["cold", "warm"], strict=True)
    results = [{"role": "tool", "tool_call_id": c.id, "content": t} for c, t in told]
    turns = [*user(TWO_CITIES), message, *results]
    again = create("", messages=turns, tools=[TOOL])
    assert one(world.ask(server.url, again))[0].text == "It is cold and warm."


def test_the_client_puts_a_stream_together(world, server):
    def call(client):
        return client.chat.completions.stream(
            model="tiny", messages=user(TWO_CITIES), tools=[{**TOOL, "function": STRICT}]
        )

    kinds, final = world.follow(server.url, call, "get_final_completion")
    assert kinds.count("tool_calls.function.arguments.done") == 2
    parsed = [call.function.parsed_arguments for call in final.choices[0].message.tool_calls]
    assert parsed == [{"city": "Oslo"}, {"city": "Rome"}]


class Place(BaseModel):
    city: str


def test_an_answer_in_a_form_is_parsed(world, server):
    def call(client):
        messages = user("Where is the Eiffel tower?")
        return client.chat.completions.parse(model="tiny", messages=messages, response_format=Place)

    message = world.ask(server.url, call).choices[0].message
    assert message.parsed == Place(city="Paris")


@only_openai
def test_choices_and_probabilities(world, server, ours, streamed):
    asked = {"n": 2, "logprobs": True, "top_logprobs": 1}
    prompt = "What is the capital of France?"
    choices, usage = seen_of(world.ask(server.url, create(prompt, **asked, **counted(streamed))))
    answer = ours(prompt, stream=streamed, n=2, logprobs=1)
    assert [seen.text for seen in choices.values()] == [c.text for c in answer.choices]
    assert len(choices) == 2
    tokens = [(token.token, token.logprob) for token in answer.logprobs]
    assert choices[0].tokens == tokens
    assert "".join(token for token, _ in tokens) == answer.text
    assert usage.completion_tokens == answer.usage.output_tokens == 12


@only_openai
def test_top_probabilities_are_those_that_were_asked_for(world, server):
    for top in (0, 1):
        found = world.ask(server.url, create("Hi", logprobs=True, top_logprobs=top))
        (entry,) = found.choices[0].logprobs.content
        assert (entry.token, len(entry.top_logprobs)) == ("Hello!", top)


def test_a_stream_counts_only_where_it_is_asked_to(world, server):
    for options, reports in ((counted(True), 1), ({"stream": True}, 0)):
        parts = world.ask(server.url, create("Hi", **options))
        assert [bool(part.usage) for part in parts].count(True) == reports
        assert all(part.choices for part in parts[: len(parts) - reports])


@only_openai
@pytest.mark.parametrize(("model", "shown"), [("gpt-5", ""), ("tiny", "Let me think.")])
def test_thoughts_are_counted_and_by_openai_not_shown(world, server, ours, model, shown, streamed):
    asked = {"model": model, "reasoning_effort": "low", **counted(streamed)}
    seen, usage = one(world.ask(server.url, create("What is 2 plus 2?", **asked)))
    here = {"model": f"openai:{model}", "think": "low"}
    answer = ours("What is 2 plus 2?", stream=streamed, settings={"server": "openai"}, **here)
    assert (seen.text, seen.thought) == (answer.text, answer.reasoning) == ("Four.", shown)
    assert usage.completion_tokens_details.reasoning_tokens == answer.usage.reasoning_tokens == 3
