"""CPU of the first ``multitap.capabilities()`` of a process, with twenty plugins installed.

Run by ``nox -s bench``, or ``python bench/enumerate.py --rounds 9`` in an environment with core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "core/tests"))

from wheels import CHAT, unpack, write_wheel  # noqa: E402

PLUGINS = 20
LAW = 50.0

ASK = """
import sys, time
import multitap
assert not sys.dont_write_bytecode
start = time.process_time()
rows = multitap.capabilities()
first = time.process_time()
multitap.capabilities()
second = time.process_time()
assert sum(row.provider.startswith("bench-") for row in rows) == {count}, rows
assert not [name for name in sys.modules if name.startswith("bench_")]
print(first - start, second - first)
"""

MANIFEST = """
[{name}]
title = "Bench"
endpoint = "http://127.0.0.1:8080"
docs = "https://bench.example/docs"
key = {{variable = "BENCH_API_KEY"}}

[{name}.settings.region]
type = "text"
default = "eu"
help = "Where the answers are made."
"""


def install(folder: Path, count: int) -> None:
    """Twenty plugins, each with two modules and a manifest."""
    for number in range(count):
        name, package = f"bench-{number}", f"bench_{number}"
        entries = {"chat": {name: f"{package}.chat"}}
        files = {
            f"{package}/__init__.py": "",
            f"{package}/chat.py": CHAT,
            f"{package}/provider.toml": MANIFEST.format(name=name),
        }
        unpack(write_wheel(folder, name, entries, files), folder)
    time.sleep(2.5)  # what is seconds old is not kept


def ask(folder: Path, cache: Path, count: int) -> tuple[float, float]:
    """CPU of the first and of the second look, in milliseconds."""
    environ = {**os.environ, "PYTHONPATH": str(folder), "XDG_CACHE_HOME": str(cache)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    words = [sys.executable, "-c", ASK.format(count=count)]
    done = subprocess.run(
        words, env=environ, cwd=folder, capture_output=True, text=True, check=True
    )
    first, second = map(float, done.stdout.split())
    return first * 1e3, second * 1e3


def measure(rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Each way once a round, in turn, so that a busy machine is busy for all."""
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as root:
        folder, empty, cache = (Path(root, name) for name in ("site", "none", "cache"))
        folder.mkdir()
        empty.mkdir()
        install(folder, PLUGINS)
        ask(folder, cache, PLUGINS)
        for number in range(rounds):
            nothing = ask(empty, cache, 0)
            cached = ask(folder, cache, PLUGINS)
            read = ask(folder, Path(root, f"fresh-{number}"), PLUGINS)
            for name, figures in (
                ("no plugin", nothing),
                (f"{PLUGINS} plugins, cached", cached),
                (f"{PLUGINS} plugins, read", read),
            ):
                found.setdefault(name, []).append(figures)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rows = measure(parser.parse_args().rounds)
    print("| ms of CPU | first look | again |\n| --- | ---: | ---: |")
    for name, figures in rows.items():
        first, second = zip(*figures, strict=True)
        print(f"| {name} | {shown(first)} | {shown(second)} |")
    print(f"\nThe law: the first look at {PLUGINS} plugins takes less than {LAW:.0f} ms.")


def shown(values: tuple[float, ...]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}-{max(values):.2f})"


if __name__ == "__main__":
    main()
