"""Requests as observers are told of them: true, masked, bounded, and only for those who ask."""

from __future__ import annotations

import letters
import pytest
from command_line import run_here
from hypothesis import given
from hypothesis import strategies as st
from interpreter import OK, a_call, drive, post
from letters import OverHttp, Poller, Typist

from multitap.engine.carrier import Request
from multitap.engine.flow import Flow
from multitap.engine.request import prepare
from multitap.engine.trace import LONGEST_BODY, shown_headers, wire_request
from multitap.engine.watch import Watch
from multitap.extensions import CallInfo
from multitap.hookspecs import hookimpl
from multitap.testing import WORLDS, Server, request, respond
from multitap.work import Backend, File, HttpCall, Multipart

KEY = "hush-canary-1234567890"
HELLO = respond(200, {"content-type": "text/plain", "set-cookie": f"a={KEY}"}, "Hello.")


class Plain:
    """An observer that is told nothing of requests."""

    def __init__(self, told):
        self.told = told

    @hookimpl
    def multitap_observer(self):
        return self

    def call_started(self, call):
        self.told.append(("call",))

    def attempt_started(self, call, number):
        self.told.append(("attempt", number))

    def attempt_ended(self, call, end):
        self.told.append(("attempt over",))

    def call_ended(self, call, end):
        self.told.append(("call over",))


class Tracer(Plain):
    def request_sent(self, call, request):
        self.told.append(("sent", request))

    def response_started(self, call, status, headers):
        self.told.append(("answered", status, dict(headers)))


class Broken(Tracer):
    def request_sent(self, *facts):
        raise ValueError(KEY)

    response_started = request_sent


@pytest.fixture
def told():
    return []


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request, told):
    """Makes a runtime of one backend with a key, and observers."""
    opened = []

    def make(url, *observers, plugin=None):
        config = {"defaults": {"model": "acme:tiny"}, "acme": {"endpoint": url, "api_key": KEY}}
        registry = letters.registry(acme=plugin or OverHttp())
        for number, observer in enumerate(observers or (Tracer(told),)):
            name = f"o{number}"
            registry.add(observer, name, ["extension"], distribution=f"dist-{name}")
        opened.append(request.param(config, registry))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def kinds(told):
    return [kind for kind, *_ in told]


COURSE = ["call", "attempt", "sent", "answered", "attempt over", "call over"]


def test_the_request_is_the_true_one_without_its_key(world, told):
    with Server([request, HELLO]) as server:
        world(server.url).call("chat", f"my key is {KEY}")
        came = server.requests[0]
        (sent,) = [facts[0] for kind, *facts in told if kind == "sent"]
        assert kinds(told) == COURSE
        assert (sent.method, sent.url) == ("POST", f"{server.url}/chat")
    carriers_own = {"host", "content-length", "accept-encoding"}
    masked = {**came.headers, "authorization": "***"}
    assert {name.lower(): value for name, value in sent.headers.items()} == {
        name: value for name, value in masked.items() if name not in carriers_own
    }
    assert sent.body == came.body.decode().replace(KEY, "***")
    assert sent.size == len(came.body)
    assert KEY not in repr(told)


def test_the_answers_status_and_headers_are_told(world, told):
    with Server([request, HELLO]) as server:
        world(server.url).call("chat", "hi")
    (answered,) = [facts for kind, *facts in told if kind == "answered"]
    assert answered == [
        200,
        {"content-length": "6", "content-type": "text/plain", "set-cookie": "***"},
    ]


def test_every_attempt_has_its_own_request(world, told):
    busy = respond(503, {"retry-after": "0"}, "busy")
    with Server([request, busy, request, HELLO]) as server:
        world(server.url).call("chat", "hi")
    again = COURSE[1:5]
    assert kinds(told) == ["call", *again, *again, "call over"]
    assert [facts[0] for kind, *facts in told if kind == "answered"] == [503, 200]


def test_every_request_of_an_operation_is_told(world, told):
    with Server([request, HELLO, request, HELLO]) as server:
        world(server.url, plugin=Poller()).call("chat", "hi")
        urls = [facts[0].url for kind, *facts in told if kind == "sent"]
        assert urls == [f"{server.url}/ready", f"{server.url}/chat"]


def test_a_server_that_is_not_there_has_no_answer(world, told):
    with pytest.raises(Exception, match="Cannot connect"):
        world("http://127.0.0.1:1").call("chat", "hi", timeout=0.2)
    assert "sent" in kinds(told)
    assert "answered" not in kinds(told)


def test_work_in_this_process_has_no_request(world, told):
    world("http://127.0.0.1:9", plugin=Typist("Hi.")).call("chat", "hi")
    assert "sent" not in kinds(told)


def test_faults_of_a_tracer_reach_no_call(world, told):
    with Server([request, HELLO]) as server:
        here = world(server.url, Broken(told), Tracer(told))
        assert here.call("chat", "hi").text == "Hello"
        assert here.rt.observer_faults == {"dist-o0": 2}
    assert kinds(told).count("sent") == 1


def test_nothing_is_put_together_for_those_who_do_not_ask(world, told, monkeypatch):
    made = []
    monkeypatch.setattr("multitap.engine.request.wire_request", lambda *facts: made.append(facts))
    monkeypatch.setattr("multitap.engine.flow.shown_headers", lambda *facts: made.append(facts))
    with Server([request, HELLO]) as server:
        world(server.url, Plain(told)).call("chat", "hi")
    assert (made, kinds(told)) == ([], [kind for kind in COURSE if kind[:3] not in ("sen", "ans")])


@pytest.mark.parametrize(
    "methods",
    [
        {"request_sent": lambda call, request: None},
        {"request_sent": lambda call: None, "response_started": lambda *facts: None},
    ],
)
def test_half_a_tracer_is_quarantined(world, told, methods):
    half = Plain(told)
    vars(half).update(methods)
    with Server([request, HELLO]) as server:
        here = world(server.url, half)
        assert here.call("chat", "hi").text == "Hello"
    assert told == []


# ---- what is shown -------------------------------------------------------------------------------


class Auth:
    """A key, and a signature made with it, in headers of any name."""

    def __call__(self, call, body):
        return {"X-Acme": "s1gned", "Authorization": f"Bearer {KEY}"}

    def redact(self, text):
        return text.replace(KEY, "***")


BACKEND = Backend(id="a", provider="acme", endpoint="http://h/base", auth=Auth())


class Listener:
    traces = True
    hears = False

    def __init__(self):
        self.told = []

    def tell(self, method, call, *facts):
        self.told.append((method, *facts))


CALL = CallInfo(
    id="1", capability="chat", backend="a", provider="acme", distribution="d", model="m",
    streamed=True,
)  # fmt: skip


def test_headers_that_the_key_made_are_masked_whatever_their_name():
    listener = Listener()
    watch = Watch(CALL, [listener])
    watch.call_started()
    call = a_call(post(), backend=BACKEND, watch=watch)
    wanted = HttpCall(method="GET", path=f"/x?key={KEY}", headers={"x-plain": f"of {KEY}"})
    prepared = prepare(call, wanted)
    assert prepared.headers["X-Acme"] == "s1gned"
    (_, sent) = listener.told[-1]
    shown = {"X-Acme": "***", "Authorization": "***", "x-plain": "of ***"}
    assert {name: sent.headers[name] for name in shown} == shown
    assert sent.url == "http://h/base/x?key=***"


def test_nothing_is_told_before_the_start_and_after_the_end():
    listener = Listener()
    watch = Watch(CALL, [listener])
    flow = Flow(a_call(post(), backend=BACKEND, watch=watch))
    prepare(a_call(post(), backend=BACKEND, watch=watch), HttpCall(method="GET", path="/"))
    drive(flow, [OK, b"a."])
    watch.call_ended()
    watch.response_started(200, {})
    names = [name for name, *_ in listener.told]
    assert names.count("request_sent") == 0
    assert names.count("response_started") == 1
    assert names[-1] == "call_ended"


@pytest.mark.parametrize(
    "name",
    ["Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-API-Key", "api-key",
     "apikey", "x-goog-api-key", "X-Auth-Token", "x-amz-security-token", "Client-Secret"],
)  # fmt: skip
def test_headers_that_are_called_like_keys_are_masked(name):
    assert shown_headers(Backend(id="a", provider="p"), {name: KEY}) == {name: "***"}


def test_other_headers_are_shown_as_they_are():
    headers = {"content-type": "a", "x-request-id": "b", "x-ratelimit-remaining-tokens-day": "5"}
    assert shown_headers(BACKEND, headers) == headers


@given(st.integers(LONGEST_BODY - 40, LONGEST_BODY + 40))
def test_a_long_body_is_cut_and_shows_nothing_of_a_key_at_the_cut(place):
    body = b"a" * place + KEY.encode() + b"b" * 9000
    sent = wire_request(
        BACKEND, Request(call=HttpCall(method="POST", path="/"), headers={}, body=body), ()
    )
    assert (len(sent.body), sent.size) == (LONGEST_BODY, len(body))
    assert "hush" not in sent.body


def test_a_body_in_files_is_not_read(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" * 100)
    call = HttpCall(method="POST", path="/", body=Multipart({}, {"file": File("a.wav", path)}))
    listener = Listener()
    watch = Watch(CALL, [listener])
    watch.call_started()
    prepare(a_call(post(), backend=BACKEND, watch=watch), call)
    (_, sent) = listener.told[-1]
    assert (sent.body, sent.size > 400) == (None, True)


# ---- on the command line -------------------------------------------------------------------------


@pytest.mark.parametrize(("words", "environ"), [(("--trace",), {}), ((), {"DEBUG": "trace"})])
def test_the_command_line_shows_requests_on_standard_error(words, environ):
    settings = {f"MULTITAP_{name}": value for name, value in environ.items()}
    settings["MULTITAP_ACME__API_KEY"] = KEY
    busy = respond(503, {"retry-after": "0"}, "busy\x1b[2J")
    with Server([request, busy, request, HELLO]) as server:
        where = ("--llm", f"acme.endpoint={server.url}", "model=acme:tiny", "--")
        plugins = letters.registry(acme=OverHttp())
        ran = run_here("chat", *words, *where, "hi", plugins=plugins, **settings)
    lines = ran.err.splitlines()
    assert (ran.code, ran.out) == (0, "Hello\n")
    assert lines[0] == f"multitap: > POST {server.url}/chat"
    assert "multitap: > Authorization: ***" in lines
    assert 'multitap: > {"prompt":"hi","stream":true}' in lines
    assert lines.count("multitap: < 503") == lines.count("multitap: < 200") == 1
    assert any(line.startswith("multitap: ! acme: busy") for line in lines)
    assert lines[-1].endswith(" s, 2 attempts")
    assert not [secret for secret in (KEY, "\x1b") if secret in ran.err]


def test_without_being_asked_it_shows_none():
    with Server([request, HELLO]) as server:
        where = ("--llm", f"acme.endpoint={server.url}", "model=acme:tiny", "--")
        ran = run_here("chat", *where, "hi", plugins=letters.registry(acme=OverHttp()))
    assert (ran.code, ran.err) == (0, "")
