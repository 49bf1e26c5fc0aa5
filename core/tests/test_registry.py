"""Every state of a row, proved on real tiny distributions that are written to a folder."""

import json
import subprocess
import sys
import textwrap
import threading
import types

import pytest

from multitap.errors import ConfigError, NotSupported, PluginError
from multitap.hookspecs import Backend, hookimpl
from multitap.manifest import ProviderInfo
from multitap.registry import Registry, Row
from multitap.registry.loading.turns import Turns

CHAT = """
from multitap.hookspecs import hookimpl

class Chat:
    def __init__(self, backend):
        self.backend = backend
    def chat(self, request):
        return None

@hookimpl
def multitap_chat(backend):
    return Chat(backend)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Writes distributions into a folder on ``sys.path``."""
    monkeypatch.syspath_prepend(str(tmp_path))
    yield lambda *args, **more: write_distribution(tmp_path, *args, **more)
    for name in [name for name in sys.modules if name.startswith("acme")]:
        del sys.modules[name]


def write_distribution(folder, name, entry_points, modules=None, version="1.0", manifest=None):
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"[multitap.{group}]\n{line}\n" for group, line in entry_points]
    (info / "entry_points.txt").write_text("\n".join(lines))
    for module, source in (modules or {}).items():
        path = folder.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(source))
    if manifest is not None:
        package = folder / entry_points[0][1].split("=")[1].strip().split(".")[0]
        package.mkdir(exist_ok=True)
        (package / "__init__.py").touch()
        (package / "provider.toml").write_text(manifest)


def registry(**options):
    return Registry(**{"environ": {}, **options})


def states(found):
    """The rows of this test: nothing else that is installed is called like this."""
    return {
        (r.capability, r.provider, r.distribution): r.state
        for r in found.capabilities()
        if r.provider.startswith("acme")
    }


def acme(provider="acme", name="box", **settings):
    return Backend(id=name, provider=provider, settings=settings)


# ---- the declared table --------------------------------------------------------------------------


def test_a_row_says_who_offers_what(install):
    install("multitap-acme", [("chat", "acme = acme_plugin.chat")], version="1.2")

    rows = [row for row in registry().capabilities() if row.provider == "acme"]

    assert rows == [Row("chat", "acme", "multitap-acme", "1.2", "declared")]
    assert json.loads(json.dumps([row._asdict() for row in rows])) == [
        {
            "capability": "chat",
            "provider": "acme",
            "distribution": "multitap-acme",
            "version": "1.2",
            "state": "declared",
        }
    ]


def test_rows_are_in_the_order_of_the_documentation_then_by_name(install):
    install(
        "dist-b", [("image", "acme-a = b"), ("chat", "acme-b = b"), ("embedding", "acme-a = b")]
    )
    install("dist-a", [("chat", "acme-a = a"), ("unheard_of", "acme-a = a")])

    expected = [
        ("chat", "acme-a", "dist-a"),
        ("chat", "acme-b", "dist-b"),
        ("embedding", "acme-a", "dist-b"),
        ("image", "acme-a", "dist-b"),
    ]
    assert list(states(registry())) == expected


def test_one_distribution_seen_twice_gives_one_row(install, tmp_path, monkeypatch):
    install("multitap-acme", [("chat", "acme = acme_plugin")])
    source = tmp_path / "editable"
    source.mkdir()
    write_distribution(source, "Multitap_Acme", [("chat", "acme = acme_plugin")])
    monkeypatch.syspath_prepend(str(source))

    assert list(states(registry()).values()) == ["declared"]


def test_a_malformed_file_of_another_distribution_spoils_nothing(install, tmp_path):
    install("multitap-acme", [("chat", "acme = acme_plugin")])
    install("bad-dist", [("chat", "nonsense")])

    with pytest.warns(RuntimeWarning, match="bad-dist cannot be read.*force-reinstall bad-dist"):
        found = states(registry())

    assert found == {("chat", "acme", "multitap-acme"): "declared"}


def test_a_distribution_without_metadata_is_named_by_its_folder(install, tmp_path):
    install("multitap-acme", [("chat", "acme = acme_plugin")])
    (tmp_path / "multitap_acme-1.0.dist-info" / "METADATA").unlink()

    row = next(row for row in registry().capabilities() if row.provider == "acme")

    assert (row.distribution, row.version) == ("multitap_acme", "1.0")


@pytest.mark.fault("G10")
def test_enumerating_imports_nothing_of_any_plugin(tmp_path):
    broken = {"acme_plugin.chat": "def ("}
    write_distribution(
        tmp_path, "multitap-acme", [("chat", "acme = acme_plugin.chat")], broken, manifest=""
    )
    (tmp_path / "acme_plugin" / "__init__.py").write_text("raise SystemExit(3)")
    program = """
        import sys, json
        from multitap.registry import Registry
        before = set(sys.modules)
        found = Registry(environ={})
        rows = [row.state for row in found.capabilities() if row.provider == "acme"]
        names = [info.name for info in found.providers() if info.name == "acme"]
        new = {name.partition(".")[0] for name in set(sys.modules) - before}
        print(json.dumps([rows, names, sorted(n for n in new if "acme" in n or "multitap_" in n)]))
    """
    paths = [str(tmp_path), *sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {paths!r}\n{textwrap.dedent(program)}"],
        capture_output=True,
        check=True,
    )

    assert json.loads(done.stdout) == [["declared"], ["acme"], []]


def test_reading_the_registry_module_does_not_import_the_metadata_library():
    program = "import sys, multitap.registry; print('importlib_metadata' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {program}"],
        capture_output=True,
        check=True,
    )

    assert done.stdout.strip() == b"False"


# ---- what the user allows ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "variable", "usable"),
    [
        ({}, None, {"dist-a", "dist-b"}),
        ({}, "", {"dist-a", "dist-b"}),
        ({}, "none", set()),
        ({}, "Dist_A", {"dist-a"}),
        ({}, " dist-a , dist.b ", {"dist-a", "dist-b"}),
        ({}, "-dist_a", {"dist-b"}),
        ({"allow": ["DIST.A"]}, None, {"dist-a"}),
        ({"allow": []}, None, set()),
        ({"deny": ["dist_b"]}, None, {"dist-a"}),
        ({"allow": ["dist-a"]}, "dist-b", set()),
        ({"deny": ["dist-a"]}, "dist-a,dist-b", {"dist-b"}),
    ],
)
def test_the_user_allows_and_denies_distributions(install, options, variable, usable):
    install("dist-a", [("chat", "acme-a = a")])
    install("dist-b", [("chat", "acme-b = b")])
    environ = {} if variable is None else {"MULTITAP_PLUGINS": variable}

    found = states(registry(environ=environ, **options))

    assert {name for (_, _, name), state in found.items() if state == "declared"} == usable
    assert set(found.values()) <= {"declared", "denied"}


def test_a_denied_plugin_is_not_imported_and_the_error_says_why(install):
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": CHAT})

    with pytest.raises(ConfigError, match=r"denies multitap-acme.*MULTITAP_PLUGINS"):
        registry(environ={"MULTITAP_PLUGINS": "none"}).build("chat", acme())

    assert "acme_plugin" not in sys.modules


def test_two_distributions_that_claim_one_place_both_wait_for_the_user(install):
    install("dist-a", [("chat", "acme = acme_a"), ("image", "acme = acme_a")], {"acme_a": CHAT})
    install("dist-b", [("chat", "acme = acme_b")], {"acme_b": CHAT})
    found = registry()

    assert states(found) == {
        ("chat", "acme", "dist-a"): "conflict",
        ("chat", "acme", "dist-b"): "conflict",
        ("image", "acme", "dist-a"): "declared",
    }
    with pytest.raises(ConfigError, match=r"dist-a, dist-b\. .*acme = \"dist-a\".*plugins.choose"):
        found.build("chat", acme())
    assert not {"acme_a", "acme_b"} & set(sys.modules)


def test_the_distribution_that_the_user_chose_is_the_one_that_loads(install):
    install("dist-a", [("chat", "acme = acme_a")], {"acme_a": CHAT})
    install("dist-b", [("chat", "acme = acme_b")], {"acme_b": CHAT})
    found = registry(choose={"acme": "Dist_B"})

    assert type(found.build("chat", acme())).__module__ == "acme_b"
    assert states(found) == {
        ("chat", "acme", "dist-a"): "denied",
        ("chat", "acme", "dist-b"): "loaded",
    }


def test_denying_one_of_two_ends_the_conflict(install):
    install("dist-a", [("chat", "acme = acme_a")])
    install("dist-b", [("chat", "acme = acme_b")])

    assert list(states(registry(deny=["dist-a"])).values()) == ["denied", "declared"]


# ---- provider.toml -------------------------------------------------------------------------------


def test_providers_have_the_facts_of_their_manifest(install):
    install(
        "multitap-acme",
        [("embedding", "acme = acme_plugin.e"), ("chat", "acme = acme_plugin.c")],
        manifest='[acme]\ntitle = "Acme"\nendpoint = "http://127.0.0.1:1"\n',
    )
    install("plain-dist", [("chat", "acme-plain = acme_plain")], {"acme_plain": CHAT})

    found = [info for info in registry().providers() if info.name.startswith("acme")]

    expected = ProviderInfo(
        name="acme",
        title="Acme",
        endpoint="http://127.0.0.1:1",
        distribution="multitap-acme",
        version="1.0",
        capabilities=("chat", "embedding"),
    )
    assert found[0] == expected
    assert (found[1].name, found[1].title, found[1].api) == ("acme-plain", "acme-plain", 1)


MALFORMED = [
    "not toml",
    "[acme]\ntitel = 'Acme'\n",
    "acme = 3\n",
    "[acme]\nabsent = {ranking = 'x'}\n",
    "[acme]\nabsent = {rerank = ''}\n",
]


@pytest.mark.parametrize("manifest", MALFORMED)
def test_a_wrong_manifest_quarantines_its_rows_only(install, manifest):
    install("multitap-acme", [("chat", "acme = acme_plugin.chat")], manifest=manifest)
    install("dist-b", [("chat", "acme-b = acme_b")], {"acme_b": CHAT})
    found = registry()

    assert list(states(found).values()) == ["quarantined", "declared"]
    assert "provider.toml" in found.failures["chat", "acme"].reason
    with pytest.raises(PluginError, match=r"provider.toml.*pip uninstall multitap-acme"):
        found.build("chat", acme())
    assert "acme_plugin" not in sys.modules


@pytest.mark.parametrize(("api", "upgrade"), [(2, "multitap"), (0, "multitap-acme")])
def test_another_version_of_the_hooks_is_seen_before_the_import(install, api, upgrade):
    modules = {"acme_plugin.chat": CHAT}
    manifest = f"[acme]\napi = {api}\n"
    install("multitap-acme", [("chat", "acme = acme_plugin.chat")], modules, manifest=manifest)
    found = registry()

    assert list(states(found).values()) == ["incompatible"]
    with pytest.raises(PluginError, match=rf"version {api} .*upgrade {upgrade}`") as caught:
        found.build("chat", acme())
    assert caught.value.distribution == "multitap-acme"
    assert "acme_plugin" not in sys.modules


# ---- loading -------------------------------------------------------------------------------------


def test_building_imports_the_module_and_calls_its_own_hook(install):
    install("dist-a", [("chat", "acme-a = acme_a")], {"acme_a": CHAT})
    install("dist-b", [("chat", "acme-b = acme_b")], {"acme_b": CHAT})
    found = registry()

    built = {name: found.build("chat", acme(f"acme-{name}", name=name)) for name in "ab"}

    assert [type(b).__module__ for b in built.values()] == ["acme_a", "acme_b"]
    assert built["a"].backend == acme("acme-a", name="a")
    assert set(states(found).values()) == {"loaded"}


def test_what_was_built_is_kept_until_the_backend_changes_or_is_forgotten(install):
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": CHAT})
    found = registry()
    first = found.build("chat", acme(region="eu"))

    assert found.build("chat", acme(region="eu")) is first
    second = found.build("chat", acme(region="us"))
    assert second is not first
    found.forget("other")
    assert found.build("chat", acme(region="us")) is second
    found.forget("box")
    assert found.build("chat", acme(region="us")) is not second


def test_one_module_may_serve_several_capabilities(install):
    both = CHAT + textwrap.dedent("""
        class Vectors:
            def embed(self, request): ...
        @hookimpl
        def multitap_embedding(): return Vectors()
    """)
    entry_points = [("chat", "acme = acme_plugin"), ("embedding", "acme = acme_plugin")]
    install("multitap-acme", entry_points, {"acme_plugin": both})
    found = registry()

    assert type(found.build("chat", acme())).__name__ == "Chat"
    assert list(states(found).values()) == ["loaded", "declared"]
    assert type(found.build("embedding", acme())).__name__ == "Vectors"


BROKEN = {
    "def (": "SyntaxError",
    "import not_there_at_all": "No module named 'not_there_at_all'",
    "raise SystemExit(3)": "SystemExit: 3",
    "raise GeneratorExit": "GeneratorExit",
    "1 / 0": "ZeroDivisionError",
    "": "acme_plugin has no multitap_chat.*@hookimpl",
    CHAT.replace("multitap_chat", "multitap_chatt"): "multitap_chatt.*it is multitap_chat",
    CHAT.replace("(backend):", "(backnd):"): "backnd",
}


@pytest.mark.fault("G1")
@pytest.mark.parametrize("source", BROKEN, ids=BROKEN.values())
def test_a_broken_module_is_quarantined_alone(install, source):
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": source})
    install("dist-b", [("chat", "acme-b = acme_b")], {"acme_b": CHAT})
    found = registry()

    with pytest.raises(PluginError, match=f"(?s){BROKEN[source]}.*pip install --upgrade") as caught:
        found.build("chat", acme())

    failure = found.failures["chat", "acme"]
    assert (caught.value.distribution, failure.distribution) == ("multitap-acme", "multitap-acme")
    assert "Traceback (most recent call last)" in failure.traceback
    assert "pip uninstall multitap-acme" in str(caught.value)
    assert found.build("chat", acme("acme-b", name="b"))
    assert list(states(found).values()) == ["quarantined", "loaded"]
    found.reload()
    with pytest.raises(PluginError, match=f"(?s){BROKEN[source]}"):  # nothing stayed registered
        found.build("chat", acme())


def test_a_quarantined_module_is_not_run_again_until_a_reload(install, tmp_path):
    source = "import builtins; builtins.acme_runs = getattr(builtins, 'acme_runs', 0) + 1; 1 / 0"
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": source})
    found = registry()
    import builtins

    for _ in range(3):
        with pytest.raises(PluginError, match="ZeroDivisionError"):
            found.build("chat", acme())
    assert builtins.acme_runs == 1
    del builtins.acme_runs

    (tmp_path / "acme_plugin.py").write_text(CHAT)
    found.reload()
    assert found.build("chat", acme())
    assert found.failures == {}


def test_a_module_that_failed_leaves_its_neighbours_registration_alone(install):
    entry_points = [("chat", "acme = acme_plugin"), ("image", "acme = acme_plugin")]
    install("multitap-acme", entry_points, {"acme_plugin": CHAT})
    found = registry()
    found.build("chat", acme())

    with pytest.raises(PluginError, match="has no multitap_image"):
        found.build("image", acme())

    assert list(states(found).values()) == ["loaded", "quarantined"]
    assert found.build("chat", acme(name="second"))


INTERRUPTED = """
import signal, threading
if threading.current_thread() is threading.main_thread():
    signal.raise_signal(signal.SIGINT)
raise KeyboardInterrupt
"""


@pytest.mark.fault("G2")
def test_an_interrupt_by_the_user_passes_and_quarantines_nothing(install, tmp_path):
    install("multitap-acme", [("chat", "acme = acme_plugin")])
    (tmp_path / "acme_plugin.py").write_text(INTERRUPTED)
    found = registry()

    with pytest.raises(KeyboardInterrupt):
        found.build("chat", acme())
    assert list(states(found).values()) == ["declared"]

    outcome = in_threads(1, lambda: found.build("chat", acme()))
    assert [type(o) for o in outcome] == [PluginError]
    assert list(states(found).values()) == ["quarantined"]


@pytest.mark.fault("G2")
def test_an_interrupt_that_a_plugin_hides_behind_another_error_passes_too(install):
    hides = "import signal\ntry: signal.raise_signal(signal.SIGINT)\n"
    hides += "except BaseException: raise ImportError('something else')\n"
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": hides})
    found = registry()

    with pytest.raises(KeyboardInterrupt):
        found.build("chat", acme())

    assert list(states(found).values()) == ["declared"]


def test_an_entry_point_that_names_no_module_is_the_plugins_error(install):
    install("multitap-acme", [("chat", "acme = acme_plugin:Chat")], {"acme_plugin": CHAT})

    with pytest.raises(PluginError, match="'acme_plugin:Chat' is not the name of a module"):
        registry().build("chat", acme())


RESULTS = {
    "return None": "returned None",
    "yield Chat()": "coroutine or a generator",
    "return Other()": r"\(Other\) has no method chat",
    "return Chat": r"Chat\.chat\(\) must take 1 argument by position",
    "return Narrow()": r"Narrow\.chat\(\) must take 1 argument by position",
    "return Wide()": r"Wide\.chat\(\) must take 1 argument by position.*'b'",
    "return 1 / 0": "ZeroDivisionError",
    "raise SystemExit": "SystemExit",
}


@pytest.mark.fault("G8")
@pytest.mark.parametrize("body", RESULTS, ids=RESULTS.values())
def test_a_hook_must_give_an_object_with_the_capabilitys_methods(install, body):
    source = f"""
        from multitap.hookspecs import hookimpl
        class Other: chat = 3
        class Chat:
            def chat(self, request): ...
        class Narrow:
            def chat(self): ...
        class Wide:
            def chat(self, a, b): ...
        @hookimpl
        def multitap_chat(backend):
            {body}
    """
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": source})

    with pytest.raises(PluginError, match=f"multitap-acme cannot serve.*{RESULTS[body]}"):
        registry().build("chat", acme())


@pytest.mark.fault("G8")
def test_a_coroutine_is_closed_and_refused(install):
    source = CHAT.replace("def multitap_chat", "async def multitap_chat")
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": source})

    with pytest.raises(PluginError, match="plain function"):
        registry().build("chat", acme())


def test_an_error_of_ours_from_a_hook_is_passed_on(install):
    source = CHAT.replace(
        "return Chat(backend)",
        "from multitap.errors import ConfigError; raise ConfigError('region is missing')",
    )
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": source})

    with pytest.raises(ConfigError, match="region is missing"):
        registry().build("chat", acme())


# ---- what is not there ---------------------------------------------------------------------------


def test_a_provider_that_is_not_installed_names_the_package(monkeypatch):
    packages = {"tern": "multitap-tern"}
    monkeypatch.setattr("multitap.registry.unusable.known_packages", packages)
    with pytest.raises(ConfigError, match=r"'acme'.*Install the plugin"):
        registry().build("chat", acme())
    with pytest.raises(ConfigError, match=r"'tern'.*pip install multitap-tern"):
        Registry(environ={}, deny=()).build("chat", acme("tern"))


def test_a_missing_capability_says_who_has_it(install):
    install("dist-a", [("chat", "acme-a = a")])
    install("dist-b", [("rerank", "acme-b = b")])

    with pytest.raises(NotSupported, match=r"acme-a has no rerank.*acme-b.*capabilities") as caught:
        registry().build("rerank", acme("acme-a"))

    assert caught.value.backend == "box"


def test_a_missing_capability_says_why_where_its_plugin_does(install):
    manifest = "[acme]\nabsent = {rerank = 'Acme ranks nothing'}\n"
    install("multitap-acme", [("chat", "acme = acme_plugin.chat")], manifest=manifest)

    with pytest.raises(NotSupported) as caught:
        registry().build("rerank", acme())

    assert caught.value.message == "Acme ranks nothing"


def test_a_missing_capability_is_missing_where_nothing_of_its_provider_may_be_used(install):
    install("multitap-acme", [("chat", "acme = acme_plugin.chat")])

    with pytest.raises(NotSupported, match="acme has no rerank"):
        registry(deny=["multitap-acme"]).build("rerank", acme())


def test_an_unknown_capability_is_the_callers_error():
    with pytest.raises(ConfigError, match=r"'telepathy'.*chat, embedding"):
        registry().build("telepathy", acme())


# ---- objects of the application ------------------------------------------------------------------


class Fake:
    class Chat:
        def chat(self, request): ...

    @hookimpl
    def multitap_chat(self, backend):
        return self.Chat()


def test_an_application_adds_and_removes_its_own(install):
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": CHAT})
    found = registry(environ={"MULTITAP_PLUGINS": "-multitap-acme"})
    info = ProviderInfo(name="acme", endpoint="http://127.0.0.1:1")

    found.add(Fake(), "acme", ["chat"], info=info)

    assert type(found.build("chat", acme())) is Fake.Chat
    assert states(found) == {
        ("chat", "acme", ""): "loaded",
        ("chat", "acme", "multitap-acme"): "denied",
    }
    [known] = [info for info in found.providers() if info.name == "acme"]
    assert (known.endpoint, known.capabilities) == ("http://127.0.0.1:1", ("chat",))
    found.remove("acme")
    assert list(states(found).values()) == ["denied"]
    with pytest.raises(ConfigError, match="denies"):
        found.build("chat", acme())


def test_what_an_application_adds_goes_before_what_is_installed(install):
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": CHAT})
    found = registry()
    found.add(Fake(), "acme", ["chat"], distribution="tests")
    assert type(found.build("chat", acme())) is Fake.Chat

    found.remove("acme")

    assert type(found.build("chat", acme())).__module__ == "acme_plugin"


def test_what_is_added_after_a_removal_is_what_counts():
    found, first, second = registry(), Fake(), Fake()
    second.Chat = type("Other", (Fake.Chat,), {})
    found.add(first, "acme", ["chat"])
    found.build("chat", acme())

    found.remove("acme")
    found.add(second, "acme", ["chat"])

    assert type(found.build("chat", acme())) is second.Chat


def test_one_object_may_serve_two_providers_and_the_same_place_once():
    found, fake = registry(), Fake()
    found.add(fake, "acme-a", ["chat"])
    found.add(fake, "acme-b", ["chat"])

    with pytest.raises(ConfigError, match=r"acme-a was added already.*remove\('acme-a'\)"):
        found.add(Fake(), "acme-a", ["chat"])
    assert found.build("chat", acme("acme-a", name="a"))
    found.remove("acme-a")
    assert found.build("chat", acme("acme-b", name="b"))
    found.remove("never added")


def test_a_module_can_be_added_and_its_faults_are_named():
    module = types.ModuleType("acme_local")
    found = registry()
    found.add(module, "acme", ["chat"])

    with pytest.raises(PluginError, match=r"acme_local has no multitap_chat.*Correct what was"):
        found.build("chat", acme())
    with pytest.raises(ConfigError, match="telepathy"):
        found.add(module, "acme-b", ["telepathy"])


# ---- threads -------------------------------------------------------------------------------------


def in_threads(count, work):
    """What each of the threads got, or raised; all start together."""
    start, outcomes = threading.Barrier(count), []

    def one():
        start.wait(30)
        try:
            outcomes.append(work())
        except BaseException as error:
            outcomes.append(error)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(outcomes) == count, "a thread never came back"
    return outcomes


COUNTED = "import builtins; builtins.acme_runs = getattr(builtins, 'acme_runs', 0) + 1\n"


@pytest.fixture
def runs():
    import builtins

    yield lambda: builtins.acme_runs
    del builtins.acme_runs


def test_eight_threads_import_a_module_once_and_share_what_it_built(install, runs):
    install("multitap-acme", [("chat", "acme = acme_p")], {"acme_p": COUNTED + CHAT})
    found = registry()

    built = in_threads(8, lambda: found.build("chat", acme()))

    assert (runs(), len({id(b) for b in built})) == (1, 1)
    assert type(built[0]).__name__ == "Chat"


def test_eight_threads_run_a_broken_module_once_and_all_learn_why(install, runs):
    install("multitap-acme", [("chat", "acme = acme_p")], {"acme_p": COUNTED + "1 / 0"})
    found = registry()
    ids = iter(range(8))

    outcomes = in_threads(8, lambda: found.build("chat", acme(name=f"box-{next(ids)}")))

    assert runs() == 1
    assert all("ZeroDivisionError" in str(o) for o in outcomes)


def test_a_slow_import_holds_up_nobody_else(install):
    waits = "import builtins; builtins.acme_gate.wait(30)\n" + CHAT
    install("dist-a", [("chat", "acme-a = acme_a")], {"acme_a": waits})
    install("dist-b", [("chat", "acme-b = acme_b")], {"acme_b": CHAT})
    found = registry()
    import builtins

    builtins.acme_gate = threading.Event()
    slow = threading.Thread(target=found.build, args=("chat", acme("acme-a", name="a")))
    slow.start()
    try:
        assert found.build("chat", acme("acme-b", name="b"))
        assert ("chat", "acme-a", "dist-a") in states(found)
    finally:
        builtins.acme_gate.set()
        slow.join(30)
        del builtins.acme_gate
    assert set(states(found).values()) == {"loaded"}


def test_a_module_that_needs_itself_while_it_loads_is_broken_not_stuck(install):
    circular = "import builtins; builtins.acme_build()\n" + CHAT
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": circular})
    found = registry()
    import builtins

    builtins.acme_build = lambda: found.build("chat", acme())
    try:
        [outcome] = in_threads(1, builtins.acme_build)
    finally:
        del builtins.acme_build

    assert isinstance(outcome, PluginError)
    assert "chat of box is needed in order to load itself" in str(outcome)


def test_threads_that_wait_for_each_other_in_a_circle_are_told():
    turns, both = Turns(), threading.Barrier(2)
    pairs = iter([("a", "b"), ("b", "a")])

    def cross():
        mine, other = next(pairs)
        with turns.hold(mine):
            both.wait(30)
            with turns.hold(other):
                return "went on"

    outcomes = in_threads(2, cross)

    assert sorted(type(o).__name__ for o in outcomes) == ["PluginError", "str"]


def test_everything_can_be_imported_at_once_and_what_breaks_is_quarantined(install):
    install("multitap-acme", [("chat", "acme = acme_plugin")], {"acme_plugin": CHAT})
    install("acme-bad", [("command", "bad = acme_bad")], {"acme_bad": "1 / 0"})
    found = registry()
    found.load()
    mine = {r.distribution: r.state for r in found.entries() if "acme" in r.distribution}
    assert mine == {"multitap-acme": "loaded", "acme-bad": "quarantined"}
    assert "ZeroDivisionError" in found.failures["command", "bad"].reason
