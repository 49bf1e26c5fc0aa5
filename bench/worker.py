"""The process that is measured: ``python -m bench.worker SCENARIO CLIENT ORIGIN SIZES``."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

from bench.subject import Subject


def main() -> None:
    """Print the figures as JSON."""
    scenario, name, origin, sizes = sys.argv[1:]
    subject = Subject(name, origin)
    figures = import_module(f"bench.scenarios.{scenario}").measured(subject, **json.loads(sizes))
    print(json.dumps({"version": subject.version, "figures": figures}), flush=True)
    os._exit(0)  # what is still open ends with the process


if __name__ == "__main__":
    main()
