"""The layers of the configuration, from the weakest to the strongest.

defaults < ``/etc/multitap/llm.toml`` < the user's file < the project's file <
``MULTITAP_<SECTION>__<KEY>`` < ``--llm`` < code.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from multitap.config.files import PREFIX, config_files, is_there
from multitap.config.packages import did_you_mean
from multitap.config.sections import Config, config_of
from multitap.config.sources import Entry, Problems, Source, SourceKind, lines_of
from multitap.config.values import parse_toml
from multitap.errors import ConfigError

__all__ = ("load_config", "read_config")


def load_config(
    config: str | os.PathLike[str] | Mapping[str, Any] | None = None,
    *,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> Config:
    """Read the configuration; nothing is imported and nothing is sent for it.

    Args:
        config: ``None``: all layers; a path: this one file; a mapping in the shape of
            ``llm.toml``: only this.
        overrides: The words after ``--llm``, such as ``provider=vllm`` or ``vllm.model=phi3:8b``.
        environ: The environment variables; ``None``: those of this process.
        directory: Where to look for the project's file; the working directory by default.

    Raises:
        ConfigError: All that is wrong, with file and line.

    >>> load_config({}, overrides=["provider=vllm", "model=phi3:8b"]).defaults.model
    'phi3:8b'
    """
    problems = Problems()
    loaded = _load(config, overrides, _variables_of(environ), directory, problems)
    problems.raise_if_any()
    return loaded


def read_config(
    config: str | os.PathLike[str] | None = None,
    *,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    directory: str | os.PathLike[str] | None = None,
) -> tuple[Config, Sequence[ConfigError]]:
    """What can be read of the configuration, and all that is wrong with the rest.

    For those who look at an installation; arguments as in ``load_config``.
    """
    problems = Problems()
    found = _load(config, overrides, _variables_of(environ), directory, problems)
    return found, problems.errors


def _variables_of(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    """They are no default argument, which every signature would show with all its keys."""
    return os.environ if environ is None else environ


def _load(
    config: str | os.PathLike[str] | Mapping[str, Any] | None,
    overrides: Sequence[str],
    environ: Mapping[str, str],
    directory: str | os.PathLike[str] | None,
    problems: Problems,
) -> Config:
    if isinstance(config, Mapping):
        entries = list(_document(config, Source("code"), {}, problems))
    elif config is not None:
        entries = list(_file(Path(config), "file", problems))
    else:
        entries = list(_files(environ, directory, problems))
        entries += _variables(environ, {entry.path[0] for entry in entries}, problems)
    entries += _words(overrides, problems)
    return config_of(entries, environ, problems)


def _files(
    environ: Mapping[str, str], directory: str | os.PathLike[str] | None, problems: Problems
) -> Iterator[Entry]:
    for path, kind in config_files(environ, directory).items():
        if kind == "file" or is_there(path):
            yield from _file(path, kind, problems)


def _file(path: Path, kind: SourceKind, problems: Problems) -> Iterator[Entry]:
    try:
        path = path.expanduser().absolute()
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problems.add("is not UTF-8", Source(kind, path), hint=f"Look at byte {error.start + 1}.")
        return
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        problems.add(f"cannot be read: {reason}", Source(kind, path), hint="Check the path.")
        return
    try:
        document = parse_toml(text)
    except ValueError as error:
        problems.add(*_syntax(error, text, Source(kind, path)), hint="Correct the TOML there.")
        return
    yield from _document(document, Source(kind, path), lines_of(text), problems)


def _syntax(error: ValueError, text: str, source: Source) -> tuple[str, Source]:
    """The parser's message, and the position that it gives within it."""
    message, _, place = str(error).partition(" (at ")
    line = column = None
    if numbers := re.match(r"line (\d+), column (\d+)", place):
        line, column = int(numbers[1]), int(numbers[2])
    elif place:
        line = text.count("\n") + 1
    return f"no valid TOML: {message}", Source(source.kind, source.file, line, column)


def _document(
    document: Mapping[str, Any],
    origin: Source,
    lines: Mapping[tuple[str, ...], int],
    problems: Problems,
) -> Iterator[Entry]:
    seen: dict[str, str] = {}
    for written, table in document.items():
        source = _at(origin, (str(written),), lines)
        name = _section_name(written, source, problems)
        if name is None:
            continue
        if name in seen:
            message = f"the sections [{seen[name]}] and [{written}] are one"
            problems.add(message, source, key=name, hint="Case does not matter: join them.")
        elif not isinstance(table, Mapping):
            near = did_you_mean(str(written), ("provider", "model"))
            hint = "Put it below a [section], such as [defaults]."
            problems.add(f"{written!r} is in no section{near}", source, key=str(written), hint=hint)
        else:
            seen[name] = written
            yield Entry((name,), None, source)
            for path, value in _pairs(table, (written,)):
                at = _at(origin, path, lines)
                yield Entry((name, *path[1:]), value, at)


def _pairs(
    table: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Keys and values; ``[plugins.choose]`` alone is laid over a weaker layer key by key."""
    for key, value in table.items():
        inner = (*path, str(key))
        if key == "choose" and path[0].lower() == "plugins" and isinstance(value, Mapping):
            yield from _pairs(value, inner)
        elif value is not None:
            yield inner, value


def _section_name(written: object, source: Source, problems: Problems) -> str | None:
    name = written.strip().lower() if isinstance(written, str) else ""
    if re.fullmatch(r"[^\s:/=\[\]]+", name):
        return name
    hint = "Use letters, digits, '-' and '_'."
    problems.add(f"{written!r} is no name for a section", source, key=str(written), hint=hint)
    return None


def _at(origin: Source, path: tuple[str, ...], lines: Mapping[tuple[str, ...], int]) -> Source:
    """The line of the path, or of the nearest table around it."""
    found = (lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines)
    return Source(origin.kind, origin.file, next(found, None))


def _variables(
    environ: Mapping[str, str], sections: Iterable[str], problems: Problems
) -> Iterator[Entry]:
    # a variable cannot have a hyphen in its name: MULTITAP_GPU_BOX__MODEL is for [gpu-box]
    spelt = {name.replace("-", "_"): name for name in sections}
    spelt |= {name: name for name in sections}
    for variable in sorted(environ):
        section, found, key = variable.removeprefix(PREFIX).lower().partition("__")
        if not (variable.startswith(PREFIX) and found and environ[variable]):
            continue
        path = (spelt.get(section, section), *key.split("__"))
        source = Source("environment", variable=variable)
        if all(path) and _is_path(path):
            yield Entry(path, environ[variable], source)
        else:
            hint = f"Write {PREFIX}<SECTION>__<KEY>."
            problems.add("names no section and key", source, key=variable, hint=hint)


def _is_path(path: tuple[str, ...]) -> bool:
    return len(path) == 2 or (len(path) == 3 and path[:2] == ("plugins", "choose"))


def _words(overrides: Sequence[str], problems: Problems) -> Iterator[Entry]:
    source = Source("command line")
    hint = "The keys are: model, provider, and <section>.<key>, such as ollama.endpoint."
    for number, word in enumerate(overrides, 1):
        name, equals, value = word.partition("=")
        path = tuple(part.strip() for part in name.split("."))
        path = (path[0].lower(), *path[1:]) if len(path) > 1 else ("defaults", *path)
        if not (equals and all(path) and _is_path(path)):
            problems.add(f"word {number} is not of the form key=value", source, hint=hint)
        elif path[0] == "defaults" and path[1] not in ("model", "provider"):
            near = did_you_mean(path[1], ("model", "provider"))
            problems.add(f"unknown key {path[1]!r}{near}", source, key=path[1], hint=hint)
        elif _section_name(path[0], source, problems):
            yield Entry(path, value, source)
