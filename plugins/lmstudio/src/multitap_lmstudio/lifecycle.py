"""Lifecycle over LM Studio's API of version 1: download, load, unload.

A download goes on in the app, and is asked how far it is. There is no route to delete a model, nor
to cancel a download.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import attrs

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress
from multitap.dialects.openai.errors import explain_openai
from multitap.errors import EngineError, ModelNotFound, ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Operation, Out, Sleep, Steps
from multitap_lmstudio.catalog import native_rows
from multitap_lmstudio.models import NativeRow, listed
from multitap_lmstudio.replies import ask, is_unknown_route, too_old

__all__ = ("LmStudioLifecycle", "multitap_lifecycle", "progress_of")

POLL = 0.5  # seconds between two looks at a download
LOADING = 600.0  # seconds of silence while a model is loaded
CONFIG = (
    *("context_length", "eval_batch_size", "flash_attention", "num_experts"),
    "offload_kv_cache_to_gpu",
)
Doing = Generator[Any, Any, Any]


@attrs.frozen
class LmStudioLifecycle:
    """The models of one LM Studio.

    Attributes:
        config: What a model is loaded with; empty: as the app is set.
    """

    backend: str
    config: Mapping[str, Any]

    def pull(self, model: str, /) -> Operation[Progress]:
        """Download a model of the catalog, or of a Hugging Face link; counted in bytes."""

        def steps() -> Steps[Progress]:
            job = yield from ask("POST", "/api/v1/models/download", {"model": model})
            while job.get("status") in ("downloading", "paused"):
                yield Out([progress_of(job)])
                yield Sleep(POLL)
                job = {**job, **(yield from ask("GET", _path_of(job)))}
            if job.get("status") not in ("completed", "already_downloaded"):
                raise _broken("download", model, job)
            yield Out([progress_of(job)])

        return self._operation("download", steps)

    def load(self, model: str, /) -> Operation[Progress]:
        """Bring a model into memory, unless it is there: LM Studio would load a second one."""

        def steps() -> Steps[Progress]:
            if not (yield from self._row(model)).instances:
                body = {"model": model, **self.config}
                path = "/api/v1/models/load"
                answer = yield from ask("POST", path, body, first_byte=LOADING)
                if answer.get("status") != "loaded":
                    raise _broken("load", model, answer)
            yield Out([Progress(status="loaded")])

        return self._operation("load", steps)

    def unload(self, model: str, /) -> Operation[Progress]:
        """Free the memory of each instance of a model, or of the one instance of this id."""

        def steps() -> Steps[Progress]:
            row = yield from self._row(model)
            for instance in [model] if model in row.instances else row.instances:
                with suppress(ModelNotFound):  # it was freed meanwhile
                    yield from ask("POST", "/api/v1/models/unload", {"instance_id": instance})
            yield Out([Progress(status="unloaded")])

        return self._operation("unload", steps)

    def running(self) -> Operation[Model]:
        """Every model in memory."""

        def steps() -> Steps[Model]:
            rows = yield from native_rows()
            yield Out([listed(row) for row in rows if row.loaded_instances])

        return self._operation("list", steps)

    def _operation(self, verb: str, steps: Callable[[], Steps[Any]]) -> Operation[Any]:
        def of_this_age() -> Steps[Any]:
            try:
                yield from steps()
            except ProtocolError as error:
                raise (too_old(verb) if is_unknown_route(error) else error) from None

        return Operation(of_this_age, explain_openai)

    def _row(self, model: str) -> Doing:
        rows: list[NativeRow] = yield from native_rows()
        for row in rows:
            if model == row.key or model in row.instances:
                return row
        raise ModelNotFound(
            f"LM Studio has no model {model!r}",
            hint=f"Run `multitap pull {self.backend}:{model}`.",
            model=model,
        )


def progress_of(job: Mapping[str, Any]) -> Progress:
    """How far a download is; one that is complete need not tell its bytes."""
    total, done = job.get("total_size_bytes"), job.get("downloaded_bytes")
    if job["status"] == "completed" and done is None:
        done = total
    return Progress(status=job["status"], completed=_number(done), total=_number(total))


def _path_of(job: Mapping[str, Any]) -> str:
    if not job.get("job_id"):
        raise ProtocolError("LM Studio downloads without a job_id to ask for", phase="parse")
    return f"/api/v1/models/download/status/{quote(str(job['job_id']), safe='')}"


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _broken(verb: str, model: str, answer: Mapping[str, Any]) -> EngineError:
    return EngineError(
        f"LM Studio could not {verb} {model}: it says {answer.get('status')!r}",
        hint="Look into the app: it says why.",
        kind=f"{verb}_failed",
        model=model,
    )


@hookimpl
def multitap_lifecycle(backend: Backend) -> LmStudioLifecycle:
    """Download, load and unload the models of an LM Studio."""
    config = {n: backend.settings[n] for n in CONFIG if backend.settings.get(n) is not None}
    return LmStudioLifecycle(backend.id, config)
