"""Fuzz the targets with atheris: ``python tests/fuzz/run.py --seconds 600 sse think``.

Each target is a module of ``targets`` with ``check(data)``, which raises where a law is broken, and
``WORDS``, of which the fuzzer makes inputs. What it finds worth keeping goes into the corpus; what
breaks a law lies in ``found`` and is told with its traceback, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
TARGETS = sorted(path.stem for path in HERE.glob("targets/*.py"))
LIMITS = ("-max_len=2048", "-timeout=30", "-rss_limit_mb=2048")
SMALL = 24_000  # bytes that one target's corpus may have


def main() -> int:
    """Fuzz what is named, or everything; 1: a law was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[[], *TARGETS], metavar="target")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    options = parser.parse_args()
    with ThreadPoolExecutor(options.jobs) as several:
        work = [(name, options.seconds) for name in options.targets or TARGETS]
        return max(several.map(lambda each: session(*each), work))


def session(name: str, seconds: int) -> int:
    """Fuzz one target for a while, keep what is new, and tell what was seen."""
    corpus, found = CORPUS / name, HERE / "found" / name
    for folder in (corpus, found):
        folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as scratch:
        words, new, least = Path(scratch, "words"), Path(scratch, "new"), Path(scratch, "least")
        words.write_text("".join(map(quoted, words_of(name))))
        for folder in (new, least):
            folder.mkdir()
        options = [*LIMITS, f"-dict={words}", f"-artifact_prefix={found}/"]
        told = fuzzer(name, *options, f"-max_total_time={seconds}", new, corpus)
        broken = told.returncode != 0
        print(f"{name}: {summary(told.stderr)}{', BROKEN' if broken else ''}", flush=True)
        if broken:
            print(told.stderr[-6000:], flush=True)
        fuzzer(name, *LIMITS, "-merge=1", "-set_cover_merge=1", least, corpus, new)
        keep(least, corpus)
    return int(broken)


def words_of(name: str) -> tuple[bytes, ...]:
    sys.path.insert(0, str(HERE.parent))
    words: tuple[bytes, ...] = import_module(f"fuzz.targets.{name}").WORDS
    return words


def quoted(word: bytes) -> str:
    """One line of a dictionary."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n'


def fuzzer(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, HERE / "fuzzer.py", name, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, errors="replace")


def summary(log: str) -> str:
    """Runs, and the last coverage that was told."""
    runs = re.findall(r"^#(\d+)", log, re.MULTILINE)
    reached = re.findall(r"cov: \d+ ft: \d+ corp: \S+", log)
    return f"{runs[-1] if runs else 0} runs, {reached[-1] if reached else 'no coverage'}"


def keep(least: Path, corpus: Path) -> None:
    """Replace the corpus by the least inputs that reach as much, the smallest first."""
    chosen, size = dict[str, bytes](), 0
    for path in sorted(least.iterdir(), key=lambda each: each.stat().st_size):
        size += path.stat().st_size
        if size <= SMALL:
            chosen[path.name[:16]] = path.read_bytes()
    if not chosen:
        return
    for path in corpus.iterdir():
        path.unlink()
    for name, data in chosen.items():
        (corpus / name).write_bytes(data)


if __name__ == "__main__":
    raise SystemExit(main())
