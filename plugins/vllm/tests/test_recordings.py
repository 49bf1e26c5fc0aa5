"""What a real vLLM said, through this plugin's own reading of it, however the bytes are cut."""

from __future__ import annotations

import json

import pytest
import vllm_reader

from multitap.answer import fold
from multitap.events import Failed, Stop, UsageReport
from multitap.hookspecs import Backend
from multitap.plan import chat_request
from multitap.testing import (
    assert_chunking_invariant,
    assert_stream_grammar,
    assert_truncation_is_seen,
    outputs_of,
)
from multitap.work import Head
from multitap_vllm.chat import multitap_chat

ANSWERS = vllm_reader.names("test_recordings")
WHOLE = [name for name in ANSWERS if not vllm_reader.was_aborted(vllm_reader.recorded(name))]
STREAMS = [name for name in WHOLE if vllm_reader.recorded(name).streamed]
CHAT = multitap_chat(Backend(id="vllm", provider="vllm"))


def stage(recorded):
    work = CHAT.chat(chat_request("tiny", "hi", stream=recorded.streamed))
    return work.decoder(Head(200, recorded.headers))


def read(recorded):
    return outputs_of(stage(recorded), [recorded.body])


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_is_read_as_a_plain_reader_reads_it(name):
    recorded = vllm_reader.recorded(name)
    wanted, _ = vllm_reader.expected(recorded)
    answer = fold(read(recorded), backend="b", provider="vllm", model="tiny")
    assert len(wanted) == len(answer.choices)
    for index, choice in enumerate(answer.choices):
        here = wanted[index]
        assert (choice.text, choice.reasoning) == (here["text"], here["reasoning"])
        assert choice.stop_reason == vllm_reader.reason(here)
        assert [(t.token, t.logprob) for t in choice.logprobs or ()] == here["tokens"]
        calls = [(call.id, call.name, call.arguments_text) for call in choice.tool_calls]
        assert calls == here["calls"]
        for call in choice.tool_calls:
            assert call.arguments == json.loads(call.arguments_text)


@pytest.mark.parametrize("name", WHOLE)
def test_usage_is_what_the_server_reports_or_is_estimated(name):
    recorded = vllm_reader.recorded(name)
    _, wanted = vllm_reader.expected(recorded)
    (usage,) = [event.usage for event in read(recorded) if isinstance(event, UsageReport)]
    if wanted is None:
        assert usage.source == "estimated"
        return
    details = wanted.get("prompt_tokens_details") or {}
    assert (usage.source, usage.input_tokens, usage.output_tokens, usage.total_tokens) == (
        "reported",
        wanted["prompt_tokens"],
        wanted["completion_tokens"],
        wanted["total_tokens"],
    )
    assert usage.cached_tokens == details.get("cached_tokens")
    assert usage.cache_write_tokens == details.get("created_cache_tokens")
    assert usage.reasoning_tokens == wanted["completion_tokens_details"]["reasoning_tokens"]


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in vllm_reader.CHATS])
def test_where_the_bytes_are_cut_makes_no_difference_and_the_grammar_is_kept(name):
    recorded = vllm_reader.recorded(name)
    events = assert_chunking_invariant(lambda: stage(recorded), recorded.body)
    assert_stream_grammar(events)
    ends = [event for event in events if isinstance(event, (Stop, Failed))]
    assert ends == events[-len(ends) :]


@pytest.mark.parametrize("name", [name for name in STREAMS if name not in vllm_reader.CHATS])
def test_no_beginning_of_an_answer_is_taken_for_the_whole(name):
    recorded = vllm_reader.recorded(name)
    assert_truncation_is_seen(lambda: stage(recorded), recorded.body)


def test_an_answer_that_breaks_off_is_truncated_and_keeps_its_words():
    events = read(vllm_reader.recorded("abort_mid_stream"))
    assert isinstance(events[-1], Failed)
    assert events[-1].error.kind == "truncated_stream"
    assert fold(events, backend="b", provider="vllm", model="m").text == "Once"


def test_every_recording_is_used_by_some_test():
    names = vllm_reader.all_names()
    used = {name for module in vllm_reader.CLAIMED for name in vllm_reader.names(module)}
    assert sorted(set(names) - used) == []


def test_of_two_choices_only_the_one_without_a_call_is_complete():
    call = {"index": 0, "id": "c", "function": {"name": "now", "arguments": "{}"}}
    choices = [
        {"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"},
        {"index": 1, "message": {"content": "Hi"}, "finish_reason": "tool_calls"},
    ]
    decoder = CHAT.chat(chat_request("tiny", "hi", stream=False)).decoder(Head(200, {}))
    events = outputs_of(decoder, [json.dumps({"choices": choices}).encode()])
    stops = [(e.choice, e.stop_reason) for e in events if isinstance(e, Stop)]
    assert stops == [(1, "complete"), (0, "tool_use")]
