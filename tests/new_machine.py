"""A machine that has never seen Multitap: a copy of the checkout, and little environment."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent.parent
OTHER_PYTHONS = ("MULTITAP_", "PYTHON", "VIRTUAL_ENV", "XDG_")
OTHER_OUTPUT = ("CI", "PYTEST_")  # pytest prints longer summaries where it thinks that nobody looks


def copy_checkout(target: Path) -> None:
    """The files that git knows, or would add."""
    words = ["git", "ls-files", "-co", "--exclude-standard", "-z"]
    listed = subprocess.run(words, cwd=HERE, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (HERE / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / name, target / name)


def kept_environment() -> dict[str, str]:
    """This one's without what belongs to Multitap or to another Python; pip keeps its settings."""
    other = (*OTHER_PYTHONS, *OTHER_OUTPUT)
    kept = {n: v for n, v in os.environ.items() if not n.startswith(other)}
    own = Path.home() / ".config/pip/pip.conf"
    return {**({"PIP_CONFIG_FILE": str(own)} if own.is_file() else {}), **kept}
