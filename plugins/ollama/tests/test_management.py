"""What a real Ollama said of its models, through this plugin's reading, however it is cut."""

from __future__ import annotations

import json
import random

import ollama_reader
import pytest

from multitap.capabilities.lifecycle import CreateRequest, Progress
from multitap.errors import (
    BackendError,
    BadRequest,
    EngineError,
    ModelNotFound,
    NotSupported,
    ProtocolError,
    ProviderDown,
    TLSFailed,
    TruncatedStream,
)
from multitap.events import Failed
from multitap.framing import JsonDecoder
from multitap.messages import Message
from multitap.work import Digest, Exchange, File, Head, HttpCall, HttpReply, Out
from multitap_ollama.catalog import SHOWN_AT_MOST, OllamaCatalog
from multitap_ollama.lifecycle import OllamaLifecycle
from multitap_ollama.models import Models, Shown, instant
from multitap_ollama.provider import OllamaProvider
from multitap_ollama.requests import LoadSettings

EVERY_CUT = 8000  # bytes, up to which a body is cut at every place
LIFECYCLE = OllamaLifecycle("ollama", LoadSettings())
CATALOG = OllamaCatalog("ollama", LoadSettings())
OURS = {"completion": "chat"}

ALL = [ollama_reader.recorded(name) for name in ollama_reader.names("test_management")]
GOOD = [recorded for recorded in ALL if recorded.status in (200, 201, 204)]


def those(path, method="POST", recordings=GOOD):
    return [r.name for r in recordings if (r.method, r.path) == (method, path)]


STATUSES = [*those("/api/pull"), *those("/api/create"), *those("/api/push")]
TAGS, PS = those("/api/tags", "GET"), those("/api/ps", "GET")
SHOWS, VERSIONS = those("/api/show"), those("/api/version", "GET")
ORDERS = [*those("/api/copy"), *those("/api/delete", "DELETE")]
BLOBS = [r.name for r in ALL if r.path.startswith("/api/blobs/")]
REFUSALS = [r.name for r in ALL if r.status >= 400 and r.name not in BLOBS]
# Questions that the plugin does not ask: whatever comes of them must not pass for an answer.
OTHERS = [
    *("api_status", "cloud_disabled_status", "cloud_disabled_recommendations", "recommendations"),
    *("root", "root_head", "tags_head", "version_head", "cors_preflight", "pull_generate"),
    *("api_chat_debug_render", "api_native_debug_render", "double_slash", "trailing_slash"),
]


def test_every_recording_of_management_is_used_here():
    used = {*STATUSES, *TAGS, *PS, *SHOWS, *VERSIONS, *ORDERS, *BLOBS, *REFUSALS, *OTHERS}
    assert used == set(ollama_reader.names("test_management"))


# ---- how they are replayed -----------------------------------------------------------------------


def read(work, recorded, *cuts):
    decoder, out, start = work.decoder(Head(recorded.status, recorded.headers)), [], 0
    for cut in (*cuts, len(recorded.body)):
        out += decoder.feed(recorded.body[start:cut])
        start = cut
    return [*out, *decoder.finish()]


def places(body):
    if len(body) <= EVERY_CUT:
        return [(place,) for place in range(1, len(body))]
    chance = random.Random(len(body))
    return [sorted(chance.sample(range(1, len(body)), chance.randint(1, 12))) for _ in range(64)]


def shown(items):
    """Items that can be compared: an error has no equality of its own."""
    return [item.error.to_dict() if isinstance(item, Failed) else item for item in items]


def error_of(items):
    return next((item.error for item in items if isinstance(item, Failed)), None)


def reply(recorded):
    return HttpReply(recorded.status, recorded.headers, recorded.body)


def drive(work, answer):
    """Carry an operation out: ``answer`` is given each step; what it raises is thrown in."""
    steps, out, outcome = work.steps(), [], None
    try:
        while True:
            resume = steps.throw if isinstance(outcome, BackendError) else steps.send
            step = resume(outcome)
            if isinstance(step, Out):
                out += step.items
                outcome = None
                continue
            try:
                outcome = answer(step)
                if isinstance(outcome, HttpReply) and outcome.status >= 400:
                    outcome = work.explain(outcome)
                    outcome.status = outcome.status or 500
            except BackendError as error:
                outcome = error
    except StopIteration:
        return out


def routes(**recordings):
    """Answers by the last word of the path; a name is a recording."""

    def answer(call):
        found = recordings[call.path.split("/")[-1]]
        found = found(call) if callable(found) else found
        return found if isinstance(found, HttpReply) else reply(ollama_reader.recorded(found))

    return answer


# ---- pull, create and push -----------------------------------------------------------------------


def lines_wanted(recorded):
    """By a plain reader: the steps, and whether and how it failed."""
    lines = ollama_reader.objects(recorded.body)
    steps = [line for line in lines if "status" in line]
    for step in steps:
        if "total" in step:
            step.setdefault("completed", 0)
    errors = [line["error"] for line in lines if "error" in line]
    return steps, errors, bool(steps) and steps[-1]["status"] == "success"


@pytest.mark.parametrize("name", STATUSES)
def test_every_line_is_progress_and_only_success_is_success(name):
    recorded = ollama_reader.recorded(name)
    steps, errors, succeeded = lines_wanted(recorded)
    items = read(LIFECYCLE.pull("tiny"), recorded)
    assert [item.to_dict() for item in items if isinstance(item, Progress)] == steps
    error = error_of(items)
    if succeeded:
        assert error is None
    elif errors:
        assert error.message == errors[0]
    else:
        assert type(error) is TruncatedStream


@pytest.mark.parametrize("name", STATUSES)
def test_where_the_lines_are_cut_makes_no_difference(name):
    recorded = ollama_reader.recorded(name)
    work = LIFECYCLE.pull("tiny")
    whole = shown(read(work, recorded))
    for cuts in places(recorded.body):
        assert shown(read(work, recorded, *cuts)) == whole


@pytest.mark.parametrize("name", STATUSES)
def test_a_stream_that_ends_before_success_is_none(name):
    recorded = ollama_reader.recorded(name)
    lines = recorded.body.split(b"\n")
    for count in range(len(lines) - 2):
        recorded.body = b"\n".join(lines[:count]) + b"\n"
        assert type(error_of(read(LIFECYCLE.pull("tiny"), recorded))) is TruncatedStream


@pytest.mark.parametrize(
    ("name", "kind", "error"),
    [
        ("pull_missing", "model_not_found", ModelNotFound),
        ("pull_missing_tag", "model_not_found", ModelNotFound),
        ("pull_corrupt", "hash_mismatch", ProtocolError),
        ("pull_no_internet", "registry_unreachable", ProviderDown),
        ("pull_unreachable", "registry_unreachable", ProviderDown),
        ("pull_not_insecure", "registry_insecure", TLSFailed),
        ("pull_http_not_insecure", "registry_insecure", TLSFailed),
        ("pull_abort", "truncated_stream", TruncatedStream),
        ("create_error_not_gguf", "model_recipe_invalid", BadRequest),
        ("create_error_missing_blob", "blob_missing", BadRequest),
        ("create_error_from_unknown", "registry_unreachable", ProviderDown),
    ],
)
def test_a_failure_inside_an_answer_has_its_type(name, kind, error):
    found = error_of(read(LIFECYCLE.pull("tiny"), ollama_reader.recorded(name)))
    assert isinstance(found, error)
    assert found.kind == kind


def test_nothing_that_follows_success_counts():
    class Recorded:
        status, headers = 200, {}
        body = b'{"status":"success"}\n{"status":"more"}\n'

    assert read(LIFECYCLE.pull("m"), Recorded) == [Progress(status="success")]


# ---- one line answers ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORDERS)
def test_an_order_without_an_answer_is_done(name):
    recorded = ollama_reader.recorded(name)
    assert read(LIFECYCLE.copy("a", "b"), recorded) == [Progress(status="success")]


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_is_a_typed_error(name):
    recorded = ollama_reader.recorded(name)
    error = LIFECYCLE.pull("tiny").explain(reply(recorded))
    assert error.hint
    if recorded.status == 404:
        assert isinstance(error, ModelNotFound)


@pytest.mark.parametrize("name", OTHERS)
def test_an_answer_to_another_question_is_not_success(name):
    recorded = ollama_reader.recorded(name)
    steps = read(LIFECYCLE.pull("tiny"), recorded)
    assert error_of(steps) is not None
    if name != "pull_generate":
        with pytest.raises(BackendError):
            drive(LIFECYCLE.load("tiny"), lambda call: reply(recorded))


# ---- loading -------------------------------------------------------------------------------------


def asked(work, answer):
    calls = []
    out = drive(work, lambda call: calls.append(call) or answer(call))
    return [(call.path, getattr(call.body, "value", None)) for call in calls], out


def test_a_model_is_loaded_with_the_settings_of_every_chat():
    work = OllamaLifecycle("o", LoadSettings(num_ctx=512, keep_alive="10m")).load("tiny")
    calls, out = asked(work, routes(chat="api_chat_load"))
    body = {"model": "tiny", "messages": [], "options": {"num_ctx": 512}, "shift": False}
    assert calls == [("/api/chat", {**body, "keep_alive": "10m"})]
    assert out == [Progress(status="loaded")]


def test_a_model_that_only_embeds_is_loaded_by_embedding_nothing():
    work = OllamaLifecycle("o", LoadSettings(num_ctx=512)).load("tiny-embed")
    calls, _ = asked(work, routes(chat="api_chat_embedder", embed="api_embed_empty_list"))
    body = {"model": "tiny-embed", "input": [], "options": {"num_ctx": 512}}
    assert calls[1:] == [("/api/embed", body)]


@pytest.mark.parametrize(
    "name", ["api_chat_unload", "api_chat_unload_after_reply", "api_chat_unload_not_loaded"]
)
def test_a_model_is_unloaded_at_once(name):
    calls, out = asked(LIFECYCLE.unload("tiny"), routes(chat=name))
    assert calls == [("/api/chat", {"model": "tiny", "keep_alive": 0, "messages": []})]
    assert out == [Progress(status="unloaded")]


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("api_chat_load_unknown", ModelNotFound),
        ("load_failed_load", ProtocolError),
        ("load_runner_dies", EngineError),
    ],
)
def test_a_model_that_cannot_be_loaded(name, error):
    with pytest.raises(error):
        drive(LIFECYCLE.load("tiny"), routes(chat=name))


# ---- creating ------------------------------------------------------------------------------------


def test_a_file_is_uploaded_only_where_it_is_missing(tmp_path):
    request = CreateRequest(
        model="mine", files={"a.gguf": tmp_path / "a", "b.gguf": tmp_path / "b"}
    )
    seen = []

    def answer(step):
        seen.append(step)
        if isinstance(step, Digest):
            return step.path.name * 64
        if isinstance(step, Exchange):
            return None
        missing = step.method == "HEAD" and step.path.endswith("b")
        return reply(ollama_reader.recorded("blob_head_missing" if missing else "blob_upload"))

    out = drive(LIFECYCLE.create(request), answer)
    calls = [(s.method, s.path[-8:]) for s in seen if isinstance(s, HttpCall)]
    assert calls == [("HEAD", "aaaaaaaa"), ("HEAD", "bbbbbbbb"), ("POST", "bbbbbbbb")]
    assert seen[-2].body == File("b.gguf", tmp_path / "b")
    assert [step.status for step in out] == ["hashing a.gguf", "hashing b.gguf", "uploading b.gguf"]
    assert seen[-1].call.body.value == {
        "model": "mine",
        "files": {"a.gguf": "sha256:" + "a" * 64, "b.gguf": "sha256:" + "b" * 64},
    }


@pytest.mark.parametrize("name", BLOBS)
def test_what_is_said_of_a_blob(name, tmp_path):
    recorded = ollama_reader.recorded(name)
    request = CreateRequest(model="mine", files={"a": tmp_path / "a"})

    def answer(step):
        if isinstance(step, Digest):
            return "a" * 64
        if isinstance(step, Exchange):
            return None
        if step.method == recorded.method:
            return reply(recorded)
        return reply(ollama_reader.recorded("blob_head_missing"))

    fails = name in ("blob_head_bad_digest", "blob_upload_bad_digest", "blob_upload_mismatch")
    if fails:
        with pytest.raises((BadRequest, ProtocolError)):
            drive(LIFECYCLE.create(request), answer)
    elif name != "blob_head_missing":
        drive(LIFECYCLE.create(request), answer)


def test_a_recipe_holds_what_was_given_and_nothing_else():
    request = CreateRequest(
        model="mine",
        source="tiny",
        template="{{ .Prompt }}",
        system="Be brief.",
        parameters={"temperature": 0},
        messages=(Message("user", "hi"), Message("assistant", "Hello.")),
        license=("MIT", "Apache-2.0"),
        quantize="q8_0",
    )
    seen = []
    drive(LIFECYCLE.create(request), seen.append)
    assert seen[0].call.body.value == {
        "model": "mine",
        "from": "tiny",
        "template": "{{ .Prompt }}",
        "system": "Be brief.",
        "parameters": {"temperature": 0},
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "Hello."},
        ],
        "license": ["MIT", "Apache-2.0"],
        "quantize": "q8_0",
    }


def test_insecure_is_a_setting():
    assert LIFECYCLE.pull("tiny").call.body.value == {"model": "tiny"}
    loose = OllamaLifecycle("o", LoadSettings(), insecure=True)
    assert loose.pull("tiny").call.body.value == {"model": "tiny", "insecure": True}


# ---- what runs -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PS)
def test_what_runs_is_what_a_plain_reader_finds(name):
    recorded = ollama_reader.recorded(name)
    rows = json.loads(recorded.body)["models"]
    found = read(LIFECYCLE.running(), recorded)
    assert [(m.id, m.digest, m.context_length, m.loaded) for m in found] == [
        (row["name"], row["digest"], row["context_length"], True) for row in rows
    ]
    assert [(m.meta["memory"], m.meta["expires_at"]) for m in found] == [
        (str(row["size"]), row["expires_at"]) for row in rows
    ]
    for cuts in places(recorded.body):
        assert read(LIFECYCLE.running(), recorded, *cuts) == found


# ---- the catalog ---------------------------------------------------------------------------------


def show_of(call):
    """The recorded answer about this model; about others, that of a native one."""
    names = {"tiny-embed:latest": "show_embedder", "tiny:latest": "show"}
    return names.get(call.body.value["model"], "show_native")


def capabilities_in(name):
    said = json.loads(ollama_reader.recorded(name).body)["capabilities"]
    return {OURS.get(word, word) for word in said}


@pytest.mark.parametrize("name", TAGS)
def test_the_list_is_what_a_plain_reader_finds(name):
    rows = json.loads(ollama_reader.recorded(name).body)["models"]
    found = drive(CATALOG.models(), routes(tags=name, ps="ps_loaded", show=show_of))
    assert [(m.id, m.size, m.digest) for m in found] == [
        (row["name"], row["size"], row["digest"]) for row in rows
    ]
    for model, row in zip(found, rows, strict=True):
        call = HttpCall(method="POST", path="", body=type("J", (), {"value": {"model": model.id}}))
        assert model.capabilities == capabilities_in(show_of(call))
        assert model.modified_at.isoformat()[:19] == row["modified_at"][:19]
        assert model.problem is None


def test_what_is_loaded_has_the_context_in_force():
    found = drive(CATALOG.models(), routes(tags="tags", ps="ps_loaded", show=show_of))
    facts = {m.id: (m.loaded, m.context_length) for m in found}
    assert facts["tiny-native-256:latest"] == (True, 256)
    assert facts["tiny-system:latest"] == (True, 2048)
    assert facts["tiny:latest"] == (False, 2048)


@pytest.mark.parametrize("name", SHOWS)
def test_one_model_is_described_by_one_request(name):
    recorded = ollama_reader.recorded(name)
    said = json.loads(recorded.body)
    calls, found = asked(CATALOG.describe("tiny"), lambda call: reply(recorded))
    assert calls == [("/api/show", {"model": "tiny"})]
    info = said["model_info"]
    trained = info[f"{info['general.architecture']}.context_length"]
    own = 256 if name == "show_num_ctx" else trained
    assert [(m.id, m.context_length, m.loaded) for m in found] == [("tiny", own, None)]
    assert found[0].capabilities == {OURS.get(word, word) for word in said["capabilities"]}
    assert found[0].meta["family"] == said["details"]["family"]


@pytest.mark.parametrize("name", [*TAGS, *SHOWS, *VERSIONS])
def test_where_a_reply_is_cut_makes_no_difference(name):
    recorded = ollama_reader.recorded(name)
    shape = Shown if name in SHOWS else Models

    def value(*cuts):
        decoder, start = JsonDecoder(shape, lambda value: [value]), 0
        for cut in (*cuts, len(recorded.body)):
            assert decoder.feed(recorded.body[start:cut]) == []
            start = cut
        return decoder.finish()

    whole = value()
    for cuts in places(recorded.body):
        assert value(*cuts) == whole


@pytest.mark.parametrize(
    ("num_ctx", "length", "source"),
    [(512, 512, "declared"), (2048, 2048, "probed"), (9999, 2048, "probed")],
)
def test_a_context_that_was_set_is_the_context(num_ctx, length, source):
    catalog = OllamaCatalog("o", LoadSettings(num_ctx=num_ctx))
    (found,) = drive(catalog.describe("tiny"), routes(show="show"))
    assert (found.context_length, found.sources["context_length"]) == (length, source)


@pytest.mark.parametrize("name", ["show_broken", "cloud_disabled_show", "show_unknown"])
def test_a_model_that_cannot_be_shown_is_listed_with_its_problem(name):
    answer = routes(
        tags="tags",
        ps="ps_empty",
        show=lambda call: name if call.body.value["model"] == "tiny:latest" else "show",
    )
    found = drive(CATALOG.models(), answer)
    problems = {m.id: m.problem for m in found if m.problem}
    assert problems == {"tiny:latest": json.loads(ollama_reader.recorded(name).body)["error"]}
    assert len(found) == len(json.loads(ollama_reader.recorded("tags").body)["models"])


def test_a_server_that_dies_within_the_list_is_the_end_of_it():
    def answer(call):
        if call.path == "/api/show":
            raise ProviderDown("It is gone", kind="connect_failed", phase="connect")
        return routes(tags="tags", ps="ps_empty")(call)

    with pytest.raises(ProviderDown):
        drive(CATALOG.models(), answer)


def test_what_is_loaded_may_stay_unknown():
    lost = HttpReply(404, {}, b"404 page not found")  # before v0.1.38
    found = drive(CATALOG.models(), routes(tags="tags", ps=lost, show="show"))
    assert {model.loaded for model in found} == {None}


def test_a_long_list_costs_a_bounded_number_of_requests():
    rows = [{"name": f"m{n}", "details": {"context_length": 5}} for n in range(SHOWN_AT_MOST + 50)]
    tags = HttpReply(200, {}, json.dumps({"models": rows}).encode())
    calls, found = asked(CATALOG.models(), routes(tags=tags, ps="ps_empty", show="show"))
    assert (len(calls), len(found)) == (SHOWN_AT_MOST + 2, SHOWN_AT_MOST + 50)
    assert (found[-1].capabilities, found[-1].context_length) == (None, 5)


def test_names_are_data():
    name = "../../x\x1b[2J\n"
    tags = HttpReply(200, {}, json.dumps({"models": [{"name": name}, {"size": 1}, {}]}).encode())
    calls, found = asked(CATALOG.models(), routes(tags=tags, ps="ps_empty", show="show"))
    assert [model.id for model in found] == [name]
    assert calls[-1] == ("/api/show", {"model": name})


def test_a_remote_model_says_so():
    answer = {"capabilities": ["completion"], "remote_host": "https://ollama.com", "details": None}
    found = drive(CATALOG.describe("m"), lambda _: HttpReply(200, {}, json.dumps(answer).encode()))
    assert found[0].meta == {"remote_host": "https://ollama.com"}
    assert found[0].context_length is None


def test_no_models():
    nothing = HttpReply(200, {}, b'{"models":null}')
    assert drive(CATALOG.models(), routes(tags=nothing, ps=nothing)) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-21T09:26:28.464817591Z", "2026-11-21T09:26:28.464817+00:00"),
        ("2026-11-21T09:26:28Z", "2026-11-21T09:26:28+00:00"),
        ("2026-11-21T09:26:28.5+02:00", "2026-11-21T09:26:28.500000+02:00"),
        ("2026-13-21T09:26:28Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_times(text, wanted):
    found = instant(text)
    assert (found and found.isoformat()) == wanted


# ---- the provider --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VERSIONS)
def test_a_server_is_validated(name):
    work = OllamaProvider("ollama").validate(None)
    (found,) = drive(work, routes(version=name, tags="tags"))
    rows = json.loads(ollama_reader.recorded("tags").body)["models"]
    assert (found.server, found.models) == ("Ollama 0.33.0-rc2", len(rows))


def test_a_model_that_is_named_must_be_there():
    answer = routes(version="version", tags="tags", show="show_unknown")
    with pytest.raises(ModelNotFound):
        drive(OllamaProvider("ollama").validate("nothing"), answer)
    answer = routes(version="version", tags="tags", show="cloud_disabled_show")
    with pytest.raises(NotSupported):
        drive(OllamaProvider("ollama").validate("gpt-oss:120b-cloud"), answer)


def test_what_is_not_ollama_does_not_validate():
    with pytest.raises(ProtocolError, match="is not Ollama"):
        drive(OllamaProvider("ollama").validate(None), routes(version="root", models="root"))
