"""The client hears with vLLM, whose whole transcripts are OpenAI's, as the plugin of vLLM does."""

from __future__ import annotations

import pytest
from openai_client import SAID, WAV, transcribe
from scripted_vllm import ScriptedVllm, form_of
from vllm_here import vllm_config, vllm_registry

from multitap.capabilities.transcription import TranscriptDelta
from multitap.testing import WORLDS


@pytest.fixture
def server():
    with ScriptedVllm() as found:
        yield found


@pytest.fixture(params=WORLDS, ids=["plugin", "plugin async"])
def here(request, server):
    with request.param(vllm_config(server.url), vllm_registry()) as one:
        yield one


@pytest.mark.parametrize("options", [{}, {"language": "en", "prompt": "A greeting"}])
def test_a_sound_is_written_down_alike(world, server, here, options):
    found = world.ask(server.url, transcribe(response_format="json", **options))
    answer = here.call("transcribe", WAV, **options)
    assert found.text == answer.text == SAID
    assert found.usage.seconds == answer.duration == 2
    theirs, mine = map(form_of, server.requests)
    assert theirs == mine
    assert mine["file"] == [WAV]


def test_a_stream_that_only_the_plugin_has_words_for_says_what_the_whole_does(world, server, here):
    whole = world.ask(server.url, transcribe(response_format="json"))
    *pieces, last = here.items("transcribe_stream", WAV)[0]
    assert "".join(piece.text for piece in pieces) == last.text == whole.text
    assert {type(piece) for piece in pieces} == {TranscriptDelta}
