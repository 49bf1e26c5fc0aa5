"""Mutation scores of pure packages: ``python tests/mutate/run.py framing``.

For each package a project is made that holds the core's sources, the core's tests and a
configuration of mutmut, which changes one thing at a time and looks whether a test fails. The score
is the share of changes that a test notices; one that no test ever reaches counts as unnoticed.
What survives is shown, and where a package's score is below its least the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROJECTS = REPOSITORY / "build" / "mutate"
TESTS: Mapping[str, Sequence[str]] = {  # package of the core: the tests that hold it
    "framing": ("test_framing.py", "test_framing_faults.py", "test_framing_lines.py"),
    "policy": (
        *("test_admission.py", "test_batches.py", "test_circuit.py", "test_clocks.py"),
        *("test_flow_policy.py", "test_limiter.py", "test_pull.py", "test_retry.py"),
    ),
}
LEAST = 85.0  # percent
NOTICED = frozenset({"killed", "timeout", "segfault", "suspicious", "caught by type check"})
CONFIGURATION = """\
[tool.mutmut]
source_paths = ["src/"]
only_mutate = ["src/multitap/{package}/*"]
pytest_add_cli_args_test_selection = {tests}
pytest_add_cli_args = ["-k", "not sync"] # tests through a runtime are slow, and not about it
use_setproctitle = false

[tool.pytest.ini_options]
addopts = ["--import-mode=importlib", "-p", "no:cacheprovider"]
pythonpath = ["tests"]
filterwarnings = ["error"]
"""

FEWER_EXAMPLES = """

# each mutant is given the same examples, so that a score can be had again
settings.register_profile("mutants", settings(), max_examples=30, derandomize=True, database=None)
settings.load_profile("mutants")
"""


def main() -> int:
    """Mutate what is named, or every package; 1: a score is too low."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", choices=[[], *TESTS], metavar="package")
    parser.add_argument("--jobs", default="2", help="mutants at a time")
    parser.add_argument("--again", action="store_true", help="go on with the last run's project")
    options = parser.parse_args()
    scores = [mutate(each, options.jobs, options.again) for each in options.packages or TESTS]
    return int(min(scores) < LEAST)


def mutate(package: str, jobs: str, again: bool) -> float:
    """Run the mutants of one package and tell what became of them; its score in percent."""
    project = PROJECTS / package
    if not again:
        make(project, package)
    done = mutmut(project, "run", "--max-children", jobs)
    results = re.findall(
        r"^\s*(\S+): ([a-z ]+)$", mutmut(project, "results", "--all", "true"), re.M
    )
    if not results:
        raise SystemExit(done[-4000:])
    for name, outcome in results:
        if outcome not in NOTICED:
            print(f"{outcome}: {mutmut(project, 'show', name)}")
    modules = Counter(module_of(name) for name, _ in results)
    noticed = Counter(module_of(name) for name, outcome in results if outcome in NOTICED)
    for module in sorted(modules):
        tell(module, noticed[module], modules[module])
    return tell(package, noticed.total(), modules.total())


def make(project: Path, package: str) -> None:
    """The project of one package, with nothing of an earlier run."""
    shutil.rmtree(project, ignore_errors=True)
    core = REPOSITORY / "core"
    shutil.copytree(core / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__"))
    chosen = set(TESTS[package])
    others = [path.name for path in core.glob("tests/test_*.py") if path.name not in chosen]
    ignored = shutil.ignore_patterns("__pycache__", "kit", "recordings", *others)
    shutil.copytree(core / "tests", project / "tests", ignore=ignored)
    with (project / "tests" / "conftest.py").open("a", encoding="utf-8") as conftest:
        conftest.write(FEWER_EXAMPLES)
    there = [f"tests/{name}" for name in TESTS[package] if (project / "tests" / name).exists()]
    (project / "pyproject.toml").write_text(CONFIGURATION.format(package=package, tests=there))


def mutmut(project: Path, *words: str) -> str:
    command = [sys.executable, "-m", "mutmut", *words]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True)
    return done.stdout + done.stderr


def module_of(mutant: str) -> str:
    return mutant.rpartition(".")[0]


def tell(name: str, noticed: int, of: int) -> float:
    score = 100 * noticed / of
    print(f"{name}: {score:.1f} % ({noticed} of {of})", flush=True)
    return score


if __name__ == "__main__":
    raise SystemExit(main())
