"""What a real Ollama said, through this plugin's own reading of it, however the bytes are cut.

``/api/generate`` is not called by the plugin; its lines have no ``message``, but the same ends,
counts and errors, and are read for those.
"""

from __future__ import annotations

import ollama_reader
import pytest

from multitap.answer import fold
from multitap.errors import BackendError, EngineError, TruncatedStream
from multitap.events import Failed, Stop, UsageReport
from multitap.plan import chat_request
from multitap.testing import assert_chunking_invariant, assert_stream_grammar
from multitap.testing.chunking import outputs_of
from multitap.work import Head
from multitap_ollama.chat import OllamaChat
from multitap_ollama.requests import LoadSettings

ENDS = {"stop": "complete", "length": "max_tokens"}


def is_answer(name):
    return ollama_reader.recorded(name).status == 200


ANSWERS = [name for name in ollama_reader.names("test_recordings") if is_answer(name)]
CHAT = OllamaChat("ollama", LoadSettings())


def stage(recorded):
    streamed = "ndjson" in recorded.headers["content-type"]
    work = CHAT.chat(chat_request("tiny", "hi", stream=streamed))
    return work.decoder(Head(200, recorded.headers))


def read(recorded):
    return outputs_of(stage(recorded), [recorded.body])


def error_of(events):
    failures = [event.error for event in events if isinstance(event, Failed)]
    return failures[0] if failures else None


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_as_a_plain_reader_reads_it(name):
    recorded = ollama_reader.recorded(name)
    wanted, events = ollama_reader.expected(recorded.body), read(recorded)
    answer = fold(events, backend="b", provider="ollama", model="tiny")
    assert (answer.text, answer.reasoning) == (wanted.text, wanted.reasoning)
    assert [(call.name, call.arguments) for call in answer.tool_calls] == wanted.calls
    assert [token.token for token in answer.logprobs or ()] == wanted.tokens
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == wanted.counts
    times = [event.provider_options for event in events if isinstance(event, UsageReport)]
    assert (times or [{}])[0] == wanted.times
    assert answer.provider_meta.get("ollama", {}) == wanted.times
    assert end_of(events) == end_wanted(wanted)


def end_of(events):
    error = error_of(events)
    return type(error) if error else events[-1].stop_reason


def end_wanted(wanted):
    if wanted.error is not None or wanted.finish in ("load", "unload"):
        return EngineError
    if wanted.finish is None:
        return TruncatedStream
    return "tool_use" if wanted.calls and wanted.finish == "stop" else ENDS[wanted.finish]


@pytest.mark.parametrize("name", [name for name in ANSWERS if name not in ollama_reader.CHATS])
def test_where_the_bytes_are_cut_makes_no_difference_and_the_grammar_is_kept(name):
    recorded = ollama_reader.recorded(name)
    events = assert_chunking_invariant(lambda: stage(recorded), recorded.body)
    assert_stream_grammar(events)
    ends = [event for event in events if isinstance(event, (Stop, Failed))]
    assert ends == events[-1:]


def test_every_recording_is_used_by_some_test():
    names = ollama_reader.all_names()
    used = {name for module in ollama_reader.CLAIMED for name in ollama_reader.names(module)}
    assert sorted(set(names) - used) == []


def test_a_connection_that_broke_lets_the_answer_so_far_be_seen():
    events = read(ollama_reader.recorded("killed_chat_stream"))
    error = error_of(events)
    assert isinstance(error, TruncatedStream)
    assert isinstance(error, BackendError)
    assert fold(events, backend="b", provider="ollama", model="m").text
