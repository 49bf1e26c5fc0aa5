"""What it costs to begin: imports, the command line, and the first look at what is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable

from bench.environments import ROOT, python_of
from bench.installed import install
from bench.place import Place
from bench.scenario import Column, Figures, Round, Scenario, Target, figure, ratio

TIMES = 5
LOOK = """
import multitap, time
def look():
    before = time.process_time()
    rows = multitap.capabilities()
    used = time.process_time() - before
    assert sum(row.distribution.startswith("bench-") for row in rows) == {plugins}, rows
    return used * 1e3
print(look())
from multitap.registry import Registry
Registry().reload()
print(look())
"""
SIZE = """
import json, re
from importlib.metadata import PackageNotFoundError, distribution

found = {}
def add(name):
    try:
        found[name] = distribution(name)
    except PackageNotFoundError:  # of another Python
        return
    for line in found[name].requires or ():
        needed = re.match(r"[\\w.-]+", line)[0].lower().replace("_", "-")
        if "extra ==" not in line and needed not in found:
            add(needed)
add("multitap")

def size(one):
    paths = [one.locate_file(file) for file in one.files or () if file.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.exists()) / 1e6

sizes = {name: size(one) for name, one in found.items()}
print(json.dumps({"own": sizes["multitap"], "all": sum(sizes.values()), "count": len(sizes)}))
"""


def run(place: Place, environment: str, *words: str, path: str = "") -> tuple[Figures, str]:
    """Wall and CPU of a process in milliseconds, and what it printed."""
    cache = str(place.folder / "cache")
    environ = place.environ(XDG_CACHE_HOME=cache, PYTHONPATH=path)
    start = time.perf_counter()
    command = [str(python_of(environment)), *words]
    process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    said = process.stdout.read().decode()
    process.stdout.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"startup: {words} failed")
    wall = time.perf_counter() - start
    return {"cpu": (used.ru_utime + used.ru_stime) * 1e3, "wall": wall * 1e3}, said


def starting(environment: str, *words: str, plugins: int = 0) -> Callable[[Place], Figures]:
    """The least of some starts: what comes on top is the machine's."""

    def measure(place: Place) -> Figures:
        path = str(install(place.folder, plugins, plugins)) if plugins else ""
        run(place, environment, *words, path=path)
        found = [run(place, environment, *words, path=path)[0] for _ in range(TIMES)]
        return {key: min(one[key] for one in found) for key in ("cpu", "wall")}

    return measure


def looking(plugins: int, others: int, cached: bool) -> Callable[[Place], Figures]:
    """CPU of ``capabilities()`` alone; without a cache, or as a process before has left it.

    From the cache also that of a second call, which finds all modules there, and nothing else.
    """

    def measure(place: Place) -> Figures:
        path = str(install(place.folder, plugins, plugins + others))
        words = ("-c", LOOK.format(plugins=plugins))
        run(place, "core", *words, path=path)
        found = []
        for _ in range(TIMES):
            if not cached:
                shutil.rmtree(place.folder / "cache", ignore_errors=True)
            said = run(place, "core", *words, path=path)[1]
            found.append([float(line) for line in said.split()])
        first, second = map(min, zip(*found, strict=True))
        return {"cpu": first, "again": second} if cached else {"cpu": first}

    return measure


def sizes(place: Place) -> Figures:
    """Megabytes of the core and of all that it requires, and how many distributions they are."""
    _, said = run(place, "core", "-c", SIZE)
    own, everything, count = (json.loads(said)[key] for key in ("own", "all", "count"))
    return {"own": own, "all": everything, "count": count}


IMPORTS = {
    "import httpx": ("httpx", "import httpx"),
    "import openai": ("openai", "import openai"),
    "import litellm": ("litellm", "import litellm"),
    "import llm": ("llm", "import llm"),
}
HELP = (str(python_of("core").with_name("multitap")), "--help")
ASKED: dict[str, Callable[[Place], Figures]] = {
    "python -c pass": starting("core", "-c", "pass"),
    "import multitap": starting("core", "-c", "import multitap"),
    "multitap --help": starting("core", *HELP),
    "multitap --help, 10 plugins": starting("core", *HELP, plugins=10),
    "capabilities(), 200 installed": looking(20, 180, cached=False),
    "capabilities(), 200, cached": looking(20, 180, cached=True),
    **{name: starting(where, "-c", code) for name, (where, code) in IMPORTS.items()},
    "installed": sizes,
}


def measure(place: Place, client: str) -> Figures:
    return ASKED[client](place)


def more_with_plugins(figures: Round) -> float:
    return figures["multitap --help, 10 plugins"]["cpu"] - figures["multitap --help"]["cpu"]


def environment(client: str) -> str:
    return IMPORTS[client][0] if client in IMPORTS else "core"


BARE = "python -c pass"

SCENARIO = Scenario(
    name="startup",
    title="Starting, and what is installed",
    note=(
        f"The least of {TIMES} processes each round, after one that warms the disk's cache. "
        "`capabilities()` is the call alone, 20 of the 200 distributions being plugins; the second "
        "call reads the cache once more, when all modules are there. Sizes are "
        "megabytes without compiled bytecode: the core, and with all that it requires."
    ),
    clients=tuple(ASKED),
    columns=(
        Column("cpu", "ms of CPU", digits=1),
        Column("again", "second call", digits=1),
        Column("wall", "ms", digits=1),
        Column("own", "MB, core"),
        Column("all", "MB, all"),
        Column("count", "distributions", digits=0),
    ),
    targets=(
        Target("import multitap, of bare Python", 3, ratio("cpu", "import multitap", BARE)),
        Target("multitap --help, of bare Python", 6, ratio("cpu", "multitap --help", BARE)),
        Target("ten plugins add to it, ms of CPU", 5, more_with_plugins),
        Target("capabilities(), ms of CPU", 50, figure("cpu", "capabilities(), 200 installed")),
        Target("from the cache", 5, figure("again", "capabilities(), 200, cached")),
        Target("from the cache, imports included", 5, figure("cpu", "capabilities(), 200, cached")),
    ),
    measure=measure,
    environment=environment,
)
