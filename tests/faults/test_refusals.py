"""Section 3.7, beyond the class of an error: hints, loading, spent keys, redirects elsewhere."""

from __future__ import annotations

import pytest
from fault_answers import TEXT, good_answer, registry
from fault_asking import KEY, ask, config, ended, facts, works

from multitap.errors import Overloaded, ProtocolError, QuotaExceeded, RateLimited
from multitap.testing import Server, request, respond, send
from multitap.testing.faults import FaultyServer, redirects, refuses

fault = pytest.mark.fault
SPENT = "You exceeded your current quota, please check your plan and billing details"


class AfterThese(Server):
    """Answers a request with each of these in turn, and from then on well."""

    def __init__(self, good, *firsts):
        left = iter(firsts)

        def serve(connection):
            return [request, lambda _: next(left, None) or send(good.raw), serve]

        super().__init__(serve)


def refusal(good, status, **headers):
    return refuses(
        good, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


@fault("D11")
@pytest.mark.parametrize("name", ["retry_after", "retry_after_ms"])
def test_a_short_hint_is_waited_for_and_the_wait_is_told(world, plugin, streamed, name):
    good, value = good_answer(plugin, streamed), {"retry_after": "0.05", "retry_after_ms": "50"}
    with (
        AfterThese(good, refusal(good, 429, **{name: value[name]})) as server,
        world(config(plugin, server.url), registry(plugin)) as here,
    ):
        answer = ask(here, streamed)
    assert (answer.text, [a.delay for a in answer.attempts]) == (TEXT, [0.05, None])


@fault("D12")
@pytest.mark.parametrize("hint", ["61", "3000"])
def test_a_long_hint_is_told_at_once(world, plugin, streamed, hint):
    good = good_answer(plugin, streamed)
    with FaultyServer(good) as server:
        server.breaks(refuses, status=429, headers={"retry-after": hint})
        with world(config(plugin, server.url), registry(plugin)) as here:
            error, _ = ended(here, streamed)
    assert (type(error), error.retry_after, len(error.attempts)) == (RateLimited, float(hint), 1)


@fault("D11")
def test_a_hint_beyond_the_deadline_is_not_waited_for(world, plugin, streamed):
    good = good_answer(plugin, streamed)
    with FaultyServer(good) as server:
        server.breaks(refuses, status=429, headers={"retry-after": "20"})
        with world(config(plugin, server.url), registry(plugin)) as here:
            error, _ = ended(here, streamed, timeout=5)
    assert (type(error), error.retry_after, len(error.attempts)) == (RateLimited, 20.0, 1)


@fault("D14")
@pytest.mark.parametrize("plugin", ["llamaserver", "lmstudio", "openai", "vllm"], indirect=True)
def test_a_spent_account_is_not_asked_again_for_a_while(world, plugin, streamed):
    with FaultyServer(good_answer(plugin, streamed)) as server:
        server.breaks(refuses, status=429, message=SPENT, code="insufficient_quota")
        with world(config(plugin, server.url), registry(plugin)) as here:
            errors = [ended(here, streamed)[0] for _ in range(2)]
            assert len(server.requests) == 1
    assert [type(error) for error in errors] == [QuotaExceeded, QuotaExceeded]


@fault("D18")
@pytest.mark.parametrize("plugin", ["llamaserver", "ollama", "vllm"], indirect=True)
def test_a_model_that_loads_is_waited_for_outside_of_the_attempts(world, plugin, streamed):
    good = good_answer(plugin, streamed)
    loading = refuses(good, status=503, message="Loading model", code="unavailable_error")
    with (
        AfterThese(good, *[loading] * 3) as server,
        world(config(plugin, server.url), registry(plugin)) as here,
    ):
        answer = ask(here, streamed)
    assert answer.text == TEXT


@fault("D18")
@pytest.mark.parametrize("plugin", ["llamaserver", "ollama", "vllm"], indirect=True)
def test_a_model_that_loads_for_ever_ends_with_the_deadline(world, plugin, streamed):
    with FaultyServer(good_answer(plugin, streamed)) as server:
        server.breaks(refuses, status=503, message="Loading model", code="unavailable_error")
        with world(config(plugin, server.url), registry(plugin)) as here:
            error, _ = ended(here, streamed, timeout=0.3)
            server.heals()
            assert works(here, streamed)
    assert (type(error), error.kind) == (Overloaded, "model_loading")


@fault("D23")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_another_host_is_sent_nothing(world, plugin, streamed, status):
    with FaultyServer(good_answer(plugin, streamed)) as server, Server([respond()]) as canary:
        user = canary.url.replace("//", f"//127.0.0.1:{server.port}@")
        for target in (canary.url, f"//127.0.0.1:{canary.port}/", user):
            server.breaks(redirects, status=status, location=f"{target}/v1?key=secret")
            with world(config(plugin, server.url), registry(plugin)) as here:
                error, _ = ended(here, streamed)
                assert facts(error)[::3] == (ProtocolError, 1)
            assert error.kind == "redirect_refused"
            assert "127.0.0.1" in str(error)
            assert [w for w in ("secret", KEY, "@") if w in str(error)] == []
        assert canary.connections == []
