"""The honest plugin's other capabilities, each as the kit sees it, and what its server said."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import wave
import zlib

from multitap_acme import media, shelf, starting, texts

from multitap.hookspecs import hookimpl
from multitap.manifest import provider_from_table
from multitap.registry import Registry
from multitap.testing import Recording, kit
from multitap.testing.kit import Ask, Vector

SUITES = {
    "embedding": (kit.EmbeddingSuite, texts.AcmeEmbedding),
    "rerank": (kit.RerankSuite, texts.AcmeRerank),
    "tokenize": (kit.TokenizeSuite, texts.AcmeTokenizer),
    "transcription": (kit.TranscriptionSuite, media.AcmeTranscription),
    "speech": (kit.SpeechSuite, media.AcmeSpeech),
    "moderation": (kit.ModerationSuite, texts.AcmeModeration),
    "image": (kit.ImageSuite, media.AcmeImage),
    "catalog": (kit.CatalogSuite, shelf.AcmeCatalog),
    "lifecycle": (kit.LifecycleSuite, shelf.AcmeLifecycle),
    "provider": (kit.ProviderSuite, shelf.AcmeProvider),
    "launcher": (kit.LauncherSuite, starting.AcmeLauncher),
}
FACTS = {"title": "Acme", "api": 1, "endpoint": "http://127.0.0.1:4711"}


def suite_of(capability, make=None):
    """The suite of a capability, of the honest plugin or of one that is a little different."""
    suite, honest = SUITES[capability]
    facts = {
        "provider": f"acme-{capability}",
        "vectors": VECTORS[capability],
        "registry": classmethod(lambda cls: registry_of(capability, make or honest)),
    }
    return type("TestIt", (suite,), facts)


def registry_of(capability, make):
    """A registry in which nothing else is found."""

    def hook(self, backend):
        return make(backend)

    hooks = type("Hooks", (), {f"multitap_{capability}": hookimpl(hook)})()
    registry = Registry(environ={"MULTITAP_PLUGINS": "none"})
    provider = f"acme-{capability}"
    info = provider_from_table(provider, FACTS)
    said = {"distribution": f"multitap-{provider}", "version": "1.2.3", "info": info}
    registry.add(hooks, provider, [capability], **said)
    return registry


# ---- what the server said ------------------------------------------------------------------------


def recording(method, path, body, *, status=200, **headers):
    """One exchange; of a list each item is a line."""
    if not isinstance(body, bytes):
        rows = body if isinstance(body, list) else [body]
        body = b"\n".join(json.dumps(row, ensure_ascii=False).encode() for row in rows)
    sent = {"content-length": len(body), "content-type": "application/json"}
    for name, value in headers.items():
        sent[name.replace("_", "-")] = value
    lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
    head = f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode()
    request = f"{method} {path} HTTP/1.1\r\n\r\n".encode()
    return Recording(scenario=path, request=request, reads=(head + body,))


def vector(name, ask, expect, said, *beside):
    return Vector(name=name, ask=ask, recording=said, expect=expect, beside=beside)


def broke(ask, method, path):
    """A refusal that only its text tells."""
    said = recording(method, path, {"fault": "No credit"}, status=400)
    return vector("broke", ask, {"error": "QuotaExceeded", "status": 400}, said)


def sound(*samples):
    """A WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as made:
        made.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
        made.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return file.getvalue()


def picture(shade):
    """A PNG of one point."""
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes((0, shade)))),
        (b"IEND", b""),
    )
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


EMBED = Ask("embed", (["one", "two"],))
RANK = Ask("rerank", ("fox", ["hen", "fox", "cub"]))
HEAR = Ask("transcribe_stream", (sound(0, 0),))
SAY = Ask("speak_stream", ("hi",))
SOUND = sound(*range(40))
BARE = struct.pack("<4h", 1, 2, 3, 4)
PICTURES = [picture(0), picture(255)]
LAMP = {"name": "lamp", "room": 512, "maker": "Acme"}
CLOCK = {"name": "clock"}
PULL = [
    {"doing": "fetching", "done": 0, "all": 9},
    {"doing": "fetching", "done": 4, "all": 9},
    {"doing": "fetching", "done": 9, "all": 9},
    {"doing": "ready"},
]


def digest(*data):
    return hashlib.sha256(b"".join(data)).hexdigest()


def encoded(data):
    return base64.b64encode(data).decode("ascii")


VECTORS = {
    "embedding": (
        vector(
            "two",
            EMBED,
            {
                "count": 2,
                "width": 2,
                "vectors": [[0.5, 1.5], [2.5, -1.5]],
                "usage": {"input_tokens": 3},
            },
            recording(
                "POST",
                "/embed",
                {
                    "rows": [
                        {"place": 1, "numbers": [2.5, -1.5]},
                        {"place": 0, "numbers": [0.5, 1.5]},
                    ],
                    "spent": {"read": 3},
                },
            ),
        ),
        broke(EMBED, "POST", "/embed"),
    ),
    "rerank": (
        vector(
            "three",
            RANK,
            {
                "documents": [0, 1, 2],
                "scores": [[0, 0.125], [1, 0.875], [2, 0.625]],
                "usage": {"input_tokens": 3},
            },
            recording(
                "POST",
                "/rank",
                {
                    "scores": [
                        {"place": 0, "score": 0.125},
                        {"place": 1, "score": 0.875},
                        {"place": 2, "score": 0.625},
                    ],
                    "spent": {"read": 3},
                },
            ),
        ),
        broke(RANK, "POST", "/rank"),
    ),
    "tokenize": (
        vector(
            "split",
            Ask("tokenize", (" Once upon",)),
            {"ids": [7, 30, 4]},
            recording("POST", "/split", {"ids": [7, 30, 4], "pieces": [" On", "ce", " upon"]}),
        ),
        vector(
            "join",
            Ask("detokenize", ([7, 30, 4],)),
            {"text": " Once upon"},
            recording("POST", "/join", {"text": " Once upon"}),
        ),
        broke(Ask("tokenize", ("hi",)), "POST", "/split"),
    ),
    "transcription": (
        vector(
            "heard",
            HEAR,
            {
                "text": "Grüezi mitenand",
                "language": "de",
                "segments": [[0.0, 0.25, "Grüezi"], [0.25, 0.75, "mitenand"]],
                "usage": {"input_tokens": 3},
            },
            recording(
                "POST",
                "/hear",
                [
                    {"piece": "Grüezi"},
                    {"piece": " mitenand"},
                    {
                        "text": "Grüezi mitenand",
                        "language": "de",
                        "spans": [
                            {"milliseconds": [0, 250], "text": "Grüezi"},
                            {"milliseconds": [250, 750], "text": "mitenand"},
                        ],
                        "spent": {"read": 3},
                    },
                ],
            ),
        ),
        broke(HEAR, "POST", "/hear"),
    ),
    "speech": (
        vector(
            "wav",
            SAY,
            {"sha256": digest(SOUND), "bytes": len(SOUND), "mime_type": "audio/wav"},
            recording("POST", "/say", SOUND, content_type="audio/wav"),
        ),
        vector(
            "bare",
            Ask("speak", ("hi",), {"format": "pcm"}),
            {"sha256": digest(BARE), "mime_type": "audio/pcm", "sample_rate": 8000},
            recording("POST", "/say", BARE, content_type="audio/pcm", x_rate="8000"),
        ),
        vector(
            "voices",
            Ask("voices", ()),
            {"voices": ["ada", "bob"]},
            recording("GET", "/voices", {"voices": [{"name": "ada"}, {"name": "bob"}]}),
        ),
        broke(SAY, "POST", "/say"),
    ),
    "moderation": (
        vector(
            "two",
            Ask("moderate", (["fine", "foul"],)),
            {"flagged": [False, True], "categories": [[], ["harm"]]},
            recording(
                "POST",
                "/judge",
                {
                    "verdicts": [
                        {"place": 1, "bad": {"harm": 0.75}},
                        {"place": 0, "bad": {"harm": 0.25}},
                    ]
                },
            ),
        ),
        broke(Ask("moderate", ("hi",)), "POST", "/judge"),
    ),
    "image": (
        vector(
            "two",
            Ask("draw", ("a cat",), {"n": 2}),
            {
                "count": 2,
                "sha256": list(map(digest, PICTURES)),
                "mime_types": ["image/png", "image/png"],
            },
            recording("POST", "/draw", {"pictures": list(map(encoded, PICTURES))}),
        ),
        broke(Ask("draw", ("a cat",)), "POST", "/draw"),
    ),
    "catalog": (
        vector(
            "two",
            Ask("models", ()),
            {
                "ids": ["lamp", "clock"],
                "models": {
                    "lamp": {"id": "lamp", "context_length": 512, "meta": {"maker": "Acme"}}
                },
            },
            # the second list is one that is not looked at, as servers of two dialects have it
            recording("GET", "/models", {"data": [{"name": "lamp"}], "models": [LAMP, CLOCK]}),
            recording("GET", "/models/lamp", LAMP),
            recording("GET", "/models/clock", CLOCK),
        ),
        broke(Ask("models", ()), "GET", "/models"),
    ),
    "lifecycle": (
        vector(
            "pull",
            Ask("pull_stream", ("lamp",)),
            {
                "statuses": ["fetching", "ready"],
                "steps": [[0, 9], [4, 9], [9, 9]],
            },
            recording("POST", "/fetch", PULL),
        ),
        vector(
            "unload",
            Ask("unload", ("lamp",)),
            {"statuses": ["ready"]},
            recording("POST", "/cool", [{"doing": "ready"}]),
        ),
        vector(
            "disk",
            Ask("pull_stream", ("lamp",)),
            {"error": "EngineError"},
            recording("POST", "/fetch", [*PULL[:2], {"fault": "The disk is full"}]),
        ),
        vector(
            "slots",
            Ask("slots", ()),
            {"ids": []},  # of slots the rule of their own
            recording("GET", "/slots", {"slots": [{"number": 0, "words": 5}, {"number": 1}]}),
        ),
        broke(Ask("load", ("lamp",)), "POST", "/warm"),
    ),
    "provider": (
        vector(
            "hello",
            Ask("validate", ()),
            {"server": "Acme 1.4", "models": 2},
            recording("GET", "/hello", {"acme": "1.4", "models": 2}),
        ),
        broke(Ask("validate", ()), "GET", "/hello"),
    ),
    "launcher": (),
}

HONEST = {capability: suite_of(capability) for capability in SUITES}
