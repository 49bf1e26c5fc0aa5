"""What the lines of an answer become, where a real Ollama was hard to bring to say them."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from multitap.answer import fold
from multitap.errors import (
    AuthenticationError,
    EngineError,
    ProtocolError,
    TruncatedStream,
)
from multitap.events import (
    ImageData,
    Notice,
    Reasoning,
    Stop,
    Text,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
)
from multitap.framing import JsonDecoder, NdjsonDecoder
from multitap.testing import assert_chunking_invariant, assert_stream_grammar
from multitap_ollama.lines import ChatLines, Line

NOTICE = Notice("rounded", "Nearly.", "think")


def read(*lines, notices=()):
    records = ChatLines(notices)
    out = [event for line in lines for event in records.record(msgspec.convert(line, Line))]
    return [*out, *records.finish()]


def says(content="", done=None, reason=None, logprobs=None, **message):
    line = {"message": {"role": "assistant", "content": content, **message}}
    more = {"done": done, "done_reason": reason, "logprobs": logprobs}
    return {**line, **{name: value for name, value in more.items() if value is not None}}


def call(arguments, name="weather", **more):
    return {"function": {"index": 0, "name": name, "arguments": arguments}, **more}


def calls_of(events):
    answer = fold(events, backend="b", provider="ollama", model="m")
    return [(call.id, call.name, call.arguments) for call in answer.tool_calls]


END = says(done=True, reason="stop")


# ---- how an answer ends --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("stop", "complete"), ("length", "max_tokens"), (None, "complete"), ("", "complete")],
)
def test_the_last_line_ends_the_answer(reason, stop):
    assert read(says("Hi"), says(done=True, reason=reason)) == [Text("Hi"), Stop(stop)]


@pytest.mark.parametrize("reason", ["load", "unload", "error", "something new"])
def test_an_end_without_an_answer_is_an_error_that_names_it(reason):
    (failed,) = read(says(done=True, reason=reason))
    assert isinstance(failed.error, EngineError)
    assert failed.error.kind == "provider_finish_other"
    assert repr(reason) in failed.error.message


def test_a_reason_without_done_ends_the_answer_too():
    assert read(says("Hi", reason="length")) == [Text("Hi"), Stop("max_tokens")]


def test_a_reason_without_done_waits_for_the_counts_of_the_line_after_it():
    counts = {"done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 1}
    events = read(says("Hi", reason="stop"), counts)
    assert events == [Text("Hi"), UsageReport(Usage.reported(3, 1)), Stop("complete")]


def test_nothing_counts_after_the_end():
    assert read(END, says("more"), {"error": "late"}) == [Stop("complete")]


@pytest.mark.parametrize("lines", [[], [says("Hi")], [says("Hi", done=False)]])
def test_an_answer_without_an_end_is_truncated_and_says_why_that_may_be(lines):
    *text, failed = read(*lines)
    assert text == [Text("Hi")] * len(lines)
    assert isinstance(failed.error, TruncatedStream)
    assert "repeats itself" in failed.error.hint


def test_a_whole_answer_that_says_it_is_not_done_is_truncated():
    records = ChatLines()
    decoder = JsonDecoder(Line, records.record, finish=records.finish)
    decoder.feed(json.dumps(says("aaaa", done=False)).encode())
    text, failed = decoder.finish()
    assert text == Text("aaaa")
    assert isinstance(failed.error, TruncatedStream)


def test_an_error_after_some_text_keeps_the_text():
    text, failed = read(
        says("It is"), {"error": "an error was encountered while running the model"}
    )
    assert text == Text("It is")
    assert (type(failed.error), failed.error.kind) == (EngineError, "runner_crashed")


def test_an_error_line_may_ask_to_sign_in():
    (failed,) = read({"error": "unauthorized", "signin_url": "https://ollama.com/connect"})
    assert isinstance(failed.error, AuthenticationError)


# ---- what is in between --------------------------------------------------------------------------


def test_an_empty_line_is_no_event():
    assert read(says(), {"done": False}, {}, END) == [Stop("complete")]


def test_thought_comes_before_the_text_of_its_line():
    line = says("Four.", thinking="Two and two.")
    assert read(line, END)[:2] == [Reasoning("Two and two."), Text("Four.")]


def test_a_thought_that_was_not_asked_for_stays_where_ollama_leaves_it():
    assert read(says("<think>hm</think>Yes."), END)[0] == Text("<think>hm</think>Yes.")


def test_durations_and_counts_are_the_usages():
    times = {"total_duration": 9, "load_duration": 1, "eval_duration": 7}
    events = read({**END, **times, "eval_count": 2})
    assert events[0] == UsageReport(Usage.reported(None, 2), times)
    assert (events[0].usage.input_tokens, events[0].usage.total_tokens) == (None, None)


def test_durations_without_counts_are_told_all_the_same():
    report = read({**END, "total_duration": 5})[-2]
    assert (report.usage.source, report.provider_options) == ("unknown", {"total_duration": 5})


def test_a_tool_call_may_stand_in_the_last_line():
    events = read(says(tool_calls=[call({"city": "Oslo"}, id="c1")], done=True, reason="stop"))
    assert calls_of(events) == [("c1", "weather", {"city": "Oslo"})]
    assert events[-1] == Stop("tool_use")


@pytest.mark.parametrize("in_one_line", [True, False])
def test_calls_whose_index_is_always_0_are_several(in_one_line):
    calls = [call({"city": "Oslo"}, id="c1"), call({"city": "Rome"}, id="c2")]
    lines = [calls] if in_one_line else [[one] for one in calls]
    events = read(*(says(tool_calls=line) for line in lines), END)
    assert [arguments for _, _, arguments in calls_of(events)] == [
        {"city": "Oslo"},
        {"city": "Rome"},
    ]


@pytest.mark.parametrize("in_one_line", [True, False])
@pytest.mark.parametrize("given_id", [None, "", "c1"])
def test_calls_without_an_id_of_their_own_get_one(given_id, in_one_line):
    calls = [call({}, id=given_id), call({}, id=given_id)]
    lines = [calls] if in_one_line else [[one] for one in calls]
    events = read(*(says(tool_calls=line) for line in lines))
    ids = [event.tool_call_id for event in events if isinstance(event, ToolCallStart)]
    assert len(set(ids)) == 2
    assert all(ids)


def test_arguments_keep_their_order_and_their_numbers():
    text = '{"b": 1, "a": 12345678901234567890123, "c": 1.5}'
    decoder_lines = ChatLines()
    decoder = NdjsonDecoder(Line, decoder_lines.record, finish=decoder_lines.finish)
    line = json.dumps(says(tool_calls=[call({})])).replace("{}", text)
    events = decoder.feed(f"{line}\n".encode())
    (end,) = [event for event in events if isinstance(event, ToolCallEnd)]
    assert json.loads(end.tool_call_arguments_complete) == json.loads(text)
    assert list(json.loads(end.tool_call_arguments_complete)) == ["b", "a", "c"]


def test_arguments_as_text_or_none_at_all_are_read_too():
    events = read(says(tool_calls=[call('{"city": "Oslo"}'), call(None)]), END)
    assert [arguments for _, _, arguments in calls_of(events)] == [{"city": "Oslo"}, {}]


def test_calls_of_an_answer_that_was_cut_do_not_hide_that_it_was():
    events = read(says(tool_calls=[call({})]), says(done=True, reason="length"))
    assert events[-1] == Stop("max_tokens")


def test_log_probabilities_go_with_the_text_that_they_are_of():
    tokens = [{"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "b", "logprob": -2.0}]}]
    events = read(says(logprobs=tokens), says("a", logprobs=tokens), says(logprobs=tokens), END)
    texts = [event for event in events if isinstance(event, Text)]
    assert [(text.content, len(text.logprobs)) for text in texts] == [("a", 2), ("", 1)]
    assert texts[0].logprobs[0].top[0].token == "b"


def test_log_probabilities_of_an_answer_that_breaks_off_are_not_lost():
    token = {"token": "a", "logprob": -1.0}
    text, failed = read(says(logprobs=[token]))
    assert [entry.token for entry in text.logprobs] == ["a"]
    assert isinstance(failed.error, TruncatedStream)


def test_an_image_is_its_bytes_and_their_type():
    shown = [base64.b64encode(data).decode() for data in (b"\xff\xd8jpeg", b"\x89PNG")]
    events = read(says(images=shown), END)
    assert events[:2] == [
        ImageData(b"\xff\xd8jpeg", "image/jpeg"),
        ImageData(b"\x89PNG", "image/png"),
    ]


def test_an_image_that_is_no_base64_breaks_the_format():
    records = ChatLines()
    decoder = NdjsonDecoder(Line, records.record, finish=records.finish)
    (failed,) = decoder.feed(json.dumps(says(images=["*"])).encode() + b"\n")
    assert isinstance(failed.error, ProtocolError)


def test_notices_come_first_and_once():
    events = read(says("Hi"), END, notices=[NOTICE])
    assert events == [NOTICE, Text("Hi"), Stop("complete")]


# ---- whatever it says ----------------------------------------------------------------------------

TEXTS = st.text(max_size=5)
CALLS = st.builds(
    call,
    st.dictionaries(TEXTS, TEXTS, max_size=2) | st.none(),
    name=st.sampled_from(["weather", "add"]),
    id=st.sampled_from([None, "", "c1", "c2"]),
)
TOKENS = st.lists(st.fixed_dictionaries({"token": TEXTS, "logprob": st.floats(-9, 0)}), max_size=2)
LINES = st.builds(
    says,
    TEXTS,
    done=st.sampled_from([None, False, False, False, True]),
    reason=st.sampled_from([None, None, "stop", "length"]),
    logprobs=st.none() | TOKENS,
    thinking=st.none() | TEXTS,
    tool_calls=st.none() | st.lists(CALLS, max_size=2),
)


def stage():
    records = ChatLines([NOTICE])
    return NdjsonDecoder(Line, records.record, finish=records.finish)


@settings(max_examples=50, deadline=None)
@given(st.lists(LINES | st.just({"error": "no"}), max_size=4))
def test_a_stream_keeps_the_grammar_however_it_is_cut(lines):
    body = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    assert_stream_grammar(assert_chunking_invariant(stage, body))


# ---- another model, counts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "answered", "other"),
    [
        ("tiny", "tiny", False),
        ("tiny", "tiny:latest", False),
        ("Tiny:latest", "tiny", False),
        ("tiny", "acme/tiny", False),
        ("tiny", None, False),
        ("tiny", 7, False),
        ("tiny", "tiny-native", True),
        ("tiny:1b", "tiny:8b", True),
    ],
)
def test_a_model_that_was_not_asked_is_told_once_and_first(asked, answered, other):
    lines = [{**line, "model": answered} for line in (says("Hi"), says("!"), END)]
    records = ChatLines([NOTICE], asked=asked)
    out = [event for line in lines for event in records.record(msgspec.convert(line, Line))]
    told = [event.code for event in out if isinstance(event, Notice)]
    assert told == ["rounded", *(["other_model"] if other else [])]
    assert_stream_grammar(out)


@pytest.mark.parametrize("count", [-1, 10**9 + 1, 10**30, 1.5, "many"], ids=str)
def test_a_count_that_cannot_be_is_unknown_and_told(count):
    out = read(says("Hi"), {**END, "prompt_eval_count": 3, "eval_count": count})
    assert [event.type for event in out] == ["text", "warning", "usage", "stop"]
    assert ("eval_count" in out[1].message, out[1].code) == (True, "invalid_usage")
    assert out[2] == UsageReport(Usage(3, None, None, source="reported"))
