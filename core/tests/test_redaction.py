"""Known values, taken out of texts and out of exceptions with all that led to them."""

from __future__ import annotations

import copy
import html
import json
import pickle
import sys
import traceback
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote, quote_plus

import attrs
import letters
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.config import Section, load_config
from multitap.config.secret import Secret
from multitap.errors import BackendError, BadRequest, ConfigError, EngineError, MultitapError
from multitap.events import Failed, Loading, Notice, Stop, Text
from multitap.excerpt import excerpt
from multitap.headers import request_id
from multitap.hookspecs import hookimpl
from multitap.redaction import (
    MOST,
    Scrubbed,
    conceal,
    conceal_named,
    forget,
    redact,
    redact_bytes,
    scrub,
)
from multitap.testing import WORLDS, Server, request, respond
from multitap.work import Backend, HttpCall, LocalExchange

if sys.version_info < (3, 11):
    from exceptiongroup import ExceptionGroup

KEY = "hush-canary-a/b+c\"d'<e>&\\f=="
ANY_KEY = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)


@pytest.fixture(autouse=True)
def _fresh():
    forget()
    yield
    forget()


@pytest.mark.parametrize(
    "spelt",
    [
        str,
        str.upper,
        quote,
        quote_plus,
        lambda key: quote(key, safe="").lower(),
        lambda key: "".join(f"%{ord(char):02X}" for char in key),
        lambda key: json.dumps({"message": key}),
        lambda key: json.dumps(key).replace("/", "\\/"),
        html.escape,
        repr,
    ],
)
def test_a_known_value_is_shown_in_no_spelling(spelt):
    conceal(KEY)
    assert "hush" not in redact(f"it said {spelt(KEY)}!").lower()


@given(ANY_KEY, st.text(max_size=9), st.text(max_size=9))
def test_a_value_inside_base64_is_not_shown(key, before, after):
    conceal(key)
    for encode in (b64encode, urlsafe_b64encode):
        shown = redact(encode(f"{before}{key}{after}".encode()).decode())
        assert "***" in shown
    assert key not in redact(f"{before}{key}")


def test_the_password_of_a_value_for_basic_is_not_shown():
    conceal(b64encode(b"ada:hush-canary-1").decode())
    assert redact("wrong password hush-canary-1 of ada") == "wrong password *** of ada"


@given(st.integers(6, 27), st.sampled_from(["", "…", "...", '"', " …')"]))
def test_the_first_half_of_a_value_at_a_cut_is_not_shown(kept, end):
    conceal("hush-canary-0123456789-abcdef")
    assert redact("it said hush-canary-0123456789-abcdef"[: 8 + kept] + end) == f"it said ***{end}"


def test_plain_words_stay():
    conceal("hush-canary-1")
    conceal("short")
    assert redact("a short word; husband") == "a short word; husband"


def test_of_many_values_those_that_were_used_last_are_known():
    for number in range(MOST + 1):
        conceal(f"hush-canary-{number:04}-")
        conceal("hush-canary-in-use")
    assert redact("hush-canary-0000-, hush-canary-0128-, hush-canary-in-use") == (
        "hush-canary-0000-, ***, ***"
    )


def test_bytes_that_are_no_text_come_back_as_they_are():
    conceal("hush-canary-1")
    assert redact_bytes(b"\xff\x00hush-canary-1\xfe") == b"\xff\x00***\xfe"


def test_what_is_named_like_a_key_is_known():
    conceal_named(
        "extra", {"auth": [{"Authorization": "Bearer hush-canary-1"}], "top": "of-the-pop"}
    )
    assert redact("hush-canary-1 of-the-pop") == "*** of-the-pop"


# ---- where Multitap shows what it was told -------------------------------------------------------


@pytest.mark.parametrize(
    "made",
    [
        lambda key: EngineError(f"It said {key}", hint=f"Use {key}", request_id=key),
        lambda key: ConfigError(key),
        lambda key: Notice("code", key),
        lambda key: Loading(key),
        lambda key: Failed(EngineError(key)).to_dict(),
        lambda key: request_id({"x-request-id": key}),
        lambda key: pickle.loads(pickle.dumps(EngineError(key))),
        lambda key: excerpt(f"{'a' * 100} {key}", 105 + len(key) // 2),
        lambda key: excerpt("a" + " " * 1590 + key),
        lambda key: excerpt(" " * 1590 + key.encode().decode() + " b"),
    ],
)
def test_a_server_that_sends_it_back_is_quoted_without_it(made):
    conceal("hush-canary-0123456789")
    found = made("hush-canary-0123456789")
    facts = vars(found) if isinstance(found, MultitapError) else found
    assert "hush" not in f"{found} {found!r} {facts}"


# ---- exceptions ----------------------------------------------------------------------------------


class Stubborn(Exception):
    """It says the same whatever its arguments are."""

    def __init__(self, text):
        self._words = [text.encode()]

    def __str__(self):
        return self._words[0].decode()[::-1][::-1]

    def __setattr__(self, name, value):
        if hasattr(self, "_words"):
            raise AttributeError(name)
        super().__setattr__(name, value)


def raised(error, while_handling=None, *, hidden=False):
    """The error, as if it was raised while another one was handled."""
    try:
        try:
            raise while_handling or error
        except BaseException:
            if while_handling is None:
                raise
            if hidden:
                raise error from None
            raise error  # noqa: B904
    except BaseException as caught:
        return caught


def shown(error):
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


K = "hush-canary-0123456789"


@pytest.mark.parametrize(
    "cause",
    [
        lambda: ValueError(f"bad key {K}"),
        lambda: KeyError(K),
        lambda: OSError(2, f"no {K}", f"/tmp/{K}"),
        lambda: ValueError(["nested", (f"x{K}", K.encode())]),
        lambda: Stubborn(K),
        lambda: SyntaxError("bad", ("f.py", 1, 2, f"key = '{K}'")),
        lambda: UnicodeDecodeError("utf-8", K.encode(), 0, 1, K),
    ],
    ids=lambda made: type(made()).__name__,
)
def test_no_exception_of_a_chain_shows_it(cause):
    conceal(K)
    error = raised(
        EngineError("It broke"), raised(TypeError(), raised(cause(), ValueError("first")))
    )
    scrub(error)
    assert "hush" not in shown(error)
    names = ["ValueError: first", type(cause()).__name__, "TypeError", "EngineError: It broke"]
    assert [name for name in names if name not in shown(error)] == []
    assert shown(error).count("raise while_handling or error") == 3


def test_what_a_traceback_hid_stays_hidden():
    conceal(K)
    error = raised(EngineError("It broke"), Stubborn(K), hidden=True)
    scrub(error)
    assert error.__suppress_context__
    assert (error.__cause__, type(error.__context__)) == (None, Scrubbed)


def test_exceptions_that_lead_to_each_other_come_to_an_end():
    conceal(K)
    one, two = ValueError(K), ValueError(K)
    one.__context__, two.__context__ = two, one
    scrub(one)
    assert (str(one), str(two)) == ("***", "***")


def test_notes_and_groups_are_clean():
    conceal(K)
    inner = ValueError(K)
    error = EngineError("It broke")
    error.__cause__ = ExceptionGroup("several", [inner])
    error.__notes__ = [f"while asking with {K}"]
    scrub(error)
    assert "hush" not in shown(error) + str(inner)


def test_an_exception_that_shows_nothing_is_left_alone():
    conceal(K)
    error = Stubborn("all is well")
    scrub(raised(EngineError("It broke"), error))
    assert str(error) == "all is well"


# ---- a secret ------------------------------------------------------------------------------------


def test_a_secret_is_neither_pickled_nor_written_as_json():
    secret = Secret(K)
    for write in (pickle.dumps, json.dumps, msgspec.json.encode):
        with pytest.raises(TypeError) as caught:
            write(secret)
        assert "hush" not in shown(caught.value)
    with pytest.raises(TypeError, match="such as env:NAME"):
        pickle.dumps(load_config({"acme": {"api_key": K}}))
    with pytest.raises(TypeError):
        vars(secret)


def test_a_secret_is_shown_by_nothing_that_makes_a_text():
    secret = Secret(K)
    assert {f"{secret}", f"{secret!r}", "%s" % secret, str(secret)} == {"Secret(***)"}  # noqa: UP031
    assert copy.deepcopy([copy.copy(secret)]) == [secret]
    section = Section(name="a", provider="a", api_key=secret)
    assert "hush" not in str(attrs.asdict(section, recurse=False))


@pytest.mark.parametrize("how", ["env", "file", "keyring"])
def test_what_a_reference_led_to_is_known_also_after_it_was_exchanged(how, tmp_path, monkeypatch):
    environ, file = {}, tmp_path / "key"
    monkeypatch.setattr(Secret, "_from_keyring", lambda self: environ["NAME"])
    reference = {"env": "env:NAME", "file": f"file:{file}", "keyring": "keyring:NAME"}[how]
    for value in ("hush-canary-old-one", "hush-canary-new-one"):
        environ["NAME"] = value
        file.write_text(value)
        assert Secret(reference, environ=environ).reveal() == value
    assert redact("hush-canary-old-one, hush-canary-new-one") == "***, ***"


def test_a_variable_is_known_before_its_first_use():
    Secret("env:NAME", environ={"NAME": K})
    assert redact(K) == "***"


@pytest.mark.parametrize(
    "table",
    [
        {"endpoint": f"http://ada:{K}@h"},
        {"proxy": f"http://ada:{K}@h:1"},
        {"proxy": "http://ada:hush%2Dcanary%2D0123456789@h:1"},
        {"headers": {"X-Api-Key": K}},
        {"headers": {"Authorization": f"Bearer {K}"}},
    ],
)
def test_what_a_section_says_is_known_though_it_be_refused(table):
    try:
        config = load_config({"acme": table}, environ={})
    except ConfigError as error:
        config = error
    assert "hush" not in f"{config!r} {config} {redact(K)}"


def test_reprs_show_no_credentials_of_an_endpoint_that_was_made_in_code():
    url = "http://ada:pw@h"
    shown = f"{Section(name='a', provider='a', endpoint=url, proxy=url)!r}"
    shown += f"{Backend(id='a', provider='a', endpoint=url)!r}"
    assert "pw" not in shown


def test_reprs_show_no_headers_and_no_body():
    call = HttpCall(method="GET", path="/", headers={"a": K}, body=K.encode())
    assert "hush" not in repr(call)


def test_an_error_of_a_plugin_may_be_put_together_by_hand():
    error = BackendError("fine")
    error.message = "changed"
    assert "changed" in str(error)


# ---- what plugins raise --------------------------------------------------------------------------


class Loud:
    """A filter that says the key where it breaks."""

    @hookimpl
    def multitap_filter(self, call):
        return self

    def feed(self, events):
        raise ValueError(f"what is {K}?")

    def finish(self):
        return []


class Careless:
    """A plugin that raises what it knows, at once, while its answer is read, or while it runs."""

    def __init__(self, moment):
        self.moment = moment

    @hookimpl
    def multitap_chat(self, backend):
        if self.moment == "hook":
            raise ValueError(K)
        return self

    def chat(self, request):
        if self.moment == "chat":
            raise KeyError(K)
        if self.moment == "refuse":
            try:
                raise KeyError(K)
            except KeyError as error:
                raise EngineError("It broke") from error
        return LocalExchange(self.run)

    def run(self, emit):
        if self.moment == "run":
            raise ValueError(K)
        emit([Text("a"), Stop("complete")])


@pytest.mark.parametrize("moment", ["hook", "chat", "refuse", "run", "filter"])
@pytest.mark.parametrize("make", WORLDS, ids=["sync", "async"])
def test_what_a_plugin_raises_is_shown_without_it(make, moment):
    plugins = letters.registry(acme=Careless(moment))
    plugins.add(Loud(), "loud", ["extension"], distribution="multitap-loud")
    config = {"defaults": {"model": "acme:tiny"}, "acme": {"api_key": K}}
    config["plugins"] = {"filters": ["loud"]} if moment == "filter" else {}
    with make(config, plugins) as world, pytest.raises(MultitapError) as caught:
        world.call("chat", "hi")
    told = shown(caught.value) + repr(caught.value) + repr(plugins.failures)
    assert "hush" not in told
    assert "***" in told


class Cutting(letters.OverHttp):
    """It quotes what stands after the first words of a refusal, and so the second half of a key."""

    def chat(self, request):
        return attrs.evolve(super().chat(request), explain=self.explain)

    def explain(self, reply):
        return BadRequest(f"{reply.body[4:].decode()} {reply.headers['x-why'][4:]}")


@pytest.mark.parametrize("make", WORLDS, ids=["sync", "async"])
def test_a_refusal_is_clean_before_a_plugin_quotes_it(make):
    config = {"defaults": {"model": "acme:tiny"}, "acme": {"api_key": K}}
    with Server([request, respond(401, {"x-why": K}, K)]) as server:
        config["acme"]["endpoint"] = server.url
        plugins = letters.registry(acme=Cutting())
        with make(config, plugins) as world, pytest.raises(BadRequest) as caught:
            world.call("chat", "hi")
    assert "canary" not in shown(caught.value)
