"""Prompts that are too long: what is dropped, what is cut, what is refused, and what is said."""

from __future__ import annotations

from json import dumps, loads
from types import MappingProxyType

import letters
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interpreter import OK, a_call, course, drive, post, text

from multitap.capabilities.catalog import Model
from multitap.capabilities.chat import ChatRequest, TextTools
from multitap.engine.flow import Flow
from multitap.errors import BadRequest, ContextOverflow
from multitap.events import Notice
from multitap.fitting import Fitting, estimate_tokens, size_of
from multitap.hookspecs import hookimpl
from multitap.messages import Audio, Image, Message, TextPart, Thought, Tool, ToolCall, ToolResult
from multitap.plan import chat_request
from multitap.shortening import MARKER, fit_messages, size_of_messages
from multitap.testing import WORLDS, Server, json, request, respond
from multitap.text_tools import tools_as_text
from multitap.work import Exchange, HttpCall, Json

WEATHER = Tool("weather", "Tells the weather.")
PICTURE = Image(b"\x89PNG", "image/png")


def user(content):
    return Message("user", content)


def said(content):
    return Message("assistant", content)


SYSTEM = Message("system", "Be brief.")
CALLS = Message("assistant", [ToolCall("a", "weather"), ToolCall("b", "weather")])
RESULTS = [Message("tool", ToolResult("a", "Rain" * 9)), Message("tool", ToolResult("b", "Sun"))]

# ---- histories of any kind -----------------------------------------------------------------------

words = st.text(max_size=60)
media = st.sampled_from([PICTURE, Audio(b"RIFF")])


@st.composite
def rounds(draw):
    """A call of tools with its results."""
    ids = draw(st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True))
    calls = Message("assistant", [ToolCall(i, "weather", draw(words)) for i in ids])
    return [calls, *(Message("tool", ToolResult(i, draw(words))) for i in ids)]


@st.composite
def turns(draw):
    """A question, rounds of tools, and mostly an answer."""
    parts = st.lists(words.map(TextPart) | media, min_size=1, max_size=3)
    question = Message("user", draw(parts))
    answers = draw(st.lists(words.map(said), max_size=1))
    tools = [message for one in draw(st.lists(rounds(), max_size=2)) for message in one]
    return [question, *tools, *answers]


@st.composite
def histories(draw):
    """Turns, with system messages anywhere, and perhaps an answer without its question first."""
    messages = draw(st.lists(words.map(said), max_size=1))
    for turn in draw(st.lists(turns(), min_size=1, max_size=4)):
        messages += [*draw(st.lists(words.map(lambda t: Message("system", t)), max_size=1)), *turn]
    return messages


rooms = st.integers(0, 5000)
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ids_of(messages, kind):
    parts = [part for message in messages for part in message.parts if isinstance(part, kind)]
    return [getattr(part, "id", None) or part.call_id for part in parts]


def of_role(messages, role):
    return [message for message in messages if message.role == role]


@PATIENT
@given(histories(), rooms, st.booleans(), st.booleans())
def test_what_fits_is_never_longer_than_the_room(history, room, shift, truncate):
    found = fit_messages(history, room, shift=shift, truncate=truncate)
    if found is not None:
        assert size_of_messages(found.messages) <= room
        again = fit_messages(found.messages, room, shift=shift, truncate=truncate)
        assert (again.messages, again.dropped, again.cut) == (found.messages, 0, 0)
    if size_of_messages(history) <= room:
        assert (found.messages, found.dropped, found.cut) == (tuple(history), 0, 0)


@PATIENT
@given(histories(), rooms)
def test_a_shift_keeps_order_system_the_last_question_and_whole_pairs(history, room):
    found = fit_messages(history, room, shift=True)
    if found is None:
        return
    kept = list(found.messages)
    rest = iter(history)
    assert all(any(message is other for other in rest) for message in kept)
    assert of_role(kept, "system") == of_role(history, "system")
    assert of_role(kept, "user")[-1] is of_role(history, "user")[-1]
    assert kept[-1] is history[-1]
    assert ids_of(kept, ToolResult) == ids_of(kept, ToolCall)
    assert found.dropped == len(history) - len(kept)
    if found.dropped:
        assert next(message for message in kept if message.role != "system").role == "user"


@PATIENT
@given(histories(), rooms)
def test_a_cut_keeps_every_message_and_all_but_the_middle_of_texts(history, room):
    found = fit_messages(history, room, truncate=True)
    if found is None:
        return
    assert [message.role for message in found.messages] == [message.role for message in history]
    assert of_role(found.messages, "system") == of_role(history, "system")
    pairs = [
        pair
        for old, new in zip(history, found.messages, strict=True)
        for pair in zip(old.parts, new.parts, strict=True)
    ]
    assert sum(old != new for old, new in pairs) == found.cut
    for old, new in pairs:
        if old != new:
            before, after = (getattr(p, "text", None) or p.content for p in (old, new))
            head, tail = after.split(MARKER)
            assert before.startswith(head)
            assert before.endswith(tail)


# ---- what is dropped and what is cut -------------------------------------------------------------

OLD = [user("q" * 40), said("a" * 40)]


@pytest.mark.parametrize(
    ("history", "room", "kept"),
    [
        ([*OLD, user("now")], 83, [*OLD, user("now")]),
        ([*OLD, user("now")], 82, [user("now")]),
        ([SYSTEM, *OLD, *OLD, user("now")], 12 + 80, [SYSTEM, *OLD, user("now")]),
        ([SYSTEM, *OLD, *OLD, user("now")], 12 + 79, [SYSTEM, user("now")]),
        ([*OLD, user("now"), CALLS, *RESULTS], 60, [user("now"), CALLS, *RESULTS]),
        ([user("old"), CALLS, *RESULTS, said("Wet."), user("now")], 50, [user("now")]),
        ([user("now"), CALLS, *RESULTS, CALLS, *RESULTS], 70, [user("now"), CALLS, *RESULTS]),
    ],
)
def test_a_shift_drops_the_oldest_turns(history, room, kept):
    found = fit_messages(history, room, shift=True)
    assert (found.messages, found.dropped) == (tuple(kept), len(history) - len(kept))


@pytest.mark.parametrize(
    ("history", "room"),
    [([user("q" * 40)], 39), ([SYSTEM, user("now")], 11), ([user([PICTURE])], 2000)],
)
def test_what_has_to_stay_and_does_not_fit_is_refused(history, room):
    assert fit_messages(history, room, shift=True) is None


def test_a_cut_takes_the_oldest_text_that_is_over_long_and_no_more_than_needed():
    history = [user("one " * 50), said("two " * 50), user("three")]
    found = fit_messages(history, 340, truncate=True)
    assert found.cut == 1
    assert found.messages[1:] == tuple(history[1:])
    assert 325 < size_of_messages(found.messages) <= 340
    assert set(found.messages[0].text.replace(MARKER, "").split()) == {"one"}


def test_both_drop_first_and_cut_what_has_to_stay():
    found = fit_messages([*OLD, user("word " * 100)], 100, shift=True, truncate=True)
    assert (found.dropped, found.cut, len(found.messages)) == (2, 1, 1)


def test_a_cut_never_divides_a_character():
    found = fit_messages([user("é" * 100)], 61, truncate=True)
    assert set(found.messages[0].text.replace(MARKER, "")) == {"é"}


# ---- how long a prompt is ------------------------------------------------------------------------


def test_calls_results_tools_and_pictures_count_and_thoughts_do_not():
    plain = chat_request("tiny", "hi")
    assert size_of(plain) == 2
    longer = [
        ChatRequest(model="tiny", messages=(*plain.messages, message))
        for message in (CALLS, *RESULTS, user([PICTURE]))
    ]
    assert all(size_of(request) > size_of(plain) for request in longer)
    assert size_of(chat_request("tiny", "hi", tools=[WEATHER])) > size_of(plain)
    thoughtful = ChatRequest(model="t", messages=(*plain.messages, said([Thought("Hm" * 50)])))
    assert size_of(thoughtful) == 2


def test_a_tool_counts_as_its_json():
    tool = Tool("wetter", "Sagt das Wetter für Köln.")
    form = dumps(tool.to_dict(), ensure_ascii=False)
    assert size_of(chat_request("tiny", "hi", tools=[tool])) == 2 + len(form.encode())
    frozen = Tool("wetter", "Sagt das Wetter für Köln.", MappingProxyType({"type": "object"}))
    assert size_of(chat_request("tiny", "hi", tools=[frozen])) > len(form)


def test_in_words_tools_and_calls_of_the_past_count_as_the_words():
    history = [user("hi"), CALLS, *RESULTS, user("now")]
    asked = chat_request("tiny", messages=history, tools=[WEATHER])
    words = TextTools(prompt="Use these: {tools}")
    told = tools_as_text(asked, words).messages
    assert size_of(asked, words) == size_of_messages(told)
    assert size_of(asked, words) > size_of(asked)


@PATIENT
@given(histories(), st.integers(50, 3000))
def test_what_was_made_to_fit_fits_in_words_too(messages, limit):
    words = TextTools(prompt="Use these: {tools}")
    options = {"shift": True, "tools": [WEATHER], "max_input_tokens": limit, "words": words}
    try:
        sent, _ = fitting([user("a"), *messages], **options).fitted()
    except ContextOverflow:
        return
    assert estimate_tokens(sent, words) <= limit


def test_turns_are_dropped_for_the_words_of_the_tools():
    words = TextTools(prompt="w" * 400 + "{tools}")
    plain = fitting(LONG, shift=True, tools=[WEATHER], max_input_tokens=250)
    assert plain.fitted()[0].messages == tuple(LONG)
    worded = fitting(LONG, shift=True, tools=[WEATHER], max_input_tokens=250, words=words)
    sent, (notice,) = worded.fitted()
    assert sent.messages == (user("now"),)
    assert notice.code == "shifted"
    assert notice.provider_options["multitap"]["tokens_before"] > 300


# ---- the prompt of one call ----------------------------------------------------------------------


def fitting(messages, **facts):
    limits = ("max_input_tokens", "context_length", "native", "words")
    known = {name: facts.pop(name) for name in limits if name in facts}
    asked = chat_request("tiny", messages=messages, **facts)
    return Fitting(request=asked, backend="b", **known)


LONG = [user("q" * 400), said("a" * 400), user("now")]


@pytest.mark.parametrize("limit", [{"max_input_tokens": 200}, {"context_length": 100}])
def test_without_either_a_prompt_that_is_surely_too_long_is_refused(limit):
    with pytest.raises(ContextOverflow, match="shift=True") as caught:
        fitting(LONG, **limit).fitted()
    assert (caught.value.limit, caught.value.needed) == (*limit.values(), 201)


def test_a_prompt_that_may_fit_is_the_servers_to_judge():
    assert fitting(LONG, context_length=150).fitted() == (fitting(LONG).request, [])
    assert fitting(LONG, max_input_tokens=201).fitted() == (fitting(LONG).request, [])


@pytest.mark.parametrize(
    ("limits", "fit"),
    [
        ({"max_input_tokens": 200}, 200),
        ({"context_length": 200}, 175),
        ({"context_length": 200, "max_tokens": 20}, 180),
        ({"context_length": 200, "max_input_tokens": 90}, 90),
    ],
)
def test_a_shift_says_what_it_dropped_and_why(limits, fit):
    sent, notices = fitting(LONG, shift=True, **limits).fitted()
    assert sent.messages == (user("now"),)
    why = f"the prompt had about 201 tokens, and {fit} fit."
    message = f"The oldest messages, 2 of them, were left out: {why}"
    counts = {"dropped_messages": 2, "cut_texts": 0, "tokens_before": 201, "tokens_after": 1}
    facts = {"multitap": counts}
    assert notices == [Notice("shifted", message, "shift", provider_options=facts)]


def test_a_cut_says_how_many_texts_it_shortened():
    sent, notices = fitting([user("word " * 400)], truncate=True, max_input_tokens=100).fitted()
    assert estimate_tokens(sent) <= 100
    assert [(notice.code, notice.option) for notice in notices] == [("truncated", "truncate")]


def test_what_the_backend_does_itself_is_left_to_it_but_for_the_sections_limit():
    native = frozenset({"shift", "truncate"})
    alone = fitting(LONG, shift=True, context_length=100, native=native)
    assert alone.fitted() == (alone.request, [])
    assert alone.shorter(alone.request, str) is None
    limited = fitting(LONG, shift=True, max_input_tokens=100, native=native)
    assert limited.fitted()[0].messages == (user("now"),)


@pytest.mark.parametrize(
    ("asked", "hint"),
    [({"shift": True}, "truncate=True"), ({"truncate": True}, "they are not cut")],
)
def test_what_cannot_be_made_to_fit_is_an_error_with_the_next_step(asked, hint):
    history = [Message("system", "s" * 400), user("q" * 400)]
    with pytest.raises(ContextOverflow, match=hint):
        fitting(history, max_input_tokens=50, **asked).fitted()


# ---- what only the server knows ------------------------------------------------------------------


def test_a_server_that_counted_tells_the_true_ratio():
    told = fitting([user("q" * 400), user("p" * 400), user("now")], shift=True)
    sent, _ = told.again(told.request, ContextOverflow("Too long", limit=400, needed=803))
    assert sent.messages == (user("now"),)
    more, _ = told.again(told.request, ContextOverflow("Too long", limit=600, needed=803))
    assert more.messages == (user("p" * 400), user("now"))


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({}, ContextOverflow("Too long", limit=10, needed=20)),
        ({"shift": True}, ContextOverflow("Too long")),
        ({"shift": True}, ContextOverflow("Too long", limit=10**6)),
        (
            {"shift": True, "native": frozenset({"shift"})},
            ContextOverflow("No", limit=9, needed=99),
        ),
    ],
)
def test_there_is_no_second_try_without_being_asked_for_numbers_or_hope(asked, error):
    one = fitting(LONG, **asked)
    assert one.again(one.request, error) is None


def shorter(error):
    return post(), [Notice("shifted", "Two.", "shift")]


def test_a_refused_length_is_tried_once_more_with_a_shorter_prompt():
    flow = Flow(a_call(post(), shorter=shorter))
    _, given = drive(flow, [ContextOverflow("Too long", limit=8, needed=9), OK, b"a.", b""])
    assert [event.type for event in given] == ["warning", "text", "stop"]
    assert [attempt.error and attempt.error.kind for attempt in flow.attempts] == [
        "context_overflow",
        None,
    ]


def test_a_second_refusal_is_the_end():
    refused = ContextOverflow("Still too long", limit=8, needed=9)
    flow = Flow(a_call(post(), shorter=shorter))
    _, _, error = course(flow, [ContextOverflow("Too long", limit=8, needed=9), refused])
    assert error is refused


@pytest.mark.parametrize("nothing", [None, lambda error: None])
def test_where_nothing_can_be_done_the_servers_error_is_raised(nothing):
    flow = Flow(a_call(post(), shorter=nothing))
    _, _, error = course(flow, [ContextOverflow("Too long", limit=8, needed=9)])
    assert str(error).startswith("here: Too long")


def test_other_errors_and_lost_answers_are_not_shortened():
    _, _, error = course(Flow(a_call(post(), shorter=shorter)), [BadRequest("No")])
    assert isinstance(error, BadRequest)
    late = ContextOverflow("The context is full", limit=8, needed=9)
    _, given, error = course(Flow(a_call(post(), shorter=shorter)), [OK, b"a", late])
    assert (text(given), error) == ("a", late)


# ---- from end to end -----------------------------------------------------------------------------


class Counting:
    """Chats over HTTP with a server that refuses what is too long."""

    options = frozenset({"max_tokens"})

    @hookimpl
    def multitap_chat(self, backend):
        return self

    @hookimpl
    def multitap_catalog(self, backend):
        return self

    def chat(self, request):
        body = Json({"texts": [message.text for message in request.messages]})
        call = HttpCall(method="POST", path="/chat", body=body)
        return Exchange(call=call, decoder=lambda head: letters.Letters(), explain=self.explain)

    def models(self):
        class Names(letters.Letters):
            def feed(self, data):
                return [Model(id="tiny", context_length=int(data))]

        call = HttpCall(method="GET", path="/models")
        return Exchange(call=call, decoder=lambda head: Names(), explain=self.explain)

    def explain(self, reply):
        return ContextOverflow("Too long", **loads(reply.body))


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    opened = []

    def make(url, **section):
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url, **section}}
        opened.append(request.param(config, letters.registry(acme=Counting())))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def refusal(**numbers):
    return json(numbers, 400)


ANSWER = respond(body="a.")


def texts(server):
    return [sent.json()["texts"] for sent in server.requests if sent.method == "POST"]


def test_a_shift_by_the_sections_limit_reaches_the_server_short(world):
    with Server([request, ANSWER]) as server:
        here = world(server.url, max_input_tokens=100)
        answer = here.call("chat", messages=LONG, shift=True, strict=True)
        assert texts(server) == [["now"]]
    assert [notice.code for notice in answer.warnings] == ["shifted"]


def test_a_shift_by_the_models_context_as_its_catalog_says(world):
    with Server([request, respond(body="100"), request, ANSWER]) as server:
        here = world(server.url)
        here.call("models")
        answer = here.call("chat", messages=LONG, shift=True)
        assert texts(server) == [["now"]]
    assert [notice.code for notice in answer.warnings] == ["shifted"]


def test_a_shift_by_what_the_server_says(world):
    with Server([request, refusal(limit=300, needed=803), request, ANSWER]) as server:
        answer = world(server.url).call("chat", messages=LONG, shift=True)
        assert texts(server) == [["q" * 400, "a" * 400, "now"], ["now"]]
    assert [notice.code for notice in answer.warnings] == ["shifted"]
    assert len(answer.attempts) == 2


def test_a_cut_by_what_the_server_says(world):
    with Server([request, refusal(limit=300, needed=803), request, ANSWER]) as server:
        answer = world(server.url).call("chat", messages=LONG, truncate=True)
        assert [len(sent) for sent in texts(server)] == [3, 3]
        assert MARKER in texts(server)[1][0]
    assert [notice.code for notice in answer.warnings] == ["truncated"]


def test_with_neither_the_servers_refusal_is_the_answer(world):
    with Server([request, refusal(limit=300, needed=803)]) as server:
        here = world(server.url)
        with pytest.raises(ContextOverflow) as caught:
            here.call("chat", messages=LONG)
        assert len(server.requests) == 1
    assert (caught.value.limit, caught.value.needed) == (300, 803)
