"""What TGI's real router said, through this plugin's own reading, however the bytes are cut."""

from __future__ import annotations

import json
import re

import pytest
import tgi_reader

from multitap.answer import fold
from multitap.errors import BackendError, TruncatedStream
from multitap.events import Failed, Stop, Text, ToolCallEnd, ToolCallStart
from multitap.plan import chat_request
from multitap.testing import (
    assert_chunking_invariant,
    assert_stream_grammar,
    assert_truncation_is_seen,
)
from multitap.testing.chunking import outputs_of
from multitap.work import Backend, Head
from multitap_tgi.chat import TgiChat
from multitap_tgi.stops import StopTexts

ENDS = {"stop": "complete", "length": "max_tokens", "stop_sequence": "stop_sequence"}
NAMES = tgi_reader.names("test_recordings")
CHAT = TgiChat(Backend(id="tgi", provider="tgi"))


def asked(recorded):
    """The request that was recorded, as an application would make it."""
    body = json.loads(recorded.request)
    tools = [] if body.get("tool_choice") == "none" else body.get("tools") or []
    return chat_request("tiny", "hi", tools=tools, stop=body.get("stop"))


def stage(recorded):
    return CHAT.chat(asked(recorded)).decoder(Head(200, recorded.headers))


def read(name):
    recorded = tgi_reader.recorded(name)
    return outputs_of(stage(recorded), [recorded.body])


def answer(events):
    return fold(events, backend="b", provider="tgi", model="tiny")


def wanted(name):
    recorded = tgi_reader.recorded(name)
    return tgi_reader.expected(recorded.body, stops=asked(recorded).stop)


@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_read_as_a_plain_reader_reads_it(name):
    plain, events = wanted(name), read(name)
    seen = answer(events)
    assert seen.text == plain.text
    assert [(call.name, call.arguments) for call in seen.tool_calls] == plain.calls
    assert [token.token for token in seen.logprobs or ()] == plain.tokens
    if seen.usage.source != "estimated":
        assert (seen.usage.input_tokens, seen.usage.output_tokens) == plain.counts
    assert end_of(events) == end_wanted(plain, tgi_reader.recorded(name))


def end_of(events):
    errors = [event.error for event in events if isinstance(event, Failed)]
    return "error" if errors else events[-1].stop_reason


def end_wanted(plain, recorded):
    """The end by the plain reader's facts alone."""
    if plain.error is not None:
        return "error"
    if plain.calls and plain.finish != "length":
        return "error" if plain.calls[0][1] is None else "tool_use"
    if plain.finish is None:  # a call that was cut before its name
        cut = b'"tools"' in recorded.request and plain.counts[1] and not plain.text
        return "max_tokens" if cut else "error"
    return ENDS[plain.finish]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in tgi_reader.CHATS])
def test_where_the_bytes_are_cut_makes_no_difference_and_the_grammar_is_kept(name):
    recorded = tgi_reader.recorded(name)
    events = assert_chunking_invariant(lambda: stage(recorded), recorded.body)
    assert_stream_grammar(events)
    ends = [event for event in events if isinstance(event, (Stop, Failed))]
    assert ends == events[-1:]


@pytest.mark.parametrize("name", ["chat_stream_usage", "tool_auto_stream_usage"])
def test_an_answer_that_breaks_off_is_never_a_whole_one(name):
    recorded = tgi_reader.recorded(name)
    assert_truncation_is_seen(lambda: stage(recorded), recorded.body)


def test_every_recording_is_used_by_some_test():
    used = {name for module in tgi_reader.CLAIMED for name in tgi_reader.names(module)}
    assert sorted(set(tgi_reader.all_names()) - used) == []


# ---- the traps of the wire, by name --------------------------------------------------------------


def stop_of(events):
    return next(event.stop_reason for event in events if isinstance(event, Stop))


def test_trap_a_streamed_call_ends_with_done_alone():
    assert wanted("tool_required_stream_usage").finish is None
    assert stop_of(read("tool_required_stream_usage")) == "tool_use"
    assert answer(read("tool_required_stream_usage")).usage.total_tokens is not None


def test_trap_a_call_that_the_connection_lost_is_not_a_whole_one():
    recorded = tgi_reader.recorded("tool_required_stream")
    inside = recorded.body.index(b'"arguments":"', len(recorded.body) // 2)
    whole_records = recorded.body[: recorded.body.rindex(b"data:", 0, inside)]
    events = outputs_of(stage(recorded), [whole_records])
    assert isinstance(events[-1].error, TruncatedStream)


def test_trap_a_call_cut_inside_its_arguments_says_length():
    seen = answer(read("tool_length_stream_arguments"))
    assert (seen.stop_reason, seen.tool_calls[0].arguments) == ("max_tokens", None)


def test_trap_a_call_cut_before_its_name_leaves_nothing_but_the_usage():
    seen = answer(read("tool_length_stream"))
    assert (seen.stop_reason, seen.text, seen.tool_calls) == ("max_tokens", "", ())
    assert seen.usage.output_tokens == 12


def test_trap_without_tools_no_call_can_have_been_cut():
    recorded = tgi_reader.recorded("tool_length_stream")
    decoder = CHAT.chat(chat_request("tiny", "hi")).decoder(Head(200, recorded.headers))
    assert isinstance(outputs_of(decoder, [recorded.body])[-1].error, TruncatedStream)


def test_trap_nothing_at_all_is_truncated():
    assert isinstance(read("tool_length_stream_no_usage")[-1].error, TruncatedStream)


def test_trap_a_call_without_arguments_is_a_lone_brace():
    (end,) = [e for e in read("tool_empty_parameters_stream") if isinstance(e, ToolCallEnd)]
    assert (end.tool_call_arguments_complete, stop_of(read("tool_empty_parameters_stream"))) == (
        "{}",
        "tool_use",
    )


def test_trap_finish_reason_is_never_tool_calls():
    for name in ("tool_auto", "tool_required", "tool_named"):
        assert (wanted(name).finish, stop_of(read(name))) == ("stop", "tool_use")


def test_trap_stop_sequence_comes_unmapped_and_its_text_stays_in_the_answer():
    assert b'"content":" four"' in tgi_reader.recorded("chat_stop_usage_stream").body
    for name in ("chat_stop_usage_stream", "chat_stream_stop", "chat_stop"):
        seen = answer(read(name))
        assert (seen.stop_reason, seen.text.endswith("four")) == ("stop_sequence", False)


def test_a_stop_text_that_ended_nothing_belongs_to_the_answer():
    recorded = tgi_reader.recorded("chat_stream_stop")
    other = recorded.body.replace(b'"stop_sequence"', b'"length"')
    seen = answer(outputs_of(stage(recorded), [other]))
    assert (seen.text, seen.stop_reason) == ("one, two, three, four", "max_tokens")


@pytest.mark.parametrize("pieces", [["three four"], ["three", " four"], ["three f", "o", "ur"]])
def test_the_longest_stop_text_that_an_answer_ends_with_goes_and_leaves_nothing(pieces):
    stops = StopTexts(["r", " four"])
    out = [*stops.feed([Text(piece) for piece in pieces]), *stops.finish(matched=True)]
    assert "".join(event.content for event in out) == "three"
    assert all(event.content for event in out)


def test_what_is_held_comes_before_a_call():
    begun, call = Text(" fo"), ToolCallStart("c1", "now")
    assert StopTexts([" four"]).feed([begun, call]) == [begun, call]


def test_trap_4_ids_are_empty_or_0_and_a_conversation_still_has_each_id_once():
    recorded = tgi_reader.recorded("tool_required")
    call = {"id": "0", "type": "function", "function": {"name": "now", "arguments": "{}"}}
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "0", "content": "noon"},
    ]
    work = CHAT.chat(chat_request("tiny", messages=turns, tools=[{"name": "now"}]))
    events = outputs_of(work.decoder(Head(200, recorded.headers)), [recorded.body])
    (new,) = answer(events).tool_calls
    assert new.id not in ("", "0")
    assert re.search(rb'"id":"0"', recorded.body)


def test_trap_7_half_a_character_is_held_back():
    assert answer(read("chat_stream_split_utf8")).text == answer(read("chat_split_utf8")).text
    assert "\N{REPLACEMENT CHARACTER}" not in answer(read("chat_stream_split_utf8")).text


def test_trap_7_a_limit_inside_a_character_empties_only_what_is_not_streamed():
    assert answer(read("chat_length_inside_character")).text == ""
    streamed = answer(read("chat_stream_length_inside_character"))
    assert (bool(streamed.text), streamed.stop_reason) == (True, "max_tokens")


def test_trap_after_no_tool_only_a_stream_says_how_the_text_ended():
    lie = answer(read("tool_auto_plain_answer_length"))
    truth = answer(read("tool_auto_plain_answer_length_stream"))
    assert lie.text == truth.text
    assert (lie.stop_reason, truth.stop_reason) == ("complete", "max_tokens")


@pytest.mark.parametrize(
    "name", ["overload_chat_stream", "error_top_p_one_stream", "dead_chat_stream"]
)
def test_trap_3_status_200_is_no_success(name):
    (failed,) = read(name)
    assert isinstance(failed.error, BackendError)
    assert failed.error.status is None


def test_trap_comments_keep_the_connection_and_mean_nothing():
    assert b"\n:\n" in tgi_reader.recorded("keep_alive").body
    assert answer(read("keep_alive")).text == "The capital"


def test_trap_data_may_come_without_a_blank():
    recorded = tgi_reader.recorded("chat_stream")
    bare = recorded.body.replace(b"data: ", b"data:")
    assert outputs_of(stage(recorded), [bare]) == read("chat_stream")


def test_a_connection_that_broke_lets_the_answer_so_far_be_seen():
    events = read("killed_router_chat_stream")
    assert isinstance(events[-1].error, TruncatedStream)
    assert answer(events).text
