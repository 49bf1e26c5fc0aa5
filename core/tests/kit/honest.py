"""The honest plugin as the kit sees it: where it is found, and what its server was heard to say."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
from multitap_acme.chat import AcmeChat
from multitap_acme.lamp import LampChat

from multitap.hookspecs import hookimpl
from multitap.manifest import provider_from_table
from multitap.registry import Registry
from multitap.testing import Recording
from multitap.testing.kit import Ask, ChatSuite, Vector

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

HOME = Path(__file__).parent / "acme"
MANIFEST = tomllib.loads((HOME / "src/multitap_acme/provider.toml").read_text("utf-8"))
INFO = provider_from_table("acme", MANIFEST["acme"])


class Hooks:
    """The hooks of a plugin, each of which makes one of these."""

    def __init__(self, **makers):
        self.makers = makers

    @hookimpl
    def multitap_chat(self, backend):
        return self.makers["chat"](backend)


def registry_of(hooks, info=INFO, distribution="multitap-acme"):
    """A registry in which nothing else is found."""
    registry = Registry(environ={"MULTITAP_PLUGINS": "none"})
    registry.add(
        hooks, "acme", list(hooks.makers), distribution=distribution, version="1.2.3", info=info
    )
    return registry


def chat_suite(chat=AcmeChat, *, hooks=None, info=None, distribution="multitap-acme", **facts):
    """The suite of chat, of the honest plugin or of one that is a little different."""
    made = hooks or Hooks(chat=chat)
    found = {
        "provider": "acme",
        "vectors": VECTORS,
        "registry": classmethod(lambda cls: registry_of(made, info or INFO, distribution)),
        **facts,
    }
    return type("TestChat", (ChatSuite,), found)


def local_suite(chat):
    """The suite of a plugin that works in this process."""
    return chat_suite(chat, info=changed(endpoint="", parameters={}), vectors=())


def changed(**facts):
    """What the honest plugin says of itself, with a few facts changed."""
    return attrs.evolve(INFO, **facts)


# ---- what the server said ------------------------------------------------------------------------


def answered(name, ask, expect, lines, *, status=200, path="/talk"):
    """A vector: the lines of a stream, each a chunk of its own, or one whole object."""
    body = json.dumps({"stream": ask.streamed, "talk": [{"by": "user", "text": ask.args[0]}]})
    sent = f"POST {path} HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    head = f"HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\n"
    if isinstance(lines, list):
        rows = [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines]
        chunks = [b"%x\r\n%b\r\n" % (len(row), row) for row in rows]
        reads = (f"{head}transfer-encoding: chunked\r\n\r\n".encode(), *chunks, b"0\r\n\r\n")
    else:
        whole = json.dumps(lines).encode()
        reads = (f"{head}content-length: {len(whole)}\r\n\r\n".encode() + whole,)
    recording = Recording(scenario=name, request=sent, reads=reads)
    return Vector(name=name, ask=ask, recording=recording, expect=expect)


SENTENCE = "Grüße, said the clock it is two"
WORDS = SENTENCE.split(" ")
SPENT = {"read": 7, "written": 5}
OSLO = {"id": "c1", "name": "weather", "input": {"city": "Oslo"}}
ROME = {"id": "c2", "name": "weather", "input": {"city": "Rome"}}
VECTORS = (
    answered(
        "sentence",
        Ask("stream", ("What time is it?",)),
        {
            "text": SENTENCE,
            "stop_reason": "complete",
            "usage": {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12},
        },
        [*({"word": word} for word in WORDS), {"done": "end", "spent": SPENT}],
    ),
    answered(
        "thought",
        Ask("stream", ("Are you sure?",)),
        {"text": "I am sure of it", "reasoning": "Am I?", "stop_reason": "max_tokens"},
        [
            {"thought": "Am I?", "seal": "seal-of-acme-77"},
            *({"word": word} for word in ["I", "am", "sure", "of", "it"]),
            {"done": "full", "spent": {"read": 9}},
        ],
    ),
    answered(
        "thought_whole",
        Ask("chat", ("Are you sure?",)),
        {"stop_reason": "max_tokens", "usage": {"input_tokens": 9}},
        {
            "thought": "Am I?",
            "words": ["I", "am", "sure", "of", "it"],
            "done": "full",
            "spent": {"read": 9},
        },
    ),
    answered(
        "calls",
        Ask("stream", ("The weather in Oslo and Rome?",)),
        {
            "calls": [["weather", {"city": "Oslo"}], ["weather", {"city": "Rome"}]],
            "stop_reason": "tool_use",
        },
        [{"call": OSLO}, {"call": ROME}, {"done": "call", "spent": SPENT}],
    ),
    answered(
        "busy",
        Ask("stream", ("hi",)),
        {"error": "Overloaded", "retryable": True},
        [{"word": "One"}, {"fault": {"code": "busy", "text": "Too many guests"}}],
    ),
    answered(
        "refused",
        Ask("chat", ("hi",)),
        {"error": "QuotaExceeded", "status": 402, "message": "No credit"},
        {"fault": {"code": "broke", "text": "No credit"}},
        status=402,
    ),
    answered(
        "too_long",
        Ask("chat", ("word " * 9,)),
        {"error": "ContextOverflow", "limit": 8},
        {"fault": {"code": "too long", "text": "Too many words", "most": 8}},
        status=400,
    ),
)

SOUND = answered(
    "sound", Ask("transcribe_stream", ("tick.wav",)), {}, [{"word": "tick"}], path="/hear"
)
ACME = chat_suite(vectors=(SOUND, *VECTORS))  # a stream of another capability is none of chat
LAMP = local_suite(LampChat)
