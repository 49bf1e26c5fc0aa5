"""Answers of real servers, read by a person: ``by_hand.toml`` says what stands in the bytes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from garbage import REPOSITORY, model_of
from recorded_traffic import read_recording

from multitap.answer import fold
from multitap.events import Failed, Stop
from multitap.plan import chat_request
from multitap.testing import outputs_of
from multitap.work import Head, HttpReply

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STREAMS = ("text/event-stream", "application/x-ndjson")
READ = tomllib.loads(Path(__file__).with_name("by_hand.toml").read_text("utf-8"))["answer"]


def named(wanted):
    return f"{wanted['plugin']}: {wanted['recording']}"


@pytest.mark.parametrize("wanted", READ, ids=named)
def test_what_a_person_reads_in_an_answer_is_what_an_application_gets(wanted):
    recorded = read_recording(
        REPOSITORY / "plugins" / wanted["plugin"] / "tests" / "recordings", wanted["recording"]
    )
    exchange = exchange_of(wanted, recorded)
    if recorded.status >= 400:
        reply = HttpReply(recorded.status, recorded.headers, recorded.body)
        events = [Failed(exchange.explain(reply))]
    else:
        events = outputs_of(exchange.decoder(Head(200, recorded.headers)), [recorded.body])
    assert read(events) == {
        "texts": wanted.get("texts", [wanted.get("text", "")]),
        "reasoning": wanted.get("reasoning", ""),
        "calls": wanted.get("calls", []),
        "tokens": wanted.get("tokens", []),
        "usage": wanted.get("usage"),
        "ends": [wanted.get("stop") or wanted["error"]],
    }
    told = wanted.get("told", {})
    assert {name: getattr(events[-1].error, name) for name in told} == told


def exchange_of(wanted, recorded):
    """The recorded request, as far as it decides how the answer is read."""
    body = json.loads(recorded.request)
    tools = body.get("tools") or []
    request = chat_request(
        "tiny",
        "hi",
        tools=[tool if "function" in tool else {"name": tool["name"]} for tool in tools],
        stop=body.get("stop"),
        stream=recorded.headers["content-type"].startswith(STREAMS),
    )
    settings = {"api": wanted["api"]} if "api" in wanted else {}
    return model_of(wanted["plugin"], "chat", **settings).chat(request)


def read(events):
    """The same facts of events, in the words of the table."""
    answer = fold(events, backend="b", provider="p", model="tiny")
    choices = answer.choices or [answer]
    return {
        "texts": [choice.text for choice in choices],
        "reasoning": answer.reasoning,
        "calls": [[call.name, call.arguments_text] for call in answer.tool_calls],
        "tokens": [token.token for token in answer.logprobs or ()],
        "usage": counts(answer.usage),
        "ends": list(dict.fromkeys(end for event in events if (end := end_of(event)))),
    }


def counts(usage):
    if usage.source != "reported":
        return None
    cached = [] if usage.cached_tokens is None else [usage.cached_tokens]
    return [usage.input_tokens, usage.output_tokens, *cached]


def end_of(event):
    if isinstance(event, Stop):
        return event.stop_reason
    return type(event.error).__name__ if isinstance(event, Failed) else None
