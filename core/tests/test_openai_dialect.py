import json
import random
from itertools import pairwise
from typing import Any

import msgspec
import plain_reader
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap import errors, events
from multitap.dialects.openai.chat import ChatChunk, ChatRecords
from multitap.dialects.openai.completions import is_streamed
from multitap.dialects.openai.errors import explain_openai, openai_error
from multitap.events import (
    Failed,
    Notice,
    Reasoning,
    Stop,
    Text,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
)
from multitap.framing import JsonDecoder, SseDecoder
from multitap.headers import retry_after
from multitap.work import Head, HttpReply


def run(headers, pieces):
    records = ChatRecords()
    kind = SseDecoder if plain_reader.is_stream(headers) else JsonDecoder
    stage = kind(ChatChunk, records.record, finish=records.finish)
    out = [event for piece in pieces for event in stage.feed(piece)]
    return [*out, *stage.finish()]


def read(*chunks, finish=True):
    """The events of chunks that are given as dicts."""
    records = ChatRecords()
    out = []
    for chunk in chunks:
        out += records.record(msgspec.convert(chunk, ChatChunk))
    return out + (records.finish() if finish else [])


def delta(finish=None, index=0, **fields):
    return {"choices": [{"index": index, "delta": fields, "finish_reason": finish}]}


def call(text=None, index=0, wire_id=None, name=None):
    return {"index": index, "id": wire_id, "function": {"name": name, "arguments": text}}


def error_of(out):
    assert [e for e in out if isinstance(e, Failed)] == out[-1:]
    return out[-1].error


def calls_of(out):
    """Name and whole arguments of each call, in the order of their ends."""
    names = {e.tool_call_id: e.tool_call_name for e in out if isinstance(e, ToolCallStart)}
    ends = [e for e in out if isinstance(e, ToolCallEnd)]
    return [(names[e.tool_call_id], e.tool_call_arguments_complete, e.incomplete) for e in ends]


def check_grammar(out):
    """start, chunks, end for each call; usage before the terminal; one terminal per choice."""
    pieces = {}
    for event in out:
        if isinstance(event, ToolCallStart):
            assert event.tool_call_id not in pieces
            pieces[event.tool_call_id] = ""
        elif isinstance(event, ToolCallChunk):
            assert event.tool_call_arguments_chunk
            pieces[event.tool_call_id] += event.tool_call_arguments_chunk
        elif isinstance(event, ToolCallEnd):
            assert pieces.pop(event.tool_call_id) == event.tool_call_arguments_complete
    assert not pieces or isinstance(out[-1], Failed)
    terminals = [isinstance(e, (Stop, Failed)) for e in out]
    assert terminals == sorted(terminals)
    assert sum(isinstance(e, events.UsageReport) for e in out) <= 1


# ---- recordings ----------------------------------------------------------------------------------

ANSWERS = [n for n in plain_reader.names("*") if plain_reader.answer(n)[0] == 200]
REFUSALS = [n for n in plain_reader.names("*") if plain_reader.answer(n)[0] != 200]
REASONS = {"stop": "complete", "length": "max_tokens", "tool_calls": "tool_use"}
REASONS["stop_sequence"] = "stop_sequence"


def shape(out):
    """What ``plain_reader.expected`` says, read from events."""
    found = {}
    for event in out:
        if not hasattr(event, "choice"):
            continue
        choice = found.setdefault(
            event.choice, {"text": "", "reasoning": "", "calls": [], "tokens": [], "finish": None}
        )
        if isinstance(event, Text):
            choice["text"] += event.content
            choice["tokens"] += [entry.token for entry in event.logprobs or ()]
        elif isinstance(event, Reasoning):
            choice["reasoning"] += event.reasoning_content
        elif isinstance(event, Stop):
            choice["finish"] = event.stop_reason
    for index, choice in found.items():
        own = [e for e in out if getattr(e, "choice", None) == index]
        choice["calls"] = [(name, text) for name, text, _ in calls_of(own)]
    return found


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_says_what_the_plain_reader_reads(name):
    _, headers, body = plain_reader.answer(name)
    expected, usage = plain_reader.expected(headers, body)
    for choice in expected.values():
        choice["finish"] = "tool_use" if choice["calls"] else REASONS[choice["finish"]]
    out = run(headers, [body])
    check_grammar(out)
    assert shape(out) == expected
    reports = [e.usage for e in out if isinstance(e, events.UsageReport)]
    assert len(reports) == (usage is not None)
    for report in reports:
        details = usage.get("prompt_tokens_details") or {}
        assert report.input_tokens == usage["prompt_tokens"]
        assert report.output_tokens == usage["completion_tokens"]
        assert report.total_tokens == usage["total_tokens"]
        assert report.cached_tokens == details.get("cached_tokens")
        assert report.source == "reported"


@pytest.mark.parametrize("name", ANSWERS)
def test_a_recorded_answer_is_the_same_at_every_cut(name):
    _, headers, body = plain_reader.answer(name)
    whole = events.normalise(run(headers, [body]))
    places = range(1, len(body))
    if len(body) > 8192 or not plain_reader.is_stream(headers):
        places = random.Random(name).sample(places, 64)
    for at in places:
        assert events.normalise(run(headers, [body[:at], body[at:]])) == whole


@given(name=st.sampled_from(ANSWERS), seed=st.integers())
def test_a_recorded_answer_is_the_same_in_many_small_pieces(name, seed):
    _, headers, body = plain_reader.answer(name)
    rng = random.Random(seed)
    places = sorted(rng.sample(range(len(body)), min(len(body), rng.choice([3, 30, 300]))))
    pieces = [body[a:b] for a, b in pairwise([0, *places, len(body)])]
    whole = events.normalise(run(headers, [body]))
    assert events.normalise(run(headers, pieces)) == whole


@given(name=st.sampled_from(ANSWERS), at=st.integers(0, 9000))
def test_a_recorded_answer_that_is_cut_short_ends_in_band(name, at):
    _, headers, body = plain_reader.answer(name)
    short = body[: at % len(body)]
    out = run(headers, [short])
    check_grammar(out)
    if isinstance(out[-1], Failed):
        kinds = {"truncated_stream", "empty_response"}
        assert out[-1].error.kind in kinds
    whole = shape(run(headers, [body]))
    for index, choice in shape(out).items():
        assert whole[index]["text"].startswith(choice["text"])


WANTED = {
    "context_overflow": errors.ContextOverflow,
    "error_overflow": errors.ContextOverflow,
    "unknown_model": errors.ModelNotFound,
    "no_key": errors.AuthenticationError,
    "wrong_key": errors.AuthenticationError,
    "unknown_path": errors.ProtocolError,
    "wrong_method": errors.ProtocolError,
    "image_to_text_model": (errors.NotSupported, errors.BadRequest),
    "embeddings_unsupported": (errors.NotSupported, errors.ProtocolError),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_recorded_refusal_becomes_its_typed_error(name):
    status, headers, body = plain_reader.answer(name)
    error = explain_openai(HttpReply(status, headers, body))
    wanted = next((v for k, v in WANTED.items() if k in name), errors.BadRequest)
    assert isinstance(error, wanted)
    assert error.status == status
    assert error.message


@pytest.mark.parametrize(
    ("name", "limit", "needed"),
    [
        ("llama.cpp-b11549/error_context_overflow.json", 512, 2008),
        ("llama.cpp-b11549/embeddings_error_overflow.json", 512, 2002),
        ("vllm-0.32.0/error_context_overflow.json", 1024, None),
    ],
)
def test_an_overflow_says_limit_and_need(name, limit, needed):
    status, headers, body = plain_reader.answer(name)
    error = explain_openai(HttpReply(status, headers, body))
    assert (error.limit, error.needed) == (limit, needed)


# ---- the end of an answer ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finish", "reason", "usual"),
    [
        ("stop", "complete", True),
        ("eos_token", "complete", False),
        ("STOP", "complete", False),
        ("length", "max_tokens", True),
        ("model_length", "max_tokens", False),
        ("tool_calls", "tool_use", True),
        ("function_call", "tool_use", False),
        ("stop_sequence", "stop_sequence", True),
    ],
)
def test_finish_reasons_and_the_servers_own_word_where_it_is_not_openais(finish, reason, usual):
    own = None if usual else {"finish_reason": finish}
    assert read(delta(finish, content="a")) == [Text("a"), Stop(reason, 0, own)]


@pytest.mark.parametrize(
    ("finish", "error", "kind"),
    [
        ("content_filter", errors.ContentFiltered, "content_filtered"),
        ("SAFETY", errors.ContentFiltered, "content_filtered"),
        ("error", errors.EngineError, "provider_finish_error"),
        ("abort", errors.EngineError, "provider_finish_other"),
        ("refusal", errors.Refused, "refused"),
        (None, errors.TruncatedStream, "truncated_stream"),
    ],
)
def test_finish_reasons_that_are_failures_keep_the_text(finish, error, kind):
    out = read(delta(finish, content="a"))
    assert out[0] == Text("a")
    assert (type(error_of(out)), error_of(out).kind) == (error, kind)


def test_a_matched_stop_text_is_a_stop_sequence_and_a_stop_token_is_not():
    own = {"finish_reason": "stop", "stop_reason": "\n"}
    for matched, end in [
        ("\n", Stop("stop_sequence", 0, own)),
        (128009, Stop("complete")),
        (None, Stop("complete")),
    ]:
        chunk = delta("stop", content="a")
        chunk["choices"][0]["stop_reason"] = matched
        assert read(chunk)[-1] == end


def test_a_refusal_is_text_and_then_a_failure():
    out = read(delta(refusal="I "), delta("stop", refusal="cannot"))
    assert "".join(e.content for e in out[:-1]) == "I cannot"
    assert isinstance(error_of(out), errors.Refused)


def test_an_answer_without_a_choice_is_truncated():
    assert isinstance(error_of(read({"choices": []})), errors.TruncatedStream)


@pytest.mark.parametrize("before", [True, False])
def test_the_last_usage_is_reported_once_and_before_stop(before):
    usage = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    early = {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}
    end = delta("stop", content="a")
    out = read(early, *([usage, end] if before else [end, usage]))
    report = events.UsageReport(events.Usage(3, 4, 7, source="reported"))
    assert out == [Text("a"), report, Stop("complete")]


@pytest.mark.parametrize(
    ("details", "written"),
    [
        ({"cached_tokens": 1, "cache_write_tokens": 2}, 2),
        ({"cached_tokens": 1, "created_cache_tokens": 3}, 3),
        ({"cached_tokens": 1, "cache_write_tokens": 0, "created_cache_tokens": 3}, 0),
    ],
)
def test_all_that_usage_says_is_told(details, written):
    said = {
        "prompt_tokens": 5,
        "completion_tokens": 6,
        "total_tokens": 20,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    usage = read({"usage": said, **delta("stop", content="a")})[1].usage
    counts = (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cached_tokens)
    assert counts == (5, 6, 20, 1)
    assert (usage.cache_write_tokens, usage.reasoning_tokens) == (written, 4)


@pytest.mark.parametrize(
    "count", [-1, 10**9 + 1, 10**30, 1.5, True, "7", [7], {}], ids=lambda count: repr(count)[:12]
)
def test_a_count_that_cannot_be_is_unknown_and_told_before_the_usage(count):
    said = {"prompt_tokens": 3, "completion_tokens": count, "total_tokens": 7}
    details = {"prompt_tokens_details": {"cached_tokens": count}}
    out = read({"usage": {**said, **details}, **delta("stop", content="a")})
    assert [event.type for event in out] == ["text", "warning", "warning", "usage", "stop"]
    assert [e.code for e in out if isinstance(e, Notice)] == ["invalid_usage"] * 2
    assert ["completion_tokens" in out[1].message, "cached_tokens" in out[2].message] == [True] * 2
    assert out[3].usage == events.Usage(3, None, 7, source="reported")


def test_only_the_last_usage_is_looked_at_and_a_whole_number_may_be_written_with_a_point():
    bad = {"choices": [], "usage": {"prompt_tokens": -1}}
    good = {"usage": {"prompt_tokens": 3.0, "completion_tokens": 10**9}}
    out = read(bad, {**good, **delta("stop", content="a")})
    assert [event.type for event in out] == ["text", "usage", "stop"]
    assert (out[1].usage.input_tokens, out[1].usage.output_tokens) == (3, 10**9)


def test_usage_that_says_nothing_is_no_event():
    assert len(read({"usage": {}, **delta("stop", content="a")})) == 2


def test_stop_is_held_until_the_end():
    assert read(delta("stop", content="a"), finish=False) == [Text("a")]


def test_empty_deltas_are_no_events():
    assert read(delta(content="", role="assistant"), delta(content=None), finish=False) == []


def test_choices_are_kept_apart_and_choice_0_stops_last():
    out = read(delta(content="a"), delta(content="b", index=1))
    assert isinstance(error_of(out), errors.TruncatedStream)
    out = read(delta("stop", content="a"), delta("length", content="b", index=1))
    assert out == [Text("a"), Text("b", 1), Stop("max_tokens", 1), Stop("complete")]


def test_an_answer_without_its_first_choice_is_truncated():
    out = read(delta("stop", content="a", index=1))
    assert (out[0], len(out)) == (Text("a", 1), 2)
    assert isinstance(error_of(out), errors.TruncatedStream)


def test_choice_0_stops_last_whatever_the_others_are_called():
    out = read(*(delta("stop", content="a", index=index) for index in (-1, 0, 1)))
    assert [event.choice for event in out[3:]] == [1, -1, 0]


def test_reasoning_under_either_name_and_once_under_both():
    out = read(delta(reasoning="a"), delta(reasoning_content="b"), finish=False)
    assert out == [Reasoning("a"), Reasoning("b")]
    assert read(delta(reasoning="a", reasoning_content="a"), finish=False) == [Reasoning("a")]


def test_logprobs_of_tokens_without_text_come_with_the_next_text_or_at_the_end():
    def chunk(token, content, finish=None):
        value = delta(finish, content=content)
        value["choices"][0]["logprobs"] = {"content": [{"token": token, "logprob": -1.0}]}
        return value

    out = read(chunk("a", ""), chunk("b", "ab"), chunk("c", "", "stop"))
    tokens = [[t.token for t in e.logprobs] for e in out if isinstance(e, Text)]
    assert tokens == [["a", "b"], ["c"]]


def test_a_token_without_a_probability_is_left_out():
    value = delta("stop", content="ab")
    entries = [{"token": "a"}, {"logprob": -1.0}, {"token": "b", "logprob": -2.0}]
    value["choices"][0]["logprobs"] = {"content": entries}
    assert [token.token for token in read(value)[0].logprobs] == ["b"]


# ---- tool calls ----------------------------------------------------------------------------------


def tools(*deltas, finish="tool_calls"):
    out = read(*(delta(tool_calls=list(d)) for d in deltas), delta(finish))
    check_grammar(out)
    return out


@pytest.mark.parametrize(
    "deltas",
    [
        [[call('{"a":1}', wire_id="x", name="f")]],
        [[call(None, wire_id="x", name="f")], [call('{"a"')], [call(":1}")]],
        [[call("", wire_id="x", name="f")], [call('{"a":1}', wire_id="x")]],
        [[call('{"a"', wire_id="x", name="f")], [call(":1}", wire_id="x", name="f")]],
        [[call('{"a"', None, "x", "f")], [call(":1}", None, "x")]],
        [[call('{"a"', None, None, "f")], [call(":1}", None)]],
        [[call('{"a"', wire_id="x")], [call(":1}", name="f")]],
        [[call({"a": 1}, wire_id="x", name="f")]],
    ],
)
def test_a_call_is_put_together_from_its_pieces(deltas):
    assert calls_of(tools(*deltas)) == [("f", '{"a":1}', None)]


@pytest.mark.parametrize(
    "deltas",
    [
        [[call("{}", 0, "x", "f"), call("{}", 1, "y", "g")]],
        [[call("{", 0, "x", "f")], [call("{", 1, "y", "g")], [call("}", 0)], [call("}", 1)]],
        [[call("{}", 0, "x", "f")], [call("{}", 0, "y", "g")]],
        [[call("{}", None, "x", "f")], [call("{}", None, "y", "g")]],
        [[call("{}", None, None, "f")], [call("{}", None, None, "g")]],
        [[call("{}", 0, None, "f")], [call("{}", 1, None, "g")]],
        [[call("{}", 0, "0", "f")], [call("{}", 1, "0", "g")]],
    ],
)
def test_two_calls_are_kept_apart(deltas):
    assert calls_of(tools(*deltas)) == [("f", "{}", None), ("g", "{}", None)]


def repairs_of(out):
    return [e.provider_options for e in out if isinstance(e, Notice) and e.code == "repaired"]


@pytest.mark.parametrize(
    "deltas",
    [
        [[call('{"a":1}', 0, "x", "f")], [call('{"a":1}', 0, "x", "f")]],
        [[call('{"a":1}', 0, "x", "f")] * 5],
        [[call('{"a"', 0, "x", "f")], [call(":1}")], [call('{"a":1}', 0, "x", "f")]],
        [[call('{"a":1}', None, "x", "f")], [call('{"a":1}', None, "x", "f")]],
        [[call({"a": 1}, 0, "x", "f")], [call({"a": 1}, 0, "x", "f")]],
    ],
)
def test_a_call_that_comes_whole_again_is_one_and_told_before_the_end(deltas):
    out = tools(*deltas)
    assert calls_of(out) == [("f", '{"a":1}', None)]
    assert repairs_of(out) == [{"tool_call_id": "x"}]
    assert [event.type for event in out[-2:]] == ["warning", "stop"]


@pytest.mark.parametrize(
    "pieces",
    [['{"a": ', "1", "1", "}"], [" ", " ", "{}"], ["{", "{", "}"], ['{"a":"', '{}"', "}"]],
    ids=["digits", "spaces", "braces", "an object within a text"],
)
def test_a_piece_that_is_as_the_one_before_it_is_no_repetition(pieces):
    for own in ({"wire_id": "x", "name": "f"}, {}):
        first, *rest = pieces
        out = tools([call(first, wire_id="x", name="f")], *([call(piece, **own)] for piece in rest))
        assert [text for _, text, _ in calls_of(out)] == ["".join(pieces)]
        assert repairs_of(out) == []


def test_what_differs_from_the_call_before_it_is_no_repetition():
    whole, other = call('{"a":1}', 0, "x", "f"), call('{"a":2}', 0, "x", "f")
    assert repairs_of(tools([whole], [other])) == []
    assert repairs_of(tools([whole], [call('{"a":1}', 0, "y", "f")])) == []
    assert repairs_of(tools([whole], [call('{"a":1}', 1, "x", "f")])) == []
    assert repairs_of(tools([whole], [call('{"a":1}', 0)])) == []


def test_missing_ids_are_made_and_doubled_ones_replaced():
    out = tools([call("{}", 0, None, "f"), call("{}", 1, "a", "g"), call("{}", 2, "a", "h")])
    ids = [e.tool_call_id for e in out if isinstance(e, ToolCallStart)]
    assert ids == ["call_0", "a", "call_2"]


def test_whole_calls_of_a_message_are_calls_of_their_own_though_their_ids_are_the_same():
    entries = [{"id": "0", "function": {"name": n, "arguments": {}}} for n in "fg"]
    message = {"tool_calls": entries, "content": None}
    out = read({"choices": [{"message": message, "finish_reason": "stop"}]})
    check_grammar(out)
    assert calls_of(out) == [("f", "{}", None), ("g", "{}", None)]
    assert out[-1] == Stop("tool_use", 0, {"finish_reason": "stop"})


def test_a_call_that_never_gets_a_name_has_a_start_and_is_incomplete():
    assert calls_of(tools([call("{}", wire_id="x")])) == [("", "{}", True)]


def test_the_old_function_call_is_a_call():
    out = read(
        delta(function_call={"name": "f", "arguments": "{"}),
        delta("function_call", function_call={"arguments": "}"}),
    )
    assert calls_of(out) == [("f", "{}", None)]


def test_a_call_that_is_said_in_both_ways_is_one():
    both = call("{}", wire_id="x", name="f")
    out = read(delta("stop", tool_calls=[both], function_call=both["function"]))
    assert calls_of(out) == [("f", "{}", None)]


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("stop", "tool_use"), ("length", "max_tokens"), ("eos_token", "tool_use")],
)
def test_a_call_outranks_stop(finish, reason):
    end = tools([call("{}", wire_id="x", name="f")], finish=finish)[-1]
    own = None if finish == "length" else {"finish_reason": finish}
    assert end == Stop(reason, 0, own)


@pytest.mark.parametrize(
    ("text", "finish", "incomplete"),
    [
        ("{}", "stop", None),
        ("", "tool_calls", None),
        ('{"a":', "tool_calls", True),
        ("[1]", "tool_calls", True),
        ("{}", "length", True),
    ],
)
def test_incomplete_calls_say_so(text, finish, incomplete):
    out = tools([call(text, wire_id="x", name="f")], finish=finish)
    assert calls_of(out) == [("f", text, incomplete)]


def test_a_call_of_a_cut_stream_is_ended_before_the_failure():
    out = read(delta(tool_calls=[call('{"a"', wire_id="x", name="f")]))
    assert calls_of(out) == [("f", '{"a"', True)]
    assert isinstance(error_of(out), errors.TruncatedStream)


def test_an_open_call_is_ended_before_the_error_of_the_server():
    out = read(delta(tool_calls=[call('{"a"', wire_id="x", name="f")]), {"error": "gone"})
    assert calls_of(out) == [("f", '{"a"', True)]
    assert isinstance(error_of(out), errors.EngineError)


def test_a_call_is_incomplete_where_the_stream_ended_though_its_text_is_whole_so_far():
    out = read(delta(tool_calls=[call("{}", wire_id="x", name="f")]))
    assert calls_of(out) == [("f", "{}", True)]


def test_length_cuts_only_the_last_call():
    out = tools([call("{}", 0, "x", "f"), call("{}", 1, "y", "g")], finish="length")
    assert calls_of(out) == [("f", "{}", None), ("g", "{}", True)]


def test_a_call_is_ended_when_its_choice_finishes():
    out = read(
        delta(tool_calls=[call("{}", wire_id="x", name="f")]), delta("tool_calls"), finish=False
    )
    assert isinstance(out[-1], ToolCallEnd)


def test_opaque_data_of_a_call_is_kept_under_the_providers_name():
    piece = {**call("{}", wire_id="x", name="f"), "extra_content": {"google": {"signature": "s"}}}
    start = tools([piece])[0]
    assert start.provider_options == {"extra_content": {"google": {"signature": "s"}}}


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "cls"),
    [
        ("slow down", errors.EngineError),
        ({"code": 500, "message": "m", "type": "server_error"}, errors.EngineError),
        ({"code": 503, "message": "Loading model"}, errors.Overloaded),
        ({"code": 429, "message": "m"}, errors.RateLimited),
        ({"code": "429", "message": "m"}, errors.RateLimited),
        ({"code": "rate_limit_exceeded", "message": "m"}, errors.RateLimited),
        ({"code": "insufficient_quota", "message": "m"}, errors.QuotaExceeded),
        ({"code": 401, "message": "m"}, errors.AuthenticationError),
        ({"type": "permission_error", "message": "m"}, errors.AuthenticationError),
        ({"code": "model_not_found", "message": "m"}, errors.ModelNotFound),
        ({"code": 404, "type": "NotFoundError", "message": "m"}, errors.ModelNotFound),
        ({"type": "overloaded_error", "message": "m"}, errors.Overloaded),
        ({"code": "content_filter", "message": "m"}, errors.ContentFiltered),
        ({"http_status_code": 422, "message": "m"}, errors.BadRequest),
        ({"code": 501, "message": "m"}, errors.NotSupported),
        ({"code": "9" * 5000, "message": "m"}, errors.EngineError),
        ({"type": "exceed_context_size_error", "message": "m"}, errors.ContextOverflow),
        ("the request exceeds the available context size", errors.ContextOverflow),
        ("prompt is too long: 9 tokens > 5 maximum", errors.ContextOverflow),
        ("Context size has been exceeded.", errors.ContextOverflow),
        ("Unexpected endpoint or method. (POST /v1/x)", errors.ProtocolError),
        ({"odd": 1}, errors.EngineError),
    ],
)
def test_an_error_inside_a_stream_has_its_class(error, cls):
    out = read(delta(content="a"), {"error": error}, finish=False)
    assert out[0] == Text("a")
    assert type(error_of(out)) is cls


@pytest.mark.parametrize(
    ("message", "loads"),
    [
        ("Loading model", True),
        ("Model acme/tiny is currently loading", True),
        ("The model is still loading, please wait", True),
        ("The model 'tiny' is being loaded", True),
        ("model is not loaded", False),
        ("The weights failed while the server was busy", False),
        ("Too many models are loaded", False),
    ],
)
def test_a_model_that_loads_has_a_kind_of_its_own(message, loads):
    said = {"error": {"message": message, "type": "unavailable_error", "code": 503}}
    error = explain_openai(HttpReply(503, {}, json.dumps(said).encode()))
    kind = "model_loading" if loads else "overloaded"
    assert (type(error), error.kind, error.status) == (errors.Overloaded, kind, 503)
    refused = explain_openai(HttpReply(400, {}, json.dumps({"error": message}).encode()))
    assert refused.kind == "bad_request"


def test_a_bare_error_object_is_an_error():
    out = read({"object": "error", "message": "gone", "type": "NotFoundError", "code": 404})
    assert isinstance(error_of(out), errors.ModelNotFound)


def test_nothing_follows_an_error():
    records = ChatRecords()
    records.record(msgspec.convert({"error": "gone"}, ChatChunk))
    assert records.finish() == []


@pytest.mark.parametrize(
    ("status", "body", "cls", "said"),
    [
        (400, b'{"detail": {"message": "m", "type": "rate_limit_error"}}', errors.RateLimited, "m"),
        (400, b'{"error": "m", "error_type": "rate_limit_error"}', errors.RateLimited, "m"),
        (400, b'{"error": "m", "type": "rate_limit_error"}', errors.RateLimited, "m"),
        (502, b"<html><head><title>Bad gateway</title>", errors.ProviderDown, "Bad gateway"),
        (
            502,
            b"\xef\xbb\xbf<html><title>Behind a mark</title>",
            errors.ProviderDown,
            "Behind a mark",
        ),
        (502, b"<html><title></title>Sorry!", errors.ProviderDown, "an HTML page"),
        (502, b'{"error": "<html><title>Bad</title>Sorry!"}', errors.ProviderDown, "Bad"),
        (400, b'{"error": {"message": "<|user|> is no"}}', errors.BadRequest, "<|user|> is no"),
        (
            500,
            b"",
            errors.ProviderDown,
            "The server answered 500 Internal Server Error, and nothing else",
        ),
        (503, b"no healthy upstream", errors.Overloaded, "no healthy upstream"),
        (400, b'{"error":"bad"}', errors.BadRequest, "bad"),
        (413, b'{"message":"big"}', errors.BadRequest, "big"),
        (422, b'{"detail":[{"msg":"field required"}]}', errors.BadRequest, "field required"),
        (422, b"[1]", errors.BadRequest, "[1]"),
        (403, b'{"error":{"message":"no"}}', errors.AuthenticationError, "no"),
        (404, b'{"error":{"message":"no"}}', errors.ModelNotFound, "no"),
        (404, b"404 page not found", errors.ProtocolError, "page not found"),
        (
            404,
            b'{"error": {"message": "Invalid URL (POST /chat)", "type": "invalid_request_error"}}',
            errors.ProtocolError,
            "Invalid URL",
        ),
        (429, b'{"error":{"code":"insufficient_quota","message":"m"}}', errors.QuotaExceeded, "m"),
        (429, b'{"error":"m","error_type":"overloaded"}', errors.RateLimited, "m"),
        (529, b'{"error":{"type":"overloaded_error","message":"m"}}', errors.Overloaded, "m"),
        (408, b"{}", errors.Timeout, "does not say"),
        (400, b'{"error":{"message":"max_tokens=9 is over 5"}}', errors.BadRequest, "max_tokens=9"),
    ],
)
def test_a_refusal_of_any_shape_is_explained(status, body, cls, said):
    error = explain_openai(HttpReply(status, {}, body))
    assert type(error) is cls
    assert said in str(error)
    assert "Sorry!" not in str(error)
    assert error.status == status


def test_a_refusal_shows_no_key():
    body = b'{"error":{"message":"Incorrect API key provided: sk-proj-abcdef123456"}}'
    assert "abcdef" not in str(explain_openai(HttpReply(401, {}, body)))


@given(st.binary(max_size=60), st.sampled_from([400, 404, 500, 503]))
def test_junk_is_explained_too(body, status):
    assert explain_openai(HttpReply(status, {}, body)).status == status


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@given(JSONISH, st.sampled_from(["error", "detail", "message"]))
def test_any_json_is_explained(value, name):
    assert explain_openai(HttpReply(400, {}, json.dumps({name: value}).encode())).message
    assert openai_error(value).message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        (
            {
                "retry-after": "Sat, 21 Nov 2026 06:00:30 GMT",
                "date": "Sat, 21 Nov 2026 06:00:00 GMT",
            },
            30.0,
        ),
        ({"retry-after": "Sat, 21 Nov 2009 06:00:30 GMT"}, 0.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "01 Jan 99999999999999999999 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers) == seconds


def test_the_request_id_is_kept():
    reply = HttpReply(500, {"x-request-id": "req-7"}, b"")
    assert explain_openai(reply).request_id == "req-7"


# ---- refusals of gateways ------------------------------------------------------------------------


def test_an_error_that_a_gateway_wrapped_is_unwrapped():
    inner = {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_ctx": 256}
    outer = {"message": json.dumps({"error": inner}), "type": "invalid_request_error"}
    error = openai_error(outer)
    assert (type(error), error.message, error.limit) == (errors.ContextOverflow, "too long", 256)
    for text in ('{"a": 1}', "{no json", '{"error": []}'):
        assert openai_error({"message": text}).message == text


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("unsupported_parameter", "Unsupported parameter: 'max_tokens'"),
        ("unsupported_value", "Unsupported value: 'temperature'"),
        (None, '"tiny" does not support chat'),
        (None, "image URLs are not currently supported"),
    ],
)
def test_what_a_model_cannot_do_is_not_supported(code, message):
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    assert type(explain_openai(HttpReply(400, {}, body))) is errors.NotSupported


# ---- what few servers have -----------------------------------------------------------------------


def test_a_content_of_pieces_is_thoughts_texts_and_pictures():
    pieces = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "See"},
        {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,eA=="}},
        {"type": "image_url", "image_url": "data:;base64,eQ=="},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        {"type": "unknown"},
    ]
    assert read(delta("stop", content=pieces)) == [
        Reasoning("hm"),
        Text("See"),
        events.ImageData(b"x", "image/jpeg"),
        events.ImageData(b"y", "image/png"),
        Text("![image](https://a.example/b.png)"),
        Stop("complete"),
    ]


def test_pictures_beside_the_content_streamed_or_whole():
    images = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}]
    wanted = [Text("a"), events.ImageData(b"x", "image/png"), Stop("complete")]
    assert read(delta(content="a", images=images), delta("stop")) == wanted
    whole = {"message": {"content": "a", "images": images}, "finish_reason": "stop"}
    assert read({"choices": [whole]}) == wanted


@pytest.mark.parametrize(
    ("sound", "kind", "rate"),
    [("wav", "audio/wav", None), ("mp3", "audio/mpeg", None), ("pcm16", "audio/pcm", 24000)],
)
def test_sound_is_of_the_format_that_was_asked_for(sound, kind, rate):
    records = ChatRecords(sound=sound)
    chunk = delta("stop", audio={"id": "a", "data": "eA==", "transcript": "Hi"})
    out = [*records.record(msgspec.convert(chunk, ChatChunk)), *records.finish()]
    assert out == [Text("Hi"), events.AudioData(b"x", kind, rate), Stop("complete")]


def test_media_that_are_no_base64_are_a_protocol_error():
    chunk = delta("stop", images=[{"image_url": {"url": "data:image/png;base64,?"}}])
    body = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    out = run({"content-type": "text/event-stream"}, [body])
    assert isinstance(error_of(out), errors.ProtocolError)


# ---- usage that the server does not report -------------------------------------------------------


def estimated(*chunks, prompt=7):
    records = ChatRecords(prompt=prompt)
    out = [e for c in chunks for e in records.record(msgspec.convert(c, ChatChunk))]
    out += records.finish()
    return [e for e in out if isinstance(e, events.UsageReport)]


def test_usage_is_estimated_from_four_bytes_a_token_and_says_so():
    chunks = [
        delta(reasoning="12"),
        delta(content="ééé"),
        delta("tool_calls", tool_calls=[call("{}", wire_id="x", name="f")]),
    ]
    usage = events.Usage(7, 3, 10, source="estimated")
    assert estimated(*chunks) == [events.UsageReport(usage, {"estimated_by": "4 bytes a token"})]


def test_usage_is_not_estimated_where_it_is_reported_or_the_answer_is_not_whole():
    reported = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    (report,) = estimated(delta("stop", content="a"), reported)
    assert (report.usage.source, report.provider_options) == ("reported", None)
    assert estimated(delta(content="a")) == []
    assert estimated(delta(content="a"), {"error": {"message": "no"}}) == []
    assert estimated(delta("stop", content="a"), prompt=None) == []


def test_the_prompt_is_measured_only_for_an_estimate():
    asked = []
    reported = {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}

    def prompt():
        asked.append(True)
        return 7

    assert estimated(delta("stop", content="a"), reported, prompt=prompt)[0].usage.input_tokens == 1
    assert asked == []
    assert estimated(delta("stop", content="a"), prompt=prompt)[0].usage.input_tokens == 7


def test_notices_come_first_also_before_an_error():
    notice = events.Notice("unsupported_option", "No seed.", "seed")
    for chunks in ([delta("stop", content="a")], [{"error": {"message": "no"}}], []):
        records = ChatRecords([notice])
        out = [e for c in chunks for e in records.record(msgspec.convert(c, ChatChunk))]
        assert [*out, *records.finish()].index(notice) == 0


def test_an_id_that_the_conversation_has_is_given_to_no_new_call():
    records = ChatRecords(taken=["0"])
    function = {"name": "now", "arguments": "{}"}
    message = {"tool_calls": [{"id": "0", "function": function}]}
    body = {"choices": [{"message": message, "finish_reason": "tool_calls"}]}
    out = records.record(msgspec.convert(body, ChatChunk))
    (start,) = [event for event in out if isinstance(event, ToolCallStart)]
    assert start.tool_call_id not in ("", "0")


def test_a_subclass_may_have_words_of_its_own_for_a_failure():
    class Acme(ChatRecords):
        def failure(self, chunk):
            return errors.Overloaded(f"Acme: {chunk.error}")

    (failed,) = Acme().record(ChatChunk(error="busy"))
    assert (type(failed.error), failed.error.message) == (errors.Overloaded, "Acme: busy")


# ---- what a server tells besides -----------------------------------------------------------------


class TimedChunk(ChatChunk, gc=False):
    """A chunk with a fact of its own."""

    timings: Any = None


class TimedRecords(ChatRecords):
    """Passes that fact on."""

    shape = TimedChunk
    facts = ("timings",)


@pytest.mark.parametrize(
    ("usage", "options", "told"),
    [
        ({"prompt_tokens": 1, "completion_tokens": 2}, {}, events.Usage.reported(1, 2)),
        (None, {}, events.Usage()),
        (None, {"prompt": 7}, events.Usage(7, 1, 8, source="estimated")),
    ],
    ids=["reported", "unknown", "estimated"],
)
def test_facts_that_a_server_names_come_with_the_usage(usage, options, told):
    records = TimedRecords(**options)
    chunks = [
        {**delta(content="Hi"), "timings": {"ms": 1}},
        {**delta("stop"), "timings": {"ms": 2}, "usage": usage},
    ]
    out = [e for c in chunks for e in records.record(msgspec.convert(c, TimedChunk))]
    *_, report, stop = out + records.finish()
    assert stop == Stop("complete")
    assert report.usage == told
    assert report.provider_options["timings"] == {"ms": 2}


def test_no_facts_and_no_usage_are_no_event():
    assert [e.type for e in read(delta("stop", content="Hi"))] == ["text", "stop"]


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize(
    ("kind", "streamed"),
    [
        ("text/event-stream", True),
        ("Text/Event-Stream ;charset=utf-8", True),
        ("application/json; charset=utf-8", False),
        ("Application/JSON", False),
        ("text/plain", None),
        ("", None),
        (None, None),
    ],
)
def test_the_type_of_an_answer_says_whether_it_is_a_stream_or_else_what_was_asked(
    kind, streamed, asked
):
    head = Head(200, {} if kind is None else {"content-type": kind})
    assert is_streamed(head, asked=asked) is (asked if streamed is None else streamed)
