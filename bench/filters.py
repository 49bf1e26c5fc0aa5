"""CPU for each streamed token with the filters of the core, beside none: a Markdown table.

    python bench/filters.py --rounds 9

Every round streams the same answer once in each setting, in an order that moves on; ratios are
taken within a round.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from clients import PROMPT, STANDIN
from tokens import WARM_UP, Rounds, _server, _spread

OFF = "no filter"
WORDS: dict[str, dict[str, Any]] = {
    OFF: {},
    "think tags, none in the answer": {"think_tags": True},
    "think tags, all of it thinking": {"think_tags": {"*": {"opened": True}}},
    "think tags anywhere": {"think_tags": {"*": {"anywhere": True}}},
    "tools in words": {"tools": "text"},
    "both": {"think_tags": True, "tools": "text"},
}
Ask = Callable[[int], int]


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=20000)
    options = parser.parse_args()
    with _server() as port:
        settings = {name: _asking(port, section) for name, section in WORDS.items()}
        for ask in settings.values():
            ask(WARM_UP)
        rounds = [_round(number, settings, options.tokens) for number in range(options.rounds)]
    print(_table(rounds))


def _asking(port: int, section: dict[str, Any]) -> Ask:
    from multitap import Runtime, Tool

    config = {"standin": {"endpoint": f"http://127.0.0.1:{port}", **section}}
    runtime = Runtime(config, registry=_registry())
    tools = [Tool("weather")] if "tools" in section else None

    def ask(tokens: int) -> int:
        with runtime.stream(PROMPT, model=f"standin:burst-{tokens}", tools=tools) as events:
            return sum(event.type in ("text", "reasoning") for event in events)

    return ask


def _registry() -> Any:
    sys.path[:0] = [str(STANDIN), str(STANDIN / "src")]
    from installed import standin_registry

    return standin_registry()


def _round(number: int, settings: dict[str, Ask], tokens: int) -> dict[str, float]:
    names = list(settings)
    turn = number % len(names)
    values = {}
    for name in names[turn:] + names[:turn]:
        before = time.process_time()
        found = settings[name](tokens)
        values[name] = (time.process_time() - before) / tokens * 1e6
        if found != tokens:
            raise SystemExit(f"{name}: {found} pieces instead of {tokens}")
    return values


def _table(rounds: Rounds) -> str:
    rows = [f"| setting | µs of CPU a token | × {OFF} |", "| --- | ---: | ---: |"]
    for name in WORDS:
        used = _spread([values[name] for values in rounds])
        to_off = _spread([values[name] / values[OFF] for values in rounds])
        rows.append(f"| {name} | {used} | {to_off} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
