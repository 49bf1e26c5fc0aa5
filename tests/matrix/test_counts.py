"""What an answer cost, and what of its prompt was cached."""

from __future__ import annotations

from hashlib import sha256
from json import JSONDecoder

import pytest
from matrix_lines import has, lacks
from matrix_wires import (
    CAPITAL,
    PARIS,
    Case,
    Replay,
    ask,
    choice,
    config_of,
    events,
    recorded,
    said,
)

from multitap.errors import ConfigError, NotSupported
from multitap.events import Usage
from multitap.messages import Message

SPLIT = {"completion_tokens_details": {"reasoning_tokens": 2}}
COST = {
    "echo": (Case(f"/think a b\n{PARIS}"), Usage.reported(9, 8, reasoning_tokens=2)),
    "llamacpp": (Case(options={"temperature": 0, "think": "off"}), Usage.reported(15, 8)),
    "llamaserver": (
        Case(raw=recorded("llamaserver", "chat_stream_usage")),
        Usage.reported(15, 8, cached_tokens=14),
    ),
    "lmstudio": (Case(raw=said("lmstudio", PARIS, usage=(15, 8))), Usage.reported(15, 8)),
    "ollama": (
        Case(raw=recorded("ollama", "api_native_think_false_stream")),
        Usage.reported(15, 8),
    ),
    "openai": (
        Case(raw=said("openai", PARIS, usage=(15, 8), **SPLIT)),
        Usage.reported(15, 8, reasoning_tokens=2),
    ),
    "tgi": (Case(raw=recorded("tgi", "chat_stream_usage")), Usage.reported(15, 8)),
    "vllm": (
        Case(raw=recorded("vllm", "chat_stream_usage")),
        Usage.reported(15, 8, cached_tokens=0, cache_write_tokens=0, reasoning_tokens=0),
    ),
}


@has("usage mapping")
def test_every_count_that_the_server_gives_and_no_other(world, plugin):
    case, wanted = COST[plugin]
    seen = ask(world, plugin, case)
    reports = [event.usage for event in seen.events if event.type == "usage"]
    assert reports == [seen.answer.usage]
    usage = seen.answer.usage
    if plugin == "llamacpp":  # what is cached depends on what was asked before
        assert 0 <= usage.cached_tokens <= 15
        usage.cached_tokens = None
    assert usage == wanted
    if seen.sent is not None and plugin != "ollama":
        assert seen.sent["stream_options"] == {"include_usage": True}


SILENT = {
    "ollama": (
        b'{"message": {"content": "Hi"}, "done": false}\n'
        b'{"message": {"content": ""}, "done": true, "done_reason": "stop"}\n'
    )
}


@has("usage mapping")
def test_what_the_server_does_not_count_is_never_taken_for_0(world, plugin):
    if plugin in ("echo", "llamacpp"):
        usage = ask(world, plugin, COST[plugin][0]).answer.usage
        assert (usage.source, usage.cache_write_tokens) == ("reported", None)
        return
    seen = ask(world, plugin, Case(raw=uncounted(plugin)))
    known = "unknown" if plugin == "ollama" else "estimated"
    assert (seen.answer.text, seen.answer.usage.source) == ("Hi", known)
    assert 0 not in seen.answer.usage.to_dict().values()


def uncounted(plugin):
    """An answer of a server that counts nothing."""
    if plugin == "ollama":
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncontent-length: "
        return head + b"%d\r\n\r\n" % len(SILENT[plugin]) + SILENT[plugin]
    return events(choice({"content": "Hi"}, "stop"))


# ---- the prompt's cache --------------------------------------------------------------------------

CACHE = "prompt-cache mapping"
SYSTEM = "The little cat named Mia lived in a small house. " * 6
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def two_turns(here, **options):
    """The answers to a question and to the next one of the same conversation."""
    asked = [Message("system", SYSTEM), Message("user", CAPITAL)]
    _, first = here.stream(messages=asked, **options)
    more = [*asked, first.answer.message, Message("user", "And of Spain?")]
    _, second = here.stream(messages=more, **options)
    return first.answer, second.answer


def conversation(body):
    """What stands in a body before its messages, and the messages, as they were sent."""
    text = body.decode()
    start = text.index('"messages":') + len('"messages":')
    _, end = JSONDecoder().raw_decode(text, start)
    return text[:start], text[start:end], text[end:]


@has(CACHE, "prefix")
def test_the_next_turn_begins_with_the_same_bytes(world, plugin):
    if plugin == "llamacpp":
        here = world(config_of(plugin))
        first, second = two_turns(here, temperature=0, think="off", max_tokens=20)
        assert second.usage.cached_tokens >= first.usage.input_tokens
        return
    with Replay(said(plugin, PARIS)) as server:
        two_turns(world(config_of(plugin, endpoint=server.url)), tools=[TOOL], seed=1)
        first, second = (conversation(asked.body) for asked in server.requests)
    assert second[1].startswith(first[1].rstrip("]"))
    assert (first[0], first[2]) == (second[0], second[2])


@lacks(CACHE, "prefix")
def test_where_nothing_is_computed_the_next_turn_has_no_cache(world, plugin):
    here = world(config_of(plugin))
    assert [answer.usage.cached_tokens for answer in two_turns(here)] == [None, None]


CACHED = {
    "llamaserver": (211, recorded("llamaserver", "prefix_long_second")),
    "openai": (128, said("openai", PARIS, prompt_tokens_details={"cached_tokens": 128})),
    "vllm": (128, recorded("vllm", "prefix_long_second")),
}


@has(CACHE, "count")
def test_what_was_found_in_the_cache_is_counted(world, plugin):
    if plugin == "llamacpp":
        first, second = (ask(world, plugin, COST[plugin][0]).answer.usage for _ in range(2))
        assert second.cached_tokens == first.input_tokens - 1  # the last one is always computed
        return
    count, raw = CACHED[plugin]
    assert ask(world, plugin, Case(raw=raw)).answer.usage.cached_tokens == count


@lacks(CACHE, "count")
def test_what_was_found_in_the_cache_is_unknown(world, plugin):
    usage = ask(world, plugin, COST[plugin][0]).answer.usage
    assert (usage.source, usage.cached_tokens) == ("reported", None)
    assert "cached_tokens" not in usage.to_dict()


OF_C1 = sha256(b"openai:tiny:c-1").hexdigest()[:20]
OPTIONS = {
    "llamaserver": (
        {"cache": False, "extra": {"id_slot": 1}},
        {"cache_prompt": False, "id_slot": 1},
    ),
    "lmstudio": ({"extra": {"ttl": 300}}, {"ttl": 300}),
    "openai": ({"cache": "c-1"}, {"prompt_cache_key": f"multitap:{OF_C1}"}),
    "vllm": (
        {"cache": "c-1", "extra": {"cache_salt": "tenant-1"}},
        {"session_id": "c-1", "cache_salt": "tenant-1"},
    ),
    "ollama": ({"extra": {"keep_alive": "10m"}}, {"keep_alive": "10m"}),
}
"""What an application asks of the cache, and what the server is sent."""


@has(CACHE, "option")
def test_what_is_asked_of_the_cache_reaches_the_server(world, plugin):
    if plugin == "llamacpp":
        asked = {"temperature": 0, "think": "off"}
        ask(world, plugin, Case(options=asked))
        without = ask(world, plugin, Case(options={**asked, "cache": False}))
        assert without.answer.usage.cached_tokens in (0, None)
        return
    asked, wanted = OPTIONS[plugin]
    seen = ask(world, plugin, Case(options=asked, raw=said(plugin, PARIS)))
    assert {key: seen.sent.get(key) for key in wanted} == wanted
    assert not seen.answer.warnings


@lacks(CACHE, "option")
def test_an_option_for_a_cache_that_is_not_there_is_refused(world, plugin):
    raw = None if plugin == "echo" else said(plugin, PARIS)
    asked = {"extra": {"cache_salt": "tenant-1"}, "strict": True}
    with pytest.raises((ConfigError, NotSupported), match="has no option 'cache_salt'"):
        ask(world, plugin, Case(options=asked, raw=raw))
