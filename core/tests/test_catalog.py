"""What is known of a model, where it comes from, and what a runtime learns by the way."""

import letters
import pytest

from multitap.capabilities.catalog import Model
from multitap.errors import BackendError, BadRequest, ContextOverflow
from multitap.hookspecs import hookimpl
from multitap.runtime.observed import MOST, Observed
from multitap.testing import WORLDS, Server, json, repeat, request
from multitap.work import Exchange, HttpCall, LocalExchange


def test_a_source_is_given_to_what_is_known_and_has_none():
    declared = {"capabilities": "declared"}
    model = Model(id="m", capabilities=frozenset(), context_length=8, size=1, sources=declared)
    assert dict(model.sourced("probed").sources) == {
        "capabilities": "declared",
        "context_length": "probed",
    }


def test_sources_have_a_json_form_and_are_left_out_where_there_are_none():
    model = Model(id="m", context_length=8).sourced("probed")
    assert model.to_dict()["sources"] == {"context_length": "probed"}
    assert Model.from_dict(model.to_dict()) == model
    assert "sources" not in Model(id="m").to_dict()


@pytest.mark.parametrize("sources", [{"context_length": "guessed"}, {"size": "probed"}])
def test_another_source_or_fact_is_refused(sources):
    with pytest.raises(ValueError):
        Model(id="m", sources=sources)


# ---- what is observed ----------------------------------------------------------------------------


class Refusing:
    """Refuses every prompt, and lists two models, one of which has a context."""

    @hookimpl
    def multitap_chat(self, backend):
        return self

    @hookimpl
    def multitap_catalog(self, backend):
        return self

    def chat(self, request):
        call = HttpCall(method="POST", path=f"/{request.model}")
        return Exchange(call=call, decoder=lambda head: letters.Letters(), explain=self.explain)

    def explain(self, reply):
        return ContextOverflow("Too long", limit=4096)

    def models(self):
        known = Model(id="known", context_length=512).sourced("probed")
        return LocalExchange(lambda emit: emit([Model(id="silent"), known]) and None)


def contexts(models):
    return {m.id: (m.context_length, m.sources.get("context_length")) for m in models}


@pytest.mark.parametrize("make", WORLDS, ids=["sync", "async"])
def test_a_limit_that_a_refusal_named_is_shown_where_the_list_has_none(make):
    own = {"silent": (None, None), "known": (512, "probed")}
    with Server(repeat(request, json({}, 400))) as server:
        config = {"defaults": {"model": "acme:silent"}, "acme": {"endpoint": server.url}}
        with make(config, letters.registry(acme=Refusing())) as here:
            assert contexts(here.call("models")) == own
            for model in ("acme:silent", "acme:known"):
                with pytest.raises(BackendError):
                    here.call("chat", "hi", model=model)
            assert contexts(here.call("models")) == {**own, "silent": (4096, "observed")}
            assert here.call("describe", "acme:silent").context_length == 4096
            with pytest.raises(ContextOverflow):
                here.call("chat", "word " * 20_000)
            assert len(server.requests) == 3  # nothing is refused because of what was observed


def test_only_limits_are_kept_and_not_without_end():
    observed = Observed()
    observed.note(BadRequest("No", backend="b", model="m"))
    observed.note(ContextOverflow("Too long", backend="b", model="m"))
    assert observed.completed(Model(id="m", backend="b")).context_length is None
    for number in range(MOST + 1):
        observed.note(ContextOverflow("Too long", limit=8, backend="b", model=f"m{number}"))
    found = [observed.completed(Model(id=f"m{n}", backend="b")) for n in range(MOST + 1)]
    assert 0 < sum(model.context_length == 8 for model in found) <= MOST
