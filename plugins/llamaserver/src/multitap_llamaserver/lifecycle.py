"""Lifecycle of a router's models, and of the slots of any.

A llama-server that was started without a model is a router. It takes an order and does it later,
so its list is asked until it is done: its feed of events, ``/models/sse``, has no end, and does not
tell what happened before somebody listens. A server that was started with a model has this one,
always loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any
from urllib.parse import quote

import attrs

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress, Slot
from multitap.dialects.asking import ask
from multitap.errors import BadRequest, EngineError, NotSupported, ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, Json, Operation, Out, Sleep, Steps, fetch
from multitap_llamaserver.catalog import find_row, seen
from multitap_llamaserver.errors import explain_llamaserver
from multitap_llamaserver.models import Row, Rows
from multitap_llamaserver.slots import slot_after, slots_of

__all__ = ("LlamaServerLifecycle", "multitap_lifecycle", "progress_of")

POLL = 0.5  # seconds between two looks at the list
Doing = Generator[Any, Any, Any]


@attrs.frozen
class LlamaServerLifecycle:
    """The models of one server."""

    backend: str

    def pull(self, model: str, /) -> Operation[Progress]:
        """Let a router download a GGUF of Hugging Face; ``completed`` and ``total`` are bytes."""

        def steps() -> Steps[Progress]:
            yield from self._rows("pull")
            yield from _order("/models", model, needless="already exists")
            yield from self._watch(model, "downloading")
            yield Out([Progress(status="downloaded")])

        return self._operation(steps)

    def load(self, model: str, /) -> Operation[Progress]:
        """Bring a model into memory; a sleeping one wakes with its next request."""

        def steps() -> Steps[Progress]:
            row = yield from self._row(model)
            if row.state == "unloaded":
                yield from _order("/models/load", row.id, needless="already running")
            row = yield from self._watch(model, "downloading", "loading")
            if row.state not in ("loaded", "sleeping"):
                raise _failed("load", row)
            yield Out([Progress(status="loaded")])

        return self._operation(steps)

    def unload(self, model: str, /) -> Operation[Progress]:
        """Free a model's memory."""

        def steps() -> Steps[Progress]:
            rows = yield from self._rows("unload")
            row = find_row(rows, model, self.backend)
            if row.state != "unloaded":
                yield from _order("/models/unload", row.id, needless="not running")
                yield from self._watch(model, "loaded", "loading", "sleeping", "downloading")
            yield Out([Progress(status="unloaded")])

        return self._operation(steps)

    def running(self) -> Operation[Model]:
        """Every model in memory."""

        def steps() -> Steps[Model]:
            rows = yield from ask(Rows, "GET", "/v1/models")
            for row in rows.named:
                found, _ = yield from seen(row)
                if found.loaded:
                    yield Out([found])

        return self._operation(steps)

    def delete(self, model: str, /) -> Operation[Progress]:
        """Remove a model that the router downloaded; those of a folder are not its to remove."""

        def steps() -> Steps[Progress]:
            row = find_row((yield from self._rows("delete")), model, self.backend)
            path = f"/models?model={quote(row.id or '', safe='')}"
            yield from fetch(HttpCall(method="DELETE", path=path, idempotent=False))
            yield Out([Progress(status="deleted")])

        return self._operation(steps)

    def slots(self, model: str, /) -> Operation[Slot]:
        """Every slot of a model that is loaded."""

        def steps() -> Steps[Slot]:
            row = yield from self._row(model)
            yield Out((yield from slots_of(row)))

        return self._operation(steps)

    def save_slot(self, model: str, slot: int, name: str, /) -> Operation[Slot]:
        """Write what a slot holds to a file in the folder of ``--slot-save-path``."""
        return self._slot("save", model, slot, filename=name)

    def restore_slot(self, model: str, slot: int, name: str, /) -> Operation[Slot]:
        """Read such a file back; it is of this very model."""
        return self._slot("restore", model, slot, filename=name)

    def erase_slot(self, model: str, slot: int, /) -> Operation[Slot]:
        """Forget what a slot holds."""
        return self._slot("erase", model, slot)

    # ---- how it is done --------------------------------------------------------------------------

    def _operation(self, steps: Callable[[], Steps[Any]]) -> Operation[Any]:
        return Operation(steps, partial(explain_llamaserver, backend=self.backend))

    def _slot(self, action: str, model: str, slot: int, **file: str) -> Operation[Slot]:
        def steps() -> Steps[Slot]:
            row = yield from self._row(model)
            yield Out([(yield from slot_after(row, action, slot, **file))])

        return self._operation(steps)

    def _row(self, model: str) -> Doing:
        return find_row((yield from ask(Rows, "GET", "/v1/models")), model, self.backend)

    def _rows(self, verb: str) -> Doing:
        rows: Rows = yield from ask(Rows, "GET", "/v1/models")
        if rows.named and not rows.routed:
            raise NotSupported(
                f"This llama-server was started with one model, and cannot {verb} any",
                hint="Start it without a model: then it is a router, and manages several.",
            )
        return rows

    def _watch(self, model: str, *states: str) -> Doing:
        """Ask until the model is in none of these states; returns its last row."""
        while True:
            rows: Rows = yield from ask(Rows, "GET", "/v1/models")
            row = next((r for r in rows.named if r.is_called(model)), None)
            if row is None:
                raise _failed("download", Row(id=model))
            if row.state not in states:
                return row
            if not row.status or not row.status.value:
                message = f"The router does not say any more how {model} is"
                raise ProtocolError(message, kind="bad_payload", phase="parse")
            yield Out(progress_of(row))
            yield Sleep(POLL)


def _order(path: str, model: str | None, needless: str) -> Doing:
    """Give an order, which is refused in these words where somebody else was quicker."""
    call = HttpCall(method="POST", path=path, body=Json({"model": model}), idempotent=False)
    try:
        yield from fetch(call)
    except BadRequest as error:
        if needless not in error.message:
            raise


def progress_of(row: Row) -> list[Progress]:
    """A line for each file of a download that tells its bytes, or one of the state alone."""
    files = row.files
    if not files:
        return [Progress(status=row.state)]
    return [
        Progress(status=row.state, completed=file.done, total=file.total, digest=name)
        for name, file in files.items()
    ]


def _failed(what: str, row: Row) -> EngineError:
    code = row.status.exit_code if row.status else None
    return EngineError(
        f"The router could not {what} {row.id}" + (f" (exit code {code})" if code else ""),
        hint="Look at llama-server's log: it says why.",
        kind=f"{what}_failed",
        model=row.id,
    )


@hookimpl
def multitap_lifecycle(backend: Backend) -> LlamaServerLifecycle:
    """Manage the models of a llama-server that is a router, and the slots of any."""
    return LlamaServerLifecycle(backend.id)
