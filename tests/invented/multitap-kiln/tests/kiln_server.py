"""A Kiln: a server of jobs that are asked for until they are done.

``python tests/kiln_server.py 8911`` serves it. The more words a job has, the more often it has to
be asked for: one word is done at once, four are queued and fired in two heats before.
"""

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODELS = [{"name": "clay", "does": ["jobs"]}, {"name": "mosaic", "does": ["vectors"]}]
HEATS = (
    {"state": "queued"},
    {"state": "firing", "percent": 40},
    {"state": "firing", "percent": 80},
)
MOST_WORDS = 12


class Kiln:
    """What a Kiln answers; it knows of no socket."""

    def __init__(self):
        self.jobs = {}
        self.lock = threading.Lock()

    def answer(self, method, path, asked):
        """The status, the headers and the value that a request is answered with."""
        if (method, path) == ("GET", "/models"):
            return 200, {}, {"models": MODELS}
        if method == "GET" and path.startswith("/jobs/"):
            return self.look(path.removeprefix("/jobs/"))
        if method == "POST" and path in ("/jobs", "/vectors"):
            return self.begin(path.removeprefix("/"), asked)
        return 404, {}, {"why": f"there is no {method} {path}"}

    def look(self, name):
        """How far a job is: one heat further each time that it is looked at."""
        with self.lock:
            heats = self.jobs.get(name)
            if heats is None:
                return 404, {}, {"why": f"nothing burns as {name}"}
            heat = heats.pop(0) if len(heats) > 1 else heats[0]
        return 200, {"retry-after": "0.02"} if heat["state"] == "queued" else {}, heat

    def begin(self, what, asked):
        """Take a job, or refuse it."""
        if {"name": asked["model"], "does": [what]} not in MODELS:
            return 404, {}, {"why": f"no {asked['model']} for {what}"}
        words = len(" ".join([asked["text"]] if what == "jobs" else asked["texts"]).split())
        last = bake(asked) if what == "jobs" else lay(asked)
        if "most" in last:
            return 413, {}, last
        with self.lock:
            name = f"j{len(self.jobs) + 1}"
            self.jobs[name] = [*HEATS[: words - 1], last]
        return 202, {}, {"job": name}


def bake(asked):
    """What becomes of a text: its words, in large letters."""
    words = re.findall(r"\s*\S+", asked["text"])
    if len(words) > MOST_WORDS:
        return {"why": "the text does not fit", "words": len(words), "most": MOST_WORDS}
    if words == ["crack"]:
        return {"state": "failed", "why": "it cracked at 900 °C"}
    options = asked.get("options", {})
    baked = words[: options.get("limit")]
    text = "".join(baked).upper() + ("!" if options.get("glaze") == "shiny" else "")
    done = {"state": "done", "text": text, "used": {"in": len(words), "out": len(baked)}}
    return done if baked == words else {**done, "why": "limit"}


def lay(asked):
    """A vector for each text: of its letters, its words and its vowels."""
    rows = [
        [len(text) / 8, len(text.split()) / 2, len(re.findall("[aeiou]", text)) / 4]
        for text in asked["texts"]
    ]
    return {
        "state": "done",
        "vectors": rows,
        "used": {"in": sum(len(text.split()) for text in asked["texts"])},
    }


class Handler(BaseHTTPRequestHandler):
    """The same over HTTP."""

    protocol_version = "HTTP/1.1"
    kiln = Kiln()

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = json.loads(body) if body else None
        status, headers, value = self.kiln.answer(self.command, self.path, asked)
        said = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        about = {"content-type": "application/json", "content-length": str(len(said))}
        for name, text in {**about, **headers}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = handle_any

    def log_message(self, *words):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 0), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
