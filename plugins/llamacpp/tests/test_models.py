import shutil
from datetime import timezone
from pathlib import Path

import pytest

from multitap.errors import ConfigError, ModelNotFound, NotSupported, ProtocolError
from multitap.hookspecs import Backend
from multitap_llamacpp.lifecycle import multitap_lifecycle
from multitap_llamacpp.models import ModelFolder
from multitap_llamacpp.options import Adapter, Options, physical_cores

MODELS = Path(__file__).with_name("models")
TINY = MODELS / "tiny-embed.gguf"


def test_the_catalog_says_what_each_model_can(runtime):
    found = {model.id: model for model in runtime.models()}
    assert {"tiny-embed", "tiny-llama", "tiny-rerank"} <= set(found)
    llama = found["tiny-llama"]
    assert {"chat", "embedding", "thinking", "tools"} == llama.capabilities
    assert (llama.context_length, llama.size, llama.problem) == (2048, 1_600_800, None)
    assert timezone.utc == llama.modified_at.tzinfo
    assert {"embedding"} == found["tiny-embed"].capabilities
    assert {"rerank"} == found["tiny-rerank"].capabilities
    assert llama.ref == "llamacpp:tiny-llama"


def test_the_catalog_says_what_is_loaded(runtime):
    def loaded():
        return {model.id for model in runtime.models() if model.loaded}

    runtime.load("tiny-rerank")
    assert "tiny-rerank" in loaded()
    runtime.unload("tiny-rerank")
    assert "tiny-rerank" not in loaded()


def test_what_is_loaded_runs(runtime):
    runtime.load("tiny-rerank")
    (found,) = (m for m in runtime.running("llamacpp") if m.ref == "llamacpp:tiny-rerank")
    assert (found.loaded, found.capabilities) == (True, {"rerank"})
    runtime.unload("tiny-rerank")
    assert "tiny-rerank" not in {model.id for model in runtime.running("llamacpp")}


def test_what_runs_of_another_folder_has_its_path(make_runtime, tmp_path):
    with make_runtime(models_dir=str(tmp_path), context=512) as runtime:
        runtime.load(str(TINY))
        found = {model.id: model.context_length for model in runtime.running("llamacpp")}
        runtime.unload(str(TINY))
    assert found[str(TINY)] == 512


def test_unloading_what_is_not_loaded_is_no_error(runtime):
    runtime.unload("tiny-rerank")
    runtime.unload("tiny-rerank")


def test_pulling_is_not_supported_and_says_what_to_do(backend):
    with pytest.raises(NotSupported, match=r"Put the GGUF file into .*models"):
        multitap_lifecycle(backend).pull("tiny-llama")


def test_a_damaged_file_is_listed_with_its_problem(make_runtime, tmp_path):
    (tmp_path / "cut.gguf").write_bytes(TINY.read_bytes()[:5000])
    (tmp_path / "sub").mkdir()
    shutil.copy(TINY, tmp_path / "sub" / "good.gguf")
    (tmp_path / "notes.txt").write_text("not a model")
    with make_runtime(models_dir=str(tmp_path)) as runtime:
        found = {model.id: model.problem for model in runtime.models()}
    assert {"cut", "sub/good"} == set(found) - {"demo"}
    assert "no sound GGUF file" in found["cut"]
    assert found["sub/good"] is None


def test_an_adapter_is_listed_and_does_not_run(runtime):
    found = {model.id: model for model in runtime.models()}["tiny-lora"]
    assert found.capabilities == frozenset()
    assert "LoRA adapter" in found.problem
    with pytest.raises(ProtocolError, match="LoRA adapter"):
        runtime.chat("hi", model="tiny-lora")


def test_a_folder_that_is_not_there_is_empty(make_runtime, tmp_path):
    with make_runtime(models_dir=str(tmp_path / "none")) as runtime:
        assert set() == {model.id for model in runtime.models()} - {"demo"}


def test_a_model_in_parts_is_one_model(tmp_path):
    for part in (1, 2):
        shutil.copy(TINY, tmp_path / f"big-0000{part}-of-00002.gguf")
    folder = ModelFolder(tmp_path)
    assert [name for name in folder.files() if name != "demo"] == ["big-00001-of-00002"]
    assert len(folder.find("big-00001-of-00002").parts) == 2


def test_a_missing_part_is_its_problem(tmp_path):
    shutil.copy(TINY, tmp_path / "big-00001-of-00002.gguf")
    model = ModelFolder(tmp_path).find("big-00001-of-00002")
    assert model.problem == "Its part big-00002-of-00002.gguf is missing."
    with pytest.raises(ProtocolError, match="is missing"):
        model.check("embedding")


@pytest.mark.parametrize("name", ["tiny-embed", "tiny-embed.gguf", str(TINY), f"path:{TINY}"])
def test_names_of_one_model(name):
    assert ModelFolder(MODELS).find(name).path == TINY


def test_a_path_may_be_relative(monkeypatch):
    monkeypatch.chdir(MODELS)
    assert ModelFolder(Path("/none")).find("path:tiny-embed.gguf").path == TINY


@pytest.mark.parametrize(
    ("name", "says"),
    {
        "near": ("tiny-lama", "Did you mean tiny-llama"),
        "far": ("xyz", "Put GGUF files into"),
        "outside": ("../tests/models/tiny-llama", "There is no model"),
        "no file": ("path:/nowhere/x.gguf", "Check the path"),
        "near file": (f"path:{MODELS}/tiny-emb.gguf", "Beside it lies tiny-embed.gguf"),
        "folder": (f"path:{MODELS}", "There is no file"),
        "empty": ("", "There is no model"),
    }.values(),
)
def test_an_unknown_model_says_what_there_is(name, says):
    with pytest.raises(ModelNotFound, match=says):
        ModelFolder(MODELS).find(name)


def test_settings_become_options():
    settings = {"context": 512, "parallel": 2, "lora": ["a.gguf", "b.gguf@0.5", "c@d.gguf"]}
    found = Options.of(Backend(id="l", provider="llamacpp", settings=settings))
    assert (512, 2, physical_cores()) == (found.context, found.parallel, found.threads)
    adapters = [Adapter(Path("a.gguf")), Adapter(Path("b.gguf"), 0.5), Adapter(Path("c@d.gguf"))]
    assert adapters == list(found.lora)


def test_a_setting_that_cannot_be_is_refused():
    backend = Backend(id="l", provider="llamacpp", settings={"parallel": 0})
    with pytest.raises(ConfigError, match=r"parallel in .l. is 0; the least is 1"):
        Options.of(backend)


@pytest.mark.parametrize(
    ("trained", "asked", "given"),
    [(2048, None, 2048), (131_072, None, 8192), (131_072, 16_384, 16_384), (512, 4096, 512)],
)
def test_the_context_of_a_call(trained, asked, given):
    assert given == Options(context=asked).context_for(trained)
