"""What each server says, as bytes: recorded from a real one, or written in its form.

The same bytes are sent several times, cut in other places, and every time the answer has to be the
same. What works in this process has no bytes; the echo's pieces are cut instead.
"""

from __future__ import annotations

import json
import re
from itertools import cycle

import attrs
from matrix_lines import HOME

from multitap.events import normalise
from multitap.testing import Recording, Server, broken_rules, cuts_of, drip, repeat, request

TINY = HOME / "plugins/llamacpp/tests/models/tiny-llama.gguf"
TINY_EMBED = HOME / "plugins/llamacpp/tests/models/tiny-embed.gguf"
LLAMACPP = {"context": 512, "parallel": 2, "threads": 1}
CAPITAL = "What is the capital of France?"
PARIS = "The capital of France is Paris."
PIECES = (1, 3, 8, 1000)


@attrs.frozen
class Case:
    """One question to one plugin.

    Attributes:
        prompt: What is asked.
        options: How.
        section: Settings of its backend.
        raw: What its server answers; ``None``: it works in this process.
    """

    prompt: object = CAPITAL
    options: dict = attrs.field(factory=dict)
    section: dict = attrs.field(factory=dict)
    raw: bytes | None = None

    def but(self, **section):
        return attrs.evolve(self, section={**self.section, **section})


# ---- what servers say ----------------------------------------------------------------------------


def recorded(plugin, name):
    """The bytes of a real server's answer."""
    folder = HOME / "plugins" / plugin / "tests/recordings"
    folder = folder / "llama-server-0.7.0-b11669" if plugin == "llamaserver" else folder
    return Recording.load(folder / f"{name}.json").response


def said(plugin, *texts, thoughts=(), usage=(9, 4), **counted):
    """A stream in the form of this plugin's server: thoughts, texts, the end and what it cost."""
    write = ollama_stream if plugin == "ollama" else chunk_stream
    return write(plugin, texts, thoughts, usage, counted)


def ollama_stream(plugin, texts, thoughts, usage, counted):
    deltas = [{"content": "", "thinking": text} for text in thoughts]
    deltas += [{"content": text} for text in texts]
    lines = [{"message": {"role": "assistant", **delta}, "done": False} for delta in deltas]
    counts = {"prompt_eval_count": usage[0], "eval_count": usage[1]}
    end = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}
    return body(
        "application/x-ndjson", *(f"{json.dumps(x)}\n" for x in [*lines, {**end, **counts}])
    )


def chunk_stream(plugin, texts, thoughts, usage, counted):
    deltas = [{"reasoning_content": text} for text in thoughts]
    deltas += [{"content": text} for text in texts]
    chunks = [choice(delta) for delta in deltas]
    if plugin == "tgi":  # the last token comes with the end
        chunks[-1]["choices"][0]["finish_reason"] = "stop"
    else:
        chunks.append(choice({}, "stop"))
    counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)}
    return events(*chunks, {"choices": [], "model": "tiny", "usage": {**counts, **counted}})


def choice(delta, finish=None):
    one = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "model": "tiny", "choices": [one]}


def events(*chunks, done="data: [DONE]\n\n"):
    return body("text/event-stream", *(f"data: {json.dumps(x)}\n\n" for x in chunks), done)


def body(kind, *pieces):
    """An answer in chunks, one for each piece."""
    chunks = (b"%x\r\n%b\r\n" % (len(piece.encode()), piece.encode()) for piece in pieces if piece)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
    return head.encode() + b"".join(chunks) + b"0\r\n\r\n"


def whole(value, **headers):
    """A JSON body."""
    text = json.dumps(value)
    known = {"content-type": "application/json", "content-length": len(text)}
    lines = [f"{name}: {value}" for name, value in {**known, **headers}.items()]
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", text]).encode()


# ---- asked, with every cut -----------------------------------------------------------------------


def ways_to_cut(raw):
    """In one piece, in many small ones, and at places that chance chose."""
    return [(), range(7, len(raw), 7), *cuts_of(len(raw), every_up_to=0, sets=2)]


class Replay(Server):
    """Answers every request with the same bytes, each time cut in another way."""

    def __init__(self, raw):
        self.ways = ways_to_cut(raw)
        turns = cycle(self.ways)
        super().__init__(repeat(request, lambda _: drip(raw, cuts=next(turns))))


@attrs.frozen
class Seen:
    """What an application was given, and what the server was sent (``None``: there is none)."""

    events: list
    answer: object
    sent: object


def config_of(plugin, model="tiny", **section):
    """The configuration of this plugin alone."""
    if plugin == "llamacpp":
        return {"defaults": {"model": f"path:{TINY}"}, plugin: {**LLAMACPP, **section}}
    model = "echo" if plugin == "echo" else model
    return {"defaults": {"model": f"{plugin}:{model}"}, plugin: section}


def model_in(plugin, raw):
    """The model to ask for: Ollama's plugin warns where the answer is another one's."""
    named = re.search(rb'"model":"([^"]+)"', raw) if plugin == "ollama" else None
    return named[1].decode() if named else "tiny"


def ask(world, plugin, case):
    """The answer to a question, which is the same for every cut."""
    if plugin == "llamacpp":
        return _once(world(config_of(plugin, **case.section)), case)
    if plugin == "echo":
        runs = [_once(world(config_of(plugin, pieces=n, **case.section)), case) for n in PIECES]
    else:
        with Replay(case.raw) as server:
            model = model_in(plugin, case.raw)
            here = world(config_of(plugin, model, endpoint=server.url, **case.section))
            runs = [_once(here, case, server) for _ in server.ways]
    first, *others = runs
    for other in others:
        assert [same(event) for event in other.events] == [same(event) for event in first.events]
    return first


def _once(here, case, server=None):
    found, stream = here.stream(case.prompt, **case.options)
    shown = [event.to_dict() for event in found]
    assert broken_rules(shown) == []
    sent = server.requests[-1].json() if server else None
    return Seen(normalise(found), stream.answer, sent)


def same(event):
    """An event without the id that is made up for a call in the text."""
    return {k: v for k, v in event.to_dict().items() if k != "tool_call_id"}


def kinds(seen):
    """The names of the events, those of loading left out."""
    return [event.type for event in seen.events if event.type != "loading"]
