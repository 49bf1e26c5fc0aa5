"""An endpoint is understood as people copy it: every ending that a server has, behind any path."""

from __future__ import annotations

import pytest
from scripted_servers import SERVERS

from multitap import Runtime

USUAL = ["", "/", "/v1", "/v1/"]
ENDS = {
    **dict.fromkeys(SERVERS, USUAL),
    "lmstudio": [*USUAL, "/api", "/api/", "/api/v0", "/api/v1", "/api/v1/"],
    "ollama": [*USUAL, "/api", "/api/"],
    "openai": [*USUAL, "/v1/chat/completions"],
}
BEFORE = ["http://127.0.0.1:1", "https://gate.example/models", "http://[::1]:8080/v1/me"]
KEPT = ["http://gate.example/v1beta", "http://v1", "http://gate.example/rev1"]


@pytest.mark.parametrize(
    ("provider", "end"), [(p, end) for p, ends in ENDS.items() for end in ends]
)
@pytest.mark.parametrize("before", BEFORE)
def test_an_ending_that_a_server_has_makes_no_difference(provider, before, end):
    assert understood(provider, before + end) == before


@pytest.mark.parametrize("provider", SERVERS)
@pytest.mark.parametrize("endpoint", KEPT)
def test_what_only_looks_like_one_stays(provider, endpoint):
    assert understood(provider, endpoint) == endpoint


@pytest.mark.parametrize("provider", sorted(set(SERVERS) - {"lmstudio", "ollama"}))
def test_api_is_an_ending_only_where_the_server_has_it(provider):
    assert understood(provider, "http://gate.example/api") == "http://gate.example/api"


def understood(provider, endpoint):
    """The endpoint that a backend of this provider has."""
    with Runtime({"here": {"provider": provider, "endpoint": endpoint}}) as rt:
        return next(backend.endpoint for backend in rt.backends() if backend.id == "here")
