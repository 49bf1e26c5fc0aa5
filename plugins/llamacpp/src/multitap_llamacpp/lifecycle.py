"""Lifecycle: load a model before it is needed, and free its memory."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress
from multitap.errors import NotSupported
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Emit, LocalExchange
from multitap_llamacpp.calls import Models, reporting
from multitap_llamacpp.catalog import described
from multitap_llamacpp.engine import ENGINE, Report, Stopped
from multitap_llamacpp.options import Options

__all__ = ("LlamaLifecycle", "multitap_lifecycle")


@attrs.frozen
class LlamaLifecycle:
    """Loads for what the model is made for; pulls nothing."""

    models: Models

    def pull(self, model: str, /) -> LocalExchange[Progress]:
        """Not supported: files come into the folder by other means."""
        raise NotSupported(
            "The llamacpp plugin downloads nothing",
            hint=f"Put the GGUF file into {self.models.folder.path}, or name path:/file.gguf.",
            model=model,
        )

    def load(self, model: str, /) -> LocalExchange[Progress]:
        """Load a model; ``completed`` and ``total`` are bytes."""

        def load(report: Report) -> None:
            found = self.models.find(model)
            with self.models.lease(found, found.any_role, report, slots=0) as loaded:
                size = loaded.plan.size
            report("loaded", size, size)

        return _reported(load)

    def unload(self, model: str, /) -> LocalExchange[Progress]:
        """Free a model's memory, after the calls that still use it."""

        def unload(report: Report) -> None:
            ENGINE.unload(self.models.find(model).path, report)
            report("unloaded", 0, 0)

        return _reported(unload)

    def running(self) -> LocalExchange[Model]:
        """Every model in this process's memory; one of another folder is called by its path."""

        def run(emit: Emit[Model]) -> None:
            names = {path.resolve(): id_ for id_, path in self.models.folder.files().items()}
            found = (described(names.get(path, str(path)), path) for path in ENGINE.loaded())
            emit([_in_memory(model, self.models.options) for model in found])

        return LocalExchange(run)


def _in_memory(model: Model, options: Options) -> Model:
    return attrs.evolve(model, context_length=options.context_for(model.context_length))


def _reported(do: Callable[[Report], None]) -> LocalExchange[Progress]:
    def run(emit: Emit[Progress]) -> None:
        try:
            do(reporting(emit, _progress))
        except Stopped:
            return

    return LocalExchange(run)


def _progress(status: str, done: int, total: int) -> Progress:
    return (
        Progress(status=status, completed=done, total=total) if total else Progress(status=status)
    )


@hookimpl
def multitap_lifecycle(backend: Backend) -> LlamaLifecycle:
    """Load GGUF models into this process, and free them."""
    return LlamaLifecycle(Models.of(backend))
