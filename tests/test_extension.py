"""A distribution of extensions, installed beside the plugins: observer, filter and command."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from installed import write_metadata
from interpreter import OK, a_call, course, explain, post
from multitap_sample.stopwatch import notes
from multitap_sample.swap import WORDS, Swap, multitap_filter

from multitap.config import load_config
from multitap.engine.flow import Flow
from multitap.errors import ConfigError, EngineError, PluginError, ProviderDown, TruncatedStream
from multitap.events import Notice, Stop, Text, UsageReport, normalise
from multitap.extensions import CallInfo
from multitap.filters.guarded import Guarded
from multitap.hookspecs import hookimpl
from multitap.registry import Registry
from multitap.testing import WORLDS
from multitap.usage import Usage
from multitap.work import HttpCall, Operation, Out, fetch

HOME = Path(__file__).parent / "extension"
LONGEST_FIRST = sorted(WORDS, key=len, reverse=True)
EXPECTED = re.compile("|".join(map(re.escape, LONGEST_FIRST)))


def swapped(text):
    """What the filter is to make of a whole text."""
    return EXPECTED.sub(lambda found: WORDS[found[0]], text)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """What is installed, with the sample beside it."""
    write_metadata(tmp_path, HOME)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Registry(environ={})


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def echo(request, registry):
    """Makes a runtime of the echo."""
    opened = []

    def make(**config):
        opened.append(request.param({"defaults": {"model": "echo:echo"}, **config}, registry))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


FILTERED = {"plugins": {"filters": ["swap"]}}


# ---- through a runtime ---------------------------------------------------------------------------


def test_every_answer_is_filtered_as_the_configuration_says(echo):
    here = echo(**FILTERED, echo={"pieces": 3})
    events, stream = here.stream("The colour is grey, as colours go: col")

    assert stream.answer.text == "The color is gray, as paint go: col"
    assert [type(event) for event in events[-2:]] == [UsageReport, Stop]
    assert here.call("chat", "colour").text == "color"


def test_without_the_configuration_a_filter_does_nothing(echo):
    assert echo().call("chat", "colour").text == "colour"


def test_a_filter_can_pass_a_call_by_for_what_the_application_says(echo):
    here = echo(**FILTERED)

    assert here.call("chat", "colour", metadata={"as_it_is": True}).text == "colour"
    assert here.call("chat", "colour", metadata={"as_it_is": False}).text == "color"


def test_what_fails_has_the_filtered_text(echo):
    with pytest.raises(EngineError) as caught:
        echo(**FILTERED).call("chat", "a grey\n/fail engine_error")

    assert caught.value.partial.text == "a gray"


def test_a_filter_works_under_strict_too(echo):
    assert echo(**FILTERED).call("chat", "grey", strict=True).text == "gray"


def test_only_chat_is_filtered(echo):
    assert echo(**FILTERED).call("tokenize", "colour").pieces == (b"colour",)


def test_the_observer_sees_every_call(echo):
    notes.clear()
    here = echo()
    here.call("chat", "hi")
    here.call("embed", "hi")
    with pytest.raises(EngineError):
        here.call("chat", "/fail engine_error\nhi")

    assert list(notes) == [
        *["chat echo:echo complete x1", "embedding echo:echo None x1"],
        "chat echo:echo EngineError x1",
    ]


def test_an_unknown_filter_is_told_with_its_place(echo, tmp_path):
    path = tmp_path / "llm.toml"
    path.write_text('[defaults]\nmodel = "echo:echo"\n[plugins]\nfilters = [\n  "swop",\n]\n')
    config = load_config(path)
    here = echo()
    here.rt._parts.config = config

    with pytest.raises(ConfigError, match=r"line 4: .*'swop'.*did you mean 'swap'") as caught:
        here.call("chat", "hi")

    assert (caught.value.file, caught.value.line) == (str(path), 4)
    assert caught.value.key == "plugins.filters"
    assert "installed: stopwatch, swap" in caught.value.hint


def test_a_broken_filter_that_was_asked_for_fails_the_call(echo, registry):
    class Broken:
        @hookimpl
        def multitap_filter(self, call):
            raise OSError("No list of words")

    registry.add(Broken(), "list", ["extension"], distribution="dist-list")
    here = echo(plugins={"filters": ["list"]})

    with pytest.raises(PluginError, match="No list of words") as caught:
        here.call("chat", "hi")
    assert caught.value.distribution == "dist-list"


def test_a_filter_that_breaks_in_the_middle_leaves_what_came_before(echo, registry):
    class Broken:
        @hookimpl
        def multitap_filter(self, call):
            return self

        def feed(self, events):
            if any(isinstance(event, Text) and "!" in event.content for event in events):
                raise KeyError("!")
            return events

        def finish(self):
            return ()

    registry.add(Broken(), "list", ["extension"], distribution="dist-list")
    here = echo(plugins={"filters": ["list"]}, echo={"pieces": 1})

    with pytest.raises(PluginError, match="The filter 'list' of dist-list failed") as caught:
        here.stream("ab!c")
    assert "ab".startswith(caught.value.partial.text)
    assert caught.value.partial.stop_reason == "error"


def test_the_command_is_found_by_name_and_runs(registry):
    assert "swap" in registry.commands()
    command = registry.command("swap")
    assert isinstance(command, click.Command)
    assert CliRunner().invoke(command, ["the colour grey"]).output == "the color gray\n"


# ---- the filter in the flow, however the answer is cut -------------------------------------------

TEXTS = st.lists(st.sampled_from(["col", "colou", "r", "s", "gre", "y", "colour", " ", "g", "x"]))
ENDS = {b".": None, b"": TruncatedStream, b"!": EngineError}


def a_flow(*stages):
    def broken(reason):
        return PluginError(reason, distribution="multitap-sample")

    return Flow(a_call(post(), filters=lambda: [Guarded(stage(), broken) for stage in stages]))


def new_swap():
    return Swap(WORDS)


@given(texts=TEXTS, end=st.sampled_from(sorted(ENDS)))
def test_in_the_flow_nothing_is_lost_or_late_however_it_is_cut(texts, end):
    text = "x" + "".join(texts)  # with some text nothing is tried again
    pieces = [b"x", *(piece.encode() for piece in texts)]
    whole = [OK, text.encode() + end, b""]
    cut = [OK, *pieces, end, b""]

    courses = [course(a_flow(new_swap), script) for script in (whole, cut)]

    for _, events, error in courses:
        assert type(error) is (ENDS[end] or type(None))
        said = "".join(event.content for event in events if isinstance(event, Text))
        assert said == swapped(text)
        assert (events[-1] == Stop("complete")) is (error is None)
    assert normalise(courses[0][1]) == normalise(courses[1][1])


EVENTS = st.lists(
    st.one_of(
        st.builds(
            Text, st.sampled_from(["col", "our", "s", "grey", "gr", "ey"]), st.integers(0, 1)
        ),
        st.just(Notice("slow", "Slow today.")),
        st.just(UsageReport(Usage.reported(1, 1))),
    )
)


@given(events=EVENTS, data=st.data())
def test_batches_of_events_may_be_cut_anywhere(events, data):
    """The law of every stage, for a filter and what guards it."""
    answer = [*events, Stop("complete")]
    places = data.draw(st.lists(st.integers(0, len(answer)), max_size=4).map(sorted))
    cuts = [0, *places, len(answer)]
    batches = [answer[a:b] for a, b in pairwise(cuts)]
    letters = [piece for event in answer for piece in in_letters(event)]

    expected = through([answer])
    assert through(batches) == expected
    assert through([[piece] for piece in letters]) == expected
    assert expected[-1] == Stop("complete")


def in_letters(event):
    return [Text(c, event.choice) for c in event.content] if isinstance(event, Text) else [event]


def through(batches):
    stage = Guarded(new_swap(), PluginError)
    return normalise([event for batch in batches for event in stage.feed(batch)])


@given(texts=TEXTS)
def test_filters_follow_one_another(texts):
    """Each one gets what the one before it lets go, at the end as well."""
    script = [OK, b"x", *(piece.encode() for piece in texts), b".", b""]

    class Back:
        """Swaps back: what the first one has made of it."""

        def __new__(cls):
            return Swap({"color": "colour", "gray": "grey"})

    _, events, _ = course(a_flow(new_swap, Back), script)
    said = "".join(event.content for event in events if isinstance(event, Text))
    text = swapped("x" + "".join(texts))
    assert said == text.replace("color", "colour").replace("gray", "grey")
    assert events[-1] == Stop("complete")


class EndsAt:
    """Ends the answer at a text; for what goes on after that there is no reader."""

    def __init__(self, last):
        self.last = last

    def feed(self, events):
        given = []
        for event in events:
            if event == Text(self.last):
                return [*given, Stop("stop_sequence")]
            given.append(event)
        return given

    def finish(self):
        return ()


def test_an_answer_that_a_filter_ends_is_not_read_to_its_end():
    seen, events, error = course(a_flow(lambda: EndsAt("c")), [OK, b"ab", b"cd", b"ef."])

    assert (events, error) == ([Text("a"), Text("b"), Stop("stop_sequence")], None)
    assert seen == ["Send", "Read", "Out", "Read", "Out", "Drop"]


def test_a_filter_may_fail_the_answer_with_a_typed_error():
    class Forbids(EndsAt):
        def feed(self, events):
            if Text(self.last) in events:
                raise EngineError("Not such words")
            return events

    _, events, error = course(a_flow(lambda: Forbids("c"), new_swap), [OK, b"g", b"c"])

    assert events == [Text("g")]
    assert (type(error), error.backend) == (EngineError, "here")


def test_the_filters_of_an_operation_are_the_same_to_its_end():
    def steps():
        yield Out([Text("col")])
        yield from fetch(HttpCall(method="GET", path="/more"))
        yield Out([Text("our"), Stop("complete")])

    def broken(reason):
        return PluginError(reason)

    call = a_call(Operation(steps, explain), filters=lambda: [Guarded(new_swap(), broken)])
    _, events, error = course(Flow(call), [OK, b""])
    assert (events, error) == ([Text("color"), Stop("complete")], None)

    _, events, error = course(Flow(call), [ProviderDown("No")])
    assert (events, type(error)) == ([Text("col")], ProviderDown)


def test_no_filter_sees_anything_after_the_end():
    seen = []

    class Spy(EndsAt):
        def feed(self, events):
            seen.extend(events)
            return events

    course(a_flow(lambda: Spy(None)), [OK, b"a.b."])
    assert seen[:2] == [Text("a"), Stop("complete")]


def test_the_filter_is_made_anew_for_each_attempt():
    made = []

    def new():
        made.append(new_swap())
        return made[-1]

    _, events, error = course(a_flow(new), [OK, b"", OK, b"colour."])
    assert (len(made), events, error) == (2, [Text("color"), Stop("complete")], None)


def test_a_call_without_metadata_is_filtered_too():
    call = CallInfo(
        id="1",
        capability="chat",
        backend="b",
        provider="p",
        distribution="d",
        model="m",
        streamed=True,
    )
    assert isinstance(multitap_filter(call), Swap)
