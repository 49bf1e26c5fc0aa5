"""What can be found in an installation, how bad it is, and what mends it."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Union

import attrs

from multitap.cli.clean import one_line
from multitap.cli.toml import toml_key, toml_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = (
    "FINDINGS",
    "Advice",
    "Area",
    "Edit",
    "Finding",
    "Fix",
    "Level",
    "Run",
    "exit_code",
    "install",
    "upgrade",
)

Level = Literal["error", "warning", "info", "ok"]
Area = Literal["machine", "configuration", "plugin", "backend"]

_CODES: Mapping[Area, int] = {"machine": 1, "backend": 1, "configuration": 2, "plugin": 3}

FINDINGS: Mapping[str, Area] = MappingProxyType(
    {
        "python": "machine",
        "multitap": "machine",
        "multitap-twice": "machine",
        "extra-missing": "machine",
        "variables": "configuration",
        "variable-unknown": "configuration",
        "proxy": "machine",
        "config-files": "configuration",
        "config-wrong": "configuration",
        "setting-missing": "configuration",
        "file-readable": "configuration",
        "file-writable": "configuration",
        "plugin": "plugin",
        "plugin-none": "configuration",
        "plugin-broken": "plugin",
        "plugin-incompatible": "plugin",
        "plugin-conflict": "configuration",
        "plugin-denied": "configuration",
        "command-shadowed": "plugin",
        "filter-missing": "configuration",
        "provider-missing": "configuration",
        "default": "configuration",
        "default-unset": "configuration",
        "default-wrong": "configuration",
        "alias-wrong": "configuration",
        "key-missing": "configuration",
        "key-withheld": "configuration",
        "key-unreadable": "configuration",
        "key-refused": "backend",
        "backend": "backend",
        "backend-skipped": "backend",
        "backend-unreachable": "backend",
        "backend-insecure": "backend",
        "proxy-failed": "backend",
        "backend-slow": "backend",
        "backend-strange": "backend",
        "backend-failing": "backend",
        "model-missing": "backend",
        "model": "backend",
        "model-unasked": "backend",
        "model-failing": "backend",
        "schema": "backend",
        "schema-ignored": "backend",
    }
)
"""Every id of a finding, and what it is about. Programs rely on them: they stay."""


@attrs.frozen
class Run:
    """A command line."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": "command", "command": list(self.words)}


@attrs.frozen
class Edit:
    """A line of ``llm.toml`` that is written, or removed where ``value`` is ``None``."""

    file: Path
    path: tuple[str, ...]
    value: Any = None

    @property
    def key(self) -> str:
        """The key as TOML writes it, dots between its parts."""
        return ".".join(map(toml_key, self.path))

    def __str__(self) -> str:
        if self.value is None:
            return f"remove {self.key} from {self.file}"
        return f"write {self.key} = {toml_value(self.value)} in {self.file}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": "config", "file": str(self.file), "key": self.key, "value": self.value}


@attrs.frozen
class Advice:
    """What no program can do."""

    text: str

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {"kind": "text", "text": one_line(self.text)}


Fix = Union[Run, Edit, Advice]


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        id: One of ``FINDINGS``.
        subject: What it is about: a backend, a distribution, a file, a key.
        message: One line.
        fix: What makes it go away; only where the level is ``info`` or ``ok`` there may be none.
        file, line, key: Where the configuration says so, if it does.
    """

    id: str = attrs.field(validator=attrs.validators.in_(FINDINGS))
    level: Level
    message: str = attrs.field(converter=one_line)
    subject: str = ""
    fix: Fix | None = None
    file: str | None = None
    line: int | None = None
    key: str | None = None

    def __attrs_post_init__(self) -> None:
        assert self.fix or self.level in ("info", "ok"), self.id

    @property
    def area(self) -> Area:
        """What it is about."""
        return FINDINGS[self.id]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: all keys, ``None`` where there is nothing to say."""
        facts = attrs.asdict(self, recurse=False)
        return {**facts, "area": self.area, "fix": self.fix and self.fix.to_dict()}


def exit_code(findings: Iterable[Finding]) -> int:
    """0 without an error, else the largest code of the errors: what stands behind the others.

    A broken plugin (3) goes before the configuration (2), that before a backend or machine (1).
    """
    return max((_CODES[f.area] for f in findings if f.level == "error"), default=0)


def install(distribution: str) -> Run:
    """Install a distribution."""
    return Run(("pip", "install", distribution))


def upgrade(distribution: str) -> Run:
    """Install the newest version of a distribution."""
    return Run(("pip", "install", "--upgrade", distribution))
