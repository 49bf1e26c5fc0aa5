"""Everything that is checked: `nox -l` lists the sessions, `nox -s tests` runs the tests."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

HERE = Path(__file__).parent
PLUGINS = sorted(path.parent.name for path in HERE.glob("plugins/*/pyproject.toml"))
REAL_SERVERS = sorted(path.stem.removeprefix("test_") for path in HERE.glob("tests/real/test_*.py"))
STRANGERS = sorted(path.stem.removeprefix("test_") for path in HERE.glob("tests/strangers/[!_]*"))
BESIDE = {"openai": [f"./plugins/{name}" for name in ("lmstudio", "openai", "vllm")]}  # asked alike
TEST_TOOLS = [
    "jsonschema",
    "numpy",
    "ollama",
    "pysimdjson",
    "pytest-timeout",
    "pytest-xdist",
    "socksio",
    "uvloop; sys_platform != 'win32'",
]
# a file's tests share what is slow to set up; the root's conftest.py says which files begin
EVERY_CORE = ["-n", "auto", "--dist", "loadfile", "--no-loadscope-reorder"]
DOCSTRINGS = ["--doctest-modules", "core/src", "-q"]
# What differs between Pythons is what the core calls of them, and all of that is tested on each.
# That the kit's rules bite does not, nor does how often a law of plain values is tried.
SAME_ON_EACH = ["--ignore", "core/tests/kit/test_liars.py", "--hypothesis-profile", "brief"]
TYPE_TOOLS = ["basedpyright", "mypy>=2.0", "tomli", "types-jsonschema"]
OTHER_PYTHONS = ["3.10", "3.13"]

nox.options.sessions = ["tests", "lint", "types", "build"]  # tests do what docs does
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"


def editable() -> list[str]:
    """What pip is told to install: core with its extras, and every plugin."""
    folders = ["./core[cli,testing]", *(f"./plugins/{name}" for name in PLUGINS)]
    return [word for folder in folders for word in ("-e", folder)]


def install_editable(session: nox.Session, *more: str) -> None:
    """Every distribution, without an environment of its own in which each is built."""
    session.install("editables", "hatchling>=1.27")
    session.install("--no-build-isolation", *editable(), *more)


def interpreter(version: str) -> str | None:
    """A Python of this version on this machine, on PATH or under pyenv."""
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    for candidate in (shutil.which(f"python{version}"), *map(str, pyenv)):
        if candidate and not subprocess.run([candidate, "-c", ""], capture_output=True).returncode:
            return candidate
    return None


@nox.session
def tests(session: nox.Session) -> None:
    """All distributions together; meanwhile core and echo on the other Pythons of this machine."""
    install_editable(session, *TEST_TOOLS)
    with ThreadPoolExecutor(1) as beside:
        others = [beside.submit(on_python, session, version) for version in OTHER_PYTHONS]
        session.run("pytest", *EVERY_CORE, *session.posargs)
        if not session.posargs:
            session.run("pytest", *DOCSTRINGS)
    for version, told in zip(OTHER_PYTHONS, others, strict=True):
        code, text = told.result()
        session.log(f"Python {version}:\n{text}")
        if code:
            session.error(f"The tests fail on Python {version}")


def on_python(session: nox.Session, version: str) -> tuple[int, str]:
    """Core's and echo's tests on another Python, if this machine has it: exit code and output."""
    python = interpreter(version)
    if python is None:
        return 0, "it is not on this machine"
    folder = Path(session.virtualenv.location, f"python{version}")
    names = ["./core[cli,testing]", "./plugins/echo", *TEST_TOOLS]
    for words in (
        [python, "-m", "venv", folder],
        [folder / "bin/pip", "install", "-q", *names],
        [folder / "bin/pytest", "-q", *SAME_ON_EACH, "core/tests", "plugins/echo/tests"],
    ):
        done = subprocess.run(words, capture_output=True, text=True, cwd=HERE)
        if done.returncode:
            break
    return done.returncode, done.stdout + done.stderr


@nox.session
@nox.parametrize("name", PLUGINS, ids=PLUGINS)
def plugin(session: nox.Session, name: str) -> None:
    """Core and one plugin alone, so that nothing is used that it does not declare."""
    session.install("./core[cli,testing]", f"./plugins/{name}", *TEST_TOOLS)
    session.run("pytest", f"plugins/{name}", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, import directions and formatting."""
    session.install("ruff>=0.17,<0.18")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """mypy strict and basedpyright over what is shipped, and over the sample plugins."""
    install_editable(session, *TYPE_TOOLS)
    session.run("mypy", "core/src", *(f"plugins/{name}/src" for name in PLUGINS))
    session.run("mypy", "tests/typing")
    session.run("mypy", *map(str, sorted(HERE.glob("tests/samples/*/src"))))
    session.run("basedpyright")
    session.run("basedpyright", "-p", "tests/samples")


@nox.session
def docs(session: nox.Session) -> None:
    """Every example of the docstrings, README and docs runs; every hook has its page."""
    install_editable(session, *TEST_TOOLS)
    session.run("pytest", *DOCSTRINGS)
    session.run("pytest", "tests/test_docs.py", "-q")


@nox.session
def build(session: nox.Session) -> None:
    """Every wheel and sdist, installed and listed in a fresh environment."""
    session.install("build", "hatchling>=1.27")
    out = Path(session.create_tmp(), "dist")
    shutil.rmtree(out, ignore_errors=True)
    for folder in ("core", *(f"plugins/{name}" for name in PLUGINS)):
        session.run("python", "-m", "build", "-q", "--no-isolation", "-o", str(out), folder)
    fresh = Path(session.create_tmp(), "fresh")
    shutil.rmtree(fresh, ignore_errors=True)
    session.run("python", "-m", "venv", str(fresh))
    wheels = sorted(map(str, out.glob("*.whl")))
    core = next(wheel for wheel in wheels if Path(wheel).name.startswith("multitap-"))
    others = [wheel for wheel in wheels if wheel != core]
    pip, multitap = str(fresh / "bin/pip"), str(fresh / "bin/multitap")
    session.run(pip, "install", "-q", f"{core}[cli]", *others, external=True)
    session.run(multitap, "capabilities", external=True)
    session.run(multitap, "chat", "-m", "echo:echo", "from the wheels", external=True)
    sdists = sorted(map(str, out.glob("*.tar.gz")))
    session.run(pip, "install", "-q", "--force-reinstall", "--no-deps", *sdists, external=True)
    session.run(multitap, "capabilities", external=True)
    session.run(multitap, "chat", "-m", "demo", "How do I add Ollama?", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """The bench; with `-- quick` beside httpx and a raw socket alone, in under two minutes."""
    session.install("uvloop; sys_platform != 'win32'")
    session.run("python", "-m", "bench", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Inputs that nobody thought of, a minute for each target: `-- --seconds 600 sse think`."""
    session.install("-e", "./core[testing]", "atheris>=3,<4")
    session.run("python", "tests/fuzz/run.py", *session.posargs)


@nox.session
def mutate(session: nox.Session) -> None:
    """The share of small changes of the code that a test notices: `-- framing`."""
    session.install("-e", "./core[cli,testing]", *TEST_TOOLS, "mutmut>=3.8,<4")
    session.run("python", "tests/mutate/run.py", *session.posargs)


@nox.session
@nox.parametrize("server", REAL_SERVERS, ids=REAL_SERVERS)
def real(session: nox.Session, server: str) -> None:
    """End to end against a real server, started here."""
    install_editable(session, *TEST_TOOLS)
    session.run("pytest", f"tests/real/test_{server}.py", *session.posargs)


@nox.session
@nox.parametrize("client", STRANGERS, ids=STRANGERS)
def strangers(session: nox.Session, client: str) -> None:
    """A client that others wrote, against what is recorded or scripted here: it sees the same."""
    names = ["./core[testing]", *BESIDE.get(client, ()), "pytest-timeout"]
    session.install(*names, client.replace("_", "-"))
    (where,) = HERE.glob(f"tests/strangers/*{client}*")
    session.run("pytest", str(where), *session.posargs)


@nox.session
def faults(session: nox.Session) -> None:
    """The whole fault matrix: every row on every plugin, five times, each time otherwise cut."""
    install_editable(session, *TEST_TOOLS)
    dose = session.posargs or ["--seeds", "5", "--crowd", "10000", "--churns", "800"]
    session.run("pytest", "-n", "auto", "tests/faults", *dose)


@nox.session
def soak(session: nox.Session) -> None:
    """Long runs: a storm of faults, 2,000 streams at once, and 20 minutes of mixed traffic."""
    install_editable(session, *TEST_TOOLS)
    dose = ["--exchanges", "100000", "--churns", "800", "--seeds", "5", "--streams", "2000"]
    dose = session.posargs or [*dose, "--hold", "30", "--minutes", "20"]
    session.run("pytest", "-s", "tests/faults/test_storm.py", "tests/faults/test_soak.py", *dose)
