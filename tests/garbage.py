"""Answers as no server should give them: recorded ones, damaged; and whoever asked for them.

A ``Reply`` is drawn by Hypothesis without knowing what will be asked: it becomes an answer once a
path is known, as one of the recorded answers of that path, with its damage done.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from functools import cache
from pathlib import Path

import attrs
from damage import MUTATIONS, damaged
from hypothesis import strategies as st
from recorded_traffic import read_recording

from multitap.capabilities.embedding import EmbeddingRequest
from multitap.capabilities.lifecycle import CreateRequest
from multitap.capabilities.rerank import RerankRequest
from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest
from multitap.errors import NotSupported
from multitap.plan import chat_request
from multitap.testing.project import registry_of
from multitap.work import Backend, HttpReply

REPOSITORY = Path(__file__).parents[1]
PLUGINS = ("llamaserver", "lmstudio", "ollama", "openai", "tgi", "vllm")
LARGEST = 32 * 1024  # bytes of a recorded body; more would only be slower

# ---- what is asked -------------------------------------------------------------------------------

TOOLS = [{"name": "get_weather"}, {"name": "now"}]
CHATS = {
    "stream": {},
    "whole": {"stream": False},
    "tools": {"tools": TOOLS},
    "whole, tools": {"stream": False, "tools": TOOLS},
    "stop": {"stop": ["four", "\n"]},
    "all": {"logprobs": 2, "n": 2, "response_format": {"type": "object"}, "max_tokens": 5},
}
TEXTS = ("one", "two")
CALLS = {
    "embedding": {"embed": (EmbeddingRequest(model="tiny", texts=TEXTS),)},
    "rerank": {"rerank": (RerankRequest(model="tiny", query="q", documents=TEXTS),)},
    "tokenize": {
        "tokenize": (TokenizeRequest(model="tiny", text="one two"),),
        "detokenize": (DetokenizeRequest(model="tiny", ids=(1, 2)),),
    },
    "catalog": {"models": (), "describe": ("tiny",)},
    "lifecycle": {
        **dict.fromkeys(("pull", "load", "unload", "delete"), ("tiny",)),
        "running": (),
        "copy": ("tiny", "other"),
        "create": (CreateRequest(model="other", source="tiny"),),
        "slots": ("tiny",),
        **dict.fromkeys(("save_slot", "restore_slot"), ("tiny", 0, "a.bin")),
        "erase_slot": ("tiny", 0),
    },
    "provider": {"validate": ("tiny",)},
}


@cache
def chats(plugin):
    """By name: the exchange of a chat."""
    made = {"": model_of(plugin, "chat")}
    if plugin == "openai":
        made["responses: "] = model_of(plugin, "chat", api="responses")
    return {
        f"{kind}{name}": model.chat(chat_request("tiny", "hi", **options))
        for kind, model in made.items()
        for name, options in CHATS.items()
    }


@cache
def other_work(plugin):
    """By name: the work of every other verb that the plugin has."""
    found = {}
    for capability, verbs in CALLS.items():
        made = model_of(plugin, capability)
        for verb, given in verbs.items():
            try:
                found[verb] = getattr(made, verb)(*given)
            except (AttributeError, NotSupported):
                continue
    return found


def model_of(plugin, capability, **settings):
    backend = Backend(
        id=f"{plugin}{len(settings)}",
        provider=plugin,
        endpoint="http://127.0.0.1:1",
        settings=settings,
    )
    try:
        return registry(plugin).build(capability, backend)
    except NotSupported:
        return None


@cache
def registry(plugin):
    return registry_of(REPOSITORY / "plugins" / plugin)


# ---- what is answered ----------------------------------------------------------------------------

MODEL_ROW = {
    "type": "llm",
    "key": "tiny",
    "id": "tiny",
    "max_context_length": 512,
    "size_bytes": 10,
    "quantization": {"name": "Q4_K_M", "bits_per_weight": 4},
    "loaded_instances": [{"id": "tiny", "config": {"context_length": 256}}],
    "capabilities": {"vision": False, "trained_for_tool_use": True},
    "state": "loaded",
}
JOB = {"job_id": "j", "status": "downloading", "total_size_bytes": 9, "downloaded_bytes": 1}
ROUTED = {
    "id": "tiny",
    "status": {"value": "loaded", "args": ["-c", "512", "--alias", "tiny"]},
    "meta": {"n_ctx_train": 512, "size": 9, "n_params": 7},
}
SCRIPTED = {  # what no recording has
    "/api/v1/models": [{"models": [MODEL_ROW]}],
    "/api/v0/models": [{"data": [MODEL_ROW]}],
    "/api/v1/models/load": [{"type": "llm", "instance_id": "tiny", "status": "loaded"}],
    "/api/v1/models/unload": [{"instance_id": "tiny"}],
    "/api/v1/models/download": [{"status": "already_downloaded"}, JOB],
    "/api/v1/models/download/status/j": [JOB, {**JOB, "status": "completed"}],
    "/v1/models": [{"data": [ROUTED], "object": "list"}],
    "/models": [{"success": True}],
    "/models/load": [{"success": True}],
    "/models/unload": [{"success": True}],
}


@cache
def answers():
    """By path: status, content type and body of every recorded answer, and the scripted ones."""
    found = defaultdict(list)
    for path, values in SCRIPTED.items():
        found[path] += [answer(200, "application/json", json.dumps(v).encode()) for v in values]
    for file in sorted(REPOSITORY.glob("plugins/*/tests/recordings/**/*.json")):
        recorded = read_recording(file.parent, file.stem)
        if recorded.status and len(recorded.body) <= LARGEST:
            content_type = recorded.headers.get("content-type")
            path = recorded.path.partition("?")[0]
            found[path].append(answer(recorded.status, content_type, recorded.body))
    return dict(found)


def answer(status, content_type, body):
    return HttpReply(status, {} if content_type is None else {"content-type": content_type}, body)


@attrs.frozen
class Reply:
    """What is to be answered, whatever is asked; ``place`` is from 0 to 1."""

    place: float
    anywhere: bool
    status: int | None
    headers: dict
    damage: tuple
    seed: int

    def to(self, path):
        """The answer to a request of this path."""
        pool = answers()
        known = None if self.anywhere else pool.get(path.partition("?")[0])
        candidates = known or [one for each in pool.values() for one in each]
        chosen = candidates[int(self.place * len(candidates)) % len(candidates)]
        headers = {**chosen.headers, **self.headers}
        return HttpReply(
            self.status or chosen.status,
            {name: value for name, value in headers.items() if value is not None},
            damaged(chosen.body, self.damage),
        )

    def raw(self, path):
        """The answer as it goes over a socket; every other one is damaged there once more."""
        said, chance = self.to(path), random.Random(self.seed)
        length, chunked = f"content-length: {len(said.body)}", "transfer-encoding: chunked"
        framing = chance.choice((length, chunked, "connection: close"))
        fields = [*(f"{name}: {value}" for name, value in said.headers.items()), framing]
        head = "\r\n".join([f"HTTP/1.1 {said.status} So", *fields, "", ""]).encode()
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(said.body), said.body)
        raw = head + (body if framing == chunked and said.body else said.body)
        return chance.choice(MUTATIONS)(raw, chance) if chance.random() < 0.5 else raw

    def pieces(self, body):
        """The body, cut at a few places."""
        chance = random.Random(self.seed)
        cuts = sorted(chance.sample(range(len(body) + 1), min(len(body), chance.randint(0, 6))))
        return [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]


# ---- what is drawn -----------------------------------------------------------------------------

SEEDS = st.integers(0, 2**32 - 1)
HEADERS = st.one_of(
    st.just({}),
    st.fixed_dictionaries(
        {
            "content-type": st.sampled_from(
                (None, "", "text/html", "text/event-stream", "application/x-ndjson", ";;;", "ÿ")
            )
        },
        optional={
            "retry-after": st.sampled_from(("", "-1", "nan", "1e999", "9" * 5000, "\x00", "soon")),
            "x-request-id": st.text(max_size=5),
        },
    ),
)
DAMAGE = st.lists(st.tuples(st.sampled_from(MUTATIONS), SEEDS), max_size=4).map(tuple)
REPLIES = st.builds(
    Reply,
    place=st.floats(0, 1, exclude_max=True),
    anywhere=st.sampled_from((False, False, False, True)),
    status=st.one_of(st.none(), st.just(200), st.integers(200, 599)),
    headers=HEADERS,
    damage=DAMAGE,
    seed=SEEDS,
)
