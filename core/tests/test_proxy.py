"""Which way a backend is reached: carriers, proxies, and what neither may be shown."""

from __future__ import annotations

import base64
import os
import ssl
import sys
import threading
from functools import partial
from pathlib import Path

import httpx
import letters
import pytest
from letters import OverHttp

from multitap.config import Section, load_config
from multitap.config.routes import Route, client_route, route_of, system_proxy
from multitap.engine.carrier import Request
from multitap.engine.direct.aio import AsyncDirectCarrier
from multitap.engine.direct.sync import DirectCarrier
from multitap.engine.httpx_carrier import AsyncHttpxCarrier, HttpxCarrier
from multitap.errors import BackendError, ConfigError, ProviderDown, ProxyFailed, Timeout
from multitap.policy.clocks import Clocks
from multitap.runtime import Runtime
from multitap.testing import (
    WORLDS,
    Gate,
    Server,
    client_closed,
    close,
    request,
    reset,
    respond,
    secure,
    send,
    tell,
)
from multitap.work import HttpCall

CEILING = 10.0
KEY = "hush-canary-1234567890"
PASSWORD = "p@ss/word"
USER = "me:p%40ss%2Fword"
CERTIFICATE = Path(__file__).parent / "data" / "localhost.pem"  # for tests alone; it names no one
HELLO = respond(body="Hello.")
PROXIES = {"http": "http://a:1", "https": "http://b:2"}


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    """Makes a runtime of one backend with a key."""
    yield from worlds_of(request.param)


@pytest.fixture(
    params=[(kind, carrier) for carrier in ("direct", "httpx") for kind in WORLDS],
    ids=["direct", "direct-async", "httpx", "httpx-async"],
)
def any_carrier(request):
    """The same, with each of the carriers."""
    kind, carrier = request.param
    yield from worlds_of(kind, carrier=carrier)


def worlds_of(kind, **common):
    opened = []

    def make(endpoint, **section):
        settings = {"endpoint": endpoint, "api_key": KEY, **common, **section}
        config = {"defaults": {"model": "acme:tiny"}, "acme": settings}
        opened.append(kind(config, letters.registry(acme=OverHttp())))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture
def identity(monkeypatch):
    """What the servers are, and what the runtime trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    return context


def through(server, user=""):
    return server.url.replace("//", f"//{user}@") if user else server.url


def failure(here):
    with pytest.raises(ProxyFailed) as caught:
        here.call("chat", "hi")
    shown = f"{caught.value} {caught.value!r} {caught.value.to_dict()}"
    assert not [secret for secret in (KEY, PASSWORD, USER, "p%40ss") if secret in shown]
    assert caught.value.retryable is False
    assert len(caught.value.attempts) == 1
    return caught.value


# ---- what goes over the wire ---------------------------------------------------------------------


def test_a_plain_backend_is_asked_in_absolute_form(any_carrier):
    with Server([request, HELLO, request, HELLO]) as proxy:
        here = any_carrier("http://box.example:8000/base", proxy=through(proxy, USER))
        assert [here.call("chat", "hi").text for _ in range(2)] == ["Hello", "Hello"]
        (first, second) = proxy.requests
        assert len(proxy.connections) == 1
    assert first.target == second.target == "http://box.example:8000/base/chat"
    assert first.headers["host"] == "box.example:8000"
    credentials = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    assert first.headers["proxy-authorization"] == f"Basic {credentials}"
    assert first.headers["authorization"] == f"Bearer {KEY}"


def test_a_secure_backend_is_reached_through_a_tunnel_that_sees_no_key(any_carrier, identity):
    opened = send("HTTP/1.1 200 Connection established\r\n\r\n")
    with Server([request, opened, secure(identity), request, HELLO]) as proxy:
        answer = any_carrier("https://127.0.0.1:9", proxy=through(proxy, USER)).call("chat", "hi")
        connect, chat = proxy.requests
    assert (answer.text, connect.method, connect.target) == ("Hello", "CONNECT", "127.0.0.1:9")
    assert "proxy-authorization" in connect.headers
    assert KEY.encode() not in connect.raw
    assert (chat.target, chat.headers["authorization"]) == ("/chat", f"Bearer {KEY}")
    assert "proxy-authorization" not in chat.headers


def test_a_proxy_that_itself_speaks_tls(any_carrier, identity):
    with Server([request, HELLO], tls=identity) as proxy:
        assert any_carrier("http://box.example", proxy=proxy.url).call("chat", "hi").text == "Hello"


@pytest.mark.parametrize("endpoint", ["http://box.example", "https://box.example"])
def test_a_proxy_that_wants_other_credentials(any_carrier, endpoint):
    refusal = respond(407, {"proxy-authenticate": "Basic"}, f"not {PASSWORD} {KEY}")
    with Server([request, refusal, close]) as proxy:
        error = failure(any_carrier(endpoint, proxy=through(proxy, USER)))
        assert f"http://***@127.0.0.1:{proxy.port}" in str(error)
    assert (error.status, error.kind, error.backend) == (407, "proxy_failed", "acme")


def test_a_proxy_that_refuses_the_tunnel(any_carrier):
    with Server([request, respond(403, {}, KEY), close]) as proxy:
        error = failure(any_carrier("https://box.example", proxy=proxy.url))
    assert (error.status, "refused to connect (403)" in str(error)) == (403, True)


def test_a_proxy_that_is_not_there(any_carrier):
    error = failure(any_carrier("http://box.example", proxy=f"http://{USER}@127.0.0.1:1"))
    assert "Cannot connect to the proxy http://***@127.0.0.1:1" in str(error)


def test_an_answer_of_the_backend_itself_is_not_the_proxys_fault(any_carrier):
    with Server([request, respond(407, {}, "odd")]) as server:
        here = any_carrier(server.url)
        with pytest.raises(ProviderDown) as caught:
            here.call("chat", "hi")
    first = caught.value.attempts[0].error
    assert (type(first), first.message, first.status) == (ProviderDown, "odd", 407)


# ---- a proxy that speaks SOCKS -------------------------------------------------------------------

NO_USER, WITH_USER, NEITHER = b"\x05\x00", b"\x05\x02", b"\x05\xff"
CONNECTED = b"\x05\x00\x00\x01" + bytes(6)
NAME = b"\x05\x01\x00\x03\x0bbox.example" + (8000).to_bytes(2, "big")
GREETING = 3  # bytes: the version, and one method
CREDENTIALS = 3 + len("me") + len(PASSWORD)


def socks(server, user=""):
    return through(server, user).replace("http:", "socks5:")


def took(seen, size):
    """A step that waits for so many bytes, and notes them."""

    async def take(connection):
        seen.append(await connection.take(size))

    return take


def opened(seen):
    """The words of a proxy that wants no user, and connects."""
    return [took(seen, GREETING), send(NO_USER), took(seen, len(NAME)), send(CONNECTED)]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_backend_is_reached_through_socks_by_its_name(world, scheme):
    seen = []
    with Server([*opened(seen), request, HELLO, request, HELLO]) as proxy:
        url = proxy.url.replace("http:", f"{scheme}:")
        here = world("http://box.example:8000", proxy=url)
        assert [here.call("chat", "hi").text for _ in range(2)] == ["Hello", "Hello"]
        assert len(proxy.connections) == 1
        assert [sent.target for sent in proxy.requests] == ["/chat", "/chat"]
    assert seen == [b"\x05\x01\x00", NAME]


def test_the_socks_proxy_gets_the_user_and_never_the_key(world, identity):
    seen = []
    asked = [took(seen, GREETING), send(WITH_USER), took(seen, CREDENTIALS), send(b"\x01\x00")]
    connect = [took(seen, 10), send(CONNECTED)]  # an IPv4 address
    with Server([*asked, *connect, secure(identity), request, HELLO]) as proxy:
        here = world("https://127.0.0.1:9", proxy=socks(proxy, USER))
        assert here.call("chat", "hi").text == "Hello"
        assert proxy.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert seen[1] == b"\x01\x02me\x09" + PASSWORD.encode()
    assert KEY.encode() not in b"".join(seen)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([send(NEITHER), client_closed], "wants a user and a password"),
        (
            [send(WITH_USER), took([], CREDENTIALS), send(b"\x01\x01"), client_closed],
            "wants a user and a password",
        ),
        (
            [send(WITH_USER), took([], CREDENTIALS), send(b"\x01\x00"), took([], 18), close],
            "refused to",
        ),
        ([send(b"HTTP/1.1 400 Bad Request\r\n\r\n"), client_closed], "refused to connect"),
        ([close], "refused to connect"),
        ([reset], "refused to connect"),
    ],
    ids=["no method", "wrong user", "hung up", "no SOCKS", "closed", "reset"],
)
def test_a_socks_proxy_that_will_not(world, words, said):
    with Server([took([], GREETING), *words]) as proxy:
        error = failure(world("http://box.example:8000", proxy=socks(proxy, USER)))
        assert f"socks5://***@127.0.0.1:{proxy.port} {said}" in str(error)
        it = proxy.connection(0)
        assert it.closed or it.closed_by_client.wait(CEILING)


@pytest.mark.parametrize("code", [3, 4, 5, 6])
def test_a_backend_that_is_not_there_behind_socks_is_tried_again(world, code):
    seen = []
    refused = b"\x05" + bytes([code]) + CONNECTED[2:]
    again = [took(seen, GREETING), send(NO_USER), took(seen, len(NAME)), send(refused)]
    with Server([*again, client_closed], [*opened(seen), request, HELLO]) as proxy:
        answer = world("http://box.example:8000", proxy=socks(proxy)).call("chat", "hi")
    first, second = answer.attempts
    assert (first.error.kind, second.error) == ("connect_failed", None)
    assert "says the proxy" in str(first.error)


def test_a_socks_proxy_that_says_nothing_is_left(world, monkeypatch):
    monkeypatch.setattr(
        "multitap.runtime.traffic.Clocks", partial(Clocks, connect=0.05), raising=True
    )
    with Server([took([], GREETING), client_closed]) as proxy:
        here = world("http://box.example:8000", proxy=socks(proxy))
        with pytest.raises(Timeout) as caught:
            here.call("chat", "hi")
        assert proxy.connection(0).closed_by_client.wait(CEILING)
    assert (caught.value.kind, caught.value.phase) == ("connect_timeout", "connect")


def test_a_socks_proxy_that_is_not_there(world):
    error = failure(world("http://box.example", proxy=f"socks5://{USER}@127.0.0.1:1"))
    assert "Cannot connect to the proxy socks5://***@127.0.0.1:1" in str(error)


def test_giving_up_while_a_socks_proxy_is_silent():
    came = Gate()
    with Server([took([], GREETING), tell(came), client_closed]) as proxy:
        carrier = HttpxCarrier("http://box.example:8000", proxy=socks(proxy))
        transfer = carrier.transfer()
        thread = threading.Thread(target=lambda: came.wait(CEILING) and transfer.abort())
        thread.start()
        with pytest.raises(BackendError) as caught:
            transfer.send(Request(call=HttpCall(method="GET", path="/"), headers={}), Clocks())
        thread.join()
        assert proxy.connection(0).closed_by_client.wait(CEILING)
        carrier.close()
    assert caught.value.kind == "aborted"


@pytest.mark.parametrize("proxy", ["socks5://h:1", "SOCKS5H://h:1", "system"])
def test_without_the_package_for_socks_the_error_names_the_extra(world, monkeypatch, proxy):
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://h:1")
    for name in ("HTTP_PROXY", "http_proxy", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match=r"pip install 'multitap\[socks\]'"):
        world("http://box.example", proxy=proxy).call("chat", "hi")


# ---- which carrier -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "kinds"),
    [
        ({}, (DirectCarrier, AsyncDirectCarrier)),
        ({"carrier": "auto", "proxy": "none"}, (DirectCarrier, AsyncDirectCarrier)),
        ({"carrier": "direct"}, (DirectCarrier, AsyncDirectCarrier)),
        ({"carrier": "httpx"}, (HttpxCarrier, AsyncHttpxCarrier)),
        ({"proxy": "{server}"}, (DirectCarrier, AsyncDirectCarrier)),
        ({"proxy": "{server}", "carrier": "httpx"}, (HttpxCarrier, AsyncHttpxCarrier)),
    ],
)
def test_the_section_says_which_carrier(world, monkeypatch, section, kinds):
    used = []
    for kind in (DirectCarrier, AsyncDirectCarrier, HttpxCarrier, AsyncHttpxCarrier):
        monkeypatch.setattr(kind, "transfer", _noted(kind.transfer, used))
    with Server([request, HELLO]) as server:
        settings = {key: value.format(server=server.url) for key, value in section.items()}
        world(server.url, **settings).call("chat", "hi")
    (carrier,) = used
    assert isinstance(carrier, kinds)


def _noted(transfer, used):
    def noting(carrier):
        used.append(carrier)
        return transfer(carrier)

    return noting


@pytest.fixture
def environment(monkeypatch):
    """No proxy is set, but what a test sets."""
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_PROXY".upper(), raising=False)
    return monkeypatch.setenv


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_environments_proxy_is_taken(any_carrier, environment, name):
    with Server([request, HELLO]) as proxy:
        environment(name, through(proxy, USER))
        assert any_carrier("http://box.example").call("chat", "hi").text == "Hello"
        assert proxy.requests[0].target == "http://box.example/chat"
        assert "proxy-authorization" in proxy.requests[0].headers


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY"])
def test_the_environments_proxy_of_secure_backends_is_taken(
    any_carrier, environment, identity, name
):
    opened = send("HTTP/1.1 200 Connection established\r\n\r\n")
    with Server([request, opened, secure(identity), request, HELLO]) as proxy:
        environment(name, proxy.url)
        environment("http_proxy", "http://127.0.0.1:1")
        here = any_carrier("https://localhost.localdomain")
        with pytest.raises(BackendError):  # the certificate is for another host
            here.call("chat", "hi")
        assert proxy.requests[0].method == "CONNECT"


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_what_is_excepted_in_the_environment_is_asked_itself(environment, name):
    environment("https_proxy", "http://127.0.0.1:1")
    environment(name, "box.example,.other.example")
    section = Section(name="a", provider="acme")
    endpoints = ["https://box.example", "https://x.other.example:8443", "https://y.example"]
    proxies = [route_of(section, endpoint).proxy for endpoint in endpoints]
    assert proxies == [None, None, "http://127.0.0.1:1"]


@pytest.mark.parametrize("proxy", [{}, {"proxy": "system"}, {"proxy": "none"}])
def test_this_machine_is_never_reached_through_the_environments_proxy(
    any_carrier, environment, proxy
):
    environment("http_proxy", "http://127.0.0.1:1")
    environment("all_proxy", "http://127.0.0.1:1")
    with Server([request, HELLO]) as server:
        assert any_carrier(server.url, **proxy).call("chat", "hi").text == "Hello"


def test_a_section_may_go_past_the_environments_proxy(environment):
    environment("https_proxy", "http://127.0.0.1:1")
    section = Section(name="a", provider="acme", proxy="none")
    assert route_of(section, "https://box.example") == Route("direct")


def test_a_proxy_of_a_section_is_stronger_and_the_environment_stays(any_carrier, environment):
    environment("http_proxy", "http://127.0.0.1:1")
    environment("no_proxy", "*")
    before = dict(os.environ)
    with Server([request, HELLO]) as proxy:
        here = any_carrier("http://box.example", proxy=proxy.url)
        assert here.call("chat", "hi").text == "Hello"
    assert dict(os.environ) == before


def test_a_client_of_httpx_takes_nothing_from_the_environment(environment):
    environment("http_proxy", "http://127.0.0.1:1")
    carrier = HttpxCarrier("http://box.example")
    assert carrier.client.trust_env is False
    carrier.close()


@pytest.mark.parametrize("proxy", [{}, {"proxy": "system"}])
def test_the_systems_proxy_is_looked_up_for_each_request(any_carrier, environment, proxy):
    script = [request, HELLO]
    with Server(script) as one, Server(script) as two:
        here = any_carrier("http://box.example", **proxy)
        for server in (one, two):
            environment("http_proxy", server.url)
            assert here.call("chat", "hi").text == "Hello"
        assert [len(server.requests) for server in (one, two)] == [1, 1]


def test_where_the_proxy_comes_from_is_told(environment):
    environment("HTTPS_PROXY", f"http://{USER}@p:3128")
    route = route_of(Section(name="a", provider="acme"), "https://box.example")
    assert str(route) == "direct, through the proxy http://***@p:3128 (HTTPS_PROXY)"
    environment("https_proxy", "http://q:3128")
    route = route_of(Section(name="a", provider="acme"), "https://box.example")
    assert str(route) == "direct, through the proxy http://q:3128 (https_proxy)"


def test_a_socks_proxy_of_the_environment_and_a_carrier_that_knows_none(environment):
    environment("all_proxy", "socks5://p:1080")
    section = Section(name="a", provider="acme", carrier="direct")
    with pytest.raises(ConfigError, match="all_proxy, which needs httpx") as caught:
        route_of(section, "https://box.example")
    assert caught.value.key == "a.carrier"
    assert route_of(section, "http://127.0.0.1:1") == Route("direct")


@pytest.mark.parametrize(
    ("endpoint", "proxies", "bypass", "found"),
    [
        ("http://box.example", PROXIES, "", "http://a:1"),
        ("https://box.example", PROXIES, "", "http://b:2"),
        ("https://box.example", {"all": "c:3"}, "", "http://c:3"),
        ("https://box.example", {"http": "http://a:1"}, "", None),
        ("https://box.example", PROXIES, "example", None),
        ("https://box.example:8443", PROXIES, "box.example:8443", None),
        ("https://box.example", PROXIES, "*", None),
        ("http://127.0.0.1:8000", PROXIES, "", None),
        ("http://localhost:8000", PROXIES, "", None),
        ("unix:///run/llm.sock", {"all": "http://a:1"}, "", None),
        ("https://box.example", {}, "", None),
    ],
)
def test_the_systems_proxy_and_its_exceptions(monkeypatch, endpoint, proxies, bypass, found):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, bypass)
    proxy = system_proxy(endpoint, proxies)
    assert (proxy and proxy.url) == found


@pytest.mark.parametrize("proxy", [f"socks4://{USER}@p:1", f"http://{USER}@p:1/path", "http://:1"])
def test_a_proxy_of_the_system_that_is_none_of_http_is_an_error(proxy):
    with pytest.raises(ConfigError, match="of the system") as caught:
        system_proxy("https://box.example", {"https": proxy})
    assert "p%40ss" not in str(caught.value)


def test_a_client_of_the_applications_has_authorities_of_its_own():
    section = Section(name="a", provider="acme", ca_file="/ca.pem")
    with pytest.raises(ConfigError, match="has a ca_file") as caught:
        client_route(section)
    assert caught.value.key == "a.ca_file"


def test_a_client_of_the_applications_has_proxies_of_its_own():
    section = Section(name="a", provider="acme")
    assert client_route(section) == Route("httpx")
    config = {"acme": {"endpoint": "http://h", "proxy": f"http://{USER}@p:1"}}
    registry = letters.registry(acme=OverHttp())
    with (
        httpx.Client() as client,
        Runtime(config, registry=registry, http=client) as rt,
        pytest.raises(ConfigError, match="has a proxy") as caught,
    ):
        rt.chat("hi", model="acme:tiny")
    assert "p%40ss" not in str(caught.value)


# ---- authorities ---------------------------------------------------------------------------------


def test_a_backend_with_authorities_of_its_own(any_carrier, tmp_path, monkeypatch):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with Server([request, HELLO], tls=context) as server:
        here = any_carrier(server.url, ca_file=str(CERTIFICATE))
        assert here.call("chat", "hi").text == "Hello"


def test_authorities_that_are_not_there(any_carrier, tmp_path):
    here = any_carrier("https://127.0.0.1:1", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ConfigError, match="ca_file cannot be read"):
        here.call("chat", "hi")


def test_a_path_of_authorities_starts_at_its_file(tmp_path):
    (tmp_path / "llm.toml").write_text("[acme]\nca_file = 'ca.pem'\n")
    section = load_config(tmp_path / "llm.toml", environ={}).sections["acme"]
    assert section.ca_file == str(tmp_path / "ca.pem")
    assert route_of(section, "http://h").ca_file == section.ca_file


# ---- what it is written as -----------------------------------------------------------------------


def test_credentials_are_shown_nowhere():
    config = load_config({"acme": {"proxy": f"http://{USER}@p:3128"}}, environ={})
    section = config.sections["acme"]
    route = route_of(section, "http://h")
    shown = [repr(config), repr(section), str(section), repr(route), str(route), route.shown_proxy]
    assert [text for text in shown if "p%40ss" in text] == []
    assert route.proxy == f"http://{USER}@p:3128"
    assert str(route) == "direct, through the proxy http://***@p:3128"


@pytest.mark.parametrize(
    ("section", "words"),
    [
        ({"proxy": "socks4://h:1"}, "has to be a URL such as"),
        ({"proxy": f"socks5://me:{KEY}@h/path"}, "no path"),
        ({"proxy": "proxy:3128"}, "has to be a URL such as"),
        ({"proxy": f"http://me:{KEY}@h/path"}, "no path"),
        ({"proxy": f"http://me:{KEY}@x@h"}, "percent-encoded"),
        ({"proxy": f"http://me:{KEY}é@h"}, "percent-encoded"),
        ({"proxy": f"http://me:{KEY}@h:port"}, "host or port is wrong"),
        ({"proxy": f"http://me: {KEY}@h"}, "blanks"),
        ({"proxy": f"http://h?{KEY}"}, "query"),
        ({"carrier": "curl"}, "has to be one of auto, direct, httpx"),
        ({"carrier": "direct", "proxy": "socks5://h:1"}, "carrier is direct"),
        ({"carrier": "direct", "proxy": "SOCKS5H://h:1"}, "carrier is direct"),
    ],
)
def test_what_cannot_be_is_a_config_error_that_shows_no_password(section, words):
    with pytest.raises(ConfigError, match=words) as caught:
        load_config({"acme": section}, environ={})
    assert KEY not in str(caught.value)


# ---- a project's file ----------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A user's file with a key, and a project that somebody cloned."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    (tmp_path / "home/multitap").mkdir(parents=True)
    project.mkdir()
    monkeypatch.chdir(project)
    mine = f"[acme]\nendpoint = 'http://box.example'\napi_key = '{KEY}'\n"
    (tmp_path / "home/multitap/llm.toml").write_text(mine)

    def clone(text):
        (project / "llm.toml").write_text(text)

    return clone


@pytest.mark.parametrize(
    ("text", "environ", "key"),
    [
        ("", {}, KEY),
        ("proxy = 'http://evil.example:1'", {}, None),
        ("proxy = 'http://127.0.0.1:1'", {}, None),
        ("proxy = 'none'", {}, KEY),
        ("proxy = 'system'", {}, KEY),
        ("carrier = 'httpx'", {}, KEY),
        ("proxy = 'http://evil.example:1'\napi_key = 'its own'", {}, "its own"),
        ("proxy = 'http://evil.example:1'\napi_key = 'env:MINE'", {"MINE": KEY}, None),
        ("proxy = 'http://127.0.0.1:1'\napi_key = 'env:MINE'", {"MINE": KEY}, KEY),
        (
            "endpoint = 'http://127.0.0.1:2'\nproxy = 'http://evil:1'\napi_key = 'env:MINE'",
            {"MINE": KEY},
            None,
        ),
        ("proxy = 'http://p:1'", {"MULTITAP_ACME__PROXY": "http://p:1"}, KEY),
    ],
)
def test_a_projects_proxy_gets_no_key_of_the_users(places, text, environ, key):
    places(f"[acme]\n{text}")
    section = load_config(environ={**os.environ, **environ}).sections["acme"]
    found = section.api_key and section.api_key.reveal()
    assert found == key
    assert (section.withheld is not None) == (key is None)


def test_a_withheld_key_says_how_to_allow_it(places, monkeypatch):
    from multitap.config import build_backend
    from multitap.errors import AuthenticationError
    from multitap.manifest import KeyInfo, ProviderInfo

    monkeypatch.setenv("ACME_KEY", KEY)
    places("[acme]\nproxy = 'http://evil.example:1'\n")
    info = ProviderInfo(name="acme", key=KeyInfo(variable="ACME_KEY", required=True))
    backend = build_backend(load_config().sections["acme"], info)
    with pytest.raises(AuthenticationError, match="MULTITAP_ACME__PROXY to that proxy"):
        backend.auth(None, b"")
