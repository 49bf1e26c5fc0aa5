"""Validate a key of Magpie: who has it, and what is left of the account."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import msgspec

from multitap.capabilities.provider import Validation
from multitap.dialects.replies import class_for_status, reply_facts, reply_text
from multitap.errors import BackendError, ModelNotFound
from multitap.framing import JsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, HttpCall, HttpReply


class Nest(msgspec.Struct):
    """What ``GET /nests/{name}`` answers."""

    owner: str | None = None
    coins: float | None = None
    shiny: list[str] | None = None


class Refusal(msgspec.Struct):
    """The body of a 4xx or 5xx answer."""

    squawk: str | None = None


def explain(reply: HttpReply) -> BackendError:
    try:
        squawk = msgspec.json.decode(reply.body, type=Refusal).squawk
    except ValueError:
        squawk = None
    return class_for_status(reply.status)(squawk or reply_text(reply), **reply_facts(reply))


class Magpie:
    """Stateless; one for each backend."""

    def __init__(self, nest: str) -> None:
        self._path = f"/nests/{quote(nest, safe='')}"

    def validate(self, model: str | None, /) -> Exchange[Validation]:
        def read(nest: Nest) -> Iterator[Validation]:
            shiny = nest.shiny or []
            if model is not None and model not in shiny:
                raise ModelNotFound(f"{nest.owner} has no {model}")
            yield Validation(
                account=nest.owner, remaining=nest.coins, unit="coins", models=len(shiny)
            )

        call = HttpCall(method="GET", path=self._path)
        return Exchange(call=call, decoder=lambda head: JsonDecoder(Nest, read), explain=explain)


@hookimpl
def multitap_provider(backend: Backend) -> Magpie:
    """Validate over ``GET /nests/{name}``, which costs nothing."""
    return Magpie(str(backend.settings["nest"]))
