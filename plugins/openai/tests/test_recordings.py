"""Answers of Ollama's ``/v1``, read through the plugin, whole and in pieces."""

from __future__ import annotations

import attrs
import openai_reader
import pytest
from openai_kit_vectors import CHATS

from multitap.answer import fold
from multitap.errors import EngineError, TruncatedStream
from multitap.events import Failed, Stop
from multitap.plan import chat_request
from multitap.testing import (
    assert_chunking_invariant,
    assert_stream_grammar,
    assert_truncation_is_seen,
    outputs_of,
)
from multitap.work import Backend, Head
from multitap_openai.chat import multitap_chat

ANSWERS = openai_reader.names("test_recordings")
ENDS = {"stop": "complete", "length": "max_tokens", "tool_calls": "tool_use"}
CHAT = multitap_chat(Backend(id="b", provider="openai", endpoint="http://127.0.0.1:11434"))
ESTIMATE = {"estimated_by": "4 bytes a token"}


def stage(recorded):
    exchange = CHAT.chat(chat_request("tiny", "hi", stream=recorded.streamed))
    return exchange.decoder(Head(200, recorded.headers))


def read(recorded):
    return outputs_of(stage(recorded), [recorded.body])


def folded(events):
    return fold(events, backend="b", provider="openai", model="tiny")


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_as_a_plain_reader_reads_it(name):
    recorded = openai_reader.recorded(name)
    (wanted,), usage = _values(openai_reader.expected(recorded))
    events = read(recorded)
    answer = folded(events)
    assert (answer.text, answer.reasoning) == (wanted.text, wanted.reasoning)
    calls = [(call.id, call.name, call.arguments_text) for call in answer.tool_calls]
    assert calls == wanted.calls
    assert [(t.token, t.logprob) for t in answer.logprobs or ()] == wanted.tokens
    assert ends(events) == [end_wanted(wanted)]
    reports = [(e.usage, e.provider_options) for e in events if e.type == "usage"]
    if usage is not None:
        ((found, options),) = reports
        counts = (found.input_tokens, found.output_tokens, found.total_tokens, found.source)
        said = (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"])
        assert (counts, options) == ((*said, "reported"), None)
    elif wanted.finish is not None:
        ((found, options),) = reports
        assert (found.input_tokens, found.source, options) == (1, "estimated", ESTIMATE)
    else:
        assert reports == []


def _values(expected):
    choices, usage = expected
    return list(choices.values()), usage


def ends(events):
    last = [event for event in events if isinstance(event, (Stop, Failed))]
    return [type(e.error) if isinstance(e, Failed) else e.stop_reason for e in last]


def end_wanted(wanted):
    if wanted.finish is None:
        return TruncatedStream
    if wanted.finish not in ENDS:
        return EngineError
    return "tool_use" if wanted.calls and wanted.finish == "stop" else ENDS[wanted.finish]


@pytest.mark.parametrize("name", [n for n in ANSWERS if n not in CHATS])  # the kit's are cut
def test_where_the_bytes_are_cut_makes_no_difference_and_the_grammar_is_kept(name):
    recorded = openai_reader.recorded(name)
    events = assert_chunking_invariant(lambda: stage(recorded), recorded.body)
    assert_stream_grammar(events)
    assert ends(events) == ends(events[-1:])


@pytest.mark.parametrize("name", ["tool_auto_stream", "v1_logprobs_stream", "v1_tools"])
def test_no_beginning_of_an_answer_passes_for_the_whole(name):
    recorded = openai_reader.recorded(name)
    assert_truncation_is_seen(lambda: stage(recorded), recorded.body)


PAIRS = [
    ("chat", "chat_stream"),
    ("tool_auto", "tool_auto_stream"),
    ("tool_named", "tool_named_stream"),
    ("json_schema", "json_schema_stream"),
]


@pytest.mark.parametrize(("whole", "streamed"), PAIRS)
def test_streamed_or_not_an_answer_is_made_of_the_same_kinds_of_events(whole, streamed):
    kinds = [
        {event.type for event in read(openai_reader.recorded(name))} for name in (whole, streamed)
    ]
    shapes = [
        [attrs.evolve(c, id="", arguments_text="") for c in folded(read(r)).tool_calls]
        for r in map(openai_reader.recorded, (whole, streamed))
    ]
    assert kinds[0] - {"text"} == kinds[1] - {"text"}
    assert shapes[0] == shapes[1]


def test_the_chunk_that_ollama_makes_of_an_error_is_no_end():
    events = read(openai_reader.recorded("crash_chat_v1_stream"))
    answer = folded(events)
    assert ends(events) == [TruncatedStream]
    assert answer.text or answer.reasoning


def test_every_recording_is_used_by_some_test():
    used = {name for module in openai_reader.CLAIMED for name in openai_reader.names(module)}
    assert sorted(set(openai_reader.all_names()) - used) == []
