"""A server to be launched, or what behaves as one: ``python launched_server.py MODE PORT NOTES``.

It writes the ids of its processes to the folder ``NOTES``, and answers at ``/health`` once there is
a file ``go`` in it (mode ``slow``), or at once.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODE, PORT, NOTES = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])


class Answers(BaseHTTPRequestHandler):
    """Ready or not, and the one model."""

    def do_GET(self):
        if MODE == "slow" and not (NOTES / "go").exists():
            return self.send_error(503)
        if MODE == "key" and self.headers["authorization"] != f"Bearer {os.environ['STAND_KEY']}":
            return self.send_error(401)
        body = b'{"object": "list", "data": [{"id": "tiny"}]}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        return self.wfile.write(body)

    def log_message(self, *_):
        pass


def note(name, pid):
    """All at once, so that nobody reads half of a number."""
    (NOTES / f".{name}-{os.getpid()}").write_text(str(pid))
    (NOTES / f".{name}-{os.getpid()}").rename(NOTES / name)


def main():
    note("server", os.getpid())
    if MODE == "family":  # one child stays in the group and does not heed SIGTERM, one leaves it
        deaf = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); "
        wait = "signal.pause()"
        child = subprocess.Popen([sys.executable, "-c", deaf + wait], stdout=subprocess.PIPE)
        child.stdout.readline()
        away = [sys.executable, "-c", "import signal; signal.pause()"]
        note("child", child.pid)
        note("away", subprocess.Popen(away, start_new_session=True).pid)
    if MODE == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("loading the weights", flush=True)
    if MODE == "failing":
        print("Error: no such model", file=sys.stderr, flush=True)
        sys.exit(3)
    with ThreadingHTTPServer(("127.0.0.1", PORT), Answers) as server:
        server.serve_forever()


main()
