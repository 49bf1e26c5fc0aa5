"""A plugin that can only be validated, in both runtimes and everywhere else that lists plugins."""

from __future__ import annotations

from datetime import datetime, timezone

import attrs
import letters
import pytest
from letters import OverHttp, Typist

from multitap.capabilities.provider import Validation
from multitap.errors import (
    AuthenticationError,
    ConfigError,
    ModelNotFound,
    NotSupported,
    PluginError,
    ProtocolError,
)
from multitap.hookspecs import hookimpl
from multitap.testing import WORLDS, Server, request, send
from multitap.work import Exchange, HttpCall, LocalExchange

KEY = {"acme": {"endpoint": "http://127.0.0.1:9"}}


class Reader:
    """A body of one line is the account."""

    def __init__(self):
        self.body = b""

    def feed(self, data):
        self.body += data
        return []

    def finish(self):
        return [Validation(account=self.body.decode())]


class Desk:
    """Nothing but the one hook, over HTTP."""

    @hookimpl
    def multitap_provider(self, backend):
        return self

    def validate(self, model):
        call = HttpCall(method="GET", path=f"/key/{model}")
        return Exchange(
            call=call,
            decoder=lambda head: Reader(),
            explain=lambda reply: AuthenticationError(f"Refused with {reply.status}"),
        )


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    opened = []

    def make(plugin, **config):
        opened.append(request.param(config, letters.registry(acme=plugin)))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def reply(body, status=b"200 OK"):
    return send(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        (((), {}), b"/key/None"),
        ((("acme",), {}), b"/key/None"),
        ((("acme",), {"model": "tiny:8b"}), b"/key/tiny:8b"),
        (((), {"model": "acme:tiny"}), b"/key/tiny"),
    ],
)
def test_the_hook_is_asked_with_the_model_that_was_named(world, asked, path):
    args, options = asked
    with Server([request, reply(b"ada")]) as server:
        here = world(Desk(), acme={"endpoint": server.url})
        assert here.call("validate", *args, **options) == Validation(account="ada")
    assert server.requests[0].raw.split()[1] == path


def test_the_default_model_is_validated_too(world):
    with Server([request, reply(b"ada")]) as server:
        config = {"acme": {"endpoint": server.url}, "defaults": {"model": "acme:tiny"}}
        world(Desk(), **config).call("validate")
    assert server.requests[0].raw.split()[1] == b"/key/tiny"


def test_a_refusal_is_the_typed_error_and_names_the_backend(world):
    with Server([request, reply(b"", b"401 Unauthorized")]) as server:
        here = world(Desk(), box={"provider": "acme", "endpoint": server.url})
        with pytest.raises(AuthenticationError, match=r"^box: Refused with 401") as caught:
            here.call("validate", "box")
    assert (caught.value.status, caught.value.backend) == (401, "box")


def test_a_plugin_with_this_hook_alone_is_fine_everywhere(world):
    here = world(Desk(), **KEY)
    parts = here.rt
    assert [(r.capability, r.provider) for r in parts.capabilities() if r.provider == "acme"] == [
        ("provider", "acme")
    ]
    assert [info.capabilities for info in parts.providers()] == [("provider",)]
    assert [backend.id for backend in parts.backends()] == ["acme"]
    assert here.call("models") == []
    assert here.call("probe") == []
    assert here.call("check", "acme:tiny").error.kind == "not_supported"
    with pytest.raises(NotSupported, match="acme has no chat"):
        here.call("chat", "hi", model="acme:tiny")


def test_without_the_hook_the_catalog_is_asked(world):
    with Server([request, reply(b"tiny big")], [request, reply(b"tiny big")]) as server:
        here = world(OverHttp(), acme={"endpoint": server.url})
        assert here.call("validate", "acme") == Validation(models=2)
        with pytest.raises(ModelNotFound, match="did you mean 'tiny'") as caught:
            here.call("validate", "acme", model="tinny")
    assert (caught.value.backend, caught.value.model) == ("acme", "tinny")


def test_a_listed_model_is_proved_by_the_catalog(world):
    with Server([request, reply(b"tiny big")]) as server:
        here = world(OverHttp(), acme={"endpoint": server.url})
        assert here.call("validate", model="acme:big").models == 2


def test_with_neither_hook_it_is_not_supported(world):
    with pytest.raises(NotSupported, match=r"acme: .*neither be validated nor list"):
        world(Typist(), **KEY).call("validate", "acme")


def test_an_unknown_backend_is_named(world):
    with pytest.raises(ConfigError, match="no backend 'nobody'"):
        world(Desk(), **KEY).call("validate", "nobody")


def test_a_broken_hook_is_an_error_and_the_catalog_no_way_around_it(world):
    class Broken(OverHttp):
        @hookimpl
        def multitap_provider(self, backend):
            return None

    with pytest.raises(PluginError, match="multitap_provider returned None"):
        world(Broken(), **KEY).call("validate", "acme")


@pytest.mark.parametrize("count", [0, 2])
def test_there_is_exactly_one_result(world, count):
    class Chatty(Desk):
        def validate(self, model):
            return LocalExchange(lambda emit: emit([Validation()] * count) and None)

    with pytest.raises(ProtocolError, match=f"{count} results"):
        world(Chatty(), **KEY).call("validate", "acme")


def test_the_json_form_has_what_is_known():
    end = datetime(2027, 1, 2, tzinfo=timezone.utc)
    assert Validation(expires_at=end, remaining=0.0, models=0).to_dict() == {
        "expires_at": "2027-01-02T00:00:00+00:00",
        "remaining": 0.0,
        "models": 0,
    }
    assert not any(attrs.astuple(Validation()))
