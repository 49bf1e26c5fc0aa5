"""What is installed is found without importing it, follows what comes and goes, and is kept."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import warnings
from importlib.machinery import PathFinder
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wheels import CHAT, unpack, write_wheel

import multitap
from multitap.hookspecs import Backend
from multitap.registry import Registry
from multitap.registry.installed import cache, disk, metadata, snapshot
from multitap.registry.installed.distribution import Folder
from multitap.registry.installed.library import one_distribution
from multitap.registry.installed.snapshot import Installed

SLOW = "import pathlib, time\npathlib.Path(__file__ + '.ran').touch()\ntime.sleep(1)\n"
COUNT = 20


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder on ``sys.path``; what was imported from it is forgotten at the end."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.startswith("acme")]:
        del sys.modules[name]


@pytest.fixture
def later(monkeypatch):
    """A clock on which everything on disk has long been settled."""
    monkeypatch.setattr(disk, "time", SimpleNamespace(time=lambda: 1e11))


def install(folder, name="multitap-acme", version="1.0", module="acme_plugin", **more):
    """Unpack a wheel with one chat plugin."""
    provider = more.get("provider", "acme")
    files = more.get("files", {f"{module}/__init__.py": CHAT})
    groups = more.get("groups", {"chat": {provider: module}})
    unpack(write_wheel(folder.parent, name, groups, files, version), folder)


def uninstall(folder, name="multitap-acme", version="1.0", module="acme_plugin"):
    """Remove what ``install`` brought."""
    shutil.rmtree(folder / module)
    shutil.rmtree(folder / f"{name.replace('-', '_')}-{version}.dist-info")


def twenty(folder):
    """Twenty plugins whose modules take their time, and tell that they ran."""
    for number in range(COUNT):
        package = f"acme_{number}"
        files = {
            f"{package}/__init__.py": SLOW,
            f"{package}/chat.py": SLOW,
            f"{package}/provider.toml": f"[acme-{number}]\ntitle = 'Number {number}'\n",
        }
        groups = {"chat": {f"acme-{number}": f"{package}.chat"}}
        install(folder, f"multitap-acme-{number}", groups=groups, files=files)


PROGRAM = """
import json, sys
events = []
def note(event, args):
    if event == "import" or event.startswith("socket."):
        events.append((event, str(args[0]) if args else ""))
sys.addaudithook(note)
import multitap
rows = [[r.provider, r.state] for r in multitap.capabilities() if r.provider.startswith("acme")]
from multitap.registry import Registry
titles = [i.title for i in Registry().providers() if i.name.startswith("acme")]
print(json.dumps({"rows": rows, "titles": titles, "events": events, "modules": list(sys.modules)}))
"""


def run(program, folder, home, *, pythons_own=()):
    """Run it in a process in which the folder is on ``sys.path``; what it printed as JSON."""
    core = str(Path(multitap.__file__).parents[1])
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("MULTITAP_")},
        "PYTHONPATH": os.pathsep.join([str(folder), core, *pythons_own]),
        "XDG_CACHE_HOME": str(home),
        "HOME": str(home),
    }
    words = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(words, env=environ, cwd=home, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- nothing is imported -------------------------------------------------------------------------


def test_twenty_plugins_are_listed_and_none_is_imported(tmp_path):
    folder, home = tmp_path / "site", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    twenty(folder)

    for _ in ("read", "from the cache"):
        seen = run(PROGRAM, folder, home)

        assert sorted(seen["rows"]) == sorted([f"acme-{n}", "declared"] for n in range(COUNT))
        assert sorted(seen["titles"]) == sorted(f"Number {n}" for n in range(COUNT))
        assert [name for name in seen["modules"] if name.startswith("acme")] == []
        assert [e for e in seen["events"] if e[0] != "import" or e[1].startswith("acme")] == []
        assert list(folder.rglob("*.ran")) == []


LISTED = """
import json, sys
import multitap
from multitap.registry.installed import disk
disk.time = type("Later", (), {"time": staticmethod(lambda: 1e11)})  # all has long been settled
rows = [[r.provider, r.state] for r in multitap.capabilities() if r.provider.startswith("acme")]
heavy = ("attr", "cattrs", "click", "httpx", "importlib_metadata", "msgspec", "pluggy", "tomllib")
print(json.dumps({"rows": sorted(rows), "heavy": [n for n in heavy if n in sys.modules]}))
"""


def test_with_nothing_configured_what_is_kept_needs_no_library(tmp_path):
    folder, home = tmp_path / "site", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    twenty(folder)

    assert run(LISTED, folder, home)["heavy"] != []
    seen = run(LISTED, folder, home)
    assert seen["heavy"] == []
    assert seen["rows"] == sorted([f"acme-{n}", "declared"] for n in range(COUNT))

    (home / "llm.toml").write_text("[plugins]\ndeny = ['multitap-acme-7']\n")
    assert ["acme-7", "denied"] in run(LISTED, folder, home)["rows"]


def test_what_pip_has_installed_is_found_and_loaded(tmp_path):
    folder, home = tmp_path / "site", tmp_path / "home"
    home.mkdir()
    wheel = write_wheel(
        tmp_path, "multitap-acme", {"chat": {"acme": "acme_plugin"}}, {"acme_plugin.py": CHAT}
    )
    pip = [sys.executable, "-m", "pip", "--isolated", "--disable-pip-version-check", "install"]
    words = ["--quiet", "--no-index", "--no-deps", "--target", str(folder), str(wheel)]
    subprocess.run([*pip, *words], check=True, timeout=120)

    seen = run(
        """
        import json
        from multitap.registry import Registry
        from multitap.hookspecs import Backend
        registry = Registry()
        built = registry.build("chat", Backend(id="a", provider="acme"))
        rows = [[r.distribution, r.version, r.state] for r in registry.capabilities()
                if r.provider == "acme"]
        print(json.dumps({"built": type(built).__module__, "rows": rows}))
        """,
        folder,
        home,
    )

    assert seen == {"built": "acme_plugin", "rows": [["multitap-acme", "1.0", "loaded"]]}


# ---- what comes and goes -------------------------------------------------------------------------


def rows_of(source):
    """Version and state of the rows of ``acme``."""
    return [(r.version, r.state) for r in source.capabilities() if r.provider == "acme"]


SOURCES = {
    "multitap": lambda: multitap,
    "Runtime": lambda: multitap.Runtime({}),
    "Registry": lambda: Registry(environ={}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_a_plugin_is_seen_when_it_comes_changes_and_goes(source, site):
    seen = SOURCES[source]()
    assert rows_of(seen) == []

    install(site)
    assert rows_of(seen) == [("1.0", "declared")]

    uninstall(site)
    install(site, version="1.1")
    assert rows_of(seen) == [("1.1", "declared")]

    uninstall(site, version="1.1")
    assert rows_of(seen) == []


def test_what_was_settled_is_seen_to_change(site, later):
    """Each change moves a time that the stamps hold, whatever the ticks of the file system."""
    found = Registry(environ={})
    install(site)
    assert rows_of(found) == [("1.0", "declared")]
    info = site / "multitap_acme-1.0.dist-info"

    (info / "entry_points.txt").write_text("[multitap.image]\nacme = acme_plugin\n[x]\ny = z\n")
    assert [r.capability for r in found.capabilities() if r.provider == "acme"] == ["image"]

    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: multitap-acme\nVersion: 1.0.7\n")
    assert rows_of(found) == [("1.0.7", "declared")]

    (site / "acme_plugin/provider.toml").write_text("[acme]\ntitle = 'Told later'\n")
    assert [i.title for i in found.providers() if i.name == "acme"] == ["Told later"]

    (site / "acme_plugin/provider.toml").write_text("[acme]\napi = 2\n")
    assert rows_of(found) == [("1.0.7", "incompatible")]


def test_an_editable_installation_is_seen(site, tmp_path, monkeypatch):
    """The code lies elsewhere on the path; only its metadata are where packages are."""
    found = Registry(environ={})
    source = tmp_path / "source"
    source.mkdir()
    monkeypatch.syspath_prepend(str(source))
    assert rows_of(found) == []

    install(site)
    shutil.move(site / "acme_plugin", source)

    assert rows_of(found) == [("1.0", "declared")]
    assert found.build("chat", Backend(id="a", provider="acme"))
    assert sys.modules["acme_plugin"].__file__.startswith(str(source))


def test_an_upgraded_plugin_is_the_one_that_is_built_next(site):
    found, backend = Registry(environ={}), Backend(id="a", provider="acme")
    install(site, files={"acme_plugin/__init__.py": CHAT + "VERSION = 1\n"})
    old = found.build("chat", backend)
    assert found.build("chat", backend) is old

    uninstall(site)
    install(site, version="2.0", files={"acme_plugin/__init__.py": CHAT + "VERSION = 2\n"})
    assert rows_of(found) == [("2.0", "declared")]
    new = found.build("chat", backend)

    assert (sys.modules[type(new).__module__].VERSION, type(new) is type(old)) == (2, False)
    assert old.chat(None) is None, "what is in flight goes on"


def test_a_removed_plugin_leaves_no_module_and_no_registration(site):
    found = Registry(environ={})
    install(site)
    kept = found.build("chat", Backend(id="a", provider="acme"))

    uninstall(site)
    assert rows_of(found) == []

    assert "acme_plugin" not in sys.modules
    assert found._workshop._loader._manager.get_plugins() == set()
    assert kept.chat(None) is None


def test_a_runtime_follows_without_being_told(site):
    rt = multitap.Runtime({"defaults": {"provider": "echo"}})
    assert rt.resolve("acme:a1").backend == "echo"

    install(site)
    assert (rt.resolve("acme:a1").backend, rt.resolve("acme:a1").model) == ("acme", "a1")
    assert "acme" in {backend.id for backend in rt.backends()}
    assert "acme" in {info.name for info in rt.providers()}

    uninstall(site)
    assert "acme" not in {backend.id for backend in rt.backends()}
    assert rt.resolve("acme:a1").backend == "echo"


def test_a_package_is_found_in_a_folder_whose_time_went_back(site):
    """Python's own finder keeps its listing of a folder for as long as the time is the same."""
    before = site.stat().st_mtime_ns
    found = Registry(environ={})
    assert rows_of(found) == []
    assert importlib.util.find_spec("acme_plugin") is None

    install(site)
    os.utime(site, ns=(before, before))

    assert rows_of(found) == [("1.0", "declared")]
    assert found.build("chat", Backend(id="a", provider="acme"))


def test_a_look_that_finds_nothing_new_reads_nothing(site, later, monkeypatch):
    install(site)
    found = Registry(environ={})
    before = found.notice()
    monkeypatch.setattr(metadata, "read", lambda *args: pytest.fail("a file was read"))
    monkeypatch.setattr(metadata, "names_in", lambda *args: pytest.fail("a folder was listed"))

    assert rows_of(found) == [("1.0", "declared")]
    assert found.notice() == found.notice(quick=True) == before


def test_a_folder_that_changed_just_now_is_read_again(site):
    """Two changes within a tick of the file system's clock leave the same time."""
    assert disk.stamp(str(site)) is None
    assert disk.stamp(str(site / "not there")) == disk.ABSENT


# ---- other places than folders -------------------------------------------------------------------


def test_a_wheel_on_the_path_is_a_plugin_too(tmp_path, monkeypatch):
    files = {"acme_plugin/__init__.py": CHAT, "acme_plugin/provider.toml": "[acme]\ntitle = 'Z'\n"}
    groups = {"chat": {"acme": "acme_plugin"}}
    monkeypatch.syspath_prepend(str(write_wheel(tmp_path, "multitap-acme", groups, files)))
    found = Registry(environ={})

    assert rows_of(found) == [("1.0", "declared")]
    assert [i.title for i in found.providers() if i.name == "acme"] == ["Z"]
    try:
        assert found.build("chat", Backend(id="a", provider="acme"))
    finally:
        sys.modules.pop("acme_plugin", None)
        with warnings.catch_warnings():  # Python's own importer leaves the wheel open
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.mark.parametrize("place", ["acme-1.0.egg/EGG-INFO", "acme.egg-info"])
def test_the_metadata_of_older_tools_are_read(place, tmp_path, monkeypatch):
    info = tmp_path / place
    info.mkdir(parents=True)
    (info / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[multitap.chat]\nacme = acme_plugin\n")
    monkeypatch.syspath_prepend(str(info.parent))
    found = Registry(environ={})

    assert rows_of(found) == [("1.0", "declared")]
    (info / "entry_points.txt").write_text("[console_scripts]\n")
    assert rows_of(found) == []


def test_a_finder_that_somebody_added_is_asked(site, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    install(elsewhere)

    class Finder:
        def find_spec(self, name, path=None, target=None):
            return PathFinder.find_spec(name, [str(elsewhere)])

        def find_distributions(self, context):
            from importlib_metadata import PathDistribution

            yield PathDistribution(elsewhere / "multitap_acme-1.0.dist-info")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    found = Registry(environ={})

    assert rows_of(found) == [("1.0", "declared")]
    monkeypatch.undo()
    assert rows_of(found) == []


def test_of_one_name_the_first_on_the_path_counts_and_an_empty_folder_never(site, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    sys.path.insert(1, str(other))
    install(other, version="0.9")
    found = Registry(environ={})
    assert rows_of(found) == [("0.9", "declared")]

    empty = site / "Multitap.Acme-2.0.dist-info"
    empty.mkdir()
    assert rows_of(found) == [("0.9", "declared")]

    install(site)
    assert rows_of(found) == [("1.0", "declared")]
    sys.path.remove(str(other))


# ---- the library says the same -------------------------------------------------------------------

NAMES = st.text("abc-_.XÄ=[] #", max_size=6)
LINES = st.one_of(
    st.sampled_from(
        ["[multitap.chat]", "[multitap.image]", "[console_scripts]", "[]", "[", "]", "# x", ""]
    ),
    st.builds("{} = {}".format, NAMES, st.text("abc.:[], =#", max_size=8)),
    st.builds("[{}]".format, NAMES),
    st.text("ab=[]# \t\x0b\x1c\u2028", max_size=8),
)
FILES = st.builds(
    lambda lines, newline: newline.join(lines),
    st.lists(LINES, max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
)


@given(FILES)
def test_entry_points_are_those_that_the_library_reads(made, text):
    (made / "entry_points.txt").write_bytes(text.encode())
    exact = one_distribution(str(made))

    ours = metadata.entries_of(text.encode())

    if "Invalid object reference" not in exact.problem:  # some versions of it judge the values too
        assert ours is None or (ours, "") == (exact.entries, exact.problem)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "acme-1.0.dist-info"
    folder.mkdir()
    return folder


HEADERS = st.lists(
    st.one_of(
        st.sampled_from(["Name: acme", "Version: 1.0", "name:acme-b", "VERSION :  2", "Name: ä"]),
        st.sampled_from(["Name: a b", " folded", "", "Summary: x", "no header", "Version:", "\tx"]),
    ),
    max_size=8,
)


@given(HEADERS, st.sampled_from(["\n", "\r\n"]))
def test_name_and_version_are_those_that_the_library_reads(made, lines, newline):
    text = newline.join(["Metadata-Version: 2.1", *lines]).encode()
    (made / "METADATA").write_bytes(text)
    exact = one_distribution(str(made))

    ours = metadata.headers_of(text)

    assert ours is None or ours == (exact.name, exact.version)


def test_usual_files_need_no_library():
    """Else the two properties above would hold of nothing."""
    assert metadata.entries_of(b"[a.b]\nx = y:z\n\n[multitap.chat]\n# no\nacme = p.chat\n") == (
        ("multitap.chat", "acme", "p.chat"),
    )
    assert metadata.headers_of(b"Metadata-Version: 2.1\nName: x\nVersion: 1\n\nName: y") == (
        "x",
        "1",
    )


def test_a_file_that_is_no_text_is_told_once_and_spoils_nothing(site):
    install(site)
    install(site, "bad-dist", module="acme_bad", provider="acme-bad")
    (site / "bad_dist-1.0.dist-info/entry_points.txt").write_bytes(
        b"[multitap.chat]\n\xff = \xfe\n"
    )
    found = Registry(environ={})

    with pytest.warns(RuntimeWarning, match=r"bad-dist cannot be read \(UnicodeDecodeError.*pip"):
        assert rows_of(found) == [("1.0", "declared")]
    assert rows_of(found) == [("1.0", "declared")], "warned again"


# ---- what is kept on disk ------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch, later):
    """A cache folder of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def kept_file(home):
    [path] = home.glob("**/*.json")
    return path


def acme_entries(snapshot):
    return [d for d in snapshot.declarations if d.name == "acme"]


def test_the_next_process_reads_nothing_again(site, home, monkeypatch):
    (site / "acme_plugin").mkdir()
    install(site)
    (site / "acme_plugin/provider.toml").write_text("[acme]\ntitle = 'Kept'\n")
    first = Installed().look()
    monkeypatch.setattr(metadata, "read", lambda *args: pytest.fail("a file was read"))
    monkeypatch.setattr(
        "multitap.registry.installed.manifests.read", lambda *args: pytest.fail("read")
    )

    assert Installed().look() == first
    assert first.manifests["acme_plugin"].tables == {"acme": {"title": "Kept"}}


WRONG = "[acme]\ntitle = 1\n"
NEWER = "[acme]\napi = 99\n"


@pytest.mark.parametrize(("text", "state"), [(WRONG, "quarantined"), (NEWER, "incompatible")])
def test_the_next_process_judges_nothing_again(text, state, site, home, monkeypatch):
    files = {"acme_plugin/__init__.py": CHAT, "acme_plugin/provider.toml": text}
    install(site, files=files)
    judged = []
    for _ in ("read", "from the cache"):
        snapshot.installed.forget()
        registry = Registry(environ={})
        assert rows_of(registry) == [("1.0", state)]
        judged.append(registry.failures)
        monkeypatch.setattr("multitap.manifest.provider_from_table", None)
    assert judged[0] == judged[1]


def test_other_rules_judge_again(site, home, monkeypatch):
    install(site, files={"acme_plugin/__init__.py": CHAT, "acme_plugin/provider.toml": NEWER})
    paths = snapshot._paths()
    Installed().look()
    assert cache.load(paths).tables
    for stamps in ([(1, 2), (3, 4)], [None, None], [(), ()]):
        with monkeypatch.context() as other:
            other.setattr(cache, "_rules", lambda stamps=stamps: stamps)
            assert cache.load(paths) == cache.Contents({}, {})
    assert all(cache._rules())


def test_only_the_user_can_read_what_is_kept(site, home):
    install(site)
    Installed().look()

    assert kept_file(home).stat().st_mode & 0o777 == 0o600
    assert kept_file(home).parent.stat().st_mode & 0o777 == 0o700


def lie(home):
    """Kept by somebody else: it names another module."""
    path = kept_file(home)
    path.write_bytes(path.read_bytes().replace(b"acme_plugin", b"evil_plugin"))
    return path


def test_a_cache_with_this_users_rights_is_read(site, home):
    """What the cases below must not be: else they would show nothing."""
    install(site)
    Installed().look()
    lie(home)

    assert [d.value for d in acme_entries(Installed().look())] == ["evil_plugin"]


def linked(home):
    path = lie(home)
    path.rename(home / "elsewhere")
    path.symlink_to(home / "elsewhere")


def as_folder(home):
    path = kept_file(home)
    path.unlink()
    path.mkdir()


def edited(home, change):
    path = kept_file(home)
    document = json.loads(lie(home).read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def numbered(document):
    for _, found, _ in document["folders"].values():
        for entry in (entry for row in found for entry in row[4]):
            entry[1] = 7


DAMAGE = {
    "deleted": lambda home: kept_file(home).unlink(),
    "no JSON": lambda home: kept_file(home).write_bytes(b"\x80\x04not json"),
    "cut": lambda home: kept_file(home).write_bytes(lie(home).read_bytes()[:-9]),
    "another format": lambda home: edited(home, lambda d: d.update(format=99)),
    "other paths": lambda home: edited(home, lambda d: d.update(paths=["/"])),
    "no rules": lambda home: edited(home, lambda d: d.update(rules=[])),
    "a list": lambda home: kept_file(home).write_text("[1, 2]"),
    "wrong rows": lambda home: edited(
        home, lambda d: [f[1].append(3) for f in d["folders"].values()]
    ),
    "wrong types": lambda home: edited(home, numbered),
    "wrong tables": lambda home: edited(home, lambda d: d["tables"].update(x=[[1], "y", {}])),
    "no verdicts": lambda home: edited(
        home, lambda d: d["tables"].update(x=[[1], {}, {"acme": [1]}])
    ),
    "a link": linked,
    "a folder": as_folder,
    "others may write it": lambda home: lie(home).chmod(0o622),
    "old stamps": lambda home: (lie(home), os.utime(sys.path[0], (1, 1))),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_whatever_became_of_the_cache_the_table_is_the_same(damage, site, home):
    install(site)
    first = Installed().look()
    DAMAGE[damage](home)
    if damage == "old stamps":
        os.utime(site / "multitap_acme-1.0.dist-info/entry_points.txt", (1, 1))

    assert acme_entries(Installed().look()) == acme_entries(first)
    assert acme_entries(Installed().look()) == acme_entries(first)


def test_a_file_of_another_user_is_not_read(site, home, monkeypatch):
    install(site)
    first = Installed().look()
    lie(home)
    monkeypatch.setattr(os, "getuid", lambda: 12345)

    assert acme_entries(Installed().look()) == acme_entries(first)


def test_where_nothing_can_be_kept_nothing_is(site, home):
    home.write_text("a file is in the place of the folder")
    install(site)

    assert len(acme_entries(Installed().look())) == 1
    assert home.read_text() == "a file is in the place of the folder"


def test_many_that_write_at_once_leave_one_whole_file(home):
    paths, start = ("/a", "/b"), threading.Barrier(8)
    contents = [cache.Contents({"/a": Folder((n,) * 1000)}, {}) for n in range(8)]

    def write(number):
        start.wait(30)
        for _ in range(20):
            cache.save(paths, contents[number])
            assert cache.load(paths) in contents

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert cache.load(paths) in contents
    assert [path.suffix for path in home.glob("**/*") if path.is_file()] == [".json"]


def test_what_is_kept_is_bounded(home):
    for number in range(cache._FILES + 8):
        cache.save((f"/{number}",), cache.Contents({}, {}))

    assert len(list(home.glob("**/*.json"))) == cache._FILES


def test_whether_a_group_is_declared_is_known_without_the_table(site, home, monkeypatch):
    assert not Installed().declares("multitap.command")
    install(site, groups={"command": {"greet": "acme_plugin"}})
    assert not home.exists()
    assert Installed().declares("multitap.command")
    assert not Installed().declares("multitap.chat_acme")
    monkeypatch.setattr(snapshot, "_has_foreign_finders", lambda: True)
    assert Installed().declares("multitap.command")
    assert not Installed().declares("multitap.chat_acme")


def test_the_process_has_one_table_for_all_registries():
    assert snapshot.installed.look() is snapshot.installed.look()
