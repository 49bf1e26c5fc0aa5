"""Every plugin of the repository through one suite, blocking and on an event loop."""

from __future__ import annotations

import re
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from scripted_servers import SERVERS

from multitap.capabilities.catalog import SOURCED
from multitap.errors import BackendError, DeadlineExceeded, ModelNotFound, NotSupported
from multitap.events import Stop, Text
from multitap.testing import CEILING, WORLDS, broken_rules

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
HERE = Path(__file__).parents[1]
TINY = HERE / "plugins/llamacpp/tests/models/tiny-llama.gguf"
PLUGINS = {
    "echo": {"defaults": {"model": "echo:echo"}},
    "llamacpp": {
        "defaults": {"model": f"path:{TINY}"},
        "llamacpp": {"models_dir": str(TINY.parent), "context": 512, "parallel": 2, "threads": 1},
    },
    "llamaserver": {"defaults": {"model": "llamaserver:tiny"}},
    "lmstudio": {"defaults": {"model": "lmstudio:tiny"}},
    "ollama": {"defaults": {"model": "ollama:tiny"}},
    "openai": {"defaults": {"model": "openai:tiny"}},
    "tgi": {"defaults": {"model": "tgi:tgi"}},
    "vllm": {"defaults": {"model": "vllm:tiny"}},
}
VERBS = ("pull", "load", "unload", "running", "copy", "delete", "create", "slots")
ABLE = re.compile(r"^\| `(\w+)` \|" + r" (\w+|—)[^|]*\|" * len(VERBS) + "$", re.MULTILINE)
MANAGES = {
    row[1]: [verb for verb, able in zip(VERBS, row.groups()[1:], strict=True) if able == "yes"]
    for row in ABLE.finditer((HERE / "docs/hooks/lifecycle.md").read_text("utf-8"))
}
ASKED = {
    "a question": ("What is the capital of France?", {}),
    "few tokens": ("What is the capital of France?", {"max_tokens": 3}),
    "a stop text": ("What is the capital of France?", {"stop": ["is"]}),
    "two choices": ("What is the capital of France?", {"n": 2, "max_tokens": 8}),
    "a tool": ("What is the weather in Oslo?", {"tools": [WEATHER], "max_tokens": 80}),
    "a tool that must be": (
        "What is the weather in Oslo?",
        {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 80},
    ),
    "a schema": ("Where is the Eiffel tower?", {"response_format": SCHEMA, "max_tokens": 60}),
    "thoughts": ("What is 2 plus 2?", {"think": "high", "max_tokens": 60}),
    "no thoughts": ("What is 2 plus 2?", {"think": "off", "max_tokens": 60}),
    "probabilities": ("What is the capital of France?", {"logprobs": 2, "max_tokens": 4}),
    "all at once": ("Hi", {"temperature": 0.5, "top_p": 0.9, "seed": 0, "max_tokens": 4}),
}


@pytest.fixture(scope="module", params=PLUGINS)
def plugin(request):
    return request.param


@pytest.fixture(scope="module")
def servers():
    """The sections of those that need a server: the address of a scripted one."""
    with ExitStack() as running:
        started = {name: running.enter_context(server()) for name, server in SERVERS.items()}
        yield {name: {"endpoint": server.url} for name, server in started.items()}


@pytest.fixture(scope="module", params=WORLDS, ids=["sync", "async"])
def here(request, plugin, servers):
    """A runtime of one plugin, for all tests of the suite."""
    with request.param({**servers, **PLUGINS[plugin]}) as one:
        yield one


def test_no_plugin_is_left_out():
    assert set(PLUGINS) == {path.parent.name for path in HERE.glob("plugins/*/pyproject.toml")}


def answers(here):
    """Is it there for the next caller?"""
    return here.call("chat", "Hi", max_tokens=4).stop_reason in ("complete", "max_tokens")


@pytest.mark.parametrize("asked", ASKED)
def test_a_stream_keeps_the_grammar_and_its_answer_is_that_of_its_events(here, asked):
    prompt, options = ASKED[asked]
    events, stream = here.stream(prompt, **options)
    shown = [event.to_dict() for event in events]
    assert broken_rules(shown) == []
    text = "".join(e["content"] for e in shown if e["type"] == "text" and not e.get("choice"))
    assert stream.answer.text == text
    assert stream.answer.stop_reason == shown[-1]["stop_reason"]


@pytest.mark.parametrize("asked", ["a question", "a tool", "a schema"])
def test_streamed_or_not_the_answer_is_the_same(here, asked):
    prompt, options = ASKED[asked]
    options = {"temperature": 0, **options}
    _, stream = here.stream(prompt, **options)
    whole = here.call("chat", prompt, **options)
    assert whole.text == stream.answer.text
    assert [(c.name, c.arguments) for c in whole.tool_calls] == [
        (c.name, c.arguments) for c in stream.answer.tool_calls
    ]


def test_a_failure_is_the_only_end(here, plugin):
    prompt = "/fail rate_limited" if plugin == "echo" else "many words " * 2000
    with pytest.raises(BackendError) as caught:
        here.stream(prompt)
    assert caught.value.backend == plugin
    assert caught.value.attempts


def test_leaving_early_ends_the_work(here):
    prompt = "Tell me a long story about a dragon. " * 3
    events, _ = here.stream(prompt, after=lambda seen, _: not isinstance(seen[-1], Text))
    assert not any(isinstance(event, Stop) for event in events)
    assert answers(here)


def test_close_from_another_thread_ends_the_work(here):
    closers = []

    def close_elsewhere(seen, stream):
        closers.append(threading.Thread(target=stream.close))
        closers[-1].start()
        return True

    here.stream("Tell me a long story about a dragon. " * 3, after=close_elsewhere)
    for closer in closers:
        closer.join(CEILING)
    assert answers(here)


def test_a_deadline_that_is_over_ends_the_work(here):
    with pytest.raises(DeadlineExceeded):
        here.call("chat", "many words " * 20, timeout=1e-6)
    assert answers(here)


def test_a_listed_model_can_be_described(here):
    for model in here.call("models"):
        found = here.call("describe", model.ref)
        assert (found.ref, found.capabilities) == (model.ref, model.capabilities)


def test_what_is_known_of_a_model_says_where_it_comes_from(here, plugin):
    said = {"echo": {"declared"}, "tgi": {"declared", "probed"}, "openai": set()}
    found = here.call("models", plugin)
    for model in found:
        assert set(model.sources) == {n for n in SOURCED if getattr(model, n) is not None}
    sources = {source for model in found for source in model.sources.values()}
    assert sources - {"observed"} == said.get(plugin, {"probed"})


def test_a_model_that_is_not_there_cannot(here, plugin):
    with pytest.raises(ModelNotFound) as caught:
        here.call("describe", f"{plugin}:no-such-model")
    assert (caught.value.backend, caught.value.model) == (plugin, "no-such-model")


def test_the_documentation_tells_of_each_plugin_which_verbs_it_has():
    assert set(MANAGES) == set(PLUGINS)


@pytest.mark.parametrize(
    ("verb", "names"),
    [
        ("copy", ["{}:echo", "second"]),
        ("delete", ["{}:second"]),
        ("create", ["{}:second"]),
        ("running", ["{}"]),
        ("pull", ["{}:second"]),
        ("slots", [None]),
        ("unload", [None]),
        ("load", [None]),
    ],
)
def test_a_verb_is_carried_out_or_refused_by_name(here, plugin, verb, names):
    names = [name and name.format(plugin) for name in names]
    if verb in MANAGES[plugin]:
        assert here.call(verb, *names) is None or verb in ("running", "slots")
    else:
        with pytest.raises(NotSupported) as caught:
            here.call(verb, *names)
        assert caught.value.backend == plugin


@pytest.mark.parametrize(
    ("verb", "more"),
    [("load", []), ("unload", []), ("delete", []), ("copy", ["second"]), ("slots", [])],
)
def test_a_model_that_is_not_there_is_named_whatever_is_to_be_done_with_it(
    here, plugin, verb, more
):
    given = [f"{plugin}:no-such-model", *more]
    if plugin == "echo":  # it has them all
        assert here.call(verb, *given) is None or verb == "slots"
        return
    with pytest.raises(ModelNotFound if verb in MANAGES[plugin] else NotSupported) as caught:
        here.call(verb, *given)
    assert (caught.value.backend, bool(caught.value.hint)) == (plugin, True)
    assert verb not in MANAGES[plugin] or caught.value.model == "no-such-model"


def test_to_unload_what_is_not_loaded_is_no_error(here, plugin):
    if "unload" in MANAGES[plugin]:
        assert [here.call("unload"), here.call("unload"), here.call("load")] == [None] * 3


def test_a_slot_is_saved_restored_and_erased_or_the_plugin_is_named(here, plugin):
    orders = (("save_slot", 0, "story.bin"), ("restore_slot", 0, "story.bin"), ("erase_slot", 0))
    for verb, *which in orders:
        if "slots" in MANAGES[plugin]:
            assert (here.call(verb, *which).id, here.call("slots")[0].id) == (0, 0)
            continue
        with pytest.raises(NotSupported) as caught:
            here.call(verb, *which)
        assert caught.value.backend == plugin
        assert caught.value.hint


def test_what_runs_is_listed_as_loaded(here, plugin):
    if "running" in MANAGES[plugin]:
        here.call("load")
    running = {model.ref for model in here.call("running") if model.backend == plugin}
    loaded = {model.ref for model in here.call("models") if model.loaded}
    assert bool(running) == ("running" in MANAGES[plugin])
    assert running <= loaded
