"""Imports go downward only, without circles, and ``import multitap`` stays cheap."""

from __future__ import annotations

import ast
import graphlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
CORE = HERE / "core/src"
PLUGINS = sorted(HERE.glob("plugins/*/src/*/"))

LAYERS = (
    {"errors", "nesting", "redaction"},
    {"messages", "media", "surrogates", "signatures", "events", "usage", "prices", "sinks"},
    {"work", "headers", "excerpt", "framing"},
    {"capabilities", "extensions"},
    {"hookspecs", "manifest", "rules", "dialects", "filters"},
    {"registry"}
    | {"config", "resolve", "plan", "fitting", "shortening", "parameters", "policy", "answer"}
    | {"artifacts", "files", "joined_results", "structured", "text_tools", "tool_pairing"},
    {"engine"},
    {"runtime", "session", "cache"},
    {"cli", "testing"},
)
FOR_PLUGINS = set().union(*LAYERS[:5])
HEAVY = {"cattrs", "click", "httptools", "httpx", "importlib_metadata", "numpy", "pluggy", "rich"}


def sources(folder: Path) -> dict[str, Path]:
    """Module name to file, of everything below a folder of packages."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> set[str]:
    """What a file imports anywhere, as dotted names; ``from a import b`` counts as ``a.b``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def part_of(name: str) -> str | None:
    """The part of the core that a name belongs to: ``multitap.engine.flow`` is of ``engine``."""
    words = name.split(".")
    return words[1] if words[0] == "multitap" and len(words) > 1 else None


def layer_of(part: str) -> int:
    return next(place for place, parts in enumerate(LAYERS) if part in parts)


MODULES = sources(CORE)
PARTS = sorted({part for name in MODULES if (part := part_of(name))})


def test_every_part_of_the_core_has_its_layer() -> None:
    assert [part for part in PARTS if not any(part in layer for layer in LAYERS)] == []


@pytest.mark.parametrize("module", [name for name in MODULES if part_of(name)])
def test_a_module_imports_only_downward(module: str) -> None:
    own = part_of(module)
    assert own is not None
    used = {part for name in imported(MODULES[module]) if (part := part_of(name)) in PARTS}
    assert {part for part in used if part and layer_of(part) > layer_of(own)} == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Names for type checkers included; the package that holds all is looked at elsewhere."""
    graph = {}
    for module, path in MODULES.items():
        if module != "multitap":
            found = {_module_of(name) for name in imported(path)}
            graph[module] = found - {None, module, "multitap"}
    graphlib.TopologicalSorter(graph).prepare()


def _module_of(name: str) -> str | None:
    """The module that a dotted name leads to: itself, or the one that the attribute is of."""
    if name in MODULES:
        return name
    owner = name.rpartition(".")[0]
    return owner if owner in MODULES else None


SHARED = {
    f"multitap.{name}" for name in ("errors", "events", "messages", "prices", "usage", "work")
}
BORROWED = {"lifecycle": {"multitap.capabilities.catalog"}}  # a model is the same thing in both


@pytest.mark.parametrize(
    "path", sorted(CORE.glob("multitap/capabilities/*.py")), ids=lambda path: path.stem
)
def test_a_capability_knows_only_itself_and_what_all_share(path: Path) -> None:
    """So that a plugin pays for, and is broken by, nothing but the hooks that it has."""
    used = {_module_of(name) for name in imported(path)} - {None, "multitap"}
    assert used - SHARED - BORROWED.get(path.stem, set()) == set()


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_knows_the_contract_only(package: Path) -> None:
    others = {path.name for path in PLUGINS} - {package.name}
    for path in sorted(package.rglob("*.py")):
        names = imported(path)
        assert {name.split(".")[0] for name in names} & others == set(), path
        parts = {part_of(name) for name in names if name.split(".")[0] == "multitap"}
        assert parts - FOR_PLUGINS == set(), path


# ---- what an import costs ------------------------------------------------------------------------


def run(code: str, tmp_path: Path) -> dict[str, list[str]]:
    """Run code in a fresh Python; what it had printed as JSON."""
    keep = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        cwd=tmp_path,
        env={**keep, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
        timeout=60,
    )
    result: dict[str, list[str]] = json.loads(done.stdout)
    return result


def test_importing_multitap_is_cheap(tmp_path: Path) -> None:
    code = (
        "import json, sys, threading; import multitap;"
        "names = [thread.name for thread in threading.enumerate()];"
        "print(json.dumps({'modules': sorted(sys.modules), 'threads': names}))"
    )
    seen = run(code, tmp_path)
    assert len(seen["modules"]) < 250
    assert {"socket", "ssl", "asyncio", "multitap.runtime"} & set(seen["modules"]) == set()
    assert {"attrs", "attr", *HEAVY} & set(seen["modules"]) == set()
    assert seen["threads"] == ["MainThread"]


def test_enumerating_imports_no_plugin(tmp_path: Path) -> None:
    code = (
        "import json, sys; import multitap;"
        "rows = [row.provider for row in multitap.capabilities()];"
        "print(json.dumps({'rows': rows, 'modules': sorted(sys.modules)}))"
    )
    seen = run(code, tmp_path)
    assert "echo" in seen["rows"]
    assert [name for name in seen["modules"] if name.startswith("multitap_")] == []


def test_capabilities_can_be_called_whatever_was_imported(tmp_path: Path) -> None:
    """The function shares its name with a package, which Python sets as an attribute too."""
    code = (
        "import json, multitap; before = multitap.capabilities();"
        "from multitap.capabilities.chat import ChatRequest; import multitap.capabilities.rerank;"
        "print(json.dumps({'same': before == multitap.capabilities(),"
        "'class': multitap.capabilities.chat.ChatRequest is ChatRequest}))"
    )
    assert run(code, tmp_path) == {"same": True, "class": True}
