"""The real engine on small models of our own; no network but its loopback port."""

import json
import threading
import time
from pathlib import Path
from types import ModuleType
from urllib.request import Request, urlopen

import pytest

from multitap import Runtime
from multitap.hookspecs import Backend
from multitap.manifest import provider_from_table
from multitap.registry import Registry
from multitap_llamacpp import catalog, chat, embedding, lifecycle, rerank, tokenize
from multitap_llamacpp.calls import Models
from multitap_llamacpp.engine import ENGINE

try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib

MODELS = Path(__file__).with_name("models")
MANIFEST = Path(chat.__file__).with_name("provider.toml")
CAPABILITIES = ("chat", "embedding", "rerank", "tokenize", "catalog", "lifecycle")
MODULES = (chat, embedding, rerank, tokenize, catalog, lifecycle)
HOOKS = ModuleType("multitap_llamacpp_hooks")
for module in MODULES:
    hook = next(name for name in vars(module) if name.startswith("multitap_"))
    setattr(HOOKS, hook, getattr(module, hook))
INFO = provider_from_table("llamacpp", tomllib.loads(MANIFEST.read_text())["llamacpp"])
SETTINGS = {"models_dir": str(MODELS), "threads": 1}
CEILING = 30.0


@pytest.fixture
def registry():
    """This plugin alone, whether it is installed or not."""
    found = Registry(environ={"MULTITAP_PLUGINS": "none"})
    found.add(HOOKS, "llamacpp", CAPABILITIES, distribution="multitap-llamacpp", info=INFO)
    return found


@pytest.fixture
def config():
    return {"llamacpp": SETTINGS, "defaults": {"provider": "llamacpp"}}


@pytest.fixture
def runtime(config, registry):
    with Runtime(config, registry=registry) as made:
        yield made


@pytest.fixture
def make_runtime(config, registry):
    return lambda **more: Runtime({**config, "llamacpp": {**SETTINGS, **more}}, registry=registry)


@pytest.fixture(scope="session")
def backend():
    return Backend(id="llamacpp", provider="llamacpp", settings=SETTINGS)


@pytest.fixture(scope="session")
def models(backend):
    return Models.of(backend)


@pytest.fixture(autouse=True, scope="session")
def engine_is_freed():
    yield
    for path in list(ENGINE.loaded()):
        ENGINE.unload(path, lambda *_: True)
    assert dict(ENGINE.loaded()) == {}


@pytest.fixture(scope="session")
def until():
    """Waits for something that another thread brings about."""

    def wait(happened, what):
        pause, end = threading.Event(), time.monotonic() + CEILING
        while not happened():
            assert time.monotonic() < end, what
            pause.wait(0.005)

    return wait


@pytest.fixture
def slots(models):
    """The engine's slots, as the engine itself shows them."""

    def look(name="tiny-llama"):
        with models.lease(models.find(name), "chat", lambda *_: True, slots=0) as loaded:
            headers = {"Authorization": f"Bearer {loaded.key}"}
            with urlopen(Request(f"{loaded.address}/slots", headers=headers)) as answer:
                return json.load(answer)

    return look


@pytest.fixture
def last_work(until, slots):
    """Waits until the engine computes nothing; what it then shows of its last work."""

    def look():
        until(lambda: not any(slot["is_processing"] for slot in slots()), "the engine still works")
        return max(slots(), key=lambda slot: slot.get("id_task", -1))

    return look


@pytest.fixture
def cut_short(last_work):
    """Waits until the engine computes nothing, and checks that its last answer was not whole."""

    def check():
        assert last_work()["next_token"][0]["has_next_token"]

    return check
