"""Lifecycle: pull, load, unload, list, copy, create and delete the models of a server.

Only the line ``{"status": "success"}`` is success: a pull that fails does so inside an answer of
status 200, and one that breaks off just ends.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import msgspec

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import CreateRequest, Progress
from multitap.dialects.asking import ask
from multitap.errors import BackendError, NotSupported, TruncatedStream
from multitap.framing import JsonDecoder, NdjsonDecoder
from multitap.hookspecs import Backend, hookimpl
from multitap.work import (
    Digest,
    Exchange,
    File,
    Head,
    HttpCall,
    Json,
    Operation,
    Out,
    Stage,
    Steps,
    fetch,
)
from multitap_ollama.errors import explain_ollama, line_error
from multitap_ollama.messages import encode_messages
from multitap_ollama.models import Models, running
from multitap_ollama.requests import SILENCE, LoadSettings

__all__ = ("OllamaLifecycle", "multitap_lifecycle")


class Line(msgspec.Struct):
    """One line of a pull, or of a creation."""

    status: str | None = None
    digest: str | None = None
    total: int | None = None
    completed: int | None = None
    error: object = None


class Loading(msgspec.Struct):
    """What is answered to a chat without messages: one object, be it asked as a stream or not."""

    done: bool | None = None
    done_reason: str | None = None
    error: object = None


@attrs.frozen
class OllamaLifecycle:
    """The models of one server.

    Attributes:
        insecure: Registries may speak plain HTTP, or have a certificate that is not trusted.
    """

    backend: str
    settings: LoadSettings
    insecure: bool = False

    def pull(self, model: str, /) -> Exchange[Progress]:
        """Download a model, with its bytes for each layer; what is there already is not fetched."""
        body = {"model": model, **({"insecure": True} if self.insecure else {})}
        return self._lines("/api/pull", body)

    def load(self, model: str, /) -> Operation[Progress]:
        """Load a model with the backend's settings, so that the first chat need not."""

        def steps() -> Steps[Progress]:
            try:
                yield from self._chat({"model": model, **self.settings.body()})
            except NotSupported:  # it embeds, and does not chat
                loading = {k: v for k, v in self.settings.body().items() if k != "shift"}
                body = {"model": model, "input": [], **loading}
                yield from ask(Loading, "POST", "/api/embed", body)
            yield Out([Progress(status="loaded")])

        return self._operation(steps)

    def unload(self, model: str, /) -> Operation[Progress]:
        """Free a model's memory, once the answer that it gives is finished."""

        def steps() -> Steps[Progress]:
            yield from self._chat({"model": model, "keep_alive": 0})
            yield Out([Progress(status="unloaded")])

        return self._operation(steps)

    def running(self) -> Exchange[Model]:
        """Every model in memory."""
        call = HttpCall(method="GET", path="/api/ps")
        return Exchange(
            call=call,
            decoder=lambda head: JsonDecoder(Models, lambda found: map(running, found.named())),
            explain=self._explain,
        )

    def copy(self, source: str, destination: str, /) -> Exchange[Progress]:
        """A second name for the same layers; what had this name before is replaced."""
        return self._order("POST", "/api/copy", {"source": source, "destination": destination})

    def delete(self, model: str, /) -> Exchange[Progress]:
        """Remove a model, and the layers that no other one has."""
        return self._order("DELETE", "/api/delete", {"model": model})

    def create(self, request: CreateRequest, /) -> Operation[Progress]:
        """Upload what the server lacks of the files, then make the model."""

        def steps() -> Steps[Progress]:
            files = yield from self._uploaded(request.files)
            adapters = yield from self._uploaded(request.adapters)
            yield self._lines("/api/create", _recipe(request, files, adapters))

        return self._operation(steps)

    # ---- what is asked -----------------------------------------------------------------------

    @property
    def _explain(self) -> partial[BackendError]:
        return partial(explain_ollama, backend=self.backend)

    def _operation(self, steps: Any) -> Operation[Progress]:
        return Operation(steps, self._explain)

    def _lines(self, path: str, body: Mapping[str, Any]) -> Exchange[Progress]:
        call = HttpCall(method="POST", path=path, body=Json(body), idempotent=True)

        def decoder(head: Head) -> Stage[bytes, Progress]:
            lines = StatusLines(self.backend)
            return NdjsonDecoder(Line, lines.record, finish=lines.finish)

        return Exchange(call=call, decoder=decoder, explain=self._explain)

    def _order(self, method: str, path: str, body: Mapping[str, Any]) -> Exchange[Progress]:
        call = HttpCall(method=method, path=path, body=Json(body), idempotent=False)
        return Exchange(call=call, decoder=lambda head: Confirmed(), explain=self._explain)

    def _chat(self, body: Mapping[str, Any]) -> Generator[Any, Any, None]:
        answer = yield from ask(Loading, "POST", "/api/chat", {**body, "messages": []})
        if answer.error is not None:
            raise line_error(answer.error, backend=self.backend)
        if not answer.done:
            raise TruncatedStream("Ollama did not say that it is done", phase="stream")

    def _uploaded(self, files: Mapping[str, Path]) -> Generator[Any, Any, dict[str, str]]:
        """The digest of each file, all of which the server has in the end."""
        digests = {}
        for name, path in files.items():
            yield Out([Progress(status=f"hashing {name}")])
            digests[name] = f"sha256:{(yield Digest(path))}"
            if not (yield from self._has(digests[name])):
                yield Out([Progress(status=f"uploading {name}", digest=digests[name])])
                yield from self._upload(digests[name], File(name, path))
        return digests

    def _has(self, digest: str) -> Generator[Any, Any, bool]:
        try:
            yield from fetch(HttpCall(method="HEAD", path=f"/api/blobs/{digest}"))
        except BackendError as error:
            if error.status != 404:
                raise
            return False
        return True

    def _upload(self, digest: str, file: File) -> Generator[Any, Any, None]:
        yield from fetch(
            HttpCall(
                method="POST",
                path=f"/api/blobs/{digest}",
                body=file,
                idempotent=True,
                first_byte=SILENCE,
            )
        )


# ---- how it is read ------------------------------------------------------------------------------


class StatusLines:
    """The lines of one pull, or one creation."""

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._succeeded = False

    def record(self, line: Line) -> Iterable[Progress]:
        """One line; Ollama leaves ``completed`` out while it is 0."""
        if line.error is not None:
            raise line_error(line.error, backend=self._backend)
        if line.status is None or self._succeeded:
            return ()
        self._succeeded = line.status == "success"
        completed = 0 if line.completed is None and line.total is not None else line.completed
        step = Progress(
            status=line.status, digest=line.digest or None, total=line.total, completed=completed
        )
        return (step,)

    def finish(self) -> Iterable[Progress]:
        """Without ``success`` it broke off."""
        if not self._succeeded:
            raise TruncatedStream(
                "Ollama broke off before it was done",
                hint="Ask again: what it has already is not fetched anew.",
                phase="stream",
            )
        return ()


class Confirmed:
    """An answer without a body: that it came is all there is to it."""

    def feed(self, data: bytes, /) -> tuple[Progress, ...]:
        """Nothing is said."""
        return ()

    def finish(self) -> tuple[Progress, ...]:
        """It is done."""
        return (Progress(status="success"),)


def _recipe(
    request: CreateRequest, files: Mapping[str, str], adapters: Mapping[str, str]
) -> dict[str, Any]:
    recipe = {
        "model": request.model,
        "from": request.source,
        "files": files,
        "adapters": adapters,
        "template": request.template,
        "system": request.system,
        "parameters": dict(request.parameters),
        "messages": encode_messages(request.messages),
        "license": list(request.license),
        "quantize": request.quantize,
    }
    return {name: value for name, value in recipe.items() if value not in (None, {}, [])}


@hookimpl
def multitap_lifecycle(backend: Backend) -> OllamaLifecycle:
    """Manage the models of an Ollama server."""
    insecure = bool(backend.settings.get("insecure", False))
    return OllamaLifecycle(backend.id, LoadSettings.of(backend), insecure)
