"""The process that is measured: ``python -m bench.worker SCENARIO CLIENT ORIGIN SIZES``."""

from __future__ import annotations

import json
import os
import sys
import traceback
from importlib import import_module

from bench.subject import Subject


def main() -> None:
    """Print the figures as JSON, or what went wrong; what is still open ends with the process."""
    try:
        _measure()
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)
    os._exit(0)


def _measure() -> None:
    scenario, name, origin, sizes = sys.argv[1:]
    subject = Subject(name, origin)
    figures = import_module(f"bench.scenarios.{scenario}").measured(subject, **json.loads(sizes))
    print(json.dumps({"version": subject.version, "figures": figures}), flush=True)


if __name__ == "__main__":
    main()
