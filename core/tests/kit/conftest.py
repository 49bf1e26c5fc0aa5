"""The honest plugin is installed as pip would have it, for the rules that look at that."""

from __future__ import annotations

import os
import sys

import honest_rest

# At its end a run of pytester forgets what was first imported within it. The one of these would
# leave nobody to find what is installed, the other would raise errors that nobody knows any more.
import httptools  # noqa: F401
import importlib_metadata  # noqa: F401
import pytest

ENTRY = "[multitap.{capability}]\n{provider} = {module}\n"


@pytest.fixture(scope="module", autouse=True)  # others look at what is installed as well
def installed(tmp_path_factory):
    """One distribution imports itself; the others are as they should be, one a capability."""
    quiet = tmp_path_factory.mktemp("quiet")
    write_metadata(quiet, "multitap-acme", "multitap_acme.chat")
    for capability, (_, plugin) in honest_rest.SUITES.items():
        provider = f"acme-{capability}"
        write_metadata(quiet, f"multitap-{provider}", plugin.__module__, capability, provider)
    hasty = tmp_path_factory.mktemp("hasty")
    write_metadata(hasty, "multitap-hasty", "multitap_hasty")
    (hasty / "multitap_hasty.py").write_text("", "utf-8")
    (hasty / "multitap_hasty.pth").write_text("import multitap_hasty\n", "utf-8")
    os.utime(hasty, (1e9, 1e9))
    sys.path[:0] = [str(quiet), str(hasty)]
    yield
    for folder in (quiet, hasty):
        sys.path.remove(str(folder))


def write_metadata(folder, name, module, capability="chat", provider="acme"):
    info = folder / f"{name.replace('-', '_')}-1.2.3.dist-info"
    info.mkdir()
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.3\n"
    (info / "METADATA").write_text(text, "utf-8")
    entry = ENTRY.format(capability=capability, provider=provider, module=module)
    (info / "entry_points.txt").write_text(entry, "utf-8")
    for path in (info, folder):
        os.utime(path, (1e9, 1e9))  # what has just changed is looked at again and again
