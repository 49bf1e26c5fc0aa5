"""Tokens and back: what is sent, and what comes of it."""

from __future__ import annotations

import pytest
import vllm_reader

from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest, Tokens, TokenText
from multitap.errors import ProtocolError
from multitap.hookspecs import Backend
from multitap.testing import assert_chunking_invariant, outputs_of
from multitap.work import Head, Json
from multitap_vllm.tokenize import multitap_tokenize

TOKENIZER = multitap_tokenize(Backend(id="box", provider="vllm"))
SPLIT = TOKENIZER.tokenize(TokenizeRequest(model="m", text="a b"))
JOIN = TOKENIZER.detokenize(DetokenizeRequest(model="m", ids=(1, 2)))


@pytest.mark.parametrize("special", [False, True])
def test_special_tokens_are_added_only_if_they_are_asked_for(special):
    request = TokenizeRequest(model="m", text="a b", special=special)
    call = TOKENIZER.tokenize(request).call
    assert call.body == Json({"model": "m", "prompt": "a b", "add_special_tokens": special})
    assert (call.method, call.path, call.idempotent) == ("POST", "/tokenize", True)


def test_ids_are_sent_as_they_are():
    assert JOIN.call.body == Json({"model": "m", "tokens": [1, 2]})
    assert (JOIN.call.method, JOIN.call.path) == ("POST", "/detokenize")


@pytest.mark.parametrize("name", ["tokenize", "tokenize_chat", "embeddings_tokenize"])
def test_tokens_are_those_of_the_server(name):
    recorded = vllm_reader.recorded(name)
    (reply,) = vllm_reader.objects(recorded)
    found = assert_chunking_invariant(lambda: SPLIT.decoder(Head(200, {})), recorded.body)
    assert found == [Tokens(ids=tuple(reply["tokens"]))]
    assert len(found[0]) == reply["count"]


def test_the_text_is_that_of_the_server():
    body = vllm_reader.recorded("detokenize").body
    found = assert_chunking_invariant(lambda: JOIN.decoder(Head(200, {})), body)
    assert found == [TokenText("IJK")]


@pytest.mark.parametrize("work", [SPLIT, JOIN])
def test_an_answer_without_any_is_refused(work):
    (failed,) = outputs_of(work.decoder(Head(200, {})), [b"{}"])
    assert isinstance(failed.error, ProtocolError)
