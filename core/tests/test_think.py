"""``<think>`` in text: what becomes reasoning, and that no cut changes it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.capabilities.chat import ThinkTags
from multitap.errors import EngineError
from multitap.events import (
    Failed,
    Loading,
    Notice,
    Reasoning,
    Stop,
    Text,
    TokenLogprob,
    ToolCallEnd,
    ToolCallStart,
    Usage,
    UsageReport,
    normalise,
)
from multitap.filters.think import ThinkFilter
from multitap.testing import assert_chunking_invariant, assert_stream_grammar

TAGS = ThinkTags()
OPENED = ThinkTags(opened=True)
ANYWHERE = ThinkTags(anywhere=True)
CUSTOM = ThinkTags(open="[THINK]", close="[/THINK]")
END = [UsageReport(Usage.reported(1, 2)), Stop("complete")]


def filtered(events, tags=TAGS):
    """All that the filter gives, however the events are cut."""
    return assert_chunking_invariant(lambda: ThinkFilter(tags), events)


def told(text, tags=TAGS):
    """The reasoning and the text of an answer."""
    events = filtered([*([Text(text)] if text else []), *END], tags)
    assert_stream_grammar(events)
    assert events[-2:] == END
    return parts_of(events)


def parts_of(events, choice=0):
    thoughts = [e for e in events if isinstance(e, Reasoning) and e.choice == choice]
    texts = [e for e in events if isinstance(e, Text) and e.choice == choice]
    return "".join(e.reasoning_content for e in thoughts), "".join(e.content for e in texts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>Hm.</think>Yes.", ("Hm.", "Yes.")),
        ("\n<think>\nHm.\n\n</think>\n\nYes.\n", ("Hm.\n\n", "Yes.\n")),
        ("<think>\n\n</think>\n\nYes.", ("", "Yes.")),
        ("<think>a < b <b></thin</think>Yes < no", ("a < b <b></thin", "Yes < no")),
        ("<THINK lang='en'>Hm.</Think >", ("Hm.</Think >", "")),
        ("<THINK lang='en'>Hm.</Think>Yes.", ("Hm.", "Yes.")),
        ("Just text.", ("", "Just text.")),
        ("  Just text.", ("", "  Just text.")),
        ("", ("", "")),
        ("</think>\n\nYes.", ("", "Yes.")),
    ],
    ids=repr,
)
def test_a_block_at_the_start_is_reasoning(text, expected):
    assert told(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Use <think>…</think> for thoughts.",
        "```\n<think>\n```",
        "It ends with </think>.",
        "<thinking>is another tag</thinking>",
        "<thought",
    ],
)
def test_what_is_no_block_at_the_start_stays_text(text):
    assert told(text) == ("", text)


def test_only_the_first_block_counts():
    assert told("<think>a</think>b<think>c</think>") == ("a", "b<think>c</think>")


@pytest.mark.parametrize("end", ["<", "<thin", "<think", "<think lang='e", " \n<t", "</th"])
def test_a_tag_that_only_begins_is_text(end):
    assert told(end) == ("", end)


@pytest.mark.parametrize("end", ["", "</", "</think", "<think>"])
def test_a_block_that_is_not_closed_is_reasoning(end):
    assert told(f"<think>Hm.{end}") == (f"Hm.{end}", "")


def test_a_missing_opening_tag_is_an_option():
    assert told("Hm.</think>Yes.", OPENED) == ("Hm.", "Yes.")
    assert told("\n<think>Hm.</think>Yes.", OPENED) == ("Hm.", "Yes.")
    assert told("</think>Yes.", OPENED) == ("", "Yes.")
    assert told("<thi", OPENED) == ("<thi", "")
    assert told("Hm. <think> Hm.", OPENED) == ("Hm. <think> Hm.", "")
    assert told("Hm.</think>Yes.") == ("", "Hm.</think>Yes.")


def test_blocks_anywhere_are_an_option():
    text = "One.<think>a</think> Two.<think></think><think>b</think>Three.</think>"
    assert told(text, ANYWHERE) == ("a\nb", "One.\nTwo.\nThree.")
    assert told("One.<thi", ANYWHERE) == ("", "One.<thi")


def test_other_tags():
    assert told("[think]Hm.[/THINK]Yes.", CUSTOM) == ("Hm.", "Yes.")
    assert told("<think>Hm.</think>", CUSTOM) == ("", "<think>Hm.</think>")


def test_choices_are_kept_apart():
    events = [
        Text("<thi", 0),
        Text("<think>B", 1),
        Text("nk>A", 0),
        Text("</think>two", 1),
        Text("</think>one", 0),
        Stop("complete", 1),
        Stop("complete", 0),
    ]
    found = filtered(events)
    assert_stream_grammar(found)
    assert (parts_of(found, 0), parts_of(found, 1)) == (("A", "one"), ("B", "two"))


def test_nothing_overtakes_what_is_held():
    call = [ToolCallStart("c", "look"), ToolCallEnd("c", "{}")]
    error = Failed(EngineError("It broke"))
    assert filtered([Text("<th"), *call, *END]) == [Text("<th"), *call, *END]
    assert filtered([Text("<think>a</"), error]) == [Reasoning("a</"), error]
    assert filtered([Text("<th"), Stop("complete", 1), Text("ink>a"), *END]) == [
        Stop("complete", 1),
        Reasoning("a"),
        *END,
    ]


def test_a_start_that_was_text_is_over():
    call = [ToolCallStart("c", "look"), ToolCallEnd("c", "{}")]
    events = [Text("<th"), *call, Text("<think>a</think>"), *END]
    assert filtered(events) == events


def test_an_answer_without_an_end_loses_nothing():
    assert filtered([Text("<think>a</thi")]) == [Reasoning("a</thi")]
    assert filtered([Text(" <thi")]) == [Text(" <thi")]


def test_notices_pass_what_is_held():
    before = [Notice("clamped", "Less."), Loading("loading")]
    assert filtered([Text("<th"), *before, Text("ink>a"), *END]) == [*before, Reasoning("a"), *END]


def test_native_reasoning_passes():
    events = [Reasoning("<think>"), Text("<think>a</think>b"), *END]
    assert filtered(events) == [Reasoning("<think>a"), Text("b"), *END]


def test_provider_options_stay_with_their_piece():
    options = {"timings": 1}
    events = [Text("<think>a</think>b", provider_options=options), Stop("complete")]
    thought, text, _ = filtered(events)
    assert (thought.provider_options, text.provider_options) == (options, options)


def test_logprobs_stay_with_the_text():
    tokens = {word: TokenLogprob(word, -0.5) for word in ("<think>", "Hm", "</", "think>Y", "es")}
    several = Text("think>Yes", logprobs=(tokens["think>Y"], tokens["es"]))
    events = [Text(word, logprobs=(tokens[word],)) for word in ("<think>", "Hm", "</")]
    assert filtered([*events, several, *END]) == [
        Reasoning("Hm"),
        Text("Yes", logprobs=(tokens["es"],)),
        *END,
    ]


def test_tokens_that_do_not_spell_the_text_go_with_its_beginning():
    tokens = (TokenLogprob("Y", -1.0), TokenLogprob("\ufffd", -1.0))
    events = [Text("<think>Hm</think>Yé", logprobs=tokens), *END]
    assert filtered(events) == [Reasoning("Hm"), Text("Yé"), *END]
    assert filtered([Text("Yé <", logprobs=tokens), *END]) == [Text("Yé <", logprobs=tokens), *END]
    found = filtered([Text("Yé <", logprobs=tokens), Text("think>"), *END], ANYWHERE)
    assert found == [Text("Yé ", logprobs=tokens), *END]


def test_a_token_without_text_is_no_thought():
    half = TokenLogprob("\ufffd", -1.0)
    events = [Text("<think>a"), Text("", logprobs=(half,)), Text("b</think>c"), *END]
    stage = ThinkFilter(TAGS)
    assert stage.feed(events) == [Reasoning("a"), Reasoning("b"), Text("c"), *END]


def test_a_token_without_text_goes_with_what_follows():
    half = TokenLogprob("\ufffd", -1.0)
    events = [Text("", logprobs=(half,)), Text("é", logprobs=(half,)), *END]
    assert filtered(events) == [Text("é", logprobs=(half, half)), *END]


def test_what_cannot_be_a_tag_is_given_at_once():
    stage = ThinkFilter(TAGS)
    assert stage.feed([Text("<think>One two <")]) == [Reasoning("One two ")]
    assert normalise(stage.feed([Text(" three")])) == [Reasoning("< three")]
    assert stage.feed([Text("</think>Yes <think")]) == [Text("Yes <think")]


FRAGMENTS = st.sampled_from(
    ["<think>", "</think>", "<", "</", "<thi", "nk>", "think", " ", "\n", "a", "bc", "é", "[THINK]"]
)
TEXTS = st.lists(FRAGMENTS, max_size=9).map("".join)
PIECES = st.lists(st.builds(Text, TEXTS.filter(bool), st.integers(0, 1)), max_size=5)


@given(PIECES, st.sampled_from([TAGS, OPENED, ANYWHERE, CUSTOM, ThinkTags(open="<<", close=">>")]))
def test_no_cut_changes_the_outcome(pieces, tags):
    stops = [Stop("complete", choice) for choice in sorted({0, *(p.choice for p in pieces)})[::-1]]
    events = [*pieces, *stops]
    found = filtered(events, tags)
    assert_stream_grammar(found)
    for choice in (0, 1):
        own = Text("".join(p.content for p in pieces if p.choice == choice))
        alone = normalise(ThinkFilter(tags).feed([own, Stop("complete")]))
        assert parts_of(found, choice) == parts_of(alone)


@given(TEXTS, st.sampled_from([TAGS, OPENED, ANYWHERE]))
def test_nothing_but_tags_and_blanks_is_lost(text, tags):
    kept = "".join(told(text, tags))
    assert sorted(c for c in kept if c in "abcé") == sorted(c for c in text if c in "abcé")
