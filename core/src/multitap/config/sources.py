"""Where a value of the configuration was written, and what is wrong with it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import attrs

from multitap.errors import ConfigError

__all__ = ("Entry", "Problems", "Source", "lines_of")

SourceKind = Literal[
    "default", "system", "user", "project", "file", "environment", "command line", "code"
]


@attrs.frozen
class Source:
    """Where a value comes from.

    Attributes:
        kind: The layer; ``file`` is a file that the caller or ``MULTITAP_CONFIG`` named.
        file: The file, if it is one.
        line: Its line, counted from 1.
        variable: The environment variable, if it is one.

    >>> str(Source("user", file=Path("llm.toml"), line=3))
    'llm.toml, line 3'
    """

    kind: SourceKind
    file: Path | None = None
    line: int | None = None
    column: int | None = None
    variable: str | None = None

    @property
    def is_text(self) -> bool:
        """Can it hold texts alone, so that numbers and lists have to be read from them?"""
        return self.kind in ("environment", "command line")

    @property
    def folder(self) -> Path:
        """What a relative path in a value starts from."""
        return self.file.parent if self.file else Path()

    def __str__(self) -> str:
        if self.file is None:
            return self.variable or {"command line": "--llm"}.get(self.kind, self.kind)
        line = f", line {self.line}" if self.line else ""
        column = f", column {self.column}" if self.column else ""
        return f"{self.file}{line}{column}"


@attrs.frozen
class Entry:
    """One value of one layer, at its section and key; the section alone says that it is there.

    The value may be a secret, so that no repr shows it.
    """

    path: tuple[str, ...]
    value: Any = attrs.field(repr=False)
    source: Source

    @property
    def key(self) -> str:
        """The last word of the path."""
        return self.path[-1]


class Problems:
    """Everything that is wrong, so that it can be told at once."""

    def __init__(self) -> None:
        self.errors: list[ConfigError] = []

    def add(
        self, message: str, source: Source, *, key: str | None = None, hint: str | None = None
    ) -> None:
        """Note one problem; ``hint`` is the next step."""
        file = str(source.file) if source.file else None
        place: dict[str, Any] = {"file": file, "line": source.line, "column": source.column}
        self.errors.append(ConfigError(f"{source}: {message}", hint=hint, key=key, **place))

    def raise_if_any(self) -> None:
        """Raise a ``ConfigError`` that names each problem; its attributes are the first one's."""
        if len(self.errors) < 2:
            for error in self.errors:
                raise error
            return
        first = self.errors[0]
        raise ConfigError(
            "\n".join(error.message for error in self.errors),
            hint="Correct these and try again.",
            file=first.file,
            line=first.line,
            column=first.column,
            key=first.key,
            problems=self.errors,
        )


# The TOML parser gives no positions of keys: they are found by a scan of what it has accepted.
_PART = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')"""
_KEY = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_STATEMENT = re.compile(rf"[ \t]*(?:\[\[?[ \t]*(?P<table>{_KEY})[ \t]*\]|(?P<key>{_KEY})[ \t]*=)")
_PIECE = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}|\'{3}.*?\'{3,5}|"(?:\\.|[^"\\\n])*"|'[^'\n]*'|\#[^\n]*'''
    r"""|[^\[\]{}"'\#\n]+|.""",
    re.DOTALL,
)


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """The line where each table and key of a valid TOML document is first written.

    >>> lines_of("[ollama]\\nendpoint = 1")[("ollama", "endpoint")]
    2
    """
    table: tuple[str, ...] = ()
    found: dict[tuple[str, ...], int] = {}
    position, line = 0, 1
    while position < len(text):
        statement = _STATEMENT.match(text, position)
        if statement:
            table, path = _path_of(statement, table)
            for length in range(1, len(path) + 1):
                found.setdefault(path[:length], line)
        end = _end_of_statement(text, statement.end() if statement else position)
        line += text.count("\n", position, end)
        position = end
    return found


def _path_of(
    statement: re.Match[str], table: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The table from here on, and the path that the statement names."""
    written = statement["table"] or statement["key"]
    path = tuple(part.strip("\"'") for part in re.findall(_PART, written))
    return (path, path) if statement["table"] else (table, table + path)


def _end_of_statement(text: str, position: int) -> int:
    depth = 0
    while piece := _PIECE.match(text, position):
        position = piece.end()
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(piece[0], 0)
        if piece[0] == "\n" and depth <= 0:
            break
    return position
