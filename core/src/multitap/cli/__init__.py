"""The command line: ``multitap``, a thin face over ``Runtime``.

Exit codes: 0 done, 1 the backend or this machine failed, 2 usage or configuration, 3 a plugin,
130 interrupted.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from multitap.registry import Registry

__all__ = ("main",)

MISSING = "multitap: the command line needs click and rich. Run `pip install 'multitap[cli]'`.\n"


def main(argv: Sequence[str] | None = None, *, registry: Registry | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: The words after ``multitap``; ``None``: those of this process.
        registry: Where plugins are found; ``None``: what is installed.
    """
    if find_spec("click") is None:
        sys.stderr.write(MISSING)
        return 2
    try:
        from multitap.cli.root import run

        return run(sys.argv[1:] if argv is None else argv, registry)
    except KeyboardInterrupt:  # so early, or so late, that no command is running
        return 130
