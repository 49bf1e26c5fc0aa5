"""Events and usage: their names, their JSON form, and what normalising keeps."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap import errors
from multitap.answer import fold
from multitap.events import (
    AudioData,
    Failed,
    ImageData,
    Loading,
    Notice,
    Permission,
    RateLimit,
    Reasoning,
    Stop,
    Text,
    TokenLogprob,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    Unknown,
    Usage,
    UsageReport,
    event_from_dict,
    normalise,
)

rates = st.none() | st.integers(1, 9)
words = st.text(max_size=5)
options = st.none() | st.dictionaries(words, words, max_size=2)
choices = st.integers(0, 2)
counts = st.none() | st.integers(0, 10**6)
tokens = st.builds(TokenLogprob, words, st.floats(-9, 0))
EVENTS = st.one_of(
    st.builds(Text, words, choices, st.none() | st.tuples(tokens), options),
    st.builds(Reasoning, words, choices, options),
    st.builds(ToolCallStart, words, words, choices, options),
    st.builds(ToolCallChunk, words, words, choices, options),
    st.builds(ToolCallEnd, words, st.none() | words, st.none() | st.booleans(), choices, options),
    st.builds(Permission, st.dictionaries(words, words, max_size=2), options),
    st.builds(RateLimit, st.dictionaries(words, words, max_size=2), options),
    st.builds(ImageData, st.binary(max_size=9), words, choices, options),
    st.builds(
        AudioData, st.binary(max_size=9), words, st.none() | st.integers(1, 9), choices, options
    ),
    st.builds(Loading, words, counts, counts, options),
    st.builds(Notice, words, words, st.none() | words, options, effective=words | counts),
    st.builds(UsageReport, st.builds(Usage.reported, counts, counts), options),
    st.builds(Stop, st.sampled_from(["complete", "max_tokens", "tool_use"]), choices, options),
)


@given(EVENTS)
def test_every_event_survives_its_json_form(event):
    assert event_from_dict(json.loads(json.dumps(event.to_dict()))) == event


def test_the_json_form_has_the_names_of_the_contract():
    usage = Usage.reported(3, 4, cached_tokens=2)
    shown = [
        Text("a").to_dict(),
        Reasoning("b").to_dict(),
        ToolCallStart("1", "f").to_dict(),
        ToolCallChunk("1", "{").to_dict(),
        ToolCallEnd("1", "{}").to_dict(),
        UsageReport(usage).to_dict(),
        ImageData(b"x", "image/png").to_dict(),
        Notice("slow", "Slow.").to_dict(),
        Stop("tool_use").to_dict(),
    ]
    assert shown == [
        {"type": "text", "content": "a"},
        {"type": "reasoning", "reasoning_content": "b"},
        {"type": "tool_call_start", "tool_call_id": "1", "tool_call_name": "f"},
        {"type": "tool_call_chunk", "tool_call_id": "1", "tool_call_arguments_chunk": "{"},
        {"type": "tool_call_end", "tool_call_id": "1", "tool_call_arguments_complete": "{}"},
        {
            "type": "usage",
            "usage": {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "total_tokens": 7,
                "cached_tokens": 2,
                "source": "reported",
            },
        },
        {"type": "image_data", "image_data": {"data": "eA==", "mimeType": "image/png"}},
        {"type": "warning", "code": "slow", "message": "Slow."},
        {"type": "stop", "stop_reason": "tool_use"},
    ]


def test_an_event_of_a_newer_version_is_kept():
    data = {"type": "plan", "plan": ["a"]}
    event = event_from_dict(data)
    assert (event, event.type, event.to_dict()) == (Unknown("plan", data), "plan", data)


def test_a_field_of_a_newer_version_is_left_out():
    assert event_from_dict({"type": "text", "content": "a", "new": 1}) == Text("a")


def test_unknown_usage_is_absent_and_never_zero():
    assert UsageReport(Usage()).to_dict()["usage"] == {"source": "unknown"}
    assert Usage.reported(0, None).to_dict() == {"prompt_tokens": 0, "source": "reported"}


@given(st.lists(EVENTS, max_size=12))
def test_normalising_twice_changes_nothing_and_the_answer_is_the_same(events):
    once = normalise(events)
    facts = {"backend": "b", "provider": "p", "model": "m"}
    assert normalise(once) == once
    assert fold(once, **facts) == fold(events, **facts)


def test_pieces_of_different_calls_and_choices_are_not_joined():
    events = [ToolCallChunk("1", "a"), ToolCallChunk("2", "b"), Text("a", 0), Text("b", 1)]
    assert normalise(events) == events


def test_pieces_of_one_sound_are_joined():
    pieces = [AudioData(b"a", "audio/pcm", 8000), AudioData(b"b", "audio/pcm", 8000)]
    other = AudioData(b"c", "audio/wav")
    whole = [AudioData(b"ab", "audio/pcm", 8000), other]
    assert normalise([*pieces, other]) == whole
    answer = fold([*pieces, other], backend="b", provider="p", model="m")
    assert answer.audio == tuple(whole)


# ---- errors --------------------------------------------------------------------------------------

BACKEND_ERRORS = [
    cls
    for cls in vars(errors).values()
    if isinstance(cls, type) and issubclass(cls, errors.BackendError)
]


@pytest.mark.parametrize("cls", BACKEND_ERRORS)
def test_an_error_survives_its_json_form_and_pickling(cls):
    error = cls("It failed", backend="gpu", model="tiny", status=500, retry_after=2.0)
    again = errors.error_from_dict(json.loads(json.dumps(error.to_dict())))
    copy = pickle.loads(pickle.dumps(error))
    assert type(again) is type(copy) is cls
    assert again.to_dict() == copy.to_dict() == error.to_dict()
    assert str(again) == str(copy) == str(error)


@pytest.mark.parametrize("cls", BACKEND_ERRORS)
def test_an_error_names_its_backend_and_the_next_step(cls):
    text = str(cls("It failed", backend="gpu"))
    assert text.startswith("gpu: It failed. ")
    assert text.endswith((".", "?"))
    assert len(text) > len("gpu: It failed. ")


def test_what_may_be_tried_again_is_said_by_the_class():
    again = {cls.__name__ for cls in BACKEND_ERRORS if cls.retryable}
    assert again == {
        "ProviderDown",
        "Timeout",
        "RateLimited",
        "Overloaded",
        "TruncatedStream",
        "EngineError",
    }


def test_a_failure_in_json_is_an_error_with_its_facts():
    failed = Failed(errors.RateLimited("Slow down", status=429))
    data = failed.to_dict()
    assert (data["type"], data["error_message"]) == ("error", str(failed.error))
    assert type(event_from_dict(data).error) is errors.RateLimited


def test_a_kind_is_the_class_in_snake_case():
    kinds = [cls("x").kind for cls in (errors.TLSFailed, errors.RateLimited, errors.Timeout)]
    assert kinds == ["tls_failed", "rate_limited", "timeout"]
