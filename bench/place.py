"""Where it is measured: the backend, a folder for what clients keep, and their processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.clients import KEY
from bench.environments import ROOT, environment_of, python_of

if TYPE_CHECKING:
    from bench.scenario import Figures

CEILING = 600.0
_KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")


class Place:
    """The origin of the backend, and how a client is measured against it."""

    def __init__(self, origin: str, folder: Path) -> None:
        self.origin = origin
        self.folder = folder
        self.versions: dict[str, str] = {}

    def environ(self, **more: str) -> Mapping[str, str]:
        """Nothing of this machine's user: clients look for keys, proxies and configuration."""
        own = {"HOME": str(self.folder), "LLM_USER_PATH": str(self.folder), "NO_PROXY": "*"}
        own |= {"OPENAI_API_KEY": KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        own |= {"MULTITAP_CONFIG": os.devnull}
        return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, **own, **more}

    def measured(
        self, scenario: str, client: str, where: str | None = None, **sizes: int
    ) -> Figures:
        """The figures of a client, from a process of its own.

        ``where`` it asks, if elsewhere than at the backend; ``sizes``, where not the usual ones.
        """
        python = str(python_of(environment_of(client)))
        words = [python, "-m", "bench.worker", scenario, client, where or self.origin]
        words.append(json.dumps(sizes))
        done = subprocess.run(
            words, env=self.environ(), cwd=ROOT, capture_output=True, text=True, timeout=CEILING
        )
        if done.returncode:
            raise SystemExit(f"{scenario}: {client} failed\n{done.stderr[-4000:]}")
        reply = json.loads(done.stdout.splitlines()[-1])
        self.versions[client.partition(",")[0]] = reply["version"]
        figures: Figures = reply["figures"]
        return figures


@contextmanager
def place() -> Iterator[Place]:
    """With a backend of its own."""
    command = [sys.executable, "-m", "bench.backend"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process,
    ):
        assert process.stdout is not None
        try:
            yield Place(f"http://127.0.0.1:{int(process.stdout.readline())}", Path(folder))
        finally:
            process.kill()
