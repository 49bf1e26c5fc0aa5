"""What a real llama.cpp said, chunk by chunk, through this plugin's own reading of it."""

from __future__ import annotations

import json

import plain_reader
import pytest

from multitap.answer import fold
from multitap.errors import MultitapError
from multitap.plan import chat_request
from multitap_llamacpp.chat import Generation

SERVER = "llama.cpp-b11549"
ENDS = {"stop": "complete", "length": "max_tokens", "tool_calls": "tool_use"}
STREAMS = [
    name
    for name in plain_reader.names("*")
    if name.startswith(SERVER)
    and plain_reader.is_stream(plain_reader.answer(name)[1])
    and not name.endswith(("error_unknown_model_stream.json",))
]


class Replaying:
    """In place of the native server: calls back with what was recorded."""

    def __init__(self, chunks):
        self._chunks = chunks
        self.given = 0
        self.native = self

    def handle_chat_completions(self, body, callback):
        for chunk in self._chunks:
            self.given += 1
            if callback(json.dumps(chunk)):
                return


def generation(events, stop_after=None):
    def emit(items):
        events.extend(items)
        return stop_after is None or len(events) < stop_after

    return Generation(chat_request("tiny", "hi"), emit)


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_answer_is_read_as_a_plain_reader_reads_it(name):
    _, headers, body = plain_reader.answer(name)
    events = []
    generation(events).run(Replaying(plain_reader.objects(headers, body)), "{}")
    answer = fold(events, backend="b", provider="llamacpp", model="tiny")
    choices, usage = plain_reader.expected(headers, body)
    for place, choice in enumerate(answer.choices):
        wanted = choices[place]
        assert (choice.text, choice.reasoning) == (wanted["text"], wanted["reasoning"])
        assert [(c.name, c.arguments_text) for c in choice.tool_calls] == wanted["calls"]
        reason = "tool_use" if wanted["calls"] else ENDS[wanted["finish"]]
        assert choice.stop_reason in (reason, ENDS[wanted["finish"]])
        assert [token.token for token in choice.logprobs or ()] == wanted["tokens"]
    if usage:
        assert answer.usage.input_tokens == usage["prompt_tokens"]
        assert answer.usage.output_tokens == usage["completion_tokens"]
    told = [chunk["timings"] for chunk in plain_reader.objects(headers, body) if "timings" in chunk]
    assert answer.provider_meta == ({"llamacpp": {"timings": told[-1]}} if told else {})


@pytest.mark.parametrize("name", STREAMS)
def test_a_reader_who_leaves_stops_the_library_at_the_next_chunk(name):
    _, headers, body = plain_reader.answer(name)
    events = []
    replaying = Replaying(plain_reader.objects(headers, body))
    generation(events, stop_after=1).run(replaying, "{}")
    assert len(events) <= 2
    assert replaying.given < len(plain_reader.objects(headers, body))


@pytest.mark.parametrize("name", [n for n in plain_reader.names("error_*") if SERVER in n])
def test_a_recorded_error_is_raised_with_its_own_class(name):
    status, headers, body = plain_reader.answer(name)
    if status == 200 or not headers["content-type"].startswith("application/json"):
        return
    with pytest.raises(MultitapError) as caught:
        generation([]).run(Replaying([json.loads(body)]), "{}")
    assert caught.value.message
