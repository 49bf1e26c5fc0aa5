"""Models: the list, one of them, and whether the key is good."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import openai_reader
import pytest

from multitap.capabilities.provider import Validation
from multitap.dialects.openai.listing import ModelsListing, model_of
from multitap.errors import ModelNotFound
from multitap.events import Failed
from multitap.testing import assert_chunking_invariant
from multitap.work import Backend, Head
from multitap_openai.catalog import multitap_catalog
from multitap_openai.provider import multitap_provider

BACKEND = Backend(id="b", provider="openai", endpoint="http://127.0.0.1:11434")
OPENAI = Backend(
    id="openai",
    provider="openai",
    endpoint="https://api.openai.com",
    settings={"organization": "org-1", "project": "proj-1"},
)


def read(exchange, body, headers=()):
    decoder = exchange.decoder(Head(200, dict(headers)))
    return [*decoder.feed(json.dumps(body).encode()), *decoder.finish()]


@pytest.mark.parametrize("name", openai_reader.names("test_models"))
def test_models_are_those_of_the_recording(name):
    recorded = openai_reader.recorded(name)
    (said,) = openai_reader.objects(recorded)
    exchange = multitap_catalog(BACKEND).models()
    found = assert_chunking_invariant(lambda: exchange.decoder(Head(200, {})), recorded.body)
    rows = said["data"] or []
    assert [model.id for model in found] == [row["id"] for row in rows]
    assert [model.meta for model in found] == [{"owned_by": row["owned_by"]} for row in rows]
    assert [model.modified_at.timestamp() for model in found] == [row["created"] for row in rows]


def test_a_row_tells_what_it_has():
    rows = [{"id": "a", "max_model_len": 256, "created": 1e30}, {"id": None}, {"id": "b"}]
    a, b = read(multitap_catalog(BACKEND).models(), {"data": rows})
    assert (a.id, a.context_length, a.modified_at, b.id) == ("a", 256, None, "b")


def test_a_server_that_does_not_know_when_a_model_was_made_says_0():
    (model,) = read(multitap_catalog(BACKEND).models(), {"data": [{"id": "a", "created": 0}]})
    assert model.modified_at is None


def test_a_row_that_is_no_model_for_us_is_left_out():
    listing = ModelsListing(BACKEND, model=lambda row: None if row.id == "a" else model_of(row))
    assert [m.id for m in read(listing.models(), {"data": [{"id": "a"}, {"id": "b"}]})] == ["b"]


def test_one_model_is_described_out_of_the_list():
    body = {"data": [{"id": "a"}, {"id": "b", "created": 86400}, {"id": "b"}]}
    (found,) = read(multitap_catalog(BACKEND).describe("b"), body)
    assert found.modified_at == datetime(1970, 1, 2, tzinfo=timezone.utc)
    (failed,) = read(multitap_catalog(BACKEND).describe("c"), body)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ModelNotFound)
    assert "multitap models b" in failed.error.hint


@pytest.mark.parametrize("hook", [multitap_catalog, multitap_provider])
def test_the_list_is_asked_for_with_the_headers_of_the_account(hook):
    built = hook(OPENAI)
    work = built.models() if hook is multitap_catalog else built.validate(None)
    assert (work.call.method, work.call.path) == ("GET", "/v1/models")
    wanted = {"OpenAI-Organization": "org-1", "OpenAI-Project": "proj-1"}
    assert dict(work.call.headers) == wanted


def test_a_good_key_says_whose_it_is_and_how_many_models_it_has():
    body = {"data": [{"id": "gpt-5"}, {"object": "model"}, {"id": "o3"}]}
    headers = {"openai-organization": "acme-inc"}
    (found,) = read(multitap_provider(OPENAI).validate("o3"), body, headers)
    assert found == Validation(server="OpenAI", account="acme-inc", models=2)
    (found,) = read(multitap_provider(BACKEND).validate(None), {"object": "list", "data": None})
    assert found == Validation(models=0)


def test_a_model_that_the_key_may_not_use_is_not_found():
    (failed,) = read(multitap_provider(OPENAI).validate("o4"), {"data": [{"id": "o3"}]})
    assert isinstance(failed.error, ModelNotFound)
