"""An environment to break and to mend: packages of its own, wheels to install, and an llm.toml."""

import contextlib
import importlib
import os
import subprocess
import sys
import textwrap
import venv
import zipfile
from pathlib import Path
from unittest import mock

from command_line import run_in, valid

from multitap.cli.toml import toml_key, toml_value
from multitap.config.values import parse_toml

PLUGIN = """
from multitap.capabilities.catalog import Model
from multitap.hookspecs import hookimpl
from multitap.work import LocalExchange

class Shelf:
    def models(self):
        return LocalExchange(lambda emit: emit([Model(id="small"), Model(id="large")]) and None)

@hookimpl
def multitap_catalog(backend):
    return Shelf()
"""


class Workbench:
    """What is installed here is only what the test installs, beside the core and its own needs."""

    def __init__(self, folder):
        self.folder = folder
        self.wheels = folder / "wheels"
        self.file = folder / "llm.toml"
        self.environ = {"MULTITAP_CONFIG": str(self.file), "HOME": str(folder)}
        self.wheels.mkdir()
        self.write("")
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.python = folder / "venv" / "bin" / "python"
        self.site = next((folder / "venv").glob("lib/python*/site-packages"))
        self.path = [str(self.site), *(without_plugins(p, folder) for p in sys.path)]

    # ---- to break --------------------------------------------------------------------------------

    def wheel(self, name, version="1.0", *, source=PLUGIN, groups=None, manifest=None, needs=None):
        """Build a wheel; without ``groups`` it is a plugin with a catalog of its provider."""
        package = needs or name.replace("-", "_")
        info = f"{name.replace('-', '_')}-{version}.dist-info"
        found = {"multitap.catalog": name.removeprefix("multitap-")} if groups is None else groups
        entries = "".join(f"[{group}]\n{key} = {package}\n" for group, key in found.items())
        files = {
            f"{package}/__init__.py": textwrap.dedent(source),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            f"{info}/entry_points.txt": entries,
        }
        if manifest is not None:
            files[f"{package}/provider.toml"] = manifest
        files[f"{info}/RECORD"] = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
        place = self.wheels / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(place, "w") as archive:
            for file, text in files.items():
                archive.writestr(file, text)

    def install(self, name, version="1.0", **facts):
        """Build a wheel and unpack it where ``pip`` would."""
        self.wheel(name, version, **facts)
        file = self.wheels / f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(file) as archive:
            archive.extractall(self.site)

    def write(self, text):
        """Write the llm.toml."""
        self.file.write_text(textwrap.dedent(text))
        self.file.chmod(0o600)

    # ---- to look ---------------------------------------------------------------------------------

    def run(self, *words):
        """One command with what is installed now."""
        with self._own_modules(), mock.patch.object(sys, "path", self.path):
            importlib.invalidate_caches()
            return run_in(self.environ, *words)

    @contextlib.contextmanager
    def _own_modules(self):
        """What is installed here is imported anew, and others find what they had imported."""
        own = {path.name for path in self.site.iterdir()}
        others = {name: sys.modules[name] for name in imported(own)}
        self._forget(own)
        yield
        self.imported = imported(own)
        self._forget(own)
        sys.modules.update(others)

    @staticmethod
    def _forget(own):
        for name in imported(own):
            del sys.modules[name]

    def doctor(self, *words):
        """The findings, and the exit code."""
        ran = self.run("doctor", "--json", *words)
        report = valid("doctor", ran.out)
        assert (ran.err, ran.code) == ("", report["exit_code"])
        return report["findings"], ran.code

    def found(self, wanted, *words):
        """The findings of one id."""
        return [finding for finding in self.doctor(*words)[0] if finding["id"] == wanted]

    # ---- to mend ---------------------------------------------------------------------------------

    def apply(self, fix):
        """Do what a fix says."""
        if fix["kind"] == "config":
            self._edit(Path(fix["file"]), fix["key"], fix["value"])
            return
        program, *words = fix["command"]
        if program == "multitap":
            assert self.run(*words).code == 0
        elif program == "pip":
            self._pip(*words)
        else:
            assert program == "chmod"
            subprocess.run(fix["command"], check=True)

    def _pip(self, verb, *words):
        where = ["--no-index", "--find-links", str(self.wheels)] if verb == "install" else []
        pip = [sys.executable, "-m", "pip", "--python", str(self.python)]
        keep = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
        keep["PIP_CONFIG_FILE"] = os.devnull
        quiet = ["--disable-pip-version-check", "--quiet"]
        subprocess.run([*pip, verb, *quiet, *where, *words], env=keep, check=True)

    def _edit(self, file, key, value):
        document = parse_toml(file.read_text()) if file.exists() else {}
        tables = document
        path = list(walk(parse_toml(f"{key} = 0")))
        for name in path[:-1]:
            tables = tables.setdefault(name, {})
        if value is None:
            del tables[path[-1]]
        else:
            tables[path[-1]] = value
        lines = [f"{toml_key(name)} = {toml_value(table)}" for name, table in document.items()]
        self.write("\n".join(lines))


def imported(packages):
    """The modules of some packages that are imported now."""
    return [name for name in sys.modules if name.partition(".")[0] in packages]


def walk(table):
    """The names of a dotted key, as a TOML parser reads it."""
    for name, inner in table.items():
        yield name
        if inner:
            yield from walk(inner)


def without_plugins(place, folder):
    """A folder of ``sys.path``, or a copy of it by links that leaves out installed plugins."""
    here = Path(place)
    if not place or not here.is_dir() or not list(here.glob("multitap_*.dist-info")):
        return place
    copy = folder / f"libraries-{abs(hash(place))}"
    copy.mkdir(exist_ok=True)
    for entry in here.iterdir():
        if not entry.name.startswith(("multitap_", "__editable__")):
            (copy / entry.name).symlink_to(entry)
    return str(copy)
