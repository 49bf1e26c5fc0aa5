"""Vectors and models: the client and the plugin see the same."""

from __future__ import annotations

import openai
import pytest
from openai_client import known, models

EMBEDDER = {"openai": "text-embedding-3-small", "lmstudio": "nomic-embed"}


@pytest.mark.parametrize("encoding", [{}, {"encoding_format": "float"}], ids=["usual", "float"])
def test_vectors_are_the_same(world, name, server, plugin, encoding):
    asked = {"model": EMBEDDER[name], "input": ["one", "three"], **encoding}
    found = known(world.ask(server.url, lambda client: client.embeddings.create(**asked)))
    ours = plugin("embed", asked["input"], model=f"{name}:{asked['model']}").vectors
    assert [row.embedding for row in found.data] == [list(row) for row in ours]
    assert [row.embedding[0] for row in found.data] == [3.0, 5.0]
    encodings = [request.json().get("encoding_format") for request in server.requests]
    assert encodings[0] == encoding.get("encoding_format", "base64")


def test_one_text_is_no_list(world, name, server):
    asked = {"model": EMBEDDER[name], "input": "three"}
    (row,) = world.ask(server.url, lambda client: client.embeddings.create(**asked)).data
    assert row.embedding[0] == 5.0


def test_models_are_those_of_the_plugin(world, name, server, plugin):
    rows = world.ask(server.url, models)
    assert [row.id for row in rows] == [model.id for model in plugin("models", name)]


@pytest.mark.parametrize("name", ["openai"], indirect=True)
def test_one_model(world, server):
    found = known(world.ask(server.url, lambda client: client.models.retrieve("gpt-5")))
    assert (found.id, found.owned_by) == ("gpt-5", "system")
    with pytest.raises(openai.NotFoundError) as caught:
        world.ask(server.url, lambda client: client.models.retrieve("no-such-model"))
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("name", ["lmstudio"], indirect=True)
def test_a_route_that_lm_studio_does_not_document_is_a_good_answer_with_an_error_in_it(
    world, server
):
    found = world.ask(server.url, lambda client: client.models.retrieve("tiny"))
    assert found.model_extra["error"].startswith("Unexpected endpoint or method. (GET")
