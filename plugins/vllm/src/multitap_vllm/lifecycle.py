"""Lifecycle of the one model that a vLLM has, and of the LoRA adapters that are laid on it.

The model is there for as long as the server runs. Its memory alone can be freed: ``unload`` puts it
to sleep, its weights in the machine's memory, and ``load`` wakes it. An adapter comes with
``load("vllm:NAME=PATH")``, as vLLM's own ``--lora-modules`` writes it, and is a model of that name
from then on. Both have routes that a server has only if it was started for them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import attrs

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress
from multitap.dialects.asking import ask
from multitap.errors import ModelNotFound, NotSupported
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, Json, Operation, Out, Steps, fetch
from multitap_vllm.calls import SILENCE
from multitap_vllm.catalog import is_sleeping, listed
from multitap_vllm.errors import explain_vllm
from multitap_vllm.models import Models, Row

__all__ = ("VllmLifecycle", "multitap_lifecycle")

Doing = Generator[Any, Any, Any]

SLEEPING = "Start vLLM with VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode."
ADAPTING = "Start vLLM with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --enable-lora."


@attrs.frozen
class VllmLifecycle:
    """The model of one server, and its adapters."""

    backend: str

    def pull(self, model: str, /) -> Operation[Progress]:
        """Not supported: vLLM fetches its model as it starts."""
        raise NotSupported(
            "vLLM downloads no model while it runs",
            hint=f"Start it with the model: `vllm serve {model}` fetches what is missing.",
            kind="route_missing",
            model=model,
        )

    def load(self, model: str, /) -> Operation[Progress]:
        """Wake the model, or lay the adapter ``NAME=PATH`` on it; a server that cannot sleep is
        awake.
        """

        def steps() -> Steps[Progress]:
            name, _, path = model.partition("=")
            row = yield from _row(name if path else model)
            if row is None and not path:
                raise self._missing(model)
            if path and (row is None or row.root != path):
                order = {"lora_name": name, "lora_path": path}
                yield from _order("/v1/load_lora_adapter", ADAPTING, order)
            elif (yield from is_sleeping()):
                yield from _order("/wake_up", SLEEPING)
            yield Out([Progress(status="loaded")])

        return self._operation(steps)

    def unload(self, model: str, /) -> Operation[Progress]:
        """Put the model to sleep, or take an adapter away; work that is under way is aborted."""

        def steps() -> Steps[Progress]:
            name, _, path = model.partition("=")
            row = yield from _row(name if path else model)
            if row is None and not path:
                raise self._missing(model)
            if row is not None and row.parent:
                yield from _order("/v1/unload_lora_adapter", ADAPTING, {"lora_name": row.id})
            elif row is not None and not (yield from is_sleeping()):
                yield from _order("/sleep?level=1", SLEEPING)
            yield Out([Progress(status="unloaded")])

        return self._operation(steps)

    def running(self) -> Operation[Model]:
        """The model under its names, and its adapters; none of them while it sleeps."""

        def steps() -> Steps[Model]:
            if not (yield from is_sleeping()):
                yield Out((yield from listed()))

        return self._operation(steps)

    def _operation(self, steps: Callable[[], Steps[Any]]) -> Operation[Any]:
        return Operation(steps, explain_vllm)

    def _missing(self, model: str) -> ModelNotFound:
        return ModelNotFound(
            f"The server has neither a model nor an adapter {model!r}",
            hint=f"Run `multitap models {self.backend}`; a new adapter is loaded as"
            f" {self.backend}:NAME=PATH.",
            model=model,
        )


def _row(name: str) -> Generator[Any, Any, Row | None]:
    models: Models = yield from ask(Models, "GET", "/v1/models")
    return models.named().get(name)


def _order(path: str, hint: str, body: object = None) -> Doing:
    """Post an order; a server that was not started for it has no such route."""
    data = None if body is None else Json(body)
    call = HttpCall(method="POST", path=path, body=data, idempotent=False, first_byte=SILENCE)
    try:
        yield from fetch(call)
    except NotSupported as error:
        if error.kind == "route_missing":
            error.message = f"This vLLM was not started with {path.partition('?')[0]}"
            error.hint = hint
        raise


@hookimpl
def multitap_lifecycle(backend: Backend) -> VllmLifecycle:
    """Put a vLLM to sleep and wake it, and manage its adapters."""
    return VllmLifecycle(backend.id)
