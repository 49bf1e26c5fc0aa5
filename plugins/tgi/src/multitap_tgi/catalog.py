"""Catalog: the one model of a TGI process, by ``/info``.

Where something before TGI lets only ``/v1`` through, ``/v1/models`` gives the name alone. Adapters
are not listed by TGI; they can be asked for by name all the same.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import attrs
import msgspec

from multitap.capabilities.catalog import Model
from multitap.dialects.asking import ask
from multitap.errors import ModelNotFound, ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, HttpReply, Operation, Out, Steps
from multitap_tgi.errors import explain_tgi
from multitap_tgi.replies import Info, info

__all__ = ("ANY_MODEL", "TgiCatalog", "check_name", "multitap_catalog")

ANY_MODEL = "tgi"
"""The name that always means the model that is there."""

# TGI tells none of this: it is what every version has
_CAN = frozenset({"chat", "tokenize", "tools", "streamed_tools", "structured_output"})
_SEES = "image-text-to-text"
_TEI_CAN = {"embedding": {"embedding", "tokenize"}, "reranker": {"rerank", "tokenize"}}


class Entry(msgspec.Struct):
    """One model of ``/v1/models``."""

    id: str | None = None


class Listing(msgspec.Struct):
    """The answer of ``/v1/models``."""

    data: list[Entry] | None = None


@attrs.frozen
class TgiCatalog:
    """The model of one server."""

    def models(self) -> Operation[Model]:
        """The model, with its context."""

        def steps() -> Steps[Model]:
            yield Out((yield from _models()))

        return Operation(steps, explain_tgi)

    def describe(self, model: str, /) -> Operation[Model]:
        """The model, by its name or as ``tgi``; any other is ``ModelNotFound``."""

        def steps() -> Steps[Model]:
            found = yield from _models()
            check_name(model, [one.id for one in found])
            yield Out([attrs.evolve(found[0], id=model)])

        return Operation(steps, explain_tgi)


def check_name(model: str, names: list[str]) -> None:
    """``ModelNotFound`` unless the model is the one that TGI runs, or ``tgi``."""
    if model not in (*names, ANY_MODEL) or not names:
        raise ModelNotFound(
            f"TGI runs {', '.join(names) or 'no model'}, not {model}",
            hint=f"Use {ANY_MODEL!r}, which is whatever runs; adapters are not listed by TGI.",
            model=model,
        )


def _models() -> Generator[HttpCall, HttpReply, list[Model]]:
    try:
        found = yield from info()
    except ProtocolError:
        listing = yield from ask(Listing, "GET", "/v1/models")
        return [Model(id=entry.id, loaded=True) for entry in listing.data or () if entry.id]
    return [_model(found.model_id, found)] if found.model_id else []


def _tei_model(name: str, found: Info) -> Model:
    facts = {"revision": found.model_sha, "most_texts": found.max_client_batch_size}
    return Model(
        id=name,
        capabilities=frozenset(_TEI_CAN.get(found.kind or "", {"tokenize"})),
        context_length=found.max_input_length,
        loaded=True,
        meta={name: str(value) for name, value in facts.items() if value is not None},
    ).sourced("probed")


def _model(name: str, found: Info) -> Model:
    if found.kind is not None:
        return _tei_model(name, found)
    facts: dict[str, Any] = {
        "max_input_tokens": found.max_input_tokens,
        "revision": found.model_sha,
        "pipeline": found.model_pipeline_tag,
    }
    return Model(
        id=name,
        capabilities=_CAN | ({"vision"} if found.model_pipeline_tag == _SEES else set()),
        context_length=found.max_total_tokens,
        loaded=True,
        meta={name: str(value) for name, value in facts.items() if value is not None},
        sources={"capabilities": "declared"},
    ).sourced("probed")


@hookimpl
def multitap_catalog(backend: Backend) -> TgiCatalog:
    """List the model of a TGI server."""
    return TgiCatalog()
