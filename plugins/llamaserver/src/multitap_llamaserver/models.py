"""What llama-server tells of a model, as Multitap's ``Model``.

Its list says ``completion`` of every model, also of one that only embeds, so what a model is for is
asked in another way (``multitap_llamaserver.catalog``).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import msgspec

from multitap.capabilities.catalog import Model

__all__ = ("Props", "Row", "Rows", "listed", "template_abilities")

_MEDIA = {"image": "vision", "vision": "vision", "audio": "audio", "video": "video"}
_THINKING = ("enable_thinking", "<think>", "reasoning_effort")


class Meta(msgspec.Struct):
    """Of a model that runs; ``n_ctx`` is the context of one slot."""

    n_ctx: int | None = None
    n_ctx_train: int | None = None
    n_params: int | None = None
    size: int | None = None
    ftype: str | None = None


class FileProgress(msgspec.Struct):
    """Bytes of one file of a download."""

    done: int | None = None
    total: int | None = None


class Status(msgspec.Struct):
    """Of a router's model; ``args`` are those that it is, or would be, started with."""

    value: str | None = None
    args: list[str] | None = None
    failed: bool | None = None
    exit_code: int | None = None
    progress: Any = None

    def argument(self, *names: str) -> int | None:
        """The number that follows one of these words, if it is above 0."""
        args = self.args or []
        for name, value in pairwise(args):
            if name in names and value.isdecimal() and int(value):
                return int(value)
        return None


class Architecture(msgspec.Struct):
    """What goes in."""

    input_modalities: list[str] | None = None


class Row(msgspec.Struct):
    """One model of ``/v1/models``."""

    id: str | None = None
    aliases: list[str] | None = None
    owned_by: str | None = None
    meta: Meta | None = None
    status: Status | None = None
    progress: Any = None
    architecture: Architecture | None = None

    @property
    def state(self) -> str:
        """``unloaded``, ``loading``, ``loaded``, ``sleeping`` or ``downloading``."""
        return (self.status and self.status.value) or "loaded"

    @property
    def failed(self) -> bool:
        """Did its last start fail?"""
        return bool(self.status and self.status.failed)

    @property
    def files(self) -> dict[str, FileProgress]:
        """How far each file of a download is; builds differ in where they write it."""
        told = (self.status and self.status.progress) or self.progress
        try:
            return msgspec.convert(told or {}, dict[str, FileProgress])
        except msgspec.ValidationError:  # stages of loading stand here too
            return {}

    @property
    def query(self) -> str:
        """How a question names it; a router would load it to answer."""
        return f"?model={quote(self.id or '', safe='')}&autoload=false" if self.status else ""

    def is_called(self, name: str) -> bool:
        """Is this one of its names?"""
        return name == self.id or name in (self.aliases or ())


class Rows(msgspec.Struct):
    """The answer of ``/v1/models``."""

    data: list[Row] | None = None

    @property
    def named(self) -> list[Row]:
        """Those that can be called by a name."""
        return [row for row in self.data or () if row.id]

    @property
    def routed(self) -> bool:
        """Is it a router, which loads models as they are asked for?"""
        return any(row.status is not None for row in self.named)


class Generation(msgspec.Struct):
    """What a request gets that does not say otherwise."""

    n_ctx: int | None = None


class Props(msgspec.Struct):
    """The answer of ``/props``: of a model, or of a router."""

    default_generation_settings: Generation | None = None
    total_slots: int | None = None
    modalities: dict[str, bool] | None = None
    chat_template: str | None = None
    chat_template_caps: dict[str, bool] | None = None
    build_info: str | None = None
    role: str | None = None
    is_sleeping: bool | None = None

    @property
    def context_length(self) -> int | None:
        """Most tokens of prompt and answer of one request."""
        return (self.default_generation_settings or Generation()).n_ctx or None


def listed(row: Row, props: Props | None = None, abilities: frozenset[str] | None = None) -> Model:
    """A model of the list, with what it told of itself where it could be asked."""
    meta, status = row.meta or Meta(), row.status or Status()
    context = meta.n_ctx or (props and props.context_length)
    sleeping = row.state == "sleeping" or bool(props and props.is_sleeping)
    return Model(
        id=row.id or "",
        capabilities=abilities,
        context_length=context or status.argument("--ctx-size", "-c") or None,
        size=meta.size or None,
        loaded=row.state == "loaded" and not sleeping,
        problem=f"It failed to load (exit code {status.exit_code})" if row.failed else None,
        meta=_meta(row, meta, props),
    ).sourced("probed")


def template_abilities(row: Row, props: Props) -> frozenset[str]:
    """What a model that chats can do: media that it takes, tools, thinking."""
    media = {name for name, can in (props.modalities or {}).items() if can}
    media.update((row.architecture or Architecture()).input_modalities or ())
    found = {_MEDIA[name] for name in media if name in _MEDIA}
    if (props.chat_template_caps or {}).get("supports_tools"):
        found.add("tools")
    if any(word in (props.chat_template or "") for word in _THINKING):
        found.add("thinking")
    return frozenset({"chat", *found})


def _meta(row: Row, meta: Meta, props: Props | None) -> Mapping[str, str]:
    facts = {
        "state": row.state if row.status else None,
        "aliases": ", ".join(name for name in row.aliases or () if name != row.id),
        "quantization": meta.ftype,
        "parameters": meta.n_params,
        "trained_context": meta.n_ctx_train,
        "slots": props and props.total_slots,
    }
    return {name: str(value) for name, value in facts.items() if value}
