"""The checks for authors: good stages pass, and every kind of broken one is caught."""

from __future__ import annotations

import json

import plain_reader
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.dialects.openai.chat import ChatChunk, ChatRecords
from multitap.errors import EngineError
from multitap.events import (
    Failed,
    Notice,
    Reasoning,
    Stop,
    Text,
    TokenLogprob,
    ToolCallChunk,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
)
from multitap.filters.strict import Strict
from multitap.framing import NdjsonDecoder, SseDecoder
from multitap.testing import (
    Recording,
    assert_chunking_invariant,
    assert_stream_grammar,
    assert_truncation_is_seen,
    broken_rules,
    cuts_of,
    outputs_of,
    pieces_of,
)

LINES = b'{"text": "h\xc3\xa9"}\n{"text": "llo"}\n{"stop": true}\n'


def record(line):
    return [Text(line["text"])] if "text" in line else [Stop("complete")]


def good():
    return NdjsonDecoder(dict, record)


def openai_decoder():
    records = ChatRecords()
    return SseDecoder(ChatChunk, records.record, finish=records.finish)


# ---- chunking ------------------------------------------------------------------------------------


def test_a_good_decoder_passes_and_its_outputs_come_back():
    assert assert_chunking_invariant(good, LINES) == [Text("héllo"), Stop("complete")]


def test_a_failure_at_the_end_is_compared_by_what_it_says():
    out = assert_chunking_invariant(good, b'{"text": "a"}\nrubbish\n')
    assert [type(each) for each in out] == [Text, Failed]


@pytest.mark.parametrize("name", plain_reader.names("chat_stream_length"))
def test_a_recorded_answer_passes(name):
    found = Recording.load(plain_reader.RECORDINGS / name)
    assert_stream_grammar(assert_chunking_invariant(openai_decoder, found.body))


class LosesBytesAtACut:
    """What is no whole line is thrown away."""

    def feed(self, data):
        return [Text(json.loads(x)["text"]) for x in data.split(b"\n") if x[-1:] == b"}"]

    def finish(self):
        return []


class ForgetsBytesAtACut(LosesBytesAtACut):
    def feed(self, data):
        return [Text(data[data.find(b":") :].decode("utf-8", "ignore"))]


class DecodesHalfACharacter:
    def feed(self, data):
        return [Text(data.decode("utf-8"))]

    def finish(self):
        return []


class RaisesAtTheEnd(DecodesHalfACharacter):
    def finish(self):
        raise EngineError("It broke")


class MindsEmptyPieces(DecodesHalfACharacter):
    def feed(self, data):
        return [Text(data.decode("latin-1"))] if data else [Stop("complete")]


class StopsAfterAnything(DecodesHalfACharacter):
    seen = b""

    def feed(self, data):
        self.seen += data
        return super().feed(data) if data else []

    def finish(self):
        return [Stop("complete")] if self.seen else []


class JoinsTwoPiecesAlone(DecodesHalfACharacter):
    held = ()

    def feed(self, data):
        self.held = (*self.held[-1:], data)
        return []

    def finish(self):
        return [Text(b"".join(self.held).decode())]


class GoesOnAfterItFailed(DecodesHalfACharacter):
    def finish(self):
        return [Failed(EngineError("It broke")), Text("more")]


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (LosesBytesAtACut, r"Fed cut at 1, between b'{' and b'\"text\""),
        (ForgetsBytesAtACut, r"\(\+\) are not those of the whole \(-\):"),
        (DecodesHalfACharacter, r"(?s)cut at 12, between .*the stage raises UnicodeDecodeError"),
        (
            RaisesAtTheEnd,
            r"Fed whole, the stage raises EngineError: It broke.*in its last output|as",
        ),
        (JoinsTwoPiecesAlone, "Fed one by one, the outputs"),
        (MindsEmptyPieces, "one by one, with nothing in between, the outputs"),
        (GoesOnAfterItFailed, "goes on after it has failed"),
    ],
)
def test_a_broken_decoder_is_caught(stage, message):
    with pytest.raises(AssertionError, match=message):
        assert_chunking_invariant(stage, b'{"text": "h\xc3\xa9"}\n')


def test_the_difference_is_shown():
    class Counts(DecodesHalfACharacter):
        def feed(self, data):
            return [len(data)]

    with pytest.raises(AssertionError) as caught:
        assert_chunking_invariant(Counts, b"abc")
    shown = str(caught.value).splitlines()
    assert shown == [
        "Fed cut at 1, between b'a' and b'bc', the outputs (+) are not those of the whole (-):",
        "- 3",
        "+ 1",
        "+ 2",
    ]


EVENTS = [Text("stop"), ToolCallChunk("1", "{}"), Reasoning("hm"), Stop("complete")]


def test_a_good_filter_passes():
    notice = Notice("adjusted_option", "Not that hard.", "think", effective="low")
    assert [e.type for e in assert_chunking_invariant(Strict, [notice, *EVENTS])] == ["error"]
    notice = Notice("unsupported_option", "No seed here.", "seed")
    assert assert_chunking_invariant(Strict, EVENTS) == EVENTS
    assert [e.type for e in assert_chunking_invariant(Strict, [notice, *EVENTS])] == ["error"]


class PerEvent(DecodesHalfACharacter):
    """Looks at each event alone, which is not enough where a text is cut."""

    field = "content"

    def feed(self, events):
        words = ("stop", "hm", "{}")
        return [e for e in events if getattr(e, self.field, None) not in words]


class PerBatch(DecodesHalfACharacter):
    def feed(self, events):
        return events[:1]


class PerThought(PerEvent):
    field = "reasoning_content"


class PerCall(PerEvent):
    field = "tool_call_arguments_chunk"


@pytest.mark.parametrize("stage", [PerEvent, PerBatch, PerThought, PerCall])
def test_a_broken_filter_is_caught(stage):
    with pytest.raises(AssertionError, match=r"cut at \[1\]|text by character"):
        assert_chunking_invariant(stage, EVENTS)


def test_texts_with_logprobs_stay_whole():
    text = Text("stop", logprobs=[TokenLogprob("stop", -0.5)])
    assert assert_chunking_invariant(PerEvent, [text]) == []


# ---- truncation ----------------------------------------------------------------------------------


def test_a_decoder_that_sees_every_truncation_passes():
    assert_truncation_is_seen(good, LINES)


@pytest.mark.parametrize("name", plain_reader.names("chat_stream"))
def test_a_recorded_answer_that_breaks_off_is_seen(name):
    assert_truncation_is_seen(openai_decoder, Recording.load(plain_reader.RECORDINGS / name).body)


def test_a_decoder_that_takes_any_end_for_a_good_one_is_caught():
    def credulous():
        return NdjsonDecoder(dict, record, finish=lambda: [STOP])

    message = r"only the first 0 bytes, up to b''.*the outputs \(\+\) are not those of the whole"
    with pytest.raises(AssertionError, match=message):
        assert_truncation_is_seen(credulous, LINES[: LINES.rfind(b'{"stop')])


def test_a_whole_answer_without_an_end_is_caught():
    with pytest.raises(AssertionError, match="The whole answer has no end"):
        assert_truncation_is_seen(good, b'{"text": "a"}')


def test_a_decoder_that_raises_at_a_broken_end_is_caught():
    with pytest.raises(AssertionError, match=r"the first 1 bytes.*raises UnicodeDecode"):
        assert_truncation_is_seen(StopsAfterAnything, "é".encode())


def test_every_single_cut_of_a_short_input():
    assert list(cuts_of(4)) == [(1,), (2,), (3,)]
    assert len(list(cuts_of(8192))) == 8191
    assert list(cuts_of(0)) == list(cuts_of(1)) == []


@given(size=st.integers(8193, 100_000), seed=st.integers())
def test_sets_of_cuts_of_a_long_input(size, seed):
    sets = list(cuts_of(size, seed=seed))
    assert len(sets) == 64
    assert sets == list(cuts_of(size, seed=seed))
    for cuts in sets:
        assert 1 <= len(cuts) <= 64
        assert list(cuts) == sorted(set(cuts))
        assert 0 < cuts[0] <= cuts[-1] < size


@given(data=st.binary(), places=st.lists(st.integers(0, 100)))
def test_pieces_are_all_of_the_data(data, places):
    cuts = sorted(place for place in places if place <= len(data))
    pieces = pieces_of(data, cuts)
    assert (b"".join(pieces), len(pieces)) == (data, len(cuts) + 1)


def test_outputs_of_a_stage():
    assert outputs_of(good(), [LINES[:5], LINES[5:]])[0] == Text("hé")


# ---- grammar -------------------------------------------------------------------------------------

CALL = [ToolCallStart("1", "f"), ToolCallChunk("1", "{}"), ToolCallEnd("1", "{}")]
STOP = Stop("complete")
USAGE = UsageReport(Usage.reported(1, 1))
WARNING = Notice("clamped", "less")
FAILED = Failed(EngineError("It broke"))


@pytest.mark.parametrize(
    "events",
    [
        [Text("a"), STOP],
        [WARNING, Reasoning("hm"), Text("a"), *CALL, USAGE, Stop("tool_use")],
        [Text("a"), Text("b", choice=1), Stop("complete", choice=1), STOP],
        [WARNING, Text("a"), WARNING, WARNING, USAGE, STOP],
        [Text("a"), WARNING, STOP],
        [FAILED],
        [Text("a"), Text("b", choice=1), *CALL[:2], FAILED],
        [Text("", logprobs=[TokenLogprob("", -1.0)]), STOP],
    ],
)
def test_a_good_stream_breaks_no_rule(events):
    assert broken_rules(events) == []
    assert broken_rules([event.to_dict() for event in events]) == []
    assert_stream_grammar(events)


@pytest.mark.parametrize(
    ("events", "rule"),
    [
        ([], "a stop is last"),
        ([Text("a")], "a stop is last"),
        ([STOP, Text("a")], "a stop is last"),
        ([STOP, STOP], "each choice stops once"),
        ([Text("a", choice=1), STOP], "each choice stops once"),
        ([STOP, STOP, FAILED], "each choice stops once"),
        ([Text("a"), WARNING, Text("b"), STOP], "warnings come first, or at the end"),
        ([Text("a"), USAGE, WARNING, STOP], "warnings come first, or at the end"),
        ([Text("a"), Stop("complete", 1), WARNING, STOP], "warnings come first, or at the end"),
        ([USAGE, USAGE, STOP], "usage comes once, before the stops"),
        ([STOP, USAGE], "usage comes once, before the stops"),
        ([*CALL[1:], STOP], "calls begin, go on and end"),
        ([*CALL[:2], STOP], "calls begin, go on and end"),
        ([CALL[0], CALL[2], STOP], "calls begin, go on and end"),
        ([CALL[1], FAILED], "calls begin, go on and end"),
        ([*CALL, CALL[1], STOP], "calls begin, go on and end"),
        ([Text(""), STOP], "no piece is empty"),
        ([Reasoning(""), STOP], "no piece is empty"),
    ],
)
def test_a_broken_stream_is_caught(events, rule):
    assert rule in broken_rules(events)
    with pytest.raises(AssertionError, match=rule):
        assert_stream_grammar(events)


def test_a_decoder_that_goes_on_after_its_stop_is_caught():
    def late(line):
        return [STOP, Text("more")] if "stop" in line else record(line)

    out = assert_chunking_invariant(lambda: NdjsonDecoder(dict, late), LINES)
    with pytest.raises(AssertionError, match=r"(?s)a stop is last.*'content': 'more'"):
        assert_stream_grammar(out)
