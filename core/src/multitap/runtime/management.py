"""Calls that manage models: bring them, load and free them, copy, make and remove them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Union, cast

import attrs

from multitap.capabilities.catalog import Catalog, DescribesModels, Model
from multitap.capabilities.lifecycle import (
    CreateRequest,
    CreatesModels,
    ListsRunning,
    Progress,
    Slot,
)
from multitap.engine.call import Call
from multitap.errors import ConfigError, ModelNotFound, MultitapError, NotSupported
from multitap.events import Failed
from multitap.messages import Message
from multitap.policy.pull import LONGEST_SILENCE, Pull
from multitap.resolve import ResolvedModel
from multitap.runtime.composition import Composition
from multitap.runtime.traffic import WHOLE_CALL, once

__all__ = ("Files", "Management", "the_model")

Files = Mapping[str, Union[str, "os.PathLike[str]"]]


_REPLACING = frozenset({"copy", "delete", "pull"})
"""After these a name may stand for another model."""


class Management(Composition):
    """A composition, with the calls that manage models."""

    def lifecycle(
        self, verb: str, model: str | None, timeout: float | None = None
    ) -> Call[Progress]:
        """Load, unload or delete a model."""
        return self._do(verb, self.resolve(model), timeout, streamed=verb != "delete")

    def pull(self, model: str, timeout: float | None) -> Call[Progress]:
        """Download a model; without ``timeout`` it lasts as long as bytes come."""
        pull = Pull()
        return attrs.evolve(
            self._lasting(self.lifecycle("pull", model, timeout), timeout),
            retry=pull,
            filters=pull.attempt,
            idle=pull.idle,
            retrying=pull.retrying,
        )

    def copy(self, source: str, destination: str, timeout: float | None) -> Call[Progress]:
        """Give a model a second name."""
        target = self.resolve(source)
        name = self._bare(destination, target.backend)
        return self._do("copy", target, timeout, name)

    def create(
        self,
        model: str,
        timeout: float | None,
        *,
        source: str | None = None,
        files: Files | None = None,
        adapters: Files | None = None,
        parameters: Mapping[str, Any] | None = None,
        messages: Iterable[Message | Mapping[str, Any]] = (),
        license: str | Iterable[str] = (),  # noqa: A002 - what users and servers call it
        **texts: Any,
    ) -> Call[Progress]:
        """Make a model; without ``timeout`` it lasts as long as the backend tells of it."""
        target = self.resolve(model)
        plugin = cast(CreatesModels, self._plugin("lifecycle", target.backend))
        self._require("create", target.backend)
        self._widths.forget(target.backend)
        request = CreateRequest(
            model=target.model,
            source=None if source is None else self._bare(source, target.backend),
            files=_paths("files", files),
            adapters=_paths("adapters", adapters),
            parameters=_mapping("parameters", parameters),
            messages=tuple(m if isinstance(m, Message) else Message.from_dict(m) for m in messages),
            license=(license,) if isinstance(license, str) else tuple(license),
            **texts,
        )
        call = self._call("lifecycle", target, lambda: plugin.create(request), timeout)
        return self._lasting(call, timeout)

    def slot(
        self, verb: str, model: str | None, timeout: float | None, *which: int | str
    ) -> Call[Slot]:
        """Save, restore or erase a slot, or list them all."""
        _check_slot(*which)
        return self._do(verb, self.resolve(model), timeout, *which)

    # ---- questions -----------------------------------------------------------------------------

    def running(self, backend: str, timeout: float | None, *, patient: bool) -> Call[Model]:
        """List the models in one backend's memory; ``patient``: try again if it is not there."""
        self._require("running", backend)
        target = ResolvedModel(backend=backend, model="", reference=None, how="its lifecycle")
        work = cast(ListsRunning, self._plugin("lifecycle", backend)).running
        return self._call("lifecycle", target, work, timeout, **({} if patient else once()))

    def describe(self, model: str | None, timeout: float | None) -> Call[Model]:
        """Ask for one model, be it by listing all."""
        target = self.resolve(model)
        plugin = self._plugin("catalog", target.backend)
        if hasattr(plugin, "describe"):
            able = cast(DescribesModels, plugin)
            return self._call("catalog", target, lambda: able.describe(target.model), timeout)
        only: dict[str, Any] = {"filters": lambda: (Only(target.model),)}
        return self._call("catalog", target, cast(Catalog, plugin).models, timeout, **only)

    def able(self, verb: str) -> list[str]:
        """The backends whose plugin has a verb; one that cannot be loaded has none."""
        return [name for name in self.offering("lifecycle") if self._has(verb, name)]

    def _reload(self, target: ResolvedModel) -> Call[Any] | None:
        able = target.backend in self.able("load")
        return self._do("load", target, None, streamed=True) if able else None

    # ---- how it is done ------------------------------------------------------------------------

    def _do(
        self,
        verb: str,
        target: ResolvedModel,
        timeout: float | None,
        *more: int | str,
        **rules: Any,
    ) -> Call[Any]:
        self._require(verb, target.backend)
        if verb in _REPLACING:
            self._widths.forget(target.backend)
        method = getattr(self._plugin("lifecycle", target.backend), verb)
        return self._call(
            "lifecycle",
            target,
            lambda: method(target.model, *more),
            timeout,
            first_byte=WHOLE_CALL if timeout is None else timeout,
            **rules,
        )

    def _has(self, verb: str, backend: str) -> bool:
        try:
            return hasattr(self._plugin("lifecycle", backend), verb)
        except MultitapError:
            return False

    def _require(self, verb: str, backend: str) -> None:
        if hasattr(self._plugin("lifecycle", backend), verb):
            return
        others = ", ".join(self.able(verb))
        raise NotSupported(
            f"The plugin of {self.backend(backend).provider!r} has no {verb!r}",
            hint=f"These backends have it: {others}." if others else "No installed plugin has it.",
            backend=backend,
        )

    def _lasting(self, call: Call[Any], timeout: float | None) -> Call[Any]:
        """Gigabytes take their time: only a deadline that was asked for holds."""
        deadline = None if timeout is None else call.clocks.deadline
        return attrs.evolve(
            call, clocks=attrs.evolve(call.clocks, idle=LONGEST_SILENCE, deadline=deadline)
        )

    def _bare(self, given: Any, backend: str) -> str:
        """A name at this very backend; what names another one is a mistake."""
        name = given if isinstance(given, str) else ""
        place, _, rest = name.partition(":")
        if not name or (place in self.sections and place != backend):
            raise ConfigError(
                f"{given!r} is no name of a model at {backend}",
                hint=f"Name it without a backend: it stays at {backend}.",
            )
        return rest if place == backend and rest else name


def _paths(option: str, files: Files | None) -> Mapping[str, Path]:
    return {name: Path(path) for name, path in _mapping(option, files).items()}


def _mapping(option: str, given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if isinstance(given, (Mapping, type(None))):
        return dict(given or {})
    raise ConfigError(f"{option} is {given!r}", hint="Write a mapping, with a name for each value.")


def _check_slot(slot: Any = 0, name: Any = "none") -> None:
    if not isinstance(slot, int) or isinstance(slot, bool) or slot < 0:
        raise ConfigError(f"slot is {slot!r}", hint="Use a number that `multitap slots` lists.")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"name is {name!r}", hint="Use a file's name, such as story.bin.")


class Only:
    """A filter: of all models, the one of this name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def feed(self, models: Sequence[Model | Failed], /) -> Sequence[Model | Failed]:
        """The one, if it is among them."""
        return [m for m in models if isinstance(m, Failed) or m.id == self._name]

    def finish(self) -> Sequence[Model]:
        """Nothing is held back."""
        return ()


def the_model(found: Sequence[Model], call: Call[Model]) -> Model:
    """The one model that was asked for."""
    if len(found) == 1:
        return attrs.evolve(found[0], backend=call.backend.id)
    missing = ModelNotFound(f"There is no model {call.model!r}")
    call.located(missing)
    raise missing
