"""The bench: ``python -m bench --help``.

python -m bench                        # all scenarios and peers; half an hour
python -m bench quick                  # beside httpx and a raw socket; two minutes
python -m bench --only burst paced --rounds 9
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path

from bench import environments, plot, report, rounds
from bench.place import place
from bench.scenario import Scenario
from bench.scenarios import SCENARIOS

RESULTS = Path(__file__).parent / "results"
QUICK_PEERS = ("raw", "httpx")
QUICK_SCENARIOS = ("burst", "paced", "first_token", "startup")


def main() -> None:
    """Measure, print the tables, and keep tables, plot and figures in ``results``."""
    options = _options()
    peers = QUICK_PEERS if options.quick else tuple(options.peers or environments.PEERS)
    names = options.only or (QUICK_SCENARIOS if options.quick else SCENARIOS)
    chosen = [_scenario(name) for name in names]
    clients = {scenario.name: _clients(scenario, peers) for scenario in chosen}
    environments.make(sorted({s.environment(client) for s in chosen for client in clients[s.name]}))
    measured: list[plot.Measured] = []
    print(f"tables, plot and figures go to {options.results}", file=sys.stderr)
    with place() as here:
        for scenario in chosen:
            some = clients[scenario.name]
            measured.append((scenario, some, rounds.run(scenario, some, here, options.rounds)))
            print(report.markdown(*measured[-1]), flush=True)
            _keep(options.results, measured, report.preamble(here.versions, options.rounds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure.")
    parser.add_argument("quick", nargs="?", choices=["quick"], help="under two minutes")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="SCENARIO")
    parser.add_argument("--peers", nargs="+", choices=sorted(environments.PEERS), metavar="PEER")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--results", type=Path, default=RESULTS, help="where tables and plot go")
    options = parser.parse_args()
    options.rounds = options.rounds or (3 if options.quick else 5)
    return options


def _scenario(name: str) -> Scenario:
    scenario: Scenario = import_module(f"bench.scenarios.{name}").SCENARIO
    return scenario


def _clients(scenario: Scenario, peers: tuple[str, ...]) -> list[str]:
    """Ours, and those of the peers that were asked for."""
    allowed = {*environments.OURS, *peers}
    return [client for client in scenario.clients if scenario.environment(client) in allowed]


def _keep(folder: Path, measured: list[plot.Measured], preamble: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    tables = "\n".join(report.markdown(*one) for one in measured)
    figures = {scenario.name: found for scenario, _, found in measured}
    (folder / "tables.md").write_text(f"{preamble}\n{tables}", "utf-8")
    (folder / "plot.svg").write_text(plot.svg(measured), "utf-8")
    (folder / "figures.json").write_text(json.dumps(figures, indent=1), "utf-8")


if __name__ == "__main__":
    main()
