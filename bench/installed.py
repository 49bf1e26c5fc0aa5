"""A folder for ``sys.path`` with distributions in it, some of them plugins."""

from __future__ import annotations

import time
from pathlib import Path

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
ENTRIES = "[multitap.chat]\n{name} = {package}.chat\n"
SETTLED = 2.5
"""Seconds until a folder that was changed is one that may be cached."""

MANIFEST = """
[{name}]
title = "Bench"
endpoint = "http://127.0.0.1:8080"
docs = "https://bench.example/docs"
key = {{variable = "BENCH_API_KEY"}}
"""


def install(root: Path, plugins: int, count: int) -> Path:
    """So many distributions, the first of them plugins; made once."""
    folder = root / f"site-{plugins}-{count}"
    if not folder.exists():
        for number in range(count):
            _add(folder, f"bench-{number}", plugin=number < plugins)
        time.sleep(SETTLED)
    return folder


def _add(folder: Path, name: str, *, plugin: bool) -> None:
    package = name.replace("-", "_")
    files = {f"{package}-1.0.dist-info/METADATA": METADATA.format(name=name)}
    files[f"{package}/__init__.py"] = ""
    if plugin:
        entries = ENTRIES.format(name=name, package=package)
        files[f"{package}-1.0.dist-info/entry_points.txt"] = entries
        files[f"{package}/provider.toml"] = MANIFEST.format(name=name)
    for path, text in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
