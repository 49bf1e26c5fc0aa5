"""What real servers said, through this plugin's own reading of it, however the bytes are cut.

They are llama-server itself, and the server of llama-cpp-python, which has the same path.
"""

from __future__ import annotations

import llamaserver_reader as reader
import pytest

from multitap.answer import fold
from multitap.errors import TruncatedStream
from multitap.events import Failed, Stop, UsageReport
from multitap.hookspecs import Backend
from multitap.plan import chat_request
from multitap.testing import (
    assert_chunking_invariant,
    assert_stream_grammar,
)
from multitap.testing.chunking import outputs_of
from multitap.work import Head
from multitap_llamaserver.chat import multitap_chat

ENDS = {"stop": "complete", "length": "max_tokens", "tool_calls": "tool_use"}
NAMES = reader.names("test_recordings")
CHAT = multitap_chat(Backend(id="box", provider="llamaserver"))


def stage(recorded):
    return CHAT.chat(chat_request("tiny", "hi")).decoder(Head(200, recorded.headers))


def read(recorded):
    return outputs_of(stage(recorded), [recorded.body])


def counts_of(usage):
    return usage.input_tokens, usage.output_tokens, usage.cached_tokens


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_read_as_a_plain_reader_reads_it(name):
    recorded = reader.recorded(name)
    wanted, events = reader.expected(recorded), read(recorded)
    answer = fold(events, backend="b", provider="llamaserver", model="tiny")
    assert sorted(wanted.choices or {0}) == list(range(len(answer.choices or [0])))
    for index, choice in wanted.choices.items():
        found = answer.choices[index] if answer.choices else answer
        assert (found.text, found.reasoning) == (choice.text, choice.reasoning)
        calls = [(call.name, call.arguments_text) for call in found.tool_calls]
        assert calls == list(choice.calls.values())
        assert [token.token for token in found.logprobs or ()] == choice.tokens
    if "reported" in {e.usage.source for e in events if isinstance(e, UsageReport)}:
        assert counts_of(answer.usage) == wanted.counts
    else:
        assert wanted.counts == (None, None, None)
    assert answer.provider_meta.get("llamaserver", {}).get("timings") == wanted.timings
    assert ends_of(events) == ends_wanted(wanted)


def ends_of(events):
    failures = [type(event.error) for event in events if isinstance(event, Failed)]
    return failures or {e.choice: e.stop_reason for e in events if isinstance(e, Stop)}


def ends_wanted(wanted):
    if not wanted.choices or None in [choice.finish for choice in wanted.choices.values()]:
        return [TruncatedStream]
    return {index: end_wanted(choice) for index, choice in wanted.choices.items()}


def end_wanted(choice):
    return "tool_use" if choice.calls and choice.finish != "length" else ENDS[choice.finish]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in reader.CHATS])
def test_where_the_bytes_are_cut_makes_no_difference_and_the_grammar_is_kept(name):
    recorded = reader.recorded(name)
    events = assert_chunking_invariant(lambda: stage(recorded), recorded.body)
    assert_stream_grammar(events)


def test_every_recording_is_used_by_some_test():
    used = {name for module in reader.CLAIMED for name in reader.names(module)}
    assert sorted(set(reader.all_names()) - used) == []
