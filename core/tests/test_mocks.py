"""Mocks: what is scripted is what an application sees, in both worlds."""

from __future__ import annotations

import pytest

from multitap.errors import (
    ConfigError,
    EngineError,
    ModelNotFound,
    NotSupported,
    ProtocolError,
    RateLimited,
)
from multitap.events import Reasoning, Stop, Text, UsageReport
from multitap.messages import Image, ToolCall
from multitap.testing import WORLDS, Gate, broken_rules
from multitap.testing.mocks import MockProvider, Pause
from multitap.usage import Usage


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    return request.param


@pytest.fixture
def mock():
    return MockProvider()


def runtime(world, mock):
    return world(mock.config, mock.registry)


def test_unscripted_it_says_what_it_always_says(world, mock):
    with runtime(world, mock) as here:
        assert here.call("chat", "hi").text == "mock response"
        events, stream = here.stream("hi")
        assert [e.content for e in events if isinstance(e, Text)] == [
            "mock data part 1",
            "mock data part 2",
            "mock data part 3",
        ]
        assert stream.answer.stop_reason == "complete"
        vectors = here.call("embed", ["a", "b"]).vectors
        assert [[round(number, 3) for number in row] for row in vectors] == [[0.1, 0.2, 0.3]] * 2
        assert [model.ref for model in here.call("models")] == ["mock:mock-model"]


def test_answers_come_in_the_order_in_which_they_were_scripted(world, mock):
    mock.says("one")
    mock.says("two")
    with runtime(world, mock) as here:
        said = [here.call("chat", "hi").text for _ in range(3)]
    assert said == ["one", "two", "mock response"]
    assert [request.messages[-1].text for request in mock.requests] == ["hi"] * 3


def test_events_calls_and_usage_are_given_as_they_are_scripted(world, mock):
    usage = UsageReport(Usage.reported(3, 4))
    mock.says(Reasoning("hm"), "Wait.", ToolCall("c1", "now", '{"zone": "CET"}'), usage)
    with runtime(world, mock) as here:
        events, stream = here.stream("hi")
    answer = stream.answer
    assert broken_rules(events) == []
    assert (answer.reasoning, answer.text, answer.stop_reason) == ("hm", "Wait.", "tool_use")
    assert [(call.name, call.arguments) for call in answer.tool_calls] == [("now", {"zone": "CET"})]
    assert (answer.usage.total_tokens, answer.usage.source) == (7, "reported")


def test_a_stop_of_the_script_is_the_end(world, mock):
    mock.says("cut", Stop("max_tokens"))
    with runtime(world, mock) as here:
        assert here.call("chat", "hi").stop_reason == "max_tokens"


def test_a_fault_comes_where_it_is_scripted_with_what_was_said(world, mock):
    mock.says("Hel", EngineError("the engine stopped"))
    with runtime(world, mock) as here, pytest.raises(EngineError) as caught:
        here.stream("hi")
    assert (caught.value.partial.text, caught.value.backend) == ("Hel", "mock")


def test_a_fault_before_the_first_word_is_tried_again(world, mock):
    mock.says(RateLimited("slow down", retry_after=0.0))
    mock.says("Hello")
    with runtime(world, mock) as here:
        answer = here.call("chat", "hi")
    assert (answer.text, len(answer.attempts), len(mock.requests)) == ("Hello", 2, 2)


def test_a_gate_holds_an_answer_until_the_test_opens_it(world, mock):
    gate = Gate()
    mock.says("Hel", gate, "lo")
    seen = []

    def after(events, stream):
        seen.append(stream.answer.text)
        gate.open()
        return True

    with runtime(world, mock) as here:
        _, stream = here.stream("hi", after=after)
    assert (seen[0], stream.answer.text) == ("Hel", "Hello")


def test_leaving_at_a_gate_needs_nobody_to_open_it(world, mock):
    mock.says("Hel", Gate(), "lo")
    with runtime(world, mock) as here:
        events, _ = here.stream("hi", after=lambda seen, _: False)
        assert [event.content for event in events] == ["Hel"]
        assert here.call("chat", "hi").text == "mock response"


def test_a_gate_that_nobody_opens_is_told(world, mock, monkeypatch):
    monkeypatch.setattr("multitap.testing.mocks.playing.CEILING", 0.05)
    mock.says("Hel", Gate())
    with runtime(world, mock) as here, pytest.raises(EngineError, match="gate") as caught:
        here.stream("hi")
    assert "gate.open()" in caught.value.hint


def test_a_pause_ends_by_itself(world, mock):
    mock.says("Hel", Pause(0.02), "lo")
    with runtime(world, mock) as here:
        assert here.call("chat", "hi").text == "Hello"


def test_vectors_and_their_faults_are_scripted(world, mock):
    mock.embeds([[1.0, 2.0]])
    mock.embeds(ModelNotFound("no such model"))
    mock.embeds([[1.0]])
    mock.embeds([])
    with runtime(world, mock) as here:
        assert list(here.call("embed", "a").vectors[0]) == [1.0, 2.0]
        with pytest.raises(ModelNotFound):
            here.call("embed", "a")
        with pytest.raises(ProtocolError) as caught:
            here.call("embed", ["a", "b"])  # asked once more for the one that is missing
    assert caught.value.kind == "embedding_invalid"


@pytest.mark.parametrize(
    ("flags", "verb", "arguments"),
    [
        ({"can_chat": False, "can_prompt": False}, "chat", ["hi"]),
        ({"can_stream": False}, "stream", ["hi"]),
        ({"can_embed": False}, "embed", ["hi"]),
        ({}, "chat", [["What is this?", Image(b"\x89PNG\r\n\x1a\n")]]),
    ],
)
def test_what_a_flag_denies_is_not_supported(world, flags, verb, arguments):
    mock = MockProvider(**flags)
    with runtime(world, mock) as here, pytest.raises(NotSupported) as caught:
        here.stream(*arguments) if verb == "stream" else here.call(verb, *arguments)
    assert caught.value.backend == "mock"


def test_thinking_that_it_cannot_is_a_warning(world):
    for can in (False, True):
        mock = MockProvider(can_think=can)
        with runtime(world, mock) as here:
            warnings = here.call("chat", "hi", think="high").warnings
        assert [warning.option for warning in warnings] == ([] if can else ["think"])


def test_the_flags_are_the_catalogs_facts(world):
    mock = MockProvider(id="acme", name="m1", context_length=128, can_embed=False, can_think=True)
    with runtime(world, mock) as here:
        (model,) = here.call("models")
    assert (model.ref, model.context_length, model.max_output_tokens) == ("acme:m1", 128, None)
    assert model.capabilities == {"chat", "thinking"}


def test_a_mock_may_have_several_backends(world):
    mock = MockProvider(backends=("near", "far"))
    with runtime(world, mock) as here:
        assert {"near:mock-model", "far:mock-model"} <= {m.ref for m in here.call("models")}
        assert here.call("chat", "hi", model="far:mock-model").backend == "far"


# ---- clients -------------------------------------------------------------------------------------

HI = [{"role": "user", "content": "hi"}]


def test_each_client_does_its_one_thing(mock):
    assert mock.chat_client().chat(HI).message.text == "mock response"
    assert mock.prompt_client().prompt(" ", 0.0, "hi") == "mock response"
    assert [message.role for message in mock.requests[-1].messages] == ["user"]
    assert mock.requests[-1].temperature == 0.0
    assert [round(each, 3) for each in mock.embed_client().embed("hi")] == [0.1, 0.2, 0.3]
    parts = [e.content for e in mock.stream_client().stream(HI) if isinstance(e, Text)]
    assert parts == ["mock data part 1", "mock data part 2", "mock data part 3"]


@pytest.mark.parametrize("kind", ["chat", "prompt", "embed", "stream"])
def test_a_client_is_refused_where_its_flag_is_off(kind):
    mock = MockProvider(**{f"can_{kind}": False})
    with pytest.raises(NotSupported, match=f"can_{kind}=False"):
        getattr(mock, f"{kind}_client")()
    client = getattr(MockProvider(), f"{kind}_client")()
    assert client.close() is None


def test_a_client_of_a_backend_that_is_not_there_says_so(mock):
    with pytest.raises(ConfigError, match="elsewhere"):
        mock.chat_client("elsewhere")
