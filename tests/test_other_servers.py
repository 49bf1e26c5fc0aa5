"""Answers of servers that have a plugin of their own, through those that speak the same dialect.

Each is read as a plain reader reads it, however its bytes are cut, and through sockets.
"""

from __future__ import annotations

from functools import partial

import plain_reader
import pytest
from garbage import REPOSITORY, model_of, registry
from over_sockets import abort, answer_of, asking, script, three_cuts
from recorded_traffic import read_recording

from multitap.answer import fold
from multitap.errors import TruncatedStream
from multitap.events import Failed, Stop, UsageReport
from multitap.plan import chat_request
from multitap.testing import (
    WORLDS,
    Recording,
    Server,
    assert_chunking_invariant,
    assert_stream_grammar,
    broken_rules,
    outputs_of,
)
from multitap.work import Head

LLAMASERVER = "plugins/llamaserver/tests/recordings"
READ_BY = {
    f"{LLAMASERVER}/llama-cpp-python-0.3.36": ("openai", "lmstudio"),
    f"{LLAMASERVER}/llama-server-0.7.0-b11669": ("openai", "lmstudio"),
    "core/tests/recordings/llama.cpp-b11549": ("openai", "llamaserver"),
    "plugins/vllm/tests/recordings": ("openai",),
}
REASONS = {
    "stop": "complete",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "stop_sequence": "stop_sequence",
}


NOTHING = {"text": "", "reasoning": "", "calls": [], "tokens": [], "finish": None}


def is_answer(recorded):
    return recorded.path == "/v1/chat/completions" and recorded.status == 200


NAMES = [
    (plugin, folder, path.stem)
    for folder, plugins in READ_BY.items()
    for path in sorted(REPOSITORY.joinpath(folder).glob("*.json"))
    if is_answer(read_recording(path.parent, path.stem))
    for plugin in plugins
]
WITH_WORDS = [
    (plugin, folder, name)
    for plugin, folder, name in NAMES
    if read_recording(REPOSITORY / folder, name).body  # an answer without is asked for again
]
OPENAI = [found for found in NAMES if found[0] == "openai"]  # the others are of the same dialect


def each(names):
    ids = [f"{plugin}: {folder.rpartition('/')[2]}/{name}" for plugin, folder, name in names]
    return pytest.mark.parametrize(("plugin", "folder", "name"), names, ids=ids)


def read(folder, name):
    """The recording, and what the plain reader reads: its choices and the usage."""
    recorded = read_recording(REPOSITORY / folder, name)
    choices, usage = plain_reader.expected(recorded.headers, recorded.body)
    return recorded, choices or {0: NOTHING}, usage


def agrees(answer, wanted):
    assert len(answer.choices or [answer]) == len(wanted)
    for index, choice in enumerate(answer.choices or [answer]):
        here = wanted[index]
        assert (choice.text, choice.reasoning) == (here["text"], here["reasoning"])
        assert [(c.name, c.arguments_text) for c in choice.tool_calls] == here["calls"]
        assert [token.token for token in choice.logprobs or ()] == here["tokens"]


def end_wanted(choice):
    if choice["finish"] is None:
        return TruncatedStream
    called = choice["calls"] and choice["finish"] != "length"
    return "tool_use" if called else REASONS[choice["finish"]]


def stage(plugin, recorded):
    asked = chat_request("tiny", "hi", stream=recorded.streamed)
    return model_of(plugin, "chat").chat(asked).decoder(Head(200, recorded.headers))


@each(NAMES)
def test_an_answer_is_read_as_a_plain_reader_reads_it(plugin, folder, name):
    recorded, wanted, usage = read(folder, name)
    events = outputs_of(stage(plugin, recorded), [recorded.body])
    assert_stream_grammar(events)
    agrees(fold(events, backend="b", provider=plugin, model="tiny"), wanted)
    ends = {e.choice: e.stop_reason for e in events if isinstance(e, Stop)}
    if isinstance(events[-1], Failed):
        ends[0] = type(events[-1].error)
    assert ends == {index: end_wanted(choice) for index, choice in wanted.items()}
    told = [e.usage for e in events if isinstance(e, UsageReport) and e.usage.source == "reported"]
    counts = [(one.input_tokens, one.output_tokens) for one in told]
    assert counts == ([(usage["prompt_tokens"], usage["completion_tokens"])] if usage else [])


@each(OPENAI)
def test_where_the_bytes_are_cut_makes_no_difference(plugin, folder, name):
    recorded = read_recording(REPOSITORY / folder, name)
    assert_chunking_invariant(lambda: stage(plugin, recorded), recorded.body)


@pytest.fixture(scope="module", params=WORLDS, ids=["sync", "async"])
def world(request):
    return request.param


@each(WITH_WORDS)
def test_it_comes_through_sockets_in_pieces(world, plugin, folder, name):
    recorded, wanted, _ = read(folder, name)
    cuts = three_cuts(name, recorded)
    answer = Recording.load(REPOSITORY / folder / f"{name}.json").answer(cuts)
    ask = asking(partial(config_of, plugin), partial(registry, plugin))
    with Server(script(answer) if recorded.whole else abort(recorded)) as server:
        found, shown = answer_of(ask, world, server)
    text, thought = thinking_apart(wanted[0], tagged=plugin == "lmstudio")
    assert (found.text.strip(), found.reasoning.strip()) == (text.strip(), thought.strip())
    calls = [(call.name, call.arguments_text) for call in found.tool_calls]
    assert calls == wanted[0]["calls"]
    assert shown is None or broken_rules(shown) == []
    assert (shown is None) == (end_wanted(wanted[0]) is TruncatedStream)


def thinking_apart(choice, *, tagged):
    """Text and thoughts; with LM Studio they may be in the text, between tags at its start."""
    if not tagged or not choice["text"].startswith("<think>"):
        return choice["text"], choice["reasoning"]
    thought, _, text = choice["text"].removeprefix("<think>").partition("</think>")
    return text, thought


def config_of(plugin, url):
    return {"defaults": {"model": f"{plugin}:tiny"}, plugin: {"endpoint": url}}
