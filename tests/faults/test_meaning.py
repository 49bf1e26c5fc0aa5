"""Section 3.8: answers that are well formed and mean something odd, on the reference plugin."""

from __future__ import annotations

import json

import pytest
from fault_answers import REFERENCE, TEXT, good_answer, registry
from fault_asking import config, ended
from matrix_wires import choice, events, whole

from multitap.errors import TruncatedStream
from multitap.testing import Server, repeat, send, when
from multitap.testing import json as json_answer
from multitap.testing.faults import FaultyServer, GoodAnswer, other_type

fault = pytest.mark.fault
USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def answered(world, raw, streamed=True, **asked):
    """The error, and the answer or what there is of one."""
    with (
        FaultyServer(GoodAnswer(raw)) as server,
        world(config(REFERENCE, server.url), registry(REFERENCE)) as here,
    ):
        return ended(here, streamed, tools=[WEATHER], **asked)


def piece(**delta):
    return choice(delta)


def end(finish="stop"):
    return choice({}, finish)


def text(word="Paris"):
    return piece(content=word)


def counted(**usage):
    return {"choices": [], "model": "tiny", "usage": {**USAGE, **usage}}


def at_once(message, finish="stop", **more):
    """A whole answer."""
    one = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    facts = {"object": "chat.completion", "id": "c1", "model": "tiny", "created": 1}
    return whole({**facts, "choices": [one], "usage": USAGE, **more})


# ---- tool calls ----------------------------------------------------------------------------------


def call(arguments, index=0, own=None, name=None):
    """One piece of a call; what is ``None`` is left out."""
    function = {"name": name, "arguments": arguments}
    facts = {"index": index, "id": own, "function": function}
    function = {key: value for key, value in function.items() if value is not None}
    return {k: v for k, v in {**facts, "function": function}.items() if v is not None}


def calls_of(world, *pieces, finish="tool_calls"):
    chunks = [piece(tool_calls=[each]) for each in pieces]
    error, answer = answered(world, events(*chunks, end(finish)))
    assert error is None
    return [(each.id, each.name, each.arguments) for each in answer.tool_calls]


OSLO, BERGEN = '{"city": "Oslo"}', '{"city": "Bergen"}'


@fault("E1")
def test_a_new_id_at_the_same_index_is_a_new_call_and_the_same_id_the_same_one(world):
    first, second = call(OSLO, 0, "a", "weather"), call(BERGEN, 0, "b", "weather")
    assert calls_of(world, first, second) == [
        ("a", "weather", {"city": "Oslo"}),
        ("b", "weather", {"city": "Bergen"}),
    ]
    cut = [call(OSLO[:5], 0, "a", "weather"), call(OSLO[5:], 0, "a", "weather")]
    assert calls_of(world, *cut) == [("a", "weather", {"city": "Oslo"})]


@fault("E1")
def test_a_call_that_is_said_twice_is_one(world):
    said = call(OSLO, 0, "a", "weather")
    assert calls_of(world, said, said) == [("a", "weather", {"city": "Oslo"})]


@fault("E2")
def test_calls_without_an_index_or_an_id_are_put_together(world):
    pieces = [call(OSLO[:5], None, "a", "weather"), call(OSLO[5:], None, "a")]
    assert calls_of(world, *pieces) == [("a", "weather", {"city": "Oslo"})]
    pieces = [call(OSLO, 0, None, "weather"), call(BERGEN, 1, None, "weather")]
    (one, _, first), (other, _, second) = calls_of(world, *pieces)
    assert (first, second) == ({"city": "Oslo"}, {"city": "Bergen"})
    assert len({one, other, ""}) == 3


@fault("E3")
@pytest.mark.parametrize("indices", [(1, 0), (1, 2), (5, 2)], ids=["out of order", "from 1", "gap"])
def test_calls_come_in_the_order_in_which_they_were_seen(world, indices):
    first, second = indices
    pieces = [
        call(OSLO[:5], first, "a", "weather"),
        call(BERGEN[:5], second, "b", "weather"),
        call(BERGEN[5:], second),
        call(OSLO[5:], first),
    ]
    assert calls_of(world, *pieces) == [
        ("a", "weather", {"city": "Oslo"}),
        ("b", "weather", {"city": "Bergen"}),
    ]


@fault("E4")
@pytest.mark.parametrize("arguments", ['{"city": "Os', "[1]", "no JSON", '{"a": NaN}'])
def test_arguments_that_are_no_json_object_are_kept_as_text_with_a_warning(
    world, streamed, arguments
):
    bad, good = call(arguments, 0, "a", "weather"), call(OSLO, 1, "b", "weather")
    if streamed:
        raw = events(text(), piece(tool_calls=[bad, good]), end("tool_calls"))
    else:
        raw = at_once({"content": "Paris", "tool_calls": [bad, good]}, "tool_calls")
    error, answer = answered(world, raw, streamed)
    assert (error, answer.text) == (None, "Paris")
    assert [each.arguments for each in answer.tool_calls] == [None, {"city": "Oslo"}]
    assert answer.tool_calls[0].arguments_text == arguments
    assert [notice.code for notice in answer.warnings] != []


# ---- ends ----------------------------------------------------------------------------------------


@fault("E5")
def test_an_answer_without_done_is_whole_where_its_finish_reason_came(world):
    error, answer = answered(world, events(text(), end(), done=""))
    assert (error, answer.text, answer.stop_reason) == (None, "Paris", "complete")


@fault("E6")
@pytest.mark.parametrize(
    "more", ["data: [DONE]\n\n", f"data: {json.dumps(text('Lyon'))}\n\n", "garbage\n\n"]
)
def test_what_follows_done_is_passed_over(world, more):
    error, answer = answered(world, events(text(), end(), done=f"data: [DONE]\n\n{more}"))
    assert (error, answer.text, answer.stop_reason) == (None, "Paris", "complete")


@fault("E7")
def test_an_answer_without_a_finish_reason_is_cut(world, streamed):
    raw = events(text()) if streamed else at_once({"content": "Paris"}, None)
    error, partial = answered(world, raw, streamed)
    assert (type(error), partial.text) == (TruncatedStream, "Paris")


@fault("E16")
@pytest.mark.parametrize("content", [None, ""])
def test_nothing_may_be_said_where_the_model_stops(world, streamed, content):
    raw = events(piece(content=content), end()) if streamed else at_once({"content": content})
    error, answer = answered(world, raw, streamed)
    assert (error, answer.text, answer.stop_reason) == (None, "", "complete")


@fault("E16")
def test_no_choice_at_all_is_no_answer(world, streamed):
    raw = events(counted()) if streamed else at_once({}, choices=[])
    error, partial = answered(world, raw, streamed)
    assert (error is not None, error.retryable, partial.text) == (True, True, "")


# ---- usage ---------------------------------------------------------------------------------------


def usage_of(world, streamed, *counts):
    """What an answer says of usage, and its warnings."""
    if streamed:
        raw = events(text(), end(), *counts)
    else:
        raw = at_once({"content": "Paris"}, usage=counts[-1]["usage"] if counts else None)
    error, answer = answered(world, raw, streamed)
    assert (error, answer.text) == (None, "Paris")
    return answer.usage, [notice.code for notice in answer.warnings]


@fault("E8")
def test_without_usage_the_counts_are_unknown(world, streamed):
    """Or they are estimated, and called so: never as if the server had counted."""
    usage, _ = usage_of(world, streamed)
    assert usage.source == "estimated"


@fault("E9")
def test_of_two_usages_the_last_one_counts(world):
    usage, _ = usage_of(world, True, counted(completion_tokens=1), counted(completion_tokens=7))
    assert usage.output_tokens == 7


@fault("E9")
@pytest.mark.parametrize("count", [-1, 10**10, 10**30, 1.5, "many"])
def test_counts_that_cannot_be_are_unknown_and_warned_of(world, streamed, count):
    usage, warnings = usage_of(world, streamed, counted(completion_tokens=count))
    assert (usage.output_tokens, usage.input_tokens) == (None, 9)
    assert warnings != []


# ---- models --------------------------------------------------------------------------------------


@fault("E15")
@pytest.mark.parametrize("plugin", ["lmstudio", "ollama"])
def test_an_answer_of_another_model_says_so(world, plugin, streamed):
    """Where a server answers by the name that it is asked by; with others a name proves nothing."""
    good = good_answer(plugin, streamed and plugin != "ollama")  # of which one line is a stream too
    raw = good.raw.replace(b'"tiny"', b'"huge"')
    assert raw != good.raw
    for said, other in [(raw, True), (good.raw, False)]:
        with (
            FaultyServer(GoodAnswer(said)) as server,
            world(config(plugin, server.url), registry(plugin)) as here,
        ):
            error, answer = ended(here, streamed)
        assert (error, answer.text) == (None, TEXT)
        assert ("huge" in str([notice.to_dict() for notice in answer.warnings])) is other


@fault("E14")
def test_a_model_that_was_unloaded_is_loaded_once_and_asked_again(world, streamed):
    unloaded = {"error": {"code": 400, "message": "model is not loaded", "type": "x"}}
    states = []

    def chat(connection):
        return send(good_answer("llamaserver", True).raw) if states else json_answer(unloaded, 400)

    def load(connection):
        states.append("loaded")
        return json_answer({"success": True})

    def models(connection):
        status = {"value": states[0] if states else "unloaded"}
        return json_answer({"object": "list", "data": [{"id": "tiny", "status": status}]})

    routes = {"/v1/chat/completions": chat, "/models/load": load, "/v1/models": models}
    with (
        Server(repeat(when(routes))) as server,
        world(config("llamaserver", server.url), registry("llamaserver")) as here,
    ):
        error, answer = ended(here, streamed)
    assert (error, answer.text, states) == (None, TEXT, ["loaded"])


# ---- C7 ------------------------------------------------------------------------------------------


@fault("C7")
def test_an_answer_by_another_name_is_told_of_once(world, plugin, streamed):
    with (
        FaultyServer(good_answer(plugin, streamed)) as server,
        world(config(plugin, server.url), registry(plugin)) as here,
    ):

        def told(**how):
            server.breaks(other_type, **how)
            error, answer = ended(here, streamed)
            assert (error, answer.text) == (None, TEXT)
            return [notice.code for notice in answer.warnings]

        first, second, third = told(), told(), told(kind="Image/PNG; q=1")
        server.heals()
        assert [notice.code for notice in ended(here, streamed)[1].warnings] == []
    assert (first, second, third) == (["other_content_type"], [], ["other_content_type"])
