"""Plugins as third parties write them: found, used through the whole of core, never outdated."""

from __future__ import annotations

import shutil
import sys
from json import loads

import attrs
import pytest
from click.testing import CliRunner
from sample_plugins import CORE, SAMPLES, install, package, project, run, write_metadata

from multitap import Runtime
from multitap.capabilities.transcription import Segment, TranscriptDelta
from multitap.errors import AuthenticationError, BackendError, ModelNotFound, NotSupported
from multitap.hookspecs import CAPABILITIES, methods_of, protocol_of
from multitap.registry import Registry
from multitap.testing import Server, ndjson, repeat, respond, sse, when
from multitap.testing import json as reply

CLI = "import sys; from multitap.cli import main; sys.exit(main())"
BESIDE = {"multitap.extension", "multitap.command"}
OURS = tuple(package(name).name for name in SAMPLES)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions that this process looks into."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    yield folder
    for name in [name for name in sys.modules if name.startswith(OURS)]:
        del sys.modules[name]


def runtime(server, provider, **section):
    """A runtime of what is installed, with one backend configured."""
    registry = Registry(allow=[f"multitap-{provider}"])
    config = {"defaults": {"provider": provider}, provider: {"endpoint": server.url, **section}}
    return Runtime(config, registry=registry)


def serving(replies):
    """A server that has an answer for each call, as often as it is asked."""
    return Server(repeat(when(replies)))


# ---- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_found_as_it_declares_itself(name, site):
    install(name, site)
    facts = project(name)
    rows = Registry(allow=[facts["name"]]).entries()
    declared = {
        (group.removeprefix("multitap."), provider, facts["name"], facts["version"], "declared")
        for group, entries in facts["entry-points"].items()
        for provider in entries
    }
    assert {tuple(row) for row in rows if row.state != "denied"} == declared
    assert package(name).name not in sys.modules


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_listed_by_the_command(name, site):
    install(name, site)
    done = run(site, "-c", CLI, "capabilities", "--json", MULTITAP_PLUGINS=project(name)["name"])
    rows = [row for row in loads(done.stdout) if row["state"] != "denied"]
    groups = {f"multitap.{row['capability']}" for row in rows}
    assert groups == set(project(name)["entry-points"]) - BESIDE, done.stderr


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_has_the_file_that_says_it_is_typed(name):
    assert (package(name) / "py.typed").is_file()


# ---- one hook alone ------------------------------------------------------------------------------

TUNE = sse([{"note": "la"}, {"note": " la"}, {"rest": True, "notes": 2}], done=None)


def test_a_plugin_that_can_only_chat(site):
    install("chat-only", site)
    with serving({"POST /tunes": TUNE}) as server, runtime(server, "wren") as rt:
        answer = rt.chat("sing", model="wren:small", temperature=0, seed=7)
        with rt.stream("sing", model="wren:small") as events:
            kinds = [event.type for event in events]
        assert (answer.text, answer.usage.output_tokens) == ("la la", 2)
        assert [notice.option for notice in answer.warnings] == ["seed"]
        assert kinds == ["text", "text", "usage", "stop"]
        heard = [{"by": "user", "text": "sing"}]
        assert server.requests[0].json() == {"tune": "small", "heard": heard, "warmth": 0}
        with pytest.raises(NotSupported):
            rt.embed("sing", model="wren:small")


def test_a_plugin_that_can_only_chat_on_the_command_line(site):
    install("chat-only", site)
    with serving({"POST /tunes": TUNE}) as server:
        words = ("-c", CLI, "chat", "-m", "wren:small", "sing")
        done = run(site, *words, MULTITAP_WREN__ENDPOINT=server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "la la\n", "")


NEST = reply({"owner": "Ada", "coins": 2.5, "shiny": ["ring"]})


def test_a_plugin_that_can_only_validate(site):
    install("provider-only", site)
    with (
        serving({"GET /nests/church": NEST}) as server,
        runtime(server, "magpie", api_key="hush-canary-s3same", nest="church") as rt,
    ):
        found = rt.validate("magpie", model="ring")
        assert (found.account, found.remaining, found.unit) == ("Ada", 2.5, "coins")
        assert server.requests[0].headers["x-nest-key"] == "hush-canary-s3same"
        with pytest.raises(ModelNotFound, match="Ada has no crown"):
            rt.validate("magpie", model="crown")
        with pytest.raises(NotSupported):
            rt.chat("hi", model="magpie:ring")


def test_a_refused_key_is_told_by_its_class_and_not_shown(site):
    install("provider-only", site)
    refused = reply({"squawk": "what is hush-canary-s3same to me?"}, 401)
    with (
        serving({"GET /nests/old%20oak": refused}) as server,
        runtime(server, "magpie", api_key="hush-canary-s3same") as rt,
        pytest.raises(AuthenticationError) as caught,
    ):
        rt.validate("magpie")
    assert "s3same" not in f"{caught.value} {caught.value!r}"


def test_what_a_provider_says_of_itself_needs_no_import(site):
    install("provider-only", site)
    (info,) = Registry(allow=["multitap-magpie"]).providers()
    assert (info.title, info.key.required, list(info.settings)) == ("Magpie", True, ["nest"])
    assert "multitap_magpie.provider" not in sys.modules


# ---- packages and providers ----------------------------------------------------------------------


def test_several_providers_in_one_package(site):
    install("two-providers", site)
    with Runtime({}, registry=Registry(allow=["multitap-finches"])) as rt:
        answers = [rt.chat("hear me", model=f"{name}:one").text for name in ("finch", "linnet")]
    assert answers == ["hear me ", "me hear "]


def test_one_provider_in_two_packages(site):
    install("two-providers", site)
    install("half-a-provider", site)
    names = ["multitap-finches", "multitap-finch-vectors"]
    with Runtime({}, registry=Registry(allow=names)) as rt:
        assert rt.chat("hear me", model="finch:one").text == "hear me "
        assert list(rt.embed("banana", model="finch:one").vectors[0]) == [3, 0, 0, 0, 0]
        with pytest.raises(NotSupported):
            rt.embed("banana", model="linnet:one")


# ---- every hook, beside the echo -----------------------------------------------------------------

WAV = b"RIFF\x04\0\0\0WAVE"
PIECES = [
    {"thought": "where?"},
    {"text": "There."},
    {"errand": {"id": "e1", "name": "look", "with": '{"at": "map"}'}},
    {"end": "errand", "read": 4, "written": 3},
]
HEARD = [
    {"piece": "go", "since": 0, "until": 1},
    {"text": "go", "language": "en", "until": 1},
]
ATLAS = {
    "POST /chat": sse(PIECES, done=None),
    "POST /vectors": reply({"rows": [[1, 2], [3, 4]], "read": 5}),
    "POST /order": reply({"scores": [0.1, 0.9]}),
    "POST /split": reply({"ids": [7, 8]}),
    "POST /join": reply({"text": "a map"}),
    "POST /judge": reply({"verdicts": [{"scores": {"rude": 0.9}}, {"scores": {}}]}),
    "POST /hear": ndjson(HEARD),
    "POST /say": respond(200, {"content-type": "audio/pcm", "x-rate": "8000"}, b"\1\2\3\4\5"),
    "GET /voices/map": reply({"voices": {"n": "North"}}),
    "POST /draw": reply({"id": "begun", "state": "waiting"}),
    "GET /jobs/begun": reply({"id": "half", "state": "drawing"}),
    "GET /jobs/half": reply({"id": "half", "state": "done", "pictures": ["iVBORw=="]}),
    "GET /models": reply({"models": [{"id": "map", "pages": 4096, "can": ["chat"]}]}),
    "PUT /models/map": ndjson([{"doing": "carrying", "bytes": 1, "of": 2}, {"doing": "done"}]),
    "POST /models/map/open": reply({}),
    "POST /models/map/close": reply({}),
    "GET /me": reply({"name": "Ada", "left": 0, "server": "Atlas 3"}),
}


@pytest.fixture
def atlas(site):
    install("everything", site)
    with serving(ATLAS) as server, runtime(server, "atlas", model="map") as rt:
        rt.server = server
        yield rt


def test_the_echo_and_a_sample_have_every_hook():
    groups = {f"multitap.{name}" for name in CAPABILITIES} | BESIDE
    assert groups == set(project("everything")["entry-points"])
    rows = Registry(allow=["multitap-echo"]).capabilities()
    echoed = {row.capability for row in rows if row.provider == "echo"}
    assert echoed >= {*CAPABILITIES} - {"launcher"}  # an echo has no server to be started


def test_chat(atlas):
    tool = {"name": "look", "parameters": {"type": "object"}}
    answer = atlas.chat("where?", tools=[tool], max_tokens=9)
    assert (answer.text, answer.reasoning, answer.stop_reason) == ("There.", "where?", "tool_use")
    assert answer.tool_calls[0].arguments == {"at": "map"}
    assert atlas.server.requests[0].json()["most"] == 9


def test_a_fault_in_the_middle_of_an_answer(site):
    install("everything", site)
    torn = sse([{"text": "Th"}, {"fault": "torn"}], done=None)
    with (
        serving({"POST /chat": torn}) as server,
        runtime(server, "atlas", model="map") as rt,
        pytest.raises(BackendError) as caught,
    ):
        rt.chat("where?")
    assert (caught.value.message, caught.value.partial.text) == ("torn", "Th")


def test_embedding(atlas):
    found = atlas.embed(["a", "b"], dimensions=2, input_type="query")
    assert [list(row) for row in found.vectors] == [[1.0, 2.0], [3.0, 4.0]]
    sent = atlas.server.requests[0].json()
    assert sent == {"model": "map", "texts": ["a", "b"], "size": 2, "kind": "query"}


def test_rerank(atlas):
    assert [row.index for row in atlas.rerank("where", ["a", "b"]).results] == [1, 0]


def test_tokenize(atlas):
    assert atlas.tokenize("a map").ids == (7, 8)
    assert atlas.detokenize([7, 8]) == "a map"


def test_moderation(atlas):
    found = atlas.moderate(["you fool", "hello"])
    assert [(bool(one), one.categories) for one in found] == [(True, {"rude": True}), (False, {})]


def test_transcription(atlas):
    with atlas.transcribe_stream(WAV, language="en") as heard:
        *pieces, whole = heard
    assert pieces == [TranscriptDelta("go"), Segment(0, 1, "go")]
    assert (whole.text, whole.language, whole.duration) == ("go", "en", 1)
    assert WAV in atlas.server.requests[0].body
    assert atlas.transcribe(WAV) == whole


def test_speech(atlas):
    sound = atlas.speak("go", voice="n", format="pcm")
    assert (sound.data, sound.mime_type, sound.sample_rate) == (b"\1\2\3\4", "audio/pcm", 8000)
    assert [voice.title for voice in atlas.voices()] == ["North"]


def test_image(atlas):
    (picture,) = atlas.draw("here")
    assert (picture.data, picture.mime_type) == (b"\x89PNG", "image/png")
    paths = [asked.path for asked in atlas.server.requests]
    assert paths == ["/draw", "/jobs/begun", "/jobs/half"]


def test_catalog(atlas):
    assert [(m.ref, m.context_length) for m in atlas.models("atlas")] == [("atlas:map", 4096)]


def test_lifecycle(atlas):
    atlas.load("atlas:map")
    atlas.unload("atlas:map")
    with atlas.pull_stream("atlas:map") as steps:
        assert [(step.status, step.completed) for step in steps] == [
            ("carrying", 1),
            ("done", None),
        ]


def test_provider(atlas):
    found = atlas.validate("atlas")
    assert (found.server, found.account, found.remaining) == ("Atlas 3", "Ada", 0)
    with pytest.raises(ModelNotFound, match="no globe"):
        atlas.validate("atlas", model="globe")


def test_launcher(atlas):
    with atlas.launch("atlas:map") as server:
        assert (server.model, server.running) == ("map", True)
    assert not server.running


def test_observer(atlas, caplog):
    caplog.set_level("INFO", logger="multitap_atlas")
    atlas.chat("where?")
    assert caplog.messages == ["chat of atlas:map: tool_use"]


def test_filter(site):
    install("everything", site)
    registry = Registry(allow=["multitap-atlas", "multitap-echo"])
    config = {"plugins": {"filters": ["atlas-loud"]}}
    with Runtime(config, registry=registry) as rt:
        assert rt.chat("where?", model="echo:echo").text == "WHERE?"


def test_command(site):
    install("everything", site)
    done = CliRunner().invoke(Registry(allow=["multitap-atlas"]).command("compass"), [])
    assert done.output == "north\n"


# ---- a plugin of today, and a core of tomorrow ---------------------------------------------------

TELEPATHY = '''
"""Telepathy, which no plugin of today has."""
from typing import Protocol
class Telepath(Protocol):
    def sense(self, mind: str, /) -> object: ...
'''
SPEC = '''
    @hookspec
    def multitap_telepathy(self, backend: Backend) -> object:
        """Sense a mind."""
        ...
'''
SEER = """
from multitap.hookspecs import hookimpl
class Seer:
    def sense(self, mind, /): return "nothing"
@hookimpl
def multitap_telepathy(backend): return Seer()
"""
TRY = """
import sys, multitap
from multitap.hookspecs import CAPABILITIES, Backend
from multitap.registry import Registry
from multitap.testing import Server, ndjson, repeat, respond, sse, when
from multitap.testing import json as reply
assert "telepathy" in CAPABILITIES and multitap.__file__.startswith(sys.argv[2])
registry = Registry(allow=["multitap-wren", "multitap-seer"])
seer = registry.build("telepathy", Backend(id="seer", provider="seer"))
with multitap.Runtime({"wren": {"endpoint": sys.argv[1]}}, registry=registry) as rt:
    print(rt.chat("sing", model="wren:small").text, seer.sense("mine"), registry.failures)
"""


def test_an_old_plugin_works_with_a_core_that_has_more_hooks(tmp_path, site):
    """A copy of the core gets one hook more, with its group; the plugin is the one of today."""
    newer = tmp_path / "newer"
    shutil.copytree(CORE, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "multitap/capabilities/telepathy.py").write_text(TELEPATHY, "utf-8")
    insert(newer / "multitap/capabilities/__init__.py", "PROTOCOLS = {", '"telepathy": "Telepath",')
    insert(newer / "multitap/hookspecs.py", "class Specs(Protocol):", SPEC)
    install("chat-only", site)
    (site / "seer.py").write_text(SEER, "utf-8")
    write_metadata(site, "multitap-seer", "1.0", {"multitap.telepathy": {"seer": "seer"}})
    with serving({"POST /tunes": TUNE}) as server:
        done = run(site, "-c", TRY, server.url, str(newer), core=newer)
    assert (done.stdout, done.stderr) == ("la la nothing {}\n", "")


def insert(path, line, text):
    before = path.read_text("utf-8")
    assert before.count(f"{line}\n") == 1
    path.write_text(before.replace(f"{line}\n", f"{line}\n{text}\n"), "utf-8")


REQUIRED = {
    "ChatRequest": ["model", "messages"],
    "EmbeddingRequest": ["model", "texts"],
    "RerankRequest": ["model", "query", "documents"],
    "TokenizeRequest": ["model", "text"],
    "DetokenizeRequest": ["model", "ids"],
    "TranscriptionRequest": ["model", "audio"],
    "SpeechRequest": ["model", "text"],
    "ModerationRequest": ["model", "texts"],
    "ImageRequest": ["model", "prompt"],
    "Embeddings": ["vectors"],
    "Ranked": ["index", "score"],
    "Ranking": ["results"],
    "Tokens": ["ids"],
    "TokenText": ["text"],
    "TranscriptDelta": ["text"],
    "Segment": ["start", "end", "text"],
    "Transcript": ["text"],
    "Voice": ["name", "title"],
    "Judgement": ["flagged"],
    "Model": ["id"],
    "Progress": ["status"],
    "Validation": [],
    "LaunchRequest": ["model", "port"],
    "Process": ["argv", "install"],
    "Container": ["image", "argv", "port"],
}
METHODS = {
    "chat": {"chat"},
    "embedding": {"embed"},
    "rerank": {"rerank"},
    "tokenize": {"tokenize", "detokenize"},
    "transcription": {"transcribe"},
    "speech": {"speak", "voices"},
    "moderation": {"moderate"},
    "image": {"draw"},
    "catalog": {"models"},
    "lifecycle": {"pull", "load", "unload"},
    "provider": {"validate"},
    "launcher": {"launch"},
}


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_nothing_more_is_asked_of_a_plugin_than_today(capability):
    """A new field has a default, and a new verb is a protocol of its own: old plugins go on."""
    assert methods_of(capability) == METHODS[capability]
    module = sys.modules[protocol_of(capability).__module__]
    for name, cls in vars(module).items():
        if attrs.has(cls) and name in REQUIRED:
            needed = [f.name for f in attrs.fields(cls) if f.default is attrs.NOTHING]
            assert needed == REQUIRED[name]
