"""Tokens: ids, and the bytes of each where TGI's places tell them."""

from __future__ import annotations

import json

import pytest
import tgi_reader

from multitap.capabilities.tokenize import DetokenizeRequest, TokenizeRequest
from multitap.errors import NotSupported
from multitap.testing.chunking import outputs_of
from multitap.work import Head
from multitap_tgi.tokenize import TgiTokenizer

NAMES = tgi_reader.names("test_tokenize")


def read(text, body, special=False):
    request = TokenizeRequest(model="tiny", text=text, special=special)
    (tokens,) = outputs_of(TgiTokenizer().tokenize(request).decoder(Head(200, {})), [body])
    return tokens


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_those_of_a_plain_reader(name):
    recorded = tgi_reader.recorded(name)
    text = json.loads(recorded.request)["inputs"]
    rows = json.loads(recorded.body)
    tokens = read(text, recorded.body)
    assert list(tokens.ids) == [row["id"] for row in rows]
    whole = "".join(row["text"] for row in rows) == text
    assert tokens.pieces == (tuple(row["text"].encode() for row in rows) if whole else None)


def test_trap_the_tokens_of_a_split_character_repeat_it_so_there_are_no_pieces():
    recorded = tgi_reader.recorded("tokenize")
    assert [row["text"] for row in json.loads(recorded.body)].count("🦊") > 1
    assert read(json.loads(recorded.request)["inputs"], recorded.body).pieces is None


def test_tokens_around_a_text_are_left_out_unless_they_are_asked_for():
    row = [{"id": 1, "start": 0, "stop": 0}, {"id": 7, "start": 0, "stop": 2}]
    body = json.dumps([*row, {"id": 2, "start": 0, "stop": 0}]).encode()
    assert read("hi", body).ids == (7,)
    assert read("hi", body, special=True).ids == (1, 7, 2)
    assert read("hi", body, special=True).pieces == (b"", b"hi", b"")


def test_the_body():
    work = TgiTokenizer().tokenize(TokenizeRequest(model="tiny", text="hi"))
    assert (work.call.method, work.call.path) == ("POST", "/tokenize")
    assert work.call.body.value == {"inputs": "hi"}


def test_tokens_cannot_be_put_together():
    with pytest.raises(NotSupported):
        TgiTokenizer().detokenize(DetokenizeRequest(model="tiny", ids=(1,)))
