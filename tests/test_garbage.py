"""Whatever a server says, it is an answer or an error of ours, and never a fault of a plugin.

Hypothesis takes a recorded answer, damages it, and gives it any status and content type. More of it
than the usual dose: ``GARBAGE=20000 pytest tests/test_garbage.py`` (examples for each plugin).
"""

from __future__ import annotations

import os
from functools import partial

import pytest
from garbage import PLUGINS, REPLIES, chats, other_work, registry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from interpreter import a_call

from multitap.answer import fold
from multitap.engine.flow import Flow, Read, Send
from multitap.errors import BackendError, MultitapError, PluginError, ProviderDown
from multitap.events import Failed, Stop, normalise
from multitap.policy.retry import Retry, RetryPolicy
from multitap.testing import WORLDS, Server, broken_rules, close, outputs_of, request, send
from multitap.work import Head, Out

EXAMPLES = int(os.environ.get("GARBAGE", "100"))
ONCE = Retry(RetryPolicy(attempts=1))
LONGEST = 6  # requests of one operation: polling would go on for ever
PLACE = st.floats(0, 1, exclude_max=True)
SEVERAL = st.lists(REPLIES, min_size=1, max_size=LONGEST)
each_plugin = pytest.mark.parametrize("plugin", PLUGINS)


def dose(examples):
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(max_examples=max(1, examples), deadline=None, suppress_health_check=checks)


def chosen(among, place):
    return among[sorted(among)[int(place * len(among))]]


# ---- at stage level ------------------------------------------------------------------------------


@each_plugin
@dose(EXAMPLES)
@given(place=PLACE, reply=REPLIES)
def test_an_answer_of_chat_fails_in_band_and_keeps_the_laws_of_every_stage(plugin, place, reply):
    exchange = chosen(chats(plugin), place)
    said = reply.to(exchange.call.path)
    head = Head(said.status, said.headers)
    whole = normalise(outputs_of(exchange.decoder(head), [said.body]))
    failures = [event.error for event in whole if isinstance(event, Failed)]
    assert all(isinstance(error, BackendError) for error in failures)
    assert failures == [e.error for e in whole[-1:] if isinstance(e, Failed)]
    if any(isinstance(event, (Stop, Failed)) for event in whole):
        assert broken_rules(whole) == []
    fold(whole, backend="b", provider="p", model="m").to_dict()
    pieces = outputs_of(exchange.decoder(head), reply.pieces(said.body))
    assert shown(normalise(pieces)) == shown(whole)
    assert isinstance(ending(exchange, [reply], ends_with_stop=True), (BackendError, type(None)))


def shown(events):
    return [event.to_dict() for event in events]


@each_plugin
@dose(EXAMPLES // 2)
@given(place=PLACE, reply=REPLIES)
def test_a_refusal_is_explained_by_an_error_of_the_backend(plugin, place, reply):
    work = chosen({**chats(plugin), **other_work(plugin)}, place)
    call = getattr(work, "call", None)
    error = work.explain(reply.to(call.path if call else "/api/tags"))
    assert isinstance(error, BackendError)
    assert error.to_dict()["message"] == error.message != ""


@each_plugin
@dose(EXAMPLES)
@given(place=PLACE, replies=SEVERAL)
def test_other_work_ends_with_results_or_an_error_of_ours(plugin, place, replies):
    error = ending(chosen(other_work(plugin), place), replies, ends_with_stop=False)
    assert isinstance(error, (MultitapError, type(None)))


def ending(work, replies, *, ends_with_stop):
    """Carry the work out without a socket; the error that ends it, if any, if it is no plugin's."""
    commands = Flow(a_call(work, ends_with_stop=ends_with_stop, retry=ONCE)).run()
    left, bodies = list(replies), iter(())
    resume = partial(commands.send, None)
    try:
        while True:
            command, resume = resume(), partial(commands.send, None)
            if isinstance(command, Send) and not left:
                resume = partial(commands.throw, ProviderDown("It is gone"))
            elif isinstance(command, Send):
                reply = left.pop(0)
                said = reply.to(command.call.path)
                bodies = filter(None, reply.pieces(said.body))
                resume = partial(commands.send, Head(said.status, said.headers))
            elif isinstance(command, Read):
                resume = partial(commands.send, next(bodies, b""))
            elif isinstance(command, Out):
                repr(command.items)
    except StopIteration:
        return None
    except MultitapError as error:
        return of_the_house(error)


def of_the_house(error):
    """The error, if it is none of a plugin, and can be shown."""
    if isinstance(error, PluginError):
        raise AssertionError(f"The plugin failed: {error}") from error
    assert str(error)
    assert error.to_dict()
    return error


# ---- through sockets -----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=PLUGINS)
def provider(request):
    return request.param


@pytest.fixture(scope="module")
def server():
    """Gives to each connection the next of ``server.replies``, raw, and closes it."""

    def answer(connection):
        said = server.replies.pop(0) if server.replies else None
        return [send(said.raw(connection.request.path)), close] if said else close

    with Server([request, answer]) as server:
        yield server


@pytest.fixture(scope="module", params=WORLDS, ids=["sync", "async"])
def here(request, provider, server):
    """A runtime of one plugin that tries everything once."""
    config = {"defaults": {"model": f"{provider}:tiny"}, provider: {"endpoint": server.url}}
    with pytest.MonkeyPatch.context() as patch, request.param(config, registry(provider)) as one:
        patch.setattr(RetryPolicy, "delay", lambda *asked: None)
        yield one


VERBS = {
    "stream": ("hi",),
    "chat": ("hi",),
    "embed": (["one", "two"],),
    "rerank": ("q", ["one", "two"]),
    "tokenize": ("one two",),
    "models": ("{}",),
    "describe": ("{}:tiny",),
    "running": ("{}",),
    "slots": (),
    "validate": ("{}",),
}


@dose(EXAMPLES // 5)
@given(verb=st.sampled_from(["stream", *VERBS]), replies=SEVERAL)
def test_what_a_socket_says_ends_in_results_or_an_error_of_ours(
    here, provider, server, verb, replies
):
    server.replies = list(replies)
    given = [g.format(provider) if isinstance(g, str) else g for g in VERBS[verb]]
    try:
        found = here.stream(*given) if verb == "stream" else here.call(verb, *given)
    except MultitapError as error:
        of_the_house(error)
    else:
        assert repr(found)
