"""A plugin whose work gives what it should not is named, whatever is asked of it."""

from __future__ import annotations

import letters
import pytest

from multitap.capabilities.embedding import Embeddings
from multitap.errors import PluginError
from multitap.hookspecs import hookimpl
from multitap.testing import WORLDS
from multitap.work import LocalExchange

CONFIG = {"defaults": {"model": "acme:tiny"}, "acme": {}}
WAV = (
    b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x80\x3e\x00\x00"
)
WAV += b"\x02\x00\x10\x00data\x00\x00\x00\x00"


class Wrong:
    """Gives the same, whatever is asked."""

    def __init__(self, work):
        self.chat = self.embed = self.rerank = self.tokenize = self.detokenize = lambda _: work
        self.speak = self.voices = self.moderate = self.draw = self.transcribe = lambda _: work
        self.load = self.unload = self.pull = self.validate = lambda _: work
        self.models = lambda: work

    @hookimpl
    def multitap_chat(self, backend):
        return self

    multitap_embedding = multitap_rerank = multitap_tokenize = multitap_catalog = multitap_chat
    multitap_speech = multitap_moderation = multitap_image = multitap_transcription = multitap_chat
    multitap_lifecycle = multitap_provider = multitap_chat


def gives(*results):
    return LocalExchange(lambda emit: emit(results) and None)


ASKED = {
    "chat": ("hi",),
    "embed": ("hi",),
    "rerank": ("hi", ["a"]),
    "tokenize": ("hi",),
    "detokenize": ([1],),
    "models": ("acme",),
    "describe": ("acme:tiny",),
    "validate": ("acme",),
    "load": ("acme:tiny",),
    "speak": ("hi",),
    "voices": (),
    "moderate": ("hi",),
    "draw": ("hi",),
    "transcribe": (WAV,),
}


@pytest.mark.fault("G8")
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("verb", ASKED)
@pytest.mark.parametrize("result", ["text", None, 7, [1.0]])
def test_a_result_of_another_class_is_the_plugins_fault(world, verb, result):
    said = rf"it gave {type(result).__name__}, not"
    registry = letters.registry(acme=Wrong(gives(result)))
    with world(CONFIG, registry) as here, pytest.raises(PluginError, match=said) as caught:
        here.call(verb, *ASKED[verb])
    assert caught.value.distribution == "multitap-acme"


WORK = {
    "no work": 7,
    "nothing": None,
    "a function that is none": LocalExchange(7),
    "a batch that is none": LocalExchange(lambda emit: emit(7)),
}


@pytest.mark.fault("G8")
@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", WORK)
@pytest.mark.parametrize("verb", ["chat", "embed", "models"])
def test_what_is_no_work_is_the_plugins_fault(world, verb, kind):
    said = "The plugin of 'acme' failed with TypeError"
    registry = letters.registry(acme=Wrong(WORK[kind]))
    with world(CONFIG, registry) as here, pytest.raises(PluginError, match=said):
        here.call(verb, *ASKED[verb])


@pytest.mark.fault("G8")
@pytest.mark.parametrize("world", WORLDS)
def test_vectors_that_are_lists_are_the_plugins_fault(world):
    work = LocalExchange(lambda emit: emit([Embeddings(vectors=[[1.0]])]) and None)
    registry = letters.registry(acme=Wrong(work))
    with world(CONFIG, registry) as here, pytest.raises(PluginError, match="'vectors' must be"):
        here.call("embed", "hi")
