"""Records that are read many at once say what they say one by one."""

import json
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.answer import fold
from multitap.dialects.openai.chat import ChatChunk, ChatRecords
from multitap.engine import outcome
from multitap.events import Notice, Reasoning, Stop, Text, UsageReport
from multitap.framing import NdjsonDecoder, Plain, SseDecoder


class Line(msgspec.Struct):
    text: str = ""
    loud: bool | None = None


class PlainLine(msgspec.Struct):
    text: str
    loud: None = None


class Author:
    """Notes what is read one by one."""

    def __init__(self):
        self.seen = []

    def record(self, line):
        self.seen.append(line)
        return [line.text.upper() if line.loud else line.text]

    def texts(self, lines):
        return [line.text for line in lines]


def body(kind, records):
    shapes = {SseDecoder: b"data: %s\n\n", NdjsonDecoder: b"%s\n"}
    return b"".join(shapes[kind] % json.dumps(record).encode() for record in records)


both = pytest.mark.parametrize("kind", [SseDecoder, NdjsonDecoder])


@both
def test_plain_records_are_read_at_once(kind):
    author = Author()
    decoder = kind(Line, author.record, plain=Plain(PlainLine, author.texts))
    assert decoder.feed(body(kind, [{"text": "a"}, {"text": "b", "more": 1}])) == ["a", "b"]
    assert author.seen == []


@both
@pytest.mark.parametrize("odd", [{"text": "b", "loud": True}, {}, {"text": "b", "loud": False}])
def test_a_record_that_is_not_plain_is_read_as_it_is_meant(kind, odd):
    author = Author()
    decoder = kind(Line, author.record, plain=Plain(PlainLine, author.texts))
    out = decoder.feed(body(kind, [{"text": "a"}, odd]))
    assert ["a", {True: "B", False: "b", None: ""}[odd.get("loud")]] == out
    assert len(author.seen) == 2


def test_glued_values_are_a_failure_in_events_and_none_on_lines():
    glued = b'{"text": "a"}{"text": "b"}'
    author = Author()
    how = {"plain": Plain(PlainLine, author.texts)}
    (failed,) = SseDecoder(Line, author.record, **how).feed(b"data: %s\n\n" % glued)
    assert failed.error.kind == "bad_payload"
    assert NdjsonDecoder(Line, author.record, **how).feed(b"%s\n" % glued) == ["a", "b"]


@both
def test_an_author_may_want_them_one_by_one_after_all(kind):
    author = Author()
    decoder = kind(Line, author.record, plain=Plain(PlainLine, lambda lines: None))
    assert decoder.feed(body(kind, [{"text": "a"}])) == ["a"]
    assert [Line("a")] == author.seen


# ---- chat completions ----------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "a", "é", '"\\', "\n", "{}", "}\n\ndata: {", "\U0001f600"])
CALL = {"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}
TOKEN = {"token": "a", "logprob": -1.0}
DELTAS = st.one_of(
    st.builds(lambda text: {"content": text}, TEXTS),
    st.builds(lambda text: {"role": "assistant", "content": text, "refusal": None}, TEXTS),
    st.sampled_from(
        [
            {},
            {"content": None},
            {"reasoning_content": "hm"},
            {"tool_calls": [CALL]},
            {"refusal": "no"},
            {"content": [{"text": "part"}]},
            {"tool_calls": []},
        ]
    ),
)
CHOICES = st.builds(
    lambda delta, **more: {"delta": delta, **more},
    DELTAS,
    index=st.sampled_from([0, 0, 0, 1, None]),
    finish_reason=st.sampled_from([None, None, None, "stop"]),
    logprobs=st.sampled_from([None, None, {"content": [TOKEN]}]),
)
CHUNKS = st.one_of(
    st.builds(lambda text: {"choices": [{"index": 0, "delta": {"content": text}}]}, TEXTS),
    st.builds(lambda choices: {"choices": choices}, st.lists(CHOICES, max_size=2)),
    st.sampled_from([{"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}]),
)


def read(pieces, plain, **options):
    records = ChatRecords([Notice("told", "Told.")], **options)
    how = {"finish": records.finish, "plain": records.plain() if plain else None}
    decoder = SseDecoder(ChatChunk, records.record, **how)
    out = [event for piece in pieces for event in decoder.feed(piece)]
    return [repr(event) for event in [*out, *decoder.finish()]]


@given(
    chunks=st.lists(CHUNKS, max_size=12),
    places=st.lists(st.integers(0, 4000), max_size=4),
    prompt=st.sampled_from([None, 3]),
)
def test_chunks_say_the_same_read_at_once_and_one_by_one(chunks, places, prompt):
    data = body(SseDecoder, chunks) + b"data: [DONE]\n\n"
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    assert read(pieces, False, prompt=prompt) == read(pieces, True, prompt=prompt)


def test_a_token_that_waits_for_its_text_goes_with_the_next_one():
    waiting = {"choices": [{"delta": {"content": ""}, "logprobs": {"content": [TOKEN]}}]}
    pieces = [
        body(SseDecoder, [waiting]),
        body(SseDecoder, [{"choices": [{"delta": {"content": "a"}}]}]),
    ]
    assert read(pieces, False) == read(pieces, True)
    assert "TokenLogprob" in read(pieces, True)[1]


def test_a_subclass_that_says_nothing_of_plain_chunks_reads_all_of_them():
    class Louder(ChatRecords):
        def record(self, chunk, /):
            return [Text(event.content.upper()) for event in super().record(chunk)]

    assert Louder().plain() is None


# ---- what is kept of a long answer ---------------------------------------------------------------

EVENTS = st.one_of(
    st.builds(Text, TEXTS, st.sampled_from([0, 0, 1])),
    st.builds(Reasoning, TEXTS, st.sampled_from([0, 0, 1])),
    st.builds(Reasoning, TEXTS, provider_options=st.sampled_from([{"a": 1}, {"a": 2}])),
    st.builds(lambda token: Text("t", logprobs=(token,)), st.sampled_from("ab")),
    st.builds(Notice, st.just("told"), TEXTS),
    st.just(Stop("complete", 1)),
)


@given(st.lists(EVENTS, max_size=12))
def test_events_that_are_joined_make_the_same_answer(events):
    def answer(events):
        return fold(events, backend="b", provider="p", model="m")

    assert answer(events) == answer(list(outcome.joined(events)))


def test_few_events_are_kept_of_many_texts():
    events = [Text("a")] * 1000 + [UsageReport(None), Stop("complete")]
    assert [event.type for event in outcome.joined(events)] == ["text", "usage", "stop"]
