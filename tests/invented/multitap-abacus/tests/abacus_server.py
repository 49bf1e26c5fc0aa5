"""An Abacus server, which counts words: ``python abacus_server.py [port]`` says where it is."""

import json
import re
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MODELS = {"a1": 40, "a2": 4000, "slate": None}
PLAIN = {"n": "\n", "r": "\r", "s": " ", "\\": "\\"}


def escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: PLAIN.get(found[1], found[0]), text)


def words_of(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def calls(tool: str, asked: str) -> Iterator[str]:
    """A call for each two numbers."""
    numbers = [int(digits) for digits in re.findall(r"\d+", asked)]
    for place in range(0, len(numbers), 2):
        arguments = json.dumps({"beads": numbers[place : place + 2]})
        yield f"c call\\s{place // 2 + 1} {tool} {arguments}"


def counted(asked: str, heard: int, limit: int | None) -> Iterator[str]:
    """How many words there were, and the words."""
    words = words_of(f"{len(words_of(asked))} words: {asked}")
    spoken = words[:limit]
    yield from (f"t {escape(word)}" for word in spoken)
    yield f"u {heard} {len(spoken)}"
    yield ". done" if spoken == words else ". limit"


def speak(lines: list[tuple[str, str]]) -> Iterator[str]:
    """The answer's lines to the request's lines."""
    said = [plain(text) for key, text in lines if key in ("system", "user", "assistant", "result")]
    limit = next((int(value) for key, value in lines if key == "limit"), None)
    tools = [json.loads(value)["name"] for key, value in lines if key == "tool"]
    heard = sum(len(words_of(text)) for text in said)
    asked = said[-1]
    if "drop" in asked:
        yield from ("t One bead, two ", "! 50 a bead fell off")
    elif tools and lines[-1][0] == "user" and "add" in asked:
        yield from (*calls(tools[0], asked), f"u {heard} 1", ". call")
    else:
        if "think" in asked:
            yield from ("r I move the beads,", "r  one by one.")
        yield from counted(asked, heard, limit)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        lines = [f"{name} {'-' if beads is None else beads}\n" for name, beads in MODELS.items()]
        if self.path == "/who":
            self.whole(200, "".join(lines))
        else:
            self.whole(404, f"! 43 {self.path} is not here\n")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        rows = [line.partition(": ") for line in body.split("\n\n")[0].split("\n")]
        lines = [(key, value) for key, _, value in rows]
        refused = self.refused(lines)
        if refused is None:
            self.stream(speak(lines))
        else:
            self.whole(*refused)

    def refused(self, lines: list[tuple[str, str]]) -> tuple[int, str] | None:
        model = plain(dict(lines)["model"])
        beads = sum(len(words_of(plain(value))) for key, value in lines if key != "model")
        if self.path != "/speak":
            return 404, f"! 43 {self.path} is not here\n"
        if model not in MODELS:
            return 404, f"! 44 {model} is not on this frame\n"
        if beads > (MODELS[model] or beads):
            return 400, f"! 47 {beads} beads do not fit on {MODELS[model]}\n"
        return None

    def stream(self, lines: Iterator[str]) -> None:
        self.start(200, "Transfer-Encoding", "chunked")
        for line in lines:
            data = f"{line}\n".encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            time.sleep(0.002)
        self.wfile.write(b"0\r\n\r\n")

    def whole(self, status: int, text: str) -> None:
        self.start(status, "Content-Length", str(len(text.encode())))
        self.wfile.write(text.encode())

    def start(self, status: int, *header: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header(*header)
        self.end_headers()

    def log_message(self, *said: object) -> None:
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
