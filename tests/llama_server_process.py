"""A real llama-server in a process of its own, for as long as a block lasts."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
MODELS = HERE.parent / "plugins" / "llamacpp" / "tests" / "models"
CEILING = 20.0  # seconds that anything may take before a test is called stuck


class Server:
    """A running llama-server: its address and its key."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def busy(self) -> int:
        """How many slots generate."""
        request = Request(f"{self.url}/slots", headers={"authorization": f"Bearer {self.key}"})
        with urlopen(request, timeout=CEILING) as reply:
            return sum(slot["is_processing"] for slot in json.load(reply))

    def becomes_idle(self) -> bool:
        """Ask until no slot generates; ``False``: it still does after the ceiling."""
        give_up = time.monotonic() + CEILING
        while self.busy():
            if time.monotonic() > give_up:
                return False
        return True


@contextmanager
def running(role, *files):
    """Start one for chat, embedding or rerank with a model of the tests', and perhaps an adapter.

    It is behind a key, and has a folder for its slots.
    """
    key = secrets.token_hex(16)
    with TemporaryDirectory() as folder, _started(key, role, folder, *files) as process:
        address = process.stdout.readline().strip()
        assert address, "llama-server did not start"
        yield Server(address, key)
        process.stdin.close()
        process.wait(CEILING)


def _started(key, role, folder, *files):
    script, *paths = HERE / "real" / "llama_server.py", *(MODELS / name for name in files)
    return subprocess.Popen(
        [sys.executable, str(script), role, folder, *map(str, paths)],
        env={**os.environ, "LLAMA_KEY": key},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
