"""``multitap doctor``: what it finds, and that what it says mends it."""

import ssl
import sys
import threading
from pathlib import Path

import pytest
from command_line import registry, run_here, valid
from workbench import Workbench

from multitap.capabilities.catalog import Model
from multitap.capabilities.provider import Validation
from multitap.cli import tables
from multitap.cli.doctor import asking, machine
from multitap.cli.doctor.findings import FINDINGS, Advice, Finding, exit_code
from multitap.cli.output import Output
from multitap.errors import AuthenticationError, LocalError
from multitap.events import Stop, Text
from multitap.hookspecs import hookimpl
from multitap.manifest import KeyInfo, ProviderInfo, Setting
from multitap.testing import Server, client_closed, hold, request, send
from multitap.work import Exchange, HttpCall, LocalExchange

KEY = "hush-canary-0123456789"


@pytest.fixture
def bench(tmp_path):
    return Workbench(tmp_path)


# ---- what a fix mends ----------------------------------------------------------------------------


def no_plugin(bench):
    bench.wheel("multitap-ollama")


def a_provider_that_is_not_installed(bench):
    bench.install("multitap-acme")
    bench.write("[ollama]\nmodel = 'small'")
    bench.wheel("multitap-ollama")


def a_plugin_that_breaks_while_it_is_imported(bench):
    bench.install("multitap-acme", source="raise RuntimeError('no such luck')")
    bench.wheel("multitap-acme", "2.0")


def a_plugin_whose_hook_gives_nothing(bench):
    source = "from multitap.hookspecs import hookimpl\n@hookimpl\ndef multitap_catalog(backend): 0"
    bench.install("multitap-acme", source=source)
    bench.wheel("multitap-acme", "2.0")


def a_wrong_provider_toml(bench):
    bench.install("multitap-acme", manifest="[acme]\nendpont = 'http://a'")
    bench.wheel("multitap-acme", "2.0")


def a_plugin_that_is_too_old(bench):
    bench.install("multitap-acme", manifest="[acme]\napi = 0")
    bench.wheel("multitap-acme", "2.0", manifest="[acme]\napi = 1")


def two_plugins_for_one_provider(bench):
    bench.install("multitap-acme")
    bench.install("acme-two", groups={"multitap.catalog": "acme"})


def a_plugin_that_the_file_denies(bench):
    bench.install("multitap-acme")
    bench.write("[plugins]\ndeny = ['other', 'Multitap.Acme']\n[acme]\nmodel = 'small'")


def a_plugin_that_the_file_does_not_allow(bench):
    bench.install("multitap-acme")
    bench.write("[plugins]\nallow = ['other']\n[acme]\nmodel = 'small'")


def a_command_with_the_name_of_ours(bench):
    bench.install("acme-tools", groups={"multitap.command": "doctor"})


def an_unknown_key(bench):
    bench.install("multitap-acme")
    bench.write("[acme]\nmodel = 'small'\nendpont = 'http://a'")


def a_value_of_the_wrong_type(bench):
    bench.install("multitap-acme")
    bench.write("[acme]\nmodel = 'small'\ntimeout_ms = 'soon'")


def a_wrong_default_provider(bench):
    bench.install("multitap-acme")
    bench.write("[defaults]\nprovider = 'acne'\n[acme]\nmodel = 'small'")


def a_default_model_that_means_nothing(bench):
    bench.install("multitap-acme")
    bench.install("multitap-other")
    bench.write("[defaults]\nmodel = 'tgi:small'")


def no_default_model(bench):
    bench.install("multitap-acme")
    bench.install("multitap-other")


def an_alias_that_leads_nowhere(bench):
    bench.install("multitap-acme")
    bench.write("[aliases]\n'fa.st' = 'tgi:small'\n[acme]\nmodel = 'small'")


def a_filter_that_is_not_there(bench):
    bench.install("multitap-acme")
    bench.write("[plugins]\nfilters = ['brackets']\n[acme]\nmodel = 'small'")


def a_file_that_everybody_may_write(bench):
    bench.write("[plugins]\nallow = []")
    bench.file.chmod(0o666)


def a_file_with_a_key_that_everybody_may_read(bench):
    bench.write(f"[acme]\napi_key = '{KEY}'")
    bench.file.chmod(0o644)


def a_keyring_that_is_not_installed(bench):
    bench.install("multitap-acme")
    bench.write("[acme]\nmodel = 'small'\napi_key = 'keyring:mine'")
    bench.wheel("keyring", source="def get_password(*_): return 'a-key'", groups={})


def a_model_that_is_not_pulled_yet(bench):
    bench.install("multitap-acme", source=PULLING, groups=PULLS)
    bench.write("[acme]\nmodel = 'tea'")


PULLS = {"multitap.catalog": "acme", "multitap.lifecycle": "acme"}
PULLING = """
from pathlib import Path

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress
from multitap.hookspecs import hookimpl
from multitap.work import LocalExchange

PULLED = Path(__file__).with_name("pulled")

class Shelf:
    def models(self):
        names = PULLED.read_text().split() if PULLED.exists() else []
        return LocalExchange(lambda emit: emit([Model(id=name) for name in names]) and None)

    def pull(self, model, /):
        def run(emit):
            PULLED.write_text(model)
            emit([Progress(status="success")])
        return LocalExchange(run)

    load = unload = pull

@hookimpl
def multitap_catalog(backend):
    return Shelf()

@hookimpl
def multitap_lifecycle(backend):
    return Shelf()
"""

MENDED = {
    no_plugin: "plugin-none",
    a_provider_that_is_not_installed: "provider-missing",
    a_plugin_that_breaks_while_it_is_imported: "plugin-broken",
    a_plugin_whose_hook_gives_nothing: "plugin-broken",
    a_wrong_provider_toml: "plugin-broken",
    a_plugin_that_is_too_old: "plugin-incompatible",
    two_plugins_for_one_provider: "plugin-conflict",
    a_plugin_that_the_file_denies: "plugin-denied",
    a_plugin_that_the_file_does_not_allow: "plugin-denied",
    a_command_with_the_name_of_ours: "command-shadowed",
    an_unknown_key: "config-wrong",
    a_value_of_the_wrong_type: "config-wrong",
    a_wrong_default_provider: "default-wrong",
    a_default_model_that_means_nothing: "default-wrong",
    no_default_model: "default-unset",
    an_alias_that_leads_nowhere: "alias-wrong",
    a_filter_that_is_not_there: "filter-missing",
    a_file_that_everybody_may_write: "file-writable",
    a_file_with_a_key_that_everybody_may_read: "file-readable",
    a_keyring_that_is_not_installed: "key-unreadable",
    a_model_that_is_not_pulled_yet: "model-missing",
}


@pytest.mark.parametrize("break_it", MENDED, ids=lambda function: function.__name__)
def test_what_a_finding_says_mends_it(bench, break_it):
    break_it(bench)
    before = [finding for finding in bench.found(MENDED[break_it]) if finding["fix"]]
    assert len(before) == 1, bench.doctor()
    assert before[0]["level"] in ("error", "warning")
    bench.apply(before[0]["fix"])
    assert bench.found(MENDED[break_it]) == []


def test_a_sound_installation_has_no_error_and_no_warning(bench):
    bench.install("multitap-acme")
    bench.write("[acme]\nmodel = 'small'")
    findings, code = bench.doctor()
    assert (code, {f["level"] for f in findings} - {"ok", "info"}) == (0, set())
    told = {f["id"]: f["message"] for f in findings}
    assert told["plugin"] == "multitap-acme 1.0: acme (catalog)"
    assert told["backend"] == "acme in this process: it answers, with 2 models"
    assert told["default"] == "the default model is acme:small"
    assert told["config-files"] == f"llm.toml: {bench.file}"


def test_everything_that_is_wrong_is_told_at_once(bench):
    bench.install("multitap-acme", source="raise RuntimeError('no such luck')")
    bench.write("[acme]\ntimeout_ms = 0\nendpoint = 'ftp://a'\n[other]\ncolour = 'red'")
    findings, code = bench.doctor()
    wrong = [f for f in findings if f["id"] == "config-wrong"]
    assert [(f["key"], f["line"]) for f in wrong] == [("acme.timeout_ms", 2), ("acme.endpoint", 3)]
    assert {f["file"] for f in wrong} == {str(bench.file)}
    assert code == 3  # a plugin is broken as well, and that is the larger code


def test_a_file_that_is_no_toml_is_one_finding_and_the_rest_is_looked_at(bench):
    bench.install("multitap-acme")
    bench.write("[acme\n")
    findings, code = bench.doctor()
    (wrong,) = [f for f in findings if f["id"] == "config-wrong"]
    assert (code, wrong["line"], wrong["fix"]["kind"]) == (2, 1, "text")
    assert "backend" in {f["id"] for f in findings}


def test_a_wrong_section_does_not_hide_the_other_backends(bench):
    bench.install("multitap-acme")
    bench.install("multitap-other")
    bench.write("[acme]\ncolour = 'red'")
    findings = bench.doctor()[0]
    assert [f["subject"] for f in findings if f["id"] == "backend"] == ["other"]
    assert [f["key"] for f in findings if f["id"] == "config-wrong"] == ["acme.colour"]


def test_a_wrong_variable_is_named_and_not_edited(bench):
    bench.install("multitap-acme")
    bench.environ["MULTITAP_ACME__TIMEOUT_MS"] = "soon"
    (wrong,) = bench.found("config-wrong")
    assert wrong["fix"]["kind"] == "text"
    assert wrong["message"].startswith("MULTITAP_ACME__TIMEOUT_MS: timeout_ms")


def test_a_plugin_that_the_variable_denies_cannot_be_mended_by_a_file(bench):
    bench.install("multitap-acme")
    bench.environ["MULTITAP_PLUGINS"] = "none"
    findings, code = bench.doctor()
    denied = {f["id"]: f for f in findings if f["id"].startswith("plugin")}
    assert code == 2
    assert set(denied) == {"plugin-none", "plugin-denied"}
    assert {f["fix"]["kind"] for f in denied.values()} == {"text"}


# ---- backends over HTTP --------------------------------------------------------------------------


class Shop:
    """A catalog over HTTP: a line for each model."""

    @hookimpl
    def multitap_catalog(self, backend):
        return self

    def models(self):
        call = HttpCall(method="GET", path="/list")
        return Exchange(call=call, decoder=lambda head: Lines(), explain=refused)


def refused(reply):
    from multitap.dialects.replies import class_for_status

    return class_for_status(reply.status)(f"refused with {reply.status}", status=reply.status)


class Lines:
    def __init__(self):
        self.body = b""

    def feed(self, data):
        self.body += data
        return []

    def finish(self):
        return [Model(id=line) for line in self.body.decode().split()]


INFO = ProviderInfo(
    name="shop", title="The Shop", endpoint="http://127.0.0.1:1", docs="https://shop.example/docs"
)


def shop(plugin=None, info=INFO, capabilities=("catalog",)):
    plugins = registry()
    found = plugin or Shop()
    plugins.add(found, "shop", capabilities, distribution="multitap-shop", version="1", info=info)
    return plugins


def look(*words, plugins=None, **more):
    """The findings, and the exit code."""
    ran = run_here("doctor", "--json", *words, plugins=plugins or shop(), **more)
    report = valid("doctor", ran.out)
    assert (ran.err, ran.code) == ("", report["exit_code"])
    return report["findings"], ran.code


def bad(findings):
    return {f["id"]: f for f in findings if f["level"] in ("error", "warning")}


def at(url):
    return ("--llm", f"shop.endpoint={url}", "shop.model=tea", "--", "shop")


def reply(body, status=b"200 OK"):
    head = b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n" % (status, len(body))
    return [request, send(head + body), client_closed]


def test_a_backend_that_answers():
    with Server(reply(b"tea coffee")) as server:
        findings, code = look(*at(server.url))
    assert (code, bad(findings)) == (0, {})
    (said,) = [f["message"] for f in findings if f["id"] == "backend"]
    assert said == f"shop at {server.url} (carrier direct): it answers, with 2 models"


def test_nobody_is_there():
    findings, code = look(*at("http://127.0.0.1:1"))
    found = bad(findings)["backend-unreachable"]
    assert (code, found["level"], found["key"]) == (1, "error", "shop.endpoint")
    assert found["fix"]["text"].startswith("start The Shop")
    assert "https://shop.example/docs" in found["fix"]["text"]


def test_nobody_is_there_far_away():
    findings, _ = look(*at("http://nobody.invalid"))
    assert "the network is up" in bad(findings)["backend-unreachable"]["fix"]["text"]


def test_an_installed_backend_that_nobody_asked_for_is_a_warning():
    findings, code = look()
    assert (code, bad(findings)["backend-unreachable"]["level"]) == (0, "warning")


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (reply(b"", b"401 Unauthorized"), "key-refused"),
        (reply(b"", b"403 Forbidden"), "key-refused"),
        (reply(b"", b"404 Not Found"), "backend-strange"),
        (reply(b"", b"405 Method Not Allowed"), "backend-strange"),
        (reply(b"", b"302 Found\r\nlocation: /login"), "backend-strange"),
        ([request, send(b"SSH-2.0-OpenSSH_9.6\r\n"), client_closed], "backend-strange"),
        (reply(b"", b"500 Internal Server Error"), "backend-failing"),
        (reply(b"", b"429 Too Many Requests"), "backend-failing"),
    ],
)
def test_a_refusal_says_whose_fault_it_is(answer, finding):
    with Server(answer) as server:
        findings, code = look(*at(server.url))
    assert (code, list(bad(findings))) == (1, [finding])


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    monkeypatch.setattr(asking, "SECONDS", 0.2)
    done = threading.Event()
    with Server([request, hold(done)]) as server:
        findings, code = look(*at(server.url))
        done.set()
    assert (code, list(bad(findings))) == (1, ["backend-slow"])


def test_a_certificate_that_nobody_knows():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "data" / "localhost.pem")
    with Server([request], tls=context) as server:
        findings, code = look(*at(server.url))
    assert (code, list(bad(findings))) == (1, ["backend-insecure"])


def test_offline_asks_nobody():
    with Server([client_closed]) as server:
        findings, code = look("--offline", *at(server.url))
        assert server.connections == []
    skipped = [f["message"] for f in findings if f["id"] == "backend-skipped"]
    assert (code, skipped) == (
        0,
        [f"shop at {server.url} (carrier direct) was not asked: --offline"],
    )


class Broken(Shop):
    """It keeps its contract until it is asked."""

    def models(self):
        return LocalExchange(lambda emit: 1 / 0)


def test_a_plugin_that_breaks_while_it_is_asked():
    findings, code = look("shop", plugins=shop(Broken()))
    found = bad(findings)["plugin-broken"]
    assert (code, found["subject"]) == (3, "multitap-shop")
    assert "ZeroDivisionError" in found["message"]


class Needy(Shop):
    """Nothing comes of its hook without a file that is not there."""

    @hookimpl
    def multitap_catalog(self, backend):
        raise LocalError("there is no such file", hint="Write it.")


def test_a_fault_of_this_machine_is_told_once():
    findings, code = look("--offline", "shop", plugins=shop(Needy()))
    (found,) = [f for f in findings if f["level"] == "error"]
    assert (code, found["id"], found["fix"]["text"]) == (1, "backend-failing", "Write it.")


# ---- models --------------------------------------------------------------------------------------


def test_a_model_that_is_not_there_is_told_with_those_that_are():
    with Server(reply(b"teas coffee")) as server:
        findings, code = look(*at(server.url))
    found = bad(findings)["model-missing"]
    assert (code, found["subject"], found["key"]) == (1, "shop:tea", "shop.model")
    assert found["fix"] == {"kind": "text", "text": "name one that it has: teas"}


@pytest.mark.parametrize("listed", [b"tea", b"tea:latest"])
def test_a_model_may_be_named_without_its_tag(listed):
    with Server(reply(listed)) as server:
        assert bad(look(*at(server.url))[0]) == {}


def test_a_model_of_a_backend_with_lifecycle_can_be_pulled():
    findings, _ = look("--llm", "stage.model=three", "--", "stage", plugins=registry())
    fix = {"kind": "command", "command": ["multitap", "pull", "stage:three"]}
    assert bad(findings)["model-missing"]["fix"] == fix


class Desk(Shop):
    """It can prove its key, and models that no list has."""

    def models(self):
        return LocalExchange(lambda emit: emit([Model(id="coffee")]) and None)

    @hookimpl
    def multitap_provider(self, backend):
        return self

    def validate(self, model):
        if model == "mocha":
            raise AuthenticationError("not with this key")
        facts = Validation(server="Shop 1.4", remaining=2.5, unit="USD")
        return LocalExchange(lambda emit: emit([facts]) and None)


def test_what_a_backend_proves_counts_more_than_its_list():
    plugins = shop(Desk(), capabilities=("catalog", "provider"))
    findings, code = look("--llm", "shop.model=tea", "--", "shop", plugins=plugins)
    assert (code, bad(findings)) == (0, {})
    (said,) = [f["message"] for f in findings if f["id"] == "backend"]
    assert "Shop 1.4, with 1 model, 2.5 USD left" in said
    plugins = shop(Desk(), capabilities=("catalog", "provider"))
    findings, _ = look("--llm", "shop.model=mocha", "--", "shop", plugins=plugins)
    assert list(bad(findings)) == ["model-missing"]


# ---- models that answer --------------------------------------------------------------------------


class Talker(Desk):
    """It also chats: it says one text, or fails."""

    options = frozenset({"response_schema", "max_tokens", "temperature"})

    def __init__(self, text, stop="complete", options=options):
        self.text, self.stop, self.options = text, stop, options

    @hookimpl
    def multitap_chat(self, backend):
        return self

    def chat(self, request):
        if self.text is None:
            raise AuthenticationError("not with this key", hint="Ask for one.")
        events = [Text(self.text), Stop(self.stop)]
        return LocalExchange(lambda emit: emit(events) and None)


def live(plugin, *words, model="coffee"):
    plugins = shop(plugin, capabilities=("catalog", "provider", "chat"))
    named = ("--llm", f"shop.model={model}", "--") if model else ("--",)
    findings, code = look("--live", *words, *named, "shop", plugins=plugins)
    ids = ("model", "model-unasked", "model-failing", "model-missing", "schema", "schema-ignored")
    return {f["id"]: f for f in findings if f["id"] in ids}, code


@pytest.mark.parametrize(
    ("plugin", "id_", "level", "says"),
    [
        (Talker('{"ready": true}'), "schema", "ok", "kept to it"),
        (Talker("ready"), "schema-ignored", "warning", "did not keep to it"),
        (Talker('{"rea', "max_tokens"), "schema", "info", "was cut"),
        (Talker("ready", options=()), "schema", "info", "cannot be asked"),
    ],
    ids=["kept", "ignored", "cut", "not declared"],
)
def test_live_what_is_declared_of_schemas_is_tried(plugin, id_, level, says):
    found, code = live(plugin)
    assert (code, set(found)) == (0, {"model", id_})
    assert (found[id_]["subject"], found[id_]["level"]) == ("shop:coffee", level)
    assert says in found[id_]["message"]


def test_live_a_model_that_does_not_answer_is_an_error():
    found, code = live(Talker(None))
    assert (code, set(found)) == (1, {"model-failing"})
    assert found["model-failing"]["fix"] == {"kind": "text", "text": "Ask for one"}


def test_live_only_models_that_are_named_and_there_are_asked():
    assert set(live(Talker("ready"), model=None)[0]) == {"model-unasked"}
    assert set(live(Talker("ready"), model="mocha")[0]) == {"model-unasked", "model-missing"}


def test_nobody_is_asked_for_an_answer_without_live():
    plugins = shop(Talker(None), capabilities=("catalog", "provider", "chat"))
    findings, code = look("--llm", "shop.model=coffee", "--", "shop", plugins=plugins)
    assert (code, bad(findings)) == (0, {})


def test_live_and_offline_contradict_each_other():
    ran = run_here("doctor", "--live", "--offline", plugins=shop())
    assert ran.code == 2
    assert "--live and --offline" in ran.err


# ---- keys ----------------------------------------------------------------------------------------

LOCKED = ProviderInfo(
    name="shop",
    title="The Shop",
    endpoint="http://127.0.0.1:1",
    key=KeyInfo(variable="SHOP_KEY", required=True),
)


def test_a_key_that_is_missing():
    findings, code = look("--llm", "shop.model=tea", "--", "shop", plugins=shop(info=LOCKED))
    assert (code, list(bad(findings))) == (2, ["key-missing"])
    assert "SHOP_KEY" in bad(findings)["key-missing"]["fix"]["text"]
    assert "key-missing" not in bad(look(plugins=shop(info=LOCKED), SHOP_KEY=KEY)[0])


def test_a_key_that_a_projects_file_does_not_get(tmp_path, monkeypatch):
    (tmp_path / "llm.toml").write_text("[shop]\nendpoint = 'https://evil.example'")
    monkeypatch.chdir(tmp_path)
    environ = {"MULTITAP_CONFIG": "", "SHOP_KEY": KEY}
    findings, code = look("--offline", "shop", plugins=shop(info=LOCKED), **environ)
    found = bad(findings)["key-withheld"]
    assert (code, found["level"], found["subject"]) == (2, "error", "shop")
    assert "MULTITAP_SHOP__ENDPOINT" in found["fix"]["text"]
    environ["MULTITAP_SHOP__ENDPOINT"] = "https://evil.example"
    findings, _ = look("--offline", "shop", plugins=shop(info=LOCKED), **environ)
    assert "key-withheld" not in bad(findings)


def test_a_key_that_cannot_be_read():
    with Server([client_closed]) as server:
        words = (
            "--llm",
            "shop.model=tea",
            "shop.api_key=env:NOT_SET",
            f"shop.endpoint={server.url}",
        )
        findings, code = look(*words, "--", "shop", plugins=shop(info=LOCKED))
        assert server.connections == []  # without it there is nothing to ask
    assert (code, list(bad(findings))) == (2, ["key-unreadable"])
    assert "NOT_SET" in bad(findings)["key-unreadable"]["fix"]["text"]


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_no_secret_is_shown(form, tmp_path):
    file = tmp_path / "llm.toml"
    file.write_text(
        f"[shop]\nendpoint = 'http://{KEY}:{KEY}@h'\napi_key = '{KEY}'\n"
        f"[acme]\npassword = '{KEY}'\nproxy = 'http://me:{KEY}@h'\ntimeout_ms = '{KEY}'\n"
    )
    for words in (("doctor",), ("plugins",), ("config", "explain", "acme")):
        ran = run_here(
            *words,
            *form,
            plugins=shop(info=LOCKED),
            MULTITAP_CONFIG=str(file),
            MULTITAP_SHOP__API_KEY=KEY,
            MULTITAP_SHOP__TIMEOUT_MS=KEY,
            HTTPS_PROXY=f"http://me:{KEY}@proxy:3128",
            SHOP_KEY=KEY,
        )
        assert KEY not in ran.out + ran.err


def test_a_setting_that_the_provider_needs():
    region = Setting(name="region", required=True, help="Where it is.")
    info = ProviderInfo(name="shop", endpoint="http://127.0.0.1:1", settings={"region": region})
    findings, code = look("--llm", "shop.model=tea", "--", "shop", plugins=shop(info=info))
    found = bad(findings)["setting-missing"]
    assert (code, found["key"], list(bad(findings))) == (2, "shop.region", ["setting-missing"])


# ---- this machine --------------------------------------------------------------------------------


def test_another_python_is_a_warning():
    (found,) = machine.examine_python(None, (3, 19, 0))
    assert (found.level, found.fix) == (
        "warning",
        Advice("use a Python from 3.10 to 3.13 if something breaks"),
    )


def test_a_second_multitap_is_told(bench):
    bench.wheel("multitap", "9.9", groups={})
    bench.install("multitap", "9.9", groups={})
    (found,) = machine.examine_core(None, [str(bench.site)])
    assert found.message == f"multitap 9.9 in {bench.site}"
    both = list(machine.examine_core(None, [*sys.path, str(bench.site)]))
    assert [finding.id for finding in both] == ["multitap", "multitap-twice"]
    assert f"{bench.site} (9.9)" in both[1].message


def test_a_missing_extra_is_a_command_away(monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    (found,) = machine.examine_extras(None)
    assert (found.id, str(found.fix)) == ("extra-missing", "pip install 'multitap[cli]'")


def test_without_rich_a_table_on_a_terminal_is_plain(monkeypatch, capsys):
    monkeypatch.setattr(tables, "find_spec", lambda name: None)
    output = Output()
    output.terminal = True
    tables.print_table(output, ("A", "B"), [("longer", "x")])
    assert capsys.readouterr().out == "A       B\nlonger  x\n"


def test_variables_are_named_without_their_values():
    findings, _ = look("--offline", MULTITAP_SHOP__MODEL="tea", MULTITAP_PLUGIN="none")
    told = {f["id"]: f for f in findings}
    assert told["variables"]["message"].endswith("MULTITAP_CONFIG, MULTITAP_SHOP__MODEL")
    assert told["variable-unknown"]["subject"] == "MULTITAP_PLUGIN"


@pytest.mark.parametrize(
    ("settings", "bypass", "through"),
    [
        (("endpoint=https://shop.example",), "", True),
        (("endpoint=https://shop.example", "proxy=system"), "", True),
        (("endpoint=https://shop.example", "proxy=none"), "", False),
        (("endpoint=https://shop.example", "proxy=http://mine:1"), "", False),
        (("endpoint=https://shop.example",), "shop.example", False),
        (("endpoint=http://127.0.0.1:1",), "", False),
        (("endpoint=unix:///run/llm.sock",), "", False),
    ],
)
def test_it_is_said_who_goes_through_the_proxy_of_the_environment(settings, bypass, through):
    proxies = {"https_proxy": f"http://me:{KEY}@proxy:3128", "no_proxy": bypass, "NO_PROXY": bypass}
    words = ("--llm", *(f"shop.{setting}" for setting in settings), "--")
    findings, _ = look("--offline", *words, **proxies)
    (found,) = [f for f in findings if f["id"] == "proxy"]
    (backend,) = [f for f in findings if f["id"] == "backend-skipped" and f["subject"] == "shop"]
    assert (found["level"], found["subject"]) == ("info", "shop" if through else "")
    assert found["message"].startswith("https_proxy is set; ")
    way = "direct, through the proxy http://***@proxy:3128 (https_proxy)"
    assert (f"(carrier {way})" in backend["message"]) == through


def test_a_proxy_that_is_not_there():
    words = (
        "--llm",
        "shop.endpoint=http://shop.example",
        f"shop.proxy=http://me:{KEY}@127.0.0.1:1",
    )
    findings, code = look(*words, "shop.model=tea", "--", "shop")
    found = bad(findings)["proxy-failed"]
    assert (code, "http://***@127.0.0.1:1" in found["message"]) == (1, True)
    assert "proxy in llm.toml" in found["fix"]["text"]


# ---- the command ---------------------------------------------------------------------------------


def test_the_text_has_each_finding_with_its_fix(monkeypatch):
    known = {"tern": "multitap-tern"}
    monkeypatch.setattr("multitap.cli.doctor.configuration.known_packages", known)
    ran = run_here("doctor", "--offline", "--llm", "shop.provider=tern")
    lines = ran.out.splitlines()
    place = next(i for i, line in enumerate(lines) if line.endswith("[provider-missing]"))
    assert lines[place].startswith("error    [shop]: no usable plugin has the provider 'tern'")
    assert lines[place + 1] == "         fix: pip install multitap-tern"
    assert (ran.code, lines[-1]) == (2, "1 error, 1 warning.")


def test_an_unknown_backend_is_a_usage_error():
    ran = run_here("doctor", "shp", "--json", plugins=shop())
    assert ran.code == 2
    assert "Backends: shop, stage" in valid("error", ran.out)["error"]["hint"]


def test_the_code_is_that_of_what_stands_behind_the_others():
    def of(*ids):
        fix = Advice("mend it")
        return [Finding(id=name, level="error", message="", fix=fix) for name in ids]

    assert exit_code([Finding(id="python", level="ok", message="")]) == 0
    assert exit_code(of("backend-slow", "multitap-twice")) == 1
    assert exit_code(of("backend-slow", "alias-wrong")) == 2
    assert exit_code(of("alias-wrong", "plugin-broken", "backend-slow")) == 3


def test_an_error_or_a_warning_always_has_a_fix():
    for name in FINDINGS:
        with pytest.raises(AssertionError, match=name):
            Finding(id=name, level="warning", message="")
