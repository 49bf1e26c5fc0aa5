"""``python -m multitap.testing.record``: what is kept of a question, and what is refused."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from multitap.capabilities.catalog import Model
from multitap.dialects.openai.audio import AudioTranscriptions
from multitap.dialects.openai.completions import ChatCompletions
from multitap.dialects.openai.embeddings import TextEmbeddings
from multitap.dialects.openai.errors import explain_openai
from multitap.dialects.openai.profile import Profile
from multitap.dialects.replies import reply_json
from multitap.hookspecs import hookimpl
from multitap.manifest import provider_from_table
from multitap.registry import Registry
from multitap.testing import CEILING, Server, client_closed, repeat, request, respond, sse, when
from multitap.testing import json as json_answer
from multitap.testing.kit import ChatSuite, Vector, load_vectors
from multitap.testing.kit.replay import replay
from multitap.testing.record import main
from multitap.work import HttpCall, Operation, Out, fetch

KEY = "hush-canary-1066"
SOUND = b"RIFF\4\0\0\0WAVE"
WORDS = ["Hel", "lo"]
CHUNKS = [{"choices": [{"index": 0, "delta": {"content": word}}]} for word in WORDS]
LAST = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
WHOLE = {"choices": [{"message": {"content": "Hello"}, "finish_reason": "length"}]}
VECTORS = {"data": [{"index": 0, "embedding": [1.0, 0.5]}], "model": "a1"}


class Shelf:
    """A list of models that takes a request for each."""

    def models(self):
        def steps():
            names = yield from fetch(HttpCall(method="GET", path="/names"))
            for name in reply_json(names):
                found = yield from fetch(HttpCall(method="GET", path=f"/names/{name}"))
                yield Out([Model(id=name, context_length=reply_json(found)["context"])])

        return Operation(steps, explain_openai)


class Acme:
    """A plugin over OpenAI's protocol, but for its list of models."""

    @hookimpl
    def multitap_chat(self, backend):
        return ChatCompletions(backend, Profile(provider=backend.provider))

    @hookimpl
    def multitap_embedding(self, backend):
        return TextEmbeddings(backend)

    @hookimpl
    def multitap_transcription(self, backend):
        return AudioTranscriptions(backend)

    @hookimpl
    def multitap_catalog(self, backend):
        return Shelf()


class Here:
    """A plugin that works in this process."""

    @hookimpl
    def multitap_chat(self, backend):
        raise AssertionError("nobody asks it")


def registry():
    known = Registry(environ={"MULTITAP_PLUGINS": "none"})
    info = {"title": "Acme", "endpoint": "http://127.0.0.1:9", "key": {"variable": "ACME_KEY"}}
    acme = provider_from_table("acme", info)
    known.add(Acme(), "acme", ["chat", "embedding", "transcription", "catalog"], info=acme)
    known.add(Here(), "here", ["chat"], info=provider_from_table("here", {"title": "Here"}))
    return known


@pytest.fixture
def record(tmp_path, monkeypatch):
    """Records what a server says to a question; the exit code and the vector's file."""
    for variable in ("HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tests/vectors/hello.json"

    def run(server, *words):
        section = f'[acme]\nendpoint = "{server.url}"\napi_key = "{KEY}"\n'
        (tmp_path / "llm.toml").write_text(section)
        return main(["acme:a1", str(file), *words], registry()), file

    return run


def suite_of(vectors):
    """The kit's class for this plugin."""
    found = classmethod(lambda cls: registry())
    facts = {"provider": "acme", "vectors": vectors, "registry": found}
    return type("TestAcme", (ChatSuite,), facts)


def answering(*steps):
    return Server(repeat(request, *steps))


def read(file):
    return json.loads(file.read_text("utf-8"))


def test_a_stream_is_kept_with_what_was_asked_and_what_came(record, capsys):
    with answering(sse([*CHUNKS, LAST, "[DONE]"])) as real:
        code, file = record(real, "Say hello.")
    kept = read(file)
    assert (code, kept["ask"]) == (0, {"verb": "stream", "args": ["Say hello."], "options": {}})
    assert (kept["expect"]["text"], kept["expect"]["stop_reason"]) == ("Hello", "complete")
    assert json.loads(capsys.readouterr().out) == kept["expect"]
    vector = Vector.load(file)
    assert (vector.kind, vector.beside) == ("streams", [])
    assert json.loads(vector.recording.request.partition(b"\r\n\r\n")[2])["stream"] is True


def test_what_is_kept_passes_the_kit(record):
    with answering(sse([*CHUNKS, LAST, "[DONE]"])) as real:
        _, file = record(real, "Say hello.")
    suite = suite_of(file.parent)
    (vector,) = suite.known_vectors()
    suite().test_an_answer_says_what_the_server_said(vector)


def test_a_whole_answer_and_an_option(record):
    with answering(json_answer(WHOLE)) as real:
        code, file = record(real, "hi", "--verb", "chat", "--option", "max_tokens=2")
        sent = real.requests[0].json()
    kept = read(file)
    assert (code, kept["ask"]["options"]) == (0, {"max_tokens": 2})
    assert 2 in sent.values()
    assert (kept["expect"]["text"], kept["expect"]["stop_reason"]) == ("Hello", "max_tokens")


def test_an_options_value_is_json_or_a_text(record):
    with answering(json_answer(WHOLE)) as real:
        options = ["--option", "stop=[" + '"a"]', "--option", "system=be brief"]
        code, file = record(real, "hi", "--verb", "chat", *options)
    assert (code, read(file)["ask"]["options"]) == (0, {"stop": ["a"], "system": "be brief"})


def test_texts_to_embed_are_given_as_json(record):
    with answering(json_answer(VECTORS)) as real:
        code, file = record(real, '["one"]', "--verb", "embed")
    kept = read(file)
    assert (code, kept["ask"]["args"]) == (0, [["one"]])
    assert (kept["expect"]["count"], kept["expect"]["vectors"]) == (1, [[1.0, 0.5]])
    assert Vector.load(file).ask.capability == "embedding"


def test_a_file_is_named_as_it_lies_beside_the_vector(record, tmp_path):
    (tmp_path / "tests/vectors").mkdir(parents=True)
    (tmp_path / "tests/vectors/a.wav").write_bytes(SOUND)
    with answering(json_answer({"text": "hello"})) as real:
        code, file = record(real, '{"file": "a.wav"}', "--verb", "transcribe")
        assert SOUND in real.requests[0].body
    kept = read(file)
    assert (code, kept["ask"]["args"]) == (0, [{"file": "a.wav"}])
    assert kept["expect"]["text"] == "hello"
    assert Vector.load(file).ask.args == [file.parent / "a.wav"]


@pytest.mark.parametrize(
    ("status", "name"), [(404, "ModelNotFound"), (429, "RateLimited"), (500, "ProviderDown")]
)
def test_a_refusal_is_asked_for_once_and_is_the_expected_error(status, name, record):
    with answering(json_answer({"error": {"message": "no"}}, status)) as real:
        code, file = record(real, "hi")
        assert len(real.requests) == 1
    kept = read(file)
    assert (code, kept["expect"]["error"]) == (0, name)
    assert Vector.load(file).kind == "refusals"
    assert sorted(file.parent.iterdir()) == [file]


def test_the_requests_of_one_question_lie_beside_each_other(record):
    answers = {"/names": ["a", "b"], "/names/a": {"context": 1}, "/names/b": {"context": 2}}
    script = when({path: json_answer(value) for path, value in answers.items()})
    with Server(repeat(script)) as real:
        code, file = record(real, "--verb", "models")
    kept = read(file)
    assert (code, kept["beside"]) == (0, ["hello.1.json", "hello.2.json"])
    assert kept["expect"]["ids"] == ["a", "b"]
    (vector,) = load_vectors(file.parent)
    assert [each.scenario for each in vector.recordings] == ["/names", "/names/a", "hello"]
    with Server(replay([vector])) as again:
        assert record(again, "--verb", "models")[0] == 0
    assert read(file)["expect"] == kept["expect"]


def test_the_key_is_sent_and_nowhere_kept(record):
    with answering(respond(401, {"x-echo": KEY}, f"{KEY} is wrong")) as real:
        _, file = record(real, "hi")
        assert KEY in real.requests[0].headers["authorization"]
    text = file.read_text()
    assert KEY not in text
    assert "*" * len(KEY) in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--option", "max_tokens"], "--option NAME=VALUE"),
        (["--verb", "embed"], "missing a required argument: 'texts'"),
        (["hi", "there", "--verb", "chat"], "too many positional arguments"),
        (["acme", "--verb", "models"], "the model is named already"),
        (["hi", "--verb", "rerank"], "documents"),
        (["hi", "--option", "max_tokens=many"], "max_tokens"),
        (["hi", "--option", "colour=red"], "colour"),
        (["hi", '["a"]', "--verb", "rerank"], "rerank"),
    ],
)
def test_wrong_words_are_refused_and_nothing_is_sent(words, said, record, capsys):
    with answering(json_answer(WHOLE)) as real:
        code, file = record(real, *words)
        assert real.requests == []
    printed = capsys.readouterr()
    assert (code, printed.out, file.exists()) == (2, "", False)
    assert said in printed.err
    assert printed.err.startswith("record: ")


@pytest.mark.parametrize(
    ("model", "said"),
    [("here:a1", "works in this process"), ("nobody:a1", "nobody"), ("", "model")],
)
def test_a_backend_that_cannot_be_recorded_is_refused(model, said, record, capsys, tmp_path):
    assert main([model, str(tmp_path / "x.json"), "hi"], registry()) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.json").exists()


def test_a_verb_that_is_none_is_told_with_those_that_are(capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        main(["acme:a1", str(tmp_path / "x.json"), "hi", "--verb", "sing"])
    assert caught.value.code == 2
    assert "'stream'" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_said(record, capsys):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        code, file = record(Nobody(bound.getsockname()[1]), "hi")
    assert (code, file.exists()) == (2, False)
    assert "cannot be reached" in capsys.readouterr().err


class Nobody:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}"


def test_a_server_that_says_nothing_is_said(record, capsys):
    with Server([request, client_closed]) as real:
        code, file = record(real, "hi", "--option", "timeout=0.2")
    assert (code, file.exists()) == (2, False)
    assert "Pass a longer timeout=" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_said(record, tmp_path, capsys):
    (tmp_path / "tests").write_text("in the way")
    with answering(json_answer(WHOLE)) as real:
        code, _ = record(real, "hi", "--verb", "chat")
    assert code == 2
    assert "tests" in capsys.readouterr().err


def test_the_plugin_of_the_project_one_works_in_needs_no_installing(record, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    package = tmp_path / "src" / "multitap_nearby"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "multitap-nearby"\nversion = "1"\n'
        '[project.entry-points."multitap.chat"]\nnearby = "multitap_nearby"\n'
    )
    (package / "__init__.py").write_text(
        "from multitap.dialects.openai.completions import ChatCompletions\n"
        "from multitap.dialects.openai.profile import Profile\n"
        "from multitap.hookspecs import hookimpl\n\n\n"
        "@hookimpl\n"
        "def multitap_chat(backend):\n"
        "    return ChatCompletions(backend, Profile(provider=backend.provider))\n"
    )
    folder = tmp_path / "tests"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with answering(sse([*CHUNKS, LAST, "[DONE]"])) as server:
        section = f'[mine]\nprovider = "nearby"\nendpoint = "{server.url}"\n'
        (tmp_path / "llm.toml").write_text(section)
        assert main(["mine:a1", str(folder / "hello.json"), "hi"]) == 0
    assert read(folder / "hello.json")["expect"]["text"] == "Hello"


def test_it_is_a_command():
    words = [sys.executable, "-m", "multitap.testing.record", "--help"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3 * CEILING)
    assert done.returncode == 0, done.stderr
    assert "--verb" in done.stdout
