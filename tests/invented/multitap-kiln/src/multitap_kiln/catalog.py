"""The catalog: what a Kiln can fire, and what for."""

from collections.abc import Iterator

import msgspec

from multitap.capabilities.catalog import Model
from multitap.framing import JsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Exchange, HttpCall
from multitap_kiln.jobs import explain

DOES = {"jobs": "chat", "vectors": "embedding"}


class Row(msgspec.Struct):
    name: str | None = None
    does: list[str] | None = None


class Rows(msgspec.Struct):
    models: list[Row]


def models(rows: Rows) -> Iterator[Model]:
    """One model for each name."""
    seen = {""}
    for row in rows.models:
        if row.name is None or row.name in seen:
            continue
        seen.add(row.name)
        does = None if row.does is None else frozenset(DOES[d] for d in row.does if d in DOES)
        yield Model(id=row.name, capabilities=does).sourced("probed")


class KilnCatalog:
    """Lists the models of one Kiln."""

    def models(self) -> Exchange[Model]:
        """All models, in the server's order."""
        call = HttpCall(method="GET", path="/models")
        return Exchange(call=call, decoder=lambda head: JsonDecoder(Rows, models), explain=explain)


@hookimpl
def multitap_catalog(backend: Backend) -> KilnCatalog:
    """List a Kiln's models."""
    return KilnCatalog()
