"""CPU time for each streamed token, beside a raw socket and httpx: a Markdown table.

    python bench/tokens.py --rounds 7              # as fast as the client reads
    python bench/tokens.py --rounds 5 --paced      # one token a read, 2,500 a second

Each measurement is a process of its own. In every round each client is measured once, in an order
that moves on; ratios are taken within a round, so that what the machine does besides cancels out.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from clients import CLIENTS
from server import events

WARM_UP = 500
FLOOR, USUAL = "raw socket", "httpx + json"
Rounds = list[dict[str, float]]


def main() -> None:
    """Measure, or be the process that is measured."""
    options = _options()
    if options.client:
        print(_measured(options.client, options.port, options.mode, options.tokens))
        return
    expected = _fingerprint(_texts(options.tokens))
    with _server() as port:
        rounds = [_round(number, port, options, expected) for number in range(options.rounds)]
    print(_table(rounds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, help="20,000, or 2,000 where paced")
    parser.add_argument("--paced", dest="mode", action="store_const", const="paced")
    parser.add_argument("--client", choices=CLIENTS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.set_defaults(mode="burst")
    options = parser.parse_args()
    options.tokens = options.tokens or (2000 if options.mode == "paced" else 20000)
    return options


# ---- the process that is measured ----------------------------------------------------------------


def _measured(name: str, port: int, mode: str, tokens: int) -> str:
    """Microseconds of CPU a token, and what was read."""
    ask = CLIENTS[name](port)
    ask(f"burst-{WARM_UP}")
    before = _cpu_seconds()
    found = ask(f"{mode}-{tokens}")
    used = _cpu_seconds() - before
    if isinstance(found, list):
        found = _fingerprint(found)
    return json.dumps({"microseconds": used / tokens * 1e6, "found": found})


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# ---- what was to be read -------------------------------------------------------------------------


def _texts(tokens: int) -> Iterator[str]:
    """Every text of the answer, event by event, as the standard library reads it."""
    for event in events(tokens):
        if not event.startswith(b"data: [DONE]"):
            for choice in json.loads(event[6:])["choices"]:
                if choice["delta"].get("content"):
                    yield choice["delta"]["content"]


def _fingerprint(texts: Iterator[str] | list[str]) -> str:
    """The texts one by one, not only joined."""
    return sha256(json.dumps(list(texts)).encode()).hexdigest()


def _check(name: str, found: object, tokens: int, expected: str) -> None:
    wanted = sum(1 for _ in events(tokens)) if name == FLOOR else expected
    if found != wanted:
        raise SystemExit(f"{name} did not read what was sent: {found} instead of {wanted}")


# ---- rounds --------------------------------------------------------------------------------------


@contextmanager
def _server() -> Iterator[int]:
    command = [sys.executable, str(Path(__file__).with_name("server.py"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _round(number: int, port: int, options: argparse.Namespace, expected: str) -> dict[str, float]:
    names = list(CLIENTS)
    turn = number % len(names)
    values = {}
    for name in names[turn:] + names[:turn]:
        words = ["--client", name, "--port", str(port), "--tokens", str(options.tokens)]
        words += ["--paced"] if options.mode == "paced" else []
        done = subprocess.run(
            [sys.executable, __file__, *words], stdout=subprocess.PIPE, check=True
        )
        result = json.loads(done.stdout)
        _check(name, result["found"], options.tokens, expected)
        values[name] = result["microseconds"]
    return values


# ---- the table -----------------------------------------------------------------------------------


def _table(rounds: Rounds) -> str:
    rows = [
        f"| client | µs of CPU a token | × {FLOOR} | {USUAL} is × |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name in CLIENTS:
        used = _spread([values[name] for values in rounds])
        to_floor = _spread([values[name] / values[FLOOR] for values in rounds])
        to_usual = _spread([values[USUAL] / values[name] for values in rounds])
        rows.append(f"| {name} | {used} | {to_floor} | {to_usual} |")
    return "\n".join(rows)


def _spread(values: Sequence[float]) -> str:
    """Median, least and most."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


if __name__ == "__main__":
    main()
