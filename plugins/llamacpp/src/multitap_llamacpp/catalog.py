"""Catalog: the models of the folder, each with what its header says; broken ones are shown too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

import attrs

from multitap.capabilities.catalog import Model
from multitap.errors import ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Emit, LocalExchange
from multitap_llamacpp.engine import ENGINE
from multitap_llamacpp.gguf import read_header
from multitap_llamacpp.models import ModelFile, ModelFolder

__all__ = ("LlamaCatalog", "described", "multitap_catalog")


@attrs.frozen
class LlamaCatalog:
    """Every ``*.gguf`` of the folder, and the demo model. Nothing is loaded for it."""

    folder: ModelFolder

    def models(self) -> LocalExchange[Model]:
        """One result for each file."""

        def run(emit: Emit[Model]) -> None:
            for id_, path in self.folder.files().items():
                if not emit([described(id_, path)]):
                    return

        return LocalExchange(run)


def _broken(id_: str, problem: str, meta: Mapping[str, str], size: int | None = None) -> Model:
    return Model(id=id_, size=size, loaded=False, meta=meta, problem=problem)


def described(id_: str, path: Path) -> Model:
    """What a file's header says, and whether it is in memory."""
    meta = {"format": "gguf", "runtime": "llamacpp", "path": str(path)}
    try:
        found = path.stat()
    except OSError as error:
        return _broken(id_, f"It cannot be read: {error.strerror}", meta)
    try:
        model = ModelFile(id_, path, read_header(path))
    except OSError as error:
        return _broken(id_, f"It cannot be read: {error.strerror}", meta, found.st_size)
    except ProtocolError as error:
        return _broken(id_, error.message, meta, found.st_size)
    return Model(
        id=id_,
        capabilities=model.capabilities,
        context_length=model.context_length,
        size=sum(part.stat().st_size for part in model.parts if part.is_file()),
        modified_at=_time(found.st_mtime_ns),
        loaded=path.resolve() in ENGINE.loaded(),
        problem=model.problem,
        meta={**meta, **_more(model)},
    ).sourced("probed")


def _time(nanoseconds: int) -> datetime:
    seconds, rest = divmod(nanoseconds, 10**9)
    return datetime.fromtimestamp(seconds, timezone.utc) + timedelta(microseconds=rest // 1000)


def _more(model: ModelFile) -> dict[str, str]:
    header = model.header
    facts = {"architecture": header.architecture, "name": header.text("general.name")}
    return {name: value for name, value in facts.items() if value}


@hookimpl
def multitap_catalog(backend: Backend) -> LlamaCatalog:
    """List the GGUF files of a folder."""
    return LlamaCatalog(ModelFolder.of(backend))
