"""Stands in for Docker and Podman: writes down how it is called, and is the container too.

``NOTES`` is a folder: ``calls`` gets a line of JSON for each call; where there is a file ``down``,
the engine does not answer.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

NOTES = Path(os.environ["NOTES"])
SERVER = Path(__file__).with_name("launched_server.py")


def main(engine, verb, *words):
    with (NOTES / "calls").open("a") as calls:
        calls.write(json.dumps([engine, verb, *words]) + "\n")
    if verb == "info" and (NOTES / "down").exists():
        sys.exit("Cannot connect to the daemon. Is it running?")
    if verb == "run":
        print("Unable to find image locally, pulling", flush=True)
        passed = [words[place + 1] for place, word in enumerate(words) if word == "--env"]
        (NOTES / "environ").write_text(json.dumps({name: os.environ[name] for name in passed}))
        port = words[words.index("--publish") + 1].split(":")[1]
        mode = os.environ.get("MODE", "plain")
        sys.exit(subprocess.run([sys.executable, str(SERVER), mode, port, str(NOTES)]).returncode)


main(Path(sys.argv[0]).name, *sys.argv[1:])
